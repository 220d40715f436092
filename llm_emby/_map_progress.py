"""What `llm emby map` says while it runs: how far it is, and the time left; on standard error."""

import sys
import time
from contextlib import suppress

import click

from emby_plugins import BatchRecord

_SHOWN_ERRORS = 5
_REDRAW, _REPEAT = 0.2, 30.0
"""Seconds between two states: on a terminal, and in a log file."""


class Progress:
    """Counts results, and shows the count. A closed standard error is no reason to stop."""

    def __init__(self, total: int) -> None:
        self.failed = 0
        self.done = 0
        self._total = total
        self._new = 0
        self._cost = 0.0
        self._is_estimate = False
        self._is_cost_known = True
        self._start = self._shown = time.monotonic()
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()

    def advance(self, record: BatchRecord, *, is_new: bool) -> None:
        """Count a result; those that are not new cost neither time nor money."""
        self.done += 1
        self._new += is_new
        usage = record["usage"] or {}
        if is_new and record["error"] is None:
            self._is_cost_known = self._is_cost_known and record["cost"] is not None
            self._is_estimate = self._is_estimate or bool(usage.get("cost_is_estimate"))
        self._cost += (record["cost"] or 0.0) if is_new else 0.0
        if record["error"]:
            self.failed += 1
            if self.failed <= _SHOWN_ERRORS:
                self.say(f"{record['input']}: {record['error']['message']}")
        now = time.monotonic()
        if now - self._shown >= (_REDRAW if self._is_terminal else _REPEAT):
            self._shown = now
            self._show(now)

    def fail(self, message: str) -> None:
        """Print an error that ends the run."""
        self.say(f"Error: {message}")

    def say(self, line: str) -> None:
        """Print a line, in place of the state on a terminal."""
        self._print(f"\r\x1b[2K{line}" if self._is_terminal else line)

    def finish(self, out: str, left: int) -> None:
        """Print the result of the run; `left` inputs have none."""
        more = self.failed - _SHOWN_ERRORS
        if more > 0:
            self.say(f"{more} more failed; the reasons are in {out}.")
        failed = f", {self.failed} failed" if self.failed else ""
        rest = f", {left} left" if left else ""
        cost = self._cost_text()
        self.say(f"{self.done - self.failed} of {self._total} in {out}{failed}{rest}{cost}.")

    def _cost_text(self) -> str:
        if not self._cost:
            return ""
        about = "about " if self._is_estimate else "" if self._is_cost_known else "at least "
        return f", {about}${self._cost:.4f}"

    def _show(self, now: float) -> None:
        failed = f", {self.failed} failed" if self.failed else ""
        left = ""
        if self._new:
            seconds = (now - self._start) / self._new * (self._total - self.done)
            left = f", {_duration(seconds)} left"
        line = f"{self.done} of {self._total}{failed}{self._cost_text()}{left}"
        self._print(f"\r\x1b[2K{line}" if self._is_terminal else line, nl=not self._is_terminal)

    def _print(self, text: str, *, nl: bool = True) -> None:
        with suppress(OSError, ValueError):
            click.echo(text, nl=nl, err=True)


def _duration(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"about {round(seconds / size)} {unit}"
    return f"about {round(seconds)} s"
