"""JSON as it stands on the wire, parsed into the few fields that are read.

Fields that only inform (usage, metadata, annotations) are taken as they come, so that none of
them can cost a paid reply; fields that carry content are typed, so that none is misread.
"""

import json
from typing import Any, TypeVar

import msgspec

from emby_plugins.errors import MalformedReplyError, TruncatedReplyError


class ImageURL(msgspec.Struct):
    """`{"url": ...}`. The url stays raw: base64 goes from here straight into the decoder."""

    url: msgspec.Raw = msgspec.Raw(b'""')


class ImageItem(msgspec.Struct):
    """An entry of `images`: Image Generation page, "Image Item Structure"."""

    image_url: ImageURL | str
    type: str = "image_url"


class ContentItem(msgspec.Struct):
    """A part of a `content` that is an array, as some gateways send it."""

    type: str
    text: str = ""
    image_url: ImageURL | str | None = None


class FunctionItem(msgspec.Struct):
    """What a tool call calls; both may come in fragments."""

    name: str | None = None
    arguments: Any = None


class ToolCallItem(msgspec.Struct):
    """A tool call, or a fragment of one."""

    index: int | None = None
    id: str | None = None
    function: FunctionItem | None = None


class MessageItem(msgspec.Struct):
    """An assistant's message, or a delta of one: they differ only in how much they hold."""

    content: str | list[ContentItem] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    images: list[ImageItem] | None = None
    tool_calls: list[ToolCallItem] | None = None
    annotations: Any = None
    refusal: str | None = None


class Choice(msgspec.Struct):
    """A choice of a reply (`message`) or of a chunk (`delta`)."""

    index: int | None = None
    delta: MessageItem | None = None
    message: MessageItem | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """A whole reply, or one chunk of a stream."""

    choices: list[Choice] | None = None
    error: Any = None
    usage: Any = None
    id: Any = None
    model: Any = None
    created: Any = None
    metadata: Any = None
    system_fingerprint: Any = None


_completion = msgspec.json.Decoder(Completion)
_anything = msgspec.json.Decoder()
_text = msgspec.json.Decoder(str)
_T = TypeVar("_T")


def parse_completion(data: bytes) -> Completion:
    """A reply or a chunk. Raises `MalformedReplyError`, or `TruncatedReplyError` for cut JSON."""
    return _parse(_completion, data)


def parse_json(data: bytes) -> Any:
    """Any JSON value. Raises `MalformedReplyError`, or `TruncatedReplyError` for cut JSON."""
    return _parse(_anything, data)


def parse_text(raw: msgspec.Raw) -> str:
    """The string that stands there raw."""
    return _parse(_text, bytes(raw))


def _parse(decoder: "msgspec.json.Decoder[_T]", data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise MalformedReplyError(f"The reply is not of the contract's form: {error}.") from None
    except RecursionError:
        raise MalformedReplyError("The reply's JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    # msgspec refuses lone surrogates, which models do send; the standard library takes them.
    try:
        return decoder.decode(json.dumps(_mended(json.loads(data))).encode())
    except (ValueError, RecursionError) as error:
        if _is_cut(data):
            raise TruncatedReplyError("The reply ended in the middle of its JSON.") from None
        hint = "Is the base URL that of an OpenAI-compatible API?"
        said = bytes(data[:80]).decode("utf-8", "replace")
        reason = str(error).partition(":")[0]
        msg = f"The reply is no JSON ({reason}): {said!r}."
        raise MalformedReplyError(msg, hint=hint) from None


def _is_cut(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        return bool(data.strip()) and "truncated" in str(error)
    except UnicodeDecodeError:
        return False
    return False


def _mended(value: Any) -> Any:
    """The same value, each lone surrogate replaced by U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return value
