"""Differences between two recordings of the same requests: status, content type, JSON and stream.

The compared properties are the JSON's fields, their types and the order of a stream's contents,
not the values, which differ between any two gateways.
"""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from cassette_help import REAL, load

Shape = dict[str, set[str]]


def report(mock: Path, real: Path) -> str:
    """Return a report on the differences between two folders of cassettes, with a paragraph for
    each.
    """
    recorded = sorted(path.relative_to(real) for path in real.rglob("*.yaml"))
    paragraphs, same = [], 0
    for name in recorded:
        if not (mock / name).exists():
            paragraphs.append(f"{name}\n  there is none of the mock")
            continue
        found = differences(load(mock / name), load(real / name))
        same += not found
        if found:
            paragraphs.append("\n".join([str(name), *(f"  {line}" for line in found)]))
    others = {path.relative_to(mock) for path in mock.rglob("*.yaml") if REAL not in path.parts}
    missing = len(others - set(recorded))
    head = f"{len(recorded)} recordings: {same} have the mock's form, {len(recorded) - same} differ"
    return "\n\n".join([f"{head}; {missing} cassettes have no counterpart.", *paragraphs])


def differences(mock: list[dict[str, Any]], real: list[dict[str, Any]]) -> list[str]:
    """Return the differences between two recordings, one per line; empty if their forms are
    equal.
    """
    if len(mock) != len(real):
        return [f"{len(mock)} exchanges with the mock, {len(real)} with the other"]
    found = []
    for number, (ours, theirs) in enumerate(zip(mock, real, strict=True), 1):
        where = f"exchange {number}: " if len(mock) > 1 else ""
        found += [where + line for line in _responses(ours["response"], theirs["response"])]
    return found


def _responses(mock: dict[str, Any], real: dict[str, Any]) -> Iterator[str]:
    statuses = mock["status"]["code"], real["status"]["code"]
    if statuses[0] != statuses[1]:
        yield f"status: {statuses[0]} from the mock, {statuses[1]} from the other"
    types = media_type(mock), media_type(real)
    if types[0] != types[1]:
        yield f"content type: {types[0]} from the mock, {types[1]} from the other"
        return
    yield from _shapes(shape_of(mock), shape_of(real))
    if types[0] == "text/event-stream":
        ours, theirs = order(text(mock)), order(text(real))
        if ours != theirs:
            yield f"stream: {' > '.join(ours)} from the mock, {' > '.join(theirs)} from the other"


def _shapes(mock: Shape, real: Shape) -> Iterator[str]:
    for path in sorted(mock.keys() | real.keys()):
        ours, theirs = mock.get(path), real.get(path)
        above = path.rpartition(".")[0]
        # An object that is missing completely is reported once.
        if above and (above in mock) != (above in real):
            continue
        if ours is None or theirs is None:
            who = "only the mock has it" if theirs is None else "only the other has it"
            yield f"{path}: {who} ({_named(ours or theirs or set())})"
        elif ours != theirs:
            yield f"{path}: {_named(ours)} from the mock, {_named(theirs)} from the other"


def media_type(response: dict[str, Any]) -> str:
    """Return the content type without parameters."""
    headers = {name.lower(): value for name, value in response["headers"].items()}
    (value,) = headers.get("content-type") or [""]
    return str(value).partition(";")[0].strip().lower()


def text(response: dict[str, Any]) -> str:
    """Return the body."""
    body = response["body"]["string"]
    return body if isinstance(body, str) else body.decode("utf-8", "replace")


def shape_of(response: dict[str, Any]) -> Shape:
    """Return the paths in a body's JSON, or in all chunks of a stream, with the types found
    there.
    """
    shape: Shape = {}
    if media_type(response) == "text/event-stream":
        for event, data in events(text(response)):
            if isinstance(data, dict):
                _walk(data, event or "chunk", shape)
        return shape
    try:
        _walk(json.loads(text(response)), "", shape)
    except ValueError:
        shape[""] = {"no JSON"}
    return shape


def events(stream: str) -> Iterator[tuple[str, Any]]:
    """Yield each event of a stream: its name, and its JSON or its text."""
    for frame in stream.replace("\r\n", "\n").split("\n\n"):
        fields = [line.partition(":") for line in frame.split("\n") if not line.startswith(":")]
        values = {name: value.strip() for name, _, value in fields if name}
        if "data" in values:
            try:
                yield values.get("event", ""), json.loads(values["data"])
            except ValueError:
                yield values.get("event", ""), values["data"]


def order(stream: str) -> list[str]:
    """Return the contents of a stream in order, without consecutive repetitions."""
    values = [kind for event, data in events(stream) for kind in _kinds(event, data)]
    return [kind for kind, _ in groupby(values)]


def _kinds(event: str, data: Any) -> Iterator[str]:
    if not isinstance(data, dict):
        yield f"{event} {data}".strip() if data == "[DONE]" else "garbage"
        return
    if "error" in data:
        yield f"{event} error".strip()
    for choice in data.get("choices") or []:
        delta = choice.get("delta") or {}
        for key in ("reasoning", "reasoning_content", "content", "tool_calls"):
            if delta.get(key):
                yield key
        if delta.get("images"):
            count = len(delta["images"])
            yield "an image" if count == 1 else f"{count} images in one chunk"
        if choice.get("finish_reason"):
            yield "finish with usage" if data.get("usage") else "finish"
    if data.get("usage") and not data.get("choices"):
        yield "usage"


def _walk(value: Any, path: str, shape: Shape) -> None:
    shape.setdefault(path, set()).add(_type(value))
    if isinstance(value, dict):
        for key, item in value.items():
            _walk(item, f"{path}.{key}" if path else key, shape)
    elif isinstance(value, list):
        for item in value:
            _walk(item, f"{path}[]", shape)


def _type(value: Any) -> str:
    if isinstance(value, str):
        head = value.partition(":")[0]
        return f"{head} URL" if head in ("data", "http", "https") and ":" in value else "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return {dict: "object", list: "list"}.get(type(value), "null")


def _named(types: set[str]) -> str:
    return " or ".join(sorted(types))
