"""Run the npm tests against the mock in each profile; the exit status is the worst of them."""

import os
import subprocess
import sys
from pathlib import Path

from emby_plugins.mock import PROFILES, MockBackend, MockServer

HERE = Path(__file__).resolve().parent
KEY = "k-of-the-npm"


def main() -> int:
    """Start the servers, and run node."""
    worst = 0
    for name, profile in PROFILES.items():
        print(f"Profile {name}", flush=True)
        with MockServer(MockBackend(KEY, profile=profile)) as server:
            settings = {"MOCK_URL": server.base_url, "MOCK_KEY": KEY, "MOCK_PROFILE": name}
            tests = map(str, sorted(HERE.glob("*.test.mjs")))
            command = ["node", "--test", "--test-reporter=spec", *tests]
            ran = subprocess.run(command, cwd=HERE, env={**os.environ, **settings}, check=False)
        worst = max(worst, abs(ran.returncode))
    return worst


if __name__ == "__main__":
    sys.exit(main())
