"""Compare a response with a recorded one: structure, types and the values that clients read."""

from collections.abc import Iterator, Set
from typing import Any

# The model name of the fake Google provider in the recordings.
_FAKED_MODEL = "gem"
# Values that clients read, which must be equal and not only of the same type.
COUNTS = {"prompt_tokens", "completion_tokens", "total_tokens"}
READ = {
    "finish_reason", "object", "role", "type", "code", "param", "path", "expected", "received",
    "name", "success", "status", "refusal", "cached", "prompt_tokens", "total_tokens",
    "requestedProvider", "usedProvider", "requestedModel", "usedModel", "usedInternalModel",
    "requested_model", "requested_provider", "used_model", "used_provider", "model",
    "underlying_used_model", "completion_tokens", "reasoning_tokens", "cached_tokens",
}  # fmt: skip
# Sentences: the mock's must begin like the recorded ones, by which clients recognize them.
_RECOGNIZED = {"message"}


def differences(
    recorded: Any, replayed: Any, where: str = "", key: str = "", *, read: Set[str] = READ
) -> Iterator[str]:
    """Yield the differences of two JSON values in structure, types and values that clients read."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        extra = replayed.keys() - recorded.keys() - {"system_fingerprint"}
        for name in sorted(recorded.keys() - replayed.keys()):
            yield f"{where}.{name} is missing"
        for name in sorted(extra):
            yield f"{where}.{name} is not recorded"
        for name in recorded.keys() & replayed.keys():
            yield from differences(
                recorded[name], replayed[name], f"{where}.{name}", name, read=read
            )
    elif isinstance(recorded, list) and isinstance(replayed, list):
        if len(recorded) != len(replayed):
            yield f"{where} has {len(replayed)} items, recorded {len(recorded)}"
        for index, (a, b) in enumerate(zip(recorded, replayed, strict=False)):
            yield from differences(a, b, f"{where}[{index}]", key, read=read)
    elif _kind(recorded) != _kind(replayed) or (
        key in read and recorded not in (replayed, _FAKED_MODEL)
    ):
        yield f"{where} is {replayed!r:.60}, recorded {recorded!r:.60}"
    elif key in _RECOGNIZED and isinstance(recorded, str):
        head = recorded.partition(" {")[0].partition(" <")[0]
        if not replayed.startswith(head.rstrip(".")):
            yield f"{where} is {replayed!r:.100}, recorded {recorded!r:.100}"


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


def collapsed(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the frames without repeated pieces of text or arguments, which the mock splits
    elsewhere.
    """
    kept: list[dict[str, Any]] = []
    for frame in frames:
        same = kept and _piece(frame) is not None and _piece(frame) == _piece(kept[-1])
        if not same:
            kept.append(frame)
    return kept


def _piece(frame: dict[str, Any]) -> str | None:
    choices = frame["data"].get("choices") if isinstance(frame["data"], dict) else None
    delta = choices[0]["delta"] if choices else {}
    if choices and choices[0]["finish_reason"] is not None:
        return None
    for name in ("content", "reasoning"):
        if delta.get(name):
            return name
    calls = delta.get("tool_calls")
    return f"arguments of {calls[0]['index']}" if calls and "id" not in calls[0] else None
