"""The bytes of a body: decompressed if a proxy compressed them, and bounded.

Limits count what is held in memory: a gateway can pack a thousand bytes into one.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from emby_plugins._errors import EmbyError, MalformedReplyError, ReplyTooLargeError

_PIECE = 256 * 1024
_STEP = 4 * 1024
_ALLOWED = 8 * 1024 * 1024
"""How much a compressed body may hold in memory beyond its own size, images aside."""

_PACKED = {"gzip", "x-gzip", "deflate"}
# The first byte of gzip, and those of zlib with any size of window.
_FIRST_BYTES = b"\x1f\x08\x18\x28\x38\x48\x58\x68\x78"


class Inflater:
    """Decompresses an unrequested Content-Encoding, up to `most` bytes, in pieces of 256 KiB.

    Stacked encodings are refused: two kilobytes of nested gzip hold a gigabyte. A body that is
    not compressed, whatever its header says, is left unchanged.
    """

    def __init__(self, encoding: str, most: int) -> None:
        name = encoding.strip().lower()
        if name not in {"", "identity", *_PACKED}:
            msg = f"The reply is compressed as {name[:80]!r}, which was not requested."
            raise MalformedReplyError(msg, hint="Emby's replies come uncompressed: is it a proxy?")
        self.is_packed = name in _PACKED
        self._inflate = _new() if self.is_packed else None
        self._has_begun = False
        self._wire_size = 0
        self._left = most

    def __call__(self, chunk: bytes) -> Iterable[bytes]:
        """The decompressed bytes of `chunk`.

        Raises `MalformedReplyError` when they are damaged, after what could be decompressed, and
        `ReplyTooLargeError`.
        """
        if self.is_packed and chunk and not self._has_begun:
            self._has_begun = True
            self.is_packed = chunk[0] in _FIRST_BYTES
        if self.is_packed:
            return self._inflated(chunk)
        if len(chunk) <= _PIECE:
            return (chunk,)
        return (chunk[start : start + _PIECE] for start in range(0, len(chunk), _PIECE))

    def check(self, held: int) -> None:
        """Raise `ReplyTooLargeError` when much more is held than has come over the wire."""
        if self.is_packed and held > self._wire_size + _ALLOWED:
            msg = f"The reply unpacks to far more than the {self._wire_size:,} bytes that came."
            raise ReplyTooLargeError(msg, hint="Compression was not requested: is it a proxy?")

    def _inflated(self, chunk: bytes) -> Iterator[bytes]:
        assert self._inflate is not None
        self._wire_size += len(chunk)
        for start in range(0, len(chunk), _STEP):
            step = chunk[start : start + _STEP]
            while step:
                before = self._inflate.copy()
                try:
                    data = self._inflate.decompress(step, _PIECE)
                except zlib.error as error:
                    yield from _up_to_the_damage(before, step)
                    msg = f"The reply's compression is broken: {error}."
                    raise MalformedReplyError(msg) from None
                self._left -= len(data)
                if self._left < 0:
                    msg = "The reply unpacks to more than Limits(wire=...) allows."
                    raise ReplyTooLargeError(msg)
                yield data
                step = self._inflate.unconsumed_tail
                if self._inflate.eof and self._inflate.unused_data[:1] in (b"\x1f", b"\x78"):
                    # Compressed files may be joined to one.
                    step = self._inflate.unused_data
                    self._inflate = _new()


class BodyReader:
    """Collects a body that is not a reply; raises `ReplyTooLargeError` beyond `most` bytes.

    It has the interface of `ReplyReader`, so that whoever drives them needs one loop for both.
    """

    is_done = False

    def __init__(self, headers: Mapping[str, str], most: int) -> None:
        self._inflate = Inflater(headers.get("content-encoding", ""), most)
        self._most = most
        self._body = bytearray()

    def feed(self, chunk: bytes) -> tuple[()]:
        """Take these bytes, without producing events."""
        for piece in self._inflate(chunk):
            self._body += piece
            if len(self._body) > self._most:
                raise ReplyTooLargeError(f"The response is larger than {self._most:,} bytes.")
            self._inflate.check(len(self._body))
        return ()

    def close(self) -> tuple[()]:
        """End the body, without producing events."""
        return ()

    @contextmanager
    def error_context(self) -> Iterator[None]:
        """Nothing of a body that broke off is worth keeping."""
        yield

    def may_repeat(self, error: EmbyError) -> bool:
        """Whether to retry after this error: only a reply is paid for."""
        return error.is_retryable

    def is_complete(self) -> bool:
        """Whether what was collected is a whole JSON object."""
        return is_object(self._body)

    @property
    def body(self) -> bytes:
        """What was collected."""
        return bytes(self._body)


def is_object(body: bytes | bytearray) -> bool:
    """Whether these bytes are a whole JSON object; nothing is built of it."""
    # Asked after every chunk of a body, so the end is looked at first, without a copy of the rest.
    if not (body[-1024:].rstrip() or body.rstrip()).endswith(b"}"):
        return False
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _new() -> "zlib._Decompress":
    return zlib.decompressobj(zlib.MAX_WBITS | 32)


def _up_to_the_damage(inflate: "zlib._Decompress", step: bytes) -> Iterator[bytes]:
    """Byte by byte, since zlib gives nothing of a piece in which there is damage."""
    try:
        for byte in step:
            yield inflate.decompress(bytes((byte,)), _PIECE)
    except zlib.error:
        return
