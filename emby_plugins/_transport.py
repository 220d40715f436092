"""HTTP: the only place that does I/O.

Sends a `Call`, hands back its response with the body unread, and turns every failure of the
network into an error of our tree. What the bytes mean is not its business.
"""

import asyncio
import os
import ssl
import threading
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from emby_plugins._asyncio_network import AsyncConnections
from emby_plugins._call import Bearer, Call
from emby_plugins._deadlines import (
    BodyOver,
    DeadlineBackend,
    DeadlineStream,
    TimeLimits,
    ended_within,
    undisturbed,
    within,
)
from emby_plugins._environment import (
    Proxy,
    check_is_direct,
    find_proxy,
    proxied_scheme,
    read_certificates,
)
from emby_plugins._errors import (
    ConfigurationError,
    EmbyError,
    EmbyTimeoutError,
)
from emby_plugins._gates import AsyncGate, Gate, Place, pool_size
from emby_plugins._http import LIBRARY, AsyncHTTPClient, HTTPClient, check_client, core, library_of
from emby_plugins._in_process import InProcessTransport
from emby_plugins._protocol.backend import Backend
from emby_plugins._settings import Secret, is_loopback

_HTTP = TypeVar("_HTTP")
_MOMENT = 0.1
"""Seconds to wait for a connection after a reply's end, before it is closed and not reused."""
_QUIET = 2.0
"""Seconds without a byte after which a complete reply counts as ended."""
_AFTER_END = 4
"""Chunks that may follow a reply's end on a connection that is used again."""


class _BaseResponse:
    def __init__(self, call: Call, limits: TimeLimits, response: Any, place: Place) -> None:
        self._errors = library_of(response).HTTPError
        self._is_read = False
        self._place = place
        self._call = call
        self._limits = limits
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.is_success = response.is_success

    @contextmanager
    def _reading(self, is_complete: Callable[[], bool]) -> Iterator[None]:
        """Failures become errors of our tree; being late is none once the reply is complete."""
        self._limits.is_complete, self._limits.quiet = is_complete, _QUIET
        try:
            yield
        except BodyOver:
            pass
        except EmbyTimeoutError:
            if not is_complete():
                raise
        except self._errors as error:
            failure = self._call.cut(error)
            if not (isinstance(failure, EmbyTimeoutError) and is_complete()):
                raise failure from error
        finally:
            # Or it were kept by the request, which httpx keeps in a reference cycle.
            self._limits.is_complete = bool

    def _hurry(self) -> None:
        self._limits.ends = min(self._limits.ends, time.monotonic() + _MOMENT)


class Response(_BaseResponse):
    """A response with its body still to be read."""

    def chunks(self, is_complete: Callable[[], bool] = bool) -> Generator[bytes, None, None]:
        """The body as it arrives. Raises errors of our tree, `DeadlineExceededError` among them.

        Ends with the body, or when nothing has come for two seconds and `is_complete()` is true.
        """
        # The stream itself, not iter_raw(): that refuses a response which a test's transport has
        # read already, and takes longer a chunk.
        pieces = iter(self._response.stream)
        network = self._response.extensions.get("network_stream")
        if not isinstance(network, DeadlineStream):
            pieces = self._ended(pieces, network, is_complete)
        with self._reading(is_complete):
            for chunk in pieces:
                yield chunk
                self._limits.check()
            self._is_read = True

    def _ended(
        self, pieces: Iterator[bytes], network: Any, is_complete: Callable[[], bool]
    ) -> Iterator[bytes]:
        """The same pieces, of a connection that knows no limits itself."""
        while True:
            watch = ended_within(self._limits.quiet, network) if is_complete() else nullcontext()
            with watch:
                piece = next(pieces, None)
            if piece is None:
                break
            yield piece

    def finish(self, chunks: Iterator[bytes]) -> None:
        """Read what is left of `chunks`, for a moment, so that the connection is used again."""
        if self._is_read:
            return
        self._hurry()
        network = self._response.extensions.get("network_stream")
        with suppress(EmbyError, BodyOver), ended_within(_MOMENT, network):
            for _ in zip(range(_AFTER_END), chunks, strict=False):
                pass

    def close(self) -> None:
        """Give the connection back, or close it when the body was not read to its end."""
        try:
            self._response.close()
        finally:
            self._place.give_up()


class AsyncResponse(_BaseResponse):
    """As `Response`, for `async for`."""

    async def chunks(self, is_complete: Callable[[], bool] = bool) -> AsyncGenerator[bytes, None]:
        """As `Response.chunks`."""
        stream = self._response.stream
        pieces = aiter(stream)
        with self._reading(is_complete):
            while (chunk := await within(self._limits, _next(pieces))) is not None:
                yield chunk
                self._limits.check()
            self._is_read = True

    async def finish(self, chunks: AsyncIterator[bytes]) -> None:
        """As `Response.finish`."""
        if self._is_read:
            return
        self._hurry()
        with suppress(EmbyError):
            for _ in range(_AFTER_END):
                if await anext(chunks, None) is None:
                    break

    async def aclose(self) -> None:
        """As `Response.close`. Being cancelled meanwhile does not keep it from being done."""
        try:
            await undisturbed(self._response.aclose())
        finally:
            self._place.give_up()


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


class _Transport(Generic[_HTTP]):
    """The connections of one client: a given httpx client's, or its own, opened when needed."""

    _new: Callable[..., _HTTP]
    _over: Callable[..., Any]
    _new_gate: Callable[[int], Any]
    _opened: Any
    _kind: str
    _errors: tuple[type[Exception], ...]
    _trace: Callable[..., Any]

    def __init__(
        self,
        url: str,
        key: Secret,
        backend: Backend | None,
        given: _HTTP | None,
        max_connections: int | None,
    ) -> None:
        self._url = url
        self._size = max_connections or pool_size(given)
        self._proxy: Proxy | None = None
        self._is_traced = bool(
            getattr(given, "trust_env", False) and is_loopback(url) and proxied_scheme(url)
        )
        self._auth = Bearer(key)
        self._backend = backend
        self._given = given
        check_client(given, self._kind)
        library = library_of(given)
        self._errors = (library.HTTPError, library.InvalidURL)
        self._start()
        _transports.add(self)

    def _start(self) -> None:
        """Begin without connections; in a forked child too, as its parent still uses them."""
        self._lock = threading.Lock()
        self._gate = self._new_gate(self._size)
        self._opened = None

    def _request(self, call: Call, http: _HTTP, limits: TimeLimits) -> Any:
        request = call.request(http, limits)
        if self._is_traced:
            request.extensions["trace"] = self._trace
        return request

    def _fresh(self) -> _HTTP:
        if self._backend is not None:
            return self._new(transport=InProcessTransport(self._backend))
        # The environment's proxies and certificates have been read, and understood.
        return self._new(transport=self._network(), trust_env=False)

    def _network(self) -> Any:
        # Over plain http none are needed; a context without any would trust no server.
        is_plain = self._url.startswith("http://")
        certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain else _certificates()
        self._proxy = find_proxy(self._url)
        # All that are open may be kept: there are no more than calls on the way.
        size = LIBRARY.Limits(max_connections=self._size, max_keepalive_connections=self._size)
        try:
            return self._over(
                verify=certificates, limits=size, proxy=self._proxy and self._proxy.url.reveal()
            )
        except (LIBRARY.InvalidURL, ValueError, ImportError):
            if self._proxy is None:
                raise
            msg = f"The proxy in {self._proxy.variable} can't be used."
            hint = "Expected something like http://proxy.example:8080."
            raise ConfigurationError(msg, hint=hint) from None


# A pool takes a network backend at its creation, but httpx passes none to it.
def _on_limited_connections(**options: Any) -> Any:
    transport = LIBRARY.HTTPTransport(**options)
    pool: Any = transport._pool  # noqa: SLF001
    pool._network_backend = DeadlineBackend(pool._network_backend)  # noqa: SLF001
    return transport


def _on_asyncio_connections(**options: Any) -> Any:
    transport = LIBRARY.AsyncHTTPTransport(**options)
    transport._pool = AsyncConnections(transport._pool, core())  # noqa: SLF001
    return transport


class Transport(_Transport[HTTPClient]):
    """Sends calls; safe to share between threads."""

    _kind = "Client"
    _new_gate = Gate
    _new = LIBRARY.Client
    _over = staticmethod(_on_limited_connections)
    _opened: HTTPClient | None

    def send(self, call: Call) -> Response:
        """The response to one attempt, of any status. Raises `TransportError`."""
        http = self._http()
        limits = call.limits()
        place = self._gate.enter(limits)
        try:
            request = self._request(call, http, limits)
            response = http.send(request, auth=self._auth, stream=True, follow_redirects=False)
        except BaseException as error:
            place.give_up()
            if isinstance(error, self._errors):
                raise call.failure(error, self._proxy) from error
            raise
        return Response(call, limits, response, place)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        check_is_direct(self._url, event, info)

    def close(self) -> None:
        """Close the connections, but not those of a client that was given."""
        with self._lock:
            http, self._opened = self._opened, None
        if http is not None:
            http.close()

    def _http(self) -> Any:
        if self._given is not None:
            return self._given
        with self._lock:
            if self._opened is None:
                self._opened = self._fresh()
            return self._opened


class AsyncTransport(_Transport[AsyncHTTPClient]):
    """As `Transport`, for any number of event loops, each with connections of its own."""

    _kind = "AsyncClient"
    _new_gate = AsyncGate
    _new = LIBRARY.AsyncClient
    _over = staticmethod(_on_asyncio_connections)
    _opened: "dict[asyncio.AbstractEventLoop, _LoopClient]"

    def _start(self) -> None:
        super()._start()
        self._opened = {}

    async def send(self, call: Call) -> AsyncResponse:
        """As `Transport.send`."""
        http = await self._http()
        limits = call.limits()
        place = await self._gate.enter(limits)
        try:
            request = self._request(call, http, limits)
            sending = http.send(request, auth=self._auth, stream=True, follow_redirects=False)
            response = await within(limits, sending, _close)
        except BaseException as error:
            place.give_up()
            if isinstance(error, self._errors):
                raise call.failure(error, self._proxy) from error
            raise
        return AsyncResponse(call, limits, response, place)

    async def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        check_is_direct(self._url, event, info)

    async def aclose(self) -> None:
        """Close the connections of the running loop, but not those of a client that was given."""
        with self._lock:
            kept = self._opened.pop(asyncio.get_running_loop(), None)
        if kept is not None:
            await undisturbed(kept.close())

    async def _http(self) -> Any:
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        kept = self._opened.get(loop)
        if kept is None or kept.http.is_closed:
            http = self._fresh()
            kept = _LoopClient(http, _until_shutdown(http))
            await anext(kept.until_shutdown)
            with self._lock:
                self._opened = {k: v for k, v in self._opened.items() if not k.is_closed()}
                self._opened[loop] = kept
        return kept.http


class _LoopClient(NamedTuple):
    """The client of one event loop, and what closes it with the loop."""

    http: Any
    until_shutdown: AsyncGenerator[None, None]

    async def close(self) -> None:
        await self.until_shutdown.aclose()


async def _until_shutdown(http: Any) -> AsyncGenerator[None, None]:
    # Connections can't leave their loop, nor be closed after its end. A loop that ends closes the
    # async generators it has seen, so `asyncio.run` leaves no socket open.
    try:
        yield
    finally:
        await http.aclose()


async def _close(response: Any) -> None:
    await response.aclose()


_transports: "weakref.WeakSet[_Transport[Any]]" = weakref.WeakSet()
_inherited: list[Any] = []


def _start_in_child() -> None:
    for transport in list(_transports):
        # Not closed, nor dropped, which may close: the parent's connections are left untouched.
        _inherited.append(transport._opened)  # noqa: SLF001 - it is of this module
        transport._start()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_in_child)


@cache
def _certificates() -> ssl.SSLContext:
    # Reading them takes longer than many a call, and a process may make many clients.
    return read_certificates(LIBRARY.create_ssl_context)
