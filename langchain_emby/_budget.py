"""What the runs of an agent spend with a tool, in US dollars."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager

from emby_plugins import Usage

_MAX_RUNS = 1000


class Budget:
    """The dollars that each run has spent, and its calls one after the other.

    Parallel calls would otherwise all begin before the first is paid for. Thread-safe, and used by
    any number of event loops. The latest 1000 runs are kept, in this process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent: OrderedDict[Hashable, tuple[float, bool]] = OrderedDict()
        self._last: dict[Hashable, Future[None]] = {}

    def spent(self, run: Hashable) -> tuple[float, bool]:
        """The dollars so far, and whether any of them are an estimate."""
        return self._spent.get(run, (0.0, False))

    def add(self, run: Hashable, usage: Usage | None) -> bool:
        """Count a call. Returns False if its cost is unknown."""
        if usage is None or usage.cost is None:
            return False
        with self._lock:
            before, is_estimate = self._spent.pop(run, (0.0, False))
            self._spent[run] = before + usage.cost, is_estimate or usage.cost_is_estimate
            while len(self._spent) > _MAX_RUNS:
                self._spent.popitem(last=False)
        return True

    @contextmanager
    def turn(self, run: Hashable) -> Iterator[None]:
        """Waits until the earlier calls of the run have ended."""
        before, mine = self._queue(run)
        try:
            before.result()
            yield
        finally:
            before.add_done_callback(lambda _: self._leave(run, mine))

    @asynccontextmanager
    async def async_turn(self, run: Hashable) -> AsyncIterator[None]:
        """`turn` for an event loop."""
        before, mine = self._queue(run)
        try:
            # A call that is cancelled while it waits must not cancel the one before it.
            await asyncio.shield(asyncio.wrap_future(before))
            yield
        finally:
            before.add_done_callback(lambda _: self._leave(run, mine))

    def _queue(self, run: Hashable) -> "tuple[Future[None], Future[None]]":
        mine: Future[None] = Future()
        with self._lock:
            before, self._last[run] = self._last.get(run), mine
        if before is None:
            before = Future()
            before.set_result(None)
        return before, mine

    def _leave(self, run: Hashable, mine: "Future[None]") -> None:
        with self._lock:
            if self._last.get(run) is mine:
                del self._last[run]
        mine.set_result(None)
