"""Convert `Image`s to LangChain content blocks and back, without changing a byte.

Blocks are LangChain's v1 blocks: `{"type": "image", "base64": ..., "mime_type": ...}`, with
`"url"` for an image that was never downloaded, or with `"file_id"` for one in an image folder.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from emby_plugins import Image, InvalidImageError, Provenance, RequestError, decode_base64
from langchain_emby._image_files import (
    ImageDir,
    digest_start,
    is_reference,
    open_reference,
    store_image,
)

_FIELDS = {field.name for field in fields(Image)}
_WITH_IMAGE_URL = ("input_image", "computer_screenshot")  # of OpenAI's Responses API
_PLACES = ("content", "artifact")
_PROVENANCE = ("model", "prompt", "request_id")


def image_block(
    image: Image, index: int | None = None, *, image_dir: ImageDir = None
) -> dict[str, Any]:
    """An image as a content block for a message: `HumanMessage([image_block(image), "A hat!"])`.

    With `image_dir` the image is kept as a file of that folder, and the block has its name as
    `file_id` instead of base64; see `ChatEmby`. `index` numbers the images of a reply. It becomes
    `lc_img_N`, the only form with which several images survive the merging of streamed chunks in
    every output version.
    """
    block: dict[str, Any] = {"type": "image"}
    if image.url is not None:
        block["url"] = image.url
    else:
        reference = None if image_dir is None else store_image(image, image_dir)
        stored = {"base64": image.base64} if reference is None else {"file_id": reference}
        block |= {**stored, "mime_type": image.media_type}
    if index is not None:
        block["index"] = f"lc_img_{index}"
    return block


def block_image(block: Mapping[str, Any], *, image_dir: ImageDir = None) -> Image:
    """The image of a content block.

    Accepts v1 and v0 image blocks, OpenAI's `image_url` (a dict or a string), `input_image` and
    `image_generation_call`, Anthropic's `source` and Gemini's `media`. The media type is detected
    from the bytes, so it may be wrong or missing. A file of an image folder is looked up in
    `image_dir`, by default in the folders of the `ChatEmby`s of this process. Raises
    `InvalidImageError` for data that does not decode and a file that is missing, and `RequestError`
    for the `file_id` of another provider.
    """
    kind = block.get("type")
    if kind == "image_url" or (kind in _WITH_IMAGE_URL and block.get("image_url")):
        target = block.get("image_url")
        return _from_url(target.get("url") if isinstance(target, Mapping) else target)
    if kind == "image_generation_call":
        return _from_base64(block["result"], "The image_generation_call block")
    source = block["source"] if isinstance(block.get("source"), Mapping) else block
    address = source.get("url") or source.get("file_uri")
    encoded = source.get("base64") or (None if address else source.get("data"))
    if encoded:
        return _from_base64(encoded, "The image block")
    if address:
        return _from_url(address)
    if source.get("file_id") or source.get("source_type") == "id":
        return open_reference(source.get("file_id"), image_dir)
    keys = ", ".join(sorted(map(str, block)))
    raise RequestError(
        f"The image block has neither base64 nor url (keys: {keys}).",
        hint="image_block() creates one from an Image.",
    )


def image_id(image: Image) -> str:
    """The id of an image, such as `image_3f9a2c1b`, as used by `EmbyImageTool`.

    The same bytes (or the same URL) always have the same id.
    """
    if image.url is not None:
        return f"image_{hashlib.sha256(image.url.encode()).hexdigest()[:8]}"
    return f"image_{digest_start(image)}"


def images_of(message: BaseMessage, *, image_dir: ImageDir = None) -> list[Image]:
    """The images of a message, in order, byte for byte; an empty list if it has none.

    Images of a reply have the message's provenance: the model and the request id. Those of a tool
    message are read from its artifact if that consists of images, like `EmbyImageTool`'s, before
    and after a checkpoint. `image_dir` is as in `block_image`, and so are the errors raised.
    """
    if isinstance(message, ToolMessage):
        images = _from_artifact(message.artifact, image_dir)
        if images:
            return images
    images = [block_image(block, image_dir=image_dir) for block in image_blocks(message)]
    if isinstance(message, AIMessage) and "model_name" in message.response_metadata:
        metadata = message.response_metadata
        origin = Provenance(
            metadata["model_name"], prompt="", request_id=metadata.get("request_id")
        )
        images = [image.with_provenance(origin) for image in images]
    return images


def inline_images(
    messages: Iterable[BaseMessage], *, image_dir: ImageDir = None
) -> list[BaseMessage]:
    """The messages with base64 in place of the names of files, to leave this process.

    For other providers' models, browsers and files, which have no image folder. `image_dir` is as
    in `block_image`, and so are the errors raised. The messages given are not changed.
    """
    return [_inlined(message, image_dir) for message in messages]


def _inlined(message: BaseMessage, image_dir: ImageDir) -> BaseMessage:
    update = {name: _inline(getattr(message, name, None), image_dir) for name in _PLACES}
    changed = {name: value for name, value in update.items() if value is not None}
    return message.model_copy(update=changed) if changed else message


def _inline(blocks: object, image_dir: ImageDir) -> list[Any] | None:
    """A list of blocks with base64 in place of references; None if it has none."""
    if not isinstance(blocks, list) or not any(map(_has_reference, blocks)):
        return None
    return [_inline_block(b, image_dir) if _has_reference(b) else b for b in blocks]


def _has_reference(block: object) -> bool:
    return isinstance(block, Mapping) and is_reference(block.get("file_id"))


def _inline_block(block: Mapping[str, Any], image_dir: ImageDir) -> dict[str, Any]:
    others = {name: value for name, value in block.items() if name != "file_id"}
    return {**others, "base64": block_image(block, image_dir=image_dir).base64}


def image_blocks(message: BaseMessage) -> list[dict[Any, Any]]:
    """The image blocks of a message, of any provider.

    ChatOpenAI keeps those of its Responses API beside the content in its version v0.
    """
    content = message.content if isinstance(message.content, list) else []
    beside = message.additional_kwargs.get("tool_outputs")
    blocks = [*content, *(beside if isinstance(beside, list) else ())]
    return [block for block in blocks if isinstance(block, dict) and is_image(block)]


def is_image(block: Mapping[str, Any]) -> bool:
    """Whether a content block is an image, of any provider."""
    kind = block.get("type")
    if kind == "image_generation_call":
        return bool(block.get("result"))
    if kind == "media":
        return str(block.get("mime_type")).startswith("image/")
    return kind in {"image", "image_url"} or kind in _WITH_IMAGE_URL


def decode(encoded: object, what: str) -> bytes:
    """Decode base64 or a data URL; line breaks are tolerated.

    Raises `InvalidImageError`, with a message that begins with `what`, for anything else.
    """
    if isinstance(encoded, bytes):  # Gemini's media blocks
        return encoded
    if not isinstance(encoded, str):
        raise InvalidImageError(f"{what} must contain base64 text, got {type(encoded).__name__}.")
    if encoded[:5].lower() == "data:":
        encoded = encoded.partition(",")[2]
    try:
        data = decode_base64(encoded)
    except ValueError as error:
        raise InvalidImageError(f"{what} contains invalid base64: {error}.") from None
    if not data:
        raise InvalidImageError(f"{what} is empty.")
    return data


def _from_base64(encoded: object, what: str) -> Image:
    """The image of base64 or of a data URL, which is verified but not decoded."""
    if not isinstance(encoded, str):
        return Image(content=decode(encoded, what))
    try:
        return Image.from_base64(encoded)
    except InvalidImageError as error:
        raise InvalidImageError(error.message.replace("The image", what, 1)) from None


def _from_url(url: object) -> Image:
    if not isinstance(url, str):
        raise RequestError(f"The URL of an image must be a string, got {type(url).__name__}.")
    scheme = urlsplit(url[:8]).scheme
    if scheme == "data":
        return Image.from_data_url(url)
    if scheme == "gs":
        hint = "Pass the image as base64 or as an https URL."
        raise RequestError("Images can't be sent by an address of Google's storage.", hint=hint)
    return Image.from_url(url)


def to_artifact(images: Iterable[Image], image_dir: ImageDir = None) -> list[dict[str, Any]]:
    """Images as a tool's artifact: image blocks with id, digest and provenance, all of it JSON.

    No type of ours and no bytes, so that every store and serializer of messages keeps them.
    """
    return [_to_record(image, image_dir) for image in images]


def _to_record(image: Image, image_dir: ImageDir) -> dict[str, Any]:
    record = {**image_block(image, image_dir=image_dir), "id": image_id(image)}
    if image.url is None:
        record["sha256"] = image.sha256
    if image.provenance is not None:
        known = {name: getattr(image.provenance, name) for name in _PROVENANCE}
        record["provenance"] = {name: value for name, value in known.items() if value is not None}
    return record


def _from_artifact(artifact: object, image_dir: ImageDir) -> list[Image]:
    """The images of a tool's artifact, if it consists only of images."""
    items = artifact if isinstance(artifact, list | tuple) else [artifact]
    images = [_restore_image(item, image_dir) for item in items]
    return [image for image in images if image is not None] if None not in images else []


def _restore_image(item: object, image_dir: ImageDir) -> Image | None:
    if isinstance(item, Image) or item is None:
        return item
    if not isinstance(item, Mapping):
        return None
    if item.get("type") == "image":
        image = block_image(item, image_dir=image_dir)
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
