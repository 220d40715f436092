"""Assigning connections to asynchronous calls and closing them, and reading from connections."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import httpcore
import pytest

from emby_plugins._asyncio_network import (
    AsyncConnections,
    AsyncioBackend,
    AsyncioStream,
    _CountingReader,
)
from emby_plugins._deadlines import DeadlineStream, Remaining, TimeLimits

ORIGIN = httpcore.Origin(b"http", b"a.example", 80)


class Connection:
    """A connection that records its calls and whether it was closed."""

    def __init__(self, origin: httpcore.Origin) -> None:
        self.origin = origin
        self.calls = 0
        self.is_open = True
        self.is_spoiled = False
        self.is_expired = False
        self.failure: BaseException | None = None

    async def handle_async_request(self, request: Any) -> httpcore.Response:
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        return httpcore.Response(200, content=self)

    def __aiter__(self) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.is_open = False

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return origin == self.origin

    def is_available(self) -> bool:
        return not self.is_spoiled

    def has_expired(self) -> bool:
        return self.is_expired


class Body:
    """A body that does not close its connection."""

    async def aclose(self) -> None:
        pass


class Pool(list[Connection]):
    """A pool that lists all connections it has created."""

    def create_connection(self, origin: httpcore.Origin) -> Connection:
        self.append(Connection(origin))
        return self[-1]


class Calls:
    """Makes calls to an origin, using a pool's connections."""

    def __init__(self) -> None:
        self.made = Pool()
        self.connections = AsyncConnections(self.made, httpcore)

    async def begin(self, origin: httpcore.Origin = ORIGIN) -> Any:
        """Start a call, and return its open body."""
        request = SimpleNamespace(url=SimpleNamespace(origin=origin))
        response = await self.connections.handle_async_request(request)
        response.stream._stream = Body()
        return response.stream

    async def end(self, *bodies: Any) -> None:
        """Close the bodies in order."""
        for body in bodies:
            await body.aclose()

    def open(self) -> list[bool]:
        """Return which connections are open, in order of creation."""
        return [connection.is_open for connection in self.made]


async def test_the_connection_used_last_is_used_next() -> None:
    """After three concurrent calls, later calls reuse the most recently released connection."""
    calls = Calls()
    bodies = [await calls.begin() for _ in range(3)]
    await calls.end(*bodies)
    for _ in range(4):
        await calls.end(await calls.begin())
    assert [connection.calls for connection in calls.made] == [1, 1, 5]
    assert calls.open() == [True] * 3


async def test_a_body_closed_twice_releases_its_connection_once() -> None:
    """Closing a body twice does not let two later calls share its connection."""
    calls = Calls()
    body = await calls.begin()
    await calls.end(body, body)
    await calls.begin()
    await calls.begin()
    assert [connection.calls for connection in calls.made] == [2, 1]


async def test_connections_that_have_expired_are_closed() -> None:
    """Expired connections are closed, whether next in line or idle below others."""
    calls = Calls()
    bodies = [await calls.begin() for _ in range(4)]
    await calls.end(*bodies)
    calls.made[0].is_expired = calls.made[1].is_expired = calls.made[3].is_expired = True
    await calls.end(await calls.begin())
    assert calls.made[2].calls == 2
    assert calls.open() == [False, False, True, False]


async def test_a_connection_to_another_origin_is_not_used() -> None:
    """A request to another origin opens a connection of its own."""
    calls = Calls()
    await calls.end(await calls.begin())
    await calls.begin(httpcore.Origin(b"http", b"b.example", 80))
    assert [connection.calls for connection in calls.made] == [1, 1]


@pytest.mark.parametrize("failure", [httpcore.ReadError(), asyncio.CancelledError()])
async def test_a_connection_that_fails_is_closed(failure: BaseException) -> None:
    """After an error or a cancellation, which reach the caller, the connection is not reused."""
    calls = Calls()
    await calls.end(await calls.begin())
    calls.made[0].failure = failure
    with pytest.raises(type(failure)):
        await calls.begin()
    await calls.begin()
    assert calls.open() == [False, True]


async def test_closing_closes_connections_in_use_too() -> None:
    """Closing the pool closes idle and busy connections, but not the spoiled one dropped before."""
    calls = Calls()
    bodies = [await calls.begin() for _ in range(3)]
    calls.made[0].is_spoiled = True
    await calls.end(*bodies[:2])
    await calls.connections.aclose()
    assert calls.open() == [True, False, False]


def test_a_read_after_a_full_one_takes_more() -> None:
    """A synchronous read may return 256 KiB after one that was filled, and 64 KiB otherwise."""
    usual, large = 65_536, 262_144
    requested: list[int] = []
    lengths = iter((10, usual, large, usual - 1, 7))

    class Network:
        def read(self, max_bytes: int, _: float) -> bytes:
            requested.append(max_bytes)
            return bytes(next(lengths))

    stream = DeadlineStream(Network())
    timeout = Remaining(TimeLimits(60, 60, time.monotonic() + 60))
    received = [len(stream.read(usual, timeout)) for _ in range(5)]
    assert requested == [usual, usual, large, large, usual]
    assert received == [10, usual, large, usual - 1, 7]


async def test_a_read_takes_all_that_has_arrived() -> None:
    """An asynchronous read returns all bytes that are there, even more than 64 KiB."""
    reader = _CountingReader(loop=asyncio.get_running_loop())
    reader.feed_data(bytes(200_000))
    stream = AsyncioStream(reader, SimpleNamespace(), AsyncioBackend(httpcore))  # type: ignore[arg-type]
    assert len(await stream.read(65_536, 1)) == 200_000
    assert reader.held == 0
