"""Time limits and cancelling that hold on every read and write; no HTTP library is imported here.

httpcore looks a timeout up once in each phase of a request, and gives it to every read of that
phase. A peer that sends a byte now and then would renew it for ever: informational responses,
headers or framing that drip. So what it looks up here knows the request's limits, and the stream
that it reads from asks them again for each read.
"""

import asyncio
import math
import socket
import threading
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from emby_plugins._errors import DeadlineExceededError, EmbyError

_SHORTEST = 0.001
_PIECE = 64 * 1024
_LARGE = 256 * 1024


class BodyOver(Exception):  # noqa: N818 - it is no failure
    """Nothing more need come of a body: what it was read for is complete."""


class TimeLimits(dict[str, float]):
    """The limits of one request, as the mapping that httpx takes for its timeouts.

    `timeout` bounds a silence, `ends` (on the monotonic clock) everything; `deadline` is quoted in
    errors. `is_complete` is called after `quiet` seconds without data: if it returns True, the body
    is over, even without an end marker from its peer.
    """

    def __init__(self, timeout: float, deadline: float, ends: float) -> None:
        self.timeout = timeout
        self.ends = ends
        self.quiet = timeout
        self.is_complete: Callable[[], bool] = bool
        self._deadline = deadline
        seconds = self.seconds
        super().__init__(connect=seconds, read=seconds, write=seconds, pool=seconds)

    def get(self, name: str, default: Any = None) -> "float":  # noqa: ARG002
        """The timeout that httpcore looks up as each phase of a request begins."""
        # A plain number would be fixed for the whole phase. This one carries its limits along, so
        # that the stream can check them again at each read.
        return Remaining(self)

    @property
    def left(self) -> float:
        """The seconds left before everything ends."""
        return self.ends - time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the next silence may be."""
        return max(_SHORTEST, min(self.timeout, self.left))

    @property
    def wait(self) -> float:
        """How long to wait before asking again whether all is complete, or late."""
        return max(0, min(self.quiet, self.left))

    def check(self) -> None:
        """Raise `DeadlineExceededError` when the time is up."""
        if time.monotonic() >= self.ends:
            raise self.late()

    def check_quiet(self) -> None:
        """Raise `BodyOver` if the body is complete, although the peer has not ended it."""
        if self.is_complete():
            raise BodyOver

    def late(self) -> DeadlineExceededError:
        """The error for the exceeded limit."""
        return DeadlineExceededError(f"The call took longer than {self._deadline:g} seconds.")


class Remaining(float):
    """The seconds that are left, and the limits they come from."""

    limits: TimeLimits

    def __new__(cls, limits: TimeLimits) -> "Remaining":
        """As many as are left now."""
        self = super().__new__(cls, limits.seconds)
        self.limits = limits
        return self


class DeadlineBackend:
    """Wraps one of httpcore's synchronous network backends, so that limits hold on its streams."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(self, *args: Any, **options: Any) -> "DeadlineStream":
        """A connection over TCP."""
        return DeadlineStream(self._backend.connect_tcp(*args, **options))

    def connect_unix_socket(self, *args: Any, **options: Any) -> "DeadlineStream":
        """A connection over a socket of this machine."""
        return DeadlineStream(self._backend.connect_unix_socket(*args, **options))

    def sleep(self, seconds: float) -> None:
        """Wait before connecting again."""
        self._backend.sleep(seconds)


class DeadlineStream:
    """Wraps one of httpcore's synchronous streams: each read and write has only what is left.

    Small writes are sent together, when the response is read or 64 KiB have come up: httpcore
    writes the head and the body of a request apart, and a call to the system costs as much as
    all else that is done for a short call.

    Large bodies are read in larger pieces than httpcore's 64 KiB, each of which costs as much as a
    delta: after a read that was filled, the next may return 256 KiB.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._held = b""
        self._is_large = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Raises `DeadlineExceededError`, or `BodyOver`, besides what the stream raises."""
        if not isinstance(timeout, Remaining):
            return self._stream.read(max_bytes, timeout)  # type: ignore[no-any-return]
        limits = timeout.limits
        if self._held:
            self._send_held(limits)
        silent_at = time.monotonic() + limits.timeout
        while True:
            now = time.monotonic()
            silence, left = silent_at - now, limits.ends - now
            if left <= 0:
                raise limits.late()
            # The silence is spent in waits of `quiet` seconds, since a body that is complete must
            # be noticed before the full timeout of a peer that does not end it.
            wait = max(_SHORTEST, min(silence, limits.quiet, left))
            try:
                most = _LARGE if self._is_large else max_bytes
                data: bytes = self._stream.read(most, wait)
            except Exception as error:
                # httpcore raises its own error from the socket's, which needs no import of it.
                if not isinstance(error.__cause__, TimeoutError):
                    raise
                limits.check_quiet()
                if silence <= wait:
                    raise
            else:
                self._is_large = len(data) >= max_bytes
                return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send, or keep for the next write or read. Raises `DeadlineExceededError`."""
        if not isinstance(timeout, Remaining):
            self._stream.write(buffer, timeout)
        elif len(self._held) + len(buffer) < _PIECE:
            self._held += buffer
        else:
            held, self._held = self._held, b""
            self._send(held, timeout.limits)
            self._send(buffer, timeout.limits)

    def _send_held(self, limits: TimeLimits) -> None:
        held, self._held = self._held, b""
        try:
            self._send(held, limits)
        except Exception as error:
            # As httpcore does: a peer that takes no more may have answered nevertheless.
            if isinstance(error, EmbyError) or isinstance(error.__cause__, TimeoutError):
                raise

    def _send(self, data: bytes, limits: TimeLimits) -> None:
        # In pieces, as a peer that takes them slowly renews the timeout with each.
        view = memoryview(data)
        for at in range(0, len(view), _PIECE):
            limits.check()
            self._stream.write(view[at : at + _PIECE], limits.seconds)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(self, *args: Any, **options: Any) -> "DeadlineStream":
        """The same connection, encrypted."""
        return DeadlineStream(self._stream.start_tls(*args, **options))

    def get_extra_info(self, info: str) -> Any:
        """What is under it."""
        return self._stream.get_extra_info(info)


@contextmanager
def ended_within(seconds: float, stream: Any) -> Iterator[None]:
    """End a read that takes longer, on a stream of httpcore's that knows no limits itself.

    Those of the connections of a user's own client are such; None means not connected. Raises
    `BodyOver` if the read fails because of that.
    """
    is_given = stream is not None and not isinstance(stream, DeadlineStream)
    under = stream.get_extra_info("socket") if is_given else None
    if not isinstance(under, socket.socket):
        yield
        return

    has_ended = False

    def shut() -> None:
        nonlocal has_ended
        has_ended = True
        with suppress(OSError):
            # Not SSLSocket's own, which takes TLS away from under the reader.
            socket.socket.shutdown(under, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut)
    timer.start()
    try:
        yield
    except Exception:
        if has_ended:
            raise BodyOver from None
        raise
    finally:
        timer.cancel()


_T = TypeVar("_T")


Undo = Callable[[Any], Coroutine[Any, Any, None]]


@types.coroutine
def within(
    limits: TimeLimits, step: Coroutine[Any, Any, _T], undo: Undo | None = None
) -> Generator[Any, Any, _T]:
    """Return the result of `step` if it ends within its limits, else let it clean up undisturbed.

    httpx loses a place in its pool when cancelled while closing a connection, and anyio
    cancels a task until it ends. So the step is cancelled once at most, and only while it waits
    for a peer; `undo` is given what it came to all the same. A task of its own would do too, but
    takes longer than many a step. Raises `DeadlineExceededError` or `BodyOver`, besides what the
    step raises.
    """
    try:
        waits_for = step.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    return (yield from _timed(limits, _Drive(step, undo).run(waits_for)).__await__())


@types.coroutine
def undisturbed(step: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Carry `step` out to its end; who cancels its task meanwhile is heard after that."""
    try:
        waits_for = step.send(None)
    except StopIteration:
        return
    yield from _Drive(step, is_shielded=True).run(waits_for)


async def _timed(limits: TimeLimits, step: Awaitable[_T]) -> _T:
    alarm = asyncio.timeout(None)
    watch = _Watch(limits, alarm)
    try:
        async with alarm:
            return await step
    except TimeoutError:
        if not alarm.expired():
            raise
        limits.check()
        raise BodyOver from None
    finally:
        watch.timer.cancel()


class _Watch:
    """A timer that renews itself: `asyncio.timeout` alone can't know that a reply is complete.

    Not a closure: one that names itself is a reference cycle, and keeps the images of its reply.
    """

    def __init__(self, limits: TimeLimits, alarm: asyncio.Timeout) -> None:
        self._limits = limits
        self._alarm = alarm
        self._loop = asyncio.get_running_loop()
        self.timer = self._loop.call_later(limits.wait, self._look)

    def _look(self) -> None:
        if self._limits.left <= 0 or self._limits.is_complete():
            self._alarm.reschedule(0)
        else:
            self.timer = self._loop.call_later(self._limits.wait, self._look)


class _Drive(Generic[_T]):
    """Runs a step within the task that waits for it, and decides which cancels reach the step.

    `told` is the cancel that was raised in the step, `held` one that was not. What counts is
    whether the task is still being cancelled: libraries cancel their own task to end what they
    began, and then take the cancel back.
    """

    def __init__(
        self, step: Coroutine[Any, Any, _T], undo: Undo | None = None, *, is_shielded: bool = False
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._step = step
        self._undo = undo
        self._is_shielded = is_shielded
        self._base: float = math.inf
        self._told: BaseException | None = None
        self._held: BaseException | None = None

    @types.coroutine
    def run(self, waits_for: Any) -> Generator[Any, Any, _T]:
        """The result of the step that has yielded `waits_for`: a future, or None for a turn."""
        while True:
            error: BaseException | None = None
            # `Task.uncancel` has lowered the count to what it was before: that cancel is over.
            if self._task.cancelling() <= self._base:
                self._told = self._held = None
            try:
                if waits_for is None:
                    yield
                elif self._told is not None or self._is_shielded:
                    # The step's own `await` has set this mark; a second await needs it cleared.
                    waits_for._asyncio_future_blocking = False  # noqa: SLF001
                    # Unlike a bare `yield`, this lets the future run on if the task is cancelled.
                    yield from asyncio.wait((waits_for,)).__await__()
                elif self._held is not None:
                    waits_for._asyncio_future_blocking = False  # noqa: SLF001
                    waits_for.cancel()
                    error = self._told = self._held
                else:
                    yield waits_for
            except asyncio.CancelledError as cancel:
                self._base = min(self._base, max(0, self._task.cancelling() - 1))
                if waits_for is None or self._told is not None or self._is_shielded:
                    self._held = self._held or cancel
                    # Not for the step to know: wait on for the same future, marked as before.
                    if waits_for is not None and not waits_for.done():
                        waits_for._asyncio_future_blocking = True  # noqa: SLF001
                        continue
                else:
                    error = self._told = cancel
            except BaseException as other:  # noqa: BLE001 - whatever it is, it is for the step
                error = other
            try:
                waits_for = self._step.throw(error) if error else self._step.send(None)
            except StopIteration as end:
                if self._held is None or self._task.cancelling() <= self._base:
                    return end.value  # type: ignore[no-any-return]
                # It has succeeded all the same: undo that, and only then raise the cancel.
                if self._undo is not None:
                    yield from undisturbed(self._undo(end.value))
                raise self._held from None
