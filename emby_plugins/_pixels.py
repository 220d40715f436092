"""Pixels: opening, decoding, orienting and converting images with Pillow.

The only module of the core that knows Pillow's modes and formats; Pillow is imported on first use.
"""

from io import BytesIO
from typing import TYPE_CHECKING, Any

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


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> "PIL.Image.Image":
    """Open an image in Pillow without decoding its pixels. Raises `InvalidImageError`."""
    import warnings

    import PIL.Image

    try:
        with warnings.catch_warnings():
            # Large sizes, for which we have a lower limit, and damaged EXIF data.
            warnings.simplefilter("ignore")
            if sniff(data) == "image/heic":
                opened = _open_heic(data)
            else:
                opened = PIL.Image.open(BytesIO(data), formats=_OPENED_FORMATS)
    except PIL.UnidentifiedImageError:
        msg = f"The image can't be opened: it is {sniff(data)}, or damaged."
        raise InvalidImageError(msg, hint=SUPPORTED_HINT) from None
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise InvalidImageError(f"The image can't be opened: {error}.") from error
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
        raise InvalidImageError(f"The image is damaged: {error}.") from error
    return upright(opened)


def upright(image: "PIL.Image.Image") -> "PIL.Image.Image":
    """Apply the EXIF orientation to the pixels. Returns the image itself if it is upright."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image) if orientation(image) != 1 else image


def orientation(image: "PIL.Image.Image") -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if it is missing or the EXIF is damaged."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - Pillow parses EXIF data lazily, and raises many types
        return 1
    return value if value in range(1, 9) else 1


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
