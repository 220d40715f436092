"""Generate the package index's metadata: project URLs, and the README with absolute links.

The repository's address is set once, in `pyproject.toml`. In the repository the README's links are
relative, for files of the same branch; in a wheel they refer to the files of its version.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_CODE = r"```.*?```|`[^`\n]*`"
_LINK = re.compile(_CODE + r"|(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)", re.DOTALL)


def absolute(markdown: str, repository: str, revision: str) -> str:
    """The text with each relative link and image pointing to that revision of the repository."""

    def target(found: re.Match[str]) -> str:
        if not found[3]:
            return found[0]
        view = "raw" if found[1] else "blob"
        return f"{found[1]}[{found[2]}]({repository}/{view}/{revision}/{found[3]})"

    return _LINK.sub(target, markdown)


class PackagePage(MetadataHookInterface):
    """Fills in `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling with the metadata of `pyproject.toml`."""
        repository = self.config["repository"]
        revision = f"v{metadata['version']}"
        text = Path(self.root, "README.md").read_text("utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute(text, repository, revision),
        }
        metadata["urls"] = {
            "Documentation": f"{repository}/blob/{revision}/docs/index.md",
            "Repository": repository,
            "Issues": f"{repository}/issues",
            "Changelog": f"{repository}/blob/{revision}/CHANGELOG.md",
        }
