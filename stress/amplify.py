"""Measure the memory for reading replies that are small on the wire but expand in memory.

    python -m stress.amplify [--few]

Each is read in a forked process. Apart from its images, reading a reply may use at most 64 MB
plus four times its size on the wire.
"""

import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from emby_plugins import EmbyError, Limits
from emby_plugins._protocol.body import BodyReader
from emby_plugins._protocol.errors import error_from_response
from emby_plugins._protocol.models import parse_models
from emby_plugins._protocol.reader import ReplyReader

ALLOWED = 64_000_000
FACTOR = 4
STEEPEST = 3.0
SHARE = 5
"""One in this many places is tested with each shape."""

SIZE, UNPACKED = 200_000, 3_000_000
_READ = 1 << 16
_STATUS = Path("/proc/self/status")
STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
GZIP = {"content-encoding": "gzip"}

Shape = Callable[[int], bytes]


def _list(item: bytes) -> Shape:
    return lambda size: b"[" + b",".join([item] * (size // (len(item) + 1))) + b"]"


def _keys(size: int) -> bytes:
    return b"{" + b",".join(b'"k%x":1' % n for n in range(size // 10)) + b"}"


def _deep(size: int) -> bytes:
    return b"[" * (size // 2) + b"]" * (size // 2)


def _escapes(size: int) -> bytes:
    return b'"' + b"\\u00e9" * (size // 6) + b'"'


def _wide(size: int) -> bytes:
    return '"{}\N{DOG FACE}"'.format("x" * size).encode()


VALUES: dict[str, Shape] = {
    "lists": _list(b"[]"),
    "lists-of-lists": _list(b"[[]]"),
    "objects": _list(b"{}"),
    "short-strings": _list(b'"ab"'),
    "numbers": _list(b"1.5"),
    "texts": _list(b'{"type":"text","text":"ab"}'),
    "entries": _list(b'{"image_url":{"url":""}}'),
    "calls": _list(b'{"function":{"name":"n"}}'),
    "calls-by-id": _list(b'{"id":"a","index":7,"function":{"name":"n","arguments":{}}}'),
    "citations": _list(b'{"url_citation":{"url":"u"}}'),
    "second-choices": _list(b'{"index":1}'),
    "choices": _list(b'{"delta":{"content":"a"},"message":{}}'),
    "keys": _keys,
    "deep": _deep,
    "escapes": _escapes,
    "wide": _wide,
}
PLACES: dict[str, bytes] = {
    "usage": b'{"choices":[],"usage":%b}',
    "metadata": b'{"metadata":%b,"choices":[]}',
    "id": b'{"id":%b,"model":"m","choices":[]}',
    "unknown": b'{"extra":%b,"choices":[]}',
    "error": b'{"error":%b}',
    "choices": b'{"choices":%b}',
    "content": b'{"choices":[{"message":{"content":%b}}]}',
    "images": b'{"choices":[{"message":{"images":%b}}]}',
    "entry": b'{"choices":[{"message":{"images":[{"b64_json":%b}]}}]}',
    "tool-calls": b'{"choices":[{"message":{"tool_calls":%b}}]}',
    "arguments": b'{"choices":[{"message":{"tool_calls":[{"function":{"arguments":%b}}]}}]}',
    "annotations": b'{"choices":[{"message":{"annotations":%b}}]}',
    "reasoning": b'{"choices":[{"message":{"reasoning":%b}}]}',
    "surrogate": b'{"x":"\\ud800","choices":[{"message":{"content":%b}}]}',
    "not-a-number": b'{"x":NaN,"choices":[{"message":{"tool_calls":%b}}]}',
    "cut": b'{"choices":[{"message":{"content":%b',
    "nothing": b"%b",
}
STREAMS: dict[str, Shape] = {
    "deltas": lambda n: b'data: {"choices":[{"delta":{"content":"ab"}}]}\n\n' * (n // 48),
    "wide-deltas": lambda n: (
        'data: {"choices":[{"delta":{"content":"\N{DOG FACE}"}}]}\n\n'.encode() * (n // 48)
    ),
    "calls": lambda n: (
        b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"n"}}]}}]}\n\n' * (n // 80)
    ),
    "unread": lambda n: b'data: {"choices":[{"delta":{"content":5}}]}\n\n' * (n // 45),
    "empty-events": lambda n: b"data:\n\n" * (n // 7),
    "empty-lines": lambda n: b"data:\n" * (n // 6),
    "short-lines": lambda n: b"data:ab\n" * (n // 8),
    "objects": lambda n: b"{}\n" * (n // 3),
    "usages": lambda n: b"".join(
        b'data: {"usage":{"k%x":1,"prompt_tokens_details":{"k%x":1}}}\n\n' % (i, i)
        for i in range(n // 70)
    ),
    "heads": lambda n: b'data: {"image_url":{"url":"data:;base64,%"}}\n\n' * (n // 50),
    "white": lambda n: b" " * n,
}


FEW = {"lists in usage", "lists-of-lists in surrogate"}
"""For the unit suite: the cases with the highest memory use and a short run time."""


def replies(size: int) -> Iterator[tuple[str, dict[str, str], Callable[[], bytes]]]:
    """Every shape in some places, as a name, the headers, and a function that builds the body."""
    for row, (value, shape) in enumerate(VALUES.items()):
        for column, (place, form) in enumerate(PLACES.items()):
            if (row + column) % SHARE and f"{value} in {place}" not in FEW:
                continue
            made = partial(_placed, form, shape, size)
            yield f"{value} in {place}", JSON, made
            if value in {"lists", "short-strings", "wide"}:
                yield f"{value} in {place}, streamed", STREAM, partial(_event, made)
    for name, shape in STREAMS.items():
        yield f"{name}, streamed", STREAM, partial(shape, size)


def _placed(form: bytes, shape: Shape, size: int) -> bytes:
    return form.replace(b"%b", shape(size))


def _event(made: Callable[[], bytes]) -> bytes:
    return b"data: " + made().replace(b'"message"', b'"delta"') + b"\n\n"


def read_reply(headers: dict[str, str], body: bytes) -> None:
    """Read a reply up to its end or its error."""
    reader = ReplyReader(headers, limits=Limits(), model="m", prompt="p")
    with suppress(EmbyError), reader.error_context():
        for start in range(0, len(body), _READ):
            for _ in reader.feed(body[start : start + _READ]):
                pass
            if reader.is_done:
                break
        for _ in reader.close():
            pass
    assert reader.reply is not None


def read_error(headers: dict[str, str], body: bytes) -> None:
    """Read the body of an error response."""
    reader = BodyReader(headers, 64 * 1024)
    with suppress(EmbyError):
        for start in range(0, len(body), _READ):
            reader.feed(body[start : start + _READ])
    assert str(error_from_response(500, headers, reader.body))


def read_models(headers: dict[str, str], body: bytes) -> None:
    """Read a list of models."""
    reader = BodyReader(headers, Limits().wire)
    with suppress(EmbyError):
        for start in range(0, len(body), _READ):
            reader.feed(body[start : start + _READ])
        parse_models(reader.body)


def taken(
    work: Callable[[dict[str, str], bytes], None], headers: dict[str, str], body: bytes
) -> int:
    """The memory growth, in bytes, of a forked process that runs `work`."""
    into, out = os.pipe()
    child = os.fork()
    if not child:
        # The fork must run nothing but `work`: no tests and no clean-up.
        status = 1
        try:
            before = _memory("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")
            work(headers, body)
            os.write(out, str(max(0, _memory("VmHWM") - before)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(out)
    with os.fdopen(into) as result:
        grown = result.read()
    os.waitpid(child, 0)
    assert grown, "the work failed"
    return int(grown)


def _memory(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {name}")


def packed(body: bytes) -> bytes:
    """The body compressed with gzip."""
    squeeze = zlib.compressobj(1, wbits=31)
    return squeeze.compress(body) + squeeze.flush()


def cases(*, few: bool) -> Iterator[tuple[str, int, int]]:
    """Each case, with its name, its size on the wire and the memory for reading it."""
    for size, is_packed in ((SIZE, False), (UNPACKED, True)):
        for name, headers, made in replies(size):
            if few and (name not in FEW or not is_packed):
                continue
            body, more = (packed(made()), GZIP) if is_packed else (made(), {})
            yield name + ", gzip" * is_packed, len(body), taken(read_reply, headers | more, body)
        for value, shape in VALUES.items():
            for place in (b'{"error":%b}', b'{"data":%b}', b'{"data":[{"id":"m","pricing":%b}]}'):
                for work in (read_error, read_models):
                    name = f"{work.__name__}: {value} in {place.partition(b'%')[0].decode()}"
                    if few and (value != "lists" or not is_packed or b'"data"' in place):
                        continue
                    body = _placed(place, shape, size)
                    body, headers = (packed(body), GZIP) if is_packed else (body, {})
                    yield name + ", gzip" * is_packed, len(body), taken(work, headers, body)


def growth(size: int) -> Iterator[tuple[str, float]]:
    """The factor by which each stream takes longer when its size doubles."""
    for name, shape in STREAMS.items():
        once, twice = (
            min(_seconds(shape(length)) for _ in range(3)) for length in (size, 2 * size)
        )
        yield name, twice / once


def _seconds(body: bytes) -> float:
    began = time.process_time()
    read_reply(STREAM, body)
    return time.process_time() - began


def main(arguments: list[str]) -> int:
    """Measure every case, print the worst ones, and return whether any exceeded its limit."""
    few = "--few" in arguments
    found = []
    for name, wire, took in cases(few=few):
        found.append((took - FACTOR * wire, name, wire, took))
        if found[-1][0] > ALLOWED:
            print(f"  over: {name}: {took / 1e6:.1f} MB", flush=True)
    for _, name, wire, took in sorted(found, reverse=True)[:5]:
        print(f"  {name:56} {wire / 1e6:6.2f} MB on the wire {took / 1e6:6.1f} MB of memory")
    over = sum(case[0] > ALLOWED for case in found)
    print(f"amplification: {len(found)} replies, {over} over 64 MB + 4 x their size")
    slow = [] if few else [(name, ratio) for name, ratio in growth(SIZE) if ratio > STEEPEST]
    if not few:
        print(f"growth: {len(STREAMS)} streams, {slow or 'none'} over {STEEPEST} x when doubled")
    return bool(over or slow)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
