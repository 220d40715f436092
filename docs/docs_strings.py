"""Turns the sections of docstrings, as LangChain has them, into plain Markdown."""

import re
from collections.abc import Iterator
from itertools import takewhile
from textwrap import dedent

_TITLE = re.compile(r"(\w[\w ]*):")


def as_markdown(text: str) -> str:
    """The docstring with each `Title:` and its indented block as a bold title and its body."""
    return "\n".join(_paragraphs(text.splitlines()))


def _paragraphs(lines: list[str]) -> Iterator[str]:
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
        yield from _items(body) if title[1].endswith("args") else body


def _items(body: list[str]) -> Iterator[str]:
    """`name: what it is`, indented where it goes on, as a list."""
    for item in re.split(r"\n(?=\S)", dedent("\n".join(body)).strip()):
        names, _, meaning = " ".join(item.split()).partition(": ")
        quoted = ", ".join(f"`{name}`" if name != "..." else name for name in names.split(", "))
        yield f"- {quoted}: {meaning}"
    yield ""
