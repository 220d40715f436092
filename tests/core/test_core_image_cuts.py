"""Every image of a reply arrives once, unchanged and in order, however the network splits it."""

import random
from collections.abc import Iterable, Iterator
from itertools import combinations_with_replacement, pairwise
from typing import Any

import pytest
from core_help import FINISH, Read, message
from support import JSON, STREAM, as_json, chunk, image_item, sse

from emby_plugins import ChatReply, Limits
from emby_plugins._protocol.reader import ReplyReader


def images(count: int, size: int) -> list[bytes]:
    """Return this many different images of about this size, with every padding of base64."""
    return [bytes([65 + n]) * (size + n % 3) for n in range(count)]


def one_per_event(data: list[bytes]) -> bytes:
    """The documented order: one chunk per image."""
    return sse(chunk("Here:"), *(chunk(None, image) for image in data), FINISH)


def several_per_event(data: list[bytes]) -> bytes:
    """The first image in one chunk, all others in the next."""
    return sse(chunk("Here:", data[0]), chunk(None, *data[1:]), FINISH)


def in_parts(data: list[bytes]) -> bytes:
    """Streamed content parts, two per chunk."""
    pairs = [data[at : at + 2] for at in range(0, len(data), 2)]
    deltas: list[Any] = [{"content": [image_item(image) for image in pair]} for pair in pairs]
    deltas.insert(0, {"content": [{"type": "text", "text": "Here:"}]})
    return sse(*(chunk(delta=delta) for delta in deltas), FINISH)


def whole(data: list[bytes]) -> bytes:
    """A single body, not streamed."""
    return as_json(message(content="Here:", images=[image_item(image) for image in data]))


LAYOUTS = {
    "one-per-event": (one_per_event, STREAM),
    "several-per-event": (several_per_event, STREAM),
    "in-parts": (in_parts, STREAM),
    "whole": (whole, JSON),
}


def read(body: bytes, cuts: Iterable[int], headers: dict[str, str]) -> ChatReply:
    """Read a body cut at these positions."""
    reader = ReplyReader(headers, limits=Limits(), model="m", prompt="p")
    with reader.error_context():
        for start, end in pairwise([0, *cuts, len(body)]):
            for _ in reader.feed(body[start:end]):
                pass
        list(reader.close())
    return reader.reply


def check(body: bytes, cuts: Iterable[int], headers: dict[str, str], data: list[bytes]) -> None:
    """Check that the reply has the text and exactly these images."""
    reply = read(body, cuts, headers)
    assert [image.content for image in reply.images] == data, cuts
    assert reply.text == "Here:"


@pytest.mark.parametrize("count", range(1, 6))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_cut_anywhere_keeps_every_image(layout: str, count: int) -> None:
    """A body cut at any position gives each image once, unchanged and in order."""
    make, headers = LAYOUTS[layout]
    data = images(count, 20)
    body = make(data)
    for cut in range(len(body) + 1):
        check(body, [cut], headers, data)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_cuts_anywhere_keep_every_image(layout: str) -> None:
    """A body cut at any two positions of a grid gives each image once, unchanged and in order."""
    make, headers = LAYOUTS[layout]
    data = images(4, 20)
    body = make(data)
    for cuts in combinations_with_replacement(range(0, len(body), 13), 2):
        check(body, cuts, headers, data)


def edges(body: bytes) -> Iterator[int]:
    """Yield the positions before and after quotes, commas, braces and line breaks."""
    for position, byte in enumerate(body):
        if byte in b'",{}\n':
            yield from (position, position + 1)


@pytest.mark.parametrize("size", [300, 10_000, 40_000, 70_000])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_large_images_cut_by_the_network_are_kept(layout: str, size: int) -> None:
    """Large images survive reads of a fixed size at any offset, and cuts at every delimiter."""
    make, headers = LAYOUTS[layout]
    data = images(3, size)
    body = make(data)
    for cut in list(edges(body))[:: 1 if size < 1000 else 6]:
        check(body, [cut], headers, data)
    chance = random.Random(size)
    for step in (997, 16_384, 65_536):
        check(body, range(chance.randrange(1, step), len(body), step), headers, data)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_truncated_reply_keeps_every_complete_image(layout: str) -> None:
    """A body that ends anywhere gives exactly the images that arrived completely."""
    make, headers = LAYOUTS[layout]
    data = images(3, 20)
    body = make(data)
    ends = [body.find(b'"', body.find(b";base64,", at)) for at in starts(body)]
    for cut in range(len(body)):
        result = Read(body[:cut], headers=headers)
        arrived = sum(end < cut for end in ends)
        assert [image.content for image in result.reply.images] == data[:arrived], cut
        if result.error is not None and arrived:
            assert result.error.partial == result.reply


def starts(body: bytes) -> Iterator[int]:
    """Yield the positions of the data URLs."""
    at = body.find(b"data:image")
    while at >= 0:
        yield at
        at = body.find(b"data:image", at + 1)
