"""Recorded requests and responses of three gateway states, as test data.

    from recordings.recordings import STATES, Recording, recordings, request_schema

The states are 2025-11 (the fork that Emby's makers publish), 2025-12 and 2026-08 (later states of
the same software), each run on loopback with a fake provider. The gateway's own sentences are
shortened; status, structure and every value that a client reads are as recorded.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

STATES = ("2025-11", "2025-12", "2026-08")
SCHEMA_STATES = ("2025-11", "2025-12", "2026-02", "2026-08")
"""States with a known request schema; nothing else of 2026-02 was recorded."""

_HERE = Path(__file__).parent
_PNG = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGM4YSOCFTEMLQkAh11GAVWqxZsAAAAASUVORK5CYII="
)
_PLACEHOLDER = re.compile(r"<png (\d+) bytes>")


@dataclass(frozen=True)
class Recording:
    """One exchange.

    `headers` are the relevant ones of the request; `authorization` is `good`, `bad` or `none`.
    `response_headers` has `x-request-id` as a bool. A stream has `frames`, each with `data` (parsed
    JSON, or the string `[DONE]`) and, if sent, `event` and `id`; any other response has `body`
    (parsed JSON, or text).
    """

    case: str
    state: str
    method: str
    path: str
    headers: dict[str, str]
    request_body: Any
    status: int
    response_headers: dict[str, Any]
    body: Any = None
    frames: list[dict[str, Any]] | None = None

    @property
    def id(self) -> str:
        """The test id `<state>-<case>`."""
        return f"{self.state}-{self.case}"

    @property
    def content(self) -> bytes:
        """The response's body as bytes in the gateway's format."""
        if self.frames is not None:
            return b"".join(map(_frame_bytes, self.frames))
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@cache
def recordings(state: str) -> tuple[Recording, ...]:
    """Return all recordings of a state, in order."""
    return tuple(_recordings(state))


def recording(state: str, case: str) -> Recording:
    """Return a recording by name."""
    return next(found for found in recordings(state) if found.case == case)


def request_schema(state: str) -> dict[str, Any]:
    """Return the JSON schema (2020-12) of the chat bodies that a state accepts."""
    return json.loads((_HERE / "schemas.json").read_text("utf-8"))[state]


def _recordings(state: str) -> Iterator[Recording]:
    for line in (_HERE / "cases.jsonl").read_text("utf-8").splitlines():
        entry = json.loads(line)
        responses = entry["responses"]
        if state not in responses:
            continue
        response = responses[state]
        response = _expanded(responses[response] if isinstance(response, str) else response)
        request = _expanded(entry["request"])
        yield Recording(
            case=entry["case"],
            state=state,
            method=request["method"],
            path=request["path"],
            headers=request["headers"],
            request_body=request.get("body"),
            status=response["status"],
            response_headers=response["headers"],
            body=response.get("body"),
            frames=response.get("frames"),
        )


def _frame_bytes(frame: dict[str, Any]) -> bytes:
    data = frame["data"] if isinstance(frame["data"], str) else json.dumps(frame["data"])
    lines = [f"event: {frame['event']}"] if "event" in frame else []
    lines.append(f"data: {data}")
    lines += [f"id: {frame['id']}"] if "id" in frame else []
    return ("\n".join(lines) + "\n\n").encode()


def _expanded(value: Any) -> Any:
    """Return `value` with real PNG data in place of the placeholders for long base64."""
    if isinstance(value, dict):
        return {key: _expanded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expanded(inner) for inner in value]
    if isinstance(value, str) and "<png " in value:
        return _PLACEHOLDER.sub(lambda found: _png(int(found[1])), value)
    return value


def _png(size: int) -> str:
    # Decoders ignore data after the last chunk of a PNG file.
    return b64encode(_PNG.ljust(size, b"\0")).decode()
