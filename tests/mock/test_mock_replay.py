"""Each recorded request gets a response of the recorded form from the mock."""

import json
from collections.abc import Iterator

import pytest
from recordings.recordings import SCHEMA_STATES, STATES, Recording, recordings, request_schema
from replay_compare import COUNTS, READ, collapsed, differences
from replay_help import backend_for, events, provider_fails, send

from emby_plugins.mock import MockBackend
from emby_plugins.mock.schema_validation import request_schema as schema_of_the_mock

MEANT = {
    "openai-form-image-index-key": "Scripted images have no index; the client ignores it.",
    "openai-form-image-in-content-parts": "A provider's content parts can't be scripted.",
    "route-messages": "The mock does not speak Anthropic's API.",
    ("2026-08", "route-responses"): "The mock does not speak the Responses API.",
    ("2026-08", "model-auto"): "The recorded provider's answer could not be read; ours can.",
}
"""Cases that differ on purpose, with the reason.

Every reply also differs in `system_fingerprint` and the header `X-Emby-Mock`, which identify the
mock; in the text of messages after the words that clients recognize; and in token counts that a
gateway estimates if the provider reported none.
"""
MODEL_LIST = frozenset[str]()
"""Values compared in a list of models: none, as the mock has other models."""


def found_differences(recorded: Recording, backend: MockBackend) -> Iterator[str]:
    """Yield the differences of the mock's response from the recorded one."""
    status, headers, body = send(recorded, backend)
    if status != recorded.status:
        yield f"status {status}, recorded {recorded.status}: {body[:200]!r}"
        return
    for name, value in recorded.response_headers.items():
        replayed = headers.get(name) if name != "x-request-id" else name in headers
        if replayed != value:
            yield f"header {name} is {replayed!r}, recorded {value!r}"
    read = READ - COUNTS if provider_fails(recorded) else READ
    if recorded.frames is not None:
        wanted, told_frames = collapsed(recorded.frames), collapsed(events(body))
        names = [(frame.get("event"), "id" in frame) for frame in told_frames]
        if names != [(frame.get("event"), "id" in frame) for frame in wanted]:
            yield f"frames {names}"
        for at, (one, other) in enumerate(zip(wanted, told_frames, strict=False)):
            yield from differences(one["data"], other["data"], f"frame {at}", read=read)
    elif isinstance(recorded.body, str):
        if recorded.method != "HEAD" and not body.decode().startswith(recorded.body):
            yield f"text {body[:80]!r}"
    elif recorded.path.startswith("/v1/models"):
        cards = {card["id"]: card for card in json.loads(body)["data"]}
        for card in recorded.body["data"]:
            # Left out of the recordings as unused, or specific to one listed model.
            mine = {k: v for k, v in cards[card["id"]].items() if k != "description"}
            for its in card["providers"]:
                its.pop("stability", None)
            yield from differences(card, mine, card["id"], read=MODEL_LIST)
    else:
        yield from differences(recorded.body, json.loads(body), read=read)


@pytest.mark.parametrize("state", STATES)
def test_replays(state):
    """At least 97 % of a state's recorded cases agree, and the others differ on purpose."""
    caching = backend_for(state, cache=60.0)
    differing = {}
    for recorded in recordings(state):
        is_cached = recorded.case.startswith("cached-")
        backend = caching if is_cached else backend_for(state)
        found = list(found_differences(recorded, backend))
        if found:
            differing[recorded.case] = found
    meant = {
        case if isinstance(case, str) else case[1]
        for case in MEANT
        if isinstance(case, str) or case[0] == state
    }
    assert {case: why for case, why in differing.items() if case not in meant} == {}
    assert differing.keys() == meant, "A difference that is gone is not meant any more."
    assert len(differing) <= 0.03 * len(recordings(state))


def test_a_difference_is_found():
    """The comparison detects other statuses, keys, types, values, frames and lengths."""
    assert list(differences({"a": 1}, {"a": "1"})) == [".a is '1', recorded 1"]
    assert list(differences({"code": "x"}, {"code": "y"})) == [".code is 'y', recorded 'x'"]
    assert list(differences({"a": []}, {"b": []})) == [".a is missing", ".b is not recorded"]
    assert list(differences([1], [])) == [" has 0 items, recorded 1"]
    assert list(differences({"message": "No key"}, {"message": "None"})) != []
    (text,) = (r for r in recordings("2025-11") if r.case == "text-stream")
    assert list(found_differences(text, backend_for("2026-08"))) != []


@pytest.mark.parametrize("state", STATES)
def test_schemas_are_the_recorded_ones(state):
    """The mock validates with the recorded schemas that our clients' bodies are checked against."""
    assert schema_of_the_mock(state) == request_schema(state)
    assert state in SCHEMA_STATES
