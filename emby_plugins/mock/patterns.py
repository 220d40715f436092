"""Makes a string that a regular expression accepts, for the common part of their syntax.

The pattern is read and never run, so a hostile one costs no time. Look-around, back references
and what else is not understood give None.
"""

_MAX_LENGTH = 256
_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "n": "\n", "t": "\t"}
_EMPTY = frozenset("bBAzZ")
_CANDIDATES = "aA0-_ .:/@#xyz"


class _NotUnderstood(Exception):  # noqa: N818 - never leaves this module
    pass


def example_of(pattern: str) -> str | None:
    """A short string that `pattern` accepts, or None when the pattern is not understood."""
    reader = _Reader(pattern[:_MAX_LENGTH])
    try:
        text = reader.alternatives(0)
    except (_NotUnderstood, IndexError, ValueError):
        return None
    return text if reader.done else None


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._pattern)

    def _peek(self) -> str:
        return "" if self.done else self._pattern[self._at]

    def _take(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def alternatives(self, depth: int) -> str:
        """The first alternative; the others are read past."""
        if depth > 20:
            raise _NotUnderstood
        first = self._sequence(depth)
        while self._peek() == "|":
            self._take()
            self._sequence(depth)
        return first

    def _sequence(self, depth: int) -> str:
        text = ""
        while not self.done and self._peek() not in "|)":
            text += self._repeated(self._atom(depth))
            if len(text) > _MAX_LENGTH:
                raise _NotUnderstood
        return text

    def _atom(self, depth: int) -> str:
        char = self._take()
        if char in "^$":
            return ""
        if char == "(":
            if self._peek() == "?":
                self._take()
                if self._take() != ":":
                    raise _NotUnderstood
            inner = self.alternatives(depth + 1)
            if self._take() != ")":
                raise _NotUnderstood
            return inner
        if char == "[":
            return self._set()
        if char == "\\":
            return self._escape()
        return "a" if char == "." else char

    def _escape(self) -> str:
        char = self._take()
        if char in _EMPTY:
            return ""
        if char in "pPuxkc" or char.isdigit():
            raise _NotUnderstood
        return _CLASSES.get(char, char)

    def _set(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self._take()
        members: list[str] = []
        ranges: list[tuple[str, str]] = []
        while self._peek() != "]" or not (members or ranges):
            char = self._take()
            if char == "\\":
                if negated and self._peek() in "dws":
                    ranges.append(
                        {"d": ("0", "9"), "w": ("0", "z"), "s": ("\t", " ")}[self._take()]
                    )
                    continue
                char = self._escape()
            if self._peek() == "-" and self._pattern[self._at + 1] != "]":
                self._take()
                ranges.append((char, self._take()))
            else:
                members.append(char)
        self._take()
        if not negated:
            return members[0] if members else ranges[0][0]
        for candidate in _CANDIDATES:
            within = any(low <= candidate <= high for low, high in ranges)
            if candidate not in members and not within:
                return candidate
        raise _NotUnderstood

    def _repeated(self, atom: str) -> str:
        char = self._peek()
        if char == "" or char not in "*+?{":
            return atom
        self._take()
        least = 0 if char in "*?" else 1
        if char == "{":
            end = self._pattern.index("}", self._at)
            least = int(self._pattern[self._at : end].split(",")[0] or "0")
            self._at = end + 1
        if self._peek() in ("?", "+") and char != "":
            self._take()
        if least * max(1, len(atom)) > _MAX_LENGTH:
            raise _NotUnderstood
        # One of an optional thing reads better than none.
        return atom * (least or (1 if char == "*" else 0))
