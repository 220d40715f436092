"""HTTP responses of the mock, each with its mark."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from emby_plugins._protocol.backend import BackendResponse

JSON = "application/json"
TEXT = "text/plain; charset=UTF-8"
EVENTS = "text/event-stream"
_HEALTH = (
    b'{"message":"OK","version":"emby-mock","health":{"status":"ok",'
    b'"redis":{"connected":true},"database":{"connected":true}}}'
)


@dataclass(frozen=True, slots=True)
class MockResponse(BackendResponse):
    """A response; with `is_cut`, the connection breaks at the end of its body.

    `model` is the requested one, empty without one.
    """

    is_cut: bool = False
    model: str = ""


def response(
    status: int,
    body: bytes | Iterator[bytes],
    media_type: str,
    digest: str | None = None,
    more: Mapping[str, str] | None = None,
) -> MockResponse:
    """A response with the mock's mark; with a `digest`, one with a request id."""
    headers = {"content-type": media_type, "x-emby-mock": "1", **(more or {})}
    if digest is not None:
        headers["x-request-id"] = f"mock-{digest}"
    if isinstance(body, bytes):
        headers["content-length"] = str(len(body))
        body = iter((body,))
    elif media_type == EVENTS:
        headers["cache-control"] = "no-cache"
    return MockResponse(status, headers, body)


def outside(method: str, path: str) -> MockResponse:
    """The response outside /v1: a base URL that lacks it must cause an error."""
    if (method, path) == ("GET", "/"):
        return response(200, _HEALTH, JSON)
    return response(404, b"404 Not Found", TEXT)
