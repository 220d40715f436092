"""What the bytes of an image are kept in: memory, base64 or a file.

Each source has its `byte_size`, found without reading a file, its `head` of 64 bytes, which
determines the media type, and all bytes at once or in pieces, of which only the last may be
shorter.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self, TypeAlias

from emby_plugins._errors import InvalidImageError
from emby_plugins._files import (
    MAX_FILE_BYTES,
    FileVersion,
    check_size,
    open_regular,
    read_pieces,
    size_of,
    version_of,
)
from emby_plugins._media_types import (
    SUPPORTED_HINT,
    UNKNOWN_MEDIA_TYPE,
    decode_base64,
    decoded_pieces,
    encode_base64,
    is_base64,
    sniff,
)

HEAD = 64
"""Bytes that determine the media type."""

PIECE = 3 << 18
"""Bytes that are read at once: a multiple of 3, as base64 is in groups."""

_HEAD_BASE64 = 88
_GONE_HINT = "It may have been moved or deleted."


@dataclass(frozen=True, slots=True)
class MemorySource:
    """Bytes in memory."""

    data: bytes

    @property
    def byte_size(self) -> int:
        return len(self.data)

    def head(self) -> bytes:
        return self.data[:HEAD]

    def read(self) -> bytes:
        return self.data

    def pieces(self, size: int) -> Iterator[memoryview]:
        view = memoryview(self.data)
        return (view[at : at + size] for at in range(0, len(view), size))


@dataclass(frozen=True, slots=True)
class Base64Source:
    """Verified base64, decoded at each access."""

    text: str

    @classmethod
    def verified(cls, text: str | bytes) -> Self:
        """The source of base64, or a data URL of it. Raises `InvalidImageError` for others."""
        if isinstance(text, bytes):
            text = text.decode("latin-1")
        if text[:5].lower() == "data:":
            text = text.partition(",")[2]
        try:
            if not is_base64(text):
                text = encode_base64(decode_base64(text.encode("utf-8", "replace")))
        except ValueError as error:
            raise InvalidImageError(f"The image contains invalid base64: {error}.") from None
        if not text:
            raise InvalidImageError("The base64 of the image is empty.")
        return cls(text)

    @property
    def byte_size(self) -> int:
        return len(self.text) // 4 * 3 - self.text.count("=", -2)

    def head(self) -> bytes:
        return decode_base64(self.text[:_HEAD_BASE64])[:HEAD]

    def read(self) -> bytes:
        return decode_base64(self.text)

    def pieces(self, size: int) -> Iterator[bytes]:
        return decoded_pieces(self.text, size)

    def base64_pieces(self, size: int) -> Iterator[bytes]:
        step = size // 3 * 4
        return (self.text[at : at + step].encode() for at in range(0, len(self.text), step))


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file, which is never in memory as a whole; with a `version`, that version of it alone."""

    path: Path
    version: FileVersion | None = None

    @classmethod
    def opened(cls, path: Path) -> Self:
        """The file's current version. Raises `OSError`, or `InvalidImageError` if not an image."""
        with open_regular(path) as file:
            version = version_of(file)
            check_size(version.size, MAX_FILE_BYTES)
            require_image(file.read(HEAD), f"the file {str(path)!r}")
        return cls(path, version)

    @property
    def byte_size(self) -> int:
        if self.version is not None:
            return self.version.size
        with self._opened() as file:
            return size_of(file)

    def head(self) -> bytes:
        with self._opened() as file:
            return file.read(HEAD)

    def read(self) -> bytes:
        return b"".join(self.pieces(PIECE))

    def pieces(self, size: int) -> Iterator[bytes]:
        with self._opened() as file:
            yield from read_pieces(file, size, self.version)

    def pinned(self) -> "FileSource":
        """The current version of the file."""
        with self._opened() as file:
            return replace(self, version=version_of(file))

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            with open_regular(self.path) as file:
                yield file
        except OSError as error:
            msg = f"The image file {str(self.path)!r} can't be read: {error.strerror}."
            is_changed = error.errno == errno.ESTALE
            hint = "Leave it alone until it is sent." if is_changed else _GONE_HINT
            raise InvalidImageError(msg, hint=hint) from error


Source: TypeAlias = MemorySource | Base64Source | FileSource


def decode_data_url(url: str | bytes | memoryview) -> bytes:
    """Decode a base64 data URL; extra parameters and white space are accepted.

    Raises `InvalidImageError` for anything else.
    """
    raw = memoryview(url.encode("utf-8", "replace") if isinstance(url, str) else url)
    head, comma, _ = bytes(raw[:512]).partition(b",")
    if not comma or head[:5].lower() != b"data:" or not head.lower().endswith(b";base64"):
        msg = f"Not a base64 data URL: {shown(bytes(raw[:64]).decode('utf-8', 'replace'))}."
        raise InvalidImageError(msg, hint="Expected something like data:image/png;base64,...")
    try:
        return decode_base64(raw[len(head) + 1 :])
    except ValueError as error:
        raise InvalidImageError(f"The data URL contains invalid base64: {error}.") from None


def require_image(data: bytes, what: str) -> bytes:
    """The data, if it begins like an image. Raises `InvalidImageError` with `what` it is."""
    if not data:
        raise InvalidImageError(f"No data in {what}.")
    if sniff(data) == UNKNOWN_MEDIA_TYPE:
        msg = f"Not a supported image: {what} (first bytes: {data[:12]!r})."
        raise InvalidImageError(msg, hint=SUPPORTED_HINT)
    return data


def shown(url: str) -> str:
    """A URL as messages quote it: of a long one its beginning."""
    short = url if len(url) <= 100 else f"{url[:60]}... ({len(url):,} characters)"
    return repr(short)
