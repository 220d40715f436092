"""Draws images out of a body while it arrives, so that their base64 is never held as text.

What follows `"image_url": {"url": "data:...;base64,` goes piece by piece into a decoder, and a
short token takes its place in the JSON, which stays small whatever the images weigh. Anything
out of the ordinary is put back as it was and takes the plain path, with the same result: strict
base64 can be written again letter for letter from what was decoded of it.
"""

import re
import secrets
from io import BytesIO

import pybase64

from emby_plugins.protocol.limits import Limits

_MARK = b";base64,"
# A quote inside a JSON string has a backslash before it, so this can't begin within a text.
_HEAD = re.compile(
    rb'(?<!\\)"image_url"\s*:\s*\{\s*"url"\s*:\s*"data:[^"\\,]{0,100};base64,\Z', re.IGNORECASE
)
_LOOK_BACK = 192


class Siphon:
    """Turns the bytes of a body into the bytes of its skeleton, and keeps the images drawn out.

    Raises `ReplyTooLargeError` for an image over its limit, as soon as it is.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._tail = b""
        self._drawing: _Base64 | None = None
        self._drawn: dict[bytes, bytes] = {}
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
                self._drawing = _Base64(self._limits)
                return chunk[:start] + self._draw(self._drawing, chunk[start:])
            at = window.find(_MARK, end)
        self._tail = b"" if chunk.endswith(b"\n") else window[-_LOOK_BACK:]
        return chunk

    def take(self, url: bytes) -> bytes | None:
        """The image whose token stands in `url`, once; None for a url that holds none."""
        return self._drawn.pop(url.rpartition(b",")[2], None) if self._drawn else None

    def _draw(self, drawing: "_Base64", chunk: bytes) -> bytes:
        end = chunk.find(b'"')
        try:
            drawing.feed(chunk if end < 0 else chunk[:end])
        except ValueError:
            return self._put_back(drawing) + self.feed(chunk)
        if end < 0:
            return b""
        try:
            image = drawing.close()
        except ValueError:
            return self._put_back(drawing) + self.feed(chunk[end:])
        self._drawing, self._tail = None, b""
        token = self._token + str(len(self._drawn)).encode()
        self._drawn[token] = image
        return token + self.feed(chunk[end:])

    def _put_back(self, drawing: "_Base64") -> bytes:
        self._drawing, self._tail = None, b""
        return drawing.text()


class _Base64:
    """Decodes strict base64 in pieces of any size; what did not decode can be had back as text."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._decoded = BytesIO()
        self._rest = b""
        self._is_padded = False

    def feed(self, piece: bytes) -> None:
        """Take a piece. Raises `ValueError`, having taken nothing of it."""
        text = self._rest + piece if self._rest else piece
        whole = len(text) & ~3
        if self._is_padded and text:
            raise ValueError("there is base64 after its end")
        decoded = pybase64.b64decode(memoryview(text)[:whole], validate=True)
        self._decoded.write(decoded)
        self._is_padded = text[whole - 1 : whole] == b"="
        self._rest = text[whole:]
        self._limits.check("image", self._decoded.tell())

    def close(self) -> bytes:
        """All the bytes. Raises `ValueError` when some of the base64 is left over."""
        if self._rest:
            raise ValueError("the base64 ends within a group of four")
        return self._decoded.getvalue()

    def text(self) -> bytes:
        """The base64 of all that was taken."""
        return pybase64.b64encode(self._decoded.getvalue()) + self._rest
