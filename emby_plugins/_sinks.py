"""Sinks that decode generated images straight into files, without holding them in memory."""

import hashlib
import logging
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pybase64

from emby_plugins._errors import EmbyError
from emby_plugins._files import check_close, commit, remove_stale_files, temporary_file, write_all
from emby_plugins._images import Image

_HEAD = 64

_log = logging.getLogger(__name__)


class ImageFolder:
    """Creates the sinks of one folder; the first also removes what killed processes left there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_swept = False

    def new_sink(self) -> "FileSink":
        """Return a sink for one image."""
        if not self._is_swept:
            self._is_swept = True
            remove_stale_files(self._folder)
        return FileSink(self._folder)


class FileSink:
    """Writes one image to a file in `folder`, named by its digest.

    The image is paid for: if the folder isn't writable or the disk is full, at any step, the image
    moves to memory and a warning is logged. Raises `EmbyError` only if the part already written
    can't be read back either.
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
            self._file, self._path = self._open.enter_context(temporary_file(folder))
        except (OSError, ValueError) as error:
            self._failure = error

    def write(self, data: bytes) -> None:
        """Append bytes."""
        try:
            # Unbuffered: after an error, a buffer would raise again on each flush.
            write_all(self._file, data)
        except OSError as error:
            self._move_to_memory(error)
            self._file.write(data)
        self._digest.update(data)
        if len(self._head) < _HEAD:
            self._head += data[:_HEAD]
        self.size += len(data)

    def write_base64(self, text: memoryview) -> None:
        """Append bytes given as strict base64. Raises `ValueError`, and has then added nothing."""
        self.write(pybase64.b64decode(text, validate=True))

    def read_back(self) -> bytes:
        """All that was taken."""
        try:
            self._file.seek(0)
            # Only the size confirmed so far: a failed write may have added a part.
            data = self._file.read(self.size)
            if len(data) < self.size:
                raise OSError("the file is truncated")  # noqa: TRY301 - handled below
        except OSError as error:
            raise self._lost(error) from error
        return data

    def finish(self) -> Image:
        """Return the image: a file named by its digest or, if that failed, the bytes in memory."""
        digest = self._digest.hexdigest()
        if self._path is not None:
            try:
                path = self._commit(self._path, digest)
            except OSError as error:
                self._move_to_memory(error)
            else:
                self._open.close()
                return Image(path=path, _sha256=digest)
        _log.warning(
            "An image could not be saved in %s (%s). It is still in memory: "
            "save it elsewhere with image.save().",
            self._folder,
            _reason(self._failure),
        )
        return Image(content=self.read_back(), _sha256=digest)

    def discard(self) -> None:
        """Remove the temporary file."""
        self._open.close()

    def _commit(self, written: Path, digest: str) -> Path:
        check_close(self._file)
        path = self._folder / f"emby-{digest[:16]}{Image(content=self._head).suffix}"
        try:
            commit(written, path)
        except FileExistsError:
            if not _holds(path, digest):
                raise  # a different file with this name: never overwrite it
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
