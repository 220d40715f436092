"""A call ends with its reply, or when its time is up, even if the peer continues."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from support import (
    ChatCaller,
    Loopback,
    ReceivedRequest,
    Wire,
    as_json,
    chunk,
    completion,
    picture,
    sse,
)

from emby_plugins import (
    APIError,
    DeadlineExceededError,
    Emby,
    EmbyTimeoutError,
    StreamEvent,
    _deadlines as deadlines,
    _transport as transport,
)
from emby_plugins._deadlines import BodyOver, TimeLimits, undisturbed, within
from emby_plugins._protocol.reader import ReplyReader

RED = picture("red")
JSON = "content-type: application/json"
DONE = sse(chunk("Here:"), chunk(None, RED), chunk(finish="stop"))
FINISHED = sse(chunk("Here:"), chunk(None, RED), chunk(finish="stop"), done=False)
By = Callable[[ReceivedRequest, Wire], bool | None]


class Holding:
    """A server that answers and keeps the connection open; `was_left` if the client left first."""

    def __init__(self, respond: Callable[[ReceivedRequest, Wire], None]) -> None:
        self.was_left = False
        self._respond = respond

    def __call__(self, received: ReceivedRequest, wire: Wire) -> bool:
        """Answer, and hold the connection until the test is over, or for ten seconds."""
        with contextlib.suppress(ConnectionError):
            self._respond(received, wire)
        self.was_left = wire.is_over(10)
        return False


def as_done(_: ReceivedRequest, wire: Wire) -> None:
    """Send a stream up to its `[DONE]`, but not to the end of the body."""
    wire.stream(DONE, ends=False)


def as_finished(_: ReceivedRequest, wire: Wire) -> None:
    """Send a stream up to its finish reason."""
    wire.stream(FINISHED, ends=False)


def as_object(_: ReceivedRequest, wire: Wire) -> None:
    """Send a complete JSON reply in a chunked body that does not end."""
    wire.head(JSON, "transfer-encoding: chunked")
    wire.piece(as_json(completion("Here:", RED)))


def as_sized_object(_: ReceivedRequest, wire: Wire) -> None:
    """Send a complete JSON reply with its length."""
    wire.whole(as_json(completion("Here:", RED)), JSON)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_QUIET", 0.1)


@contextlib.contextmanager
def client_of(call_chat: ChatCaller, given: bool) -> Iterator[dict[str, Any]]:
    """Yield client settings, with or without a given HTTP client."""
    if not given:
        yield {}
    elif call_chat.mode.startswith("async"):
        # Closed with its loop, so it must keep no connection alive.
        unkept = httpx.Limits(max_keepalive_connections=0)
        yield {"http_client": httpx.AsyncClient(limits=unkept)}
    else:
        with httpx.Client() as http:
            yield {"http_client": http}


@pytest.mark.parametrize("given", [False, True], ids=["own", "given"])
@pytest.mark.parametrize("respond", [as_done, as_finished, as_object, as_sized_object])
def test_the_end_of_the_reply_is_the_end_of_the_call(
    call_chat: ChatCaller, respond: Callable[[ReceivedRequest, Wire], None], given: bool
) -> None:
    """A call ends with its reply, even if the server keeps the connection open."""
    holding = Holding(respond)
    with Loopback(holding) as server, client_of(call_chat, given) as on:
        reply = call_chat("Hi", on={"base_url": server.url, "timeout": 30, **on})
    assert (reply.text, reply.image.data) == ("Here:", RED)
    assert holding.was_left


def test_data_after_the_end_does_not_delay_the_call(call_chat: ChatCaller) -> None:
    """Pieces of an endless frame after the end of the reply do not delay the call."""

    def respond(_: ReceivedRequest, wire: Wire) -> None:
        wire.stream(DONE, ends=False)
        for _ in range(500):
            if wire.is_over(0.02):
                break
            wire.send(b"0")

    holding = Holding(respond)
    with Loopback(holding) as server:
        assert call_chat("Hi", on={"base_url": server.url, "timeout": 30}).image.data == RED
    assert holding.was_left


def test_a_deadline_after_the_finish_reason_returns_the_reply(
    call_chat: ChatCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline that expires after the finish reason returns the complete reply."""
    feed, late_by = ReplyReader.feed, 0.0

    def until_finished(self: ReplyReader, chunk: bytes) -> Iterator[StreamEvent]:
        nonlocal late_by
        yield from feed(self, chunk)
        late_by = 1000.0 if self.is_complete() else 0.0

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + late_by)
    monkeypatch.setattr(deadlines, "time", clock)
    monkeypatch.setattr(ReplyReader, "feed", until_finished)

    def respond(_: ReceivedRequest, wire: Wire) -> None:
        wire.stream(FINISHED, ends=False)
        while not wire.is_over(0.02):
            wire.piece(b": ping\n")

    with Loopback(Holding(respond)) as server:
        assert call_chat("Hi", on={"base_url": server.url, "deadline": 500}).image.data == RED
    assert late_by


@pytest.mark.parametrize("data", [b"data: {", b'data: {"choices":[]}\n\n'])
def test_silence_before_the_finish_reason_is_still_a_timeout(
    call_chat: ChatCaller, data: bytes
) -> None:
    """Without a finish reason, silence is a timeout."""
    holding = Holding(lambda _, wire: wire.stream(data, ends=False))
    with Loopback(holding) as server, pytest.raises(EmbyTimeoutError):
        call_chat("Hi", on={"base_url": server.url, "timeout": 0.4})


def test_an_error_body_needs_no_end_of_connection(call_chat: ChatCaller) -> None:
    """The body of an error is read without the end of the connection."""

    def respond(_: ReceivedRequest, wire: Wire) -> None:
        wire.head(JSON, "transfer-encoding: chunked", status="400 Bad")
        wire.piece(as_json({"error": {"message": "Not that."}}))

    holding = Holding(respond)
    with Loopback(holding) as server, pytest.raises(APIError, match="Not that"):
        call_chat("Hi", on={"base_url": server.url, "timeout": 30})
    assert holding.was_left


def test_a_list_of_models_needs_no_end_of_body() -> None:
    """A list of models is read without the end of the body."""

    def respond(_: ReceivedRequest, wire: Wire) -> None:
        wire.head(JSON, "transfer-encoding: chunked")
        wire.piece(as_json({"data": [{"id": "m"}]}))

    holding = Holding(respond)
    with Loopback(holding) as server, Emby(base_url=server.url, timeout=30) as emby:
        assert [card.id for card in emby.models()] == ["m"]
    assert holding.was_left


# ---- deadlines


def endlessly(piece: bytes, begun: bytes = b"", pause: float = 0.01) -> By:
    """Return a server that sends such pieces until the test is over, or for eight seconds."""

    def by(_: ReceivedRequest, wire: Wire) -> bool:
        wire.send(begun)
        until = time.monotonic() + 8
        while time.monotonic() < until and not wire.is_over(pause):
            wire.send(piece)
        by.was_left = time.monotonic() < until  # type: ignore[attr-defined]
        return False

    by.was_left = True  # type: ignore[attr-defined]
    return by


CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
DRIPS = {
    "100": endlessly(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103": endlessly(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    "a flood of 1xx": endlessly(b"HTTP/1.1 100 Continue\r\n\r\n" * 500, pause=0),
    "headers": endlessly(b"y", b"HTTP/1.1 200 OK\r\nx-slow: "),
    "framing": endlessly(b"0", CHUNKED),
    "pings": endlessly(b"7\r\n: ping\n\r\n", CHUNKED),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_a_deadline_applies_to_slow_data(call_chat: ChatCaller, drip: str) -> None:
    """Slow data of any kind renews the timeout, but not the deadline."""
    by: Any = DRIPS[drip]
    with Loopback(by) as server, pytest.raises(DeadlineExceededError):
        call_chat("Hi", on={"base_url": server.url, "timeout": 5, "deadline": 0.3})
    assert by.was_left


def test_silence_after_slow_data_ends_at_the_deadline(call_chat: ChatCaller) -> None:
    """Silence after slow data ends at the deadline, with the partial reply."""
    stalled = threading.Event()

    def respond(_: ReceivedRequest, wire: Wire) -> None:
        wire.stream(sse(chunk("Here"), done=False), ends=False)
        wire.is_over(0.3)
        wire.piece(b": ping\n")
        stalled.set()

    holding = Holding(respond)
    with Loopback(holding) as server, pytest.raises(DeadlineExceededError) as caught:
        call_chat("Hi", on={"base_url": server.url, "timeout": 30, "deadline": 0.6})
    assert stalled.is_set()
    assert holding.was_left
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Here"


def test_the_deadline_applies_to_sending(call_chat: ChatCaller) -> None:
    """The deadline applies to sending, even if the server keeps accepting data slowly."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def take() -> None:
            connection, _ = listening.accept()
            with connection:
                while not over.wait(0.01) and connection.recv(20_000):
                    pass

        thread = threading.Thread(target=take)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        with pytest.raises(DeadlineExceededError):
            call_chat("x" * 12_000_000, on={"base_url": url, "timeout": 5, "deadline": 0.5})
        over.set()
        thread.join()


# ---- `within` and `undisturbed`


def limits(seconds: float = 30, **more: Any) -> TimeLimits:
    """Return time limits of this many seconds."""
    made = TimeLimits(seconds, seconds, time.monotonic() + seconds)
    for name, value in more.items():
        setattr(made, name, value)
    return made


class Closing:
    """A step that takes several turns of the event loop to close after its cancellation."""

    def __init__(self) -> None:
        self.cancels = 0
        self.is_closed = False
        self.closing = asyncio.Event()

    async def run(self) -> None:
        """Wait, and close when cancelled."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancels += 1
            self.closing.set()
            lock = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.02, lock.set_result, None)
            await lock
            for _ in range(3):
                await asyncio.sleep(0)
            self.is_closed = True
            raise


@pytest.mark.parametrize("cancels", [1, 2, 9])
async def test_a_step_is_cancelled_once_and_closes(cancels: int) -> None:
    """A step is cancelled once and closes, even if its task is cancelled repeatedly."""
    step = Closing()

    async def call() -> None:
        await within(limits(), step.run())

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (step.cancels, step.is_closed) == (1, True)


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancel_waits_for_a_short_step(turns: int) -> None:
    """A cancel waits until the step's next turns are over, and then its result is undone."""
    received, undone = list[int](), list[str]()

    async def step() -> str:
        for turn in range(4):
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                received.append(turn)
                raise
        return "made"

    async def undo(made: str) -> None:
        await asyncio.sleep(0)
        undone.append(made)

    async def call() -> str:
        return await within(limits(), step(), undo)

    task = asyncio.create_task(call())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    assert not received
    if turns in {0, 5}:
        # Not started, or over.
        assert [await asyncio.gather(task, return_exceptions=True), undone][1] == []
        return
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (received, undone) == ([], ["made"])


@pytest.mark.parametrize("cancels", [0, 1, 2, 9])
async def test_closing_is_not_interrupted(cancels: int) -> None:
    """Closing runs to its end before cancels take effect."""
    ends = asyncio.get_running_loop().create_future()
    closed = list[str]()

    async def close() -> None:
        await asyncio.sleep(0)
        closed.append(await ends)

    async def call() -> None:
        await undisturbed(close())

    task = asyncio.create_task(call())
    for _ in range(3):
        await asyncio.sleep(0)
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0)
    ends.set_result("closed")
    if cancels:
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        await task
    assert closed == ["closed"]


async def test_a_step_that_cancels_itself_inside_can_still_be_cancelled() -> None:
    """A step that handles a cancel of its own, as racing connections do, can still be cancelled."""
    closing = Closing()

    async def step() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        await closing.run()

    with pytest.raises(DeadlineExceededError):
        await within(limits(0.02), step())
    assert (closing.cancels, closing.is_closed) == (1, True)


async def test_a_late_step_closes_though_it_is_cancelled_too() -> None:
    """A step cancelled by its deadline closes before a further cancel takes effect."""
    step = Closing()

    async def call() -> None:
        await within(limits(0.01), step.run())

    task = asyncio.create_task(call())
    await step.closing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (step.cancels, step.is_closed) == (1, True)


async def test_a_step_within_its_limits() -> None:
    """`within` returns the step's value or raises its error, a deadline error or `BodyOver`."""

    async def value() -> int:
        await asyncio.sleep(0)
        return 5

    async def fails() -> None:
        await asyncio.sleep(0)
        raise TimeoutError("its own")

    assert await within(limits(), value()) == 5
    with pytest.raises(TimeoutError, match="its own"):
        await within(limits(), fails())
    with pytest.raises(DeadlineExceededError, match=r"longer than 0\.01 seconds"):
        await within(limits(0.01), asyncio.Event().wait())
    with pytest.raises(BodyOver):
        await within(limits(quiet=0.01, is_complete=lambda: True), asyncio.Event().wait())
