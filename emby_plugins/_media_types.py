"""Image media types, their file name suffixes and base64: one place for each of these decisions."""

from collections.abc import Iterator
from pathlib import Path

ACCEPTED_MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
"""What Emby accepts: Vision Support page, "Supported Image Types"."""

CONVERTED_MEDIA_TYPES = ("image/heic", "image/avif", "image/tiff", "image/bmp")
"""The types that are converted before sending; HEIC needs the extra `heic`."""

IMAGE_MEDIA_TYPES = ACCEPTED_MEDIA_TYPES + CONVERTED_MEDIA_TYPES
"""All media types that an `Image` can be sent from."""

UNKNOWN_MEDIA_TYPE = "application/octet-stream"

SUFFIXES = {
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
    "image/webp": (".webp",),
    "image/gif": (".gif",),
    "image/bmp": (".bmp",),
    "image/tiff": (".tiff", ".tif"),
    "image/heic": (".heic", ".heif"),
    "image/avif": (".avif",),
    UNKNOWN_MEDIA_TYPE: (".bin",),
}

SUPPORTED_HINT = (
    "Emby accepts JPEG, PNG, WebP and GIF; HEIC, AVIF, TIFF and BMP are converted when sent."
)

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    **dict.fromkeys((b"GIF87a", b"GIF89a"), "image/gif"),
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "image/tiff"),
}
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_TO_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")
_PIECE = 1 << 20  # of base64: a multiple of 4
_WHITE_SPACE = b" \t\r\n\f\v"
# The only characters of base64 that are ever percent-encoded.
_PERCENT = {b"%2b": b"+", b"%2f": b"/", b"%3d": b"=", b"%0a": b"", b"%0d": b"", b"%20": b""}


def sniff(data: bytes) -> str:
    """Detect the media type from the first bytes; `application/octet-stream` if unknown."""
    head = data[:64]
    for start, media_type in _STARTS.items():
        if head.startswith(start):
            return media_type
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"BM") and len(data) > 26:
        return "image/bmp"
    if head[4:8] == b"ftyp":
        return _sniff_heif(head)
    return UNKNOWN_MEDIA_TYPE


def with_suffix(path: Path, media_type: str) -> Path:
    """The path with a suffix of this type; the suffix of another type is replaced."""
    right = SUFFIXES[media_type]
    if path.suffix.lower() in right:
        return path
    is_wrong = path.suffix.lower() in {s for suffixes in SUFFIXES.values() for s in suffixes}
    return path.with_suffix(right[0]) if is_wrong else path.with_name(path.name + right[0])


def _sniff_heif(head: bytes) -> str:
    # The major brand may be generic (`mif1`), so the compatible brands count as well.
    end = int.from_bytes(head[:4], "big")
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(end, len(head)), 4))}
    if brands & _AVIF_BRANDS:
        return "image/avif"
    return "image/heic" if brands & _HEIC_BRANDS else UNKNOWN_MEDIA_TYPE


def encode_base64(data: bytes) -> str:
    """Encode bytes as base64 without line breaks."""
    import pybase64

    return pybase64.b64encode_as_string(data)


def decoded_pieces(text: str, size: int) -> Iterator[bytes]:
    """Decode verified base64 in pieces of `size` bytes, of which only the last may be shorter."""
    rest = b""
    for at in range(0, len(text), _PIECE):
        rest += decode_base64(text[at : at + _PIECE])
        whole = len(rest) - len(rest) % size
        yield from (rest[start : start + size] for start in range(0, whole, size))
        rest = rest[whole:]
    if rest:
        yield rest


def is_base64(text: str) -> bool:
    """Whether all of a text is base64 as `encode_base64` writes it; nothing large is decoded."""
    import pybase64

    try:
        for at in range(0, len(text), _PIECE):
            piece = text[at : at + _PIECE]
            pybase64.b64decode(piece, validate=True)
            if piece.endswith("=") and at + _PIECE < len(text):
                return False
    except ValueError:
        return False
    return True


def decode_base64(text: str | bytes | memoryview, *, lenient: bool = False) -> bytes:
    """Decode base64 with or without white space. Raises `ValueError` for anything else.

    If `lenient`, padding may be missing, the alphabet may be the URL-safe one, and characters that
    are special in URLs may be percent-encoded. That is for received images, which are paid for: in
    what a caller gives, missing padding is a sign that the end is missing.
    """
    import pybase64

    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        text = text.encode() if isinstance(text, str) else bytes(text)
    if not lenient:
        return pybase64.b64decode(text.translate(None, _WHITE_SPACE), validate=True)
    if b"%" in text:
        for encoded, plain in _PERCENT.items():
            text = text.replace(encoded, plain).replace(encoded.upper(), plain)
    text = text.translate(_TO_STANDARD_ALPHABET, _WHITE_SPACE)
    unpadded = text.rstrip(b"=")
    if len(text) - len(unpadded) > 2:
        raise ValueError("there is too much padding")
    return pybase64.b64decode(unpadded + b"=" * (-len(unpadded) % 4), validate=True)
