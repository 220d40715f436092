"""How replies end: what `notice`, `require_images` and the log say, and when they say nothing."""

import logging

import pytest
from core_help import RED, Read, read, whole
from recordings.recordings import STATES, recording
from support import MODES, Asker, ScriptedBackend, as_asked, chunk, completion, sse

from emby_plugins import ChatReply, Image, MissingImageError, ToolCall, Usage

IMAGE = Image.from_bytes(RED)
PAID = Usage(prompt_tokens=9, completion_tokens=1290, total_tokens=1299)
USAGE = {"prompt_tokens": 9, "completion_tokens": 1290, "total_tokens": 1299}


def usage(tokens: int, *, reasoning: int = 0, image: int = 0) -> Usage:
    """Usage of so many output tokens."""
    return Usage(completion_tokens=tokens, reasoning_tokens=reasoning, image_tokens=image)


TOLD = [
    pytest.param(ChatReply("Par", finish_reason="content_filter"), ["content filter"], id="filter"),
    pytest.param(ChatReply("Par", finish_reason="length"), ["token limit"], id="length"),
    pytest.param(ChatReply("Par", finish_reason="error"), ["'error'"], id="error"),
    pytest.param(ChatReply("", finish_reason="stop"), ["empty", "stop"], id="empty"),
    pytest.param(ChatReply(""), ["empty", "not given"], id="no reason"),
    pytest.param(
        ChatReply("Here:", finish_reason="stop", usage=PAID, streamed=True),
        ["1,285 output tokens", "without streaming"],
        id="dropped",
    ),
    pytest.param(
        ChatReply("", finish_reason="stop", usage=PAID),
        ["empty", "1,290 output tokens", "refused"],
        id="image-safety",
    ),
    pytest.param(
        ChatReply("Par", finish_reason="length", usage=usage(300, image=272)),
        ["token limit", "272 output tokens"],
        id="counted by the gateway",
    ),
    pytest.param(
        ChatReply("Here:", reasoning="Plan.", finish_reason="stop", usage=usage(1292, reasoning=2)),
        ["1,280 output tokens"],
        id="after reasoning",
    ),
]


@pytest.mark.parametrize(("reply", "said"), TOLD)
def test_an_abnormal_end_is_told(reply: ChatReply, said: list[str]) -> None:
    """The notice names the finish reason, or what was billed and did not arrive."""
    assert all(words in reply.notice for words in said), reply.notice


NORMAL = [
    pytest.param(ChatReply("Hello", finish_reason="stop"), id="stop"),
    pytest.param(ChatReply("Hello"), id="no finish reason"),
    pytest.param(ChatReply("", (IMAGE,), finish_reason="stop", usage=PAID), id="image"),
    pytest.param(
        ChatReply(tool_calls=(ToolCall("1", "draw"),), finish_reason="tool_calls"), id="tool call"
    ),
    pytest.param(ChatReply("word " * 600, finish_reason="stop", usage=usage(1290)), id="text"),
    pytest.param(
        ChatReply("42", finish_reason="stop", usage=usage(1290, reasoning=1280)), id="thought"
    ),
    pytest.param(
        ChatReply(
            tool_calls=(ToolCall("1", "f", '{"a": "' + "x" * 1300 + '"}'),),
            finish_reason="stop",
            usage=PAID,
        ),
        id="long arguments",
    ),
]


@pytest.mark.parametrize("reply", NORMAL)
def test_a_normal_end_is_not_told(reply: ChatReply) -> None:
    """Text, reasoning and tool calls account for their tokens, and an image for its own."""
    assert reply.notice == ""


def test_only_what_ended_by_itself_is_missing_an_image() -> None:
    """If the token limit ended the reply, the rest may be hidden reasoning."""
    assert "1,290" not in ChatReply("", finish_reason="length", usage=PAID).notice


def test_a_finish_reason_holds_no_terminal_escapes() -> None:
    """It comes from outside, and hosts print it."""
    notice = ChatReply("Hi", finish_reason="\x1b]52;c;x\x07\u202e" + "y" * 900).notice
    assert notice.isprintable()
    assert len(notice) < 200


def test_a_missing_image_is_an_error_that_keeps_the_reply() -> None:
    """The error tells how the reply ended and quotes its text; the reply is in `partial`."""
    reply = ChatReply("I'd rather not.", finish_reason="content_filter", request_id="r-1")
    for get in (ChatReply.require_images, lambda reply: reply.image):
        with pytest.raises(MissingImageError) as caught:
            get(reply)
        assert caught.value.partial is reply
        for words in ("has none", "I'd rather not.", "content filter", "r-1"):
            assert words in str(caught.value)
    assert ChatReply("", (IMAGE,)).require_images() == (IMAGE,)


def test_a_reply_of_plain_text_is_told_what_to_ask() -> None:
    """If nothing else is known, the hint is to use a model that generates images."""
    with pytest.raises(MissingImageError, match=r"answered: 'Hello\.'\. Ask for an image"):
        _ = ChatReply("Hello.", finish_reason="stop").image


def test_a_reply_knows_whether_it_was_streamed() -> None:
    """By what the gateway sent; two replies that say the same are equal all the same."""
    streamed, unstreamed = read(chunk("Hi", finish="stop")).reply, whole(completion("Hi")).reply
    assert (streamed.streamed, unstreamed.streamed) == (True, False)
    assert streamed == unstreamed


def test_image_tokens_are_read_where_they_are_counted() -> None:
    """`completion_tokens_details.image_tokens`, which the 2026-08 state sends."""
    counted = {**USAGE, "completion_tokens_details": {"image_tokens": 1120}}
    reply = read(chunk("Here:"), chunk(finish="stop", usage=counted)).reply
    assert reply.usage is not None
    assert reply.usage.image_tokens == 1120
    assert "1,120 output tokens" in reply.notice


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("images", [(), (RED,)])
def test_a_dropped_image_is_logged_and_the_text_is_kept(
    mode: str, images: tuple[bytes, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Text, `stop` and image tokens, but no image: a warning in the log, once, and no error."""
    stream = sse(
        chunk("Here is your image:", *images),
        chunk(finish="stop"),
        chunk(usage=USAGE) | {"choices": []},
    )
    whole_reply = completion("Here is your image:", *images, usage=USAGE)
    backend = ScriptedBackend(by=as_asked(whole_reply, stream))
    with caplog.at_level(logging.WARNING, "emby_plugins"):
        reply = Asker(mode)("Draw", on=backend.on)
    assert reply.text == "Here is your image:"
    assert reply.streamed is mode.endswith("stream")
    told = [
        record.getMessage() for record in caplog.records if record.name == "emby_plugins._endings"
    ]
    assert len(told) == (0 if images else 1)
    if told:
        assert told == [reply.notice]
        assert ("without streaming" in told[0]) is mode.endswith("stream")


NO_IMAGE = {
    "image-safety": ["1,290 output tokens"],
    "image-safety-stream": ["1,290 output tokens"],
    "no-image-reason": ["empty", "1,290 output tokens"],
    "prompt-blocked": ["content filter"],
    "prompt-blocked-stream": ["content filter"],
    "prohibited-content": ["content filter", "1,290 output tokens"],
    "prohibited-content-stream": ["content filter", "1,290 output tokens"],
    "safety-with-text": ["I can't.", "content filter"],
    "image-model-refuses-in-text": ["I will not draw that.", "1,269 output tokens"],
    "image-model-refuses-in-text-stream": ["I will not draw that.", "without streaming"],
    "image-as-provider-file-uri": ["Here.", "1,285 output tokens"],
    "refusal-from-provider": ["I can't help with that."],
    "image-config-on-text-model": ["Hello world", "use a model that generates them"],
}


def replayed(state: str, case: str) -> ChatReply:
    """The reply that a recorded response amounts to."""
    found = recording(state, case)
    result = Read(found.content, headers={"content-type": found.response_headers["content-type"]})
    assert result.error is None
    return result.reply


@pytest.mark.parametrize("case", NO_IMAGE)
@pytest.mark.parametrize("state", STATES)
def test_a_recorded_reply_without_an_image_says_why(state: str, case: str) -> None:
    """Each way in which a gateway state sends no image is told with what is known of it."""
    with pytest.raises(MissingImageError) as caught:
        replayed(state, case).require_images()
    for words in NO_IMAGE[case]:
        assert words in str(caught.value)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "case",
    ["image", "image-stream", "image-after-thoughts-stream", "reasoning", "reasoning-stream"],
)
def test_a_recorded_normal_reply_is_not_told(state: str, case: str) -> None:
    """Images, text and reasoning as each state counts their tokens."""
    assert replayed(state, case).notice == ""
