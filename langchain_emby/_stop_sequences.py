"""Stop sequences, which the gateway drops in silence: the text is cut here instead."""

from collections.abc import Sequence


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the first of the stop sequences."""
    found = [at for at in (text.find(sequence) for sequence in stop) if at >= 0]
    return text[: min(found)] if found else text


class StopFilter:
    """Cuts a stream of text; holds back what may be the beginning of a stop sequence."""

    def __init__(self, stop: Sequence[str]) -> None:
        self.has_stopped = False
        self._stop = stop
        self._longest = max(map(len, stop))
        self._held = ""

    def feed(self, text: str) -> str:
        """The text that is now certain to be wanted."""
        if self.has_stopped:
            return ""
        seen = self._held + text
        wanted = cut(seen, self._stop)
        if wanted != seen:
            self.has_stopped, self._held = True, ""
            return wanted
        certain = len(seen) - self._doubtful(seen)
        self._held = seen[certain:]
        return seen[:certain]

    def rest(self) -> str:
        """What was held back, once no more comes."""
        held, self._held = self._held, ""
        return held

    def _doubtful(self, seen: str) -> int:
        """How many characters at the end may begin a stop sequence."""
        for size in range(min(len(seen), self._longest - 1), 0, -1):
            tail = seen[-size:]
            if any(sequence.startswith(tail) for sequence in self._stop):
                return size
        return 0
