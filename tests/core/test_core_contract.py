"""One contract in four modes: sync and async, streamed and not, send and return the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support import (
    MODES,
    ChatCaller,
    ScriptedBackend,
    answer,
    as_asked,
    chunk,
    completion,
    photo,
    picture,
    sse,
)

from emby_plugins import (
    AuthenticationError,
    BackendResponse,
    BadRequestError,
    ChatReply,
    EmbyError,
    Image,
    ImageCountError,
    InvalidImageError,
    JSONSchema,
    Limits,
    MalformedReplyError,
    Message,
    ModelNotFoundError,
    RateLimitError,
    ReplyTooLargeError,
    RequestError,
    ServerError,
    TextDelta,
    Tool,
    ToolCallDelta,
    TruncatedReplyError,
    UnreadableInputImageError,
    hookimpl,
)
from emby_plugins.mock import MockBackend

MOCK = {"base_url": "mock:"}
RED, BLUE = picture("red"), picture("blue")
WEATHER = Tool(
    "get_weather",
    "The weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
SHAPE = JSONSchema(
    {
        "type": "object",
        "properties": {"subject": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["subject", "count"],
        "additionalProperties": False,
    }
)
ROCKET = Image.from_path(photo("rocket.jpg"))
TINY = Image.from_path(photo("no_time_for_that_tiny.gif"))


# ---- the same conversation


def describe(call_chat: ChatCaller) -> ChatReply:
    """Describe a real photograph."""
    return call_chat("What is shown in this image?", on=MOCK, images=[ROCKET])


def compare(call_chat: ChatCaller) -> ChatReply:
    """Compare two images, one of them with a `detail`."""
    return call_chat(Message.user("Compare:", ROCKET, "with", TINY), on=MOCK)


def paint(call_chat: ChatCaller) -> ChatReply:
    """Generate an image."""
    return call_chat("Generate an image of a puppy in a meadow", on=MOCK)


def paint_two(call_chat: ChatCaller) -> ChatReply:
    """Generate two images."""
    return call_chat("Generate two images of a puppy in a meadow", on=MOCK)


def edit(call_chat: ChatCaller) -> ChatReply:
    """Edit a generated image in a second turn."""
    first = paint(call_chat)
    history = [Message.user("Generate an image of a puppy"), first.message]
    return call_chat([*history, Message.user("Make it grayscale")], on=MOCK)


def reason(call_chat: ChatCaller) -> ChatReply:
    """Get an answer with reasoning."""
    return call_chat("How many legs has a dog?", on=MOCK, reasoning_effort="high")


def call_a_tool(call_chat: ChatCaller) -> ChatReply:
    """Get a tool call."""
    return call_chat("What is the weather in Paris?", on=MOCK, tools=[WEATHER])


def fill_a_schema(call_chat: ChatCaller) -> ChatReply:
    """Get an answer that matches a schema."""
    return call_chat("Describe a dog", on=MOCK, response_format=SHAPE)


CONVERSATIONS = (describe, compare, paint, paint_two, edit, reason, call_a_tool, fill_a_schema)


@pytest.fixture(scope="module")
def expected() -> dict[str, ChatReply]:
    """Return the replies of all conversations in mode "sync"."""
    return {c.__name__: c(ChatCaller("sync")) for c in CONVERSATIONS}


@pytest.mark.parametrize("converse", CONVERSATIONS)
@pytest.mark.parametrize("mode", MODES)
def test_the_same_conversation_gives_equal_replies(
    converse: Callable[[ChatCaller], ChatReply], mode: str, expected: dict[str, ChatReply]
) -> None:
    """All four modes return equal replies, apart from metadata, which no stream has."""
    reply = converse(ChatCaller(mode))
    whole = expected[converse.__name__]
    assert replace(reply, metadata=whole.metadata) == whole
    assert reply.request_id
    assert reply.usage
    assert reply.finish_reason in {"stop", "tool_calls"}


def test_the_conversations_contain_every_kind_of_output(expected: dict[str, ChatReply]) -> None:
    """The conversations contain text, images, reasoning, a tool call and JSON."""
    assert expected["describe"].text
    assert len(expected["paint"].images) == 1
    assert len(expected["paint_two"].images) == 2
    assert expected["paint_two"].images[0] != expected["paint_two"].images[1]
    edited, painted = expected["edit"].image, expected["paint"].image
    assert edited != painted
    red, green, blue = edited.to_pil().convert("RGB").split()
    assert red.tobytes() == green.tobytes() == blue.tobytes()
    assert expected["reason"].reasoning
    assert expected["call_a_tool"].tool_calls[0].args.keys() == {"city"}
    assert json.loads(expected["fill_a_schema"].text).keys() == {"subject", "count"}


def test_a_generated_image_is_valid_input(call_chat: ChatCaller) -> None:
    """A generated image has its provenance and can be sent back as input."""
    painted = paint(call_chat).image
    assert painted.provenance
    assert painted.provenance.prompt == "Generate an image of a puppy in a meadow"
    assert call_chat("What is shown here?", on=MOCK, images=[painted]).text


# ---- what is sent


def test_a_call_sends_the_expected_request(call_chat: ChatCaller) -> None:
    """A call sends one request with the expected headers and body."""
    backend = ScriptedBackend(by=as_asked(completion(), sse(chunk("Hello.", finish="stop"))))
    on = backend.on | {
        "api_key": " sk-1 ",
        "metadata": {"tenant_id": "acme"},
        "source": "example.com",
    }
    assert call_chat("Hi", on=on, model="qwen2.5-vl", temperature=0.5).text == "Hello."
    (request,) = backend.requests
    assert (request.method, request.path) == ("POST", "/chat/completions")
    headers = dict(request.headers)
    assert headers["user-agent"].startswith("emby-plugins/")
    sent = {
        "authorization": "Bearer sk-1",
        "x-emby-tenant-id": "acme",
        "x-source": "example.com",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "accept": "text/event-stream" if call_chat.is_stream else "application/json",
    }
    assert {name: headers[name] for name in sent} == sent
    body = {
        "model": "qwen2.5-vl",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
    }
    assert backend.body == body | ({"stream": True} if call_chat.is_stream else {})


def test_without_a_key_no_authorization_is_sent(call_chat: ChatCaller) -> None:
    """A client without a key sends neither an authorization header nor metadata."""
    backend = ScriptedBackend(completion())
    call_chat("Hi", on=backend.on)
    headers = backend.requests[0].headers
    assert "authorization" not in headers
    assert not [name for name in headers if name.startswith(("x-emby", "x-source"))]


def test_the_environment_sets_key_and_base_url(
    call_chat: ChatCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`EMBY_API_KEY` and `EMBY_BASE_URL` are the defaults, and arguments override them."""
    backend = ScriptedBackend(completion())
    monkeypatch.setenv("EMBY_API_KEY", "sk-env\n")
    monkeypatch.setenv("EMBY_BASE_URL", "test:/")
    call_chat("Hi", on={"plugins": [backend]})
    call_chat("Hi", on={"plugins": [backend], "api_key": "sk-given"})
    call_chat("Hi", on={"plugins": [backend], "api_key": ""})
    sent = [request.headers.get("authorization") for request in backend.requests]
    assert sent == ["Bearer sk-env", "Bearer sk-given", None]


def test_two_images_arrive_as_the_very_bytes_sent(call_chat: ChatCaller) -> None:
    """The two images of a reply are returned in order and unchanged, in any format."""
    rocket = ROCKET.data
    backend = ScriptedBackend(
        by=as_asked(
            completion("Here:", rocket, b"\0not an image"),
            sse(
                chunk("Here:"),
                chunk(None, rocket),
                chunk(None, b"\0not an image"),
                chunk(finish="stop"),
            ),
        )
    )
    reply = call_chat("Two, please", on=backend.on)
    assert [image.data for image in reply.images] == [rocket, b"\0not an image"]
    with pytest.raises(ImageCountError, match="exactly one image, got 2") as caught:
        _ = reply.image
    assert caught.value.partial == reply


def test_a_photograph_is_sent_to_the_byte(call_chat: ChatCaller) -> None:
    """A photograph is sent as the exact bytes of its file."""
    backend = ScriptedBackend(completion())
    call_chat("?", on=backend.on, images=[ROCKET])
    assert backend.body["messages"][0]["content"][1]["image_url"] == {"url": ROCKET.data_url}


def test_a_reply_of_the_other_form_is_accepted(call_chat: ChatCaller) -> None:
    """JSON instead of a stream and a stream instead of JSON are both accepted."""
    assert call_chat("Hi", on=ScriptedBackend(completion("Hi", RED)).on).image.data == RED
    stream = sse(chunk("Hi"), chunk(None, RED), chunk(finish="stop"))
    assert call_chat("Hi", on=ScriptedBackend(stream).on).image.data == RED


def test_the_events_of_a_stream_come_in_order() -> None:
    """Text and tool calls are emitted in order, in the pieces that arrived."""
    call_chat = ChatCaller("sync-stream")
    tool_call = chunk(delta={"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f"}}]})
    call_chat(
        "Hi", on=ScriptedBackend(sse(chunk("a"), chunk("b"), tool_call, chunk(finish="stop"))).on
    )
    assert call_chat.events[:3] == [TextDelta("a"), TextDelta("b"), ToolCallDelta(0, "t", "f", "")]


# ---- errors


def failure(
    call_chat: ChatCaller, kind: type[EmbyError], prompt: Any = "Hi", **options: Any
) -> EmbyError:
    """Return the error of a call after checking its exact class and the punctuation of its text."""
    with pytest.raises(kind) as caught:
        call_chat(prompt, **options)
    assert type(caught.value) is kind
    assert caught.value.message.endswith((".", "!", "?"))
    assert caught.value.hint == "" or caught.value.hint.endswith((".", "?"))
    assert str(caught.value).startswith(f"{caught.value.message} {caught.value.hint}".strip())
    return caught.value


class Guarded:
    """A plugin that protects the mock backend with the key `right`."""

    @hookimpl
    def emby_backend(self, url: str) -> MockBackend | None:
        """Return the backend of `guarded:`."""
        return MockBackend(key="right") if url == "guarded:" else None


def test_a_wrong_key(call_chat: ChatCaller) -> None:
    """A wrong key raises AuthenticationError with a hint, and the error shows neither key."""
    on = {"base_url": "guarded:", "plugins": [Guarded()]}
    error = failure(call_chat, AuthenticationError, on=on | {"api_key": "wrong-123"})
    assert "EMBY_API_KEY" in error.hint
    assert "wrong-123" not in repr([vars(error), error.args])
    failure(call_chat, AuthenticationError, on=on)
    assert call_chat("Hi", on=on | {"api_key": "right"}).text


def test_an_unknown_model(call_chat: ChatCaller) -> None:
    """An unknown model raises ModelNotFoundError with its name and a hint on listing models."""
    error = failure(call_chat, ModelNotFoundError, on=MOCK, model="gpt-9")
    assert "gpt-9" in error.message
    assert "models()" in error.hint


def test_a_text_only_model_sent_an_image(call_chat: ChatCaller) -> None:
    """A text-only model that gets an image raises an error that suggests models with vision."""
    error = failure(call_chat, BadRequestError, on=MOCK, model="emby-mock-text", images=[TINY])
    assert "qwen2.5-vision" in error.hint


def test_an_image_that_the_gateway_can_not_decode(call_chat: ChatCaller) -> None:
    """An image the gateway can't decode, such as half a photograph, raises a specific error."""
    half = Image.from_bytes(ROCKET.data[:5_000])
    error = failure(call_chat, UnreadableInputImageError, on=MOCK, images=[half])
    assert "PNG, WebP or GIF" in error.hint


def test_an_image_that_can_not_be_sent_sends_nothing(call_chat: ChatCaller) -> None:
    """Images that are invalid or too large, and unknown options, are refused before anything is
    sent.
    """
    backend = ScriptedBackend(completion())
    failure(call_chat, InvalidImageError, on=backend.on, images=[Image(picture(format="BMP")[:60])])
    small = backend.on | {"limits": Limits(request_image=10)}
    failure(call_chat, InvalidImageError, on=small, images=[TINY])
    failure(call_chat, RequestError, on=backend.on, extra_body={"a": object()})
    with pytest.raises(TypeError, match="unknown option 'temprature'"):
        call_chat("Hi", on=backend.on, temprature=1)
    assert backend.requests == []


def test_a_reply_without_choices(call_chat: ChatCaller) -> None:
    """A reply without choices is malformed, and not retried, since it may have been paid for."""
    backend = ScriptedBackend({"object": "chat.completion", "choices": []})
    failure(call_chat, MalformedReplyError, on=backend.on)
    assert len(backend.requests) == 1


def test_a_truncated_stream_loses_nothing(call_chat: ChatCaller) -> None:
    """The error of a truncated stream has the text and images that arrived, and nothing is
    resent.
    """
    backend = ScriptedBackend(sse(chunk("Here:"), chunk(None, RED), chunk("and")))
    error = failure(call_chat, TruncatedReplyError, on=backend.on)
    assert error.partial
    assert (error.partial.text, error.partial.image.data) == ("Here:and", RED)
    assert len(backend.requests) == 1


def test_an_error_in_mid_stream_loses_nothing(call_chat: ChatCaller) -> None:
    """The error of a failure in mid-stream has the partial reply, and the paid request is not
    resent.
    """
    broken = b'event: error\ndata: {"error": {"message": "No", "type": "rate_limit_error"}}\n\n'
    answers = answer(sse(chunk("Here:"), chunk(None, RED), broken), headers={"x-request-id": "r-7"})
    backend = ScriptedBackend(answers)
    error = failure(call_chat, RateLimitError, on=backend.on)
    assert error.partial
    assert error.partial.image.data == RED
    assert error.request_id == error.partial.request_id == "r-7"
    assert len(backend.requests) == 1


def test_a_reply_over_a_limit_keeps_the_rest(call_chat: ChatCaller) -> None:
    """A reply with more images than the limit raises an error that keeps the text and first
    image.
    """
    backend = ScriptedBackend(completion("Here:", RED, BLUE))
    error = failure(call_chat, ReplyTooLargeError, on=backend.on | {"limits": Limits(images=1)})
    assert error.partial
    assert error.partial.image.data == RED


# ---- retries


def refusal(status: int, message: str = "No.", **headers: str) -> BackendResponse:
    """Return an error response; underscores in header names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer({"error": {"message": message}}, status=status, headers=named)


@pytest.mark.parametrize("status", [429, 502, 503, 504, 529])
@pytest.mark.parametrize("headers", [{}, {"retry_after": "1"}, {"retry_after": "0"}])
def test_a_temporary_failure_is_retried(
    call_chat: ChatCaller, status: int, headers: dict[str, str]
) -> None:
    """A temporary failure is retried with the same request until it succeeds."""
    backend = ScriptedBackend(refusal(status, **headers), refusal(status), answer(completion("Hi")))
    assert call_chat("Hi", on=backend.on).text == "Hi"
    assert len({request.body for request in backend.requests}) == 1
    assert len(backend.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 500, 501, 307])
def test_other_failures_are_not_retried(call_chat: ChatCaller, status: int) -> None:
    """Other failures are not retried, since they are permanent or may have been paid for."""
    backend = ScriptedBackend(refusal(status))
    with pytest.raises(EmbyError) as caught:
        call_chat("Hi", on=backend.on)
    assert getattr(caught.value, "status", None) == status
    assert len(backend.requests) == 1


@pytest.mark.parametrize(("tries", "requests"), [(0, 1), (1, 2), (4, 5)])
def test_max_retries_limits_the_requests(call_chat: ChatCaller, tries: int, requests: int) -> None:
    """After `max_retries` retries the last error is raised with its hint."""
    backend = ScriptedBackend(refusal(429))
    error = failure(call_chat, RateLimitError, on=backend.on | {"max_retries": tries})
    assert len(backend.requests) == requests
    assert error.hint == "Wait, then retry."


@pytest.mark.parametrize("wait", ["60", "3600"])
def test_a_long_retry_after_is_left_to_the_caller(call_chat: ChatCaller, wait: str) -> None:
    """A long `Retry-After` is not waited for, and the hint quotes it."""
    backend = ScriptedBackend(refusal(429, retry_after=wait))
    error = failure(call_chat, RateLimitError, on=backend.on)
    assert len(backend.requests) == 1
    assert error.hint == f"Retry after {wait} seconds."


def test_a_wait_beyond_the_deadline_is_not_started(call_chat: ChatCaller) -> None:
    """A wait that would exceed the deadline of all attempts is not started."""
    backend = ScriptedBackend(refusal(429, retry_after="30"))
    failure(call_chat, RateLimitError, on=backend.on | {"deadline": 20})
    assert len(backend.requests) == 1


def test_a_long_error_page_keeps_its_status(call_chat: ChatCaller) -> None:
    """An error page of any length raises the error of its status, with a shortened message."""
    page = answer({}, status=500, headers={"content-type": "text/html"})
    page = BackendResponse(500, page.headers, iter([b"<html>" + b"x" * 60_000] * 3))
    backend = ScriptedBackend(page)
    error = failure(call_chat, ServerError, on=backend.on)
    assert "<html>" in error.message
    assert len(str(error)) < 800


def test_an_error_compressed_twice_keeps_its_status(call_chat: ChatCaller) -> None:
    """An error body with stacked compression raises the error of its status."""
    backend = ScriptedBackend(refusal(401, content_encoding="gzip, gzip"))
    failure(call_chat, AuthenticationError, on=backend.on)
    assert len(backend.requests) == 1
