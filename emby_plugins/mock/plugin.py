"""The built-in plugin that serves the base URL `mock:`."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

from emby_plugins._hookspecs import hookimpl
from emby_plugins._protocol.backend import Backend, BackendRequest, BackendResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pluggy

    from emby_plugins.mock.backend import MockBackend

_active: "list[MockBackend]" = []


@contextmanager
def activate(backend: "MockBackend") -> "Iterator[MockBackend]":
    """Serve `mock:` with this backend while open, in all threads and event loops.

    Clients made before use it too. Of several, the one opened last is used.
    """
    _active.append(backend)
    try:
        yield backend
    finally:
        _active.remove(backend)


class MockPlugin:
    """Serves `mock:`; the other plugins of the same client can reply."""

    def __init__(self, hook: "pluggy.HookRelay") -> None:
        self._hook = hook

    @hookimpl
    def emby_backend(self, url: str) -> Backend | None:
        """The active mock backend, else one of the client's own, for `mock:`."""
        if url != "mock:":
            return None
        from emby_plugins.mock import MockBackend

        own = MockBackend()
        scripts = self._hook.emby_mock_reply

        def respond(request: BackendRequest) -> BackendResponse:
            backend = _active[-1] if _active else own
            if not scripts.get_hookimpls():
                return backend(request)
            return backend(request, lambda record: scripts(request=record))

        return respond
