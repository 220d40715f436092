"""Apply a `Fault` to a reply: its content, its events, its bytes and their timing."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, repeat
from typing import TYPE_CHECKING

from emby_plugins._images import Image
from emby_plugins.mock.error_responses import event
from emby_plugins.mock.errors import reason_of
from emby_plugins.mock.faults import NONE, Fault, OddImage
from emby_plugins.mock.responses import EVENTS, MockResponse

if TYPE_CHECKING:
    from emby_plugins.mock.respond import Reply

_GARBAGE = b'data: {"choices": [{"delta": {"content": oops\n\n'
_BAD_UTF8 = b'data: {"choices": [{"index": 0, "delta": {"content": "\xff\xfe\xc3"}}]}\n\n'

# A placeholder for the text, so that the megabytes are never held.
_MARK = "emby-mock-filler-5c1b"
_PIECE = b"emby-mock " * 6_400
_MEGABYTE = 1_000_000
_EMPTY = b'"content":""'
_BOMB_SIDE = 12_000


@dataclass(frozen=True, slots=True)
class Pace:
    """When the chunks of a body come: `pause` seconds between them, by `sleep`.

    `ping` is the seconds between keep-alive comments in a stream, None for none.
    """

    pause: float
    ping: float | None
    sleep: Callable[[float], object]

    def apply(self, chunks: Iterable[bytes], delay: float) -> Iterator[bytes]:
        """The chunks, each at its time, the first after `delay` seconds."""
        silent, wait = 0.0, delay
        for chunk in chunks:
            while self.ping is not None and silent + wait >= self.ping:
                self.sleep(self.ping - silent)
                wait -= self.ping - silent
                silent = 0.0
                yield b": ping\n"
            if wait > 0:
                self.sleep(wait)
                silent += wait
            yield chunk
            wait = self.pause


def apply_to_reply(reply: "Reply", fault: Fault) -> "Reply":
    """The reply with the fault in its content."""
    if fault.megabytes or fault.endless:
        reply = replace(reply, text=_MARK)
    if fault.no_finish:
        reply = replace(reply, finish_reason=None)
    if fault.images is not None or fault.image:
        count = len(reply.images) or 1 if fault.images is None else fault.images
        images = reply.images or (_small_image(),)
        repeated = (images[at % len(images)] for at in range(count))
        reply = replace(reply, images=tuple(_odd(image, fault.image) for image in repeated))
    return reply


def apply_to_frames(frames: Iterator[bytes], fault: Fault) -> Iterator[bytes]:
    """The events of a stream with the fault in them."""
    first = next(frames)
    yield from _filled(first, fault)
    if _EMPTY in first:
        # The fault occurs after the first content.
        first = next(frames)
        yield from _filled(first, fault)
    if fault.garbage:
        yield _GARBAGE
    if fault.invalid_utf8:
        yield _BAD_UTF8
    if fault.error:
        status = fault.upstream or 502
        message = f"Error from provider: {status} {reason_of(status)}"
        error = {"message": message, "type": "upstream_error", "param": None}
        yield event("error", {"error": {**error, "code": "upstream_error"}}, 2)
        yield event("done", None, 3)
        return
    if fault.endless:
        yield from chain.from_iterable(_filled(first, fault) for _ in repeat(None))
    for frame in frames:
        is_done = b"data: [DONE]\n" in frame[:40]
        if not (is_done and fault.no_done):
            yield from _filled(frame, fault)
        if is_done and fault.double_done:
            yield frame


def apply_to_body(body: bytes, fault: Fault) -> Iterator[bytes] | bytes:
    """The JSON of a reply with the fault in it."""
    if fault.garbage:
        return body.replace(b'"choices":', b'"choices":oops', 1)
    if fault.invalid_utf8:
        return body.replace(b'"choices"', b'"mock": "\xff\xfe\xc3", "choices"', 1)
    if fault.megabytes or fault.endless:
        return _filled(body, fault, endless=fault.endless)
    return body


def apply_to_response(response: MockResponse, fault: Fault, pace: Pace) -> MockResponse:
    """The response with the fault in its headers, bytes and timing."""
    pause = fault.pause or pace.pause
    if fault == NONE and not pause:
        return response
    headers, chunks = dict(response.headers), response.body
    is_stream = headers["content-type"] == EVENTS
    if fault.empty or fault.gzip:
        headers.pop("content-length", None)
    if fault.empty:
        chunks = iter(())
    if fault.gzip:
        headers["content-encoding"] = ", ".join(["gzip"] * fault.gzip)
        for _ in range(fault.gzip):
            chunks = _compressed(chunks)
    if fault.drip:
        chunks = _dripped(chunks, fault.drip)
    if pause or fault.delay:
        ping = pace.ping if is_stream else None
        chunks = replace(pace, pause=pause, ping=ping).apply(chunks, fault.delay)
    if fault.cut is not None:
        chunks = _cut_off(chunks, fault.cut)
    headers |= {name: value for name, value in (
        ("content-type", fault.content_type), ("location", fault.location),
        ("retry-after", "" if fault.retry_after is None else f"{fault.retry_after:g}"),
    ) if value}  # fmt: skip
    return replace(response, headers=headers, body=chunks, is_cut=fault.cut is not None)


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    yield from filter(None, map(packer.compress, chunks))
    yield packer.flush()


def _dripped(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]


def _cut_off(chunks: Iterable[bytes], length: int) -> Iterator[bytes]:
    for chunk in chunks:
        if length <= 0:
            return
        yield chunk[:length]
        length -= len(chunk)


def _filled(chunk: bytes, fault: Fault, *, endless: bool = False) -> Iterator[bytes]:
    """The chunk, with the requested amount of text at the mark."""
    before, mark, after = chunk.partition(_MARK.encode())
    yield before
    if not mark:
        return
    left = fault.megabytes * _MEGABYTE or len(_PIECE)
    while endless or left > 0:
        yield _PIECE if endless else _PIECE[:left]
        left -= len(_PIECE)
    yield after


def _odd(image: Image, kind: OddImage | None) -> Image:
    match kind:
        case "bomb":
            return _pixel_bomb()
        case "truncated":
            return Image(content=image.data[: len(image.data) // 2])
        case "unknown":
            return Image(url="data:image/x-emby-mock;base64,bm8gaW1hZ2Ugb2YgYW55IGtpbmQ=")
        case "https":
            return Image(url="https://example.com/emby-mock.png")
        case _:
            return image


def _small_image() -> Image:
    from emby_plugins.mock.image_files import generate_all
    from emby_plugins.mock.requests import ImageConfig

    return generate_all("a boat", ImageConfig(image_size="64x64"))[0]


@lru_cache(maxsize=1)
def _pixel_bomb() -> Image:
    """A valid PNG of few bytes and 144 megapixels."""
    from PIL import Image as Pillow

    from emby_plugins.mock.image_files import encode

    return encode(Pillow.new("1", (_BOMB_SIDE, _BOMB_SIDE)), "PNG", "a bomb")
