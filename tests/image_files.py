"""Real-world image files: every format, orientation and mode, generated from one picture.

Each quarter of the picture has its own color, which shows whether it arrives the right way up.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from PIL.Image import Transpose

SIZE = (96, 64)
COLORS = {(0, 0): (200, 30, 30), (1, 0): (30, 160, 30), (0, 1): (30, 30, 200), (1, 1): (240,) * 3}
_STORED = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class ImageFile:
    """A file, its expected media type when sent, and whether it is grayscale."""

    name: str
    make: Callable[[], bytes]
    sent: str
    gray: bool = False
    says: str = ""
    tolerance: int = 40

    @property
    def is_untouched(self) -> bool:
        """Whether the bytes are sent unchanged."""
        return not self.sent


def quarters(size: tuple[int, int] = SIZE) -> PIL.Image.Image:
    """The test picture, with one color per quarter."""
    image = PIL.Image.new("RGB", size)
    width, height = size[0] // 2, size[1] // 2
    for (column, row), color in COLORS.items():
        left, top = column * width, row * height
        image.paste(color, (left, top, left + width, top + height))
    return image


def assert_upright(image: PIL.Image.Image, *, gray: bool = False, tolerance: int = 40) -> None:
    """Check that each quarter of a decoded image has its color, or its brightness."""
    shown = image.convert("RGB")
    for (column, row), color in COLORS.items():
        at = (shown.width * (1 + 2 * column) // 4, shown.height * (1 + 2 * row) // 4)
        expected = color
        if gray:
            expected = (round(0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]),) * 3
        got = shown.getpixel(at)
        assert isinstance(got, tuple)
        assert max(abs(a - b) for a, b in zip(got, expected, strict=True)) < tolerance, (at, got)


def assert_sent(file: "ImageFile", data: bytes, sent: bytes) -> None:
    """Check that the sent bytes are unchanged, or an accepted type, upright, without location."""
    if file.is_untouched:
        assert sent == data, file.name
        return
    opened = PIL.Image.open(io.BytesIO(sent))
    assert f"image/{str(opened.format).lower()}" == file.sent, file.name
    assert opened.size == SIZE, file.name
    assert_upright(opened, gray=file.gray, tolerance=file.tolerance)
    assert not opened.getexif().get_ifd(0x8825), file.name


def camera_exif(orientation: int = 1) -> bytes:
    """EXIF data as written by a phone: camera, time, location and serial number."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F], exif[0x0110], exif[0x0132] = "Phone Inc.", "Phone 15", "2026:11:25 10:00:00"
    exif[0x8769] = {0x9003: "2026:11:25 10:00:00", 0xA431: "SERIAL-12345", 0x829A: 0.01}
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 59.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    return exif.tobytes()


def encoded(image: PIL.Image.Image, format: str, **options: Any) -> bytes:  # noqa: A002
    """Encode an image. HEIC uses pillow-heif directly, which is not registered in Pillow."""
    out = io.BytesIO()
    if format == "HEIF":
        from pillow_heif.as_plugin import _save_heif

        image.encoderinfo = options
        _save_heif(image, out, "")
    else:
        image.save(out, format, **options)
    return out.getvalue()


def photo(format: str, orientation: int = 1, **options: Any) -> bytes:  # noqa: A002
    """The test picture as stored by a phone: rotated by `orientation`, with EXIF data."""
    image = quarters()
    if orientation != 1:
        image = image.transpose(_STORED[orientation])
    return encoded(image, format, exif=camera_exif(orientation), **options)


def _file(
    name: str,
    image: Callable[[], PIL.Image.Image],
    format: str,  # noqa: A002
    sent: str,
    *,
    gray: bool = False,
    says: str = "",
    **options: Any,
) -> ImageFile:
    return ImageFile(name, lambda: encoded(image(), format, **options), sent, gray, says)


def _gray16(dtype: str) -> PIL.Image.Image:
    levels = np.asarray(quarters().convert("L")).astype(np.uint16) * 257
    return PIL.Image.fromarray(levels.astype(dtype))


def _gray_float() -> PIL.Image.Image:
    return PIL.Image.fromarray(np.asarray(quarters().convert("L")).astype(np.float32) / 255)


def _with_alpha() -> PIL.Image.Image:
    image = quarters().convert("RGBA")
    image.putpixel((95, 63), (0, 0, 0, 0))
    return image


def _palette() -> PIL.Image.Image:
    return quarters().quantize(16)


def _frames(format: str, **options: Any) -> bytes:  # noqa: A002
    more = [quarters().transpose(Transpose.ROTATE_180)] * 2
    return encoded(quarters(), format, save_all=True, append_images=more, **options)


def _files() -> Iterator[ImageFile]:
    for turn in range(1, 9):
        yield ImageFile(f"jpeg-{turn}", lambda turn=turn: photo("JPEG", turn), "")  # type: ignore[misc]
    for turn in (1, 2, 3, 6, 8):
        yield ImageFile(f"heic-{turn}", lambda turn=turn: heic(turn), "image/jpeg", says="HEIC")  # type: ignore[misc]
    yield _file("heic-alpha", _with_alpha, "HEIF", "image/webp")
    yield ImageFile("avif", lambda: photo("AVIF"), "image/jpeg", says="location")
    yield ImageFile("avif-6", lambda: photo("AVIF", 6), "image/jpeg", says="rotated upright")
    yield _file("avif-alpha", _with_alpha, "AVIF", "image/webp")
    yield ImageFile("avif-frames", lambda: _frames("AVIF"), "image/jpeg", says="frame of 3")

    yield _file("bmp", quarters, "BMP", "image/png", says="from BMP to PNG")
    yield _file("bmp-palette", _palette, "BMP", "image/png")
    yield _file("bmp-alpha", _with_alpha, "BMP", "image/png")
    yield _file("bmp-gray", lambda: quarters().convert("L"), "BMP", "image/png", gray=True)

    yield _file("tiff", quarters, "TIFF", "image/png", says="from TIFF to PNG")
    yield _file("tiff-lzw", quarters, "TIFF", "image/png", compression="tiff_lzw")
    yield _file("tiff-jpeg", quarters, "TIFF", "image/png", compression="jpeg")
    yield _file("tiff-palette", _palette, "TIFF", "image/png")
    yield _file("tiff-alpha", _with_alpha, "TIFF", "image/png")
    yield _file("tiff-cmyk", lambda: quarters().convert("CMYK"), "TIFF", "image/png")
    yield _file("tiff-lab", _lab, "TIFF", "image/png")
    yield _file("tiff-gray", lambda: quarters().convert("L"), "TIFF", "image/png", gray=True)
    yield _file("tiff-gray-alpha", lambda: quarters().convert("LA"), "TIFF", "image/png", gray=True)
    yield _file("tiff-16", lambda: _gray16("<u2"), "TIFF", "image/png", gray=True)
    yield _file("tiff-16-big", lambda: _gray16(">u2"), "TIFF", "image/png", gray=True)
    yield _file("tiff-32", lambda: _gray16("<i4"), "TIFF", "image/png", gray=True)
    yield _file("tiff-float", _gray_float, "TIFF", "image/png", gray=True)
    yield ImageFile("tiff-6", lambda: photo("TIFF", 6), "image/png", says="TIFF")
    yield ImageFile("tiff-pages", lambda: _frames("TIFF"), "image/png", says="first page of 3")
    yield ImageFile("tiff-1", lambda: encoded(_bilevel(), "TIFF"), "image/png", True, "", 130)
    yield _file("tiff-bigtiff", quarters, "TIFF", "image/png", big_tiff=True)

    yield _file("jpeg-cmyk", lambda: quarters().convert("CMYK"), "JPEG", "")
    yield _file("jpeg-gray", lambda: quarters().convert("L"), "JPEG", "", gray=True)
    yield _file("jpeg-progressive", quarters, "JPEG", "", progressive=True)
    yield ImageFile("mpo", lambda: _frames("MPO"), "")
    yield _file("png", quarters, "PNG", "")
    yield _file("png-palette-alpha", _palette_alpha, "PNG", "", transparency=0)
    yield _file("png-16", lambda: _gray16("<u2"), "PNG", "", gray=True)
    yield ImageFile("png-6", lambda: photo("PNG", 6), "")
    yield ImageFile("apng", lambda: _frames("PNG"), "")
    yield _file("gif", _palette, "GIF", "")
    yield ImageFile("gif-frames", lambda: _frames("GIF"), "")
    yield _file("webp", quarters, "WEBP", "")
    yield _file("webp-alpha", _with_alpha, "WEBP", "", lossless=True)
    yield ImageFile("webp-6", lambda: photo("WEBP", 6), "")
    yield ImageFile("webp-frames", lambda: _frames("WEBP"), "")


def heic(orientation: int = 1) -> bytes:
    """A phone's HEIC photo, with its rotation in both the container and the EXIF data."""
    return photo("HEIF", orientation)


def _lab() -> PIL.Image.Image:
    from PIL import ImageCms

    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    made = ImageCms.profileToProfile(quarters(), srgb, lab, outputMode="LAB")
    assert made is not None
    made.info.clear()
    return made


def _palette_alpha() -> PIL.Image.Image:
    image = PIL.Image.new("P", SIZE)
    image.putpalette([0, 0, 0, *(level for color in COLORS.values() for level in color)])
    width, height = SIZE[0] // 2, SIZE[1] // 2
    for index, (column, row) in enumerate(COLORS, 1):
        left, top = column * width, row * height
        image.paste(index, (left, top, left + width, top + height))
    image.putpixel((95, 63), 0)
    return image


def _bilevel() -> PIL.Image.Image:
    return quarters().convert("1", dither=PIL.Image.Dither.NONE)


FILES = {file.name: file for file in _files()}
