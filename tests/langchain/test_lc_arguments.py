"""Arguments of a call: each has its place, and no secret is sent in a body."""

import inspect
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_core.tools import tool
from lc_support import PNG, Script, merged

from emby_plugins import ConfigurationError, EmbyError, RequestError
from langchain_emby import ChatEmby, EmbyImageTool, _arguments as arguments, images_of

SECRET = "sk-very-secret-indeed"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "langchain.md"

# The arguments of ChatOpenRouter's calls, from langchain-openrouter 0.2.
OPENROUTER = {
    *("app_categories", "app_title", "app_url", "max_completion_tokens", "max_retries"),
    *("max_tokens", "model", "model_kwargs", "model_name", "n", "openrouter_api_base"),
    *("openrouter_api_key", "openrouter_provider", "plugins", "presence_penalty", "provider"),
    *("frequency_penalty", "reasoning", "request_timeout", "route", "seed", "session_id", "stop"),
    *("stream", "stream_usage", "streaming", "temperature", "timeout", "top_p", "trace"),
}


def openai_arguments() -> set[str]:
    """Return the arguments of ChatOpenAI's calls and constructor, and of both of OpenAI's APIs."""
    from langchain_openai import ChatOpenAI
    from openai.resources.chat.completions import Completions
    from openai.resources.responses import Responses

    fields = ChatOpenAI.model_fields
    return {
        *inspect.signature(Completions.create).parameters,
        *inspect.signature(Responses.create).parameters,
        *fields,
        *(field.alias for field in fields.values() if field.alias),
    } - {"self"}


def known() -> set[str]:
    """Return every argument in our tables."""
    tables = (arguments.CORE_OPTIONS, arguments.CALL_SETTINGS, arguments.CONVERTED)
    return {*arguments.BODY_FIELDS, *arguments.TRACED, *arguments.REFUSED}.union(*tables)


def test_every_argument_of_the_peers_is_known() -> None:
    """Every argument of ChatOpenAI's and ChatOpenRouter's calls is in one of our tables."""
    assert openai_arguments() | OPENROUTER <= known()


def test_the_tables_do_not_overlap() -> None:
    """Each argument is in one table only."""
    tables = (
        arguments.CORE_OPTIONS,
        arguments.CALL_SETTINGS,
        arguments.CONVERTED,
        arguments.BODY_FIELDS,
        arguments.TRACED,
        arguments.REFUSED,
    )
    assert sum(map(len, tables)) == len(known())


def test_every_argument_is_on_the_page() -> None:
    """The table in the docs lists each argument."""
    page = PAGE.read_text("utf-8")
    assert sorted(name for name in known() if f"`{name}`" not in page) == []


# Values that the recorded request schemas accept, for the fields that they know.
VALUES: dict[str, Any] = {
    **dict.fromkeys(("free_models_only", "no_reasoning"), True),
    "sensitive_word_check": {"status": "ENABLE"},
    **dict.fromkeys(("onboarding", "web_search"), True),
    "effort": "low",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning": {"effort": "low"},
    "routing": "price",
    "service_tier": "auto",
    "verbosity": "low",
}


@pytest.mark.parametrize("name", sorted(arguments.BODY_FIELDS))
def test_request_fields_are_sent_in_the_body(name: str) -> None:
    """A field of the gateways is sent unchanged, from the call and from the constructor."""
    script, value = Script("Fine."), VALUES.get(name, "value")
    script.chat().invoke("Hi", **{name: value})
    assert script.sent[name] == value
    script.chat(**{name: value}).invoke("Hi")
    assert script.sent[name] == value


# Parameters of `invoke`, or arguments that LangChain removes from the call.
PYTHON_NAMES = {"callbacks", "input", "messages", "metadata", "name", "tags"}


@pytest.mark.parametrize("name", sorted(arguments.REFUSED))
async def test_refused_arguments_raise(name: str) -> None:
    """A refused argument raises an error that does not show its value, and nothing is sent."""
    script = Script("Fine.")
    chat = script.chat()
    calls = [
        lambda: chat.invoke("Hi", **{name: SECRET}),
        lambda: list(chat.stream("Hi", **{name: SECRET})),
    ]
    for call in calls if name not in PYTHON_NAMES else ():
        with pytest.raises(EmbyError, match=name) as caught:
            call()
        assert SECRET not in str(caught.value)
    with pytest.raises(EmbyError, match=name):
        chat._request([], None, {name: SECRET})
    assert script.requests == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"timeuot": 1}, "Did you mean 'timeout'"),
        ({"max_retires": 1}, "Did you mean 'max_retries'"),
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"image_confg": {}}, "Did you mean 'image_config'"),
        ({"colour": 1}, "extra_body"),
        ({"apikey": SECRET}, "as api_key"),
        ({"authorization": SECRET}, "as api_key"),
        ({"extra_headers": {"Authorization": SECRET}}, "carries a key"),
        ({"headers": {"X-Api-Key": SECRET}}, "carries a key"),
        ({"extra_body": {"api_key": SECRET}}, "credential"),
        ({"model_kwargs": {"api_key": SECRET}}, "credential"),
        ({"n": 2}, "n must be 1"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_wrong_arguments_raise_before_anything_is_sent(wrong: dict[str, Any], says: str) -> None:
    """A wrong argument raises an error with the right one, and no key is sent in a body."""
    script = Script("Fine.")
    for call in (script.chat().invoke, lambda x, **k: list(script.chat().stream(x, **k))):
        with pytest.raises((RequestError, ConfigurationError), match=says) as caught:
            call("Hi", **wrong)
        assert SECRET not in str(caught.value)
    assert script.requests == []


def test_headers_and_metadata_of_a_call_are_added() -> None:
    """Headers, metadata and source of a call extend those of the constructor for this call only."""
    script = Script("Fine.")
    chat = script.chat(default_headers={"X-Team": "a", "X-Old": "1"}, emby_metadata={"t": "a"})
    plain = {"x-team": "a", "x-old": "1", "x-emby-t": "a", "x-emby-u": None, "x-source": None}
    called = {
        "x-team": "b",
        "x-old": "1",
        "x-emby-t": "a",
        "x-emby-u": "b",
        "x-source": "b.example",
    }
    for call in (chat.invoke, lambda x, **k: list(chat.stream(x, **k))):
        call("Hi", extra_headers={"X-Team": "b"}, emby_metadata={"u": "b"}, source="b.example")
        sent = script.requests[-1].headers
        assert {name: sent.get(name) for name in called} == called
        assert script.sent.keys() <= {"model", "messages", "stream"}
        call("Hi")
        assert {name: script.requests[-1].headers.get(name) for name in plain} == plain


def test_default_headers_are_a_setting_and_hold_no_credentials() -> None:
    """Default headers survive copies, and those that carry a key are refused by name."""
    chat = ChatEmby(base_url="mock:", default_headers={"X-Team": "a"})
    assert chat.model_copy().default_headers == {"X-Team": "a"}
    for name in ("Authorization", "x-api-key", "Cookie", "X-Auth-Token"):
        with pytest.raises(ValueError, match=name) as caught:
            ChatEmby(base_url="mock:", default_headers={name: SECRET})
        assert SECRET not in str(caught.value)


def test_the_options_of_a_call_override_the_constructor_s() -> None:
    """Options of a call override the constructor's, also under the names of other chat models."""
    script = Script("Fine.")
    chat = script.chat(max_tokens=5, seed=1, extra_body={"a": 1})
    chat.invoke("Hi", max_completion_tokens=7, seed=2, extra_body={"b": 2}, n=1)
    sent = {name: script.sent[name] for name in script.sent if name != "messages"}
    assert sent == {"model": "qwen2.5-vision", "max_tokens": 7, "seed": 2, "a": 1, "b": 2}
    chat.invoke("Hi", model_name="glm-vision", max_tokens=6)
    assert (script.sent["model"], script.sent["max_tokens"]) == ("glm-vision", 6)


def test_a_timeout_applies_to_one_call() -> None:
    """Two concurrent calls of one model each have their own timeout."""
    body = {"choices": [{"message": {"content": "Fine."}, "finish_reason": "stop"}]}
    together = threading.Barrier(2, timeout=10)
    seen: dict[str, float] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        together.wait()
        text = json.loads(request.content)["messages"][0]["content"]
        seen[text] = request.extensions["timeout"]["read"]
        return httpx.Response(200, json=body)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        chat = ChatEmby(
            base_url="https://x.example/v1", api_key=SECRET, http_client=client, timeout=30
        )
        calls = {"short": {"timeout": 5}, "long": {}}
        threads = [
            threading.Thread(target=chat.invoke, args=(text,), kwargs=options)
            for text, options in calls.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=10)
    assert {text: round(seconds) for text, seconds in seen.items()} == {"short": 5, "long": 30}


@pytest.mark.parametrize(("text", "sequence"), [("One. Two.", "Two"), ("One. ", None)])
@pytest.mark.parametrize("stream", [False, True])
def test_stop_is_sent_and_applied(text: str, sequence: str | None, stream: bool) -> None:
    """Stop sequences are sent and applied here, and the metadata has the one that was found."""
    script = Script(text)
    chat = script.chat()
    call = chat.invoke if not stream else lambda *a, **k: merged(chat.stream(*a, **k))
    message = call("Hi", stop=["Two", "Three"])
    assert script.sent["stop"] == ["Two", "Three"]
    assert message.text == "One. "
    assert message.response_metadata.get("stop_sequence") == sequence
    assert script.chat(stop="END").invoke("Hi").response_metadata.get("stop_sequence") is None
    assert script.sent["stop"] == ["END"]


def test_bind_and_configure() -> None:
    """`bind`, `with_config`, `configurable_fields` and fallbacks accept the same arguments."""
    script = Script("Fine.")
    chat = script.chat()
    chat.bind(extra_headers={"X-Team": "b"}, seed=3).with_config(tags=["t"]).invoke("Hi")
    assert script.requests[-1].headers["x-team"] == "b"
    assert script.sent["seed"] == 3
    fields = {"temperature": ConfigurableField(id="t"), "max_retries": ConfigurableField(id="r")}
    configured = chat.configurable_fields(**fields)
    configured.invoke("Hi", config={"configurable": {"t": 0.3, "r": 0}})
    assert script.sent["temperature"] == 0.3
    failing = Script(status=400, error={"message": "No"}).chat()
    backup = failing.with_fallbacks([chat])
    assert backup.invoke("Hi", stop=["x"]).text == "Fine."
    named = chat.configurable_alternatives(ConfigurableField(id="m"), other=RunnableLambda(str))
    assert named.invoke("Hi", timeout=5).text == "Fine."


def test_agents_pass_their_own_arguments() -> None:
    """Arguments that LangChain's agents add are accepted, also for the image tool."""

    @tool
    def now() -> str:
        """Return the time."""
        return "12:00"

    script = Script("Fine.", (PNG,))
    bound = script.chat().bind_tools([now], parallel_tool_calls=False, timeout=5)
    bound.invoke("Hi", ls_structured_output_format={"schema": {}}, stream_usage=False)
    assert script.sent["parallel_tool_calls"] is False
    assert not {"timeout", "ls_structured_output_format", "stream_usage"} & script.sent.keys()
    image_tool = EmbyImageTool(base_url="script:", plugins=[script], default_headers={"X-T": "a"})
    call = {"type": "tool_call", "id": "1", "name": image_tool.name, "args": {"prompt": "a fox"}}
    assert images_of(image_tool.invoke(call))
    assert script.requests[-1].headers["x-t"] == "a"
    assert SECRET not in json.dumps(script.sent)
