"""How replies end: `notice`, `require_images` and log messages, and when there are none."""

import logging

import pytest
from core_help import RED, Read, read, whole
from recordings.recordings import STATES, recording
from support import MODES, ChatCaller, ScriptedBackend, as_asked, chunk, completion, sse

from emby_plugins import ChatReply, Image, MissingImageError, ToolCall, Usage

IMAGE = Image.from_bytes(RED)
PAID = Usage(prompt_tokens=9, completion_tokens=1290, total_tokens=1299)
USAGE = {"prompt_tokens": 9, "completion_tokens": 1290, "total_tokens": 1299}


def usage(tokens: int, *, reasoning: int = 0, image: int = 0) -> Usage:
    """Return a usage of this many output tokens."""
    return Usage(completion_tokens=tokens, reasoning_tokens=reasoning, image_tokens=image)


NOTICES = [
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


@pytest.mark.parametrize(("reply", "phrases"), NOTICES)
def test_an_abnormal_end_has_a_notice(reply: ChatReply, phrases: list[str]) -> None:
    """The notice names an abnormal finish reason, or the billed tokens that did not arrive."""
    assert all(words in reply.notice for words in phrases), reply.notice


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
def test_a_normal_end_has_no_notice(reply: ChatReply) -> None:
    """A reply with a normal end has no notice: its tokens are accounted for."""
    assert reply.notice == ""


def test_no_image_is_missing_after_the_token_limit() -> None:
    """No missing image is reported if the token limit ended the reply."""
    assert "1,290" not in ChatReply("", finish_reason="length", usage=PAID).notice


def test_a_notice_has_no_terminal_escapes() -> None:
    """Control characters in a finish reason are removed from the notice, which is kept short."""
    notice = ChatReply("Hi", finish_reason="\x1b]52;c;x\x07\u202e" + "y" * 900).notice
    assert notice.isprintable()
    assert len(notice) < 200


def test_a_missing_image_is_an_error_that_keeps_the_reply() -> None:
    """MissingImageError quotes the reply's text and end, and has the reply as `partial`."""
    reply = ChatReply("I'd rather not.", finish_reason="content_filter", request_id="r-1")
    for get in (ChatReply.require_images, lambda reply: reply.image):
        with pytest.raises(MissingImageError) as caught:
            get(reply)
        assert caught.value.partial is reply
        for words in ("has none", "I'd rather not.", "content filter", "r-1"):
            assert words in str(caught.value)
    assert ChatReply("", (IMAGE,)).require_images() == (IMAGE,)


def test_a_plain_text_reply_has_a_hint() -> None:
    """If a reply has only text, the hint is to use a model that generates images."""
    with pytest.raises(MissingImageError, match=r"answered: 'Hello\.'\. Ask for an image"):
        _ = ChatReply("Hello.", finish_reason="stop").image


def test_a_reply_knows_whether_it_was_streamed() -> None:
    """`streamed` reflects what the gateway sent and does not affect equality."""
    streamed, unstreamed = read(chunk("Hi", finish="stop")).reply, whole(completion("Hi")).reply
    assert (streamed.streamed, unstreamed.streamed) == (True, False)
    assert streamed == unstreamed


def test_image_tokens_are_read() -> None:
    """`image_tokens` is read from `completion_tokens_details`, as the state 2026-08 sends it."""
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
    """A reply with image tokens but no image is logged once as a warning and raises nothing."""
    stream = sse(
        chunk("Here is your image:", *images),
        chunk(finish="stop"),
        chunk(usage=USAGE) | {"choices": []},
    )
    whole_reply = completion("Here is your image:", *images, usage=USAGE)
    backend = ScriptedBackend(by=as_asked(whole_reply, stream))
    with caplog.at_level(logging.WARNING, "emby_plugins"):
        reply = ChatCaller(mode)("Draw", on=backend.on)
    assert reply.text == "Here is your image:"
    assert reply.streamed is mode.endswith("stream")
    logged = [
        record.getMessage() for record in caplog.records if record.name == "emby_plugins._endings"
    ]
    assert len(logged) == (0 if images else 1)
    if logged:
        assert logged == [reply.notice]
        assert ("without streaming" in logged[0]) is mode.endswith("stream")


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
    """Return the reply of a recorded response."""
    found = recording(state, case)
    result = Read(found.content, headers={"content-type": found.response_headers["content-type"]})
    assert result.error is None
    return result.reply


@pytest.mark.parametrize("case", NO_IMAGE)
@pytest.mark.parametrize("state", STATES)
def test_a_recorded_reply_without_an_image_has_a_notice(state: str, case: str) -> None:
    """Each recorded reply without an image raises an error with its known reason."""
    with pytest.raises(MissingImageError) as caught:
        replayed(state, case).require_images()
    for words in NO_IMAGE[case]:
        assert words in str(caught.value)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "case",
    ["image", "image-stream", "image-after-thoughts-stream", "reasoning", "reasoning-stream"],
)
def test_a_recorded_normal_reply_has_no_notice(state: str, case: str) -> None:
    """Recorded replies with images, text or reasoning have no notice."""
    assert replayed(state, case).notice == ""
