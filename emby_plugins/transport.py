"""HTTP: the only place that does I/O, and the only import of httpx.

Sends a `Call`, hands back its response with the body unread, and turns every failure of the
network into an error of our tree. What the bytes mean is not its business.
"""

import asyncio
import os
import ssl
import threading
import time
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Mapping,
)
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

import httpx

from emby_plugins.errors import (
    ConfigurationError,
    DeadlineExceededError,
    EmbyConnectionError,
    EmbyError,
    EmbyTimeoutError,
    TruncatedReplyError,
)
from emby_plugins.protocol.backend import Backend, BackendRequest
from emby_plugins.protocol.failures import printable
from emby_plugins.settings import Secret

HTTPClient = httpx.Client
AsyncHTTPClient = httpx.AsyncClient

IN_PROCESS = "http://in-process.invalid"
"""The base URL under which a backend of this process is asked."""

_HTTP = TypeVar("_HTTP", bound=httpx.Client | httpx.AsyncClient)
_T = TypeVar("_T")
_MOMENT = 0.001


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and the time it has: `timeout` for a silence, `deadline` for all of it.

    Both are seconds; `ends` is when the deadline falls on the monotonic clock, and holds for
    all tries together.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout: float
    deadline: float
    ends: float

    @property
    def left(self) -> float:
        """The seconds left before the deadline."""
        return self.ends - time.monotonic()

    def check(self) -> None:
        """Raise `DeadlineExceededError` when the time is up."""
        if self.left <= 0:
            raise self._late()

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request, for one try."""
        self.check()
        return http.build_request(
            self.method,
            self.url,
            headers=self.headers,
            content=self.body,
            extensions={"timeout": _Timeouts(self)},
        )

    async def in_time(self, step: Awaitable[_T]) -> _T:
        """What `step` comes to; it is cancelled when the deadline falls."""
        try:
            async with asyncio.timeout(max(self.left, 0)) as limit:
                return await step
        except TimeoutError:
            if limit.expired():
                raise self._late() from None
            raise

    def failure(self, error: httpx.HTTPError | httpx.InvalidURL) -> EmbyError:
        """What a failure before the response means."""
        if isinstance(error, httpx.TimeoutException):
            if self.left <= 0:
                return self._late()
            unsent = isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
            doing = "There was no connection" if unsent else "The gateway was silent"
            silent = EmbyTimeoutError(f"{doing} for {self.timeout:g} seconds.")
            silent.is_retryable = unsent
            return silent
        if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
            return ConfigurationError(f"{self.url!r} can't be asked: {error}.")
        reason = printable(str(error)) or type(error).__name__
        broken = EmbyConnectionError(f"The connection to {self.url} failed: {reason}.")
        broken.is_retryable = isinstance(error, httpx.ConnectError)
        return broken

    def cut(self, error: httpx.HTTPError) -> EmbyError:
        """What a failure in the middle of the body means."""
        if isinstance(error, httpx.RemoteProtocolError):
            hint = "What had arrived is in error.partial; asking again is a new, paid request."
            return TruncatedReplyError("The connection ended before the reply did.", hint=hint)
        return self.failure(error)

    def _late(self) -> DeadlineExceededError:
        return DeadlineExceededError(f"The call took longer than {self.deadline:g} seconds.")


class _Timeouts(dict[str, float]):
    """httpx's timeouts, which httpcore reads anew as each phase of a request begins.

    Connecting, sending, waiting for the headers, reading the body: no silence in any of them is
    longer than what was left of the deadline when it began.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        super().__init__(dict.fromkeys(("connect", "read", "write", "pool"), self._now()))

    def get(self, name: str, default: Any = None) -> float:  # noqa: ARG002
        return self._now()

    def _now(self) -> float:
        return max(_MOMENT, min(self._call.timeout, self._call.left))


class _Answer:
    def __init__(self, call: Call, response: httpx.Response) -> None:
        self._call = call
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.is_success = response.is_success


class Response(_Answer):
    """A response whose body is still to be read."""

    def chunks(self) -> Generator[bytes, None, None]:
        """The body as it comes. Raises errors of our tree, `DeadlineExceededError` among them."""
        # The stream itself, not iter_raw(): that refuses a response which a test's transport has
        # read already, and takes longer a chunk.
        stream = self._response.stream
        assert isinstance(stream, httpx.SyncByteStream)
        try:
            for chunk in stream:
                yield chunk
                self._call.check()
        except httpx.HTTPError as error:
            raise self._call.cut(error) from error

    def close(self) -> None:
        """Give the connection back, or close it when the body was not read to its end."""
        self._response.close()


class AsyncResponse(_Answer):
    """As `Response`, for `async for`."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """As `Response.chunks`."""
        stream = self._response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        call, pieces = self._call, aiter(stream)
        try:
            while True:
                # A silence ends at `timeout`; only near the deadline must it end sooner.
                piece = anext(pieces, None)
                chunk = await (piece if call.left > call.timeout else call.in_time(piece))
                if chunk is None:
                    break
                yield chunk
                call.check()
        except httpx.HTTPError as error:
            raise self._call.cut(error) from error

    async def aclose(self) -> None:
        """As `Response.close`."""
        await self._response.aclose()


class _Transport(Generic[_HTTP]):
    """The connections of one client: a given httpx client's, or its own, opened when needed."""

    _new: Callable[..., _HTTP]
    _opened: Any

    def __init__(self, key: Secret, backend: Backend | None, given: _HTTP | None) -> None:
        self._auth = _Bearer(key)
        self._backend = backend
        self._given = given
        self._start()
        _transports.add(self)

    def _start(self) -> None:
        """Begin without connections; in a forked child anew, as its parent goes on using them."""
        self._lock = threading.Lock()
        self._opened = None

    def _fresh(self) -> _HTTP:
        if self._backend is not None:
            return self._new(transport=_BackendTransport(self._backend))
        return self._new(verify=_certificates())


class Transport(_Transport[httpx.Client]):
    """Sends calls; safe to share between threads."""

    _new = httpx.Client
    _opened: httpx.Client | None

    def send(self, call: Call) -> Response:
        """The response to one try, whatever its status. Raises `TransportError`."""
        http = self._http()
        try:
            request = call.request(http)
            response = http.send(request, auth=self._auth, stream=True, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise call.failure(error) from error
        return Response(call, response)

    def close(self) -> None:
        """Close the connections, but not those of a client that was given."""
        with self._lock:
            http, self._opened = self._opened, None
        if http is not None:
            http.close()

    def _http(self) -> httpx.Client:
        if self._given is not None:
            return self._given
        with self._lock:
            if self._opened is None:
                self._opened = self._fresh()
            return self._opened


class AsyncTransport(_Transport[httpx.AsyncClient]):
    """As `Transport`, for any number of event loops, each with connections of its own."""

    _new = httpx.AsyncClient
    _opened: "dict[asyncio.AbstractEventLoop, _Kept]"

    def _start(self) -> None:
        super()._start()
        self._opened = {}

    async def send(self, call: Call) -> AsyncResponse:
        """As `Transport.send`."""
        http = await self._http()
        try:
            request = call.request(http)
            response = await call.in_time(
                http.send(request, auth=self._auth, stream=True, follow_redirects=False)
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise call.failure(error) from error
        return AsyncResponse(call, response)

    async def aclose(self) -> None:
        """Close the connections of the running loop, but not those of a client that was given."""
        with self._lock:
            kept = self._opened.pop(asyncio.get_running_loop(), None)
        if kept is not None:
            await kept.until_shutdown.aclose()

    async def _http(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        kept = self._opened.get(loop)
        if kept is None or kept.http.is_closed:
            http = self._fresh()
            kept = _Kept(http, _until_shutdown(http))
            await anext(kept.until_shutdown)
            with self._lock:
                self._opened = {k: v for k, v in self._opened.items() if not k.is_closed()}
                self._opened[loop] = kept
        return kept.http


class _Kept(NamedTuple):
    """The client of one event loop, and what closes it with the loop."""

    http: httpx.AsyncClient
    until_shutdown: AsyncGenerator[None, None]


async def _until_shutdown(http: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    # Connections can't leave their loop, nor be closed once it is. A loop that ends closes the
    # async generators it has seen, so `asyncio.run` leaves no socket open.
    try:
        yield
    finally:
        await http.aclose()


class _Bearer(httpx.Auth):
    """Puts the key into a request at the last moment, so that no variable of ours holds it."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        if self._key:
            # Emby, Image Generation page, "Generate an Image".
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        yield request


class _BackendTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Wears a backend of this process as httpx's network."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request, request.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # A backend may take its time, and must not hold up the loop meanwhile.
        return await asyncio.to_thread(self._answer, request, await request.aread())

    def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = BackendRequest(request.method, request.url.path, headers, body)
        answer = self._backend(asked)
        stream = _BackendStream(answer.body)
        return httpx.Response(answer.status, headers=dict(answer.headers), stream=stream)


class _BackendStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Hands a backend's chunks on one by one; httpx's own in-process transports collect them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


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
    return httpx.create_ssl_context()
