"""The memory for reading a reply is a small multiple of its size, even if compressed."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads Linux's figures of a process")
def test_no_reply_takes_more_than_64_mb_and_four_times_its_size() -> None:
    """Deep nesting and long lists in compressed replies take bounded memory; `make stress` has
    more.
    """
    command = [sys.executable, "-m", "stress.amplify", "--few"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
