"""The committed outputs of the example notebooks; `make notebooks` runs them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from notebook_help import NOTEBOOKS, kinds

HOMES = re.compile(r"/(home|root|tmp|usr|var|Users)/|[A-Z]:\\\\|site-packages")
KEYS = re.compile(r"\b(sk|pk|key)[-_][A-Za-z0-9_]{16,}|Bearer ")
SILENT = ("import ", "from ", "def ", "class ", "async def ", "@")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A notebook as JSON."""
    found: dict[str, Any] = json.loads(request.param.read_text("utf-8"))
    return found


def code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the code cells."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def shown(cell: dict[str, Any]) -> list[str]:
    """Return the text of a cell's outputs, without base64."""
    texts = []
    for output in cell["outputs"]:
        forms = [output.get("text", ""), *output.get("data", {}).values()]
        texts += ["".join(form) for form in forms]
    return [re.sub(r"[A-Za-z0-9+/=\n]{200,}", "...", text) for text in texts]


def ends_in_a_value(source: str) -> bool:
    """Return whether the last line of a cell probably shows a value."""
    last = source.splitlines()[-1]
    return not last.startswith((*SILENT, " ", ")")) and not re.match(r"[\w.\[\], ]+ = ", last)


def test_the_known_notebooks_exist() -> None:
    """The folder has exactly the known notebooks."""
    assert [path.stem for path in NOTEBOOKS] == ["agents", "quickstart"]


def test_all_cells_ran_once_from_top_to_bottom(notebook: dict[str, Any]) -> None:
    """All cells of a notebook were run once in order, without errors."""
    assert [cell["execution_count"] for cell in code(notebook)] == [
        *range(1, len(code(notebook)) + 1)
    ]
    for cell in code(notebook):
        assert not [kind for kind in kinds(cell) if "error" in kind or "stderr" in kind]


def test_cells_that_show_a_value_have_outputs(notebook: dict[str, Any]) -> None:
    """Cells that show a value have committed outputs, with images."""
    for cell in code(notebook):
        source = "".join(cell["source"])
        assert cell["outputs"] or not ends_in_a_value(source), source
    pictures = [text for cell in code(notebook) for text in shown(cell) if "<img src=" in text]
    assert len(pictures) >= 5


def test_no_local_path_and_no_key(notebook: dict[str, Any]) -> None:
    """Notebooks contain no local paths and no keys."""
    for cell in notebook["cells"]:
        texts = ["".join(cell["source"]), *(shown(cell) if "outputs" in cell else [])]
        for text in texts:
            assert not HOMES.search(text), text
            assert not KEYS.search(text), text


def test_the_first_cell_explains_a_real_gateway(notebook: dict[str, Any]) -> None:
    """The first cell explains the use of a real gateway, and the others use the mock."""
    source = "".join(notebook["cells"][0]["source"])
    assert "EMBY_API_KEY" in source
    assert "emby-plugins[notebook]" in source
    assert '"mock:"' in "".join(code(notebook)[0]["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small(path: Path) -> None:
    """A notebook is smaller than 1.5 MB."""
    assert path.stat().st_size < 1_500_000


@pytest.mark.parametrize(
    ("source", "shows"),
    [("reply", True), ("show(x)", True), ("x = 1", False), ("a, b.c = f()", False)],
)
def test_ends_in_a_value(source: str, shows: bool) -> None:
    """`ends_in_a_value` recognizes expressions and assignments."""
    assert ends_in_a_value(f"import os\n{source}") is shows


def test_the_page_on_notebooks_runs() -> None:
    """The Python blocks of the page on notebooks run in order."""
    page = (Path(__file__).parents[2] / "docs" / "notebooks.md").read_text("utf-8")
    names: dict[str, Any] = {"__name__": "page"}
    for block in re.finditer(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        exec(compile(block[1], "notebooks.md", "exec"), names)
    assert len(names["reply"].images) == 1
    assert names["message"].text
