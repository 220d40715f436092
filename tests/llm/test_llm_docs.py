"""The program's output quoted in the documentation is current."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
