"""Atomic file writes and bounded file reads.

The only module that writes files. Each file is written as a temporary file in its final folder and
renamed once it is complete. The writing process locks the temporary file, which distinguishes a
file in use from one left behind by a killed process.
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
from typing import BinaryIO, NamedTuple

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MAX_FILE_BYTES = 100 * 1024 * 1024
"""The largest file that is read into memory; the same as `Limits.image`."""

_TEMPORARY = re.compile(r"\.emby-[0-9a-f]{16}\.part")
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# Opening must not block if a named pipe has replaced the file since it was checked.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_STALE_SECONDS = 24 * 3600


@contextmanager
def temporary_file(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Create an unbuffered temporary file in `folder` and remove it on exit, unless committed.

    Yields the file, to be written with `write_all`, and its path. Raises `OSError`.
    """
    file, path = _open_temporary(folder)
    try:
        yield file, path
    finally:
        # At this point the data is committed or an error is propagating, so a failing cleanup
        # must not raise. `remove_stale_files` deletes the file later.
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            path.unlink(missing_ok=True)


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write all of `data`. Raises `OSError`, after which an unknown part has been written."""
    left = memoryview(data)
    while left:
        # An unbuffered write is partial when the disk fills up; only the next one raises.
        left = left[file.write(left) :]


def check_close(file: BinaryIO) -> None:
    """Raise the `OSError` that closing would raise, while the file can still be read back.

    Network file systems report a full disk only when a descriptor is closed; closing a duplicate
    is enough. Local ones report it on write, so this doesn't call `fsync`, which would block the
    event loop for milliseconds.
    """
    os.close(os.dup(file.fileno()))


def commit(temporary: Path, path: Path) -> None:
    """Give a complete temporary file its final name. Raises `FileExistsError` if that exists."""
    # Unlike a rename, a hard link never replaces an existing file or symlink.
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise FileExistsError(_taken(path)) from None
    except OSError:
        # No hard links on this file system: reserve the name, then rename onto the reservation.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise


def link_file(file: Path, path: Path) -> bool:
    """Give a file another name, if it has just one. Returns False where that is not possible.

    Raises `FileExistsError`.
    """
    try:
        if file.stat().st_nlink == 1:  # two files that are to stay must not share their bytes
            path.hardlink_to(file)
            return True
    except FileExistsError:
        raise FileExistsError(_taken(path)) from None
    except OSError:
        pass
    return False


def _taken(path: Path) -> str:
    return f"{str(path)!r} already exists and was not overwritten."


def replace_file(path: Path, data: bytes) -> None:
    """Write or replace a file atomically: readers see the old or the new content. `OSError`."""
    with temporary_file(path.parent) as (file, written):
        write_all(file, data)
        check_close(file)
        replace_with(file, written, path)


def replace_with(file: BinaryIO, temporary: Path, path: Path) -> None:
    """Give a complete temporary file its final name, and replace one that exists. `OSError`."""
    if os.name == "nt":
        file.close()  # Windows can't rename an open file
    temporary.replace(path)


def remove_stale_files(folder: Path) -> None:
    """Remove the temporary files that killed processes left in `folder`, and nothing else."""
    try:
        with os.scandir(folder) as entries:
            paths = [Path(entry.path) for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    except OSError:
        return
    for path in paths:
        with suppress(OSError):
            _remove_if_stale(path)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises `OSError`, which names any other kind of file.

    Reading a named pipe could block, and a device may never end.
    """
    _require_regular(path.stat())  # first: opening a device can have side effects
    file = os.fdopen(os.open(path, _READ), "rb")
    try:
        _require_regular(os.fstat(file.fileno()))
    except OSError:
        file.close()
        raise
    return file


class FileVersion(NamedTuple):
    """Metadata that shows, without reading it, that a file is still the same."""

    size: int
    modified: int
    inode: int


def size_of(file: BinaryIO) -> int:
    """The bytes of an open file."""
    return os.fstat(file.fileno()).st_size


def version_of(file: BinaryIO) -> FileVersion:
    """The version of an open file."""
    status = os.fstat(file.fileno())
    return FileVersion(status.st_size, status.st_mtime_ns, status.st_ino)


def read_pieces(file: BinaryIO, size: int, version: FileVersion | None) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces of `size`; only the last one is shorter.

    With a version, raises `OSError` unless it is the file's from the first byte to the last: then
    instead of yielding the last piece, so that what was yielded is never taken for a whole file.
    """
    if version is None:
        while piece := file.read(size):
            yield piece
        return
    _require_version(file, version)
    left = version.size
    while left > 0:
        piece = file.read(min(size, left))
        left = left - len(piece) if piece else 0
        if not left:
            _require_version(file, version)
        yield piece


def check_size(size: int, most: int) -> None:
    """Raise `OSError` for a file of more than `most` bytes."""
    if size > most:
        raise OSError(errno.EFBIG, f"It has {size:,} bytes; the limit is {most:,}")


def _require_version(file: BinaryIO, version: FileVersion) -> None:
    if version_of(file) != version:
        raise OSError(errno.ESTALE, "It has changed since it was opened")


def read_file(path: Path, most: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of a regular file. Raises `OSError`, also for more than `most` bytes."""
    with open_regular(path) as file:
        size = size_of(file)
        check_size(size, most)
        data = file.read(size + 1)
        if len(data) > size:
            # The file is growing, or its file system reports no size (such as /proc).
            data += file.read(most + 1 - len(data))
        if len(data) > most:
            raise OSError(errno.EFBIG, f"It has more than {most:,} bytes, the limit")
        return data


def _open_temporary(folder: Path) -> tuple[BinaryIO, Path]:
    for _ in range(3):
        path = folder / f".emby-{secrets.token_hex(8)}.part"
        file: BinaryIO = os.fdopen(os.open(path, _NEW, 0o666), "w+b", buffering=0)
        if fcntl is not None:
            with suppress(OSError):  # some file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        # Another process may have removed it as stale before it was locked.
        if path.exists():
            return file, path
        file.close()
    raise FileNotFoundError(
        errno.ENOENT, "A new file disappeared right after it was created", str(path)
    )


def _remove_if_stale(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | _READ)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and _is_abandoned(descriptor, status.st_mtime):
            path.unlink()
    finally:
        os.close(descriptor)


def _is_abandoned(descriptor: int, changed: float) -> bool:
    """Whether no process is writing the file: not locked or, without locks, a day old."""
    try:
        if fcntl is not None:
            # The operating system releases the lock however the process ends.
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
