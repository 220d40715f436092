"""The request and response passed between the client and a backend in the same process.

Plain values, so that a backend needs no HTTP library: the client wraps the result of the
`emby_backend` hook in its own transport.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackendRequest:
    """One HTTP request.

    `path` is relative to the base URL, such as `/chat/completions`; header names are lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class BackendResponse:
    """One HTTP response: status, headers with lower-case names, and the body chunk by chunk."""

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]


Backend = Callable[[BackendRequest], BackendResponse]
"""Answers requests without a network. May be called from several threads concurrently."""
