"""The body of a request with images, encoded while being sent.

The JSON has the base64 of each image left out, and between its parts the base64, made piece
by piece. So a request takes the memory of one piece, however many images it has. Its length is
known beforehand, and each attempt iterates anew over the same bytes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from emby_plugins._images import Image

PIECE = 384 * 1024
"""Bytes of an image that are encoded at once: a multiple of 3, which avoids padding in between."""

# JSON never contains this byte: strings escape it.
_MARK = b"\0"


class DataURL:
    """A value in the JSON that is written as a base64 data URL.

    Not a dataclass: msgspec would encode its fields.
    """

    def __init__(self, media_type: str, image: Image) -> None:
        self.media_type = media_type
        self.image = image


@dataclass(frozen=True, slots=True)
class Base64:
    """A part of a body: the base64 of an image."""

    image: Image

    def __len__(self) -> int:
        return (self.image.byte_size + 2) // 3 * 4

    def __iter__(self) -> Iterator[bytes]:
        return self.image.base64_pieces(PIECE)


@dataclass(frozen=True, slots=True)
class Plain:
    """A part of a body: the bytes of an image as they are, for a multipart form."""

    image: Image

    def __len__(self) -> int:
        return self.image.byte_size

    def __iter__(self) -> Iterator[bytes]:
        return map(bytes, self.image.pieces(PIECE))


class StreamedBody:
    """A body that is made while being sent: `len()` bytes, by each iteration again.

    An iteration raises `InvalidImageError` if the file of an image has changed or is gone; what
    it has yielded until then is too short for the length, so no server takes it for a request.
    """

    def __init__(self, parts: Iterable[bytes | Base64 | Plain]) -> None:
        self._parts = tuple(parts)
        self._length = sum(map(len, self._parts))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        return _combined(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from part


def body_of(parts: Iterable[bytes | Base64 | Plain]) -> bytes | StreamedBody:
    """A body of these parts: bytes if small, as then one write is faster than several."""
    body = StreamedBody(parts)
    return body if len(body) > PIECE else b"".join(body)


def json_body(value: Any) -> bytes | StreamedBody:
    """The JSON of a value in which a `DataURL` may be wherever a string may be.

    Raises `TypeError`, `ValueError` or `RecursionError` for what is not JSON.
    """
    images: list[Image] = []

    def insert(found: Any) -> msgspec.Raw:
        if not isinstance(found, DataURL):
            raise TypeError(f"Encoding objects of type {type(found).__name__} is unsupported")
        images.append(found.image)
        # Base64 needs no escaping, so it can be put into the JSON unchanged.
        head = msgspec.json.encode(f"data:{found.media_type};base64,")
        return msgspec.Raw(b"".join((head[:-1], _MARK, b'"')))

    skeleton = msgspec.json.encode(value, enc_hook=insert)
    if not images:
        return skeleton
    first, *rest = skeleton.split(_MARK)
    parts: list[bytes | Base64 | Plain] = [first]
    for image, text in zip(images, rest, strict=True):
        parts += (Base64(image), text)
    return body_of(parts)


def _combined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, with small pieces joined: each write has a price."""
    small: list[bytes] = []
    length = 0
    for piece in pieces:
        if small and length + len(piece) > PIECE:
            yield b"".join(small)
            small, length = [], 0
        small.append(piece)
        length += len(piece)
    if small:
        yield b"".join(small)
