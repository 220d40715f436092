"""A disk that fills up in mid-image, at any byte and with pieces of any size, through each host."""

import errno
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support import as_json, chunk, completion, sse

from emby_plugins import BackendRequest, BackendResponse
from emby_plugins.mock import MockBackend, activate
from stress import EVERYTHING
from stress.ways import WAYS, Way, call

SIZE = 70_000
IMAGE = b"\x89PNG\r\n\x1a\n" + os.urandom(SIZE - 8)
PIECES = (100, 8191, 8192, 65536)
ROOMS = (0, 1, 100, 8191, 8192, 8193, 65536, SIZE - 1)
STEPS = ("write", "close", "link")
SAVING = [way for way in WAYS if way.host != "langchain"]


def cases() -> Iterator[Any]:
    """Yield every combination of room, piece size and way, or a sample of the ways."""
    steps = [("write", room) for room in ROOMS] + [(step, SIZE) for step in STEPS[1:]]
    for number, ((step, room), piece) in enumerate(product(steps, PIECES)):
        for at, way in enumerate(SAVING):
            if EVERYTHING or at == number * 3 % len(SAVING):
                yield pytest.param(step, room, piece, way, id=f"{step}-{room}-{piece}-{way}")


class Pieces(MockBackend):
    """A mock that answers with one image, in pieces of this many bytes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __call__(self, request: BackendRequest, *_: object) -> Any:
        streamed = b'"stream":true' in request.body
        body = sse(chunk("An image:"), chunk(None, IMAGE), chunk(finish="stop"))
        if not streamed:
            body = as_json(completion("An image:", IMAGE))
        kind = "text/event-stream" if streamed else "application/json"
        pieces = (body[at : at + self._size] for at in range(0, len(body), self._size))
        return BackendResponse(200, {"content-type": kind}, pieces)


class Disk(io.FileIO):
    """A file on a disk that fills up and writes a part of the data before it fails."""

    room = SIZE

    def write(self, data: Any) -> int:
        left = self.room - self.tell()
        if left <= 0 < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(bytes(data)[:left])


def fill(patch: pytest.MonkeyPatch, folder: Path, step: str, room: int) -> None:
    """Make the disk of one folder fail at this step."""

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(what: Any, *words: Any, **named: Any) -> Any:
            where = Path(f"/proc/self/fd/{what}").readlink() if isinstance(what, int) else what
            if Path(where).is_relative_to(folder):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(where))
            return real(what, *words, **named)

        return call

    if step == "link":
        patch.setattr(os, "link", failing(os.link))
        patch.setattr(Path, "replace", failing(Path.replace))
    elif step == "close":
        # Network file systems report some errors only when a descriptor is closed.
        patch.setattr(os, "dup", failing(os.dup))
    else:
        real = os.fdopen

        def fdopen(descriptor: int, *words: Any, **named: Any) -> Any:
            where = Path(f"/proc/self/fd/{descriptor}").readlink()
            if where.suffix == ".part" and where.is_relative_to(folder):
                return Disk(descriptor, "w+")
            return real(descriptor, *words, **named)

        patch.setattr(Disk, "room", room)
        patch.setattr(os, "fdopen", fdopen)


@pytest.mark.parametrize(("step", "room", "piece", "way"), [*cases()])
def test_a_full_disk_loses_no_image(
    step: str,
    room: int,
    piece: int,
    way: Way,
    user_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full disk leaves the exact image in memory, or for `llm` in another file."""
    folder = user_path / "emby" / "images" if way.host == "llm" else tmp_path / "images"
    settings = {"base_url": "mock:"} | ({"image_folder": folder} if way.host == "core" else {})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fill(monkeypatch, folder, step, room)
    with activate(Pieces(piece)):
        outcome = call(way, settings)
    monkeypatch.undo()
    assert outcome.error is None, repr(outcome.error)
    (image,) = outcome.images
    assert image.data == IMAGE
    if way.host == "core":
        assert image.path is None
    assert list(folder.iterdir()) == []
