"""Values for tool arguments and JSON: quoted text, names, numbers and colors of the prompt, and
what was measured of its images.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from emby_plugins.mock.colors import COLOR_WORD

_MAX_TEXT = 10_000
_MAX_KEY = 200
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
_WHOLE_PROMPT = frozenset({"", "prompt", "query", "question", "instruction", "input", "text"})
_IGNORED_NAMES = frozenset({"I", "JSON", "API", "PDF", "URL"})
_KEY_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
# `imageWidth`, `width_in_px` and `is_animated` are `width`, `width` and `animated`.
_FILLERS = frozenset(
    _KEY_WORD.findall(
        "is has the of in image picture photo file source original actual px pixel pixels percent "
        "percentage pct name names value list"
    )
)


@dataclass(slots=True)
class Values:
    """The values of one request, each used once; then the prompt itself.

    `measured` has, for each image, candidates by the name of a property. `image` is the index of
    the one that is being described, and `part` the measurements of a part of it.
    """

    prompt: str
    strings: list[str] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    measured: Sequence[Mapping[str, Sequence[object]]] = ()
    image: int = 0
    part: Mapping[str, Sequence[object]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        prompt: str,
        found: Sequence[str] = (),
        measured: Sequence[Mapping[str, Sequence[object]]] = (),
    ) -> "Values":
        """The values of a prompt, quoted strings before names; instead of these what was `found`
        in images or by a tool.
        """
        text = prompt[:_MAX_TEXT]
        quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(text)]
        bare = _QUOTED.sub(lambda match: " " * len(match[0]), text)
        names = [name for name in _NAME.findall(bare) if name not in _IGNORED_NAMES]
        numbers = [float(number) for number in _NUMBER.findall(text)]
        return cls(text, list(found) or quoted + names, numbers, measured)

    def next_string(self, key: str) -> str:
        """A string for the property `key`."""
        color = COLOR_WORD.search(self.prompt) if re.search("colou?r", key, re.IGNORECASE) else None
        if color:
            return color[1].lower()
        if self.strings:
            return self.strings.pop(0)
        prompt = self.prompt.strip()[:200] or "empty prompt"
        return f"{key}: {prompt}" if key.lower() not in _WHOLE_PROMPT else prompt

    def next_number(self, low: float, high: float, *, whole: bool) -> float | None:
        """The first unused number of the prompt within the bounds, or None."""
        for index, number in enumerate(self.numbers):
            if low <= number <= high and (not whole or number == int(number)):
                return self.numbers.pop(index)
        return None

    def typed(self, kind: str) -> str | None:
        """The first email, uri, date or uuid of the prompt, or None."""
        match = _TYPED[kind].search(self.prompt) if kind in _TYPED else None
        return match[0] if match else None

    def mentions(self, value: object) -> bool:
        """Whether the prompt has `value` in it, as words of its own."""
        if not isinstance(value, str) or not value:
            return False
        return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", self.prompt, re.I) is not None

    def measurement(self, key: str, fits: Callable[[object], bool]) -> object | None:
        """The first measurement called `key` that fits, or None."""
        if not self.measured or not key:
            return None
        image = self.measured[min(self.image, len(self.measured) - 1)]
        words = _KEY_WORD.findall(key[:_MAX_KEY].replace("olour", "olor").replace("grey", "gray"))
        words = [word.lower() for word in words]
        for name in ("".join(words), "".join(word for word in words if word not in _FILLERS)):
            for value in self.part.get(name) or image.get(name, ()):
                if fits(value):
                    return value
        return None
