"""What a terminal shows: a line with how far a command is, removed in the end; and colors."""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import click


class StatusLine:
    """The line is shown on terminals only, and replaced by each message that is printed.

    A closed standard error is not a reason to stop, so nothing here raises.
    """

    _current: ClassVar["StatusLine | None"] = None

    def __init__(self) -> None:
        stream = sys.stderr
        self.is_shown = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.is_shown:
            StatusLine._current = self if text else None
            # A line that wraps could not be removed.
            self._print(f"\r\x1b[2K{text[: _columns() - 1]}", nl=False)

    def clear(self) -> None:
        """Remove the line, before something else is printed."""
        self.show("")

    def say(self, message: str) -> None:
        """Print a message that stays."""
        self.clear()
        self._print(message)

    def _print(self, text: str, *, nl: bool = True) -> None:
        with suppress(OSError, ValueError):
            click.echo(text, nl=nl, err=True)


def clear_status() -> None:
    """Remove the line of the running command, if there is one, before something else is printed."""
    if StatusLine._current is not None:  # noqa: SLF001
        StatusLine._current.clear()  # noqa: SLF001


async def tick_every_second(tick: Callable[[], object]) -> None:
    """Show the elapsed time, until canceled."""
    while True:
        await asyncio.sleep(1)
        tick()


def color_wish() -> bool | None:
    """What the user wants of colors, by the common variables; None leaves it to the terminal."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
