"""Draws images out of a body while it arrives, so that their base64 is never held as text.

What follows `"image_url": {"url": "data:...;base64,` goes piece by piece into a decoder, and a
short token takes its place in the JSON, which stays small whatever the images weigh. Anything
out of the ordinary is put back as it was and takes the plain path, with the same result: strict
base64 can be written again letter for letter from what was decoded of it.
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
_LONGEST_TOKEN = 256


class Sink(Protocol):
    """Where the bytes of one image go."""

    size: int

    def write(self, data: bytes) -> None:
        """Take some more bytes."""

    def read_back(self) -> bytes:
        """All that was taken."""

    def finish(self) -> Image:
        """The image that the bytes are."""

    def discard(self) -> None:
        """Leave nothing behind; the image will not be finished."""


class MemorySink:
    """Takes the bytes of one image into memory."""

    def __init__(self) -> None:
        self.size = 0
        self._bytes = BytesIO()

    def write(self, data: bytes) -> None:
        """Take some more bytes."""
        self.size += self._bytes.write(data)

    def read_back(self) -> bytes:
        """All that was taken."""
        return self._bytes.getvalue()

    def finish(self) -> Image:
        """The image that the bytes are."""
        return Image(content=self._bytes.getvalue())

    def discard(self) -> None:
        """There is nothing to leave behind."""


class Siphon:
    """Turns the bytes of a body into the bytes of its skeleton, and keeps the images drawn out.

    Raises `ReplyTooLargeError` for an image over its limit, as soon as it is.
    """

    def __init__(self, limits: Limits, new_sink: Callable[[], Sink] = MemorySink) -> None:
        self._limits = limits
        self._new_sink = new_sink
        self._tail = b""
        self._drawing: _Base64 | None = None
        self._drawn: dict[bytes, Image] = {}
        # Unguessable, so that no reply can name an image that it did not bring.
        self._token = f"drawn-{secrets.token_hex(8)}-".encode()

    def feed(self, chunk: bytes) -> bytes:
        """What of the skeleton these bytes complete."""
        if self._drawing is not None:
            return self._draw(self._drawing, chunk)
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
                self._drawing = _Base64(self._limits, self._new_sink())
                return chunk[:start] + self._draw(self._drawing, chunk[start:])
            at = window.find(_MARK, end)
        self._tail = b"" if chunk.endswith(b"\n") else window[-_LOOK_BACK:]
        return chunk

    def image(self, source: ImageURL | str) -> Image:
        """The image of a url in the skeleton: drawn out already, or standing there in full.

        Raises `InvalidImageError` for a url that is none, and `ReplyTooLargeError`.
        """
        if isinstance(source, str):
            return self._of_text(source)
        raw = memoryview(source.url)
        if len(raw) <= _LONGEST_TOKEN:
            # What is longer than a head and a token was not drawn.
            token = bytes(raw[1:-1]).rpartition(b",")[2]
            if token in self._drawn:
                return self._drawn.pop(token)
        if bytes(raw[1:6]) == b"data:":
            self._limits.check("image", _decoded_size(len(raw)))
            try:
                return self._of_bytes(decode_data_url(raw[1:-1]))
            except InvalidImageError:
                # Perhaps only JSON escapes stood between the base64 and the decoder.
                pass
        return self._of_text(parse_text(source.url))

    def _of_text(self, url: str) -> Image:
        if url[:5].lower() != "data:":
            # The gateway leaves an address in place where its own download failed.
            return Image.from_url(url)
        self._limits.check("image", _decoded_size(len(url)))
        return self._of_bytes(decode_data_url(url))

    def _of_bytes(self, data: bytes) -> Image:
        # Whatever the bytes are, they were paid for: a type we don't know is the user's to judge.
        if not data:
            raise InvalidImageError("The reply has an image without a single byte.")
        sink = self._new_sink()
        sink.write(data)
        return sink.finish()

    def close(self) -> None:
        """Leave nothing behind of an image that did not end."""
        if self._drawing is not None:
            self._drawing.discard()
            self._drawing = None

    def _draw(self, drawing: "_Base64", chunk: bytes) -> bytes:
        end = chunk.find(b'"')
        try:
            drawing.feed(chunk if end < 0 else chunk[:end])
        except ValueError:
            return self._put_back(drawing) + self.feed(chunk)
        if end < 0:
            return b""
        try:
            image = drawing.finish()
        except ValueError:
            return self._put_back(drawing) + self.feed(chunk[end:])
        self._drawing, self._tail = None, b""
        token = self._token + str(len(self._drawn)).encode()
        self._drawn[token] = image
        return token + self.feed(chunk[end:])

    def _put_back(self, drawing: "_Base64") -> bytes:
        self._drawing, self._tail = None, b""
        text = drawing.text()
        drawing.discard()
        return text


class _Base64:
    """Decodes strict base64 in pieces of any size; what did not decode can be had back as text."""

    def __init__(self, limits: Limits, sink: Sink) -> None:
        self._limits = limits
        self._sink = sink
        self._rest = b""
        self._is_padded = False

    def feed(self, piece: bytes) -> None:
        """Take a piece. Raises `ValueError`, having taken nothing of it."""
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
        """The image. Raises `ValueError` when there is none, or base64 is left over."""
        if self._rest or not self._sink.size:
            raise ValueError("the base64 is empty, or ends within a group of four")
        return self._sink.finish()

    def discard(self) -> None:
        """Give the image up."""
        self._sink.discard()

    def text(self) -> bytes:
        """The base64 of all that was taken."""
        return pybase64.b64encode(self._sink.read_back()) + self._rest


def _decoded_size(encoded: int) -> int:
    return encoded * 3 // 4 - 32
