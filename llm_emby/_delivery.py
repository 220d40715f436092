"""What `llm emby image` prints: each image as soon as it is saved, even if something else fails.

Images are paid for. A closed pipe, a full disk behind standard output or an encoding without
the letters of a path must not prevent the others from being saved and printed.
"""

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from emby_plugins import Image, InvalidImageError
from llm_emby._image_files import interruption, reason
from llm_emby._status_line import StatusLine

if TYPE_CHECKING:
    from llm_emby._generation import ImageResult

Form = Literal["paths", "bytes", "json"]
"""The output to standard output: a path per line, the bytes of one image, or facts about all."""


class Delivery:
    """Prints results, warnings and errors as they come; on a terminal also the progress.

    `show` are called with each image before its path is printed, which is thus the last thing on
    the screen.
    """

    def __init__(
        self, form: Form, count: int, show: Iterable[Callable[[Path, Image], object]] = ()
    ) -> None:
        self.has_failed = False
        self.saved: list[Path] = []
        self._form = form
        self._count = count
        self._failures: list[str] = []
        self._show = tuple(show)
        self._results: list[ImageResult] = []
        self._digests: dict[str, Path] = {}
        self._bytes_are_written = False
        self._is_pipe_closed = False
        self._output_error = ""
        self._done = 0
        self._start = time.monotonic()
        self._status = StatusLine()

    def __enter__(self) -> Self:
        self.tick()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._status.clear()
        if self._form == "json":
            # ASCII, which every encoding can write.
            text = json.dumps([result.facts() for result in self._results], indent=2)
            self._write(f"{text}\n".encode(), f"Images saved: {', '.join(map(str, self.saved))}")
        if isinstance(error, KeyboardInterrupt):
            self._status.say(interruption(self.saved))
        elif error is None and self._failures and self._count > 1:
            self._status.say(f"{self._done} of {self._count} requests succeeded.")

    def tick(self) -> None:
        """Show the progress on a terminal."""
        seconds = int(time.monotonic() - self._start)
        done = f" {self._done} of {self._count}" if self._count > 1 else ""
        self._status.show(f"Generating{done}, {seconds} s")

    def deliver(self, result: "ImageResult") -> None:
        """Print an image that is saved, or the URL of one, which is never fetched."""
        self._results.append(result)
        path = result.path
        if path is not None:
            self._image(path, str(result.metadata["sha256"]))
        elif self._form == "paths":
            self._line(result.url, f"The image is at {result.url}")
        elif self._form == "bytes":
            self.error(f"The image is a URL, which is not downloaded: {result.url}")

    def _image(self, path: Path, digest: str) -> None:
        self.saved.append(path)
        self._display(path)
        if self._form == "paths":
            self._line(str(path), f"The image is saved at {path}.")
        elif self._form == "bytes" and self._bytes_are_written:
            self.warn(f"The reply has more than one image. This one is saved at {path}.")
        elif self._form == "bytes":
            self._bytes(Image(path=path), f"The image is saved at {path}.")
        if digest in self._digests:
            self.warn(f"{path} has the same bytes as {self._digests[digest]}.")
        self._digests.setdefault(digest, path)

    def _display(self, path: Path) -> None:
        self._status.clear()
        for show in self._show:
            try:
                show(path, Image(path=path))
            except Exception as error:  # noqa: BLE001 - from a terminal or viewer; the image is saved
                self.warn(f"{path} can't be displayed: {error}")

    def unsaved(self, image: Image, message: str) -> None:
        """Report an image that can't be saved; with `--out -` its bytes are written anyway."""
        if self._form == "bytes" and not self._bytes_are_written:
            self._bytes(image, message)
        else:
            self.fail(message)

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._status.say(f"Warning: {message}")

    def error(self, message: str) -> None:
        """Print an error. The others continue, and the exit status will be 1."""
        self.has_failed = True
        self._status.say(f"Error: {message}")

    def fail(self, message: str, request_id: str | None = None) -> None:
        """Record a request that failed. The same error of other requests is printed once."""
        same = message.replace(request_id, "") if request_id else message
        if same not in self._failures:
            self.error(message)
        self._failures.append(same)

    def advance(self) -> None:
        """Count a request that brought an image.

        The next tick shows it: behind a pipe, as in `| tee`, the path is still on its way to the
        screen, and would be written into the line.
        """
        self._done += 1

    def _line(self, text: str, where: str) -> None:
        try:
            line = text.encode(sys.stdout.encoding or "utf-8")
        except (UnicodeError, LookupError, AttributeError):
            # As the file system spells it, which is what a shell needs.
            line = os.fsencode(text)
        self._write(line + os.linesep.encode(), where)

    def _bytes(self, image: Image, where: str) -> None:
        self._bytes_are_written = True
        try:
            for piece in image.pieces():
                if not self._write(piece, where):
                    break
        except InvalidImageError as error:
            self.error(str(error))

    def _write(self, data: bytes | memoryview, where: str) -> bool:
        if not self._output_error and not self._is_pipe_closed:
            self._status.clear()
            try:
                if sys.stdout is None:
                    raise OSError(errno.EBADF, "It is closed")  # noqa: TRY301 - as if it were there
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                # The reader has seen enough: no reason to complain, or to stop saving.
                self.has_failed = self._is_pipe_closed = True
                _discard_stdout()
            except (OSError, ValueError) as error:
                self._output_error = reason(error)
                _discard_stdout()
        if self._output_error:
            self.error(f"Standard output can't be written: {self._output_error}. {where}")
        return not self._output_error and not self._is_pipe_closed


def _discard_stdout() -> None:
    # Python flushes the rest when it exits, and would print another error.
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
