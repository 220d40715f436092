"""`AsyncConnections`: which connection a call gets, and which ones are closed."""

import asyncio
from types import SimpleNamespace
from typing import Any

import httpcore
import pytest

from emby_plugins._asyncio_network import AsyncConnections

ORIGIN = httpcore.Origin(b"http", b"a.example", 80)


class Connection:
    """A connection that records what becomes of it."""

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
    """Closing a body leaves its connection open."""

    async def aclose(self) -> None:
        pass


class Pool(list[Connection]):
    """The pool that makes the connections, all of which it lists."""

    def create_connection(self, origin: httpcore.Origin) -> Connection:
        self.append(Connection(origin))
        return self[-1]


class Calls:
    """Calls to an origin, on connections of a pool."""

    def __init__(self) -> None:
        self.made = Pool()
        self.connections = AsyncConnections(self.made, httpcore)

    async def begin(self, origin: httpcore.Origin = ORIGIN) -> Any:
        """A response whose body is still to be closed."""
        request = SimpleNamespace(url=SimpleNamespace(origin=origin))
        response = await self.connections.handle_async_request(request)
        response.stream._stream = Body()
        return response.stream

    async def end(self, *bodies: Any) -> None:
        """Close the bodies, in that order."""
        for body in bodies:
            await body.aclose()

    def open(self) -> list[bool]:
        """Which of the connections are open, in the order in which they were made."""
        return [connection.is_open for connection in self.made]


async def test_the_connection_used_last_is_used_next() -> None:
    """Three calls at once open three connections, of which later calls use the one closed last."""
    calls = Calls()
    bodies = [await calls.begin() for _ in range(3)]
    await calls.end(*bodies)
    for _ in range(4):
        await calls.end(await calls.begin())
    assert [connection.calls for connection in calls.made] == [1, 1, 5]
    assert calls.open() == [True] * 3


async def test_a_body_closed_twice_gives_its_connection_back_once() -> None:
    """Two calls after a body was closed twice never share one connection."""
    calls = Calls()
    body = await calls.begin()
    await calls.end(body, body)
    await calls.begin()
    await calls.begin()
    assert [connection.calls for connection in calls.made] == [2, 1]


async def test_connections_that_have_expired_are_closed() -> None:
    """Whether a call would use them next, or they have been idle below the others."""
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
    """An error and a cancel reach the caller, and the connection is not used again."""
    calls = Calls()
    await calls.end(await calls.begin())
    calls.made[0].failure = failure
    with pytest.raises(type(failure)):
        await calls.begin()
    await calls.begin()
    assert calls.open() == [False, True]


async def test_closing_closes_connections_in_use_too() -> None:
    """Idle or not, all are closed; one that was not read to its end is forgotten before."""
    calls = Calls()
    bodies = [await calls.begin() for _ in range(3)]
    calls.made[0].is_spoiled = True
    await calls.end(*bodies[:2])
    await calls.connections.aclose()
    assert calls.open() == [True, False, False]
