"""Check the language of the repository: plain, idiomatic English instead of a private dialect.

    python tests/docs/wording.py [--list] [PATH...]

Counts words that a non-native author overuses in docstrings, comments and test names, per 10,000
words, and compares the counts with limits twice as high as in well-regarded codebases (httpx,
langchain_openai, pluggy, stamina, llm). The packages are measured together, and the tests, examples
and tools each on their own. Then searches strings that a user can see for phrases to avoid.
Standard library only.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = ("emby_plugins", "llm_emby", "langchain_emby")
OTHERS = ("tests", "examples", "stress", "benchmarks", "docs")
GROUPS = {"packages": PACKAGES, "tests": ("tests",), "tools": OTHERS[1:]}
"""The folders that are measured together."""

LIMITS = {
    r"said": 0.4,
    r"stands?(?!-in)": 0.4,
    r"asked": 1.2,
    r"where": 14.0,
    r"(?:is|are) no": 2.0,
    r"whatever": 3.0,
    r"says?": 1.2,
    r"told": 0.4,
    r"tells?": 2.2,
    r"goes": 0.4,
    r"comes": 1.0,
    r"it is": 12.0,
    r"nobody": 0.0,
    r"whose": 5.8,
}
"""Acceptable occurrences per 10,000 words of docstrings, comments and test names."""

_DIALECT = (
    r"(?<!there )(?:is|are) no (?!longer|more than|less than|different)",
    r"stands?\b(?! for| in for|-in)",
    r"wh(?:at|o)ever\b",
    r"anew\b",
    r"heed(?:s|ed|ing)?\b",
    r"wish(?:es|ed)\b",
    r"shall\b",
    r"had (?:arrived|come)\b",
    r"(?:re)?paint(?:s|ed|ing|ings)?\b",
    r"look(?:s|ed|ing)? at\b",
    r"looked for\b",
    r"(?:is|are|was|were|been) (?:told|said)\b",
    r"where there (?:is|are)\b",
    r"what there is\b",
    r"another than\b",
    r"goes? neither\b",
    r"there is nothing (?:here|there)\b",
    r"as it (?:stands|came)\b",
)
DIALECT = re.compile(rf"\b(?:{'|'.join(_DIALECT)})", re.IGNORECASE)
"""Phrases to avoid wherever a user can read them."""

_WORD = re.compile(r"[A-Za-z']+")
_REGEX = re.compile(r"\\[bsdw]|\(\?[:!=P]|\\Z")


class Prose(NamedTuple):
    """A piece of text and its place."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        place = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{place}:{self.line}: {' '.join(self.text.split())[:160]}"


def python_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The Python files at or below the paths."""
    for path in paths:
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def documentation(path: Path) -> Iterator[Prose]:
    """The docstrings, comments and test names of a file, and strings that document attributes."""
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    for node in _docstrings(tree):
        yield Prose(path, node.lineno, str(node.value))
    for test in ast.walk(tree):
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name[:5] == "test_":
            yield Prose(path, test.lineno, test.name.replace("_", " "))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# type:")):
            yield Prose(path, token.start[0], token.string.lstrip("#: "))


def visible_strings(path: Path) -> Iterator[Prose]:
    """The string literals of a file that are sentences: messages, hints, help texts.

    The docstrings of commands (functions with a decorator) count, since click shows them.
    """
    tree = ast.parse(path.read_text("utf-8"))
    hidden = {id(node) for node in _docstrings(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and _is_command(node):
            text = ast.get_docstring(node)
            if text:
                yield Prose(path, node.lineno, text)
        elif isinstance(node, ast.JoinedStr):
            hidden |= {id(part) for part in node.values}
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
            if _is_sentence(text):
                yield Prose(path, node.lineno, text)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in hidden
            and _is_sentence(node.value)
        ):
            yield Prose(path, node.lineno, node.value)


def group(name: str) -> list[Prose]:
    """The documentation of one of the `GROUPS`."""
    files = python_files(ROOT / folder for folder in GROUPS[name])
    return [piece for path in files for piece in documentation(path)]


def rates(pieces: Iterable[Prose]) -> dict[str, float]:
    """The occurrences of each word of `LIMITS` per 10,000 words."""
    texts = [piece.text for piece in pieces]
    words = sum(len(_WORD.findall(text)) for text in texts)
    return {
        word: 10_000 * sum(len(_whole_word(word).findall(text)) for text in texts) / max(1, words)
        for word in LIMITS
    }


def overused(pieces: list[Prose]) -> dict[str, list[Prose]]:
    """The words over their limits, each with its occurrences; a single occurrence is accepted."""
    over = [word for word, rate in rates(pieces).items() if rate > LIMITS[word]]
    found = {word: [p for p in pieces if _whole_word(word).search(p.text)] for word in over}
    return {word: places for word, places in found.items() if len(places) > 1}


def dialect(paths: Iterable[Path]) -> list[Prose]:
    """The visible strings that contain a phrase of the private dialect."""
    return [
        piece
        for path in python_files(paths)
        for piece in visible_strings(path)
        if DIALECT.search(piece.text)
    ]


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)  # a lambda's is an expression
        for statement in body if isinstance(body, list) else ():
            if (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ):
                yield statement.value


def _is_command(node: ast.FunctionDef) -> bool:
    return any("command" in ast.unparse(decorator) for decorator in node.decorator_list)


def _is_sentence(text: str) -> bool:
    return len(_WORD.findall(text)) >= 3 and " " in text and not _REGEX.search(text)


def _whole_word(word: str) -> "re.Pattern[str]":
    return re.compile(rf"\b(?:{word})\b", re.IGNORECASE)


def main() -> int:
    """Print the report; return 1 if a limit is exceeded or a phrase is found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    parser.add_argument("--list", action="store_true", help="print each occurrence")
    arguments = parser.parse_args()
    paths = arguments.paths or [ROOT / package for package in PACKAGES]
    groups = {"": [p for path in python_files(paths) for p in documentation(path.resolve())]}
    if not arguments.paths:
        groups = {name: group(name) for name in GROUPS}
    failed = False
    for name, pieces in groups.items():
        over = overused(pieces)
        failed |= bool(over)
        print(f"{name} (occurrences per 10,000 words, and the limit)".lstrip())
        for word, rate in rates(pieces).items():
            mark = "over" if word in over else "ok"
            print(f"  {mark:5} {word:16} {rate:6.1f} {LIMITS[word]:6g}")
            if arguments.list:
                print(*(f"        {piece}\n" for piece in over.get(word, ())), sep="", end="")
    found = dialect(path.resolve() for path in paths)
    for piece in found:
        print(f"{piece}\n      {DIALECT.findall(piece.text)}")
    print(f"{len(found)} visible strings to rewrite")
    return 1 if failed or found else 0


if __name__ == "__main__":
    sys.exit(main())
