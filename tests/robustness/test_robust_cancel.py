"""Calls that are broken off: cancelled in every state, late, or in a forked process."""

import asyncio
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support import Asked, Loopback, Wire, as_json, chunk, completion, picture, sse

from emby_plugins import AsyncEmby, DeadlineExceededError, Emby, Image
from langchain_emby import ChatEmby
from stress import servers

HALF = as_json(chunk(None, picture(size=(90, 90))))[:-60]


class Stage:
    """A server that goes as far as it is told, says so, and waits for the end of the test."""

    def __init__(self, begun: bytes | None) -> None:
        self.there = threading.Event()
        self._begun = begun

    def __call__(self, asked: Asked, wire: Wire) -> bool:
        """Answer `Hi` well, and anything else as far as it goes."""
        if b'"Hi"' in asked.body:
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
async def cancelled(stage: Stage, emby: AsyncEmby, *, streamed: bool) -> AsyncIterator[None]:
    """A call that is cancelled once the server has gone as far as it goes."""

    async def call() -> None:
        if not streamed:
            await emby.chat("wait")
            return
        async with emby.stream("wait") as stream:
            async for _ in stream:
                pass

    task = asyncio.create_task(call())
    assert await asyncio.to_thread(stage.there.wait, 5)
    # The bytes are sent; a turn of the loop or two and they are read.
    for _ in range(20):
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    yield


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("state", STAGES)
async def test_cancelling_in_every_state(state: str, tmp_path: Path, *, streamed: bool) -> None:
    """The client goes on, no connection stays taken, and no half of a file is left."""
    stage = Stage(STAGES[state])
    with Loopback(stage) as server:
        async with AsyncEmby(base_url=server.url, image_folder=tmp_path / "kept") as emby:
            for _ in range(3):
                stage.there.clear()
                async with cancelled(stage, emby, streamed=streamed):
                    assert (await emby.chat("Hi")).text == "Hi."
    left = [path.name for path in (tmp_path / "kept").glob("*")]
    whole = ["emby-" + Image(content=picture()).sha256[:16] + ".png"]
    assert left == (whole if state == "after an image" else [])


@pytest.mark.parametrize("state", STAGES)
async def test_a_timeout_around_a_call_is_the_callers(state: str) -> None:
    """`asyncio.timeout` of the caller ends the call and comes out as the caller's own error."""
    with Loopback(Stage(STAGES[state])) as server:
        async with AsyncEmby(base_url=server.url, deadline=5) as emby:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.1):
                    await emby.chat("wait")
            assert type(caught.value) is TimeoutError
            assert (await emby.chat("Hi")).text == "Hi."


@pytest.mark.parametrize("by", [servers.stalled, servers.slow_headers])
async def test_the_deadline_is_exact_for_tasks(by: object) -> None:
    """A stall in mid-body, and headers that drip, end when the deadline falls, not later."""
    with Loopback(by) as server:  # type: ignore[arg-type]
        async with AsyncEmby(base_url=server.url, timeout=5, deadline=1.0) as emby:
            began = time.monotonic()
            with pytest.raises(DeadlineExceededError):
                await emby.chat("Hi")
            assert 0.9 < time.monotonic() - began < 1.6


def test_the_deadline_of_threads_is_late_by_one_silence_at_most() -> None:
    """A stall in mid-body lasts no longer than `timeout`, nor than was left when it began."""
    for timeout, most in ((0.4, 1.7), (9.0, 2.6)):
        with Loopback(servers.stalled) as server:
            emby = Emby(base_url=server.url, timeout=timeout, deadline=1.0)
            began = time.monotonic()
            with emby, pytest.raises(DeadlineExceededError):
                emby.chat("Hi")
            assert time.monotonic() - began < most


def test_no_phase_has_more_time_than_is_left() -> None:
    """Half of the deadline spent on one try is not there for the waiting of the next."""

    def by(_: Asked, wire: Wire) -> bool:
        wire.is_over(0.8)
        wire.head("content-type: text/event-stream", "transfer-encoding: chunked")
        return not wire.is_over()

    with Loopback(by) as server, Emby(base_url=server.url, deadline=1.0) as emby:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            emby.chat("Hi")
        assert time.monotonic() - began < 1.6


# ---- processes


def test_a_client_in_a_forked_process_leaves_the_parent_alone() -> None:
    """The child has connections of its own, and the parent's goes on serving."""

    def by(asked: Asked, wire: Wire) -> None:
        wire.whole(as_json(completion("Hi.")), "content-type: application/json")

    with Loopback(by) as server, Emby(base_url=server.url) as emby:
        assert emby.chat("Hi").text == "Hi."
        assert forked(lambda: emby.chat("Hi").text == "Hi.") == 0
        assert emby.chat("Hi").text == "Hi."
        assert server.connections == 2


def test_an_async_client_and_a_chat_model_in_a_forked_process() -> None:
    """They too talk through connections of their own, also where a lock was held at the fork."""

    def by(asked: Asked, wire: Wire) -> None:
        wire.whole(as_json(completion("Hi.")), "content-type: application/json")

    with Loopback(by) as server:
        emby, chat = AsyncEmby(base_url=server.url), ChatEmby(base_url=server.url)
        assert asyncio.run(emby.chat("Hi")).text == chat.invoke("Hi").text == "Hi."
        with emby._transport._lock:
            assert forked(lambda: asyncio.run(emby.chat("Hi")).text == "Hi.") == 0
        assert forked(lambda: chat.invoke("Hi").text == "Hi.") == 0
        assert chat.invoke("Hi").text == "Hi."
        assert server.connections == 4


def forked(check: object) -> int:
    """The exit status of a forked child: 0 where `check()` held."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            os._exit(0 if check() else 1)  # type: ignore[operator]
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("client", [Emby, AsyncEmby])
def test_a_client_says_why_it_can_not_be_pickled(client: type) -> None:
    """To a spawned process nothing goes that holds a key; the error says what to do instead."""
    made = client(base_url="mock:")
    for pickled in (pickle.dumps, multiprocessing.reduction.ForkingPickler.dumps):
        with pytest.raises(TypeError, match="make one where it is used"):
            pickled(made)
