"""Open input images safely, and encode output images with the prompt in them.

All images of a request share one allowance of pixels, which is checked before any is decoded; the
core checks each.
"""

import io
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from PIL import Image as Pillow, PngImagePlugin

from emby_plugins._errors import InvalidImageError
from emby_plugins._image_sources import decode_data_url
from emby_plugins._images import Image
from emby_plugins._media_types import ACCEPTED_MEDIA_TYPES, sniff
from emby_plugins._pixels import load_upright, open_image, quietly
from emby_plugins.mock import intent
from emby_plugins.mock.edit import edit, names_an_edit
from emby_plugins.mock.errors import ApiError, InputImageError
from emby_plugins.mock.generate import generate
from emby_plugins.mock.requests import MAX_IMAGES, ImageConfig

MAX_BYTES = 30_000_000
MAX_REQUEST_PIXELS = 128_000_000

# The least that an image takes of the allowance: small and generated ones cost time too.
_MIN_PRICE = 100_000
_PLACEHOLDER_PRICE = 1_000_000
_SIDE = 256
_MAX_PROMPT = 10_000
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)
_DESCRIPTION_TAG = 0x010E


@dataclass(frozen=True, slots=True)
class Picture:
    """An opened image: upright pixels, and facts about its file.

    `origin` is how the mock itself made it, if it did. `address` is the URL of an image that was
    not fetched.
    """

    pixels: Pillow.Image
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
    """Opens the images of one request; `where` names them in errors."""

    def __init__(self) -> None:
        self._allowance = MAX_REQUEST_PIXELS

    def image(self, url: str, where: str) -> Picture:
        """The picture of a URL. Raises InputImageError, as documented, if it can't be opened."""
        scheme = url.partition(":")[0].lower()
        if scheme == "https":
            self._spend(_PLACEHOLDER_PRICE, where)
            return _placeholder(url, where)
        if scheme != "data":
            scheme = scheme if re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme) else "such"
            raise InputImageError(f"{scheme} URLs are not supported, use https or data", where)
        media_type, data = _decode(url, where)
        if not media_type.startswith("image/"):
            raise InputImageError(f"the data URL has the media type {media_type[:60]}", where)
        return self.bytes(data, where)

    def file(self, file: Mapping[str, str], where: str) -> Picture | Attachment:
        """A file part: a picture if its data URL has the media type of an image."""
        name = file.get("filename") or file.get("file_id") or "unnamed file"
        if "file_data" not in file:
            return Attachment(name, None, None)
        media_type, data = _decode(file["file_data"], where)
        if media_type.startswith("image/"):
            return self.bytes(data, where)
        return Attachment(name, media_type, data)

    def bytes(self, data: bytes, where: str) -> Picture:
        """The picture in a file's bytes."""
        if len(data) > MAX_BYTES:
            raise InputImageError(f"{len(data)} bytes, the limit is {MAX_BYTES}", where)
        # The core opens more, and converts it before sending.
        if sniff(data) not in ACCEPTED_MEDIA_TYPES:
            raise InputImageError("not a PNG, JPEG, WebP or GIF", where)
        try:
            opened = open_image(data)
            self._spend(max(math.prod(opened.size), _MIN_PRICE), where)
            with quietly():
                return _picture(opened)
        except ApiError:
            raise
        except Exception as error:
            reason = str(error)[:120].rstrip(".") or type(error).__name__
            raise InputImageError(reason, where) from error

    def _spend(self, pixels: int, where: str) -> None:
        self._allowance -= pixels
        if self._allowance < 0:
            raise InputImageError("too many or too large images in one request", where)


def generate_all(prompt: str, config: ImageConfig) -> tuple[Image, ...]:
    """The images that a prompt wants."""
    count, start = config.count or intent.count_of(prompt), config.seed * MAX_IMAGES
    # Trailing white space is how a client asks a cache for a fresh reply; models ignore it.
    size, prompt = _size(config), prompt[:_MAX_PROMPT].rstrip()
    made = (generate(prompt, size, variant=variant) for variant in range(start, start + count))
    return tuple(encode(pixels, intent.format_of(prompt), prompt) for pixels in made)


def edit_all(instruction: str, pictures: tuple[Picture, ...], count: int = 0) -> tuple[Image, ...]:
    """Each picture edited; as many versions of it as the instruction wants."""
    instruction = instruction[:_MAX_PROMPT].rstrip()
    wanted = 1 if names_an_edit(instruction) else intent.count_of(instruction)
    versions = range(count or max(1, min(wanted, MAX_IMAGES // len(pictures))))
    made = (edit(p.pixels, instruction, variant=variant) for p in pictures for variant in versions)
    kind = intent.format_of(instruction)
    return tuple(encode(pixels, kind, instruction, made="edited") for pixels in made)


def encode(pixels: Pillow.Image, kind: str, prompt: str, *, made: str = "generated") -> Image:
    """An image file in format `kind`, with the prompt in the place that the format has for text."""
    text = prompt[:2000].replace("\0", " ")
    raw = text.encode("utf-8", "replace")
    exif = Pillow.Exif()
    exif[_DESCRIPTION_TAG] = raw
    info = PngImagePlugin.PngInfo()
    info.add_itxt("prompt", text)
    info.add_text("software", "emby-mock")
    info.add_text("made", made)
    options: dict[str, dict[str, Any]] = {
        "PNG": {"pnginfo": info},
        "GIF": {"comment": raw},
        "WEBP": {"quality": 88, "exif": exif},
        "JPEG": {"quality": 90, "exif": exif, "comment": raw},
    }
    if kind == "JPEG" and pixels.mode == "RGBA":
        white = Pillow.new("RGBA", pixels.size, "white")
        pixels = Pillow.alpha_composite(white, pixels).convert("RGB")
    out = io.BytesIO()
    pixels.save(out, kind, **options[kind])
    return Image(content=out.getvalue())


def _size(config: ImageConfig) -> tuple[int, int]:
    """The pixels of a generated image: about 256 x 256, or the size requested."""
    ratio, long = config.ratio or 1.0, config.long_side
    if config.exact_size is not None:
        return config.exact_size
    if long is None:
        return round(_SIDE * math.sqrt(ratio)), round(_SIDE / math.sqrt(ratio))
    return (long, round(long / ratio)) if ratio >= 1 else (round(long * ratio), long)


def _decode(url: str, where: str) -> tuple[str, bytes]:
    head = _DATA_URL.match(url)
    if head is None:
        raise InputImageError("expected data:<media type>;base64,<data>", where)
    try:
        return head[1].lower(), decode_data_url(url)
    except InvalidImageError as error:
        raise InputImageError(str(error).partition(". ")[0], where) from error


def _picture(image: Pillow.Image) -> Picture:
    upright = load_upright(image)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    frames, kind = int(getattr(image, "n_frames", 1)), str(image.format)
    origin, prompt = None, image.info.get("prompt")
    if isinstance(prompt, str) and image.info.get("software") == "emby-mock":
        made = "edited" if image.info.get("made") == "edited" else "generated"
        origin = f'{made} by the mock from the prompt "{prompt[:200]}"'
    return Picture(upright.convert(mode), "JPEG" if kind == "MPO" else kind, frames, origin)


def _placeholder(url: str, where: str) -> Picture:
    """A picture generated from the file name in a URL, which is not fetched."""
    host = path = ""
    with suppress(ValueError):
        host, path = urlsplit(url).hostname or "", urlsplit(url).path
    if not host:
        raise InputImageError("the URL has no host", where)
    name = unquote(PurePosixPath(path).stem, errors="replace")
    words = re.sub(r"[^\w]+|_", " ", name) or host
    return Picture(_generate_once(words), "PNG", address=f"{host}{path}"[:200])


@lru_cache(maxsize=32)
def _generate_once(words: str) -> Pillow.Image:
    """Shared between requests, so it must not be drawn on: edits make new images."""
    return generate(words, (_SIDE, _SIDE))
