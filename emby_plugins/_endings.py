"""How a reply ended: the facts that its content alone doesn't show.

Pure functions behind the properties of `ChatReply`, so that all hosts report the same.
"""

import logging
from typing import TYPE_CHECKING

from emby_plugins._errors import ImageCountError, MissingImageError

if TYPE_CHECKING:
    from emby_plugins._chat import ChatReply

_NORMAL = frozenset({"stop", "tool_calls", "function_call"})
_KNOWN = {
    "content_filter": "A content filter ended the reply (finish reason: content_filter).",
    "length": "The reply was cut off at the token limit (finish reason: length).",
}
# The smallest image known to be billed costs 272 tokens. A smaller gap between the text and its
# token count is noise, such as special tokens or a chat template.
_MIN_IMAGE_TOKENS = 256
_MAX_QUOTED = 2000

_log = logging.getLogger(__name__)


def missing_image_tokens(reply: "ChatReply") -> int:
    """Return the output tokens billed for an image that did not arrive; 0 if none is missing.

    Only some providers report image tokens separately. In the recordings (`image`,
    `image-safety`, all states) they are part of `completion_tokens`, so tokens that the text
    can't account for are attributed to an image: a byte of text is at most one token. With any
    finish reason but `stop`, they may be withheld text instead.
    """
    usage = reply.usage
    if usage is None or reply.images:
        return 0
    if usage.image_tokens:
        return usage.image_tokens
    if reply.finish_reason not in {None, "stop"} or reply.stop_sequence is not None:
        return 0
    texts = [reply.text, reply.reasoning]
    texts += [text for call in reply.tool_calls for text in (call.name, call.arguments)]
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    rest = usage.completion_tokens - usage.reasoning_tokens - size
    return rest if rest >= _MIN_IMAGE_TOKENS else 0


def notice(reply: "ChatReply") -> str:
    """Return what to know about how the reply ended; empty for a normal end."""
    return " ".join(filter(None, (_finish(reply), _missing_image(reply))))


def log_missing_image(reply: "ChatReply") -> None:
    """Log a warning if an image was billed and did not arrive.

    Not `warnings.warn`: a program that turns warnings into errors would lose the paid text.
    """
    message = _missing_image(reply)
    if message:
        _log.warning("%s", message)


def image_count_error(reply: "ChatReply") -> ImageCountError:
    """Return the error for a reply without exactly one image; `partial` is the reply."""
    error: ImageCountError
    if reply.images:
        msg = f"Expected exactly one image, got {len(reply.images)}."
        error = ImageCountError(msg, hint="Use reply.images.", request_id=reply.request_id)
    else:
        facts = (
            "Expected one image, but the reply has none.",
            _quote(reply),
            notice(reply),
            _billed(reply),
        )
        error = MissingImageError(
            " ".join(filter(None, facts)),
            hint="" if notice(reply) else "Ask for an image, and use a model that generates them.",
            request_id=reply.request_id,
        )
    error.partial = reply
    return error


def _finish(reply: "ChatReply") -> str:
    reason = reply.finish_reason
    if reply.refusal:
        return "The model refused to answer; its text is the refusal."
    if reason in _KNOWN:
        return _KNOWN[reason]
    if reason is not None and reason not in _NORMAL:
        # repr escapes control characters, which a gateway might send.
        return f"The reply ended with the finish reason {reason[:80]!r}."
    if not (reply.text or reply.images or reply.tool_calls):
        return f"The reply is empty (finish reason: {reason or 'not given'})."
    return ""


def _missing_image(reply: "ChatReply") -> str:
    tokens = missing_image_tokens(reply)
    if not tokens:
        return ""
    message = f"{tokens:,} output tokens were billed for an image that did not arrive."
    if not reply.usage or not reply.usage.image_tokens:
        message = (
            f"{tokens:,} output tokens were billed beyond the text, as for an image, but no "
            "image arrived."
        )
    if reply.streamed:
        # Only recorded for the 2025-11 state, but a stream doesn't reveal the gateway's state.
        return (
            f"{message} It was refused or dropped: some gateways drop streamed images of more than "
            "about 7.8 MB. Ask again without streaming (a new, paid request)."
        )
    return f"{message} The provider may have refused to show it: change the prompt, or the model."


def _billed(reply: "ChatReply") -> str:
    tokens = reply.usage.completion_tokens if reply.usage else 0
    return f"{tokens:,} output tokens were billed." if tokens and not _missing_image(reply) else ""


def _quote(reply: "ChatReply") -> str:
    text = reply.text.strip()
    if not text:
        return ""
    more = f" (the first {_MAX_QUOTED:,} characters)" if len(text) > _MAX_QUOTED else ""
    return f"The model answered{more}: {text[:_MAX_QUOTED]!r}."
