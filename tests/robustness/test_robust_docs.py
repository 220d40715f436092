"""docs/faults.md says what really happens."""

import os
from pathlib import Path

import pytest

from emby_plugins.mock import MockServer
from stress.table import render

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.mark.slow
def test_the_table_of_faults_is_what_happens(server: MockServer) -> None:
    """Regenerated it is the same; `make fault-table` writes it."""
    written = render(server)
    if os.environ.get("EMBY_WRITE_DOCS"):
        PAGE.write_text(written, "utf-8")
    assert PAGE.read_text("utf-8") == written
