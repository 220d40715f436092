"""Places for calls: how many of a client's calls are on the way at once; the others wait in line.

An HTTP library's pool looks through everything that waits in it whenever a connection is used or
given back, and counts waiting as a failure to connect. Calls wait here instead: in order, at no
cost, and for as long as their deadline allows.
"""

import asyncio
import threading
import weakref
from collections import deque
from typing import Any

from emby_plugins._deadlines import TimeLimits, within
from emby_plugins._errors import DeadlineExceededError

DEFAULT_MAX_CONNECTIONS = 100
"""As many as httpx opens by default."""


class Place:
    """One call's place among those on the way; given up once."""

    def __init__(self, gate: "Gate | asyncio.Semaphore") -> None:
        self._gate: Gate | asyncio.Semaphore | None = gate

    def give_up(self) -> None:
        """Let the next call in line go."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.release()


class Gate:
    """Lets so many threads pass at once, in the order in which they came."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._lock = threading.Lock()
        self._line: deque[threading.Lock] = deque()

    def enter(self, limits: TimeLimits) -> Place:
        """A place; waits for one if need be. Raises `DeadlineExceededError`."""
        with self._lock:
            if self._free:
                self._free -= 1
                return Place(self)
            turn = threading.Lock()
            turn.acquire()
            self._line.append(turn)
        try:
            has_turn = turn.acquire(timeout=min(max(0, limits.left), threading.TIMEOUT_MAX))
        except BaseException:  # Ctrl-C
            self._leave(turn)
            raise
        if not has_turn:
            self._leave(turn)
            raise _crowded(limits, self._size)
        return Place(self)

    def release(self) -> None:
        """Give a place to the first in line."""
        with self._lock:
            if self._line:
                self._line.popleft().release()
            else:
                self._free += 1

    def _leave(self, turn: threading.Lock) -> None:
        with self._lock:
            if turn in self._line:
                self._line.remove(turn)
                return
        self.release()  # it came to its turn meanwhile, and passes it on


class AsyncGate:
    """As `Gate`, for tasks: each event loop has as many places of its own."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )

    async def enter(self, limits: TimeLimits) -> Place:
        """As `Gate.enter`."""
        gate = self._semaphore()
        if not gate.locked():
            await gate.acquire()  # without a wait
            return Place(gate)

        async def release(_: Any) -> None:
            gate.release()

        try:
            await within(limits, gate.acquire(), release)
        except DeadlineExceededError:
            raise _crowded(limits, self._size) from None
        return Place(gate)

    def _semaphore(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        with self._lock:
            gate = self._of_loop.get(loop)
            if gate is None:
                gate = self._of_loop[loop] = asyncio.Semaphore(self._size)
            return gate


def pool_size(http: Any) -> int:
    """How many connections a user's own client opens at once, as far as can be seen."""
    pool = getattr(getattr(http, "_transport", None), "_pool", None)
    size: int = getattr(pool, "_max_connections", DEFAULT_MAX_CONNECTIONS)
    return size


def _crowded(limits: TimeLimits, size: int) -> DeadlineExceededError:
    error = limits.late()
    error.hint = (
        f"All {size} connections of this client were in use. Close streams that you have read, "
        "or increase max_connections or deadline."
    )
    return error
