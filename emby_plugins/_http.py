"""The HTTP library: the only module that imports one.

`httpx2`, the maintained fork of `httpx`, is used if installed, else `httpx`. A client
that the user made works with either: its own library builds the requests and raises the errors.
"""

import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from emby_plugins._errors import ConfigurationError

try:
    import httpx2 as _preferred
except ImportError:
    import httpx as _preferred  # type: ignore[no-redef]

LIBRARY: Any = _preferred
"""The library of the clients that this package creates."""

if TYPE_CHECKING:
    import httpx
    import httpx2

    HTTPClient: TypeAlias = httpx.Client | httpx2.Client
    AsyncHTTPClient: TypeAlias = httpx.AsyncClient | httpx2.AsyncClient
else:
    HTTPClient, AsyncHTTPClient = LIBRARY.Client, LIBRARY.AsyncClient


@cache
def core() -> Any:
    """Import what the library makes connections with, and whose errors it understands.

    Like the library, only with the first connection: it takes a tenth of a first call.
    """
    return import_module("httpcore2" if LIBRARY.__name__ == "httpx2" else "httpcore")


def http_library() -> str:
    """The HTTP library in use and its version, such as `httpx2 2.5.0`."""
    return f"{LIBRARY.__name__} {LIBRARY.__version__}"


def library_of(client: object) -> Any:
    """Return the library of a client, `httpx` or `httpx2`; ours for None.

    Also of a subclass of its client. The two share no classes, so the library that made a client
    must make what is given to it, and names the exceptions that it raises.
    """
    for cls in type(client).__mro__:
        library = sys.modules.get(cls.__module__.partition(".")[0])
        if library is not None and library.__name__ in {"httpx", "httpx2"}:
            return library
    return LIBRARY


def check_client(client: object, kind: str) -> None:
    """Raise `ConfigurationError` unless a client is None or of `kind`: `Client`, `AsyncClient`.

    Without this, the other kind fails in the middle of a call, with an error of Python's.
    """
    if client is not None and not isinstance(client, getattr(library_of(client), kind)):
        msg = f"http_client is {type(client).__module__}.{type(client).__qualname__}."
        raise ConfigurationError(msg, hint=f"Expected an httpx.{kind} or an httpx2.{kind}.")


@lru_cache(64)
def url_of(url: str, library: Any) -> Any:
    """Return the URL as the library parses it, which costs more than most of a short request."""
    return library.URL(url)


def stream_of(body: Iterable[bytes], library: Any) -> Any:
    """Return the body of a request as a stream of the library, for both kinds of clients.

    The libraries' own streams of an iterable are for one kind, and hooks and test transports read
    a body of either.
    """
    return _stream_class(library)(body)


@cache
def _stream_class(library: Any) -> Any:
    class BodyStream(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, body: Iterable[bytes]) -> None:
            self._body = body

        def __iter__(self) -> Iterator[bytes]:
            return iter(self._body)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in self._body:
                yield piece

    return BodyStream
