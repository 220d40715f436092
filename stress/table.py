"""docs/faults.md, written from the table of faults and from what really comes of each."""

import re
from typing import Any

from emby_plugins import EmbyError
from emby_plugins.mock import MockServer
from langchain_emby._errors import to_langchain_error
from stress.rows import SECTIONS, Row
from stress.ways import Way, answering, ask

HEAD = """# What goes wrong, and what you see

Made from the table that `make stress` runs: `make fault-table` writes it, and a test fails when it
drifts. Each row is run with the core, with `llm` and with ChatEmby, sync and async,
streamed and not. Names of faults are those of the mock ([docs/mock.md](mock.md#faults)).

- The **core** raises the error named here (`emby_plugins._errors`).
- **ChatEmby** raises it too; it is then also the error of LangChain named in the next column.
- **`llm`** prints `Error:` and the words in the last column, and names the files of the images
  that had arrived. They are the words of a streamed reply.
- *Arrived*: what `error.partial` holds after a fault in a stream.

A row without an error is a fault that is got over: the whole reply comes.
"""


def render(server: MockServer) -> str:
    """The whole page."""
    parts = [HEAD]
    for title, rows in SECTIONS.items():
        parts.append(f"\n## {title}\n\n")
        parts.append("| fault | streamed | not streamed | of LangChain | arrived | words |\n")
        parts.append("|---|---|---|---|---|---|\n")
        parts += [_line(row, server) for row in rows]
    return "".join(parts)


def _line(row: Row, server: MockServer) -> str:
    over = row.over[-1]
    kinds = [row.expected(streamed=streamed) for streamed in (True, False)]
    names = [f"`{kind.__name__}`" if kind else "the reply" for kind in kinds]
    if names[0] == names[1]:
        names[1] = "the same"
    error = _error(row, over, server, streamed=kinds[0] is not None) if any(kinds) else None
    words, twin = ("", "") if error is None else (_shown(str(error)), _twin(error))
    cells = [f"`{row.name}`", *names, twin, row.arrived, words]
    return "| " + " | ".join(cells) + " |\n"


def _error(row: Row, over: str, server: MockServer, *, streamed: bool) -> EmbyError:
    with answering(row, over, server) as on:
        cause = ask(Way("core", is_async=False, streamed=streamed), on).cause
    assert cause is not None, row.name
    return cause


def _twin(error: EmbyError) -> str:
    both: Any = type(to_langchain_error(error))
    named = [base.__name__ for base in both.__bases__ if base.__module__.startswith("langchain")]
    return f"`{named[0]}`"


def _shown(words: str) -> str:
    """The words, without what differs from run to run."""
    words = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:...", words)
    words = re.sub(r"\(request [^)]*\)", "(request ...)", words)
    words = re.sub(r"\[Errno \d+\] ", "", words)
    return words.replace("|", "\\|").replace("<", "&lt;")
