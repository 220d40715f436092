"""The built-in plugin that answers for the base URL `mock:`."""

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
    """Answer for `mock:` with this backend while it is open, in all threads and event loops.

    It is asked at each request, so clients made before count too. Of several, the last opened
    answers.
    """
    _active.append(backend)
    try:
        yield backend
    finally:
        _active.remove(backend)


class MockPlugin:
    """Answers for `mock:`, and asks the other plugins of the same client what to answer."""

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

        def answer(request: BackendRequest) -> BackendResponse:
            backend = _active[-1] if _active else own
            if not scripts.get_hookimpls():
                return backend(request)
            return backend(request, lambda asked: scripts(request=asked))

        return answer
