"""What the documentation says of the code is what the code says."""

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from click.testing import CliRunner
from docs_harness import DOCS, ROOT, make_targets

import emby_plugins
import emby_plugins.mock
import langchain_emby
from emby_plugins import (
    BackendResponse,
    Emby,
    Image,
    _errors as errors,
    _hookspecs as hookspecs,
    hookimpl,
)

README = ROOT / "README.md"
_HOOKS = [name for name, value in vars(hookspecs).items() if hasattr(value, "emby_spec")]


def _rows(page: Path, heading: str) -> list[tuple[str, ...]]:
    """The rows of the first table under a heading, without its head."""
    section = page.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip(" `") for cell in row.strip("|").split(" | ")) for row in rows[2:]]


def test_what_is_quoted_from_the_core_is_current() -> None:
    """The tree of errors and the signatures of hooks are what the core has."""
    checked = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", "docs/errors.md", "docs/hooks.md"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "docs"},
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


def test_no_hook_is_documented_that_is_none() -> None:
    """Every section of the hooks' page is a hook there is, in the order of the module."""
    assert re.findall(r"^## `(\w+)`$", (DOCS / "hooks.md").read_text("utf-8"), re.M) == _HOOKS


def test_each_error_has_advice() -> None:
    """The table of what to do has each error once, in the order of the tree."""
    root = errors.EmbyError
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    ours = {kind.__name__ for kind in kinds if issubclass(kind, root) and kind is not root}
    tree = re.findall(r"── (\w+)", (DOCS / "errors.md").read_text("utf-8"))
    assert set(tree) == ours
    assert [row[0] for row in _rows(DOCS / "errors.md", "What to do")] == tree


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
    """Each public name is in the API reference, once, and has a docstring if it can have one."""
    prefix = package.__name__  # type: ignore[attr-defined]
    text = (DOCS / "reference" / page).read_text("utf-8")
    named = re.findall(rf"^::: {re.escape(prefix)}\.(\w+)$", text, re.MULTILINE)
    public = package.__all__  # type: ignore[attr-defined]
    assert sorted(named) == sorted(public)
    values = [getattr(package, name) for name in named]
    assert all(value.__doc__ for value in values if inspect.isclass(value))


def test_the_map_of_emby_s_pages_names_what_is_there() -> None:
    """Files and names in the README's map of Emby's pages exist."""
    rows = _rows(README, "Where Emby's pages are in the code")
    assert len(rows) == 9
    for _, code in rows:
        for named in re.findall(r"[\w/.]+", code):
            path = named if "/" in named else f"emby_plugins/_protocol/{named}"
            if named.endswith(".py"):
                assert (ROOT / path).is_file(), named
            else:
                owner, _, member = named.partition(".")
                assert hasattr(getattr(emby_plugins, owner), member or "__doc__"), named


def test_every_module_that_the_contract_names_is_there() -> None:
    """The table of modules on the contract's page has each module that decides about the wire."""
    rows = _rows(DOCS / "contract.md", "Where it is in the code")
    modules = {path.name for path in (ROOT / "emby_plugins/_protocol").glob("[a-z]*.py")}
    assert {row[1] for row in rows} == modules - {"backend.py"}


def test_the_house_is_drawn_as_it_is() -> None:
    """Rooms that CONTRIBUTING's map names exist, and so do all targets it speaks of."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = _rows(ROOT / "CONTRIBUTING.md", "The map of the house")
    assert len(rows) >= 10
    for room, *_ in rows:
        folder = ""
        for named in re.findall(r"[\w/.]+", room):
            assert (ROOT / named).exists() or (ROOT / folder / named).exists(), named
            folder = named.rpartition("/")[0] or folder
    called = {word for line in re.findall(r"`make ([a-z -]+)`", text) for word in line.split()}
    assert called <= make_targets()


def _raised(provoke: Callable[[], object]) -> str:
    try:
        return str(provoke())
    except (errors.EmbyError, OSError) as error:
        return str(error)


class _NotFound:
    @hookimpl
    def emby_backend(self, url: str) -> object:
        return lambda _: BackendResponse(404, {"content-type": "text/plain"}, iter([b"Not found"]))


def _complaints(folder: Path) -> str:
    """What the program says to everything that the troubleshooting table is about."""
    from llm.cli import cli

    from emby_plugins.mock import Fault, MockBackend, activate

    picture = Emby(base_url="mock:").chat("Generate an image of a puppy").image
    with activate(MockBackend(faults=[Fault(status=401)])), Emby(base_url="mock:") as emby:
        refused = _raised(lambda: emby.chat("Hello!"))
    unfinished = MockBackend(faults=[Fault(no_finish=True)])
    with activate(unfinished), Emby(base_url="mock:") as emby, emby.stream("Hello!") as stream:
        cut = _raised(lambda: list(stream))
    picture.save(folder / "puppy.png")
    emby = Emby(base_url="mock:")
    llm = [
        CliRunner().invoke(cli, ["-m", model, "Hello!"]).output
        for model in ("emby/qwen2.5-vision", "emby/new-model")
    ]
    said = [
        _raised(lambda: Emby().chat("Hello!")),
        _raised(lambda: Emby("abc def")),
        refused,
        _raised(lambda: Emby("k", "gone:", plugins=[_NotFound()]).chat("Hello!")),
        _raised(lambda: Emby("k", "http://gateway.example/v1")),
        _raised(lambda: emby.chat("Hello!", model="no-such-model")),
        _raised(lambda: emby.chat("Hello!").image),
        _raised(lambda: Image.from_bytes(b"no image")),
        cut,
        _raised(lambda: picture.save(folder / "puppy.png")),
        *llm,
    ]
    return "\n".join(said)


def test_the_troubles_are_those_that_the_program_speaks_of(
    reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text in the README's troubleshooting table is what the program says, to the letter."""
    monkeypatch.delenv("EMBY_BASE_URL")
    said = _complaints(reader)
    texts = [row[0] for row in _rows(README, "When something goes wrong")]
    assert len(texts) == 12
    assert [text for text in texts if text not in said] == [], said


def test_each_parameter_of_a_client_is_described() -> None:
    """The docstring of `Emby` has its parameters, each once and in order."""
    args = (inspect.getdoc(Emby) or "").partition("Args:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^    (\w+): ", args, re.MULTILINE) == [*inspect.signature(Emby).parameters]


def test_sections_of_docstrings_become_markdown() -> None:
    """Sections get bold titles, their arguments a table, and code stays indented code."""
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
