"""The JSON of a reply in its documented form, parsed into the few fields that are read.

The structs are as strict as the documented form, so that nothing else passes for it: any deviation
makes `parse_completion` return None, and the reply is read leniently instead (`lenient`). Fields
that only inform stay raw, so that none of them can fill the memory.
"""

from typing import Any, Literal

import msgspec

from emby_plugins._errors import MalformedReplyError, TruncatedReplyError
from emby_plugins._protocol.loose_json import Document, parse_small

_LARGEST = 256 * 1024
"""The most bytes parsed at once: an empty object of three bytes becomes a struct of a hundred."""
_LARGEST_VALUE = 1 << 20

_NOTHING = msgspec.Raw()


class ImageURL(msgspec.Struct):
    """`{"url": ...}`. The url stays raw: base64 goes from here straight into the decoder."""

    url: msgspec.Raw


class ImageItem(msgspec.Struct):
    """An entry of `images`: Image Generation page, "Image Item Structure"."""

    image_url: ImageURL | str


class TextPart(msgspec.Struct, tag_field="type", tag="text"):
    """Text in a `content` that is an array, as some gateways send it."""

    text: str


class ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    """An image in a `content` that is an array."""

    image_url: ImageURL | str


class FunctionItem(msgspec.Struct):
    """What a tool call calls; both may come in fragments."""

    name: str | None = None
    arguments: str | None = None


class ToolCallItem(msgspec.Struct):
    """A tool call, or a fragment of one."""

    index: int | None = None
    id: str | None = None
    function: FunctionItem | None = None
    name: None = None
    arguments: None = None
    input: None = None


class MessageItem(msgspec.Struct):
    """An assistant's message, or a delta of one: they differ only in how much they hold.

    What is typed as None is content in a place that is not documented: see `lenient`.
    """

    content: str | list[TextPart | ImagePart] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    images: list[ImageItem] | None = None
    tool_calls: list[ToolCallItem] | None = None
    annotations: msgspec.Raw = _NOTHING
    refusal: str | None = None
    image: None = None
    image_url: None = None
    audio: None = None


class Choice(msgspec.Struct):
    """A choice of a reply (`message`) or of a chunk (`delta`)."""

    index: Literal[0] | None = None
    delta: MessageItem | None = None
    message: MessageItem | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """A whole reply, or one chunk of a stream."""

    choices: list[Choice] | None = None
    error: None = None
    usage: msgspec.Raw = _NOTHING
    id: str | None = None
    model: str | None = None
    created: int | None = None
    metadata: msgspec.Raw = _NOTHING
    system_fingerprint: str | None = None


_completion = msgspec.json.Decoder(Completion)


def parse_completion(data: bytes) -> Completion | None:
    """Return a reply or a chunk; None for one that is large, or not of the documented form."""
    if len(data) > _LARGEST:
        return None
    try:
        return _completion.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parse_json(data: bytes) -> Any:
    """Return a small JSON value. Raises `MalformedReplyError`, or `TruncatedReplyError`."""
    value = parse_small(data, _LARGEST_VALUE)
    if value is None and data.strip() != b"null":
        document = Document(data)
        document.check_end()
        if document.is_cut:
            raise TruncatedReplyError("The response ended in the middle of its JSON.")
        shown = data[:80].decode("utf-8", "replace")
        raise MalformedReplyError(f"The response is not valid JSON: {shown!r}.")
    return value
