"""One contract, four ways: sync and async, streamed and not, give the same and send the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support import (
    MODES,
    Asker,
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


def describe(ask: Asker) -> ChatReply:
    """What is on a real photograph."""
    return ask("What is shown in this image?", on=MOCK, images=[ROCKET])


def compare(ask: Asker) -> ChatReply:
    """How two images differ, one of them with a `detail`."""
    return ask(Message.user("Compare:", ROCKET, "with", TINY), on=MOCK)


def paint(ask: Asker) -> ChatReply:
    """A picture from a prompt."""
    return ask("Generate an image of a puppy in a meadow", on=MOCK)


def paint_two(ask: Asker) -> ChatReply:
    """Two pictures from one prompt."""
    return ask("Generate two images of a puppy in a meadow", on=MOCK)


def edit(ask: Asker) -> ChatReply:
    """A second turn about the picture of the first."""
    first = paint(ask)
    history = [Message.user("Generate an image of a puppy"), first.message]
    return ask([*history, Message.user("Make it grayscale")], on=MOCK)


def reason(ask: Asker) -> ChatReply:
    """An answer with the thoughts before it."""
    return ask("How many legs has a dog?", on=MOCK, reasoning_effort="high")


def call_a_tool(ask: Asker) -> ChatReply:
    """A wish to have a tool run."""
    return ask("What is the weather in Paris?", on=MOCK, tools=[WEATHER])


def fill_a_schema(ask: Asker) -> ChatReply:
    """An answer of a given shape."""
    return ask("Describe a dog", on=MOCK, response_format=SHAPE)


CONVERSATIONS = (describe, compare, paint, paint_two, edit, reason, call_a_tool, fill_a_schema)


@pytest.fixture(scope="module")
def expected() -> dict[str, ChatReply]:
    """The replies of all conversations, sync and not streamed."""
    return {c.__name__: c(Asker("sync")) for c in CONVERSATIONS}


@pytest.mark.parametrize("converse", CONVERSATIONS)
@pytest.mark.parametrize("mode", MODES)
def test_the_same_conversation_gives_equal_replies(
    converse: Callable[[Asker], ChatReply], mode: str, expected: dict[str, ChatReply]
) -> None:
    """All four ways: equal in every field but the metadata, which no stream has; to the byte."""
    reply = converse(Asker(mode))
    whole = expected[converse.__name__]
    assert replace(reply, metadata=whole.metadata) == whole
    assert reply.request_id
    assert reply.usage
    assert reply.finish_reason in {"stop", "tool_calls"}


def test_the_conversations_are_about_something(expected: dict[str, ChatReply]) -> None:
    """What is compared above holds text, images, reasoning, a tool call and JSON."""
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


def test_a_generated_image_is_valid_input(ask: Asker) -> None:
    """Output is input: a generated image is described, and knows its origin."""
    painted = paint(ask).image
    assert painted.provenance
    assert painted.provenance.prompt == "Generate an image of a puppy in a meadow"
    assert ask("What is shown here?", on=MOCK, images=[painted]).text


# ---- what is sent


def test_a_request_says_who_asks_and_what(ask: Asker) -> None:
    """Headers and body of the one request that a call sends."""
    backend = ScriptedBackend(by=as_asked(completion(), sse(chunk("Hello.", finish="stop"))))
    on = backend.on | {
        "api_key": " sk-1 ",
        "metadata": {"tenant_id": "acme"},
        "source": "example.com",
    }
    assert ask("Hi", on=on, model="qwen2.5-vl", temperature=0.5).text == "Hello."
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
        "accept": "text/event-stream" if ask.is_stream else "application/json",
    }
    assert {name: headers[name] for name in sent} == sent
    body = {
        "model": "qwen2.5-vl",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
    }
    assert backend.body == body | ({"stream": True} if ask.is_stream else {})


def test_without_a_key_no_authorization_is_sent(ask: Asker) -> None:
    """Neither an empty one nor that of another client."""
    backend = ScriptedBackend(completion())
    ask("Hi", on=backend.on)
    headers = backend.requests[0].headers
    assert "authorization" not in headers
    assert not [name for name in headers if name.startswith(("x-emby", "x-source"))]


def test_the_environment_gives_the_key(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """`EMBY_API_KEY` and `EMBY_BASE_URL` are the defaults; arguments win."""
    backend = ScriptedBackend(completion())
    monkeypatch.setenv("EMBY_API_KEY", "sk-env\n")
    monkeypatch.setenv("EMBY_BASE_URL", "test:/")
    ask("Hi", on={"plugins": [backend]})
    ask("Hi", on={"plugins": [backend], "api_key": "sk-given"})
    ask("Hi", on={"plugins": [backend], "api_key": ""})
    sent = [request.headers.get("authorization") for request in backend.requests]
    assert sent == ["Bearer sk-env", "Bearer sk-given", None]


def test_two_images_arrive_as_the_very_bytes_sent(ask: Asker) -> None:
    """A reply with two images: two images, in order, to the byte, in any format."""
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
    reply = ask("Two, please", on=backend.on)
    assert [image.data for image in reply.images] == [rocket, b"\0not an image"]
    with pytest.raises(ImageCountError, match="exactly one image, got 2") as caught:
        _ = reply.image
    assert caught.value.partial == reply


def test_a_photograph_is_sent_to_the_byte(ask: Asker) -> None:
    """What goes over the wire is the file."""
    backend = ScriptedBackend(completion())
    ask("?", on=backend.on, images=[ROCKET])
    assert backend.body["messages"][0]["content"][1]["image_url"] == {"url": ROCKET.data_url}


def test_a_gateway_that_never_streams_is_understood(ask: Asker) -> None:
    """JSON instead of a stream, and a stream instead of JSON."""
    assert ask("Hi", on=ScriptedBackend(completion("Hi", RED)).on).image.data == RED
    stream = sse(chunk("Hi"), chunk(None, RED), chunk(finish="stop"))
    assert ask("Hi", on=ScriptedBackend(stream).on).image.data == RED


def test_the_events_of_a_stream_come_in_order() -> None:
    """Text is told in the pieces it came in, and tool calls too."""
    ask = Asker("sync-stream")
    said = chunk(delta={"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f"}}]})
    ask("Hi", on=ScriptedBackend(sse(chunk("a"), chunk("b"), said, chunk(finish="stop"))).on)
    assert ask.events[:3] == [TextDelta("a"), TextDelta("b"), ToolCallDelta(0, "t", "f", "")]


# ---- what goes wrong


def failure(ask: Asker, kind: type[EmbyError], prompt: Any = "Hi", **options: Any) -> EmbyError:
    """The error of a call, of that very class, with a sentence that ends, hint included."""
    with pytest.raises(kind) as caught:
        ask(prompt, **options)
    assert type(caught.value) is kind
    assert caught.value.message.endswith((".", "!", "?"))
    assert caught.value.hint == "" or caught.value.hint.endswith((".", "?"))
    assert str(caught.value).startswith(f"{caught.value.message} {caught.value.hint}".strip())
    return caught.value


class Guarded:
    """A plugin: the mock backend behind the key `right`."""

    @hookimpl
    def emby_backend(self, url: str) -> MockBackend | None:
        """The backend of `guarded:`."""
        return MockBackend(key="right") if url == "guarded:" else None


def test_a_wrong_key(ask: Asker) -> None:
    """The error says what to check, and shows neither key."""
    on = {"base_url": "guarded:", "plugins": [Guarded()]}
    error = failure(ask, AuthenticationError, on=on | {"api_key": "wrong-123"})
    assert "EMBY_API_KEY" in error.hint
    assert "wrong-123" not in repr([vars(error), error.args])
    failure(ask, AuthenticationError, on=on)
    assert ask("Hi", on=on | {"api_key": "right"}).text


def test_an_unknown_model(ask: Asker) -> None:
    """The error names it and tells how to list the models."""
    error = failure(ask, ModelNotFoundError, on=MOCK, model="gpt-9")
    assert "gpt-9" in error.message
    assert "models()" in error.hint


def test_a_text_only_model_sent_an_image(ask: Asker) -> None:
    """The error names models that accept images."""
    error = failure(ask, BadRequestError, on=MOCK, model="emby-mock-text", images=[TINY])
    assert "qwen2.5-vision" in error.hint


def test_an_image_that_the_gateway_can_not_decode(ask: Asker) -> None:
    """Half of a real photograph passes our door, and the gateway's refusal is typed."""
    half = Image.from_bytes(ROCKET.data[:5_000])
    error = failure(ask, UnreadableInputImageError, on=MOCK, images=[half])
    assert "PNG, WebP or GIF" in error.hint


def test_an_image_that_can_not_be_sent_sends_nothing(ask: Asker) -> None:
    """Wrong format, too large: found out before anything goes out."""
    backend = ScriptedBackend(completion())
    failure(ask, InvalidImageError, on=backend.on, images=[Image(picture(format="BMP")[:60])])
    small = backend.on | {"limits": Limits(request_image=10)}
    failure(ask, InvalidImageError, on=small, images=[TINY])
    failure(ask, RequestError, on=backend.on, extra_body={"a": object()})
    with pytest.raises(TypeError, match="unknown option 'temprature'"):
        ask("Hi", on=backend.on, temprature=1)
    assert backend.requests == []


def test_a_reply_without_choices(ask: Asker) -> None:
    """Malformed, and not retried: it may have been paid."""
    backend = ScriptedBackend({"object": "chat.completion", "choices": []})
    failure(ask, MalformedReplyError, on=backend.on)
    assert len(backend.requests) == 1


def test_a_truncated_stream_loses_nothing(ask: Asker) -> None:
    """What had arrived is in the error, text and image, and the request is not sent again."""
    backend = ScriptedBackend(sse(chunk("Here:"), chunk(None, RED), chunk("and")))
    error = failure(ask, TruncatedReplyError, on=backend.on)
    assert error.partial
    assert (error.partial.text, error.partial.image.data) == ("Here:and", RED)
    assert len(backend.requests) == 1


def test_an_error_in_mid_stream_loses_nothing(ask: Asker) -> None:
    """Under HTTP 200; a retry would be a second, paid request, so there is none."""
    broken = b'event: error\ndata: {"error": {"message": "No", "type": "rate_limit_error"}}\n\n'
    answers = answer(sse(chunk("Here:"), chunk(None, RED), broken), headers={"x-request-id": "r-7"})
    backend = ScriptedBackend(answers)
    error = failure(ask, RateLimitError, on=backend.on)
    assert error.partial
    assert error.partial.image.data == RED
    assert error.request_id == error.partial.request_id == "r-7"
    assert len(backend.requests) == 1


def test_a_reply_over_a_limit_carries_what_fitted(ask: Asker) -> None:
    """The text and the first image are there when the second is one too many."""
    backend = ScriptedBackend(completion("Here:", RED, BLUE))
    error = failure(ask, ReplyTooLargeError, on=backend.on | {"limits": Limits(images=1)})
    assert error.partial
    assert error.partial.image.data == RED


# ---- tries


def refusal(status: int, message: str = "No.", **headers: str) -> BackendResponse:
    """An error response; header names with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer({"error": {"message": message}}, status=status, headers=named)


@pytest.mark.parametrize("status", [429, 502, 503, 504, 529])
@pytest.mark.parametrize("headers", [{}, {"retry_after": "1"}, {"retry_after": "0"}])
def test_a_passing_trouble_is_tried_again(ask: Asker, status: int, headers: dict[str, str]) -> None:
    """The same request, until it is answered."""
    backend = ScriptedBackend(refusal(status, **headers), refusal(status), answer(completion("Hi")))
    assert ask("Hi", on=backend.on).text == "Hi"
    assert len({request.body for request in backend.requests}) == 1
    assert len(backend.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 500, 501, 307])
def test_other_troubles_are_not_tried_again(ask: Asker, status: int) -> None:
    """They would come out the same, or may have been paid for."""
    backend = ScriptedBackend(refusal(status))
    with pytest.raises(EmbyError) as caught:
        ask("Hi", on=backend.on)
    assert getattr(caught.value, "status", None) == status
    assert len(backend.requests) == 1


@pytest.mark.parametrize(("tries", "requests"), [(0, 1), (1, 2), (4, 5)])
def test_max_retries_are_further_tries(ask: Asker, tries: int, requests: int) -> None:
    """None, one or several; then the last error reaches the caller with its advice."""
    backend = ScriptedBackend(refusal(429))
    error = failure(ask, RateLimitError, on=backend.on | {"max_retries": tries})
    assert len(backend.requests) == requests
    assert error.hint == "Wait, then retry."


@pytest.mark.parametrize("wait", ["60", "3600"])
def test_too_long_a_wait_is_left_to_the_caller(ask: Asker, wait: str) -> None:
    """Nobody sits through an hour: the error says how long."""
    backend = ScriptedBackend(refusal(429, retry_after=wait))
    error = failure(ask, RateLimitError, on=backend.on)
    assert len(backend.requests) == 1
    assert error.hint == f"Retry after {wait} seconds."


def test_a_wait_beyond_the_deadline_is_not_begun(ask: Asker) -> None:
    """The deadline holds for all tries together."""
    backend = ScriptedBackend(refusal(429, retry_after="30"))
    failure(ask, RateLimitError, on=backend.on | {"deadline": 20})
    assert len(backend.requests) == 1


def test_the_status_counts_when_the_error_is_too_long(ask: Asker) -> None:
    """An error page of any size is an error of its status; nothing is tried again for it."""
    page = answer({}, status=500, headers={"content-type": "text/html"})
    page = BackendResponse(500, page.headers, iter([b"<html>" + b"x" * 60_000] * 3))
    backend = ScriptedBackend(page)
    error = failure(ask, ServerError, on=backend.on)
    assert "<html>" in error.message
    assert len(str(error)) < 800


def test_the_status_counts_when_the_error_is_packed_twice(ask: Asker) -> None:
    """Stacked compression is not unpacked, and hides no error."""
    backend = ScriptedBackend(refusal(401, content_encoding="gzip, gzip"))
    failure(ask, AuthenticationError, on=backend.on)
    assert len(backend.requests) == 1
