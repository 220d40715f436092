"""Responses as the server sends them, and what a fault does to their headers, bytes and timing."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from emby_plugins._protocol.backend import BackendResponse
from emby_plugins.mock.faults import NONE, Fault

JSON = "application/json"
TEXT = "text/plain; charset=UTF-8"
_EVENTS = "text/event-stream"
_HEALTH = (
    b'{"message":"OK","version":"emby-mock","health":{"status":"ok",'
    b'"redis":{"connected":true},"database":{"connected":true}}}'
)


@dataclass(frozen=True, slots=True)
class MockResponse(BackendResponse):
    """A response; with `is_cut`, the end of its body is where the connection breaks.

    `model` is the one that was asked, empty where none was.
    """

    is_cut: bool = False
    model: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """When the chunks of a body come: `delay` seconds before the first, `pause` between them.

    `ping` is the seconds between keep-alive comments, None for none; `sleep` waits.
    """

    delay: float
    pause: float
    ping: float | None
    sleep: Callable[[float], object]

    def apply(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks, each in its time."""
        silent = 0.0
        wait = self.delay
        for chunk in chunks:
            while self.ping is not None and silent + wait >= self.ping:
                self.sleep(self.ping - silent)
                wait -= self.ping - silent
                silent = 0.0
                yield b": ping\n"
            if wait > 0:
                self.sleep(wait)
                silent += wait
            yield chunk
            wait = self.pause


def tampered(response: MockResponse, fault: Fault, pace: Pace) -> MockResponse:
    """The response, with what the fault does to its headers and bytes."""
    pause = fault.pause or pace.pause
    if fault == NONE and not pause:
        return response
    from emby_plugins.mock import inject

    headers, chunks = dict(response.headers), response.body
    is_stream = headers["content-type"] == _EVENTS
    if fault.empty or fault.gzip:
        headers.pop("content-length", None)
    if fault.empty:
        chunks = iter(())
    if fault.gzip:
        headers["content-encoding"] = ", ".join(["gzip"] * fault.gzip)
        chunks = inject.compressed(chunks, fault.gzip)
    if fault.drip:
        chunks = inject.dripped(chunks, fault.drip)
    if pause or fault.delay:
        ping = pace.ping if is_stream else None
        chunks = replace(pace, delay=fault.delay, pause=pause, ping=ping).apply(chunks)
    if fault.cut is not None:
        chunks = inject.cut_off(chunks, fault.cut)
    if fault.content_type:
        headers["content-type"] = fault.content_type
    if fault.location:
        headers["location"] = fault.location
    if fault.retry_after is not None:
        headers["retry-after"] = f"{fault.retry_after:g}"
    is_cut = fault.cut is not None
    return replace(response, headers=headers, body=chunks, is_cut=is_cut)


def respond(
    status: int,
    body: bytes | Iterator[bytes],
    media_type: str,
    digest: str | None = None,
    more: Mapping[str, str] | None = None,
) -> MockResponse:
    """A response with the mock's mark; one to a numbered request with its id."""
    headers = {"content-type": media_type, "x-emby-mock": "1", **(more or {})}
    if digest is not None:
        headers["x-request-id"] = f"mock-{digest}"
    if isinstance(body, bytes):
        headers["content-length"] = str(len(body))
        body = iter((body,))
    return MockResponse(status, headers, body)


def outside(method: str, path: str) -> MockResponse:
    """The response outside /v1: a base URL without it is a mistake that must show."""
    if (method, path) == ("GET", "/"):
        return respond(200, _HEALTH, JSON)
    return respond(404, b"404 Not Found", TEXT)


def stream(
    frames: Iterator[bytes], digest: str, more: Mapping[str, str] | None = None
) -> MockResponse:
    """A stream of events, which always comes under HTTP 200."""
    return respond(200, frames, _EVENTS, digest, {"cache-control": "no-cache", **(more or {})})
