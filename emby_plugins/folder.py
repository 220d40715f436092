"""A folder in which generated images are kept: decoded straight into files, never in memory."""

import hashlib
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from emby_plugins.files import draft, publish
from emby_plugins.images import Image


class FileSink:
    """Takes the bytes of one image into a file of `folder`, named by their digest.

    Where the folder can't be written, or the disk is full, the image goes on in memory: it is
    paid for.
    """

    def __init__(self, folder: Path) -> None:
        self.size = 0
        self._folder = folder
        self._digest = hashlib.sha256()
        self._open = ExitStack()
        self._path: Path | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file, self._path = self._open.enter_context(draft(folder))
        except OSError:
            self._file = BytesIO()

    def write(self, data: bytes) -> None:
        """Take some more bytes."""
        try:
            self._file.write(data)
        except OSError:
            self._go_on_in_memory()
            self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def read_back(self) -> bytes:
        """All that was taken."""
        return _from_the_start(self._file)

    def finish(self) -> Image:
        """The image: a file under its digest, or bytes where that could not be."""
        try:
            path = self._publish()
        except OSError:
            path = None
        with self._open:
            return Image(content=self.read_back()) if path is None else Image(path=path)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._open.close()

    def _publish(self) -> Path | None:
        if self._path is None:
            return None
        self._file.flush()
        written = Image(path=self._path)
        path = self._folder / f"emby-{self._digest.hexdigest()[:16]}{written.suffix}"
        try:
            publish(self._path, path)
        except FileExistsError:
            # Its very self, or something under its name that is not ours to replace.
            return path if path.is_file() and Image(path=path) == written else None
        return path

    def _go_on_in_memory(self) -> None:
        memory = BytesIO()
        memory.write(_from_the_start(self._file)[: self.size])
        self._path = None
        self._open.close()
        self._file = memory


def _from_the_start(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()
