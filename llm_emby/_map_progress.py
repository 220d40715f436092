"""The progress of `llm emby map` and the time left, on standard error."""

import time

from emby_plugins import BatchRecord
from llm_emby._status_line import StatusLine

_SHOWN_ERRORS = 5
_REDRAW, _REPEAT = 0.2, 30.0
"""Seconds between two states: on a terminal, and in a log file."""


class Progress:
    """Counts results, and shows the count."""

    def __init__(self, total: int) -> None:
        self.failed = 0
        self.done = 0
        self._total = total
        self._new = 0
        self._cost = 0.0
        self._is_estimate = False
        self._is_cost_known = True
        self._start = self._shown = time.monotonic()
        self._status = StatusLine()

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
        self.tick()

    def tick(self) -> None:
        """Show the progress, unless just shown."""
        now = time.monotonic()
        if now - self._shown >= (_REDRAW if self._status.is_shown else _REPEAT):
            self._shown = now
            text = self._text(now)
            if self._status.is_shown:
                self._status.show(text)
            else:
                self._status.say(text)

    def fail(self, message: str) -> None:
        """Print an error that ends the run."""
        self.say(f"Error: {message}")

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._status.say(line)

    def finish(self, out: str, left: int) -> None:
        """Print the result of the run; `left` inputs have none."""
        more = self.failed - _SHOWN_ERRORS
        if more > 0:
            self.say(f"{more} more failed; the reasons are in {out}.")
        failed = f", {self.failed} failed" if self.failed else ""
        rest = f", {left} left" if left else ""
        cost = self._cost_text()
        place = f"in {out}" if self.done else "done"
        self.say(f"{self.done - self.failed} of {self._total} {place}{failed}{rest}{cost}.")

    def _cost_text(self) -> str:
        if not self._cost:
            return ""
        about = "about " if self._is_estimate else "" if self._is_cost_known else "at least "
        return f", {about}${self._cost:.4f}"

    def _text(self, now: float) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        time_used = f", {int(now - self._start)} s"
        if self._new:
            seconds = (now - self._start) / self._new * (self._total - self.done)
            time_used = f", {_duration(seconds)} left"
        return f"{self.done} of {self._total}{failed}{self._cost_text()}{time_used}"


def _duration(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"about {round(seconds / size)} {unit}"
    return f"about {round(seconds)} s"
