"""Decode base64 images while the body streams in, without ever buffering the encoded text.

The value of `"image_url"`, or of the `"url"` in it, goes piece by piece into a base64 decoder, and
a short placeholder takes its place in the JSON, which stays small however large the images are.
Anything unusual is restored as it was and takes the plain path, with the same result: strict
base64 can be encoded again, letter for letter, from what was decoded of it.
"""

import re
import secrets
from collections.abc import Callable
from io import BytesIO
from typing import Protocol

import pybase64

from emby_plugins._errors import ReplyTooLargeError
from emby_plugins._images import Image
from emby_plugins._protocol.limits import Limits

_MARK = b";base64,"
# A quote inside a JSON string has a backslash before it, so this can't begin within a text.
_HEAD = re.compile(
    rb'(?<!\\)"image_url"\s*:\s*(?:\{\s*"url"\s*:\s*)?"data:[^"\\,]{0,100};base64,\Z',
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(rb"image-[0-9a-f]{16}-[0-9]+")
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
    """Replaces inline images by placeholders, and keeps the decoded images until they are taken.

    `error` is set as soon as an image is over its limit, or there are too many: what came before
    it in the same piece can still be read.
    """

    def __init__(self, limits: Limits, new_sink: Callable[[], Sink] = MemorySink) -> None:
        self.error: ReplyTooLargeError | None = None
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
        if self._decoding is None and not self._tail and _MARK not in chunk:
            # The everyday case, a few words: nothing begins here, nor across the next cut.
            self._tail = b"" if chunk.endswith(b"\n") else chunk[-_LOOK_BACK:]
            return chunk
        out: list[bytes] = []
        at = 0
        try:
            while at < len(chunk):
                step = self._copy if self._decoding is None else self._decode
                at = step(chunk, at, out)
        except ReplyTooLargeError as error:
            self.error = error
        return b"".join(out)

    def take(self, url: bytes | memoryview) -> Image | None:
        """Return the image whose placeholder is in a URL (a JSON string), and let go of it."""
        if len(url) > _LONGEST_PLACEHOLDER:
            return None
        return self._decoded.pop(bytes(url[1:-1]).rpartition(b",")[2], None)

    def take_all(self) -> list[Image]:
        """Return the images that nobody has taken, in the order they came, and let go of them."""
        images = list(self._decoded.values())
        self._decoded.clear()
        return images

    def restore(self, text: bytes) -> bytes:
        """Return JSON with the base64 of its images in place of their placeholders."""
        if self._prefix not in text:
            return text
        return _PLACEHOLDER.sub(self._base64_of, text)

    def abridge(self, text: bytes) -> bytes:
        """Return JSON with dots in place of placeholders: their images are kept as images."""
        return _PLACEHOLDER.sub(b"...", text) if self._prefix in text else text

    def store(self, data: bytes) -> Image:
        """Return the image of bytes that were decoded elsewhere, kept where all others are."""
        sink = self._new_sink()
        sink.write(data)
        return sink.finish()

    def close(self) -> None:
        """Discard an image that did not end."""
        if self._decoding is not None:
            self._decoding.discard()
            self._decoding = None

    def _copy(self, chunk: bytes, at: int, out: list[bytes]) -> int:
        """Copy `chunk` from `at` on, up to where an image begins; return that position."""
        # There is a tail at the beginning of a chunk only; behind an image nothing is copied.
        window = self._tail + chunk if self._tail else chunk
        offset = len(self._tail)
        mark = window.find(_MARK, max(at, offset - len(_MARK) + 1))
        while mark >= 0:
            end = mark + len(_MARK)
            if _HEAD.search(window, max(at, end - _LOOK_BACK), end):
                self._limits.check("images", self._count + 1)
                self._decoding = _Base64(self._limits, self._new_sink())
                out.append(chunk[at : end - offset])
                return end - offset
            mark = window.find(_MARK, end)
        self._tail = b"" if chunk.endswith(b"\n") else window[max(at, len(window) - _LOOK_BACK) :]
        out.append(chunk[at:])
        return len(chunk)

    def _decode(self, chunk: bytes, at: int, out: list[bytes]) -> int:
        """Decode `chunk` from `at` on, up to where the image ends; return that position."""
        decoding = self._decoding
        assert decoding is not None
        end = chunk.find(b'"', at)
        try:
            decoding.feed(memoryview(chunk)[at : end if end >= 0 else None])
            if end < 0:
                return len(chunk)
            at = end
            image = decoding.finish()
        except ValueError:
            out.append(decoding.text())
            decoding.discard()
        else:
            placeholder = self._prefix + str(self._count).encode()
            self._count += 1
            self._decoded[placeholder] = image
            out.append(placeholder)
        self._decoding, self._tail = None, b""
        return at

    def _base64_of(self, placeholder: "re.Match[bytes]") -> bytes:
        image = self._decoded.pop(placeholder[0], None)
        return placeholder[0] if image is None else pybase64.b64encode(image.data)


class _Base64:
    """Decodes strict base64 in pieces of any size; what did not decode can be had as text again."""

    def __init__(self, limits: Limits, sink: Sink) -> None:
        self._limits = limits
        self._sink = sink
        self._rest = b""
        self._is_padded = False

    def feed(self, piece: memoryview) -> None:
        """Add a piece. Raises `ValueError`, and then has added nothing of it."""
        if not piece:
            return
        text = memoryview(b"".join((self._rest, piece))) if self._rest else piece
        whole = len(text) & ~3
        if self._is_padded:
            raise ValueError("there is base64 after its end")
        decoded = pybase64.b64decode(text[:whole], validate=True)
        self._sink.write(decoded)
        self._is_padded = whole > 0 and text[whole - 1] == 0x3D
        self._rest = bytes(text[whole:])
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
