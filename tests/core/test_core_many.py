"""Concurrent calls of one client: how many are sent at once, and how the others wait."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from support import Loopback, ReceivedRequest, Wire, as_json, chunk, completion, sse

from emby_plugins import AsyncEmby, ConfigurationError, DeadlineExceededError, Emby, EmbyError
from emby_plugins._deadlines import TimeLimits
from emby_plugins._gates import Gate

Run = Callable[[dict[str, Any], list[str]], list[Any]]


def in_threads(on: dict[str, Any], prompts: list[str]) -> list[Any]:
    """Return the replies or errors of one `Emby` with a thread per prompt."""

    def call(prompt: str) -> Any:
        try:
            return emby.chat(prompt).text
        except EmbyError as error:
            return error

    with Emby(**on) as emby, ThreadPoolExecutor(len(prompts)) as pool:
        return [*pool.map(call, prompts)]


def in_tasks(on: dict[str, Any], prompts: list[str]) -> list[Any]:
    """Return the replies or errors of one `AsyncEmby` with a task per prompt."""

    async def gather() -> list[Any]:
        async with AsyncEmby(**on) as emby:
            calls = [emby.chat(prompt) for prompt in prompts]
            found = await asyncio.gather(*calls, return_exceptions=True)
        return [f if isinstance(f, BaseException) else f.text for f in found]

    return asyncio.run(gather())


@pytest.fixture(params=[in_threads, in_tasks])
def run(request: pytest.FixtureRequest) -> Run:
    """Makes all calls at once."""
    return request.param  # type: ignore[no-any-return]


class Crowd:
    """A gateway that counts concurrent calls, and answers with the prompt."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = self.most = 0
        self.order: list[str] = []

    def __call__(self, received: ReceivedRequest, wire: Wire) -> None:
        prompt = received.body.partition(b'"content":"')[2].partition(b'"')[0].decode()
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.order.append(prompt)
        wire.head("content-type: text/event-stream", "transfer-encoding: chunked")
        wire.piece(sse(chunk(prompt), done=False))
        with self._lock:
            self._now -= 1
        wire.piece(sse(chunk(finish="stop")))
        wire.send(b"0\r\n\r\n")


def test_max_connections_limits_concurrent_calls(run: Run) -> None:
    """No more than `max_connections` calls and connections are open at once."""
    crowd, prompts = Crowd(), [str(n) for n in range(30)]
    with Loopback(crowd) as server:
        assert run({"base_url": server.url, "max_connections": 3}, prompts) == prompts
    assert crowd.most <= 3
    assert server.connections <= 3


def test_calls_are_sent_in_order() -> None:
    """Calls are sent in the order in which they were made."""
    crowd, prompts = Crowd(), [str(n) for n in range(30)]
    with Loopback(crowd) as server:
        in_tasks({"base_url": server.url, "max_connections": 1}, prompts)
    assert crowd.order == prompts


def test_failed_calls_release_their_slot(run: Run) -> None:
    """A refused, truncated or unreachable call does not block the next one."""

    def by(received: ReceivedRequest, wire: Wire) -> bool | None:
        if b"cut" in received.body:
            wire.head("content-length: 99")
            return False
        wire.whole(b"{}", status="400 Bad Request" if b"bad" in received.body else "401 No")
        return None

    with Loopback(by) as server:
        on = {"base_url": server.url, "max_connections": 1, "max_retries": 0, "deadline": 20}
        found = run(on, ["cut", "bad", "key"] * 3)
        assert not any(isinstance(error, DeadlineExceededError) for error in found)
        assert len(server.requests) == 9
    found = run({**on, "base_url": "http://127.0.0.1:1/v1"}, ["a", "b", "c"])
    assert [type(error).__name__ for error in found] == ["EmbyConnectionError"] * 3


@contextmanager
def busy() -> Iterator[tuple[Loopback, threading.Event]]:
    """A gateway whose first reply does not end before the event is set."""
    go_on = threading.Event()

    def by(received: ReceivedRequest, wire: Wire) -> None:
        if b"first" in received.body:
            wire.head("content-type: text/event-stream", "transfer-encoding: chunked")
            wire.piece(sse(chunk("A"), done=False))
            go_on.wait(10)
            wire.piece(sse(chunk("B"), chunk(finish="stop")))
            wire.send(b"0\r\n\r\n")
        else:
            wire.whole(as_json(completion("second")), "content-type: application/json")

    with Loopback(by) as server:
        yield server, go_on


def test_waiting_for_a_connection_is_not_a_timeout() -> None:
    """Waiting for a connection does not count toward `timeout`."""
    with (
        busy() as (server, go_on),
        Emby(base_url=server.url, max_connections=1) as emby,
        ThreadPoolExecutor(1) as pool,
        emby.stream("first", timeout=10) as stream,
    ):
        second = pool.submit(emby.chat, "second", timeout=0.3, deadline=10)
        assert not go_on.wait(0.4)
        assert not second.done()
        go_on.set()
        assert "".join(event.text for event in stream if hasattr(event, "text")) == "AB"
        assert stream.reply.finish_reason == "stop"
        # The end of the reply releases the connection before the stream is closed.
        assert second.result(timeout=5).text == "second"


async def test_tasks_wait_for_a_connection_until_their_deadline() -> None:
    """A task waits for a connection until its deadline, and cancelled waits leak no connection."""
    with busy() as (server, go_on):
        async with AsyncEmby(base_url=server.url, max_connections=1) as emby:
            async with emby.stream("first") as stream:
                with pytest.raises(DeadlineExceededError, match=r"All 1 connections.*max_conn"):
                    await emby.chat("late", deadline=0.05)
                left = [asyncio.ensure_future(emby.chat("left")) for _ in range(20)]
                await asyncio.sleep(0)
                for task in left * 2:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)
                go_on.set()
                async for _ in stream:
                    pass
            assert (await emby.chat("second", deadline=5)).text == "second"
    assert [b"left" in received.body for received in server.requests] == [False, False]


def test_threads_wait_for_a_connection_until_their_deadline() -> None:
    """A thread waits for a connection until its deadline."""
    gate = Gate(1)
    place = gate.enter(TimeLimits(9, 9, float("inf")))
    with pytest.raises(DeadlineExceededError, match="longer than 7 seconds"):
        gate.enter(TimeLimits(9, 7, 0))
    place.give_up()
    place.give_up()
    other = gate.enter(TimeLimits(9, 7, 0))
    with pytest.raises(DeadlineExceededError):
        gate.enter(TimeLimits(9, 7, 0))
    other.give_up()


def test_a_given_client_sets_the_number_itself() -> None:
    """With a given client, the number of concurrent calls is that of its pool's connections."""
    with httpx.Client(limits=httpx.Limits(max_connections=2)) as http:
        emby = Emby("k", http_client=http)
    assert emby._transport._gate._size == 2


@pytest.mark.parametrize("size", [0, -1])
def test_max_connections_must_be_positive(size: int) -> None:
    """`max_connections` below 1 is refused when the client is created."""
    with pytest.raises(ConfigurationError, match=f"at least 1, got {size}"):
        Emby("k", max_connections=size)
