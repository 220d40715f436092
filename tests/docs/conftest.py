"""A reader's machine: a folder with a few images, no key, and the mock as gateway."""

import os

# Read when llm is imported: load only our plugin, by its installed entry point.
os.environ["LLM_LOAD_PLUGINS"] = "emby-plugins"

import shutil
from pathlib import Path

import pytest
import quick_log  # noqa: F401 - it replaces what llm migrates with
from docs_harness import Shell, make_photographs


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images that the examples use."""
    folder = tmp_path_factory.mktemp("photographs")
    make_photographs(folder)
    return folder


@pytest.fixture
def reader(tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder, in which commands and examples run."""
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "llm"))
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    monkeypatch.setattr("click.launch", lambda *_, **__: 0)
    return tmp_path


@pytest.fixture
def shell(reader: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Runs and checks shell commands."""
    return Shell(reader, monkeypatch.setenv)
