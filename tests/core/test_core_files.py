"""Files are read within limits, only if regular, and are written completely or removed."""

import errno
import os
import socket
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from support import picture

from emby_plugins import Emby, FilePart, Image, InvalidImageError, RequestError, _files as files

PNG = picture()


def _as_image_in_a_file(path: Path) -> object:
    return Image(path=path).data


def unix_socket(path: Path) -> None:
    """Bind a socket in the folder itself, since the full path may be too long."""
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize("read", [Image.from_path, FilePart.from_path, _as_image_in_a_file])
def test_what_is_not_a_file_is_not_opened(
    read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipes, sockets, devices and folders are refused by kind, and nothing hangs."""
    os.mkfifo(tmp_path / "pipe.png")
    unix_socket(tmp_path / "socket.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to("/dev/zero")
    monkeypatch.setattr(os, "open", None)
    for path, kind in {
        Path("/dev/zero"): "Is a device, not a regular file",
        tmp_path / "link.png": "Is a device, not a regular file",
        tmp_path / "pipe.png": "Is a named pipe, not a regular file",
        tmp_path / "socket.png": "Is a socket, not a regular file",
        tmp_path / "folder.png": "Is a directory",
    }.items():
        with pytest.raises((InvalidImageError, RequestError)) as caught:
            read(path)
        assert f"{str(path)!r} can't be read: {kind}." in caught.value.message


def test_a_pipe_that_takes_the_place_of_a_file_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path is checked again after opening, so that a pipe in its place does not hang."""
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    status = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda _: status)
    with pytest.raises(InvalidImageError, match="Is a named pipe"):
        Image.from_path(path)


@pytest.mark.parametrize("read", [Image.from_path, FilePart.from_path])
def test_a_huge_file_is_refused_before_it_is_read(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    """A file over the limit is refused without reading it, and the error has both sizes."""
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.write(PNG)
        file.truncate(1 << 30)
    tracemalloc.start()
    with pytest.raises(
        (InvalidImageError, RequestError), match="1,073,741,824 bytes; the limit is 104,857,600"
    ):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("size", [0, 5, 10])
def test_a_file_that_grows_while_it_is_read_is_bounded(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file larger than its reported size is read only up to the limit."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"0123456789")
    claimed = os.stat_result([*path.stat()[:6], size, *path.stat()[7:10]])
    monkeypatch.setattr(os, "fstat", lambda _: claimed)
    assert files.read_file(path, most=10) == b"0123456789"
    if size < 10:
        with pytest.raises(OSError, match="more than 9 bytes"):
            files.read_file(path, most=9)


def test_an_image_in_a_file_is_measured_before_it_is_sent(tmp_path: Path) -> None:
    """An image file over the request limit is refused without reading it."""
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.write(PNG)
        file.truncate(1 << 30)
    image = Image(path=path)
    assert image.byte_size == 1 << 30
    assert Image(PNG).byte_size == len(PNG)
    tracemalloc.start()
    with Emby(base_url="mock:") as emby, pytest.raises(InvalidImageError, match="over the limit"):
        emby.chat("What?", images=[image])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def no_locks(*_: object) -> None:
    """Simulate a file system without locks."""
    raise OSError(errno.ENOTSUP, "no locks here")


@pytest.mark.parametrize(("age", "is_kept"), [(60, True), (2 * 24 * 3600, False)])
def test_without_locks_age_decides(
    age: int, is_kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without locks, a temporary file is stale a day after its last write."""
    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    path = tmp_path / ".emby-0123456789abcdef.part"
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    files.remove_stale_files(tmp_path)
    assert path.exists() == is_kept
