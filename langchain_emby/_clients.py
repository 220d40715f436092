"""The core clients of one chat model, made when they are first used."""

import threading
import weakref
from collections.abc import Callable

from emby_plugins import AsyncEmby, Emby


class Clients:
    """Holds a model's clients. A copy or a pickle of it starts with none.

    Connections close when the model goes; each event loop has its own, which end with it.
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
        """The client for async calls, in whatever event loop."""
        with self._lock:
            if self._async is None:
                self._async = make()
            return self._async

    def __reduce__(self) -> tuple[type["Clients"], tuple[()]]:
        return Clients, ()
