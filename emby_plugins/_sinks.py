"""A folder in which generated images are kept: decoded straight into files, never in memory."""

import hashlib
import logging
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from emby_plugins._errors import EmbyError
from emby_plugins._files import draft, publish, settle, sweep, write_all
from emby_plugins._images import Image

_HEAD = 64

_log = logging.getLogger(__name__)


class ImageFolder:
    """Makes the sinks of one folder; the first finds what killed processes left there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_swept = False

    def new_sink(self) -> "FileSink":
        """Return a sink for one image."""
        if not self._is_swept:
            self._is_swept = True
            sweep(self._folder)
        return FileSink(self._folder)


class FileSink:
    """Takes the bytes of one image into a file of `folder`, named by their digest.

    The image is paid for, so where the folder can't be written or the disk is full, at whatever
    step, it is kept in memory instead and a warning is logged. Raises `EmbyError` only when what
    was written can't be read back either.
    """

    def __init__(self, folder: Path) -> None:
        self.size = 0
        self._folder = folder
        self._digest = hashlib.sha256()
        self._head = b""
        self._open = ExitStack()
        self._file: BinaryIO = BytesIO()
        self._path: Path | None = None
        self._failure: Exception | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file, self._path = self._open.enter_context(draft(folder))
        except (OSError, ValueError) as error:
            self._failure = error

    def write(self, data: bytes) -> None:
        """Take some more bytes."""
        try:
            # Unbuffered: a buffer would fail once more whenever it is flushed.
            write_all(self._file, data)
        except OSError as error:
            self._move_to_memory(error)
            self._file.write(data)
        self._digest.update(data)
        if len(self._head) < _HEAD:
            self._head += data[:_HEAD]
        self.size += len(data)

    def read_back(self) -> bytes:
        """All that was taken."""
        try:
            self._file.seek(0)
            # No further, for a part of what failed may have been written too.
            data = self._file.read(self.size)
            if len(data) < self.size:
                raise OSError("it is shorter than it was")  # noqa: TRY301 - the same trouble
        except OSError as error:
            raise self._lost(error) from error
        return data

    def finish(self) -> Image:
        """The image: a file under its digest, or bytes where that could not be."""
        digest = self._digest.hexdigest()
        if self._path is not None:
            try:
                path = self._publish(self._path, digest)
            except OSError as error:
                self._move_to_memory(error)
            else:
                self._open.close()
                return Image(path=path, _sha256=digest)
        _log.warning(
            "An image could not be saved in %s (%s). It is in the reply, in memory: "
            "image.save() writes it elsewhere.",
            self._folder,
            _reason(self._failure),
        )
        return Image(content=self.read_back(), _sha256=digest)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._open.close()

    def _publish(self, written: Path, digest: str) -> Path:
        settle(self._file)
        path = self._folder / f"emby-{digest[:16]}{Image(content=self._head).suffix}"
        try:
            publish(written, path)
        except FileExistsError:
            if not _holds(path, digest):
                raise  # not ours to replace
        return path

    def _move_to_memory(self, failure: Exception) -> None:
        self._failure = failure
        memory = BytesIO()
        memory.write(self.read_back())
        self._path = None
        self._open.close()
        self._file = memory

    def _lost(self, error: Exception) -> EmbyError:
        first = "" if self._failure is None else f"writing failed ({_reason(self._failure)}), and "
        msg = f"An image is lost: {first}what was written in '{self._folder}' can't be read back"
        return EmbyError(f"{msg} ({_reason(error)}).", hint="Check the disk.")


def _holds(path: Path, digest: str) -> bool:
    try:
        return path.is_file() and Image(path=path).sha256 == digest
    except (OSError, EmbyError):
        return False


def _reason(error: Exception | None) -> str:
    return str(getattr(error, "strerror", None) or error)
