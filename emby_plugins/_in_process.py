"""The transport that calls a backend of this process in place of the network."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from emby_plugins._http import LIBRARY
from emby_plugins._protocol.backend import Backend, BackendRequest

IN_PROCESS = "http://in-process.invalid"
"""The base URL of requests to a backend in this process."""


class InProcessTransport(LIBRARY.BaseTransport, LIBRARY.AsyncBaseTransport):  # type: ignore[misc]
    """Calls a backend of this process in place of the network."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def handle_request(self, request: Any) -> Any:
        return self._answer(request, request.read())

    async def handle_async_request(self, request: Any) -> Any:
        # A backend may take its time, and must not hold up the loop meanwhile.
        return await asyncio.to_thread(self._answer, request, await request.aread())

    def _answer(self, request: Any, body: bytes) -> Any:
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = BackendRequest(request.method, request.url.path, headers, body)
        answer = self._backend(asked)
        stream = _BackendStream(answer.body)
        return LIBRARY.Response(answer.status, headers=dict(answer.headers), stream=stream)


class _BackendStream(LIBRARY.SyncByteStream, LIBRARY.AsyncByteStream):  # type: ignore[misc]
    """Passes a backend's chunks on one by one; the library's own transports collect them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
