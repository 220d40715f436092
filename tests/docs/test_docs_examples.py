"""Every command and every Python example of the documentation works."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from docs_harness import DOCS, PAGES, ROOT, Shell, name_of
from pages import blocks

# Run by other tests: test_mock_pytest.py, test_lc_docs.py.
_ELSEWHERE = {DOCS / "mock.md", DOCS / "langchain.md"}
_LANGUAGES = {"python", "sh", "text", "json", "ini", "toml", "yaml"}
_WITH_PYTHON = [page for page in PAGES if blocks(page, "python") and page not in _ELSEWHERE]
_WITH_SHELL = [page for page in PAGES if blocks(page, "sh")]


@pytest.mark.parametrize("page", _WITH_PYTHON, ids=name_of)
def test_the_python_of_a_page_runs(page: Path, reader: Path) -> None:
    """The Python blocks of a page run in order on the mock."""
    if "emby_plugins.examples" in page.read_text("utf-8"):
        shutil.copytree(ROOT / "examples", reader / "examples")
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page, "python"):
        block.run(names)


@pytest.mark.filterwarnings(
    "ignore:Image.Image.getdata:DeprecationWarning"
)  # raised by textual-image
@pytest.mark.parametrize("page", _WITH_SHELL, ids=name_of)
def test_the_commands_of_a_page_run(page: Path, shell: Shell) -> None:
    """The `llm` commands of a page run in order on the mock; files in other commands exist."""
    for block in blocks(page, "sh"):
        for command in block.commands():
            shell.run(command)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_has_a_known_language(page: Path) -> None:
    """Every fenced block has a language that the tests know."""
    text = page.read_text("utf-8")
    opened = [line[3:] for line in text.splitlines() if line.lstrip().startswith("```")][::2]
    assert set(opened) <= _LANGUAGES, opened
    assert text.count("\n```") + text.startswith("```") == 2 * len(opened)


def test_the_readme_is_short() -> None:
    """The README has at most 160 lines and shows all three tools."""
    readme = ROOT / "README.md"
    assert len(readme.read_text("utf-8").splitlines()) <= 160
    python = "".join(block.text for block in blocks(readme, "python"))
    assert all(name in python for name in ("emby.chat(", "ChatEmby(", "hookimpl"))
    first = next(block.text for block in blocks(readme, "text"))
    assert first.count("$ llm ") >= 3
    assert first.startswith("$ llm -m emby-mock"), "the first commands need no key"
