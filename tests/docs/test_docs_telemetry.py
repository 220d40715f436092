"""The trace on the page about telemetry is what the page's program prints."""

import json
import sys
from typing import Any

import pytest
from docs_harness import DOCS
from pages import blocks

sys.path.append(str(DOCS))

import docs_telemetry


def spans(text: str) -> list[dict[str, Any]]:
    """What the console exporter prints, as values."""
    found, decoder = [], json.JSONDecoder()
    while text := text.strip():
        span, end = decoder.raw_decode(text)
        found.append(span)
        text = text[end:]
    return found


def outline(found: list[dict[str, Any]]) -> list[Any]:
    """All of a trace but ids, times and digests: names, which span is whose child, attributes."""
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
def test_the_trace_on_the_page_is_what_is_printed() -> None:
    """Three calls and two images, below the agent's span; `docs/docs_telemetry.py` writes it."""
    (block,) = blocks(docs_telemetry.PAGE, "json")
    shown = outline(spans(block.text))
    assert shown == outline(spans(docs_telemetry.printed(docs_telemetry.PAGE.read_text("utf-8"))))
    *calls, agent = shown
    assert agent[:2] == ("invoke_agent painter", None)
    assert [call[1] for call in calls] == ["invoke_agent painter"] * 3
    assert calls[1][4] == {"emby.response.images.count": 1}
    assert calls[2][4] == {"emby.request.images.count": 2}
