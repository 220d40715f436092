"""Generate the documentation's quotes from the program itself, for `make help-texts`."""

from collections.abc import Iterator

import click
from click.testing import CliRunner

from llm_emby._commands import emby
from llm_emby._options import Options


def options() -> str:
    """A table of the options of `llm -o`."""
    rows = [f"| `{name}` | {field.description} |" for name, field in Options.model_fields.items()]
    return "\n".join(["", "| option | value |", "|---|---|", *rows, "", ""])


def commands() -> str:
    """The help text of every command."""
    return "\n".join(_sections())


def _sections() -> Iterator[str]:
    yield ""
    for name, command in sorted(emby.commands.items()):
        yield f"### `llm emby {name}`\n\n```text\n{_help(command, name)}```\n"


def _help(command: click.Command, name: str) -> str:
    # A fixed width, independent of the terminal.
    runner = CliRunner()
    result = runner.invoke(
        command, ["--help"], prog_name=f"llm emby {name}", terminal_width=80, max_content_width=80
    )
    return result.output
