"""The documentation agrees with the code."""

import ast
import inspect
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from docs_harness import DOCS, ROOT, make_targets

import emby_plugins
import emby_plugins.mock
import langchain_emby
from emby_plugins import (
    _errors as errors,
    _hookspecs as hookspecs,
)

_HOOKS = [name for name, value in vars(hookspecs).items() if hasattr(value, "emby_spec")]


def _rows(page: Path, heading: str) -> list[tuple[str, ...]]:
    """Return the rows of the first table below a heading, without its head."""
    section = page.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip(" `") for cell in row.strip("|").split(" | ")) for row in rows[2:]]


@pytest.mark.slow
def test_quoted_output_is_current() -> None:
    """The README's session and messages, the error tree and the hooks' signatures are current."""
    quoting = ["README.md", "docs/errors.md", "docs/hooks.md"]
    checked = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", *quoting],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"docs{os.pathsep}."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, f"run 'make docs'\n{checked.stdout}{checked.stderr}"


@pytest.mark.parametrize("name", _HOOKS)
def test_each_hook_is_documented_with_its_signature(name: str) -> None:
    """Each hook has a section with its exact signature and an example that implements it."""
    page = (DOCS / "hooks.md").read_text("utf-8")
    section = page.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
    shown = re.search(rf"^def {name}\(.*: \.\.\.$", section, re.MULTILINE)
    assert shown, "no section, or no signature in it"
    given = ast.parse(shown[0]).body[0]
    spec = ast.parse(inspect.getsource(getattr(hookspecs, name))).body[0]
    assert isinstance(given, ast.FunctionDef)
    assert isinstance(spec, ast.FunctionDef)
    assert ast.dump(given.args) == ast.dump(spec.args)
    assert ast.dump(given.returns or spec) == ast.dump(spec.returns or given)
    assert f"@hookimpl\n    def {name}(self" in section
    assert f"(#{name})" in page


def test_only_existing_hooks_are_documented() -> None:
    """The sections of the hooks' page are the existing hooks, in order."""
    assert re.findall(r"^## `(\w+)`$", (DOCS / "hooks.md").read_text("utf-8"), re.M) == _HOOKS


def test_each_error_has_advice() -> None:
    """The table of advice has each error once, in the order of the tree."""
    root = errors.EmbyError
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    ours = {kind.__name__ for kind in kinds if issubclass(kind, root) and kind is not root}
    tree = re.findall(r"── (\w+)", (DOCS / "errors.md").read_text("utf-8"))
    assert set(tree) == ours
    assert [row[0] for row in _rows(DOCS / "errors.md", "What to do")] == tree


def test_contributors_find_each_module_and_name() -> None:
    """The architecture lists each module of the core once, and the index lists existing names."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = text.partition("## Architecture")[2].partition("## ")[0]
    named = re.findall(r"`(?:emby_plugins/)?(_\w+\.py)`", table)
    modules = {path.name for path in (ROOT / "emby_plugins").glob("_[a-z]*.py")}
    assert sorted(named) == sorted(modules)
    index = text.partition("## Where to find it")[2].partition("## ")[0]
    for path, name in re.findall(r"`(\w+/[\w/]+\.py)`(?:, `(\w+)`)?", index):
        assert name in (ROOT / path).read_text("utf-8"), f"{path} has no {name}"


@pytest.mark.parametrize(
    ("package", "page"),
    [
        (emby_plugins, "emby_plugins.md"),
        (emby_plugins.mock, "mock.md"),
        (langchain_emby, "langchain_emby.md"),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_the_reference_has_every_public_name(package: object, page: str) -> None:
    """Each public name is in the API reference once, and public classes have docstrings."""
    prefix = package.__name__  # type: ignore[attr-defined]
    text = (DOCS / "reference" / page).read_text("utf-8")
    named = re.findall(rf"^::: {re.escape(prefix)}\.(\w+)$", text, re.MULTILINE)
    public = package.__all__  # type: ignore[attr-defined]
    assert sorted(named) == sorted(public)
    values = [getattr(package, name) for name in named]
    assert all(value.__doc__ for value in values if inspect.isclass(value))


def test_the_contract_lists_the_protocol_modules() -> None:
    """The contract's table of modules has each module of the protocol layer but the backend."""
    rows = _rows(DOCS / "contract.md", "Where it is in the code")
    modules = {path.name for path in (ROOT / "emby_plugins/_protocol").glob("[a-z]*.py")}
    assert {row[1] for row in rows} == modules - {"backend.py"}


@pytest.mark.parametrize(
    ("heading", "column", "fewest"), [("Architecture", 0, 10), ("Where to find it", 1, 5)]
)
def test_contributing_names_existing_modules(heading: str, column: int, fewest: int) -> None:
    """The modules and names in CONTRIBUTING's tables exist."""
    rows = _rows(ROOT / "CONTRIBUTING.md", heading)
    assert len(rows) >= fewest
    for row in rows:
        folder, source = "", ""
        for named in re.findall(r"[\w/.]+", row[column].replace("`", " ")):
            path = next((p for p in (ROOT / named, ROOT / folder / named) if p.exists()), None)
            if path is None:
                assert re.search(rf"\b(def|class) {named}\b", source), f"{named} of {row}"
                continue
            folder = path.parent.relative_to(ROOT).as_posix()
            source = path.read_text("utf-8") if path.is_file() else ""


def test_contributing_names_targets_that_exist() -> None:
    """Each `make` target mentioned in CONTRIBUTING exists."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    called = {word for line in re.findall(r"`make ([a-z -]+)`", text) for word in line.split()}
    assert called <= make_targets()


def test_sections_of_docstrings_become_markdown() -> None:
    """Docstring sections get bold titles, arguments become tables, and code stays indented."""
    spec = spec_from_file_location("docs_strings", DOCS / "docs_strings.py")
    assert spec
    assert spec.loader
    strings = module_from_spec(spec)
    spec.loader.exec_module(strings)
    text = """Paints.

Key init args:
    model, ...: the model's id,
        such as `a`.
    seed: a number.

Invoke:
        chat.invoke("Hi")

    Then look.

Not a title: as it goes on.
"""
    wanted = """Paints.

**Key init args**

| parameter | type | default | meaning |
|---|---|---|---|
| `model` | `str` | `'a'` | the model's id, such as `a`. |
| ... |  |  | the model's id, such as `a`. |
| `seed` | `int | None` |  | a number. |

**Invoke**

    chat.invoke("Hi")

Then look.

Not a title: as it goes on."""
    parameters = {"model": ("str", "'a'"), "seed": ("int | None", "")}
    assert strings.as_markdown(text, parameters) == wanted
