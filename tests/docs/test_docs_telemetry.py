"""The trace on the telemetry page is the output of its program."""

import json
import sys
from typing import Any

import pytest
from docs_harness import DOCS
from pages import blocks

sys.path.append(str(DOCS))

import docs_telemetry


def spans(text: str) -> list[dict[str, Any]]:
    """Return the spans printed by the console exporter."""
    found, decoder = [], json.JSONDecoder()
    while text := text.strip():
        span, end = decoder.raw_decode(text)
        found.append(span)
        text = text[end:]
    return found


def outline(found: list[dict[str, Any]]) -> list[Any]:
    """Return names, parents, status and attributes of a trace, without ids, times and digests."""
    names = {span["context"]["span_id"]: span["name"] for span in found}
    return [
        (
            span["name"],
            names.get(span["parent_id"]),
            span["status"],
            sorted(span["attributes"]),
            {name: n for name, n in span["attributes"].items() if name.endswith("count")},
        )
        for span in found
    ]


@pytest.mark.slow
def test_the_trace_on_the_page_is_current() -> None:
    """The printed trace has three calls and two images below the agent's span."""
    (block,) = blocks(docs_telemetry.PAGE, "json")
    shown = outline(spans(block.text))
    assert shown == outline(spans(docs_telemetry.printed(docs_telemetry.PAGE.read_text("utf-8"))))
    *calls, agent = shown
    assert agent[:2] == ("invoke_agent painter", None)
    assert [call[1] for call in calls] == ["invoke_agent painter"] * 3
    assert calls[1][4] == {"emby.response.images.count": 1}
    assert calls[2][4] == {"emby.request.images.count": 2}
