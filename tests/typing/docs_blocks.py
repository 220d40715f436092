"""Type-check the documentation's Python blocks: `python tests/typing/docs_blocks.py`.

The blocks of a page are one program. Pages show calls, not annotations, so mypy is not strict, and
a result that may be None is used without a check.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The blocks of this page are signatures of hooks, which a test compares with the code.
SIGNATURES = {"hooks.md"}
CONFIG = """
[mypy]
check_untyped_defs = True
strict_optional = False
allow_redefinition = True
"""


def main() -> int:
    """Check all pages at once; mypy reports a page's name and line."""
    with tempfile.TemporaryDirectory() as folder:
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
            text = page.read_text("utf-8")
            program = ""
            for block in BLOCK.finditer(text):
                line = text.count("\n", 0, block.start()) + 1
                program += "\n" * (line - program.count("\n")) + block[1]
            if program and page.name not in SIGNATURES:
                name = re.sub(r"\W", "_", page.relative_to(ROOT).with_suffix("").as_posix())
                Path(folder, f"{name}.py").write_text(program, "utf-8")
        options = ["--cache-dir=.mypy_cache/docs"]
        config = Path(folder, "mypy.ini")
        config.write_text(CONFIG, "utf-8")
        # A separate cache, since mypy discards one that was written under other options.
        command = [sys.executable, "-m", "mypy", f"--config-file={config}"]
        return subprocess.run([*command, *options, folder], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
