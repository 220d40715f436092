"""Server-sent events are decoded like `httpx-sse` does, for every split of the bytes."""

import tracemalloc
from itertools import pairwise

import pytest
from httpx_sse._decoders import SSEDecoder, SSELineDecoder
from hypothesis import given, strategies as st

from emby_plugins import ReplyTooLargeError
from emby_plugins._protocol.sse import EventDecoder, ServerSentEvent

TRICKY = {
    "lf": b"data: a\n\ndata: b\n\n",
    "cr": b"data: a\r\rdata: b\r\r",
    "crlf": b"data: a\r\n\r\ndata: b\r\n\r\n",
    "mixed": b"data: a\r\n\ndata: b\n\rdata: c\r\r\ndata: d\r\n\r\n",
    "cr-lf-cr": b"data: a\r\n\r\r\n\ndata: b\n\r\n",
    "comments": b": hello\ndata: a\n:\n\n:ping\n\ndata: b\n\n",
    "ping": b"data: a\n\n: ping\ndata: b\n\n: ping\n: ping\ndata: c\n\n",
    "many-lines": b"data: a\ndata: b\ndata:\ndata: c\n\n",
    "many-lines-crlf": b"event: x\r\ndata: a\r\ndata: b\r\n\r\n",
    "separators": "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode(),
    "typed": b"event: error\ndata: {}\n\nevent:done\ndata: [DONE]\n\ndata: x\n\n",
    "type-without-data": b"event: lost\n\ndata: a\n\n",
    "spaces": b"data:  two\ndata:none\ndata:\ttab\ndata : odd\n\n",
    "colons": b"data: a:b: c\n\n",
    "unknown": b"id: 7\nretry: 5\nfoo: bar\nbaz\ndata: a\nid\n\n",
    "multibyte": "data: Grüße 🐶\n\n".encode(),
    "blank-first": b"\n\n\ndata: a\n\n",
    "unended": b"data: a\n\ndata: b",
}


def decode(*pieces: bytes) -> list[ServerSentEvent]:
    """Return the events of these pieces, without closing the decoder."""
    decoder = EventDecoder(1_000)
    return [event for piece in pieces for event in decoder.feed(piece)]


def oracle(stream: bytes) -> list[ServerSentEvent]:
    """Return the events with data that httpx-sse decodes from the complete stream."""
    lines, events = SSELineDecoder(), SSEDecoder()
    found = []
    # Unlike ours, it keeps the last CR until it sees the next byte.
    for line in lines.decode(stream.decode()) + (lines.flush() if stream.endswith(b"\r") else []):
        event = events.decode(line)
        if event is not None and event.data:
            found.append(ServerSentEvent(event.data.encode(), event.event or "message"))
    return found


@pytest.mark.parametrize("stream", TRICKY.values(), ids=TRICKY)
def test_every_split_gives_the_events_of_the_oracle(stream: bytes) -> None:
    """Any split of a stream gives the events of httpx-sse."""
    expected = oracle(stream)
    assert expected
    for cut in range(len(stream) + 1):
        assert decode(stream[:cut], stream[cut:]) == expected, cut


@pytest.mark.parametrize("stream", TRICKY.values(), ids=TRICKY)
def test_byte_by_byte_gives_the_events_of_the_oracle(stream: bytes) -> None:
    """A stream read byte by byte, with empty pieces, gives the events of httpx-sse."""
    pieces = [piece for byte in stream for piece in (bytes([byte]), b"")]
    assert decode(*pieces) == oracle(stream)


def streams() -> st.SearchStrategy[bytes]:
    """Return streams of the strings that matter to a decoder."""
    pieces = ["data", "event", "id", ":", ": ", " ", "\n", "\r", "\r\n", "\n\n", "x", "é", "\u2028"]
    return st.lists(st.sampled_from(pieces), max_size=40).map(lambda p: "".join(p).encode())


@given(streams(), st.lists(st.integers(0, 80), max_size=6))
def test_any_stream_cut_anywhere_gives_the_events_of_the_oracle(
    stream: bytes, at: list[int]
) -> None:
    """Generated streams in up to seven pieces give the events of httpx-sse."""
    places = sorted({0, len(stream), *(min(place, len(stream)) for place in at)})
    pieces = [stream[start:end] for start, end in pairwise(places)]
    assert [e for e in decode(*pieces) if e.data] == oracle(stream)


@pytest.mark.parametrize("cut", range(4))
def test_a_byte_order_mark_is_dropped(cut: int) -> None:
    """A byte order mark at the start is dropped, even if split, and a later one is kept."""
    stream = b"\xef\xbb\xbfdata: a\n\ndata: \xef\xbb\xbfb\n\n"
    assert [event.data for event in decode(stream[:cut], stream[cut:])] == [
        b"a",
        b"\xef\xbb\xbfb",
    ]
    assert decode(b"\n\xef\xbb\xbfdata: a\n\n") == []


def test_data_may_be_empty() -> None:
    """`data` with or without a colon is an event of no bytes, and two such lines are a line
    break.
    """
    assert decode(b"data\n\n", b"data:\n\n", b"data\ndata\n\n") == [
        ServerSentEvent(b""),
        ServerSentEvent(b""),
        ServerSentEvent(b"\n"),
    ]


def test_the_type_of_an_event_is_reset() -> None:
    """The `event` field applies to its own event only, even if that has no data."""
    events = decode(b"event: error\ndata: a\n\ndata: b\n\nevent: error\n\ndata: c\n\n")
    assert [event.event for event in events] == ["error", "message", "message"]


@pytest.mark.parametrize(
    "pieces",
    [
        (b"event: error\n", b"data: a\n\n", b"data: b\n\n"),
        (b"data: a\n", b"data: b\n\n"),
        (b"data\n", b"data: a\n\n"),
        (b"dat", b"data: a\n\n"),
        (b"data: a\r", b"data: b\n\n"),
        (b"data: a\n\ndata: b\r", b"\ndata: c\n\n"),
        (b"data: a\rb\n\n", b"data: \n\n", b"data: a\ndata: b\n\n"),
    ],
)
def test_a_chunk_of_one_event_depends_on_what_came_before(pieces: tuple[bytes, ...]) -> None:
    """A chunk that is one event on its own gives the events of httpx-sse after any other."""
    assert [event for event in decode(*pieces) if event.data] == oracle(b"".join(pieces))


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_close_returns_an_unterminated_event(end: bytes) -> None:
    """Closing the decoder returns an event without its blank line."""
    decoder = EventDecoder(1_000)
    assert decoder.feed(b"data: a\n\nevent: done\ndata: b" + end) == [ServerSentEvent(b"a")]
    assert decoder.close() == [ServerSentEvent(b"b", "done")]
    assert decoder.close() == []


@pytest.mark.parametrize("pieces", [1, 3, 50])
def test_the_limit_does_not_depend_on_the_pieces(pieces: int) -> None:
    """The size limit of an event is the same for one piece and for many."""
    for size in (90, 101):
        stream = b"data: " + b"x" * size + b"\n\n"
        step = len(stream) // pieces + 1
        parts = [stream[at : at + step] for at in range(0, len(stream), step)]
        decoder = EventDecoder(100)
        if size <= 100:
            (event,) = [event for part in parts for event in decoder.feed(part)]
            assert event.data == b"x" * size
        else:
            with pytest.raises(ReplyTooLargeError, match=r"larger than 100 bytes.*Limits\(event="):
                [decoder.feed(part) for part in parts]


def test_the_limit_counts_all_the_lines_of_an_event() -> None:
    """The limit counts all lines of an event, and starts again with the next one."""
    decoder = EventDecoder(100)
    for _ in range(20):
        assert len(decoder.feed(b"data: 0123456789\n" * 9 + b"\n")) == 1
    with pytest.raises(ReplyTooLargeError):
        decoder.feed(b"data: 0123456789\n" * 11)


def test_a_line_that_never_ends_is_refused() -> None:
    """A line without end, such as a comment, is refused at the limit."""
    decoder = EventDecoder(100)
    with pytest.raises(ReplyTooLargeError):
        [decoder.feed(b":" * 10) for _ in range(11)]


def test_comments_do_not_count_toward_the_limit() -> None:
    """Any number of pings in pieces does not reach the limit."""
    decoder = EventDecoder(100)
    for _ in range(200):
        decoder.feed(b": pi")
        decoder.feed(b"ng\n")
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(b"a")]


def test_a_long_line_is_joined_once() -> None:
    """A line of 8 MB in small pieces is joined once, not with every piece."""
    piece = b"x" * 65_536
    decoder = EventDecoder(16 << 20)
    tracemalloc.start()
    try:
        decoder.feed(b"data: ")
        for _ in range(128):
            decoder.feed(bytes(bytearray(piece)))
        (event,) = decoder.feed(b"\n\n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(event.data) == 8 << 20
    assert peak < 3.5 * (8 << 20)
