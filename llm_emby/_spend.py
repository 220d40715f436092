"""`llm emby spend`: calls, images, tokens and cost, summed up from llm's logs.db.

The log is opened read-only. The cost of each call was logged with it, as the gateway reported it or
else as an estimate by the prices of the model. Calls that failed are not in the log.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from llm.cli import logs_db_path

from emby_plugins import MOCK_MODELS, clean_text
from llm_emby import _model_list as model_list
from llm_emby._gallery.log import as_date, as_object, open_log, read_images
from llm_emby._models import PREFIX

_MOCK = {card.id for card in MOCK_MODELS}
_MAX_NAME = 50
_LEAST_SHOWN = 0.000001


@dataclass(slots=True)
class Sum:
    """What the calls of a group amount to.

    `cost` is in US dollars, None if no call has a known cost; `cost_is_estimate` is true if any of
    them is estimated, and `calls_without_cost` how many calls are missing from it.
    """

    calls: int = 0
    images: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    cost_is_estimate: bool = False
    calls_without_cost: int = 0

    def add(self, turn: sqlite3.Row, images: int) -> None:
        """Add one call as it was logged."""
        details = as_object(turn["token_details"])
        cost = details.get("cost")
        self.calls += 1
        self.images += images
        self.input_tokens += turn["input_tokens"] or 0
        self.output_tokens += turn["output_tokens"] or 0
        if isinstance(cost, int | float):
            self.cost = (self.cost or 0) + cost
            self.cost_is_estimate |= details.get("cost_is_estimate") is True
        else:
            self.calls_without_cost += 1


@dataclass(frozen=True, slots=True)
class Spend:
    """The sums of all groups, in order, and of everything."""

    by: str
    groups: dict[str, Sum]
    total: Sum

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has."""
        groups = [{self.by: name, **asdict(group)} for name, group in self.groups.items()]
        return {"groups": groups, "total": asdict(self.total)}

    def as_table(self) -> Iterable[str]:
        """As lines of text."""
        if not self.total.calls:
            yield "The log has no calls of Emby's models."
            return
        rows: list[tuple[str, ...]] = [(self.by, "calls", "images", "input", "output", "cost")]
        rows += [(name, *_cells(group)) for name, group in self.groups.items()]
        if len(self.groups) > 1:
            rows.append(("total", *_cells(self.total)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, *cells in rows:
            right = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            yield "  ".join([name.ljust(widths[0]), *right])
        if self.total.cost_is_estimate:
            yield "~ estimated by the model's prices, as the gateway gave no cost"
        if self.total.calls_without_cost:
            yield "? not known for some calls: 'llm emby refresh' fetches prices for those to come"


def read_spend(by: str, since: datetime | None) -> Spend:
    """Sum up the log, from `since` on. Raises `click.ClickException` if it can't be read."""
    database = Path(logs_db_path())  # type: ignore[no-untyped-call]
    images = Counter(
        image.turn.id
        for image in read_images(database, model_list.images_folder())
        if image.turn is not None
    )
    spend = Spend(by, {}, Sum())
    for turn in _turns(database):
        date = as_date(turn["datetime_utc"])
        if since is not None and (date is None or date < since.astimezone()):
            continue
        for group in (spend.groups.setdefault(_group(by, turn, date), Sum()), spend.total):
            group.add(turn, images[turn["id"]])
    return spend


def _turns(database: Path) -> list[sqlite3.Row]:
    """The calls of our models, oldest first."""
    query = (
        "select turns.*, threads.name from turns"
        " left join threads on threads.id = turns.thread_id order by turns.datetime_utc"
    )
    with open_log(database) as db:
        turns = db.execute(query).fetchall() if db is not None else []
    return [
        turn
        for turn in turns
        if (str(turn["model"]).startswith(PREFIX) or turn["model"] in _MOCK)
        and not as_object(turn["response_json"]).get("not_sent")
    ]


def _group(by: str, turn: sqlite3.Row, date: datetime | None) -> str:
    if by == "day":
        return f"{date.astimezone():%Y-%m-%d}" if date else "?"
    if by == "model":
        return clean_text(turn["model"])
    name = clean_text(turn["name"] or "", _MAX_NAME)
    return f"{turn['thread_id']} {name}".strip()


def _cells(group: Sum) -> tuple[str, ...]:
    counts = (group.calls, group.images, group.input_tokens, group.output_tokens)
    return (*(f"{count:,}" for count in counts), _money(group))


def _money(group: Sum) -> str:
    if group.cost is None:
        return "?"
    about = "~" if group.cost_is_estimate else ""
    more = " + ?" if group.calls_without_cost else ""
    is_tiny = 0 < group.cost < _LEAST_SHOWN
    amount = f"<${_LEAST_SHOWN:f}" if is_tiny else f"${group.cost:,.6f}"
    return f"{about}{amount}{more}"
