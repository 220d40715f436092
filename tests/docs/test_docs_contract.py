"""`docs/contract.md` agrees with the recordings."""

import re

import pytest
from docs_harness import DOCS
from recordings.recordings import STATES, Recording, recordings

PAGE = (DOCS / "contract.md").read_text("utf-8")
RECORDED = {(found.state, found.case): found for state in STATES for found in recordings(state)}
CASES = {case for _, case in RECORDED}


def compared() -> list[tuple[str, str, str]]:
    """Return state, case and text for each cell of a table with a column per state."""
    found: list[tuple[str, str, str]] = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(STATES) + 2 and (case := re.fullmatch(r"\*([a-z0-9-]+)\*", cells[-1])):
            found += [
                (state, case[1], stated) for state, stated in zip(STATES, cells[1:], strict=False)
            ]
    return found


def test_every_case_that_is_named_was_recorded() -> None:
    """Every case in italics on the page was recorded."""
    named = set(re.findall(r"(?<!\*)\*([a-z0-9]+(?:-[a-z0-9]+)*)\*(?!\*)", PAGE))
    assert named <= CASES
    assert len(named) > 60


@pytest.mark.parametrize(("state", "case", "stated"), compared())
def test_the_tables_agree_with_the_recordings(state: str, case: str, stated: str) -> None:
    """Each status and finish reason in the tables is the recorded one."""
    assert stated.strip("`") in ending_of(RECORDED[state, case])


def ending_of(found: Recording) -> tuple[str, ...]:
    """Return the status of a recorded response, and the finish reasons of a complete reply."""
    choices = found.body.get("choices") if isinstance(found.body, dict) else None
    return (str(found.status), *(choice["finish_reason"] for choice in choices or ()))
