"""The file of `llm emby map`: a line of JSON for each input, written as the results come.

Results are paid for. A line is in the file, and on the disk, before the next request starts. The
lines come in the order of the replies, and are put into that of the inputs at the end. After a run
that was killed, the next one finds them all.
"""

import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

import click

from emby_plugins import BatchRecord
from llm_emby import _model_list as model_list
from llm_emby._image_files import reason

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class MapFile:
    """The results so far, by input; a context manager that closes the file.

    Raises `click.ClickException` if the file can't be used: before anything is paid for.
    """

    def __init__(self, path: Path, task: str) -> None:
        self.path = path
        self.records: dict[str, BatchRecord] = {}
        self.rescued: Path | None = None
        """Where the results are that this file did not take."""
        self._by_key: dict[str, BatchRecord] = {}
        try:
            if path.exists() and not path.is_file():
                msg = f"{str(path)!r} is not a regular file. Choose another --out."
                raise click.ClickException(msg)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("a+b", buffering=0)
        except OSError as error:
            msg = f"{str(path)!r} can't be written: {reason(error)}."
            raise click.ClickException(msg) from None
        try:
            self._lock()
            self._read(task)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._file.seek(0, os.SEEK_END):
            with suppress(OSError):
                self.path.unlink()  # while locked
        self._file.close()

    def answer(self, key: str) -> BatchRecord | None:
        """The result of an equal request, whichever its input."""
        return self._by_key.get(key)

    def add(self, record: BatchRecord) -> None:
        """Write a result. If writing fails, the line is rescued and `OSError` is raised."""
        self._keep(record)
        line = _line(record)
        size = os.fstat(self._file.fileno()).st_size
        try:
            _write(self._file, line)
        except OSError:
            with suppress(OSError):
                self._file.truncate(size)
            self._rescue(line)
            raise

    def arrange(self, inputs: Iterable[str]) -> None:
        """Put the lines into the order of `inputs`, before those of earlier runs. `OSError`."""
        ordered = dict.fromkeys([*inputs, *self.records])
        lines = [_line(self.records[name]) for name in ordered if name in self.records]
        if not lines:
            return
        descriptor, temporary = tempfile.mkstemp(prefix=".emby-map-", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                _write(file, b"".join(lines))
                with suppress(OSError):
                    os.fchmod(file.fileno(), os.fstat(self._file.fileno()).st_mode & 0o777)
            # A link is followed, so that it still leads to the results.
            os.replace(temporary, self.path.resolve())  # noqa: PTH105
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _keep(self, record: BatchRecord) -> None:
        self.records[record["input"]] = record
        if record["error"] is None:
            self._by_key.setdefault(record["key"], record)

    def _lock(self) -> None:
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # A run that ended just now has replaced the file that was opened here.
                if not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
                    raise BlockingIOError  # noqa: TRY301 - as if it still ran
        except (BlockingIOError, FileNotFoundError):
            msg = f"Another 'llm emby map' is writing {str(self.path)!r}. Wait until it has ended."
            raise click.ClickException(msg) from None
        except OSError:
            pass  # some file systems have no locks

    def _read(self, task: str) -> None:
        self._file.seek(0)
        data = self._file.read()
        lines = data.splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            record = _record(line)
            if record is None and number == len(lines) and not line.endswith(b"\n"):
                # The process was killed while it wrote this line.
                self._file.truncate(len(data) - len(line))
            elif record is None:
                msg = f"Line {number} of {str(self.path)!r} is not a result of 'llm emby map'."
                raise click.ClickException(f"{msg} Choose another --out.")
            elif record["task"] != task:
                msg = f"{str(self.path)!r} has results of another prompt, model or option."
                raise click.ClickException(f"{msg} Choose another --out.")
            else:
                self._keep(record)
                if not line.endswith(b"\n"):
                    self._file.write(b"\n")

    def _rescue(self, line: bytes) -> None:
        """Append a line to a file elsewhere; if there is no other place, print it."""
        folders = (model_list.folder(), Path(tempfile.gettempdir()))
        for place in (folder / f"map-{os.getpid()}.jsonl" for folder in folders):
            with suppress(OSError):
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("ab", buffering=0) as file:
                    _write(file, line)
                self.rescued = place
                return
        with suppress(OSError):
            click.echo(line, nl=False)


def _record(line: bytes) -> BatchRecord | None:
    try:
        record: BatchRecord = json.loads(line)
        is_ours = all(isinstance(record[name], str) for name in ("key", "task", "input"))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return record if is_ours and "error" in record else None


def _line(record: BatchRecord) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # bytes of a file name that are not text
        return json.dumps(record).encode() + b"\n"


def _write(file: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
    os.fsync(file.fileno())
