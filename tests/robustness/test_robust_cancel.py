"""Aborted calls: cancelled in every state, at a deadline, or in a forked process."""

import asyncio
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from support import Loopback, ReceivedRequest, Wire, as_json, chunk, completion, picture, sse

from emby_plugins import AsyncEmby, DeadlineExceededError, Emby, Image
from langchain_emby import ChatEmby
from stress import EVERYTHING, servers

LEAVERS = 300 if EVERYTHING else 110
"""More than the hundred connections of the default pool."""
HALF = as_json(chunk(None, picture(size=(90, 90))))[:-60]


class Stage:
    """A server that sends the given beginning, sets `there`, and waits for the end of the test."""

    def __init__(self, begun: bytes | None) -> None:
        self.there = threading.Event()
        self._begun = begun

    def __call__(self, received: ReceivedRequest, wire: Wire) -> bool:
        """Answer `Hi` normally, and anything else with the beginning."""
        if b'"Hi"' in received.body:
            wire.whole(as_json(completion("Hi.")), "content-type: application/json")
            return True
        if self._begun is not None:
            wire.stream(self._begun, ends=False)
        self.there.set()
        return not wire.is_over()


STAGES = {
    "before headers": None,
    "before the first event": b": ping\n",
    "in mid-stream": sse(chunk("Here"), done=False),
    "in mid-image": sse(chunk("Here"), done=False) + b"data: " + HALF,
    "after an image": sse(chunk("Here", picture()), done=False),
}


@asynccontextmanager
async def cancelled(
    stage: Stage, emby: AsyncEmby, is_read: Callable[[], object], *, streamed: bool
) -> AsyncIterator[None]:
    """Cancel a call once the server has sent the beginning and `is_read()` is true."""

    async def call() -> None:
        if not streamed:
            await emby.chat("wait")
            return
        async with emby.stream("wait") as stream:
            async for _ in stream:
                pass

    task = asyncio.create_task(call())
    assert await asyncio.to_thread(stage.there.wait, 5)
    # The data has been sent and is read within a few turns of the loop.
    for _ in range(20):
        await asyncio.sleep(0)
    while not is_read():  # noqa: ASYNC110 - nothing signals that a file appeared
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    yield


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("state", STAGES)
async def test_cancelling_in_every_state(state: str, tmp_path: Path, *, streamed: bool) -> None:
    """After a cancel in any state the client can be used, and no partial file remains."""
    stage = Stage(STAGES[state])
    whole = tmp_path / "kept" / f"emby-{Image(content=picture()).sha256[:16]}.png"
    files = [whole] if state == "after an image" else []
    with Loopback(stage) as server:
        async with AsyncEmby(base_url=server.url, image_folder=tmp_path / "kept") as emby:
            for _ in range(3):
                stage.there.clear()
                is_read = whole.exists if files else lambda: True
                async with cancelled(stage, emby, is_read, streamed=streamed):
                    assert (await emby.chat("Hi")).text == "Hi."
    assert list((tmp_path / "kept").glob("*")) == files


async def leave(call: Awaitable[object], there: threading.Event, cancels: int) -> None:
    """Make a call, and cancel it this many times once the server has answered."""
    task = asyncio.ensure_future(call)
    assert await asyncio.to_thread(there.wait, 5)
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def read(emby: AsyncEmby) -> None:
    """Read a stream."""
    async with emby.stream("wait") as stream:
        async for _ in stream:
            pass


CALLS: dict[str, Callable[[AsyncEmby], Awaitable[object]]] = {
    "streamed": read,
    "whole": lambda emby: emby.chat("wait"),
    "models": lambda emby: emby.models(),
}


@pytest.mark.parametrize("cancels", [1, 2, 5])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", STAGES)
async def test_a_pool_of_one_survives_any_number_of_cancels(
    state: str, call: str, cancels: int
) -> None:
    """Repeated cancels in any state return the only connection to its pool."""
    stage = Stage(STAGES[state])
    pool = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(limits=pool) as http:
        with Loopback(stage) as server:
            emby = AsyncEmby(base_url=server.url, http_client=http, timeout=5)
            for turn in range(3):
                stage.there.clear()
                for _ in range(turn):
                    await asyncio.sleep(0)
                await leave(CALLS[call](emby), stage.there, cancels)
                assert (await emby.chat("Hi")).text == "Hi."


@pytest.mark.parametrize("cancels", [1, 2, 4])
async def test_cancels_at_every_await_leave_the_pool_whole(cancels: int) -> None:
    """Cancels after any turn of the loop return the connection to its pool."""

    def busy(request: ReceivedRequest, wire: Wire) -> bool:
        if b'"Hi"' in request.body:
            wire.whole(as_json(completion("Hi.")), "content-type: application/json")
        else:
            wire.whole(b"{}", "retry-after: 30", status="429 No")
        return True

    pool = httpx.Limits(max_connections=1)
    with Loopback(busy) as server:
        for turns in range(40):
            # A new pool each time, as an existing connection skips the turns of connecting.
            async with httpx.AsyncClient(limits=pool) as http:
                emby = AsyncEmby(base_url=server.url, http_client=http, timeout=5)
                task = asyncio.ensure_future(emby.chat("wait"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                for _ in range(cancels):
                    task.cancel()
                    await asyncio.sleep(0)
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert (await emby.chat("Hi")).text == "Hi."


async def test_hundreds_of_cancelled_calls_leak_no_connection() -> None:
    """Hundreds of calls cancelled repeatedly by anyio or asyncio leak no connection."""
    stage = Stage(STAGES["in mid-stream"])
    with Loopback(stage) as server:
        emby, chat = AsyncEmby(base_url=server.url), ChatEmby(base_url=server.url)

        async def streamed(scope: anyio.CancelScope) -> None:
            async with emby.stream("wait") as stream:
                async for _ in stream:
                    scope.cancel()

        async def of_chat(scope: anyio.CancelScope) -> None:
            async for _ in chat.astream("wait"):
                scope.cancel()

        for visit in (streamed, of_chat):
            for _ in range(LEAVERS):
                with anyio.CancelScope() as scope:
                    await visit(scope)
                assert scope.cancelled_caught
            for _ in range(LEAVERS):
                task = asyncio.create_task(visit(seen := Seen()))  # type: ignore[arg-type]
                await seen.wait()
                task.cancel()
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        assert (await emby.chat("Hi")).text == (await chat.ainvoke("Hi")).text == "Hi."
        await emby.close()


class Seen(asyncio.Event):
    """An event with the interface of a cancel scope."""

    cancel = asyncio.Event.set


@pytest.mark.parametrize("state", STAGES)
async def test_a_timeout_around_a_call_is_the_callers(state: str) -> None:
    """A caller's `asyncio.timeout` ends the call and raises the caller's own TimeoutError."""
    with Loopback(Stage(STAGES[state])) as server:
        async with AsyncEmby(base_url=server.url, deadline=5) as emby:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.1):
                    await emby.chat("wait")
            assert type(caught.value) is TimeoutError
            assert (await emby.chat("Hi")).text == "Hi."


@pytest.mark.parametrize("by", [servers.stalled, servers.slow_headers])
async def test_the_deadline_is_exact_for_tasks(by: object) -> None:
    """The deadline of a task ends stalls and slow headers on time."""
    with Loopback(by) as server:  # type: ignore[arg-type]
        async with AsyncEmby(base_url=server.url, timeout=30, deadline=1.0) as emby:
            began = time.monotonic()
            with pytest.raises(DeadlineExceededError):
                await emby.chat("Hi")
            assert 0.9 < time.monotonic() - began < 10


@pytest.mark.parametrize("by", [servers.stalled, servers.slow_headers, servers.informing])
def test_the_deadline_is_exact_for_threads(by: object) -> None:
    """The deadline of a thread ends stalls, slow headers and 1xx responses on time."""
    on = {"timeout": 30, "deadline": 1.0}
    with Loopback(by) as server, Emby(base_url=server.url, **on) as emby:  # type: ignore[arg-type]
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            emby.chat("Hi")
        assert 0.9 < time.monotonic() - began < 10


def test_a_given_sync_client_is_late_by_one_read_at_most() -> None:
    """With a given sync client, the deadline is exceeded by at most one read timeout."""
    for timeout in (0.4, 30):
        with Loopback(servers.stalled) as server, httpx.Client() as http:
            emby = Emby(base_url=server.url, timeout=timeout, deadline=1.0, http_client=http)
            began = time.monotonic()
            with pytest.raises(DeadlineExceededError):
                emby.chat("Hi")
            assert time.monotonic() - began < 10


def test_no_phase_has_more_time_than_is_left() -> None:
    """A read gets no more time than is left of the deadline."""

    def by(_: ReceivedRequest, wire: Wire) -> bool:
        wire.is_over(0.8)
        wire.head("content-type: text/event-stream", "transfer-encoding: chunked")
        return not wire.is_over()

    with Loopback(by) as server, Emby(base_url=server.url, deadline=1.0) as emby:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            emby.chat("Hi")
        assert time.monotonic() - began < 1.6


# ---- processes


def test_a_forked_client_opens_its_own_connections() -> None:
    """A client in a forked process opens its own connections, and the parent's still work."""

    def by(received: ReceivedRequest, wire: Wire) -> None:
        wire.whole(as_json(completion("Hi.")), "content-type: application/json")

    with Loopback(by) as server, Emby(base_url=server.url) as emby:
        assert emby.chat("Hi").text == "Hi."
        assert forked(lambda: emby.chat("Hi").text == "Hi.") == 0
        assert emby.chat("Hi").text == "Hi."
        assert server.connections == 2


def test_an_async_client_and_a_chat_model_in_a_forked_process() -> None:
    """AsyncEmby and ChatEmby work in a forked process, even if a lock was held at the fork."""

    def by(received: ReceivedRequest, wire: Wire) -> None:
        wire.whole(as_json(completion("Hi.")), "content-type: application/json")

    with Loopback(by) as server:
        emby, chat = AsyncEmby(base_url=server.url), ChatEmby(base_url=server.url)
        assert asyncio.run(emby.chat("Hi")).text == chat.invoke("Hi").text == "Hi."
        with emby._transport._lock:
            assert forked(lambda: asyncio.run(emby.chat("Hi")).text == "Hi.") == 0
        assert forked(lambda: chat.invoke("Hi").text == "Hi.") == 0
        assert chat.invoke("Hi").text == "Hi."
        # Four, or more if an idle connection has expired in between.
        assert server.connections >= 4


def forked(check: object) -> int:
    """Return the exit status of a forked child, which is 0 if `check()` is true."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            os._exit(0 if check() else 1)  # type: ignore[operator]
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("client", [Emby, AsyncEmby])
def test_a_client_can_not_be_pickled(client: type) -> None:
    """A client cannot be pickled, since it holds a key; the error suggests an alternative."""
    made = client(base_url="mock:")
    for pickled in (pickle.dumps, multiprocessing.reduction.ForkingPickler.dumps):
        with pytest.raises(TypeError, match="make one where it is used"):
            pickled(made)
