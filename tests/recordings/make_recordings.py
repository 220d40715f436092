"""Write `cases.jsonl` and `schemas.json` from a folder of gateway recordings.

    python tests/recordings/make_recordings.py FOLDER

FOLDER contains `<state>.jsonl` (one recorded case per line) and `request-<state>.schema.json`. The
output has the requests, and the structure of the responses with every value that a client reads.
The gateway's own sentences are shortened to the words that a client may recognize.
"""

import json
import re
import sys
from pathlib import Path

STATES = ("2025-11", "2025-12", "2026-08")
SCHEMA_STATES = ("2025-11", "2025-12", "2026-02", "2026-08")
HERE = Path(__file__).parent

# The part of a gateway's sentence to keep: the match of the first pattern that fits its start.
# Upstream failures ("Error from provider ..."), schema issues and the answers of the fake provider
# are not in this list and kept unchanged.
_RECOGNIZED = [
    re.compile(pattern)
    for pattern in (
        r"Model \S+ does not support (?:tool calls|reasoning|JSON schema output mode)",
        r"Model \S+ has been deactivated",
        r"Model \S+ must be requested with a provider prefix",
        r"Model \S+ is a chat model and cannot be used",
        r"Provider \S+ does not support (?:document|audio|image) input for model \S+?(?=\. |\.?$)",
        r"The requested max_tokens \(\d+\) exceeds",
        r"Invalid x-source header",
        r"Unauthorized",
        r"Unsupported Media Type",
        r"The Responses API is currently not supported",
        r"Upstream stream terminated unexpectedly",
        r"Response finished successfully but returned no content",
        r"Stream ended before a terminal finish reason",
        r"Failed to process image",
        r"Failed to read response from provider",
    )
]
_SENTENCES = ("message", "responseText", "body")
# Text and names in the recorded model list that no client reads.
_UNREAD = ("description", "top_provider")


def condense(value: object, key: str = "") -> object:
    """Return a copy of `value` without texts."""
    if isinstance(value, dict):
        return {name: condense(inner, name) for name, inner in value.items() if name not in _UNREAD}
    if isinstance(value, list):
        return [condense(inner, key) for inner in value]
    if isinstance(value, str) and key in _SENTENCES:
        return next((found[0] for p in _RECOGNIZED if (found := p.match(value))), value)
    return value


def condense_schema(value: object) -> object:
    """Return a JSON schema without its annotations."""
    if isinstance(value, dict):
        unused = ("$schema", "title") + (("description",) if "properties" in value else ())
        return {
            name: condense_schema(inner)
            for name, inner in value.items()
            if name not in unused or not isinstance(inner, str)
        }
    return [condense_schema(inner) for inner in value] if isinstance(value, list) else value


def merged_cases(folder: Path) -> list[dict[str, object]]:
    """Return one entry per case and request, with the responses of each state."""
    merged: dict[tuple[str, str], dict[str, object]] = {}
    for state in STATES:
        for line in (folder / f"{state}.jsonl").read_text("utf-8").splitlines():
            recorded = json.loads(line)
            key = (recorded["case"], json.dumps(recorded["request"], sort_keys=True))
            entry = merged.setdefault(
                key,
                {"case": recorded["case"], "request": recorded["request"], "responses": {}},
            )
            entry["responses"][state] = condense(recorded["response"])  # type: ignore[index]
    return list(merged.values())


def main() -> None:
    """Write both files to this script's folder."""
    folder = Path(sys.argv[1])
    with (HERE / "cases.jsonl").open("w", encoding="utf-8", newline="\n") as out:
        for entry in merged_cases(folder):
            responses = entry["responses"]
            assert isinstance(responses, dict)
            # A response equal to that of an earlier state is written as the state's name.
            for index, state in enumerate(responses):
                earlier = list(responses)[:index]
                same = next((s for s in earlier if responses[s] == responses[state]), None)
                responses[state] = same or responses[state]
            out.write(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n")
    schemas = {
        state: condense_schema(json.loads((folder / f"request-{state}.schema.json").read_text()))
        for state in SCHEMA_STATES
    }
    lines = (f"{json.dumps(s)}:{json.dumps(v, separators=(',', ':'))}" for s, v in schemas.items())
    (HERE / "schemas.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
