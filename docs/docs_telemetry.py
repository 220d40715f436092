"""Write the trace in docs/how-to/telemetry.md: the output of the page's program on the mock.

Run it from the root, in an environment with the group `test`: `python docs/docs_telemetry.py`.
Ids and times vary between runs, so a test compares the rest.
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
    """Run the page's program, and insert its output into the page."""
    page = PAGE.read_text("utf-8")
    *_, last = _BLOCK.finditer(page)
    PAGE.write_text(f"{page[: last.start(2)]}{printed(page)}{page[last.end(2) :]}", "utf-8")


def printed(page: str) -> str:
    """The output of the page's Python code."""
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
