"""What generated images are decoded into as they arrive: memory, base64, or files."""

import hashlib
import logging
from abc import ABC, abstractmethod
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pybase64

from emby_plugins._errors import EmbyError
from emby_plugins._files import check_close, commit, remove_stale_files, temporary_file, write_all
from emby_plugins._image_sources import HEAD, Base64Source
from emby_plugins._images import Image

_BLOCK = 1 << 17

_log = logging.getLogger(__name__)


class Sink(ABC):
    """Destination for the bytes of one image; `size` is how many it has."""

    size = 0

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Append bytes."""

    def write_base64(self, text: memoryview) -> None:
        """Append bytes given as strict base64. Raises `ValueError`, and has then added nothing."""
        self.write(pybase64.b64decode(text, validate=True))

    @abstractmethod
    def read_back(self) -> bytes:
        """Return everything written."""

    @abstractmethod
    def finish(self) -> Image:
        """Return the image."""

    def discard(self) -> None:  # noqa: B027 - memory needs no cleanup
        """Release all resources of an unfinished image."""


class MemorySink(Sink):
    """Collects the bytes of one image in memory."""

    def __init__(self) -> None:
        self._bytes = BytesIO()

    def write(self, data: bytes) -> None:
        self.size += self._bytes.write(data)

    def read_back(self) -> bytes:
        return self._bytes.getvalue()

    def finish(self) -> Image:
        return Image(content=self._bytes.getvalue())


class Base64Sink(Sink):
    """Keeps the base64 of one image, for hosts that pass it on as text.

    All lengths but the last are a multiple of 3 bytes, or 4 characters.
    """

    def __init__(self) -> None:
        self._text = ""
        self._block = BytesIO()

    def write(self, data: bytes) -> None:
        self.write_base64(memoryview(pybase64.b64encode(data)))

    def write_base64(self, text: memoryview) -> None:
        self.size += len(pybase64.b64decode(text, validate=True))
        if self._block.tell() + len(text) > _BLOCK:
            self._flush()
        self._block.write(text)

    def read_back(self) -> bytes:
        self._flush()
        return pybase64.b64decode(self._text)

    def finish(self) -> Image:
        self._flush()
        return Image(_source=Base64Source(self._text))

    def _flush(self) -> None:
        # CPython extends a string in place if only one local variable refers to it; joining pieces
        # would need the memory twice. Blocks are large, since CPython copies the string while
        # profiled, but not larger: glibc then leaves the string no room to grow in.
        text, self._text = self._text, ""
        text += str(self._block.getbuffer(), "ascii")
        self._text = text
        self._block = BytesIO()


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


class FileSink(Sink):
    """Writes one image to a file in `folder`, named by its digest.

    The image is paid for: if the folder isn't writable or the disk is full, at any step, the image
    moves to memory and a warning is logged. Raises `EmbyError` only if the part already written
    can't be read back either.
    """

    def __init__(self, folder: Path) -> None:
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
        if len(self._head) < HEAD:
            self._head += data[:HEAD]
        self.size += len(data)

    def read_back(self) -> bytes:
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
