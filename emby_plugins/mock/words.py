"""What a prompt offers to arguments and JSON: quoted text, names, numbers, colours."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from emby_plugins.mock.colors import COLOR_WORD

_MAX_TEXT = 10_000
_QUOTED = re.compile(
    r"\"([^\"\n]{1,200})\"|(?<!\w)'([^'\n]{1,200})'(?!\w)|“([^”\n]{1,200})”|`([^`\n]{1,200})`"
)
_NAME = re.compile(r"(?<![.!?\n]\s)(?<!^)\b[A-Z][\w’'-]*(?:,? [A-Z][\w’'-]*)*")  # noqa: RUF001
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,10})?(?![\w])")
_TYPED = {
    "email": re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}\w"),
    "uri": re.compile(r"https?://[^\s\"'<>]{1,200}"),
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "uuid": re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE),
}
_IGNORED_NAMES = frozenset({"I", "JSON", "API", "PDF", "URL"})


@dataclass(slots=True)
class Words:
    """The values of one prompt, each given out once; then made-up ones that quote the prompt."""

    prompt: str
    strings: list[str] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)

    def next_string(self, key: str) -> str:
        """A string for the property `key`."""
        if re.search(r"colou?r", key, re.IGNORECASE):
            match = COLOR_WORD.search(self.prompt)
            if match:
                return match[1].lower()
        if self.strings:
            return self.strings.pop(0)
        said = self.prompt.strip()[:200] or "nothing was asked"
        return f"{key}: {said}" if key else said

    def next_number(self, low: float, high: float, *, whole: bool) -> float | None:
        """The first unused number of the prompt within the bounds, or None."""
        for index, number in enumerate(self.numbers):
            if low <= number <= high and (not whole or number == int(number)):
                return self.numbers.pop(index)
        return None

    def typed(self, kind: str) -> str | None:
        """The first email, uri, date or uuid of the prompt, or None."""
        match = _TYPED[kind].search(self.prompt[:_MAX_TEXT])
        return match[0] if match else None

    def mentions(self, value: object) -> bool:
        """Whether the prompt names `value`."""
        return isinstance(value, str) and bool(value) and value.lower() in self.prompt.lower()


def read_words(prompt: str) -> Words:
    """The values in a prompt, in its order; quoted strings before names."""
    text = prompt[:_MAX_TEXT]
    return Words(text, [*_quoted(text), *_names(text)], [float(n) for n in _NUMBER.findall(text)])


def with_facts(prompt: str, facts: list[str]) -> Words:
    """Words whose strings are what was found: for JSON about images or a tool's result."""
    return Words(
        prompt[:_MAX_TEXT], list(facts), [float(n) for n in _NUMBER.findall(prompt[:_MAX_TEXT])]
    )


def _quoted(text: str) -> Iterator[str]:
    for match in _QUOTED.finditer(text):
        yield next(group for group in match.groups() if group is not None)


def _names(text: str) -> Iterator[str]:
    bare = _QUOTED.sub(lambda match: " " * len(match[0]), text)
    for match in _NAME.finditer(bare):
        if match[0] not in _IGNORED_NAMES:
            yield match[0]
