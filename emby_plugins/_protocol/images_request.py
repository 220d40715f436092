"""Requests to the images endpoint: `POST /images/generations` and `/images/edits`.

OpenAI's form, as far as the newest gateway reads it: 2026-08 has the endpoint (its public source),
2025-11 and 2025-12 answer 404 (case `route-images-generations`). Emby's portal has it, and no page
of Emby describes it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypedDict

from emby_plugins._chat import ChatRequest
from emby_plugins._errors import RequestError
from emby_plugins._images import Image
from emby_plugins._messages import ImagePart, Message, TextPart
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.request import image_block
from emby_plugins._protocol.request_body import (
    Base64,
    Plain,
    StreamedBody,
    body_of,
    json_body,
)

MAX_N = 10

IMAGE_INSTRUCTION = "Generate an image of what is described, or edit the image that is given."
"""The system prompt of `Emby.image`; the images endpoint needs none."""

_FROM_CONFIG = {"aspect_ratio": "aspect_ratio", "image_size": "size", "image_quality": "quality"}


class ImagesOptions(TypedDict, total=False):
    """The options of a request, under OpenAI's names."""

    n: int | None
    size: str | None
    quality: str | None
    background: str | None
    output_format: str | None


@dataclass(frozen=True, slots=True)
class ImagesRequest:
    """A prompt for images, or with `images` an instruction to edit them."""

    prompt: str
    model: str
    images: tuple[Image, ...] = ()
    mask: Image | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        prompt: str,
        *,
        model: str,
        images: Image | Iterable[Image] | None = None,
        mask: Image | None = None,
        options: Mapping[str, object],
    ) -> Self:
        """A request that can be sent; options that are None are left out. Raises `RequestError`."""
        if not isinstance(prompt, str) or not prompt.strip():
            raise RequestError(f"The prompt is {prompt!r:.60}; expected text.")
        n = options.get("n")
        if n is not None and not (isinstance(n, int) and 1 <= n <= MAX_N):
            raise RequestError(f"n is {n!r}; expected a number of images from 1 to {MAX_N}.")
        given = () if images is None else (images,) if isinstance(images, Image) else tuple(images)
        if images is not None and not (given and all(isinstance(i, Image) for i in given)):
            raise RequestError("Expected the images to edit: an Image, or at least one in a list.")
        _check_mask(mask, given)
        set_ = {name: value for name, value in options.items() if value is not None}
        return cls(prompt, model, given, mask, set_)

    @classmethod
    def from_chat(cls, chat: ChatRequest, mask: Image | None = None) -> Self:
        """The request to the endpoint that means the same as a chat.

        Raises `RequestError` for what only a chat can express.
        """
        config = chat.options.get("image_config") or {}
        others = {name for name, value in chat.options.items() if value} - {"image_config"}
        # The endpoint never streams.
        if not (chat.options.get("extra_body") or {}).keys() - {"stream"}:
            others.discard("extra_body")
        if unknown := sorted({*others, *(config.keys() - _FROM_CONFIG.keys())}):
            raise RequestError(f"The images endpoint does not take {unknown[0]!r}.")
        messages = [m for m in chat.messages if m != Message.system(IMAGE_INSTRUCTION)]
        parts = messages[0].content if len(messages) == 1 else ()
        texts = [part.text for part in parts if isinstance(part, TextPart)]
        images = tuple(part.image for part in parts if isinstance(part, ImagePart))
        if len(texts) != 1 or len(parts) != 1 + len(images) or messages[0].role != "user":
            msg = "The images endpoint takes one message with a text and images, nothing else."
            raise RequestError(msg)
        _check_mask(mask, images)
        options = {_FROM_CONFIG[name]: value for name, value in config.items()}
        return cls(texts[0], chat.model, images, mask, {"n": 1, **options})

    def to_chat(self) -> ChatRequest:
        """The chat that means the same, as plugins are shown it."""
        given = (*self.images, self.mask) if self.mask is not None else self.images
        return ChatRequest(self.model, (Message.user(self.prompt, *given),))

    @property
    def path(self) -> str:
        """Below the base URL."""
        return "/images/edits" if self.images else "/images/generations"

    def encode(self, limits: Limits) -> tuple[str, bytes | StreamedBody]:
        """The content type and the body, which is streamed if it has large images.

        JSON, as 2026-08 reads all images of it, and of a form one; but a mask only of a form.
        Raises `InvalidImageError` for an image that Emby does not take.
        """
        fields: dict[str, Any] = {"model": self.model, "prompt": self.prompt, **self.options}
        blocks = [image_block(image, None, limits)["image_url"] for image in self.images]
        if self.mask is not None:
            image_block(self.mask, None, limits)  # the same checks
            return _form(fields, {"image": self.images[0], "mask": self.mask})
        if blocks:
            fields["images"] = [{"image_url": block["url"]} for block in blocks]
        try:
            return "application/json", json_body(fields)
        except (TypeError, ValueError) as error:
            raise RequestError(f"The request can't be written as JSON: {error}.") from None


def _check_mask(mask: Image | None, images: tuple[Image, ...]) -> None:
    if mask is not None and (len(images) != 1 or images[0].url or mask.url):
        # 2026-08 reads one image and the mask of a form, and no mask beside several images.
        msg = "A mask needs exactly one image, and both must be data, not addresses."
        raise RequestError(msg, hint="Edit the images one at a time.")


def _form(
    fields: Mapping[str, object], files: Mapping[str, Image]
) -> tuple[str, bytes | StreamedBody]:
    """A multipart form; names and media types are ours, so they need no escaping."""
    head = "Content-Disposition: form-data; name="
    texts = [f'{head}"{name}"\r\n\r\n{value}' for name, value in fields.items()]
    images = {name: image.pinned() for name, image in files.items()}
    digests = [image.sha256 for image in images.values()]
    # Made of all that is in it, the boundary can't be in it; the same form has the same bytes.
    boundary = f"emby-{hashlib.sha256(''.join(texts + digests).encode()).hexdigest()}"
    parts: list[bytes | Base64 | Plain] = [f"--{boundary}\r\n{t}\r\n".encode() for t in texts]
    for name, image in images.items():
        file = f'{head}"{name}"; filename="{name}{image.suffix}"'
        kind = f"Content-Type: {image.media_type}"
        parts += [f"--{boundary}\r\n{file}\r\n{kind}\r\n\r\n".encode(), Plain(image), b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", body_of(parts)
