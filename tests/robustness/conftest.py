"""Fixtures of the robustness tests: the import path of `stress`, a user folder and a mock
server.
"""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

os.environ["LLM_LOAD_PLUGINS"] = "emby-plugins"
sys.path.insert(0, str(Path(__file__).parents[2]))

import pytest
import quick_log  # noqa: F401 - it replaces what llm migrates with

from emby_plugins.mock import MockServer
from stress.keys import KEY
from stress.ways import Painter


@pytest.fixture(autouse=True)
def user_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty user folder of `llm`; the key is in the environment, so that no frame holds it."""
    folder = tmp_path / "llm"
    folder.mkdir()
    monkeypatch.setenv("LLM_USER_PATH", str(folder))
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    monkeypatch.setenv("EMBY_API_KEY", KEY)
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[MockServer]:
    """The mock over HTTP, with waits that end with the session."""
    over = threading.Event()
    with MockServer(Painter(sleep=over.wait)) as mock:
        yield mock
        over.set()
