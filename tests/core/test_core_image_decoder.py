"""The image decoder gives the same replies as parsing the plain JSON."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from emby_plugins import EmbyError, Limits, ReplyTooLargeError
from emby_plugins._protocol import reader as reading
from emby_plugins._protocol.image_decoder import ImageDecoder
from emby_plugins._protocol.reader import ReplyReader
from emby_plugins._protocol.schema import parse_completion
from emby_plugins._sinks import Base64Sink

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5E"
PNG += "rkJggg=="


class _Straight(ImageDecoder):
    """Decodes nothing, so that the plain JSON is parsed."""

    def feed(self, chunk: bytes) -> bytes:
        return chunk


class _AsText(ImageDecoder):
    """Keeps images as base64."""

    def __init__(self, limits: Limits, new_sink: object) -> None:
        super().__init__(limits, Base64Sink)


def outcome(body: bytes, cuts: list[int], kind: str, decoder: type[ImageDecoder]) -> object:
    """Read a body in pieces: return the reply, or the error's class and the partial reply."""
    original = reading.ImageDecoder
    reading.ImageDecoder = decoder  # type: ignore[misc]
    try:
        reader = ReplyReader({"content-type": kind}, limits=Limits(), model="m", prompt="p")
    finally:
        reading.ImageDecoder = original  # type: ignore[misc]
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    try:
        with reader.error_context():
            for start, end in pairwise(edges):
                list(reader.feed(body[start:end]))
                if reader.is_done:
                    break
            list(reader.close())
    except EmbyError as error:
        return type(error), error.partial
    return reader.reply


def image(url: str) -> dict[str, object]:
    """Return an entry of `images`."""
    return {"type": "image_url", "image_url": {"url": url}}


def whole(*urls: str, text: str = "Here", escape: bool = False) -> bytes:
    """Return a reply with these images, not streamed."""
    message = {"role": "assistant", "content": text, "images": [image(url) for url in urls]}
    body = json.dumps({"choices": [{"finish_reason": "stop", "message": message}]})
    return (body.replace("/", "\\/") if escape else body).encode()


def stream(*urls: str, text: str = "Here") -> bytes:
    """Return a streamed reply with these images, one per chunk."""
    deltas: list[dict[str, object]] = [{"content": text}, *({"images": [image(u)]} for u in urls)]
    frames = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    frames.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return b"".join(f"data: {json.dumps(frame)}\n\n".encode() for frame in frames)


URLS = {
    "plain": f"data:image/png;base64,{PNG}",
    "https": "https://example.com/a.png",
    "empty": "data:image/png;base64,",
    "broken": f"data:image/png;base64,{PNG[:-3]}",
    "not base64": "data:image/png;base64,%%%%",
    "padded in the middle": f"data:image/png;base64,{PNG}{PNG}",
    "with line breaks": f"data:image/png;base64,{PNG[:20]}\n{PNG[20:]}",
    "with parameters": f"data:image/png;name=a;charset=utf-8;base64,{PNG}",
    "loose last bits": "data:image/png;base64,iVBORw0KGgp=",
    "upper case": f"DATA:IMAGE/PNG;BASE64,{PNG}",
    "a token of ours": "data:image/png;base64,image-0000000000000000-0",
    "unknown type": "data:image/x-odd;base64,AAECAwQFBgc=",
}
TEXTS = [
    "Here",
    'the "url":"data:image/png;base64,' + PNG + '" in a text',
    '"image_url":{"url":"data:image/png;base64,' + PNG,
    "\\",
    ";base64,",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize("escape", [False, True], ids=["", "escaped"])
def test_every_split_of_a_reply_is_as_the_plain_path(name: str, text: str, escape: bool) -> None:
    """Decoding gives the same reply or error as parsing, for any cut of a body that is not
    streamed.
    """
    body = whole(URLS[name], URLS["plain"], text=text, escape=escape)
    expected = outcome(body, [], "application/json", _Straight)
    for cut in range(0, len(body), 3):
        assert outcome(body, [cut], "application/json", ImageDecoder) == expected


@pytest.mark.parametrize("name", URLS)
def test_every_split_of_a_stream_is_as_the_plain_path(name: str) -> None:
    """Decoding gives the same reply or error as parsing, for any cut of a stream."""
    body = stream(URLS["plain"], URLS[name])
    expected = outcome(body, [], "text/event-stream", _Straight)
    for cut in range(0, len(body), 3):
        for decoder in (ImageDecoder, _AsText):
            assert outcome(body, [cut, cut + 1], "text/event-stream", decoder) == expected


@given(
    names=st.lists(st.sampled_from(sorted(URLS)), max_size=4),
    text=st.one_of(st.text(max_size=30), st.sampled_from(TEXTS)),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
    end=st.one_of(st.none(), st.integers(0, 10_000)),
    streamed=st.booleans(),
)
def test_any_reply_in_any_pieces_is_as_the_plain_path(
    names: list[str], text: str, cuts: list[int], end: int | None, streamed: bool
) -> None:
    """Decoding gives the same result as parsing, for any images, text, pieces and truncation."""
    urls = [URLS[name] for name in names]
    body = stream(*urls, text=text) if streamed else whole(*urls, text=text)
    body = body if end is None else body[: end % (len(body) + 1)]
    kind = "text/event-stream" if streamed else "application/json"
    assert outcome(body, cuts, kind, ImageDecoder) == outcome(body, [], kind, _Straight)


def test_the_parsed_body_stays_small() -> None:
    """Of a body with an image of 3 MB, less than 300 bytes are left to parse."""
    body = whole("data:image/png;base64," + "AAAA" * 1_000_000)
    decoder = ImageDecoder(Limits())
    rest = b"".join(decoder.feed(body[i : i + 65536]) for i in range(0, len(body), 65536))
    assert len(rest) < 300
    chunk = parse_completion(rest)
    assert chunk is not None
    (entry,) = chunk.choices[0].message.images  # type: ignore[index,union-attr,misc]
    taken = decoder.take(bytes(entry.image_url.url))  # type: ignore[union-attr]
    assert taken is not None
    assert taken.data == bytes(3_000_000)
    assert decoder.take(bytes(entry.image_url.url)) is None  # type: ignore[union-attr]


def test_placeholders_can_be_turned_back_into_base64() -> None:
    """Placeholders in the JSON can be replaced by the original base64, if the JSON is just text."""
    body = whole(URLS["plain"], URLS["plain"])
    decoder = ImageDecoder(Limits())
    rest = decoder.feed(body)
    assert len(rest) < len(body)
    assert decoder.restore(rest) == body


def test_an_image_over_its_limit_is_refused_while_it_arrives() -> None:
    """An image over the limit is refused before it has arrived completely."""
    decoder = ImageDecoder(Limits(image=1000))
    decoder.feed(b'{"image_url":{"url":"data:image/png;base64,')
    assert decoder.feed(b"AAAA" * 300) == b""
    assert decoder.error is None
    decoder.feed(b"AAAA" * 100)
    assert isinstance(decoder.error, ReplyTooLargeError)


def test_an_empty_read_changes_nothing() -> None:
    """An empty read after the padding does not change the result."""
    decoder = ImageDecoder(Limits())
    pieces = (b'{"image_url":{"url":"data:image/png;base64,AA==', b"", b'AAAA"}}')
    assert b"".join(map(decoder.feed, pieces)) == b"".join(pieces)
    assert decoder.take_all() == []


def test_thousands_of_images_in_one_read_need_no_recursion() -> None:
    """Thousands of images in one read are decoded one after another, without recursion."""
    decoder = ImageDecoder(Limits(images=3000))
    assert len(decoder.feed(whole(*[URLS["plain"]] * 2000))) < 200_000
    assert len(decoder.take_all()) == 2000
