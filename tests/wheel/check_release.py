"""Check that a release is ready, for `make release-check`.

python tests/wheel/check_release.py
"""

import os
import re
import sys
from email.parser import HeaderParser
from pathlib import Path
from urllib.parse import urlsplit
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[2]


def problems(metadata: str, changelog: str, tag: str | None) -> list[str]:
    """Return the obstacles to a release; `metadata` is the wheel's, `tag` the one being built."""
    found = []
    package = HeaderParser().parsestr(metadata)
    version = package["Version"]
    urls = [line.split(", ")[1] for line in package.get_all("Project-URL", [])]
    if any((urlsplit(url).hostname or "").endswith(".example") for url in urls):
        found.append("The repository is a placeholder: set `repository` in pyproject.toml.")
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no dated section for {version}.")
    if tag is not None and tag != f"v{version}":
        found.append(f"The tag {tag!r} is not v{version}.")
    return found


def main() -> int:
    """Print the obstacles to a release."""
    (wheel,) = (ROOT / "dist").glob("*.whl")
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    is_tag = os.environ.get("GITHUB_REF_TYPE") == "tag"
    tag = os.environ["GITHUB_REF_NAME"] if is_tag else None
    found = problems(metadata, (ROOT / "CHANGELOG.md").read_text("utf-8"), tag)
    print("\n".join(found) or f"{wheel.name} can be released.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
