"""`llm emby mock`: the mock backend as a server."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from llm_help import LLM

from emby_plugins import Emby


@pytest.mark.slow
def test_the_server_runs_until_it_is_stopped(user_path: Path) -> None:
    """The server prints its address, answers there, and stops on SIGTERM."""
    words = [sys.executable, "-m", "llm", "emby", "mock", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            assert process.stdout is not None
            first, second, _ = (process.stdout.readline() for _ in range(3))
            url = second.partition("=")[2].strip()
            assert f"answers at {url}" in first
            with Emby(base_url=url) as emby:
                assert "emby-mock" in emby.chat("Hello").text
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, rest) == (0, "Stopped after 1 requests.\n")


def test_the_help_names_the_options(run: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--help` lists the options of `python -m emby_plugins.mock` under the name of the command."""
    monkeypatch.setattr(sys, "argv", ["llm"])
    result = run("emby", "mock", "--help")
    assert result.exit_code == 0
    assert " emby mock [-h] [--host HOST]" in result.output
    for option in ("--port", "--profile", "--key", "--delay"):
        assert option in result.output


def test_a_bad_option_is_refused(run: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid option exits with the status of a usage error."""
    monkeypatch.setattr(sys, "argv", ["llm"])
    assert run("emby", "mock", "--port", "x").exit_code == 2
