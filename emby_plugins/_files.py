"""Files that appear whole or not at all, and files that are read within limits.

The one place where files are written: each is a draft in the folder where it will be, and gets
its name when it is whole. A draft is locked by the process that writes it, so that one left by a
killed process can be told from one in use.
"""

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MAX_FILE_BYTES = 100 * 1024 * 1024
"""The largest file that is read into memory: as large as an image may be that arrives."""

_DRAFT = re.compile(r"\.emby-[0-9a-f]{16}\.part")
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# A pipe that took a file's place after it was checked must not block.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_STALE_SECONDS = 24 * 3600


@contextmanager
def draft(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a new, unbuffered file in `folder`; it is removed afterwards, unless published.

    Yields the file, to be written with `write_all`, and its path. Raises `OSError`.
    """
    file, path = _open_draft(folder)
    try:
        yield file, path
    finally:
        # What matters was written and published before, or has failed already. A draft that
        # can't be removed is left to `sweep`.
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            path.unlink(missing_ok=True)


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write all of `data`. Raises `OSError`; how much of it was written is then unknown."""
    left = memoryview(data)
    while left:
        # A disk that fills up takes a part of it first.
        left = left[file.write(left) :]


def settle(file: BinaryIO) -> None:
    """Raise the `OSError` that closing would raise, while the file can still be read back.

    Network file systems report a full disk no sooner than when a descriptor is closed; closing a
    duplicate is enough. Local ones report it when writing, so this is no `fsync`, which would
    block the event loop for milliseconds.
    """
    os.close(os.dup(file.fileno()))


def publish(draft: Path, path: Path) -> None:
    """Give a finished draft its name. Raises `FileExistsError` when the name is taken."""
    # A hard link fails when the name is taken, symlinks included; a rename would replace it.
    try:
        os.link(draft, path)
    except FileExistsError:
        raise FileExistsError(f"{str(path)!r} exists already; it was left as it is.") from None
    except OSError:
        # A file system without hard links: claim the name, then move the draft over the claim.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            draft.replace(path)
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise


def replace_file(path: Path, data: bytes) -> None:
    """Write a file, or replace it: whoever reads it finds the old or the new, whole. `OSError`."""
    with draft(path.parent) as (file, written):
        write_all(file, data)
        settle(file)
        if os.name == "nt":
            file.close()  # an open file can't be moved there
        written.replace(path)


def sweep(folder: Path) -> None:
    """Remove the drafts in `folder` that killed processes left behind, and nothing else."""
    try:
        with os.scandir(folder) as entries:
            drafts = [Path(entry.path) for entry in entries if _DRAFT.fullmatch(entry.name)]
    except OSError:
        return
    for path in drafts:
        with suppress(OSError):
            _remove_if_stale(path)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, and nothing else. Raises `OSError`, which says what it is.

    A named pipe would block, a device may never end.
    """
    _require_regular(path.stat())  # before opening, which may do things to a device
    file = os.fdopen(os.open(path, _READ), "rb")
    try:
        _require_regular(os.fstat(file.fileno()))
    except OSError:
        file.close()
        raise
    return file


def read_file(path: Path, most: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of a regular file. Raises `OSError`, also beyond `most` bytes."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"It has {size:,} bytes, and {most:,} is the limit")
        data = file.read(size + 1)
        if len(data) > size:
            # It grows while it is read, or its file system does not tell sizes.
            data += file.read(most + 1 - len(data))
        if len(data) > most:
            raise OSError(errno.EFBIG, f"It has more than {most:,} bytes, which is the limit")
        return data


def _open_draft(folder: Path) -> tuple[BinaryIO, Path]:
    for _ in range(3):
        path = folder / f".emby-{secrets.token_hex(8)}.part"
        file: BinaryIO = os.fdopen(os.open(path, _NEW, 0o666), "w+b", buffering=0)
        if fcntl is not None:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(file, fcntl.LOCK_EX)
        # Another process may have swept it in the moment before it was locked.
        if path.exists():
            return file, path
        file.close()
    raise FileNotFoundError(errno.ENOENT, "A new file is gone as soon as it is made", str(path))


def _remove_if_stale(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | _READ)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and _is_abandoned(descriptor, status.st_mtime):
            path.unlink()
    finally:
        os.close(descriptor)


def _is_abandoned(descriptor: int, changed: float) -> bool:
    """Whether nobody writes to a draft any more; without locks, whether it is a day old."""
    try:
        if fcntl is not None:
            # The system unlocks it when the process dies, however it dies.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False
    except OSError:
        pass
    return time.time() - changed > _STALE_SECONDS


def _require_regular(status: os.stat_result) -> None:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    kind = "named pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
    raise OSError(errno.EINVAL, f"Is a {kind}, not a regular file")
