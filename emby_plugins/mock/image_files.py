"""Opens input images safely and encodes output images. The only module that decodes foreign bytes.

The size in bytes and the pixel count in the header are checked before any pixel is decoded, and all
images of a request share one allowance of pixels.
"""

import io
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pybase64
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from emby_plugins.mock.errors import ApiError, bad_image
from emby_plugins.mock.generate import generate
from emby_plugins.mock.requests import FilePart, ImagePart

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""What Emby takes (Vision page, Supported Image Types)."""

MAX_PIXELS = 64_000_000
MAX_BYTES = 30_000_000
MAX_REQUEST_PIXELS = 128_000_000

# The least that an image takes of the allowance: small and generated ones cost time too.
_MIN_PRICE = 100_000
_PLACEHOLDER_PRICE = 1_000_000
_PLACEHOLDER_SIDE = 256

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)
_DESCRIPTION_TAG = 0x010E


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as the mock sees it: upright pixels, and what was known of the file.

    `origin` says how the mock itself made it, if it did. `address` is the URL of an image that was
    not fetched.
    """

    pixels: Image.Image
    format: str
    frames: int = 1
    origin: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that is not an image; `data` is None when only an id was sent."""

    name: str
    media_type: str | None
    data: bytes | None


class Opener:
    """Opens the images of one request, with one allowance of pixels for all of them."""

    def __init__(self) -> None:
        self._allowance = MAX_REQUEST_PIXELS

    def image(self, part: ImagePart) -> Picture:
        """The picture of an image part. Raises ApiError, as documented, if it can't be opened."""
        scheme = part.url.partition(":")[0].lower()
        if scheme == "https":
            self._spend(_PLACEHOLDER_PRICE, part.where)
            return _placeholder(part)
        if scheme != "data":
            shown = scheme if re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme) else "such"
            raise bad_image(f"{shown} URLs are not supported, use https or data", part.where)
        media_type, data = _split_data_url(part.url, part.where)
        if not media_type.startswith("image/"):
            raise bad_image(f"the data URL has the media type {media_type[:60]}", part.where)
        return self._decode(data, part.where)

    def file(self, part: FilePart) -> Picture | Attachment:
        """A file part: a picture if its data URL has the media type of an image."""
        name = part.name or part.file_id or "unnamed file"
        if part.data is None:
            return Attachment(name, None, None)
        media_type, data = _split_data_url(part.data, part.where)
        if media_type.startswith("image/"):
            return self._decode(data, part.where)
        return Attachment(name, media_type, data)

    def _spend(self, pixels: int, where: str) -> None:
        self._allowance -= pixels
        if self._allowance < 0:
            raise bad_image("too many or too large images in one request", where)

    def _decode(self, data: bytes, where: str) -> Picture:
        if len(data) > MAX_BYTES:
            raise bad_image(f"{len(data)} bytes, the limit is {MAX_BYTES}", where)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._load(data, where)
        except ApiError:
            raise
        except UnidentifiedImageError as error:
            raise bad_image("not a PNG, JPEG, WebP or GIF", where) from error
        except Exception as error:
            raise bad_image(str(error)[:120] or type(error).__name__, where) from error

    def _load(self, data: bytes, where: str) -> Picture:
        with Image.open(io.BytesIO(data), formats=FORMATS) as header:
            pixels = header.width * header.height
            if pixels > MAX_PIXELS:
                raise bad_image(f"{pixels} pixels, the limit is {MAX_PIXELS}", where)
            self._spend(max(pixels, _MIN_PRICE), where)
            header.verify()
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            frames = int(getattr(image, "n_frames", 1))
            mode = "RGBA" if upright.has_transparency_data else "RGB"
            name = "JPEG" if image.format == "MPO" else str(image.format)
            return Picture(upright.convert(mode), name, frames, _read_origin(image))


def encode(pixels: Image.Image, image_format: str, prompt: str, *, edited: bool) -> bytes:
    """The file of an output image, with the prompt in the place its format has for text."""
    text = prompt[:2000].replace("\0", " ")
    raw = text.encode("utf-8", "replace")
    exif = Image.Exif()
    exif[_DESCRIPTION_TAG] = raw
    info = PngImagePlugin.PngInfo()
    info.add_itxt("prompt", text)
    info.add_text("software", "emby-mock")
    info.add_text("made", "edited" if edited else "generated")
    options: dict[str, dict[str, Any]] = {
        "PNG": {"pnginfo": info},
        "GIF": {"comment": raw},
        "WEBP": {"quality": 88, "exif": exif},
        "JPEG": {"quality": 90, "exif": exif, "comment": raw},
    }
    if image_format == "JPEG" and pixels.mode == "RGBA":
        white = Image.new("RGBA", pixels.size, "white")
        pixels = Image.alpha_composite(white, pixels).convert("RGB")
    out = io.BytesIO()
    pixels.save(out, image_format, **options[image_format])
    return out.getvalue()


def _split_data_url(url: str, where: str) -> tuple[str, bytes]:
    head = _DATA_URL.match(url)
    if head is None:
        raise bad_image("expected data:<media type>;base64,<data>", where)
    try:
        return head[1].lower(), pybase64.b64decode(url[head.end() :], validate=True)
    except ValueError as error:
        raise bad_image(f"invalid base64: {error}", where) from error


def _placeholder(part: ImagePart) -> Picture:
    """A picture generated from the file name in a URL, which is not fetched."""
    try:
        address = urlsplit(part.url)
        host = address.hostname
    except ValueError:
        host = None
    if not host:
        raise bad_image("the URL has no host", part.where)
    name = unquote(PurePosixPath(address.path).stem, errors="replace")
    words = re.sub(r"[^\w]+|_", " ", name) or host
    return Picture(_generate_once(words), "PNG", address=f"{host}{address.path}"[:200])


@lru_cache(maxsize=32)
def _generate_once(words: str) -> Image.Image:
    """Shared between requests, so it must not be drawn on: edits make new images."""
    return generate(words, (_PLACEHOLDER_SIDE, _PLACEHOLDER_SIDE))


def _read_origin(image: Image.Image) -> str | None:
    """What the mock wrote into a picture of its own."""
    value = image.info.get("prompt")
    if isinstance(value, str) and image.info.get("software") == "emby-mock":
        made = "edited" if image.info.get("made") == "edited" else "generated"
        return f'{made} by the mock from the prompt "{value[:200]}"'
    return None
