"""Convert `Image`s to LangChain content blocks and back, without changing a byte.

Blocks are LangChain's v1 blocks: `{"type": "image", "base64": ..., "mime_type": ...}`, or with
`"url"` for an image that was never downloaded.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

import pybase64
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from emby_plugins import Image, InvalidImageError, Provenance, RequestError

_FIELDS = {field.name for field in fields(Image)}
_PROVENANCE = ("model", "prompt", "request_id")


def image_block(image: Image, index: int | None = None) -> dict[str, Any]:
    """An image as a content block for a message: `HumanMessage([image_block(image), "A hat!"])`.

    `index` numbers the images of a reply. It becomes `lc_img_N`, the only form with which several
    images survive the merging of streamed chunks in every output version.
    """
    block: dict[str, Any] = {"type": "image"}
    if image.url is not None:
        block["url"] = image.url
    else:
        block["base64"] = pybase64.b64encode_as_string(image.data)
        block["mime_type"] = image.media_type
    if index is not None:
        block["index"] = f"lc_img_{index}"
    return block


def block_image(block: Mapping[str, Any]) -> Image:
    """The image of a content block.

    Accepts v1 and v0 image blocks, OpenAI's `image_url` (a dict or a string), `input_image` and
    `image_generation_call`, Anthropic's `source` and Gemini's `media`. The media type is detected
    from the bytes, so it may be wrong or missing. Raises `InvalidImageError` for data that does not
    decode, and `RequestError` for a `file_id`, which belongs to another provider.
    """
    kind = block.get("type")
    if kind == "image_url" or (kind == "input_image" and "image_url" in block):
        target = block.get("image_url")
        return _from_url(target.get("url") if isinstance(target, Mapping) else target)
    if kind == "image_generation_call":
        return Image(content=decode(block["result"], "The image_generation_call block"))
    source = block["source"] if isinstance(block.get("source"), Mapping) else block
    encoded = source.get("base64") or (source.get("data") if "url" not in source else None)
    if encoded:
        return Image(content=decode(encoded, "The image block"))
    if source.get("url"):
        return _from_url(source["url"])
    if source.get("file_id") or source.get("source_type") == "id":
        hint = "Pass the image as base64 or as an https URL."
        raise RequestError("Images can't be sent by file_id.", hint=hint)
    keys = ", ".join(sorted(map(str, block)))
    raise RequestError(
        f"The image block has neither base64 nor url (keys: {keys}).",
        hint="image_block() creates one from an Image.",
    )


def image_id(image: Image) -> str:
    """The id of an image, such as `image_3f9a2c1b`, as used by `EmbyImageTool`.

    The same bytes (or the same URL) always have the same id.
    """
    key = image.data if image.url is None else image.url.encode()
    return f"image_{hashlib.sha256(key).hexdigest()[:8]}"


def images_of(message: BaseMessage) -> list[Image]:
    """The images of a message, in order, byte for byte; an empty list if it has none.

    Images of a reply have the message's provenance: the model and the request id. Those of a tool
    message are read from its artifact if that consists of images, like `EmbyImageTool`'s, before
    and after a checkpoint. Raises the errors of `block_image`.
    """
    if isinstance(message, ToolMessage):
        images = _from_artifact(message.artifact)
        if images:
            return images
    images = [block_image(block) for block in image_blocks(message)]
    if isinstance(message, AIMessage) and "model_name" in message.response_metadata:
        metadata = message.response_metadata
        origin = Provenance(
            metadata["model_name"], prompt="", request_id=metadata.get("request_id")
        )
        images = [image.with_provenance(origin) for image in images]
    return images


def image_blocks(message: BaseMessage) -> list[dict[Any, Any]]:
    """The image blocks of a message, of any provider."""
    content = message.content if isinstance(message.content, list) else []
    return [block for block in content if isinstance(block, dict) and is_image(block)]


def is_image(block: Mapping[str, Any]) -> bool:
    """Whether a content block is an image, of any provider."""
    kind = block.get("type")
    if kind == "image_generation_call":
        return bool(block.get("result"))
    if kind == "media":
        return str(block.get("mime_type")).startswith("image/")
    return kind in {"image", "image_url", "input_image"}


def decode(encoded: object, what: str) -> bytes:
    """Decode base64 or a data URL; line breaks are tolerated.

    Raises `InvalidImageError`, whose message begins with `what`, for anything else.
    """
    if isinstance(encoded, bytes):  # Gemini's media blocks
        return encoded
    if not isinstance(encoded, str):
        raise InvalidImageError(f"{what} must contain base64 text, got {type(encoded).__name__}.")
    if encoded[:5].lower() == "data:":
        encoded = encoded.partition(",")[2]
    try:
        try:
            data = pybase64.b64decode(encoded, validate=True)
        except ValueError:
            data = pybase64.b64decode("".join(encoded.split()), validate=True)
    except ValueError as error:
        raise InvalidImageError(f"{what} contains invalid base64: {error}.") from None
    if not data:
        raise InvalidImageError(f"{what} is empty.")
    return data


def _from_url(url: object) -> Image:
    if not isinstance(url, str):
        raise RequestError(f"The URL of an image must be a string, got {type(url).__name__}.")
    if urlsplit(url[:8]).scheme == "data":
        return Image.from_data_url(url)
    return Image.from_url(url)


def to_artifact(images: Iterable[Image]) -> list[dict[str, Any]]:
    """Images as a tool's artifact: image blocks with id, digest and provenance, all of it JSON.

    No type of ours and no bytes, so that every store and serializer of messages keeps them.
    """
    return [_to_record(image) for image in images]


def _to_record(image: Image) -> dict[str, Any]:
    record = {**image_block(image), "id": image_id(image)}
    if image.url is None:
        record["sha256"] = image.sha256
    if image.provenance is not None:
        known = {name: getattr(image.provenance, name) for name in _PROVENANCE}
        record["provenance"] = {name: value for name, value in known.items() if value is not None}
    return record


def _from_artifact(artifact: object) -> list[Image]:
    """The images of a tool's artifact, if it consists only of images."""
    items = artifact if isinstance(artifact, list | tuple) else [artifact]
    images = [_restore_image(item) for item in items]
    return [image for image in images if image is not None] if None not in images else []


def _restore_image(item: object) -> Image | None:
    if isinstance(item, Image) or item is None:
        return item
    if not isinstance(item, Mapping):
        return None
    if item.get("type") == "image":
        image = block_image(item)
    # How LangGraph's checkpoints restore the `Image`s that artifacts used to hold.
    elif {"content", "url"} <= item.keys() <= _FIELDS and isinstance(item["content"], bytes):
        image = Image(content=item["content"])
    elif {"content", "url"} <= item.keys() <= _FIELDS and isinstance(item["url"], str):
        image = Image.from_url(item["url"])
    else:
        return None
    origin = item.get("provenance")
    if not isinstance(origin, Mapping) or "model" not in origin:
        return image
    known = {name: origin[name] for name in _PROVENANCE if name in origin}
    return image.with_provenance(Provenance(**{"prompt": "", **known}))
