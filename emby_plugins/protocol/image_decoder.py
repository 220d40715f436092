"""Decode base64 images while the body streams in, without ever buffering the encoded text.

What follows `"image_url": {"url": "data:...;base64,` goes piece by piece into a base64 decoder,
and a short placeholder takes its place in the JSON, which stays small however large the images
are. Anything unusual is restored as it was and takes the plain path, with the same result: strict
base64 can be encoded again, letter for letter, from what was decoded of it.
"""

import re
import secrets
from collections.abc import Callable
from io import BytesIO
from typing import Protocol

import pybase64

from emby_plugins.errors import InvalidImageError
from emby_plugins.images import Image, decode_data_url
from emby_plugins.protocol.limits import Limits
from emby_plugins.protocol.wire import ImageURL, parse_text

_MARK = b";base64,"
# A quote inside a JSON string has a backslash before it, so this can't begin within a text.
_HEAD = re.compile(
    rb'(?<!\\)"image_url"\s*:\s*\{\s*"url"\s*:\s*"data:[^"\\,]{0,100};base64,\Z', re.IGNORECASE
)
_LOOK_BACK = 192
_LONGEST_PLACEHOLDER = 256


class Sink(Protocol):
    """Where the bytes of one image go."""

    size: int

    def write(self, data: bytes) -> None:
        """Add bytes."""

    def read_back(self) -> bytes:
        """Return everything written."""

    def finish(self) -> Image:
        """Return the image made of the bytes."""

    def discard(self) -> None:
        """Leave nothing behind; the image will not be finished."""


class MemorySink:
    """Collects the bytes of one image in memory."""

    def __init__(self) -> None:
        self.size = 0
        self._bytes = BytesIO()

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self.size += self._bytes.write(data)

    def read_back(self) -> bytes:
        """Return everything written."""
        return self._bytes.getvalue()

    def finish(self) -> Image:
        """Return the image made of the bytes."""
        return Image(content=self._bytes.getvalue())

    def discard(self) -> None:
        """Do nothing: there is nothing to leave behind."""


class ImageDecoder:
    """Replaces inline images by placeholders, and keeps the decoded images.

    Raises `ReplyTooLargeError` for an image over its limit, as soon as it is.
    """

    def __init__(self, limits: Limits, new_sink: Callable[[], Sink] = MemorySink) -> None:
        self._limits = limits
        self._new_sink = new_sink
        self._tail = b""
        self._decoding: _Base64 | None = None
        self._decoded: dict[bytes, Image] = {}
        # Counts every image ever decoded. The size of `_decoded` won't do: images are taken out
        # while others of the same event are still arriving, and two would share a placeholder.
        self._count = 0
        # Unguessable, so that no reply can name an image that it did not bring.
        self._prefix = f"image-{secrets.token_hex(8)}-".encode()

    def feed(self, chunk: bytes) -> bytes:
        """Return what of the JSON with placeholders these bytes complete."""
        if self._decoding is not None:
            return self._decode(self._decoding, chunk)
        if not self._tail and _MARK not in chunk:
            # The everyday case, a few words: nothing begins here, nor across the next cut.
            self._tail = b"" if chunk.endswith(b"\n") else chunk[-_LOOK_BACK:]
            return chunk
        window = self._tail + chunk
        at = window.find(_MARK, max(0, len(self._tail) - len(_MARK) + 1))
        while at >= 0:
            end = at + len(_MARK)
            if _HEAD.search(window, max(0, end - _LOOK_BACK), end):
                start = end - len(self._tail)
                self._decoding = _Base64(self._limits, self._new_sink())
                return chunk[:start] + self._decode(self._decoding, chunk[start:])
            at = window.find(_MARK, end)
        self._tail = b"" if chunk.endswith(b"\n") else window[-_LOOK_BACK:]
        return chunk

    def image(self, source: ImageURL | str) -> Image:
        """Return the image of a url in the JSON: decoded already, or still there in full.

        Raises `InvalidImageError` for a url that is not an image's, and `ReplyTooLargeError`.
        """
        if isinstance(source, str):
            return self._from_text(source)
        raw = memoryview(source.url)
        if len(raw) <= _LONGEST_PLACEHOLDER:
            # Anything longer than a head and a placeholder was not decoded.
            placeholder = bytes(raw[1:-1]).rpartition(b",")[2]
            if placeholder in self._decoded:
                return self._decoded.pop(placeholder)
        if bytes(raw[1:6]) == b"data:":
            self._limits.check("image", _decoded_size(len(raw)))
            try:
                return self._from_bytes(decode_data_url(raw[1:-1]))
            except InvalidImageError:
                # Perhaps only JSON escapes stood between the base64 and the decoder.
                pass
        return self._from_text(parse_text(source.url))

    def _from_text(self, url: str) -> Image:
        if url[:5].lower() != "data:":
            # The gateway leaves an address in place where its own download failed.
            return Image.from_url(url)
        self._limits.check("image", _decoded_size(len(url)))
        return self._from_bytes(decode_data_url(url))

    def _from_bytes(self, data: bytes) -> Image:
        # Paid for, even if we don't know the media type: that is the user's to judge.
        if not data:
            raise InvalidImageError("The reply has an image without a single byte.")
        sink = self._new_sink()
        sink.write(data)
        return sink.finish()

    def close(self) -> None:
        """Discard an image that did not end."""
        if self._decoding is not None:
            self._decoding.discard()
            self._decoding = None

    def _decode(self, decoding: "_Base64", chunk: bytes) -> bytes:
        end = chunk.find(b'"')
        try:
            decoding.feed(chunk if end < 0 else chunk[:end])
        except ValueError:
            return self._restore(decoding) + self.feed(chunk)
        if end < 0:
            return b""
        try:
            image = decoding.finish()
        except ValueError:
            return self._restore(decoding) + self.feed(chunk[end:])
        self._decoding, self._tail = None, b""
        placeholder = self._prefix + str(self._count).encode()
        self._count += 1
        self._decoded[placeholder] = image
        return placeholder + self.feed(chunk[end:])

    def _restore(self, decoding: "_Base64") -> bytes:
        self._decoding, self._tail = None, b""
        text = decoding.text()
        decoding.discard()
        return text


class _Base64:
    """Decodes strict base64 in pieces of any size; what did not decode can be had as text again."""

    def __init__(self, limits: Limits, sink: Sink) -> None:
        self._limits = limits
        self._sink = sink
        self._rest = b""
        self._is_padded = False

    def feed(self, piece: bytes) -> None:
        """Add a piece. Raises `ValueError`, and then has added nothing of it."""
        text = self._rest + piece if self._rest else piece
        whole = len(text) & ~3
        if self._is_padded and text:
            raise ValueError("there is base64 after its end")
        decoded = pybase64.b64decode(memoryview(text)[:whole], validate=True)
        self._sink.write(decoded)
        self._is_padded = text[whole - 1 : whole] == b"="
        self._rest = text[whole:]
        self._limits.check("image", self._sink.size)

    def finish(self) -> Image:
        """Return the image. Raises `ValueError` if there is none, or base64 is left over."""
        if self._rest or not self._sink.size:
            raise ValueError("the base64 is empty, or ends within a group of four")
        return self._sink.finish()

    def discard(self) -> None:
        """Give the image up."""
        self._sink.discard()

    def text(self) -> bytes:
        """Return the base64 of everything that was added."""
        return pybase64.b64encode(self._sink.read_back()) + self._rest


def _decoded_size(encoded: int) -> int:
    return encoded * 3 // 4 - 32
