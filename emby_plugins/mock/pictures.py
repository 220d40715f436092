"""Opens input images safely, and encodes output ones. The only module that decodes foreign bytes.

Bounded: the size in bytes and the pixel count of the header are checked before pixels are touched,
and all images of one request share one allowance of pixels.
"""

import io
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import pybase64
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from emby_plugins.mock.errors import ApiError, bad_image
from emby_plugins.mock.paint import paint
from emby_plugins.mock.requests import FilePart, ImagePart

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""What Emby takes (Vision page, Supported Image Types)."""

MAX_PIXELS = 64_000_000
MAX_BYTES = 30_000_000
MAX_REQUEST_PIXELS = 128_000_000

# What an image costs of the allowance at least: small ones and painted ones take time too.
_LEAST_PRICE = 100_000
_STAND_IN_PRICE = 1_000_000

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)
_STAND_IN_SIDE = 256
_DESCRIPTION_TAG = 0x010E


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as the mock sees it: upright pixels, and what was known of the file.

    `origin` says how the mock itself made it, when it did: painted or edited, from what
    prompt. `stand_in` is the address of an image that was not fetched.
    """

    pixels: Image.Image
    format: str
    frames: int = 1
    origin: str | None = None
    stand_in: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that is not an image: `data` is None when only an id was given."""

    name: str
    media_type: str | None
    data: bytes | None


class Opener:
    """Opens the images of one request; one allowance of pixels for all of them."""

    def __init__(self) -> None:
        self._allowance = MAX_REQUEST_PIXELS

    def image(self, part: ImagePart) -> Picture:
        """The picture behind an image part; ApiError, as documented, when there is none."""
        scheme = part.url.partition(":")[0].lower()
        if scheme == "https":
            self._spend(_STAND_IN_PRICE, part.where)
            return _stand_in(part)
        if scheme != "data":
            shown = scheme if re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme) else "no"
            raise bad_image(f"{shown} URLs are not supported, use https or data", part.where)
        media_type, data = _split_data_url(part.url, part.where)
        if not media_type.startswith("image/"):
            raise bad_image(f"the data URL says {media_type[:60]}", part.where)
        return self._decode(data, part.where)

    def file(self, part: FilePart) -> Picture | Attachment:
        """A file part: a picture when its data URL says it is an image."""
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
            raise bad_image(f"{len(data)} bytes, at most {MAX_BYTES} are taken", where)
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
                raise bad_image(f"{pixels} pixels, at most {MAX_PIXELS} are taken", where)
            self._spend(max(pixels, _LEAST_PRICE), where)
            header.verify()
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            origin = _origin_of(image)
            upright = ImageOps.exif_transpose(image)
            frames = int(getattr(image, "n_frames", 1))
            mode = "RGBA" if upright.has_transparency_data else "RGB"
            name = "JPEG" if image.format == "MPO" else str(image.format)
            return Picture(upright.convert(mode), name, frames, origin)


def encode(pixels: Image.Image, image_format: str, prompt: str, *, edited: bool) -> bytes:
    """The file of an output image; the prompt rides in it where the format has a place for text."""
    out = io.BytesIO()
    text = prompt[:2000]
    if image_format == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("prompt", text.replace("\0", " "))
        info.add_text("software", "emby-mock")
        info.add_text("made", "edited" if edited else "painted")
        pixels.save(out, "PNG", pnginfo=info)
        return out.getvalue()
    exif = Image.Exif()
    exif[_DESCRIPTION_TAG] = text.replace("\0", " ").encode("utf-8", "replace")
    if image_format == "GIF":
        pixels.save(out, "GIF", comment=text.encode("utf-8", "replace"))
    elif image_format == "WEBP":
        pixels.save(out, "WEBP", quality=88, exif=exif)
    else:
        flat = Image.new("RGB", pixels.size, "white")
        flat.paste(pixels, mask=pixels.getchannel("A") if pixels.mode == "RGBA" else None)
        comment = text.encode("utf-8", "replace")
        flat.save(out, "JPEG", quality=90, comment=comment, exif=exif)
    return out.getvalue()


def _split_data_url(url: str, where: str) -> tuple[str, bytes]:
    head = _DATA_URL.match(url)
    if head is None:
        raise bad_image("expected data:<media type>;base64,<data>", where)
    try:
        return head[1].lower(), pybase64.b64decode(url[head.end() :], validate=True)
    except ValueError as error:
        raise bad_image(f"base64: {error}", where) from error


def _stand_in(part: ImagePart) -> Picture:
    try:
        address = urlsplit(part.url)
        host = address.hostname
    except ValueError:
        host = None
    if not host:
        raise bad_image("the URL has no host", part.where)
    name = unquote(PurePosixPath(address.path).name, errors="replace")
    words = re.sub(r"[^\w]+|_", " ", PurePosixPath(name).stem) or host
    return Picture(_painted_once(words), "PNG", stand_in=f"{host}{address.path}"[:200])


@lru_cache(maxsize=32)
def _painted_once(words: str) -> Image.Image:
    """Shared between requests, so nobody may draw on it: edits make new images."""
    return paint(words, (_STAND_IN_SIDE, _STAND_IN_SIDE))


def _origin_of(image: Image.Image) -> str | None:
    """What the mock wrote into a picture of its own."""
    value = image.info.get("prompt")
    if isinstance(value, str) and image.info.get("software") == "emby-mock":
        how = "edited" if image.info.get("made") == "edited" else "painted"
        return f'{how} by the mock from the prompt "{value[:200]}"'
    return None
