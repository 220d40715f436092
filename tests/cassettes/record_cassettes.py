"""Re-record the cassettes: from the mock, or from the gateway of EMBY_BASE_URL and EMBY_API_KEY.

    python tests/cassettes/record_cassettes.py [-k NAME and other options of pytest]

EMBY_CASSETTES sets another folder. The recordings of a real gateway are written to a separate
folder, `cassettes/real/`, without secrets, and a report on their differences from the mock's is
printed at the end. Tests that fail against it are findings too, not failures of the command.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cassette_compare import report
from cassette_guard import secrets
from cassette_help import CASSETTES, Recording

TESTS = Path(__file__).resolve().parent


def main(environment: Mapping[str, str], *options: str) -> int:
    """Record, and return the exit status."""
    recording = Recording.of(environment)
    status = record(environment, options)
    has_run = status in (0, 1)
    return print_report(recording) if recording.base_url and has_run else status


def record(environment: Mapping[str, str], more: Sequence[str]) -> int:
    """Run the tests that replay cassettes, with a gateway to record."""
    # The project's own options would block the network, and other installed plugins might change
    # the order of the tests.
    options = ["-o", "addopts=", "-q", "--record-mode=rewrite", "-m", "vcr", "--tb=short"]
    options += ["-p", "pytest_recording.plugin", "-p", "pytest_asyncio.plugin"]
    options += ["-p", "emby_plugins.pytest_plugin", "-p", "no:cacheprovider"]
    modules = map(str, sorted(TESTS.glob("test_replay_*.py")))
    return subprocess.run(
        [sys.executable, "-m", "pytest", *modules, *options, *more],
        env={**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
    ).returncode


def print_report(recording: Recording) -> int:
    """Print the differences between a gateway and the mock; return 1 if a secret was recorded."""
    print(report(CASSETTES, recording.folder))
    leaks = secrets(recording.folder, recording.key)
    for leak in leaks:
        print(f"NOT SAFE TO SHARE: {leak}")
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main(os.environ, *sys.argv[1:]))
