"""The fuzz targets: each takes arbitrary bytes, and fails on an exception from another library.

`hypothesis` and `atheris` run the same targets; tests replay past findings (`corpus/`, with one
folder per target).
"""

import pickle
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from emby_plugins import ChatReply, EmbyError, Image, InvalidImageError, Limits
from emby_plugins._image_sources import decode_data_url
from emby_plugins._protocol.errors import error_from_event, error_from_response
from emby_plugins._protocol.models import parse_models
from emby_plugins._protocol.reader import ReplyReader
from emby_plugins._protocol.schema import parse_completion
from emby_plugins._redaction import redact_error
from emby_plugins._settings import Secret

CORPUS = Path(__file__).parent / "corpus"
LIMITS = Limits(wire=1 << 20, event=1 << 19, image=1 << 19, text=1 << 19)
STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
KEY = Secret("sk-12345678")
MOST_TO_OPEN = 1 << 20
_MOST_BYTEWISE = 300
_LONGEST_MESSAGE = 2_000
_LAYOUT = 8

Outcome = tuple[str, ChatReply]


def stream(data: bytes) -> None:
    """A stream gives the same reply split, at positions from the first bytes, and whole."""
    cuts, body = _cuts(data)
    _same_however_split(body, cuts, STREAM)


def reply(data: bytes) -> None:
    """A reply that is not streamed gives the same result split and whole."""
    cuts, body = _cuts(data)
    _same_however_split(body, cuts, JSON)


def images(data: bytes) -> None:
    """Several images in any layout and split each arrive once, exact and in order."""
    if len(data) < _LAYOUT:
        return
    layout, count, size, *cuts = data[:_LAYOUT]
    pattern = data[_LAYOUT:] or b"x"
    made = [
        (bytes((n,)) + pattern * (1 + size * size // len(pattern)))[: 1 + size * size + n % 3]
        for n in range(1 + count % 5)
    ]
    body, headers = _laid_out(layout, made)
    places = [0, *sorted(cut * len(body) // 255 for cut in cuts), len(body)]
    outcome, parsed = _read([body[a:b] for a, b in pairwise(places)], headers)
    assert outcome == ""
    assert [image.content for image in parsed.images] == made


def packed(data: bytes) -> None:
    """A compressed body; if damaged, the amount read before the error depends on the split."""
    cuts, body = _cuts(data)
    headers = {**STREAM, "content-encoding": "gzip"}
    if not _read((body,), headers)[0]:
        _same_however_split(body, cuts, headers)
    _read(_pieces(body, cuts), headers)


def error(data: bytes) -> None:
    """An error response with arbitrary status, headers and body."""
    head, _, body = data.partition(b"\n")
    words = head.decode("utf-8", "replace").split("|")
    headers = dict(zip(("retry-after", "date", "x-request-id"), words, strict=False))
    for made in (
        error_from_response(200 + len(head) % 400, headers, body),
        error_from_event(body),
    ):
        redact_error(made, KEY)
        _is_sound(made)
        assert KEY.reveal() not in f"{made} {vars(made)}"


def models(data: bytes) -> None:
    """A list of models."""
    with suppress(EmbyError):
        for card in parse_models(data):
            assert card.id
            assert repr(card)


def image(data: bytes) -> None:
    """An image file is kept unchanged, and either opens or is reported as damaged."""
    made = Image(content=data)
    assert made.data == data
    assert made.suffix
    with suppress(InvalidImageError):
        if made.size[0] * made.size[1] <= MOST_TO_OPEN:
            made.to_pil()
    with suppress(InvalidImageError):
        assert Image.from_bytes(data).data == data


def data_url(data: bytes) -> None:
    """A data URL is either refused, or decoded to bytes that encode and decode again."""
    for given in (data, b"data:image/png;base64," + data, data.decode("latin-1")):
        try:
            decoded = decode_data_url(given)
        except InvalidImageError as refused:
            _is_sound(refused)
        else:
            assert decode_data_url(Image(content=decoded).data_url) == decoded


def json(data: bytes) -> None:
    """The JSON of a chunk."""
    with suppress(EmbyError):
        parse_completion(data)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (stream, reply, images, packed, error, models, image, data_url, json)
}


def replay() -> int:
    """Run every target on its past findings, and return how many there were."""
    count = 0
    for name, target in TARGETS.items():
        for path in sorted((CORPUS / name).glob("*")):
            target(path.read_bytes())
            count += 1
    return count


def _laid_out(layout: int, made: list[bytes]) -> tuple[bytes, Mapping[str, str]]:
    """A reply with these images: one, two or all per event, in `content` or not, or unstreamed."""
    entries = [
        b'{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}' % b64encode(data)
        for data in made
    ]
    place = b"content" if layout & 4 else b"images"
    if layout & 8:
        joined = b",".join(entries)
        form = b'{"choices":[{"message":{"%b":[%b]},"finish_reason":"stop"}]}'
        return form % (place, joined), JSON
    step = (1, 2, len(entries), 3)[layout & 3]
    groups = [entries[at : at + step] for at in range(0, len(entries), step)]
    frames = [
        b'data: {"choices":[{"delta":{"%b":[%b]}}]}\n\n' % (place, b",".join(group))
        for group in groups
    ]
    return b"".join(frames) + b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', STREAM


def _cuts(data: bytes) -> tuple[list[int], bytes]:
    """The split positions, from the first three bytes, and the remaining bytes."""
    return sorted(byte * (1 + len(data) // 256) for byte in data[:3]), data[3:]


def _same_however_split(body: bytes, cuts: list[int], headers: Mapping[str, str]) -> None:
    whole = _read((body,), headers)
    assert _read(_pieces(body, cuts), headers) == whole
    if len(body) < _MOST_BYTEWISE:
        assert _read([body[at : at + 1] for at in range(len(body))], headers) == whole


def _pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *(min(cut, len(body)) for cut in cuts), len(body)]
    return [body[a:b] for a, b in pairwise(places)]


def _read(pieces: Iterable[bytes], headers: Mapping[str, str]) -> Outcome:
    reader = ReplyReader(headers, limits=LIMITS, model="m", prompt="p")
    events = list[object]()
    try:
        with reader.error_context():
            for piece in pieces:
                events += reader.feed(piece)
                if reader.is_done:
                    break
            events += reader.close()
    except EmbyError as error:
        _is_sound(error)
        return type(error).__name__, reader.reply
    assert repr(events)
    return "", reader.reply


def _is_sound(made: EmbyError) -> None:
    assert 0 < len(str(made)) < _LONGEST_MESSAGE
    assert str(pickle.loads(pickle.dumps(made))) == str(made)
