# ruff: noqa: ASYNC109 - the signatures are httpcore's
"""Connections of httpcore's over asyncio's own streams; no HTTP library is imported here.

httpcore's default uses anyio, which serves other event loops too. `AsyncEmby` needs
asyncio only, and without the layer between a short call takes a third less CPU time.

httpcore's pool iterates over all its connections twice per call, which is most of a call's time
with a hundred of them. `AsyncConnections` uses the most recently used one.
"""

import asyncio
import select
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_BUFFER = 128 * 1024
"""Bytes after which a peer is made to wait; asyncio holds twice as many at most."""
_PIECE = 64 * 1024
"""Bytes of small writes after which they are sent, though nothing is read yet."""
_EAGER: Any = {"happy_eyeballs_delay": 0.25}
"""Try a host's next address soon (RFC 8305); uvloop has its own way, and not this option."""
_NAMES = {
    "client_addr": "sockname",
    "server_addr": "peername",
    "socket": "socket",
    "ssl_object": "ssl_object",
}


class AsyncConnections:
    """Replaces one of httpcore's pools, with its settings and ways to connect.

    It does not count: no more calls come at once than a gate lets through. HTTP/1.1 only, and for
    one event loop. `core` is the module of the pool.
    """

    def __init__(self, pool: Any, core: Any) -> None:
        self._pool = pool
        self._core = core
        pool._network_backend = AsyncioBackend(core)  # noqa: SLF001 - no way through httpx to it
        self._open: set[Any] = set()
        self._idle: deque[Any] = deque()

    async def handle_async_request(self, request: Any) -> Any:
        """The response to a request; its connection is reused after the response is closed."""
        connection = await self._idle_for(request.url.origin)
        if connection is None:
            connection = self._pool.create_connection(request.url.origin)
            self._open.add(connection)
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            await self._close(connection)
            raise
        return self._core.Response(
            response.status,
            headers=response.headers,
            content=_Body(response.stream, connection, self),
            extensions=response.extensions,
        )

    async def take_back(self, connection: Any) -> None:
        """Keep an open connection for the next call; close those kept too long."""
        if connection.is_available():
            self._idle.append(connection)
        else:
            self._open.discard(connection)
        while len(self._idle) > 1 and self._idle[0].has_expired():
            await self._close(self._idle.popleft())

    async def aclose(self) -> None:
        """Close all connections, those in use too."""
        self._idle.clear()
        while self._open:
            await self._open.pop().aclose()

    async def _idle_for(self, origin: Any) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if connection.can_handle_request(origin) and not connection.has_expired():
                return connection
            await self._close(connection)
        return None

    async def _close(self, connection: Any) -> None:
        self._open.discard(connection)
        await connection.aclose()


class _Body:
    """The body of a response, which releases its connection when closed."""

    def __init__(self, stream: Any, connection: Any, owner: AsyncConnections) -> None:
        self._stream = stream
        self._connection = connection
        self._owner: AsyncConnections | None = owner

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            try:
                await self._stream.aclose()
            finally:
                await owner.take_back(self._connection)


class AsyncioBackend:
    """One of httpcore's asynchronous network backends; `errors` is the module with its errors."""

    def __init__(self, errors: Any) -> None:
        self._errors = errors

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[tuple[Any, ...]] | None = None,
    ) -> "AsyncioStream":
        """A connection over TCP."""
        loop = asyncio.get_running_loop()
        reader = _CountingReader(limit=_BUFFER, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        with self._translated(self._errors.ConnectTimeout, self._errors.ConnectError):
            async with asyncio.timeout(timeout):
                transport, _ = await loop.create_connection(
                    lambda: protocol,
                    host,
                    port,
                    local_addr=(local_address, 0) if local_address else None,
                    **_EAGER if isinstance(loop, asyncio.BaseEventLoop) else {},
                )
        for option in socket_options or ():
            transport.get_extra_info("socket").setsockopt(*option)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return AsyncioStream(reader, writer, self)

    async def sleep(self, seconds: float) -> None:
        """Wait before connecting again."""
        await asyncio.sleep(seconds)

    @contextmanager
    def _translated(self, late: type[Exception], failed: type[Exception]) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise late(str(error)) from error
        except OSError as error:
            raise failed(str(error)) from error


class AsyncioStream:
    """One of httpcore's asynchronous streams."""

    def __init__(
        self, reader: "_CountingReader", writer: asyncio.StreamWriter, backend: AsyncioBackend
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._backend = backend
        self._errors = backend._errors  # noqa: SLF001 - it is of this module
        self._translated = backend._translated  # noqa: SLF001
        self._held = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """All bytes that have come, at least one; none at the end.

        They may be more than `max_bytes`: large bodies cost less in large pieces.
        """
        if self._held:
            with suppress(self._errors.WriteError):  # as httpcore: there may be an answer
                await self._send_held(timeout)
        with self._translated(self._errors.ReadTimeout, self._errors.ReadError):
            if self._reader.held:
                return await self._reader.read(max(max_bytes, self._reader.held))
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send, or keep for the next write or read; wait until there is room for more.

        As `DeadlineStream.write`: the head and the body of a request go out together.
        """
        self._held += buffer
        if len(self._held) >= _PIECE:
            await self._send_held(timeout)

    async def _send_held(self, timeout: float | None) -> None:
        held, self._held = self._held, b""
        with self._translated(self._errors.WriteTimeout, self._errors.WriteError):
            self._writer.write(held)
            if self._writer.transport.get_write_buffer_size():
                async with asyncio.timeout(timeout):
                    await self._writer.drain()

    async def aclose(self) -> None:
        """Close the connection, without waiting for the peer's part in it."""
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "AsyncioStream":
        """The same connection, encrypted."""
        try:
            with self._translated(self._errors.ConnectTimeout, self._errors.ConnectError):
                async with asyncio.timeout(timeout):
                    await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except BaseException:
            # Nothing to wait for: asyncio does not report a failed handshake to the streams.
            self._writer.transport.abort()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """What is under it; `is_readable` of an idle connection means that the peer closed it."""
        if info == "is_readable":
            return self._is_readable()
        return self._writer.get_extra_info(_NAMES[info]) if info in _NAMES else None

    def _is_readable(self) -> bool:
        if self._reader.held or self._reader.at_eof() or self._writer.is_closing():
            return True
        # The loop may not have run since the peer closed, so the socket itself is checked, too.
        number = self._writer.get_extra_info("socket").fileno()
        if not hasattr(select, "poll"):  # Windows
            return bool(select.select([number], [], [], 0)[0])
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))


class _CountingReader(asyncio.StreamReader):
    """Knows how many bytes it holds, unlike asyncio's own."""

    held = 0

    def feed_data(self, data: Any) -> None:
        self.held += len(data)
        super().feed_data(data)

    async def read(self, n: int = -1) -> bytes:
        data = await super().read(n)
        self.held -= len(data)
        return data
