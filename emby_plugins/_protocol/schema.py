"""Parse replies in their documented format into typed structs: the fast path.

The structs are as strict as the documentation. For any deviation `parse_completion` returns None,
and `lenient` reads the reply instead. Informative fields stay raw, so that a large one doesn't
become Python objects, which can take forty times its size.
"""

from typing import Any, Literal

import msgspec

from emby_plugins._errors import MalformedReplyError, TruncatedReplyError
from emby_plugins._protocol.loose_json import Document, parse_small

_LARGEST = 256 * 1024
"""Maximum number of bytes parsed at once: an empty object (3 bytes) becomes a 100-byte struct."""
_LARGEST_VALUE = 1 << 20

_NOTHING = msgspec.Raw()


class ImageURL(msgspec.Struct):
    """`{"url": ...}`. The URL stays raw, so that base64 is never copied into a `str`."""

    url: msgspec.Raw


class ImageItem(msgspec.Struct):
    """An entry of `images`: Image Generation page, "Image Item Structure"."""

    image_url: ImageURL | str


class TextPart(msgspec.Struct, tag_field="type", tag="text"):
    """Text in an array `content`, which some gateways send."""

    text: str


class ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    """An image in an array `content`."""

    image_url: ImageURL | str


class RefusalPart(msgspec.Struct, tag_field="type", tag="refusal"):
    """A refusal in an array `content` (OpenAI, chat API)."""

    refusal: str


class FunctionItem(msgspec.Struct):
    """The function of a tool call; both fields may arrive in fragments."""

    name: str | None = None
    arguments: str | None = None


class ToolCallItem(msgspec.Struct):
    """A tool call, or a fragment of one."""

    index: int | None = None
    id: str | None = None
    function: FunctionItem | None = None
    extra_content: msgspec.Raw = _NOTHING
    name: None = None
    arguments: None = None
    input: None = None


class MessageItem(msgspec.Struct):
    """An assistant message, or a delta of one.

    Fields typed as None are undocumented places for content: a value there fails validation, so
    that the lenient reader handles it.
    """

    content: str | list[TextPart | ImagePart | RefusalPart] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: msgspec.Raw = _NOTHING
    images: list[ImageItem] | None = None
    tool_calls: list[ToolCallItem] | None = None
    annotations: msgspec.Raw = _NOTHING
    refusal: str | None = None
    image: None = None
    image_url: None = None
    audio: None = None
    thinking_blocks: None = None
    reasoning_signature: None = None
    reasoning_opaque: None = None
    extra_content: None = None


class Choice(msgspec.Struct):
    """A choice of a reply (`message`) or chunk (`delta`)."""

    index: Literal[0] | None = None
    delta: MessageItem | None = None
    message: MessageItem | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """A complete reply, or one chunk of a stream."""

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
    """Parse a reply or a chunk. Returns None for a large or undocumented one."""
    if len(data) > _LARGEST:
        return None
    try:
        return _completion.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parse_json(data: bytes) -> Any:
    """Parse a small JSON value. Raises `MalformedReplyError` or `TruncatedReplyError`."""
    value = parse_small(data, _LARGEST_VALUE)
    if value is None and data.strip() != b"null":
        document = Document(data)
        document.check_end()
        if document.is_cut:
            raise TruncatedReplyError("The response ended in the middle of its JSON.")
        shown = data[:80].decode("utf-8", "replace")
        raise MalformedReplyError(f"The response is not valid JSON: {shown!r}.")
    return value
