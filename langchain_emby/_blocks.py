"""`Image` to LangChain's content block and back.

Blocks are LangChain's v1 form: `{"type": "image", "base64": ..., "mime_type": ...}`, or `"url"`
for an image that is only an address. The bytes are the same before and after.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

import pybase64
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from emby_plugins import Image, InvalidImageError, Provenance, RequestError

_FIELDS = {field.name for field in fields(Image)}


def image_block(image: Image, index: int | None = None) -> dict[str, Any]:
    """An image as a content block for a message: `HumanMessage([image_block(image), "A hat!"])`.

    `index` numbers the images of a reply. It is spelled `lc_img_N`, the one spelling under
    which several images survive the merging of streamed chunks whatever the output version.
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
    """The image of a content block, in any of the shapes that LangChain's users write.

    Those are: v1 and v0 image blocks, OpenAI's `image_url` (a dict or a string) and Anthropic's
    `source`. A wrong or missing media type does no harm: the bytes tell. Raises
    `InvalidImageError` for what does not decode, and `RequestError` for the `file_id` of another
    provider's store.
    """
    if block.get("type") == "image_url":
        target = block.get("image_url")
        return _of_url(target.get("url") if isinstance(target, Mapping) else target)
    source = block["source"] if isinstance(block.get("source"), Mapping) else block
    encoded = source.get("base64") or (source.get("data") if "url" not in source else None)
    if encoded:
        return Image(content=decode(encoded, "The image block"))
    if source.get("url"):
        return _of_url(source["url"])
    if source.get("file_id") or source.get("source_type") == "id":
        hint = "Give the image's bytes as base64, or its https url."
        raise RequestError("An image can't be sent as the file_id of an uploaded file.", hint=hint)
    keys = ", ".join(sorted(map(str, block)))
    raise RequestError(
        f"There is no image in the image block; its keys are {keys}.",
        hint="It needs base64 or url; image_block() makes one.",
    )


def images_of(message: BaseMessage) -> list[Image]:
    """The images of a message, in order, with exact bytes; an empty list where there are none.

    Images of a reply carry the provenance that the message knows: the model and the request id.
    Those of a tool message come from its artifact where that is images, as `EmbyImageTool`'s is,
    fresh or out of a LangGraph checkpoint. Raises `InvalidImageError` and `RequestError` as
    `block_image` does.
    """
    if isinstance(message, ToolMessage):
        made = _of_artifact(message.artifact)
        if made:
            return made
    images = [block_image(block) for block in image_blocks(message)]
    if isinstance(message, AIMessage) and "model_name" in message.response_metadata:
        known = message.response_metadata
        origin = Provenance(known["model_name"], prompt="", request_id=known.get("request_id"))
        images = [image.with_provenance(origin) for image in images]
    return images


def image_blocks(message: BaseMessage) -> list[dict[Any, Any]]:
    """The blocks of a message that are images, in any shape."""
    content = message.content if isinstance(message.content, list) else []
    return [block for block in content if isinstance(block, dict) and is_image(block)]


def is_image(block: Mapping[str, Any]) -> bool:
    """Whether a content block is an image in any shape."""
    return block.get("type") in {"image", "image_url"}


def decode(encoded: object, what: str) -> bytes:
    """The bytes of base64, or of a data URL in its place; line breaks are tolerated.

    Raises `InvalidImageError`, which names `what`, for anything else.
    """
    if not isinstance(encoded, str):
        raise InvalidImageError(f"{what} holds {type(encoded).__name__}, not base64 text.")
    if encoded[:5].lower() == "data:":
        encoded = encoded.partition(",")[2]
    try:
        try:
            data = pybase64.b64decode(encoded, validate=True)
        except ValueError:
            data = pybase64.b64decode("".join(encoded.split()), validate=True)
    except ValueError as error:
        raise InvalidImageError(f"{what} holds broken base64: {error}.") from None
    if not data:
        raise InvalidImageError(f"{what} is empty.")
    return data


def _of_url(url: object) -> Image:
    if not isinstance(url, str):
        raise RequestError(f"The url of an image is {type(url).__name__}, not text.")
    if urlsplit(url[:8]).scheme == "data":
        return Image.from_data_url(url)
    return Image.from_url(url)


def _of_artifact(artifact: object) -> list[Image]:
    """The images of a tool's artifact, when it is images and nothing else.

    LangGraph's checkpointers bring them back as dicts of their fields: no type of ours is stored,
    so none has to be allowed.
    """
    items = artifact if isinstance(artifact, list | tuple) else [artifact]
    images = [_revived(item) for item in items]
    return [image for image in images if image is not None] if None not in images else []


def _revived(item: object) -> Image | None:
    if isinstance(item, Image) or item is None:
        return item
    if not isinstance(item, Mapping) or not {"content", "url"} <= item.keys() <= _FIELDS:
        return None
    if isinstance(item["content"], bytes):
        image = Image(content=item["content"])
    elif isinstance(item["url"], str):
        image = Image.from_url(item["url"])
    else:
        return None
    origin = item.get("provenance")
    return image.with_provenance(Provenance(**origin)) if isinstance(origin, Mapping) else image
