"""Keywords of a call: the place of each in the request, and the validation before sending."""

import asyncio
import io
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
from support import (
    ChatCaller,
    Loopback,
    ReceivedRequest,
    ScriptedBackend,
    Wire,
    answer,
    as_asked,
    as_json,
    chunk,
    completion,
    data_url,
    image_item,
    picture,
    sse,
)

from emby_plugins import (
    IMAGE_INSTRUCTION,
    AsyncEmby,
    BackendResponse,
    BadRequestError,
    ChatReply,
    ConfigurationError,
    Emby,
    EmbyError,
    EmbyTimeoutError,
    Image,
    InvalidImageError,
    Message,
    MissingImageError,
    RequestError,
    TextDelta,
    ToolCall,
)
from emby_plugins._call_settings import CallOptions, ChatArguments
from emby_plugins._chat import ChatOptions

KEY = "sk-very-secret-123"
PHOTO = Image(picture("red"))

IN_BODY: dict[str, tuple[Any, Any]] = {
    "temperature": (0.5, 0.5),
    "max_tokens": (5, 5),
    "top_p": (0.9, 0.9),
    "frequency_penalty": (1, 1),
    "presence_penalty": (1, 1),
    "reasoning_effort": ("low", "low"),
    "tool_choice": ("auto", "auto"),
    "response_format": ("json_object", {"type": "json_object"}),
    "image_config": ({"aspect_ratio": "16:9"}, {"aspect_ratio": "16:9"}),
    "stop": ("x", ["x"]),
    "seed": (7, 7),
    "user": ("u", "u"),
    "service_tier": ("flex", "flex"),
    "parallel_tool_calls": (False, False),
    "logprobs": (True, True),
}
"""Options sent in the body: the given value, and the value sent under the same name."""

IN_HEADERS: dict[str, tuple[Any, dict[str, str]]] = {
    "headers": ({"X-Trace": "t-1"}, {"x-trace": "t-1"}),
    "metadata": ({"tenant_id": "acme"}, {"x-emby-tenant-id": "acme"}),
    "source": ("example.com", {"x-source": "example.com"}),
    "fresh": (True, {"x-no-cache": "true"}),
}
NOWHERE = {
    "timeout": 5,
    "deadline": 50,
    "max_retries": 1,
    "keep_raw": True,
    "n": 1,
    "endpoint": "auto",
}
ELSEWHERE = {"system", "tools", "extra_body", "mask", "variant"}
"""Keywords with tests of their own."""


def reply_to(request: Any) -> BackendResponse:
    """Reply in the requested form."""
    return as_asked(completion("Hi"), sse(chunk("Hi", finish="stop")))(request)


def test_every_keyword_is_in_a_table() -> None:
    """Every keyword of a call is listed in one of the tables above, so that new ones are tested."""
    known = {*ChatOptions.__annotations__, *CallOptions.__annotations__}
    known |= {*ChatArguments.__annotations__, "system", "fresh", "keep_raw"}
    assert known == {*IN_BODY, *IN_HEADERS, *NOWHERE, *ELSEWHERE}


def test_each_keyword_is_sent_in_its_place(call_chat: ChatCaller) -> None:
    """Each keyword is sent in the body, in a header or not at all, and a plain call has none of
    them.
    """
    backend = ScriptedBackend(by=reply_to)
    on = {**backend.on, "api_key": KEY}
    call_chat("Hi", on=on)
    plain, plain_headers = backend.body, set(backend.requests[-1].headers)
    assert set(plain) - {"stream"} == {"model", "messages"}
    for name, (given, sent) in IN_BODY.items():
        call_chat("Hi", on=on, **{name: given})
        assert backend.body == {**plain, name: sent}
        assert set(backend.requests[-1].headers) == plain_headers
    for name, (given, headers) in IN_HEADERS.items():
        call_chat("Hi", on=on, **{name: given})
        assert backend.requests[-1].headers.items() >= headers.items()
        assert set(backend.requests[-1].headers) == plain_headers | set(headers)
        assert set(backend.body) == set(plain)
    call_chat("Hi", on=on, **NOWHERE)
    assert backend.body == plain
    assert set(backend.requests[-1].headers) == plain_headers
    assert not [request for request in backend.requests if KEY.encode() in request.body]


def test_headers_of_a_call_extend_those_of_the_client(call_chat: ChatCaller) -> None:
    """Headers and metadata of a call extend the client's for this call only; None changes
    nothing.
    """
    backend = ScriptedBackend(by=reply_to)
    on = {**backend.on, "headers": {"X-A": "1", "User-Agent": "me"}, "metadata": {"team": "a"}}
    call_chat("Hi", on=on, headers={"x-a": "2"}, metadata={"run": "b"}, source=None, timeout=None)
    sent = backend.requests[-1].headers
    assert (sent["x-a"], sent["user-agent"]) == ("2", "me")
    assert (sent["x-emby-team"], sent["x-emby-run"]) == ("a", "b")
    call_chat("Hi", on=on)
    assert backend.requests[-1].headers["x-a"] == "1"
    assert "x-emby-run" not in backend.requests[-1].headers


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Authorization", "api_key="),
        ("x-api-key", "api_key="),
        ("Content-Length", "set by the client"),
        ("accept-encoding", "set by the client"),
        ("bad name", "not a valid header name"),
        ("x-evil\r\n", "not a valid header name"),
    ],
)
def test_a_forbidden_header_is_refused(call_chat: ChatCaller, name: str, message: str) -> None:
    """Forbidden and invalid header names are refused, without showing the value, which may be a
    key.
    """
    backend = ScriptedBackend(by=reply_to)
    for on, options in ((backend.on, {"headers": {name: KEY}}), ({"headers": {name: KEY}}, {})):
        with pytest.raises(ConfigurationError, match=message) as caught:
            call_chat("Hi", on={**backend.on, **on}, **options)
        assert KEY not in str(caught.value)
    with pytest.raises(ConfigurationError, match="can't be sent"):
        call_chat("Hi", on=backend.on, headers={"x-a": "a\r\nb: c"})
    assert backend.requests == []


@pytest.mark.parametrize("name", ["api_key", "OPENAI-API-KEY", "Authorization", "extra_headers"])
def test_extra_body_refuses_keys(call_chat: ChatCaller, name: str) -> None:
    """`extra_body` refuses names under which other packages take keys or headers, and sends
    others.
    """
    backend = ScriptedBackend(by=reply_to)
    with pytest.raises(RequestError, match=r"extra_body can't carry .* Pass") as caught:
        call_chat("Hi", on=backend.on, extra_body={name: KEY})
    assert KEY not in str(caught.value)
    assert backend.requests == []
    call_chat("Hi", on=backend.on, extra_body={"web_search": True})
    assert backend.body["web_search"] is True


UNKNOWN = {
    "temprature": "did you mean 'temperature'",
    "image": "did you mean 'images'",
    "system_prompt": "did you mean 'system'",
    "extra_headers": "did you mean 'headers'",
    "time_out": "did you mean 'timeout'",
    "max_completion_tokens": "did you mean 'max_tokens'",
    "stop_sequences": "did you mean 'stop'",
    "aspect_ratio": "image_config={'aspect_ratio'",
    "size": "image_config={'image_size'",
    "zzz": "valid options are ",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_keyword_suggests_the_nearest(call_chat: ChatCaller, name: str) -> None:
    """An unknown keyword raises a TypeError that suggests the nearest valid one."""
    backend = ScriptedBackend(by=reply_to)
    with pytest.raises(TypeError) as caught:
        call_chat("Hi", on=backend.on, **{name: 1})
    assert f"unknown option {name!r}" in str(caught.value)
    assert UNKNOWN[name] in str(caught.value)
    assert backend.requests == []


def test_unknown_options_of_models_and_copies() -> None:
    """`models` and `with_options` refuse the options of a chat."""
    backend = ScriptedBackend({"data": []})
    with Emby(**backend.on) as emby:
        with pytest.raises(TypeError, match="did you mean 'timeout'"):
            emby.models(timeouts=1)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="valid options are"):
            emby.with_options(temperature=1)  # type: ignore[call-arg]
        emby.models(headers={"x-a": "1"}, timeout=3)
        assert backend.requests[-1].headers["x-a"] == "1"


@pytest.mark.parametrize("options", [{"timeout": 0}, {"deadline": "5"}, {"max_retries": -1}])
def test_impossible_settings_of_a_call_are_refused(call_chat: ChatCaller, options: Any) -> None:
    """Invalid timeouts, deadlines and retry counts of a call are refused before anything is
    sent.
    """
    backend = ScriptedBackend(by=reply_to)
    with pytest.raises(ConfigurationError, match="seconds above 0"):
        call_chat("Hi", on=backend.on, **options)
    assert backend.requests == []


@pytest.mark.parametrize("options", [{"n": 2}, {"extra_body": {"n": 3}}, {"n": 0}])
def test_several_replies_of_one_call_are_refused(call_chat: ChatCaller, options: Any) -> None:
    """`n` of a chat is refused, with a hint on how to get several replies."""
    backend = ScriptedBackend(by=reply_to)
    with pytest.raises(RequestError, match=r"emby\.image\(prompt, n="):
        call_chat("Hi", on=backend.on, **options)
    assert backend.requests == []


def test_max_retries_of_a_call(call_chat: ChatCaller) -> None:
    """`max_retries` of a call overrides that of the client."""
    backend = ScriptedBackend(*(answer({}, status=503) for _ in range(1)))
    with pytest.raises(EmbyError):
        call_chat("Hi", on=backend.on, max_retries=0)
    assert len(backend.requests) == 1


# ---- calls at once


def slow_and_fast(received: ReceivedRequest, wire: Wire) -> None:
    """Answer at once, except for the calls that are marked as slow."""
    if received.headers["x-kind"] == "slow":
        wire.is_over(2)
    wire.whole(as_json(completion(received.headers["x-emby-n"])))


def test_calls_of_one_client_at_once_do_not_mix() -> None:
    """Concurrent calls in threads each keep their own timeout, headers and metadata."""
    with Loopback(slow_and_fast) as server, Emby(base_url=server.url, max_retries=0) as emby:

        def call(n: int) -> str:
            kind, timeout = ("slow", 0.2) if n % 2 else ("fast", 5)
            options: Any = {"headers": {"x-kind": kind}, "metadata": {"n": str(n)}}
            try:
                return emby.chat("Hi", timeout=timeout, **options).text
            except EmbyTimeoutError as error:
                return f"{n} {error.message}"

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(call, range(8)))
    late = "The gateway was silent for 0.2 seconds."
    assert results == [f"{n} {late}" if n % 2 else str(n) for n in range(8)]


async def test_tasks_of_one_client_at_once_do_not_mix() -> None:
    """Concurrent calls in tasks, from copies of one client, each keep their own options."""
    with Loopback(slow_and_fast) as server:
        async with AsyncEmby(base_url=server.url, max_retries=0) as emby:
            fast = emby.with_options(headers={"x-kind": "fast"})
            slow = emby.with_options(headers={"x-kind": "slow"}, timeout=0.2)
            calls = [(slow if n % 2 else fast).chat("Hi", metadata={"n": str(n)}) for n in range(8)]
            results = await asyncio.gather(*calls, return_exceptions=True)
    assert [reply.text for reply in results[::2] if isinstance(reply, ChatReply)] == list("0246")
    assert [type(error) for error in results[1::2]] == [EmbyTimeoutError] * 4


def test_a_copy_shares_connections() -> None:
    """A copy made by `with_options` shares the client's connections and leaves the client
    unchanged.
    """

    def by(received: ReceivedRequest, wire: Wire) -> None:
        wire.whole(as_json(completion(received.headers.get("x-a", "none"))))

    with Loopback(by) as server, Emby(KEY, server.url) as emby:
        copy = emby.with_options(headers={"x-a": "1"}, max_retries=0)
        assert [copy.chat("Hi").text, emby.chat("Hi").text, copy.chat("Hi").text] == [
            "1",
            "none",
            "1",
        ]
        assert server.connections == 1
        assert repr(copy) == repr(emby)


# ---- replies


def test_the_headers_of_a_reply(call_chat: ChatCaller) -> None:
    """The headers of a reply have lower-case names, and the key in their values is redacted."""
    sent = {"X-Request-Id": "r-1", "x-echo": KEY}
    backend = ScriptedBackend(by=lambda _: answer(sse(chunk("Hi", finish="stop")), headers=sent))
    headers = call_chat("Hi", on={**backend.on, "api_key": KEY}).headers
    assert headers["x-request-id"] == "r-1"
    assert headers["x-echo"] == "[key]"


@pytest.mark.parametrize(
    ("headers", "metadata", "cached"),
    [
        ({"x-llmgateway-cache": "HIT"}, {}, True),
        ({}, {"cached": True}, True),
        ({"x-llmgateway-cache": "MISS"}, {"cached": False}, False),
        ({}, {}, False),
    ],
)
def test_a_cached_reply_is_marked(
    call_chat: ChatCaller, headers: dict[str, str], metadata: dict[str, bool], cached: bool
) -> None:
    """`ChatReply.cached` is true if a header or the metadata reports a cache hit."""
    body = sse(chunk("Hi", finish="stop", metadata=metadata))
    backend = ScriptedBackend(by=lambda _: answer(body, headers=headers))
    assert call_chat("Hi", on=backend.on).cached is cached


def test_the_json_of_a_reply_is_kept_on_request(call_chat: ChatCaller) -> None:
    """`keep_raw=True` keeps the JSON of a reply without image data; by default nothing is kept."""
    large = picture("red", (64, 64))
    backend = ScriptedBackend(
        by=as_asked(
            completion("Hi", large, odd={"a": 1}),
            sse(chunk("Hi", odd={"a": 1}), chunk("", large, finish="stop")),
        )
    )
    reply = call_chat("Hi", on=backend.on, keep_raw=True)
    raw = reply.raw[0] if call_chat.is_stream else reply.raw
    assert isinstance(reply.raw, list) == call_chat.is_stream
    assert raw["odd"] == {"a": 1}
    assert data_url(large).partition(",")[2] not in json.dumps(reply.raw)
    assert reply.image.data == large
    assert call_chat("Hi", on=backend.on).raw is None


# ---- stop sequences


PIECES = ["One, t", "wo. EN", "D three", " END"]


@pytest.mark.parametrize(
    ("stop", "text", "met"),
    [
        ("END", "One, two. ", "END"),
        (["three", "END"], "One, two. ", "END"),
        (["D t", "END"], "One, two. ", "END"),
        ([", two", ","], "One", ", two"),
        ("One", "", "One"),
        ("never", "One, two. END three END", None),
        ("D END", "One, two. END three END", None),
        ([], "One, two. END three END", None),
    ],
)
def test_text_ends_before_a_stop_sequence(
    call_chat: ChatCaller, stop: Any, text: str, met: Any
) -> None:
    """Text ends before a stop sequence, also if gateways ignore it; later images and usage are
    kept.
    """
    usage = {"completion_tokens": 5000}
    backend = ScriptedBackend(
        by=as_asked(
            completion("".join(PIECES), picture(), usage=usage),
            sse(*map(chunk, PIECES), chunk("", picture(), finish="length"), {"usage": usage}),
        )
    )
    reply = call_chat("Hi", on=backend.on, stop=stop)
    assert (reply.text, reply.stop_sequence) == (text, met)
    assert len(reply.images) == 1
    assert reply.usage
    assert reply.usage.completion_tokens == 5000
    assert backend.body.get("stop") == ([stop] if isinstance(stop, str) else stop or None)
    if met and call_chat.is_stream:
        assert reply.finish_reason == "stop"


def test_text_after_a_stop_sequence_is_not_mistaken_for_an_image(
    call_chat: ChatCaller, caplog: pytest.LogCaptureFixture
) -> None:
    """The tokens of text after a stop sequence are not mistaken for those of a missing image."""
    body = sse(chunk("One END" + "x" * 900, finish="stop", usage={"completion_tokens": 900}))
    backend = ScriptedBackend(by=lambda _: answer(body))
    assert call_chat("Hi", on=backend.on, stop="END").notice == ""
    assert not caplog.records or "billed" not in caplog.text


def test_text_held_back_is_kept_in_an_error(call_chat: ChatCaller) -> None:
    """Text held back as the possible beginning of a stop sequence is kept in an error's
    `partial`.
    """
    backend = ScriptedBackend(by=lambda _: answer(sse(chunk("One EN"), done=False)))
    with pytest.raises(EmbyError) as caught:
        call_chat("Hi", on=backend.on, stop="END")
    assert caught.value.partial is not None
    assert caught.value.partial.text == "One EN"


@pytest.mark.parametrize("stop", ["", [""], [5], 5])
def test_an_invalid_stop_sequence_is_refused(call_chat: ChatCaller, stop: Any) -> None:
    """An empty or non-string stop sequence is refused."""
    backend = ScriptedBackend(by=reply_to)
    with pytest.raises(RequestError, match=r"stop is"):
        call_chat("Hi", on=backend.on, stop=stop)
    assert backend.requests == []


# ---- prompts and images


def test_a_history_takes_strings_messages_replies_and_dicts(call_chat: ChatCaller) -> None:
    """A history of strings, messages, replies or OpenAI's dicts gives the same request."""
    backend = ScriptedBackend(by=reply_to)
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    photo = {"type": "image_url", "image_url": {"url": PHOTO.data_url, "detail": "low"}}
    dicts = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "5", "tool_call_id": "t1"},
        {"role": "assistant", "content": "Here", "images": [image_item(picture("blue"))]},
        {"role": "user", "content": [{"type": "text", "text": "And?"}, photo]},
    ]
    call_chat(dicts, on=backend.on)
    sent = backend.body["messages"]
    blue = Image(picture("blue"))
    same = [
        Message.system("Be brief."),
        "Hi",
        ChatReply(tool_calls=(ToolCall("t1", "f", "{}"),)),
        Message.tool("5", tool_call_id="t1"),
        ChatReply("Here", images=(blue,)),
        Message.user("And?", *Message.user(PHOTO).content),
    ]
    call_chat(same, on=backend.on)
    again = backend.body["messages"]
    assert sent[-1]["content"][-1]["image_url"].pop("detail") == "low"
    assert again == sent
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "tool", "assistant", "user"]


def test_a_system_prompt(call_chat: ChatCaller) -> None:
    """A system prompt is sent first, merged with the system message of the history."""
    backend = ScriptedBackend(by=reply_to)
    call_chat("Hi", on=backend.on, system="Be brief.")
    assert backend.body["messages"][0] == {"role": "system", "content": "Be brief."}
    call_chat([Message.system("Be kind."), "Hi"], on=backend.on, system="Be brief.")
    assert [m["role"] for m in backend.body["messages"]] == ["system", "user"]
    assert backend.body["messages"][0]["content"] == "Be brief.\nBe kind."


def array() -> Any:
    """Return an image as a NumPy array."""
    return numpy.zeros((2, 2, 3), "uint8")


WRONG_IMAGES: dict[str, tuple[Any, str]] = {
    "name": ("photo.jpg", "images=[Image.from_path('photo.jpg')]"),
    "names": (["photo.jpg"], "Image.from_path('photo.jpg')"),
    "url": (["https://a.b/c.png"], "Image.from_url('https://a.b/c.png')"),
    "data": (["data:image/png;base64,AA=="], "Image.from_data_url("),
    "path": (Path("a.png"), "images=[Image.from_path('a.png')]"),
    "paths": ([Path("a.png")], "Image.from_path('a.png')"),
    "bytes": (b"123", "images=[Image.from_bytes("),
    "list of bytes": ([b"123"], "Image.from_bytes("),
    "pil": ([PIL.Image.new("RGB", (2, 2))], "Image.from_pil(images[0])"),
    "bare pil": (PIL.Image.new("RGB", (2, 2)), "Image.from_pil("),
    "numpy": ([array()], "Image.from_array(images[0])"),
    "bare numpy": (array(), "images=[Image.from_array("),
    "file": ([io.BytesIO(b"1")], "Image.from_bytes(images[0].read())"),
    "none": (None, "images is None"),
    "nones": ([PHOTO, None], "images[1] is None; expected an Image"),
    "bare image": (PHOTO, "images=[image]"),
    "number": (5, "images is an int; expected a list"),
}


@pytest.mark.parametrize("way", WRONG_IMAGES)
def test_an_invalid_image_suggests_the_right_call(call_chat: ChatCaller, way: str) -> None:
    """A value of the wrong type in `images` raises an error that quotes the right call."""
    backend = ScriptedBackend(by=reply_to)
    given, expected = WRONG_IMAGES[way]
    with pytest.raises(RequestError) as caught:
        call_chat("What is it?", on=backend.on, images=given)
    assert expected in str(caught.value)
    assert backend.requests == []


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (PHOTO, "Pass images=[image] beside the prompt"),
        (["What is it?", PHOTO], "Pass images=[image] beside the prompt"),
        (["What is it?", Path("a.png")], "Image.from_path('a.png')"),
        (b"1", "Image.from_bytes("),
        (("user", "Hi"), "Use {'role': 'user', 'content': ...}"),
        ([("system", "Hi")], "Use {'role': 'system', 'content': ...}"),
        ([{"role": "robot", "content": "Hi"}], "Roles are system"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "'input_audio'"),
        ([{"role": "user", "content": 5}], "is an int"),
        ([], "no messages"),
        (None, "The prompt is None"),
    ],
)
def test_an_invalid_prompt_suggests_the_right_call(
    call_chat: ChatCaller, prompt: Any, expected: str
) -> None:
    """An invalid prompt raises an error that quotes the right call, and nothing is sent."""
    backend = ScriptedBackend(by=reply_to)
    with pytest.raises((RequestError, InvalidImageError)) as caught:
        call_chat(prompt, on=backend.on)
    assert expected in str(caught.value)
    assert backend.requests == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"tools": [{"type": "function"}]}, r"tools\[0\] is a dict; .* Use Tool\("),
        ({"response_format": {"type": "json_object"}}, r"JSONSchema\(.* 'json_object'"),
        ({"image_config": "16:9"}, "image_config is '16:9'; expected a dict"),
    ],
)
def test_options_of_a_wrong_type_suggest_the_right_one(
    call_chat: ChatCaller, options: Any, expected: str
) -> None:
    """Options in the form of other packages raise an error that names the right type."""
    backend = ScriptedBackend(by=reply_to)
    with pytest.raises(RequestError, match=expected):
        call_chat("Hi", on=backend.on, **options)
    assert backend.requests == []


@pytest.mark.parametrize(
    ("key", "near"), [("aspect_ration", "aspect_ratio"), ("size", "image_size"), ("zz", "valid")]
)
def test_a_misspelt_key_of_image_config_suggests_the_nearest(
    call_chat: ChatCaller, key: str, near: str
) -> None:
    """A misspelt key of `image_config`, which gateways would ignore, suggests the nearest valid
    one.
    """
    backend = ScriptedBackend(by=reply_to)
    with pytest.raises(TypeError, match=rf"unknown key {key!r} in image_config; .*{near}"):
        call_chat("Hi", on=backend.on, image_config={key: "1K"})
    assert backend.requests == []


# ---- `image()`


def order(mode: str, on: dict[str, Any], *words: Any, **options: Any) -> list[Image]:
    """Return the images that `image` generates, sync or async."""
    if mode == "sync":
        with Emby(**on) as emby:
            return emby.image(*words, **options)

    async def ordered() -> list[Image]:
        async with AsyncEmby(**on) as emby:
            return await emby.image(*words, **options)

    return asyncio.run(ordered())


ORDERS = pytest.mark.parametrize("mode", ["sync", "async"])


def caching() -> ScriptedBackend:
    """A gateway with a cache like that of the older states: keyed by messages and sampling
    options.
    """
    kept: dict[str, bytes] = {}
    hues = count(0, 30)

    def by(request: Any) -> BackendResponse:
        body = json.loads(request.body)
        key = json.dumps([body["model"], body["messages"], body.get("temperature")])
        return answer(completion("", kept.setdefault(key, picture(f"hsl({next(hues)}, 90%, 50%)"))))

    return ScriptedBackend(by=by)


@ORDERS
def test_image_sends_its_options(mode: str) -> None:
    """`image` sends ratio and size in `image_config`, images to edit in the message, and no
    stream.
    """
    backend = caching()
    (image,) = order(
        mode, backend.on, "A fox", images=[PHOTO], aspect_ratio="16:9", size="2K", seed=5
    )
    assert image.media_type == "image/png"
    assert image.provenance
    assert image.provenance.prompt == "A fox"
    body = backend.body
    assert body["image_config"] == {"aspect_ratio": "16:9", "image_size": "2K"}
    assert body["seed"] == 5
    assert body["messages"][-1]["content"][1]["image_url"]["url"] == PHOTO.data_url
    assert "stream" not in body
    assert body["messages"][0] == {"role": "system", "content": IMAGE_INSTRUCTION}
    for system in ("Paint.", ""):
        order(mode, backend.on, "A fox", system=system)
        roles = [message["role"] for message in backend.body["messages"]]
        assert roles == (["system", "user"] if system else ["user"])


@ORDERS
def test_generated_images_are_fresh(mode: str) -> None:
    """Images are never served from a cache: the prompts differ by white space only."""
    backend = caching()
    first = order(mode, backend.on, "A fox", n=4)
    second = order(mode, backend.on, "A fox", aspect_ratio="1:1")
    assert len({image.sha256 for image in first + second}) == 5
    for request in backend.requests:
        assert request.headers["x-no-cache"] == "true"
        assert json.loads(request.body)["messages"][1]["content"].strip() == "A fox"


@ORDERS
@pytest.mark.parametrize(
    ("config", "seeds"), [({}, [0, 1, 2]), ({"seed": 9}, [9, 9, 9]), (None, [0, 1, 2])]
)
def test_each_image_of_an_order_has_a_seed_of_its_own(
    mode: str, config: dict[str, int] | None, seeds: list[int]
) -> None:
    """Each image of an order is requested with a seed of its own, unless a seed is given."""
    backend = caching()
    order(mode, backend.on, "A fox", n=3, image_config=config)
    sent = [json.loads(request.body)["image_config"] for request in backend.requests]
    assert sorted(config["seed"] for config in sent) == seeds
    order(mode, backend.on, "A fox")
    assert "image_config" not in backend.body


@ORDERS
def test_identical_images_from_a_cache_are_reported(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With `fresh=False` images may come from a cache, and a warning counts identical ones."""
    backend = caching()
    images = order(mode, backend.on, "A fox", n=3, fresh=False)
    assert len({image.sha256 for image in images}) == 1
    assert "2 of 3 images are identical" in caplog.text
    assert "x-no-cache" not in backend.requests[0].headers
    assert json.loads(backend.requests[0].body)["messages"][1]["content"] == "A fox"


@ORDERS
def test_iterators_are_read_once(mode: str) -> None:
    """Prompt and images given as iterators are consumed once and sent with each of the calls."""
    backend = caching()
    order(mode, backend.on, iter(["A fox"]), images=iter([PHOTO]), n=3)
    assert [len(json.loads(r.body)["messages"][1]["content"]) for r in backend.requests] == [2] * 3


@ORDERS
def test_images_of_other_calls_are_in_the_error(mode: str) -> None:
    """If one of several calls fails, the images of the others are in `partial`."""
    answers = [answer(completion("", picture("red"))), answer({"error": "No"}, status=400)]
    answers += [answer(completion("", picture("blue"))), answer(completion("I can't."))]
    backend = ScriptedBackend(*answers)
    with pytest.raises((BadRequestError, MissingImageError)) as caught:
        order(mode, backend.on, "A fox", n=4)
    assert caught.value.partial is not None
    found = {image.data for image in caught.value.partial.images}
    assert found == {picture("red"), picture("blue")}


@ORDERS
def test_a_missing_image_quotes_the_reply(mode: str) -> None:
    """A reply without an image raises an error with the model's text; an invalid `n` is refused."""
    backend = ScriptedBackend(completion("I can't draw that."))
    with pytest.raises(MissingImageError, match="I can't draw that"):
        order(mode, backend.on, "A fox")
    for n in (0, -1, "2", 1.5):
        with pytest.raises(RequestError, match="expected the number of images"):
            order(mode, backend.on, "A fox", n=n)
    assert len(backend.requests) == 1


def test_a_fresh_chat_varies_the_last_text_of_the_user(call_chat: ChatCaller) -> None:
    """A fresh chat varies the last text of the user, differently in each call, and nothing else."""
    backend = ScriptedBackend(by=reply_to)
    history = ["A fox", Message.assistant("Here"), Message.user("Bigger", PHOTO)]
    for _ in range(2):
        call_chat(history, on=backend.on, fresh=True)
    first, second = (json.loads(request.body)["messages"] for request in backend.requests)
    assert first[:2] == second[:2]
    assert first[2] != second[2]
    assert first[2]["content"][0]["text"].strip() == "Bigger"
    assert first[2]["content"][1:] == second[2]["content"][1:]
    with suppress(EmbyError):
        call_chat([Message.user(PHOTO)], on=backend.on, fresh=True)
    assert len(backend.body["messages"][0]["content"]) == 1


def test_deltas_of_a_stopped_stream_are_never_empty() -> None:
    """A stream that ends at a stop sequence emits no empty delta."""
    backend = ScriptedBackend(answer(sse(*map(chunk, PIECES), chunk(finish="stop"))))
    with Emby(**backend.on) as emby, emby.stream("Hi", stop="END") as stream:
        results = [event.text for event in stream if isinstance(event, TextDelta)]
    assert results == ["One, t", "wo. "]
