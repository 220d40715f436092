"""What `llm emby image` prints: each image as soon as it is saved, even if something else fails.

Images are paid for. A closed pipe, a full disk behind standard output or an encoding without
the letters of a path must not prevent the others from being saved and printed.
"""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import click

from emby_plugins import Image, InvalidImageError

if TYPE_CHECKING:
    from llm_emby._generation import ImageResult

Form = Literal["paths", "bytes", "json"]
"""What goes to standard output: a path per line, the bytes of one image, or facts about all."""


class Delivery:
    """Prints results, warnings and errors as they come, around a progress bar on a terminal."""

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
        # On a pipe click would print just the label.
        self._bar = click.progressbar(
            length=count,
            label="Generating",
            file=sys.stderr,
            show_pos=True,
            hidden=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, None)
        if self._form == "json":
            # ASCII, which every encoding can write.
            text = json.dumps([result.facts() for result in self._results], indent=2)
            self._write(f"{text}\n".encode(), f"Images saved: {', '.join(map(str, self.saved))}")
        if isinstance(error, KeyboardInterrupt) and self.saved:
            count = "1 image was" if len(self.saved) == 1 else f"{len(self.saved)} images were"
            self._say(f"Interrupted. {count} saved:")
            for path in self.saved:
                click.echo(f"  {path}", err=True)
        elif error is None and self._failures and self._count > 1:
            self._say(f"{self._bar.pos} of {self._count} requests succeeded.")

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
        if self._form == "paths":
            self._line(str(path), f"The image is saved at {path}.")
        elif self._form == "bytes" and self._bytes_are_written:
            self.warn(f"The reply has more than one image. This one is saved at {path}.")
        elif self._form == "bytes":
            self._bytes(Image(path=path), f"The image is saved at {path}.")
        if digest in self._digests:
            self.warn(f"{path} has the same bytes as {self._digests[digest]}.")
        self._digests.setdefault(digest, path)
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
        self._say(f"Warning: {message}")

    def error(self, message: str) -> None:
        """Print an error. The others continue, and the exit status will be 1."""
        self.has_failed = True
        self._say(f"Error: {message}")

    def fail(self, message: str) -> None:
        """Record a request that failed. The same error is printed once."""
        if message not in self._failures:
            self.error(message)
        self._failures.append(message)

    def advance(self) -> None:
        """Move the progress bar on by one request that brought an image."""
        self._bar.update(1)

    def _say(self, line: str) -> None:
        self._clear_bar()
        click.echo(line, err=True)

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
            self._write(image.data, where)
        except InvalidImageError as error:
            self.error(str(error))

    def _write(self, data: bytes, where: str) -> None:
        if not self._output_error and not self._is_pipe_closed:
            self._clear_bar()
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
                self._output_error = str(getattr(error, "strerror", None) or error)
                _discard_stdout()
        if self._output_error:
            self.error(f"Standard output can't be written: {self._output_error}. {where}")

    def _clear_bar(self) -> None:
        if not self._bar.hidden:
            click.echo("\r\x1b[2K", nl=False, err=True)


def _discard_stdout() -> None:
    # Python flushes the rest when it exits, and would print another error.
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
