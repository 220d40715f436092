"""Prepare images for sending: convert, shrink, and remove private metadata, only if needed.

Image filters (hook `emby_image_filters`) run in order on each inline image of a request. As long as
none of them decodes the pixels, the original bytes are sent. Otherwise the result is encoded once,
after the last filter, so that several changes cost no more quality than one. Equal input gives
equal output: prompt caches and recorded requests depend on it.
"""

import logging
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from emby_plugins._catalog import ModelCard
from emby_plugins._chat import ChatRequest
from emby_plugins._errors import ConfigurationError, InvalidImageError
from emby_plugins._files import MAX_FILE_BYTES
from emby_plugins._hookspecs import hookimpl
from emby_plugins._images import Image, PreparedImage
from emby_plugins._media_types import ACCEPTED_MEDIA_TYPES, IMAGE_MEDIA_TYPES, sniff
from emby_plugins._messages import FilePart, ImagePart, Part
from emby_plugins._pixels import (
    MAX_PIXELS,
    Metadata,
    encode,
    frame_count,
    has_metadata,
    load_upright,
    open_image,
    orientation,
    read_metadata,
    scaled,
    to_web_mode,
)
from emby_plugins._protocol.images_request import ImagesRequest

if TYPE_CHECKING:
    import PIL.Image

MAX_IMAGE_BYTES = 20_000_000
"""What every model accepts: Emby, Vision Support page, "Supported Image Types"."""

ImageMetadata: TypeAlias = Literal["reduce", "keep", "remove"]

_QUALITIES = (90, 80, 70, 60)
_MIN_SIDE = 16
# JPEG decodes at half the width and height without ever holding all pixels in memory.
_MAX_DRAFT_PIXELS = 4 * MAX_PIXELS
_LOSSY_TYPES = {"image/jpeg", "image/heic", "image/avif"}

_log = logging.getLogger("emby_plugins")


@dataclass(frozen=True, slots=True)
class OutgoingImage:
    """An image that is being prepared for a model; what an image filter receives and returns.

    `pixels` is None until a filter decodes them, and until then the bytes of `image` are sent
    unchanged. Otherwise they are encoded once after the last filter, within `max_bytes` and with
    `exif`. `changes` describes what was done, for the user.
    """

    image: Image
    pixels: "PIL.Image.Image | None" = None
    changes: tuple[str, ...] = ()
    exif: bytes = b""
    metadata: Metadata | None = None
    max_bytes: int = MAX_IMAGE_BYTES

    def decode(self) -> "OutgoingImage":
        """Return the image with its pixels, upright and in mode L, LA, RGB or RGBA.

        Raises `InvalidImageError`.
        """
        return self if self.pixels is not None else _decode(self)

    def edit(
        self, function: "Callable[[PIL.Image.Image], PIL.Image.Image]", change: str
    ) -> "OutgoingImage":
        """The image with its pixels changed by `function`, as described by `change`."""
        decoded = self.decode()
        assert decoded.pixels is not None
        pixels = function(decoded.pixels)
        return replace(decoded, pixels=pixels, changes=(*decoded.changes, change))


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """A step in the preparation of images, returned by the hook `emby_image_filters`.

    Filters run by `order`; the built-in ones are `convert` (100), `shrink` (800) and `metadata`
    (900). A filter with the name of an earlier registered one replaces it.
    """

    name: str
    order: int
    apply: Callable[[OutgoingImage], OutgoingImage]


class ImagePreparation:
    """The built-in image filters.

    `metadata` is what happens to EXIF data. `reduce`: in a re-encoded image only the camera, the
    time and the exposure are kept; location, serial numbers, owner and maker notes are removed.
    `keep`: all of it stays. `remove`: all metadata is removed, and an image that has any is
    re-encoded for it.
    """

    def __init__(self, metadata: ImageMetadata = "reduce") -> None:
        choices = get_args(ImageMetadata)
        if metadata not in choices:
            msg = f"Invalid image_metadata: {metadata!r}."
            raise ConfigurationError(msg, hint=f"Use one of {', '.join(choices)}.")
        self._metadata = metadata

    @hookimpl
    def emby_image_filters(self, model: ModelCard) -> Iterable[ImageFilter]:
        """Convert what Emby doesn't accept, treat metadata, and shrink what is too large."""
        return [
            ImageFilter("convert", 100, _convert),
            ImageFilter("shrink", 800, lambda outgoing: _shrink(outgoing, model)),
            ImageFilter("metadata", 900, self._apply_metadata),
        ]

    def _apply_metadata(self, outgoing: OutgoingImage) -> OutgoingImage:
        if (
            self._metadata == "remove"
            and outgoing.pixels is None
            and has_metadata(outgoing.image.data)
        ):
            outgoing = outgoing.decode()
        if outgoing.metadata is None:
            return outgoing
        metadata = outgoing.metadata
        if self._metadata == "keep":
            return replace(outgoing, exif=metadata.exif)
        changes = outgoing.changes
        if self._metadata == "remove":
            return replace(outgoing, changes=(*changes, "metadata removed"))
        if metadata.private:
            changes += (f"{' and '.join(metadata.private)} removed",)
        return replace(outgoing, exif=metadata.reduced_exif, changes=changes)


class PreparedImages:
    """What images were prepared to, remembered as long as they exist.

    A conversation sends the same image in every turn, and preparing it may take seconds.
    """

    def __init__(self) -> None:
        self._results: dict[int, tuple[weakref.ref[Image], Image, tuple[str, ...]]] = {}

    def get(self, image: Image) -> PreparedImage | None:
        """Return what this very image was prepared to, if it was."""
        original, sent, changes = self._results.get(id(image), (None, image, ()))
        if original is None or original() is not image:
            return None
        return PreparedImage(image, sent, changes)

    def add(self, prepared: PreparedImage) -> None:
        """Remember a result, except for a file that may change."""
        image, results = prepared.original, self._results
        key = id(image)

        def forget(_: object) -> None:
            results.pop(key, None)

        if image.pinned() is image:
            results[key] = (weakref.ref(image, forget), prepared.sent, prepared.changes)


def prepare_request(
    request: ChatRequest | ImagesRequest,
    filters: Iterable[ImageFilter],
    known: PreparedImages | None = None,
) -> tuple[ChatRequest | ImagesRequest, tuple[PreparedImage, ...]]:
    """Run the filters on each inline image; return the request to send and what was changed.

    `known` are results of the same filters, which are used again, and to which new ones are added.
    Raises `InvalidImageError` for an image that can't be converted, and anything a filter raises.
    """
    latest = {step.name: step for step in filters}
    steps = sorted(latest.values(), key=lambda step: step.order)
    prepared: list[PreparedImage] = []

    def prepare(part: Part) -> Part:
        image = inline_image(part)
        done = _prepare_once(image, steps, known) if image is not None else None
        if done is None:
            return part
        prepared.append(done)
        return ImagePart(done.sent, part.detail if isinstance(part, ImagePart) else None)

    result: ChatRequest | ImagesRequest
    if isinstance(request, ImagesRequest):
        parts = [prepare(ImagePart(image)) for image in request.images]
        images = tuple(part.image for part in parts if isinstance(part, ImagePart))
        result = replace(request, images=images)
    else:
        messages = [replace(m, content=tuple(map(prepare, m.content))) for m in request.messages]
        result = replace(request, messages=tuple(messages))
    return (result, tuple(prepared)) if prepared else (request, ())


def has_inline_images(request: ChatRequest | ImagesRequest) -> bool:
    """Whether the request has images to prepare: those that are sent as bytes.

    An image with a mask is sent unchanged, since the two must stay aligned pixel by pixel.
    """
    if isinstance(request, ImagesRequest):
        return request.mask is None and any(image.url is None for image in request.images)
    return any(inline_image(part) for message in request.messages for part in message.content)


def inline_image(part: Part) -> Image | None:
    """Return the image of a part, except a URL. An image given as a file counts as well."""
    if isinstance(part, ImagePart):
        return part.image if part.image.url is None else None
    if isinstance(part, FilePart) and part.data and sniff(part.data) in IMAGE_MEDIA_TYPES:
        return Image(part.data)
    return None


def _prepare_once(
    image: Image, steps: Iterable[ImageFilter], known: PreparedImages | None
) -> PreparedImage | None:
    done = known.get(image) if known is not None else None
    if done is None:
        done = _prepare(image, steps)
        if done is not None and known is not None:
            known.add(done)
    return done


def _prepare(image: Image, steps: Iterable[ImageFilter]) -> PreparedImage | None:
    if image.byte_size > MAX_FILE_BYTES:
        # Before any filter reads it: a file may be larger than memory.
        msg = f"{image!r} is over the limit of {MAX_FILE_BYTES:,} bytes for an image to prepare."
        raise InvalidImageError(msg, hint="Send a smaller image.")
    outgoing = OutgoingImage(image)
    for step in steps:
        outgoing = step.apply(outgoing)
    if outgoing.pixels is None:
        return None
    data, scaling = _encode_within(outgoing, outgoing.pixels)
    sent = Image(data, provenance=image.provenance)
    changes = outgoing.changes + scaling
    if image.media_type != sent.media_type:
        changes = (f"converted from {_name(image)} to {_name(sent)}", *changes)
    if image.byte_size > outgoing.max_bytes:
        before, after = image.byte_size / 1e6, len(data) / 1e6
        changes += (f"compressed from {before:.1f} MB to {after:.1f} MB",)
    prepared = PreparedImage(image, sent, changes)
    _log.debug("%s", prepared)
    return prepared


def _convert(outgoing: OutgoingImage) -> OutgoingImage:
    is_accepted = outgoing.image.media_type in ACCEPTED_MEDIA_TYPES
    return outgoing if is_accepted else outgoing.decode()


def _shrink(outgoing: OutgoingImage, model: ModelCard) -> OutgoingImage:
    most, most_pixels = model.max_image_bytes or MAX_IMAGE_BYTES, model.max_image_pixels
    image = outgoing.image
    if outgoing.pixels is None and image.byte_size <= most:
        is_small = most_pixels is None or prod(image.size) <= most_pixels
        if is_small:
            return outgoing
    outgoing = replace(outgoing.decode(), max_bytes=most)
    pixels = outgoing.pixels
    if pixels is None or most_pixels is None or prod(pixels.size) <= most_pixels:
        return outgoing
    smaller = scaled(pixels, (most_pixels / prod(pixels.size)) ** 0.5)
    change = f"scaled from {_format(pixels.size)} to {_format(smaller.size)}"
    return outgoing.edit(lambda _: smaller, change)


def _encode_within(
    outgoing: OutgoingImage, pixels: "PIL.Image.Image"
) -> tuple[bytes, tuple[str, ...]]:
    """Encode within the limit: first by quality, then by size, which is reported."""
    image, most, size = outgoing.image, outgoing.max_bytes, pixels.size
    preferred = _target_type(image, pixels)
    lossy = preferred
    if preferred == "image/png":
        lossy = "image/webp" if pixels.has_transparency_data else "image/jpeg"
    attempts = [(lossy, quality) for quality in _QUALITIES]
    # Encoding a large PNG again at the same size would take seconds and save nothing.
    if preferred == "image/png" and not (
        image.media_type == "image/png" and image.byte_size > most
    ):
        attempts.insert(0, ("image/png", 0))
    # An accepted image must not grow, except a PNG, for which that would cost quality.
    is_accepted = image.media_type in ACCEPTED_MEDIA_TYPES and preferred != "image/png"
    target = min(most, image.byte_size) if is_accepted else most
    best = b""
    for media_type, quality in attempts:
        data = encode(pixels, media_type, quality, outgoing.exif)
        best = min(filter(None, (best, data)), key=len, default=b"")
        if best and len(best) <= target:
            break
    while (not best or len(best) > most) and min(pixels.size) > _MIN_SIDE:
        # The number of bytes grows with the area. Aim a bit lower, to need few rounds.
        factor = min(0.9, 0.95 * (most / len(best)) ** 0.5) if best else 0.5
        pixels = scaled(pixels, max(factor, 0.1))
        best = encode(pixels, lossy, _QUALITIES[1], outgoing.exif)
    if not best or len(best) > most:
        msg = f"An image can't be shrunk to the limit of {most:,} bytes."
        hint = "Send a smaller one, or set Limits(request_image=...) if your model takes it."
        raise InvalidImageError(msg, hint=hint)
    if pixels.size == size:
        return best, ()
    return best, (f"scaled from {_format(size)} to {_format(pixels.size)}",)


def _decode(outgoing: OutgoingImage) -> OutgoingImage:
    image = outgoing.image
    is_jpeg = image.media_type == "image/jpeg"
    opened = open_image(image.data, max_pixels=_MAX_DRAFT_PIXELS if is_jpeg else MAX_PIXELS)
    metadata, size, frames = read_metadata(opened), opened.size, frame_count(opened)
    changes = outgoing.changes
    if orientation(opened) != 1:
        changes += ("rotated upright",)
    if frames > 1:
        unit = "page" if image.media_type == "image/tiff" else "frame"
        changes += (f"only the first {unit} of {frames} sent",)
    if opened.width * opened.height > MAX_PIXELS:
        opened.draft(opened.mode, (opened.width // 2, opened.height // 2))
        changes += (f"scaled from {_format(size)} to {_format(opened.size)}",)
    pixels = to_web_mode(load_upright(opened))
    return replace(outgoing, pixels=pixels, metadata=metadata, changes=changes)


def _target_type(image: Image, pixels: "PIL.Image.Image") -> str:
    if image.media_type == "image/webp":
        return "image/webp"
    if image.media_type in _LOSSY_TYPES:
        return "image/webp" if pixels.has_transparency_data else "image/jpeg"
    return "image/png"


def _name(image: Image) -> str:
    return str(image.media_type).removeprefix("image/").upper()


def _format(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
