"""The core clients of one chat model, created on first use."""

import threading
import weakref
from collections.abc import Callable

from emby_plugins import AsyncEmby, Emby


class Clients:
    """Holds a model's clients. Copies and unpickled instances start without any.

    Connections close when the model is garbage-collected; each event loop has its own, which end
    with the loop.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sync: Emby | None = None
        self._async: AsyncEmby | None = None

    def sync(self, make: Callable[[], Emby]) -> Emby:
        """The client for sync calls."""
        with self._lock:
            if self._sync is None:
                self._sync = make()
                weakref.finalize(self, self._sync.close)
            return self._sync

    def asynchronous(self, make: Callable[[], AsyncEmby]) -> AsyncEmby:
        """The client for async calls, from any event loop."""
        with self._lock:
            if self._async is None:
                self._async = make()
            return self._async

    def __reduce__(self) -> tuple[type["Clients"], tuple[()]]:
        return Clients, ()
