"""The fenced blocks of a page, and a runner for its Python. Needs only the standard library.

python tests/docs/pages.py PAGE     # runs the Python of the page, and compares its output
"""

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(r"^\s*print\(.*\)\s+# (.+)$")
_NUMBER = re.compile(r"\d[\d,]*")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `line` is that of its fence."""

    page: Path
    line: int
    language: str
    text: str

    def run(self, names: dict[str, Any]) -> None:
        """Run a Python block, so that a failure refers to the page.

        A comment after `print(...)` must begin with the printed text; with "about", numbers may
        differ
        by a tenth.
        """
        lines = self.text.splitlines()

        def checked_print(*values: object, sep: str = " ", **options: Any) -> None:
            print(*values, sep=sep, **options)
            frame = sys._getframe(1)
            if frame.f_code.co_filename != str(self.page):
                return
            shown = _SHOWN.match(lines[frame.f_lineno - self.line - 1])
            if shown:
                check_shown(shown[1], sep.join(map(str, values)))

        names["print"] = checked_print
        exec(compile("\n" * self.line + self.text, str(self.page), "exec"), names)

    def commands(self) -> Iterator[str]:
        """Yield the commands of a shell block, without comments and with continued lines joined."""
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith("#"):
                yield line

    def sessions(self) -> Iterator[tuple[str, str]]:
        """Yield each command after `$ ` in a terminal session, and its output."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.strip()


def check_shown(comment: str, printed: str) -> None:
    """Raise `AssertionError` if the comment does not begin with the printed text."""
    if "about" in comment:
        pairs = zip(_NUMBER.findall(comment), _NUMBER.findall(printed), strict=False)
        assert all(math.isclose(_value(a), _value(b), rel_tol=0.1) for a, b in pairs), printed
        comment, printed = (_NUMBER.sub("0", text) for text in (comment, printed))
    assert comment.startswith(printed), f"printed {printed!r}, but the page shows {comment!r}"


def _value(number: str) -> int:
    return int(number.replace(",", ""))


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the blocks of these languages, in order."""
    text = page.read_text("utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in _FENCE.finditer(text)
        if found[1] in languages
    ]


def main() -> None:
    """Run the Python blocks of a page in order."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(Path(sys.argv[1]), "python"):
        block.run(names)


if __name__ == "__main__":
    main()
