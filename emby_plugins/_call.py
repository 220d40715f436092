"""One request and the time it has, and what a failure to send it or to read the answer means."""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emby_plugins._deadlines import TimeLimits
from emby_plugins._environment import Proxy, proxy_refusal
from emby_plugins._errors import (
    ConfigurationError,
    EmbyConnectionError,
    EmbyError,
    EmbyTimeoutError,
    TruncatedReplyError,
)
from emby_plugins._http import library_of, stream_of, url_of
from emby_plugins._protocol.request_body import StreamedBody
from emby_plugins._settings import Secret
from emby_plugins._text import clean_text

_REFUSED = re.compile(r"\[Errno (\d+)\] Connect call failed \([^)]*\)")
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and the time it has: `timeout` for a silence, `deadline` for all of it.

    Both are seconds; `ends` is when the deadline falls on the monotonic clock, and holds for
    all tries together.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | StreamedBody | None
    timeout: float
    deadline: float
    ends: float

    @property
    def left(self) -> float:
        """The seconds left before the deadline."""
        return self.ends - time.monotonic()

    def limits(self) -> TimeLimits:
        """The time limits of one attempt."""
        return TimeLimits(self.timeout, self.deadline, self.ends)

    def request(self, http: Any, limits: TimeLimits) -> Any:
        """The request, for one try. Raises `DeadlineExceededError` when the time is up."""
        limits.check()
        headers = self.headers
        if isinstance(self.body, StreamedBody):
            headers = {**headers, "content-length": str(len(self.body))}
        request = http.build_request(
            self.method,
            url_of(self.url, library_of(http)),
            headers=headers,
            content=self.body,
            extensions={"timeout": limits},
        )
        if isinstance(self.body, StreamedBody):
            request.stream = stream_of(self.body, library_of(http))
        return request

    def failure(self, error: Exception, proxy: Proxy | None = None) -> EmbyError:
        """What a failure before the response means; `proxy` is what the request went through."""
        httpx = library_of(error)
        is_late = _knows(error) or isinstance(error.__cause__, TimeoutError)
        if isinstance(error, httpx.TimeoutException) and is_late:
            if self.left <= 0:
                return self.limits().late()
            unsent = isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout) and _knows(error)
            doing = "There was no connection" if unsent else "The gateway was silent"
            silent = EmbyTimeoutError(f"{doing} for {self.timeout:g} seconds.")
            silent.is_retryable = unsent
            return silent
        if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
            return ConfigurationError(f"{self.url!r} can't be used: {error}.")
        # asyncio quotes the address as a Python tuple.
        text = _REFUSED.sub(lambda found: os.strerror(int(found[1])), str(error))
        reason = _ERRNO.sub("", clean_text(text, 600)).rstrip(".") or type(error).__name__
        if isinstance(error, httpx.ProxyError):
            return proxy_refusal(proxy, reason)
        through = f" through {proxy}" if proxy else ""
        broken = EmbyConnectionError(f"The connection to {self.url}{through} failed: {reason}.")
        if proxy:
            broken.hint = f"Check {proxy.variable}, or add the host to NO_PROXY."
        broken.is_retryable = isinstance(error, httpx.ConnectError) and _knows(error)
        return broken

    def cut(self, error: Exception) -> EmbyError:
        """What a failure in the middle of the body means."""
        if isinstance(error, library_of(error).RemoteProtocolError):
            hint = "What arrived is in error.partial; retrying is a new, paid request."
            return TruncatedReplyError("The connection ended before the reply did.", hint=hint)
        return self.failure(error)


def _knows(error: Exception) -> bool:
    """Whether it can be relied on that nothing was sent.

    Transports on other libraries report lost connections as failures to connect (httpx-aiohttp
    0.2 does), and a request that was sent must not be paid twice.
    """
    cause = error.__cause__
    return cause is None or type(cause).__module__.partition(".")[0] in {"httpcore", "httpcore2"}


class Bearer:
    """Puts the key into a request at the last moment, so that no variable of ours holds it."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def __call__(self, request: Any) -> Any:
        if self._key:
            # Emby, Image Generation page, "Generate an Image".
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request
