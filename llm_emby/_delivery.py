"""What `llm emby image` prints: each image as soon as it is saved, whatever else goes wrong.

Images are paid for. A closed pipe, a full disk behind standard output or an encoding that lacks
the letters of a path must not keep the rest from being saved and told.
"""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import click

from emby_plugins import Image, InvalidImageError

Form = Literal["paths", "bytes", "json"]
"""What goes to standard output: a line for each image, the bytes of one, or facts about all."""


class Delivery:
    """Prints results, warnings and errors as they come, around a progress bar on a terminal."""

    def __init__(
        self, form: Form, count: int, show: Iterable[Callable[[Path, Image], object]] = ()
    ) -> None:
        self.has_failed = False
        self.saved: list[Path] = []
        self._form = form
        self._shown_by = tuple(show)
        self._facts: list[Callable[[], dict[str, Any]]] = []
        self._bytes_are_out = False
        self._is_deaf = False
        self._output_failure = ""
        # On a pipe click would print the label, which is no progress to anyone.
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
            # ASCII, so any encoding can write it.
            text = json.dumps([fact() for fact in self._facts], indent=2)
            self._write(f"{text}\n".encode(), f"Images saved: {', '.join(map(str, self.saved))}")
        if isinstance(error, KeyboardInterrupt) and self.saved:
            count = "1 image was" if len(self.saved) == 1 else f"{len(self.saved)} images were"
            self._say(f"Interrupted. {count} saved:")
            for path in self.saved:
                click.echo(f"  {path}", err=True)

    def image(self, path: Path, facts: Callable[[], dict[str, Any]]) -> None:
        """Deliver an image that is saved; `facts` is called at the end, for JSON."""
        self.saved.append(path)
        self._facts.append(facts)
        if self._form == "paths":
            self._line(str(path), f"The image is saved at {path}.")
        elif self._form == "bytes" and self._bytes_are_out:
            self.warn(f"There is more than one image. This one is saved at {path}.")
        elif self._form == "bytes":
            self._bytes(Image(path=path), f"The image is saved at {path}.")
        for show in self._shown_by:
            try:
                show(path, Image(path=path))
            except Exception as error:  # noqa: BLE001 - of a terminal or a viewer; the image is saved
                self.warn(f"{path} can't be shown: {error}")

    def address(self, url: str, facts: Callable[[], dict[str, Any]]) -> None:
        """Deliver an image that came as an address, which is never fetched."""
        self._facts.append(facts)
        if self._form == "paths":
            self._line(url, f"The image is at {url}")
        elif self._form == "bytes":
            self.error(f"The image came as an address, which is not fetched: {url}")

    def unsaved(self, image: Image, message: str) -> None:
        """Deliver an image that no disk takes: standard output may, where it takes bytes."""
        if self._form == "bytes" and not self._bytes_are_out:
            self._bytes(image, message)
        else:
            self.error(message)

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._say(f"Warning: {message}")

    def error(self, message: str) -> None:
        """Print an error; the others go on, and the exit status will say so."""
        self.has_failed = True
        self._say(f"Error: {message}")

    def advance(self) -> None:
        """Move the progress bar on by one job."""
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
        self._bytes_are_out = True
        try:
            self._write(image.data, where)
        except InvalidImageError as error:
            self.error(str(error))

    def _write(self, data: bytes, where: str) -> None:
        if not self._output_failure and not self._is_deaf:
            self._clear_bar()
            try:
                if sys.stdout is None:
                    raise OSError(errno.EBADF, "It is closed")  # noqa: TRY301 - as if it were there
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                # Whoever read it has had enough: no reason to complain, or to stop saving.
                self.has_failed = self._is_deaf = True
                _give_up_stdout()
            except (OSError, ValueError) as error:
                self._output_failure = str(getattr(error, "strerror", None) or error)
                _give_up_stdout()
        if self._output_failure:
            self.error(f"Standard output can't be written: {self._output_failure}. {where}")

    def _clear_bar(self) -> None:
        if not self._bar.hidden:
            click.echo("\r\x1b[2K", nl=False, err=True)


def _give_up_stdout() -> None:
    # Python flushes what is left once more when it exits, and would complain of it.
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
