"""The table of faults and their expected results, used by the tests and by docs/faults.md.

A fault is either requested from the mock in the syntax of its header, or a separate server that
misbehaves in ways that HTTP libraries tolerate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emby_plugins import (
    AuthenticationError,
    BadRequestError,
    BillingError,
    ConfigurationError,
    DeadlineExceededError,
    EmbyConnectionError,
    EmbyError,
    EmbyTimeoutError,
    Limits,
    MalformedReplyError,
    ModelNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ReplyTooLargeError,
    ServerError,
    TruncatedReplyError,
)
from stress import servers
from stress.keys import KEY

MIB = 1024 * 1024
TIGHT = {"limits": Limits(wire=6 * MIB, event=2 * MIB, text=2 * MIB)}
"""Limits that a bomb of a few megabytes exceeds, to test that they hold."""

OK = None
TOO_LARGE = ReplyTooLargeError
Kind = type[EmbyError] | None


@dataclass(frozen=True)
class Row:
    """A fault and its expected result: an error, or `OK` for the complete reply.

    `whole` is for replies that are not streamed, if that differs. `over` is the route: in this
    process, over a socket, or both. `arrived` describes the partial reply of a streamed error.
    `seconds` limits the duration of the call, `megabytes` its memory. With `echoes`, the key as
    sent by the gateway is in httpcore's logs of the response headers and in local variables.
    `on` has settings of the client.
    """

    name: str
    stream: Kind
    whole: Any = ...
    over: tuple[str, ...] = ("process",)
    arrived: str = ""
    on: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 8.0
    megabytes: int | None = None
    by: Callable[..., Any] | None = None
    echoes: bool = False

    def expected(self, *, streamed: bool) -> Kind:
        """The expected error, or None."""
        return self.stream if streamed or self.whole is ... else self.whole


BOTH = ("process", "socket")
SOCKET = ("socket",)

STATUS = [
    Row("status=400", BadRequestError),
    Row("status=401", AuthenticationError, over=BOTH),
    Row("status=402", BillingError),
    Row("status=403", PermissionDeniedError),
    Row("status=404", NotFoundError),
    Row("status=404; message=The model x is not supported", ModelNotFoundError),
    Row("status=410", NotFoundError),
    Row("status=413; message=Too large", BadRequestError),
    Row("status=415", BadRequestError),
    Row("status=422; message=Not that", BadRequestError),
    Row("status=418; message=No", ServerError),
    Row("status=429; retry-after=0", RateLimitError),
    Row("status=429; retry-after=3600", RateLimitError, over=BOTH),
    Row("status=500", ServerError),
    Row("status=502", ServerError, over=BOTH),
    Row("status=503", ServerError),
    Row("status=504", ServerError),
    Row("status=529", ServerError),
    Row("status=307; location=https://example.com/v1", ServerError, over=BOTH),
    Row("status=204", TruncatedReplyError, over=BOTH),
    Row("status=401; cut=20", AuthenticationError, over=BOTH),
    Row("status=500; megabytes=1; gzip=2", ServerError),
    Row("upstream=400", BadRequestError),
    Row("upstream=429", RateLimitError),
    Row("upstream=503", ServerError),
]
RETRIED = [
    Row("status=429; retry-after=0; times=1", OK, over=BOTH),
    Row("status=502; times=2", OK),
    Row("status=503; times=1", OK),
    Row("status=529; times=1", OK),
    Row("status=500; times=1", ServerError),
]
TIME = [
    Row("delay=60", EmbyTimeoutError, over=SOCKET, on={"timeout": 0.3}),
    Row("delay=61", DeadlineExceededError, over=SOCKET, on={"deadline": 0.3}),
    Row(
        "drip=90; pause=60",
        EmbyTimeoutError,
        over=SOCKET,
        on={"timeout": 0.3},
    ),
    Row(
        "drip=90; pause=61",
        DeadlineExceededError,
        over=SOCKET,
        on={"deadline": 0.3},
    ),
    Row(
        "drip=400; pause=0.02",
        DeadlineExceededError,
        over=SOCKET,
        arrived="text",
        on={"deadline": 0.5, "timeout": 0.3},
    ),
    Row("drip=1", OK),
    Row("drip=700", OK, over=BOTH),
    Row("delay=0.05; pause=0.01", OK, over=SOCKET),
]
STREAM = [
    Row("garbage", MalformedReplyError, arrived="text and image"),
    Row("invalid-utf8", MalformedReplyError, OK, arrived="text and image"),
    Row("error", ServerError, over=BOTH, arrived="text"),
    Row("error; upstream=429", RateLimitError, arrived="text"),
    Row("no-finish", TruncatedReplyError, OK, arrived="text and image"),
    Row("no-finish; no-done", TruncatedReplyError, OK, over=BOTH, arrived="text and image"),
    Row("no-done", OK, over=BOTH),
    Row("double-done", OK, over=BOTH),
]
BYTES = [
    Row("empty", TruncatedReplyError, over=BOTH),
    Row("cut=0", TruncatedReplyError, over=BOTH),
    Row("cut=300", TruncatedReplyError, over=BOTH),
    Row("cut=1500", TruncatedReplyError, over=BOTH, arrived="text"),
    Row("gzip=1", OK, over=BOTH),
    Row("gzip=1; cut=200", TruncatedReplyError),
    Row("gzip=2", MalformedReplyError, over=BOTH),
    Row("gzip=8", MalformedReplyError),
    Row("gzip=2; megabytes=4000", MalformedReplyError, over=BOTH, megabytes=4),
    Row("content-type=text/html", OK),
    Row("content-type=text/event-stream", OK),
]
BOMBS = [
    Row("endless", TOO_LARGE, over=BOTH, arrived="text", on=TIGHT, megabytes=40),
    Row("megabytes=40", TOO_LARGE, over=BOTH, on=TIGHT, megabytes=40),
    Row("gzip=1; megabytes=40", TOO_LARGE, over=BOTH, on=TIGHT, megabytes=40),
    Row("gzip=1; endless", TOO_LARGE, over=BOTH, arrived="text", on=TIGHT, megabytes=40),
    Row("images=65", ReplyTooLargeError, arrived="text and image"),
]
PICTURES = [
    Row("images=0", OK),
    Row("images=5", OK, over=BOTH),
    Row("image=bomb", OK, seconds=20),
    Row("image=truncated", OK),
    Row("image=unknown", OK),
    Row("image=https", OK),
]
SETTINGS = [
    Row("the key holds a line break", ConfigurationError, on={"api_key": f"sk\n{KEY}"}),
    Row("the key holds a curly quote", ConfigurationError, on={"api_key": f"\u201c{KEY}\u201d"}),
    Row("a key over plain http", ConfigurationError, on={"base_url": "http://example.com/v1"}),
    Row("a base URL of file:", ConfigurationError, on={"base_url": "file:///etc/passwd"}),
    Row(
        "a password in the base URL",
        ConfigurationError,
        on={"base_url": "https://me:secret@example.com/v1"},
    ),
]

NETWORK = [
    Row("the connection is refused", EmbyConnectionError, on={"base_url": "http://127.0.0.1:9/v1"}),
    Row("closed without an answer", EmbyConnectionError, by=servers.silent),
    Row("another protocol", EmbyConnectionError, by=servers.another_protocol),
    Row("closed too early", TruncatedReplyError, by=servers.closed, arrived="text and image"),
    Row("endless headers", EmbyConnectionError, by=servers.endless_headers),
    Row("an endless error body", ServerError, by=servers.endless_error, megabytes=4),
    Row(
        "an error body byte by byte",
        ServerError,
        by=servers.slow_error,
        on={"deadline": 1.5},
    ),
    Row(
        "endless informational responses",
        DeadlineExceededError,
        by=servers.informing,
        on={"deadline": 0.4},
        seconds=3,
    ),
    Row(
        "headers byte by byte",
        DeadlineExceededError,
        by=servers.slow_headers,
        on={"deadline": 0.4},
        seconds=3,
    ),
    Row(
        "a stall after a drip",
        DeadlineExceededError,
        by=servers.stalled,
        arrived="text",
        on={"deadline": 1.0},
        seconds=3,
    ),
    Row("held open after the end", OK, by=servers.held, seconds=6),
    Row("held open after the finish reason", OK, by=servers.held_after_finish, seconds=6),
    Row("held open after an error", BadRequestError, by=servers.held_error, seconds=6),
    Row("content-encoding: br", MalformedReplyError, by=servers.brotli),
    Row("Retry-After in the year 99999999999", RateLimitError, by=servers.year_99999999999),
]
HOSTILE = [
    Row("the key in an error message", AuthenticationError, by=servers.echo_in_error),
    Row("the key in a page", MalformedReplyError, by=servers.echo_in_page, echoes=True),
    Row("the key as request id", ServerError, by=servers.echo_in_id, echoes=True),
    Row("terminal escapes in an error message", BadRequestError, by=servers.escapes_in_error),
    Row("terminal escapes in the request id", ServerError, by=servers.escapes_in_id),
    Row("terminal escapes as content type", MalformedReplyError, by=servers.escapes_in_type),
]

SECTIONS: dict[str, list[Row]] = {
    "Error responses": STATUS,
    "Retries": RETRIED,
    "Time limits": TIME,
    "Broken streams": STREAM,
    "Broken bodies": BYTES,
    "Size limits": BOMBS,
    "Odd images": PICTURES,
    "The network": NETWORK,
    "A hostile gateway": HOSTILE,
    "Invalid settings": SETTINGS,
}
