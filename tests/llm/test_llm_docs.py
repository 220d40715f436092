"""The program's output quoted in the documentation is current."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from llm_help import Gate
from support import interruptible

from emby_plugins.mock import MockServer

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_help_in_the_docs_is_current() -> None:
    """The options and help texts in docs/llm.md are those of the program."""
    checked = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", "--diff", "docs/llm.md"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "docs"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, f"run 'make help-texts'\n{checked.stdout}{checked.stderr}"


@pytest.mark.slow
def test_the_interrupted_session_in_the_docs(tmp_path: Path) -> None:
    """The session with `^C` prints what the page shows, if Ctrl-C comes at that line."""
    page = ROOT / "docs" / "how-to" / "command-line.md"
    session = re.compile(r"^\$ (.+)\n((?:(?!\$|```).*\n)+\^C\n[^`]+)", re.MULTILINE)
    ((command, shown),) = session.findall(page.read_text("utf-8"))
    before, after = shown.replace("/srv/art", str(tmp_path)).split("^C\n")
    gateway = Gate(free=before.count("\n"))
    with MockServer(gateway) as server:
        process = subprocess.Popen(
            interruptible(*shlex.split(command)),
            cwd=tmp_path,
            env={**os.environ, "EMBY_BASE_URL": server.base_url, "EMBY_API_KEY": "a-key"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in before.splitlines()]
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        gateway.opened.set()
    assert ("".join(printed), output, errors) == (before, "", after)
    assert process.returncode == 130
