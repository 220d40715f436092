"""The built-in plugin that answers for the base URL `mock:`."""

from emby_plugins.hookspecs import hookimpl
from emby_plugins.protocol.backend import Backend


@hookimpl
def emby_backend(url: str) -> Backend | None:
    """The mock backend, for `mock:`."""
    if url != "mock:":
        return None
    from emby_plugins.mock import MockBackend

    return MockBackend()
