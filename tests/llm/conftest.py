"""Run `llm`'s own command line in this process, with a separate user folder."""

import os

# Read when llm is imported: load only our plugin, by its installed entry point.
os.environ["LLM_LOAD_PLUGINS"] = "emby-plugins"

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import quick_log  # noqa: F401 - it replaces what llm migrates with
from click.testing import CliRunner, Result
from llm_help import LLM, Recorder


@pytest.fixture(autouse=True)
def user_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty user folder of `llm`."""
    folder = tmp_path / "llm"
    folder.mkdir()
    monkeypatch.setenv("LLM_USER_PATH", str(folder))
    for name in ("EMBY_API_KEY", "EMBY_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def run() -> LLM:
    """Runs `llm` with the given arguments, in the given mode of `MODES`."""
    from llm.cli import cli

    def invoke(
        *words: object, mode: tuple[str, ...] = (), text: str | bytes | None = None
    ) -> Result:
        arguments = [*map(str, words), *mode]
        return CliRunner().invoke(cli, arguments, input=text, catch_exceptions=False)

    return invoke


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Records the requests to `mock:`."""
    recorder = Recorder()
    monkeypatch.setattr("emby_plugins.mock.MockBackend", lambda: recorder)
    return recorder


@pytest.fixture
def logged(run: LLM) -> Callable[[], list[dict[str, Any]]]:
    """Returns the responses in logs.db, oldest first."""
    return lambda: json.loads(run("logs", "-n", "0", "--json").output)
