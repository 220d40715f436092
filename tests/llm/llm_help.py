"""What the tests of the plugin share."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from emby_plugins import BackendRequest, BackendResponse
from emby_plugins.mock import MockBackend

LLM = Callable[..., Result]

MODES = [
    pytest.param((), id="stream"),
    pytest.param(("--no-stream",), id="whole"),
    pytest.param(("--async",), id="async-stream"),
    pytest.param(("--async", "--no-stream"), id="async-whole"),
]


class Recorder:
    """Stands in for the mock backend: keeps every request, and answers as told or as the mock."""

    def __init__(self) -> None:
        self.requests: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[BackendRequest], BackendResponse] | None = None
        self._mock = MockBackend()

    def __call__(self, request: BackendRequest) -> BackendResponse:
        self.requests.append(json.loads(request.body or b"{}"))
        self.headers.append(dict(request.headers))
        return (self.answer or self._mock)(request)


def paths(output: str) -> list[Path]:
    """The paths among the lines that were printed."""
    return [Path(line) for line in output.splitlines() if line.startswith("/")]
