"""Image files from untrusted sources: unusual, damaged, oversized, or not images at all."""

import io
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import PIL.Image


def saved(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    """Encode a picture as a file."""
    out = io.BytesIO()
    picture.save(out, format=kind, **options)
    return out.getvalue()


def _drawn(mode: str, size: tuple[int, int] = (40, 30)) -> PIL.Image.Image:
    picture = PIL.Image.linear_gradient("L").resize(size)
    return picture.convert(mode) if mode != "I;16" else picture.convert("I").convert("I;16")


def _turned() -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    return saved(_drawn("RGB"), "JPEG", exif=exif)


def _png(width: int, height: int) -> bytes:
    """A PNG with any size in its header, and no pixels."""

    def block(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    begin = b"\x89PNG\r\n\x1a\n"
    return begin + block(b"IHDR", head) + block(b"IDAT", zlib.compress(b"")) + block(b"IEND", b"")


@cache
def whole() -> dict[str, bytes]:
    """Unusual but valid images."""
    frames = [_drawn("RGB").rotate(turn) for turn in (0, 90, 180)]
    rest: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    return {
        "png": saved(_drawn("RGB"), "PNG"),
        "png 1-bit": saved(_drawn("1"), "PNG"),
        "png 16-bit": saved(_drawn("I;16"), "PNG"),
        "png palette": saved(_drawn("P"), "PNG", transparency=0),
        "png grey alpha": saved(_drawn("LA"), "PNG"),
        "png alpha": saved(_drawn("RGBA"), "PNG"),
        "png animated": saved(frames[0], "PNG", **rest),
        "jpeg": saved(_drawn("RGB"), "JPEG"),
        "jpeg grey": saved(_drawn("L"), "JPEG"),
        "jpeg cmyk": saved(_drawn("CMYK"), "JPEG"),
        "jpeg turned by exif": _turned(),
        "jpeg progressive": saved(_drawn("RGB"), "JPEG", progressive=True),
        "gif": saved(_drawn("P"), "GIF"),
        "gif animated": saved(frames[0], "GIF", **rest),
        "webp": saved(_drawn("RGB"), "WEBP"),
        "webp alpha": saved(_drawn("RGBA"), "WEBP", lossless=True),
        "webp animated": saved(frames[0], "WEBP", **rest),
        "one pixel": saved(_drawn("RGB", (1, 1)), "PNG"),
        "polyglot": saved(_drawn("RGB"), "PNG") + b"<script>alert(1)</script>",
    }


@cache
def damaged() -> dict[str, bytes]:
    """Files that begin like an image but do not open."""
    made = whole()
    return {
        "pixel bomb": _png(60_000, 60_000),
        "no width": _png(0, 10),
        "no pixels": _png(10, 10),
        "only a signature": b"\x89PNG\r\n\x1a\n",
        "half a png": made["png"][: len(made["png"]) // 2],
        "half a jpeg": made["jpeg"][: len(made["jpeg"]) // 2],
        "half a webp": made["webp"][: len(made["webp"]) // 2],
        "half a gif": made["gif"][:20],
        "a bit of the png's checksum": flipped(made["png"], 30),
    }


STRANGE = {
    "nothing": b"",
    "html": b"<html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "pdf": b"%PDF-1.4\n",
    "zip": b"PK\x03\x04" + bytes(30),
    "zeros": bytes(64),
}
"""Files that are not images."""


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with one bit flipped."""
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def flips(data: bytes, step: int) -> Iterator[bytes]:
    """Copies of the bytes, each with one bit flipped."""
    for at in range(0, len(data), step):
        yield flipped(data, at)
