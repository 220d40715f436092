"""Does to a reply what a `Fault` says: to what is said, to its events, and to its bytes."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import chain, repeat

from PIL import Image

from emby_plugins.mock.answer import Answer, OutputImage
from emby_plugins.mock.errors import reason_of
from emby_plugins.mock.failures import event, is_done
from emby_plugins.mock.faults import Fault, OddImage
from emby_plugins.mock.generate import generate
from emby_plugins.mock.image_files import encode

_GARBAGE = b'data: {"choices": [{"delta": {"content": oops\n\n'
_BAD_UTF8 = b'data: {"choices": [{"index": 0, "delta": {"content": "\xff\xfe\xc3"}}]}\n\n'

# Stands where the text goes, so that no one ever holds the megabytes.
_MARK = "emby-mock-filler-5c1b"
_PIECE = b"emby-mock " * 6_400
_MEGABYTE = 1_000_000
_EMPTY = b'"content":""'
_BOMB_SIDE = 12_000


def distort(said: Answer, fault: Fault) -> Answer:
    """What is said instead."""
    if fault.megabytes or fault.endless:
        said = replace(said, text=_MARK)
    if fault.no_finish:
        said = replace(said, finish_reason=None)
    if fault.images is not None or fault.image:
        wanted = len(said.images) or 1 if fault.images is None else fault.images
        images = said.images or (OutputImage("image/png", _small_picture()),)
        repeated = (images[at % len(images)] for at in range(wanted))
        said = replace(said, images=tuple(_odd(image, fault.image) for image in repeated))
    return said


def spoil_frames(frames: Iterator[bytes], fault: Fault) -> Iterator[bytes]:
    """The events of a stream that goes wrong."""
    first = next(frames)
    yield from _filled(first, fault)
    if _EMPTY in first:
        # What goes wrong comes after something was said.
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
        if not is_done(frame) or not fault.no_done:
            yield from _filled(frame, fault)
        if is_done(frame) and fault.double_done:
            yield frame


def spoil_body(body: bytes, fault: Fault) -> Iterator[bytes]:
    """The JSON of a reply that goes wrong."""
    if fault.garbage:
        yield body.replace(b'"choices":', b'"choices":oops', 1)
    elif fault.invalid_utf8:
        yield body.replace(b'"choices"', b'"mock": "\xff\xfe\xc3", "choices"', 1)
    else:
        yield from _filled(body, fault, endless=fault.endless)


def spoils_text(fault: Fault) -> bool:
    """Whether the body of a successful reply becomes another one than it would be."""
    return any((fault.garbage, fault.invalid_utf8, fault.megabytes, fault.endless))


def compressed(chunks: Iterable[bytes], layers: int) -> Iterator[bytes]:
    """The chunks, compressed with gzip so many times."""
    for _ in range(layers):
        chunks = _gzip(chunks)
    return iter(chunks)


def dripped(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of at most `size`."""
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]


def cut_off(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The first `most` bytes."""
    for chunk in chunks:
        if most <= 0:
            return
        yield chunk[:most]
        most -= len(chunk)


def _filled(chunk: bytes, fault: Fault, *, endless: bool = False) -> Iterator[bytes]:
    """The chunk, with as much text as asked for where the mark stands."""
    before, mark, after = chunk.partition(_MARK.encode())
    yield before
    if not mark:
        return
    left = fault.megabytes * _MEGABYTE or len(_PIECE)
    while endless or left > 0:
        yield _PIECE if endless else _PIECE[:left]
        left -= len(_PIECE)
    yield after


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    for chunk in chunks:
        packed = packer.compress(chunk)
        if packed:
            yield packed
    yield packer.flush()


def _odd(image: OutputImage, kind: OddImage | None) -> OutputImage:
    if kind == "bomb":
        return OutputImage("image/png", _pixel_bomb())
    if kind == "truncated":
        return replace(image, data=image.data[: len(image.data) // 2])
    if kind == "unknown":
        return OutputImage("image/x-emby-mock", b"no image of any kind")
    if kind == "https":
        return replace(image, url="https://example.com/emby-mock.png")
    return image


def _small_picture() -> bytes:
    return encode(generate("a boat", (64, 64)), "PNG", "a boat", edited=False)


@lru_cache(maxsize=1)
def _pixel_bomb() -> bytes:
    """A valid PNG of few bytes and 144 megapixels."""
    return encode(Image.new("1", (_BOMB_SIDE, _BOMB_SIDE)), "PNG", "a bomb", edited=False)
