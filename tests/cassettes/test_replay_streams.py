"""Streams: both orders of images, every place of usage, every end, and errors in mid-stream.

A cassette replays a stream in one piece; its timing is tested against the live mock.
"""

from typing import Any

import pytest
from cassette_help import BLUE, RED, Gateway
from support import ChatCaller

from emby_plugins import (
    EmbyError,
    Finished,
    ImageReceived,
    MalformedReplyError,
    RateLimitError,
    ReasoningDelta,
    ServerError,
    TextDelta,
    Tool,
    ToolCallDelta,
    TruncatedReplyError,
)
from emby_plugins.mock import Fault

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

PROFILES = ["emby", "2025-12", "2026-08"]
CLOCK = Tool(
    "get_time", "The time.", {"type": "object", "properties": {"zone": {"type": "string"}}}
)
WISH = "Make two variations of this image"


def kinds(call_chat: ChatCaller) -> list[type]:
    """Return the types of the events, without consecutive repetitions."""
    types: list[type] = []
    for event in call_chat.events:
        if not types or types[-1] is not type(event):
            types.append(type(event))
    return types


def wire(vcr: Any) -> str:
    """Return the stream in the cassette."""
    (response,) = vcr.responses
    text: str = response["body"]["string"].decode()
    return text


@pytest.mark.parametrize("profile", PROFILES)
def test_text(vcr: Any, call_stream: ChatCaller, gateway: Gateway, profile: str) -> None:
    """Text is streamed, with usage in the place of each profile."""
    reply = call_stream("Hello", on=gateway(profile))
    assert kinds(call_stream) == [TextDelta, Finished]
    assert reply.usage
    assert reply.finish_reason == "stop"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_chunk_per_image(
    vcr: Any, call_stream: ChatCaller, gateway: Gateway, profile: str
) -> None:
    """Text is streamed before the images (Image Generation, Streaming Support)."""
    reply = call_stream(WISH, on=gateway(profile), images=[RED])
    assert kinds(call_stream) == [TextDelta, ImageReceived, Finished]
    assert len(reply.images) == 2


@pytest.mark.parametrize(("profile", "chunks"), [("emby", 2), ("2025-12", 2), ("2026-08", 1)])
def test_an_image_only_model(
    vcr: Any, call_stream: ChatCaller, gateway: Gateway, profile: str, chunks: int
) -> None:
    """An image-only model sends all images in one chunk, or one per chunk."""
    on = gateway(profile, None)
    reply = call_stream(WISH, on=on, images=[BLUE], model="emby-mock-image")
    assert len(reply.images) == 2
    if vcr.responses:
        assert wire(vcr).count('"images"') == chunks


def test_reasoning(call_stream: ChatCaller, gateway: Gateway) -> None:
    """Reasoning is streamed before the text."""
    reply = call_stream("How many legs has a dog?", on=gateway(), reasoning_effort="high")
    assert kinds(call_stream) == [ReasoningDelta, TextDelta, Finished]
    assert reply.usage
    assert reply.usage.reasoning_tokens > 0


def test_a_tool_call(call_stream: ChatCaller, gateway: Gateway) -> None:
    """A tool call is streamed in pieces."""
    prompt = "What time is it in Europe/Amsterdam?"
    reply = call_stream(prompt, on=gateway(), tools=[CLOCK], tool_choice="get_time")
    assert ToolCallDelta in kinds(call_stream)
    assert [call.name for call in reply.tool_calls] == ["get_time"]
    assert reply.tool_calls[0].args.keys() <= {"zone"}


@pytest.mark.parametrize("profile", PROFILES)
def test_an_error_midway(call_stream: ChatCaller, gateway: Gateway, profile: str) -> None:
    """An error event after some content, under status 200, raises ServerError with the text."""
    with pytest.raises(ServerError) as caught:
        call_stream("Hello there", on=gateway(profile, Fault(error=True)))
    assert caught.value.partial
    assert caught.value.partial.text


@pytest.mark.parametrize("profile", PROFILES)
def test_a_provider_that_fails_at_once(
    call_stream: ChatCaller, gateway: Gateway, profile: str
) -> None:
    """A provider's 429 as an error event under status 200 raises RateLimitError."""
    with pytest.raises(RateLimitError) as caught:
        call_stream("Hello", on=gateway(profile, Fault(upstream=429, times=9)) | {"max_retries": 0})
    assert caught.value.status == 429


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(no_finish=True), TruncatedReplyError, id="no-finish"),
        pytest.param(Fault(no_finish=True, no_done=True), TruncatedReplyError, id="no-end"),
        pytest.param(Fault(garbage=True), MalformedReplyError, id="garbage"),
        pytest.param(Fault(invalid_utf8=True), EmbyError, id="invalid-utf8"),
    ],
)
def test_broken_streams(
    call_stream: ChatCaller, gateway: Gateway, fault: Fault, error: type[EmbyError]
) -> None:
    """A truncated or malformed stream raises an error."""
    with pytest.raises(error):
        call_stream("Hello there", on=gateway("emby", fault))


@pytest.mark.parametrize("fault", [Fault(no_done=True), Fault(double_done=True)], ids=["no", "two"])
def test_odd_ends(call_stream: ChatCaller, gateway: Gateway, fault: Fault) -> None:
    """`[DONE]` may be missing or repeated."""
    assert call_stream("Hello there", on=gateway("emby", fault)).text


def test_keep_alives(vcr: Any, call_stream: ChatCaller, gateway: Gateway) -> None:
    """Comments with one newline and no blank line are ignored."""
    reply = call_stream("Hello", on=gateway("2026-08", Fault(delay=40)))
    assert reply.text
    if vcr.responses:
        assert ": ping\n" in wire(vcr)
