"""The chat model: settings, secrets, event loops, copies, stop sequences and metadata."""

import asyncio
import copy
import json
import pickle
import threading
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps, loads
from langchain_core.messages import HumanMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from lc_support import JPEG, PNG, Script, b64, merged

from emby_plugins import ConfigurationError, Limits, ReplyTooLargeError, RequestError
from langchain_emby import ChatEmby, images_of

KEY = "sk-very-secret-indeed"


def test_options_reach_the_wire() -> None:
    """Constructor settings are sent, and arguments of the call override them."""
    script = Script("Fine.")
    chat = script.chat(
        model="glm-vision",
        temperature=0,
        max_tokens=5,
        top_p=0.5,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        reasoning_effort="low",
        image_config={"aspect_ratio": "16:9"},
        extra_body={"safety": 1},
        model_kwargs={"seed": 3},
        emby_metadata={"tenant_id": "acme"},
        source="example.com",
    )
    chat.invoke("Hi", temperature=1, model="qwen2.5-vl", parallel_tool_calls=False)
    sent = {k: v for k, v in script.sent.items() if k != "messages"}
    assert sent == {
        "model": "qwen2.5-vl",
        "temperature": 1,
        "max_tokens": 5,
        "top_p": 0.5,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "reasoning_effort": "low",
        "image_config": {"aspect_ratio": "16:9"},
        "safety": 1,
        "seed": 3,
        "parallel_tool_calls": False,
    }
    headers = script.requests[-1].headers
    assert headers["x-emby-tenant-id"] == "acme"
    assert headers["x-source"] == "example.com"


def test_unknown_arguments_are_refused_and_known_fields_are_sent() -> None:
    """A known request field is sent, and an unknown argument is refused with a suggestion."""
    assert ChatEmby(base_url="mock:", seed=1).model_kwargs == {"seed": 1}
    with pytest.raises(ValueError, match=r"'max_retires'. Did you mean 'max_retries'\?"):
        ChatEmby(base_url="mock:", max_retires=0)
    with pytest.raises(ValueError, match=r"'colour'. Pass other request fields in extra_body"):
        ChatEmby(base_url="mock:", colour="red")


MISSPELT = [
    "openai_api_key",
    "apikey",
    "token",
    "api-key",
    "emby_apikey",
    "apiKey",
    "x-api-key",
    "authorization",
    "access_token",
    "key",
    "secret_key",
]


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_key_is_refused_and_not_sent(name: str) -> None:
    """A key under a wrong name is refused with the right name, and neither shown nor sent."""
    for wrong in ({name: KEY}, {"model_kwargs": {name: KEY}}, {"extra_body": {name: KEY}}):
        with pytest.raises(ValueError, match="as api_key") as caught:
            ChatEmby(base_url="mock:", **wrong)
        assert name in str(caught.value)
        assert KEY not in str(caught.value)
    script = Script()
    for arguments in ({name: KEY}, {"extra_body": {name: KEY}}):
        with pytest.raises(RequestError, match="api_key") as refused:
            script.chat().invoke("Hi", **arguments)
        assert KEY not in str(refused.value)
    assert script.requests == []


@pytest.mark.parametrize("name", ["max_completion_tokens", "prompt_cache_key", "logprobs", "seed"])
def test_a_field_that_is_not_a_key_is_sent(name: str) -> None:
    """Fields with names that only resemble a key are sent."""
    assert ChatEmby(base_url="mock:", **{name: 1}).model_kwargs == {name: 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": 5_550_123_456},
        {"api_key": [KEY]},
        {"temperature": KEY},
        {"stop": KEY, "top_p": "x"},
    ],
)
def test_a_validation_error_shows_no_value(wrong: dict[str, Any]) -> None:
    """Validation errors do not show the given value, which may be a key."""
    with pytest.raises(ValueError, match="validation error") as caught:
        ChatEmby(base_url="mock:", **wrong)
    assert KEY not in str(caught.value)
    assert "5550123456" not in str(caught.value)


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_metadata_of_a_reply(version: str) -> None:
    """Metadata and usage are the same, streamed and invoked."""
    citation = {
        "type": "url_citation",
        "url_citation": {"url": "https://example.com", "title": "Dogs"},
    }
    head = {"system_fingerprint": "fp", "metadata": {"used_provider": "x"}}
    script = Script("Woof.", head=head, annotations=[citation], reasoning="Dogs bark.")
    chat = script.chat(output_version=version)
    invoked, streamed = chat.invoke("Hi"), merged(chat.stream("Hi"))
    for message in (invoked, streamed):
        known = {k: v for k, v in message.response_metadata.items() if k != "output_version"}
        assert known == {
            "model_provider": "emby",
            "model_name": "qwen2.5-vision",
            "finish_reason": "stop",
            "id": "chatcmpl-1",
            "created": 1,
            "request_id": "req-1",
            "system_fingerprint": "fp",
            "routing": {"used_provider": "x"},
            "cost": 0.25,
            "citations": [{"url": "https://example.com", "title": "Dogs"}],
        }
        assert message.usage_metadata == {
            "input_tokens": 9,
            "output_tokens": 40,
            "total_tokens": 49,
            "input_token_details": {"cache_read": 4},
            "output_token_details": {"reasoning": 3},
        }
        reasoning, text = message.content_blocks
        assert reasoning["reasoning"] == "Dogs bark."
        assert text["annotations"][0]["url"] == "https://example.com"
    quiet = script.chat(stream_usage=False)
    assert merged(quiet.stream("Hi")).usage_metadata is None


STOPS = [
    ("one two three", ["two"], "one "),
    ("one two three", ["four", "three", "two"], "one "),
    ("one two three", ["tw three"], "one two three"),
    ("one two three", "e t", "on"),
    ("one two thr", ["three"], "one two thr"),
    ("one", ["one"], ""),
    ("one", [""], "one"),
]


@pytest.mark.parametrize(("text", "stop", "kept"), STOPS)
def test_stop_sequences_are_applied(text: str, stop: list[str] | str, kept: str) -> None:
    """Text ends before a stop sequence, streamed or not, and images are kept."""
    script = Script(text, (PNG,))
    chat = script.chat(stop=stop)
    assert chat.invoke("Hi").text == kept
    streamed = merged(chat.stream("Hi"))
    assert streamed.text == kept
    assert images_of(streamed)[0].data == PNG
    letters = Script(streamed=[{"content": letter} for letter in text]).chat()
    given = [stop] if isinstance(stop, str) else stop
    assert merged(letters.stream("Hi", stop=given)).text == kept


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("reasoning", "is_too_large"), [("r" * 60, True), ("r" * 50, False)])
def test_reasoning_counts_towards_the_text_limit(
    reasoning: str, is_too_large: bool, stream: bool
) -> None:
    """The text limit applies to the text and the reasoning of a reply together."""
    chat = Script("t" * 50, reasoning=reasoning).chat(limits=Limits(text=100))
    call = (lambda: merged(chat.stream("Hi"))) if stream else (lambda: chat.invoke("Hi"))
    if not is_too_large:
        assert call().additional_kwargs["reasoning_content"] == reasoning
        return
    with pytest.raises(ReplyTooLargeError, match="text"):
        call()


def test_ten_event_loops_in_a_row() -> None:
    """One model works in several consecutive runs of `asyncio.run`."""
    chat = ChatEmby(base_url="mock:")
    answers = [asyncio.run(chat.ainvoke("Hello")).text for _ in range(10)]
    assert len(set(answers)) == 1


def test_two_loops_in_two_threads_at_once() -> None:
    """One model works in two concurrent event loops."""
    chat = ChatEmby(base_url="mock:")
    together = threading.Barrier(2)
    answers: list[str] = []

    def run() -> None:
        async def call() -> None:
            together.wait(timeout=10)
            replies = await asyncio.gather(*(chat.ainvoke("Hello") for _ in range(5)))
            answers.extend(message.text for message in replies)

        asyncio.run(call())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 10
    assert len(set(answers)) == 1


def test_the_key_is_never_shown() -> None:
    """The key is not in repr, str, dumps, traces, pickles and errors."""
    seen: list[str] = []

    class Tracer(BaseCallbackHandler):
        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append(repr((args, kwargs)))

    chat = Script("Fine.").chat(api_key=KEY, callbacks=[Tracer()])
    chat.invoke("Hi")
    list(chat.stream("Hi"))
    client = chat._emby()
    plain = ChatEmby(base_url="mock:", api_key=KEY)
    plain.invoke("Hi")
    shown = [
        repr(chat),
        str(chat),
        dumps(chat),
        json.dumps(dumpd(chat)),
        repr(chat.asdict()),
        repr(chat._get_ls_params()),
        repr(client),
        pickle.dumps(plain).decode("latin-1"),
        *seen,
    ]
    assert len(seen) == 2
    assert not [text for text in shown if KEY in text]
    with pytest.raises(ConfigurationError) as caught:
        ChatEmby(api_key=f"{KEY}\u20ac", base_url="https://x.example").invoke("Hi")
    assert KEY not in repr(caught.value) + str(caught.value)


def test_a_dumped_model_finds_its_key_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """`loads` recreates a dumped model with the key of the environment."""
    monkeypatch.setenv("EMBY_API_KEY", KEY)
    chat = ChatEmby(base_url="mock:", temperature=0.5, emby_metadata={"tenant_id": "acme"})
    again = loads(
        dumps(chat),
        allowed_objects=[ChatEmby],
        valid_namespaces=["langchain_emby"],
        secrets_from_env=True,
    )
    assert again.asdict() == chat.asdict()
    assert again.emby_api_key.get_secret_value() == KEY
    assert again.emby_metadata == {"tenant_id": "acme"}


@pytest.mark.parametrize("copied", ["pickle", "copy", "deepcopy", "model_copy"])
def test_copies_work_and_hold_no_open_client(copied: str) -> None:
    """A used model can be pickled and copied, and the copy opens its own connections."""
    chat = ChatEmby(base_url="mock:", temperature=0.5, api_key=KEY)
    chat.invoke("Hello")
    asyncio.run(chat.ainvoke("Hello"))
    make = {
        "pickle": lambda: pickle.loads(pickle.dumps(chat)),
        "copy": lambda: copy.copy(chat),
        "deepcopy": lambda: copy.deepcopy(chat),
        "model_copy": lambda: chat.model_copy(update={"temperature": 0.1}),
    }
    twin = make[copied]()
    assert twin._clients is not chat._clients
    assert twin._clients._sync is None
    assert twin.invoke("Hello").text == chat.invoke("Hello").text
    assert chat.emby_api_key.get_secret_value() == KEY


def test_a_given_client_is_used_and_not_pickled() -> None:
    """A given `httpx.Client` is used, left open and not pickled."""
    httpx = pytest.importorskip("httpx")
    body = {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}
    seen = []

    def answer(request: Any) -> Any:
        seen.append(request.headers)
        return httpx.Response(200, content=iter([json.dumps(body).encode()]))

    with httpx.Client(transport=httpx.MockTransport(answer), headers={"X-Team": "a"}) as http:
        chat = ChatEmby(base_url="https://x.example/v1", api_key=KEY, http_client=http)
        assert chat.invoke("Hello").text == "Hi."
        assert seen[0]["x-team"] == "a"
        assert not http.is_closed
        with pytest.raises(TypeError, match="http_client"):
            pickle.dumps(chat)


def test_tracing_parameters() -> None:
    """The LangSmith parameters have the provider, the model of the call and the limits."""
    chat = ChatEmby(base_url="mock:", temperature=0.5, max_tokens=7, stop=["x"])
    assert chat._get_ls_params(model="glm-vision") == {
        "ls_provider": "emby",
        "ls_model_type": "chat",
        "ls_model_name": "glm-vision",
        "ls_temperature": 0.5,
        "ls_max_tokens": 7,
        "ls_stop": ["x"],
    }
    assert chat._llm_type == "emby-chat"
    assert chat.model == chat.model_name


def test_profiles_are_read_from_the_catalog() -> None:
    """The profile of a known model has its capabilities, and an unknown model has none."""
    profile = ChatEmby(base_url="mock:", model="emby/qwen2.5-vision").profile
    assert profile is not None
    assert profile["image_inputs"]
    assert profile["image_outputs"]
    assert profile["tool_calling"]
    assert not ChatEmby(base_url="mock:", model="emby-mock-text").profile["image_inputs"]
    assert ChatEmby(base_url="mock:", model="someone/else").profile is None


def test_tokens_are_counted_without_a_tokenizer() -> None:
    """Images and files count as a fixed number of tokens regardless of their size."""
    chat = ChatEmby(base_url="mock:")
    big = b64(PNG * 1000)
    heavy = HumanMessage(
        [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "base64": big, "mime_type": "image/png"},
            {"type": "file", "base64": big, "mime_type": "application/pdf"},
        ]
    )
    assert 85 < chat.get_num_tokens_from_messages([heavy]) < 200
    assert chat.get_num_tokens("four legs and a tail") == 5
    own = ChatEmby(base_url="mock:", custom_get_token_ids=lambda text: [*map(ord, text)])
    assert own.get_num_tokens("legs") == 4


def test_the_cache_keeps_images() -> None:
    """A cached answer has its images, and no second request is sent."""
    script = Script("Two:", (PNG, JPEG))
    chat = script.chat(cache=InMemoryCache())
    first, second = chat.invoke("Draw."), chat.invoke("Draw.")
    assert len(script.requests) == 1
    assert images_of(first) == images_of(second)
    assert first.content == second.content


def test_a_rate_limiter_is_acquired() -> None:
    """LangChain's rate limiter is acquired for our calls."""
    calls = []

    class Counting(InMemoryRateLimiter):
        def acquire(self, *, blocking: bool = True) -> bool:
            calls.append(blocking)
            return True

    Script("Fine.").chat(rate_limiter=Counting()).invoke("Hi")
    assert calls == [True]
