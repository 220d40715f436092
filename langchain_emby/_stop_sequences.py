"""Truncate text at stop sequences, which some gateways silently ignore."""

from collections.abc import Sequence


def truncate(text: str, stop: Sequence[str]) -> str:
    """The text before the first stop sequence."""
    found = [at for at in (text.find(sequence) for sequence in stop) if at >= 0]
    return text[: min(found)] if found else text


class StopFilter:
    """Truncates streamed text; holds back what may be the start of a stop sequence."""

    def __init__(self, stop: Sequence[str]) -> None:
        self.has_stopped = False
        self._stop = stop
        self._longest = max(map(len, stop))
        self._held = ""

    def feed(self, text: str) -> str:
        """The text that certainly precedes any stop sequence."""
        if self.has_stopped:
            return ""
        pending = self._held + text
        kept = truncate(pending, self._stop)
        if kept != pending:
            self.has_stopped, self._held = True, ""
            return kept
        safe = len(pending) - self._possible_prefix(pending)
        self._held = pending[safe:]
        return pending[:safe]

    def flush(self) -> str:
        """The text held back, once the stream has ended."""
        held, self._held = self._held, ""
        return held

    def _possible_prefix(self, pending: str) -> int:
        """Number of characters at the end that may start a stop sequence."""
        for size in range(min(len(pending), self._longest - 1), 0, -1):
            tail = pending[-size:]
            if any(sequence.startswith(tail) for sequence in self._stop):
                return size
        return 0
