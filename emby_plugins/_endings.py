"""How a reply ended: what a caller should know that its content does not say.

Pure functions behind the properties of `ChatReply`, so that every host tells the same.
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
# The cheapest image that a provider is known to count costs 272 tokens. Text that is shorter
# than its count by less than this is rounding: special tokens, a template's words.
_MIN_IMAGE_TOKENS = 256
_MAX_QUOTED = 2000

_log = logging.getLogger(__name__)


def missing_image_tokens(reply: "ChatReply") -> int:
    """Output tokens counted for an image that did not arrive; 0 if nothing is missing.

    Only some providers count image tokens by themselves. In the recordings (`image`,
    `image-safety`, every state) an image is part of `completion_tokens`, so the rest that text
    can't account for is taken for one: no tokenizer makes more than one token of a byte. Where
    something else ended the reply, the rest may be text that was held back.
    """
    usage = reply.usage
    if usage is None or reply.images:
        return 0
    if usage.image_tokens:
        return usage.image_tokens
    if reply.finish_reason not in {None, "stop"}:
        return 0
    texts = [reply.text, reply.reasoning]
    texts += [text for call in reply.tool_calls for text in (call.name, call.arguments)]
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    rest = usage.completion_tokens - usage.reasoning_tokens - size
    return rest if rest >= _MIN_IMAGE_TOKENS else 0


def notice(reply: "ChatReply") -> str:
    """What to know about the end of the reply; empty for a normal one."""
    return " ".join(filter(None, (_finish(reply), _missing_image(reply))))


def log_missing_image(reply: "ChatReply") -> None:
    """Log a warning when an image was paid for and did not arrive.

    Not `warnings.warn`: a program that turns warnings into errors would lose the paid text.
    """
    told = _missing_image(reply)
    if told:
        _log.warning("%s", told)


def image_count_error(reply: "ChatReply") -> ImageCountError:
    """The error for a reply that does not have exactly one image, with the reply in `partial`."""
    error: ImageCountError
    if reply.images:
        msg = f"Expected exactly one image, got {len(reply.images)}."
        error = ImageCountError(msg, hint="Use reply.images.", request_id=reply.request_id)
    else:
        told = ("The reply has no image.", _said(reply), notice(reply), _billed(reply))
        error = MissingImageError(
            " ".join(filter(None, told)),
            hint="" if notice(reply) else "Ask for an image, and use a model that generates them.",
            request_id=reply.request_id,
        )
    error.partial = reply
    return error


def _finish(reply: "ChatReply") -> str:
    reason = reply.finish_reason
    if reason in _KNOWN:
        return _KNOWN[reason]
    if reason is not None and reason not in _NORMAL:
        # Quoted by repr: it comes from outside, and may hold terminal escapes.
        return f"The reply ended with the finish reason {reason[:80]!r}."
    if not (reply.text or reply.images or reply.tool_calls):
        return f"The reply is empty (finish reason: {reason or 'not given'})."
    return ""


def _missing_image(reply: "ChatReply") -> str:
    tokens = missing_image_tokens(reply)
    if not tokens:
        return ""
    told = f"{tokens:,} output tokens were billed for an image that did not arrive."
    if not reply.usage or not reply.usage.image_tokens:
        told = (
            f"{tokens:,} output tokens were billed beyond the text, as for an image, but no "
            "image arrived."
        )
    if reply.streamed:
        # Recorded of the 2025-11 state only; nothing in a stream says which state it is.
        return (
            f"{told} It was refused or dropped: some gateways drop streamed images of more than "
            "about 7.8 MB. Ask again without streaming (a new, paid request)."
        )
    return f"{told} The provider may have refused to show it: change the prompt, or the model."


def _billed(reply: "ChatReply") -> str:
    tokens = reply.usage.completion_tokens if reply.usage else 0
    return f"{tokens:,} output tokens were billed." if tokens and not _missing_image(reply) else ""


def _said(reply: "ChatReply") -> str:
    text = reply.text.strip()
    if not text:
        return ""
    more = f" (the first {_MAX_QUOTED:,} characters)" if len(text) > _MAX_QUOTED else ""
    return f"The model said{more}: {text[:_MAX_QUOTED]!r}."
