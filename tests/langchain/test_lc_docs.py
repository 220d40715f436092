"""The documentation's page on LangChain is correct."""

import re
from pathlib import Path
from typing import Any

import pytest

from langchain_emby import image_id

pytest.importorskip("langchain.agents")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "langchain.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_every_block_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Python blocks of the page run in order and give the described results."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text("utf-8")
    names: dict[str, Any] = {"__name__": "page"}
    for block in BLOCK.finditer(page):
        line = page.count("\n", 0, block.start()) + 1
        exec(compile("\n" * line + block[1], str(PAGE), "exec"), names)
    for name in ("gray", "gray_boat"):
        colours = names[name].to_pil().convert("RGB").getcolors(1 << 16)
        assert all(red == green == blue for _, (red, green, blue) in colours)
    assert names["answer"].status == "success"
    assert image_id(names["drawn"]) in names["result"].text
    assert names["animal"].name == "Rex"
    assert names["animal"].legs == 4
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_every_public_name_is_on_the_page() -> None:
    """Every public name is on the page."""
    import langchain_emby

    page = PAGE.read_text("utf-8")
    assert [name for name in langchain_emby.__all__ if name not in page] == []


def test_the_public_names_are_sorted_and_importable() -> None:
    """The public names are sorted, importable and complete."""
    import langchain_emby

    assert langchain_emby.__all__ == sorted(langchain_emby.__all__)
    assert dir(langchain_emby) == langchain_emby.__all__
    assert all(getattr(langchain_emby, name) for name in langchain_emby.__all__)
    with pytest.raises(AttributeError, match="Emby"):
        langchain_emby.Emby  # noqa: B018
