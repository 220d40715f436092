"""Pixels: opening, decoding, orienting and converting images with Pillow.

The only module of the core that knows Pillow's modes and formats; Pillow is imported on first use.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from emby_plugins._errors import InvalidImageError
from emby_plugins._media_types import SUPPORTED_HINT, sniff

if TYPE_CHECKING:
    import PIL.Image

MAX_PIXELS = 64_000_000
"""The largest image that is ever decoded, in pixels: a 17 KB file can claim many more."""

_OPENED_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "AVIF")
_MODES = {
    "JPEG": ("L", "RGB"),
    "PNG": ("1", "L", "LA", "I;16", "P", "RGB", "RGBA"),
    "WEBP": ("L", "P", "RGB", "RGBA"),
    "GIF": ("L", "P", "RGB", "RGBA"),
}


@contextmanager
def quietly() -> Iterator[None]:
    """No warnings of Pillow's: of large sizes, for which we have a limit, and of damaged EXIF."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> "PIL.Image.Image":
    """Open an image in Pillow without decoding its pixels. Raises `InvalidImageError`."""
    import PIL.Image

    try:
        with quietly():
            if sniff(data) == "image/heic":
                opened = _open_heic(data)
            else:
                opened = PIL.Image.open(BytesIO(data), formats=_OPENED_FORMATS)
    except PIL.UnidentifiedImageError:
        msg = f"The image can't be opened: it is {sniff(data)}, or damaged."
        raise InvalidImageError(msg, hint=SUPPORTED_HINT) from None
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise InvalidImageError(f"The image can't be opened: {_reason(error)}.") from error
    if opened.width * opened.height > max_pixels:
        claimed = f"{opened.width} x {opened.height}"
        msg = f"The image is too large: {claimed} pixels; the limit is {max_pixels:,} in total."
        raise InvalidImageError(msg)
    return opened


def load_upright(opened: "PIL.Image.Image") -> "PIL.Image.Image":
    """Decode the pixels and apply the EXIF orientation. Raises `InvalidImageError`."""
    try:
        opened.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise InvalidImageError(f"The image is damaged: {_reason(error)}.") from error
    return upright(opened)


def upright(image: "PIL.Image.Image") -> "PIL.Image.Image":
    """Apply the EXIF orientation to the pixels. Returns the image itself if already upright."""
    from PIL import ImageOps

    if orientation(image) == 1:
        return image
    try:
        with quietly():
            return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - it also rewrites the EXIF data, which may be damaged
        return image


def orientation(image: "PIL.Image.Image") -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if missing or the EXIF is damaged."""
    if image.format == "TIFF":
        return 1  # Pillow rotates TIFF itself
    try:
        with quietly():
            value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - Pillow parses EXIF data lazily, and raises many types
        return 1
    return value if value in range(1, 9) else 1


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _open_heic(data: bytes) -> "PIL.Image.Image":
    try:
        from pillow_heif import HeifImageFile  # not registered, which would change all of Pillow
    except ImportError:
        msg = "HEIC images need the package pillow-heif, which is not installed."
        hint = "Run: pip install 'emby-plugins[heic]'"
        raise InvalidImageError(msg, hint=hint) from None
    opened: PIL.Image.Image = HeifImageFile(BytesIO(data))  # type: ignore[no-untyped-call]
    return opened


def in_mode_of(image: "PIL.Image.Image", format: str) -> "PIL.Image.Image":  # noqa: A002
    """Convert to a mode that `format` supports, with transparency if possible."""
    if image.mode in _MODES[format]:
        return image
    if image.mode == "I" and format == "PNG":
        return image.convert("I;16")
    if image.mode.startswith("I;16"):
        return to_8_bit(image)
    keep_alpha = image.has_transparency_data and format != "JPEG"
    return image.convert("RGBA" if keep_alpha else "RGB")


def to_8_bit(image: "PIL.Image.Image") -> "PIL.Image.Image":
    """Scale 16-bit gray to 8 bits."""
    # Pillow's own conversion clips: everything brighter than 255 of 65535 becomes white.
    return image.convert("I").point(lambda level: level / 256).convert("L")


def as_uint8(array: Any) -> Any:
    """Check an array's shape and type, and convert it to what Pillow takes."""
    import numpy as np

    pixels = np.asarray(array)
    described = f"an array of shape {pixels.shape} and type {pixels.dtype}"
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if 0 in pixels.shape or not (
        pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (2, 3, 4))
    ):
        hint = "The shape must be (height, width) or (height, width, channels)."
        raise InvalidImageError(f"Not an image: {described}.", hint=hint)
    if pixels.dtype in {np.dtype(bool), np.dtype(np.uint8)}:
        return pixels
    if pixels.dtype == np.uint16:
        return pixels if pixels.ndim == 2 else (pixels >> 8).astype(np.uint8)
    if np.issubdtype(pixels.dtype, np.floating) and np.all((pixels >= 0) & (pixels <= 1)):
        return np.rint(pixels * 255).astype(np.uint8)
    if np.issubdtype(pixels.dtype, np.integer) and np.all((pixels >= 0) & (pixels <= 255)):
        return pixels.astype(np.uint8)
    hint = "Integers must be 0 to 255 and floats 0 to 1."
    raise InvalidImageError(f"Values out of range: {described}.", hint=hint)


# ---- preparing images for sending

_GPS_IFD, _EXIF_IFD, _ORIENTATION = 0x8825, 0x8769, 0x0112
# What is kept of EXIF data: camera and time, then exposure and lens. An allow-list, since private
# data hides in many tags: maker notes, serial numbers, owner names, comments, thumbnails.
_KEPT_TAGS = (0x010F, 0x0110, 0x0132)
_KEPT_EXIF_TAGS = (0x829A, 0x829D, 0x8827, 0x9003, 0x9004, 0x920A, 0xA405, 0xA434)
_SERIAL_TAGS = {0xA430, 0xA431, 0xA435, 0x927C}
_METADATA_KEYS = {"exif", "xmp", "XML:com.adobe.xmp", "comment", "photoshop"}
_SCALABLE_MODES = {"L", "RGB", "RGBA", "CMYK"}
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}


def as_array(image: "PIL.Image.Image", dtype: Any = None) -> Any:
    """The pixels as a NumPy array: (height, width) for grayscale, else (height, width, 3 or 4)."""
    import numpy as np

    if image.mode not in {"L", "RGB", "RGBA", "F"} and not image.mode.startswith("I"):
        is_gray = image.mode in {"1", "L"}
        image = image.convert("RGBA" if image.has_transparency_data else "L" if is_gray else "RGB")
    return np.array(image, dtype=dtype)


def to_web_mode(image: "PIL.Image.Image") -> "PIL.Image.Image":
    """Convert to L, LA, RGB or RGBA with 8 bits per channel, keeping colors and transparency."""
    if image.mode == "CMYK":
        return _from_cmyk(image)
    if image.mode.startswith("I;16"):
        return to_8_bit(image)
    if image.mode in {"I", "F"}:
        return _scaled_to_8_bit(image)
    if image.mode in {"L", "LA", "RGB", "RGBA"} and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    converted = image.convert("L" if image.mode == "1" else "RGB")
    if image.mode == "LAB":
        converted.info.pop("icc_profile", None)  # Pillow's sRGB profile, dated to the second
    return converted


def _from_cmyk(image: "PIL.Image.Image") -> "PIL.Image.Image":
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    converted = None
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None
    if converted is None:
        converted = image.convert("RGB")
    converted.info.pop("icc_profile", None)  # it described CMYK
    return converted


def _scaled_to_8_bit(image: "PIL.Image.Image") -> "PIL.Image.Image":
    """Scale integers of 16 bits, floats of 0 to 1, and anything else from its own range."""
    low, high = cast("tuple[float, float]", image.getextrema())
    if image.mode == "I" and low >= 0 and 255 < high <= 0xFFFF:
        low, high = 0, 0xFFFF
    elif low >= 0 and high <= 1 and image.mode == "F":
        low, high = 0, 1
    elif low >= 0 and high <= 255:
        low, high = 0, 255
    factor = 255 / (high - low or 1)
    offset = -low * factor
    return image.point(lambda value: value * factor + offset).convert("L")


def scaled(image: "PIL.Image.Image", factor: float) -> "PIL.Image.Image":
    """Scale both sides by a factor below 1."""
    from PIL.Image import Resampling

    size = (max(1, int(image.width * factor)), max(1, int(image.height * factor)))
    smaller = image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)
    smaller.info = dict(image.info)
    return smaller


def encode(image: "PIL.Image.Image", media_type: str, quality: int, exif: bytes) -> bytes:
    """Encode pixels with their color profile; empty if the format can't hold this size."""
    options: dict[str, Any] = {"quality": quality} if quality else {}
    if exif:
        options["exif"] = exif
    profile = image.info.get("icc_profile")
    if profile:
        options["icc_profile"] = profile
    out = BytesIO()
    image_format = _FORMATS[media_type]
    clean = in_mode_of(image, image_format).copy()
    clean.info = {}  # or Pillow would write comments, text and XMP of the original again
    try:
        clean.save(out, image_format, **options)
    except (OSError, ValueError):
        return b""
    return out.getvalue()


class Metadata(NamedTuple):
    """The EXIF data of an image, the part of it that is harmless, and what the rest contains."""

    exif: bytes
    reduced_exif: bytes
    private: tuple[str, ...]


def read_metadata(image: "PIL.Image.Image") -> Metadata:
    """Read the EXIF data of an image; damaged EXIF data counts as none."""
    try:
        with quietly():
            exif = image.getexif()
            details = exif.get_ifd(_EXIF_IFD)
            private = ["location"] if exif.get_ifd(_GPS_IFD) else []
            if not _SERIAL_TAGS.isdisjoint(details):
                private.append("serial numbers")
            reduced = _reduced(exif, details)
            return Metadata(_without_orientation(image), reduced, tuple(private))
    except Exception:  # noqa: BLE001 - Pillow parses EXIF data lazily, and raises many types
        return Metadata(b"", b"", ())


def _without_orientation(image: "PIL.Image.Image") -> bytes:
    """Return the EXIF data for upright pixels."""
    import PIL.Image

    original = image.info.get("exif")
    if not original:  # a TIFF's tags describe the layout of that very file as well
        return b""
    exif = PIL.Image.Exif()  # not `image.getexif()`, which is shared with the image
    exif.load(original)
    exif.pop(_ORIENTATION, None)
    return exif.tobytes()


def has_metadata(data: bytes) -> bool:
    """Whether an image has EXIF data, XMP, comments or text."""
    opened = open_image(data, max_pixels=4 * MAX_PIXELS)
    return bool(opened.info.keys() & _METADATA_KEYS or getattr(opened, "text", None))


def _reduced(exif: "PIL.Image.Exif", details: dict[int, Any]) -> bytes:
    import PIL.Image

    reduced = PIL.Image.Exif()
    for tag in _KEPT_TAGS:
        if tag in exif:
            reduced[tag] = exif[tag]
    kept = {tag: details[tag] for tag in _KEPT_EXIF_TAGS if tag in details}
    if kept:
        reduced[_EXIF_IFD] = kept
    return reduced.tobytes() if len(reduced) else b""


def thumbnail(data: bytes, side: int) -> bytes:
    """Return a small upright copy as WebP. Raises `InvalidImageError`."""
    opened = open_image(data)
    small = opened if opened.mode in _SCALABLE_MODES else to_web_mode(load_upright(opened))
    try:
        # A JPEG is decoded at a half, a quarter or an eighth of its size, if that is enough.
        small.thumbnail((side, side), reducing_gap=1.5)
        small = to_web_mode(upright(small))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise InvalidImageError(f"The image is damaged: {_reason(error)}.") from error
    out = BytesIO()
    # Three times as fast as the default, and a tenth larger.
    profile = small.info.get("icc_profile")
    small.save(out, "WEBP", quality=80, method=1, exif=b"", icc_profile=profile)
    return out.getvalue()


def frame_count(image: "PIL.Image.Image") -> int:
    """The number of frames or pages. A JPEG counts as one: further images in it are previews."""
    return 1 if image.format in {"JPEG", "MPO"} else int(getattr(image, "n_frames", 1))
