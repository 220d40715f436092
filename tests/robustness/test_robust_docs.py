"""docs/faults.md is current."""

import os
from pathlib import Path

import pytest

from emby_plugins.mock import MockServer
from stress.table import render

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.mark.slow
def test_the_table_of_faults_is_current(server: MockServer) -> None:
    """Regenerating the table of faults gives the same page; `make fault-table` writes it."""
    written = render(server)
    if os.environ.get("EMBY_WRITE_DOCS"):
        PAGE.write_text(written, "utf-8")
    assert PAGE.read_text("utf-8") == written
