"""The paths of the notebooks, and a comparison of their outputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def kinds(cell: Mapping[str, Any]) -> list[str]:
    """Return the kinds of a cell's outputs, such as `display_data text/html`, without contents."""
    return [
        " ".join([output["output_type"], output.get("name", ""), *sorted(output.get("data", ()))])
        for output in cell["outputs"]
    ]
