"""Decode base64 images while the body streams in, without buffering the encoded text.

The value of `"image_url"`, of the `"url"` in it or of `"b64_json"` is fed piece by piece to a
base64 decoder, and a short placeholder takes its place in the JSON, which stays small regardless of
the image size. Anything unusual is restored to the original text and parsed as JSON, with the same
result. That works because decoded strict base64 encodes to the same characters again.
"""

import re
import secrets
from collections.abc import Callable

import pybase64

from emby_plugins._errors import ReplyTooLargeError
from emby_plugins._images import Image
from emby_plugins._protocol.limits import Limits
from emby_plugins._sinks import MemorySink, Sink

_MARKS = (b";base64,", b"b64_json")
# What precedes base64. Bounded, as it may be split over the tail and the next chunk.
_START = re.compile(rb';base64,|"b64_json"[ \t\r\n]{0,32}:[ \t\r\n]{0,32}"')
_MAX_START = 80
# Quotes within a JSON string are escaped, so this can only match a key, never text.
_HEAD = re.compile(
    rb'(?<!\\)"(?:image_url"\s*:\s*(?:\{\s*"url"\s*:\s*)?"data:[^"\\,]{0,100};base64,'
    rb'|b64_json"\s*:\s*")\Z',
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(rb"image-[0-9a-f]{16}-[0-9]+")
_LOOK_BACK = 192
_MAX_PLACEHOLDER = 256


class ImageDecoder:
    """Replaces inline images with placeholders, and keeps the decoded images until taken.

    `error` is set when an image is over its limit or there are too many images, instead of being
    raised: data before it in the same chunk is still returned.
    """

    def __init__(self, limits: Limits, new_sink: Callable[[], Sink] = MemorySink) -> None:
        self.error: ReplyTooLargeError | None = None
        self._limits = limits
        self._new_sink = new_sink
        self._tail = b""
        self._decoding: _Base64 | None = None
        self._decoded: dict[bytes, Image] = {}
        # The number of images decoded so far. `len(self._decoded)` would reuse numbers, as images
        # are taken out while others of the same event are still arriving.
        self._count = 0
        # Random, so that a reply can't refer to an image by guessing its placeholder.
        self._prefix = f"image-{secrets.token_hex(8)}-".encode()

    def feed(self, chunk: bytes) -> bytes:
        """Decode a chunk; return its JSON, with placeholders in place of images."""
        is_idle = not (self._decoding or self._tail)
        if is_idle and chunk.find(_MARKS[0]) < 0 and chunk.find(_MARKS[1]) < 0:
            # The common case, a few words of text: no image starts in this chunk; `find` takes half
            # the time of `in`. A line break ends an event, so the text before it can't be the start
            # of an image.
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
        """Return and forget the image whose placeholder is in a URL (a JSON string), if any."""
        if len(url) > _MAX_PLACEHOLDER:
            return None
        return self._decoded.pop(bytes(url[1:-1]).rpartition(b",")[2], None)

    def take_all(self) -> list[Image]:
        """Return and forget all remaining images, in the order of arrival."""
        images = list(self._decoded.values())
        self._decoded.clear()
        return images

    def restore(self, text: bytes) -> bytes:
        """Replace placeholders in JSON with the base64 of their images."""
        if self._prefix not in text:
            return text
        return _PLACEHOLDER.sub(self._base64_of, text)

    def abridge(self, text: bytes) -> bytes:
        """Replace placeholders in JSON with `...`; their images stay available."""
        return _PLACEHOLDER.sub(b"...", text) if self._prefix in text else text

    def store(self, data: bytes) -> Image:
        """Store bytes that were decoded elsewhere in the same kind of sink; return the image."""
        sink = self._new_sink()
        sink.write(data)
        return sink.finish()

    def close(self) -> None:
        """Discard an unfinished image."""
        if self._decoding is not None:
            self._decoding.discard()
            self._decoding = None

    def _copy(self, chunk: bytes, at: int, out: list[bytes]) -> int:
        """Copy `chunk` from `at` to the start of the next image; return that position."""
        # An image may start in the previous chunk's tail, so search tail and chunk together.
        window = self._tail + chunk if self._tail else chunk
        offset = len(self._tail)
        # Finding bytes is many times faster than matching, and most chunks have no image.
        has_mark = _MARKS[0] in window or _MARKS[1] in window
        for start in _START.finditer(window, max(at, offset - _MAX_START)) if has_mark else ():
            end = start.end()
            # One that ended in the tail was examined with the previous chunk.
            if end > offset and _HEAD.search(window, max(at, end - _LOOK_BACK), end):
                self._limits.check("images", self._count + 1)
                self._decoding = _Base64(self._limits, self._new_sink())
                out.append(chunk[at : end - offset])
                return end - offset
        self._tail = b"" if chunk.endswith(b"\n") else window[max(at, len(window) - _LOOK_BACK) :]
        out.append(chunk[at:])
        return len(chunk)

    def _decode(self, chunk: bytes, at: int, out: list[bytes]) -> int:
        """Decode `chunk` from `at` to the end of the image; return that position."""
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
            # Not strict base64: restore the text, for the JSON parser to judge.
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
        return placeholder[0] if image is None else image.base64.encode()


class _Base64:
    """Decodes strict base64 in pieces of any size, and can return the original text."""

    def __init__(self, limits: Limits, sink: Sink) -> None:
        self._limits = limits
        self._sink = sink
        self._rest = b""
        self._is_padded = False

    def feed(self, piece: memoryview) -> None:
        """Decode a piece. Raises `ValueError`, in which case no part of the piece was added."""
        if not piece:
            return
        text = memoryview(b"".join((self._rest, piece))) if self._rest else piece
        # Four characters are three bytes: a group that is not complete waits for the next piece.
        whole = len(text) & ~3
        if self._is_padded:
            raise ValueError("data after the padding")
        self._sink.write_base64(text[:whole])
        self._is_padded = whole > 0 and text[whole - 1] == 0x3D
        self._rest = bytes(text[whole:])
        self._limits.check("image", self._sink.size)

    def finish(self) -> Image:
        """Return the image. Raises `ValueError` for an empty image or incomplete base64."""
        if self._rest or not self._sink.size:
            raise ValueError("empty or incomplete base64")
        return self._sink.finish()

    def discard(self) -> None:
        """Discard the image."""
        self._sink.discard()

    def text(self) -> bytes:
        """Return the base64 of everything added."""
        return pybase64.b64encode(self._sink.read_back()) + self._rest
