"""Helpers for the plugin's tests."""

import json
import os
import pty
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from threading import Thread
from typing import Any

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
    """Replaces the mock backend: keeps every request, and answers as scripted or as the mock."""

    def __init__(self) -> None:
        self.requests: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[BackendRequest], BackendResponse] | None = None
        self._mock = MockBackend()

    def __call__(self, request: BackendRequest) -> BackendResponse:
        self.requests.append(json.loads(request.body or b"{}"))
        self.headers.append(dict(request.headers))
        return (self.answer or self._mock)(request)


class Gate(MockBackend):
    """Answers this many requests, and blocks all others until opened."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self._free = threading.Semaphore(free)
        self.is_stuck, self.opened = threading.Event(), threading.Event()

    def __call__(self, request: BackendRequest, ask: Any = None) -> BackendResponse:
        response = super().__call__(request, ask)
        if not self._free.acquire(blocking=False) and not self.opened.is_set():
            self.is_stuck.set()
            self.opened.wait(60)
        return response


def paths(output: str) -> list[Path]:
    """Return the paths among the printed lines."""
    return [Path(line) for line in output.splitlines() if line.startswith("/")]


@contextmanager
def terminal() -> Iterator[tuple[int, Callable[[], str]]]:
    """Yield a terminal for a child process, and a function that returns everything written to it.

    Like a real one it answers queries, since programs wait for the answers.
    """
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, 100))
    pieces: list[bytes] = []

    def serve() -> None:
        while select([master], [], [])[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:
                return
            pieces.append(piece)
            if piece.endswith(b"\x1b[c"):
                os.write(master, b"\x1b[?62;c")

    thread = Thread(target=serve, daemon=True)
    thread.start()

    def read() -> str:
        os.close(slave)
        thread.join(10)
        return b"".join(pieces).decode()

    yield slave, read
    os.close(master)
