"""Build the site into `site/`, with the version and the repository of the package."""

import os
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Build the site. Fails on warnings, such as a broken link."""
    package = metadata("emby-plugins")
    urls = dict(url.split(", ", 1) for url in package.get_all("Project-URL") or ())
    environment = {
        **os.environ,
        "SITE_NAME": f"emby-plugins {package['Version']}",
        "REPOSITORY": urls["Repository"],
    }
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode == 0:
        print("The site is in site/: open site/index.html")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
