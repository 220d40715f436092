"""Writes the trace in docs/how-to/telemetry.md: what the page's own program prints on the mock.

Run it from the root, in an environment with the group `test`: `python docs/docs_telemetry.py`.
Ids and times differ each time, so a test compares the rest.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent / "how-to" / "telemetry.md"
PHOTO = Path(__file__).parents[1] / "examples" / "photo.jpg"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Run the program, and put what it prints into the page."""
    page = PAGE.read_text("utf-8")
    *_, last = _BLOCK.finditer(page)
    PAGE.write_text(f"{page[: last.start(2)]}{printed(page)}{page[last.end(2) :]}", "utf-8")


def printed(page: str) -> str:
    """What the Python of the page prints."""
    program = "\n".join(text for language, text in _BLOCK.findall(page) if language == "python")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(PHOTO, folder)
        return subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "EMBY_BASE_URL": "mock:"},
        ).stdout


if __name__ == "__main__":
    main()
