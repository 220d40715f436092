"""Convert the sections of docstrings in LangChain's style to plain Markdown."""

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from textwrap import dedent

_TITLE = re.compile(r"(\w[\w ]*):")


def as_markdown(text: str, parameters: Mapping[str, tuple[str, str]] | None = None) -> str:
    """Convert each `Title:` and its indented block to a bold title and its body.

    The body of a title that ends with `args` becomes a table; `parameters` has types and defaults.
    """
    return "\n".join(_paragraphs(text.splitlines(), parameters or {}))


def _paragraphs(lines: list[str], parameters: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    while lines:
        line, *lines = lines
        body = list(takewhile(lambda one: not one or one.startswith("    "), lines))
        title = _TITLE.fullmatch(line)
        if not title or not "".join(body[:1]).strip():
            yield line
            continue
        lines = lines[len(body) :]
        body = [one.removeprefix("    ") for one in body]
        yield f"**{title[1]}**\n"
        yield from _table(body, parameters) if title[1].lower().endswith("args") else body


def described(body: str) -> Iterator[tuple[str, str]]:
    """Each parameter and its description: `name, name: text`, with continuation lines indented."""
    for item in re.split(r"\n(?=\S)", dedent(body).strip()):
        names, _, meaning = " ".join(item.split()).partition(": ")
        yield from ((name, meaning) for name in names.split(", "))


def _table(body: list[str], parameters: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    yield "| parameter | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, meaning in described("\n".join(body)):
        annotation, default = parameters.get(name, ("", ""))
        cells = [name if name == "..." else f"`{name}`", _code(annotation), _code(default)]
        yield f"| {' | '.join([*cells, meaning])} |"
    yield ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
