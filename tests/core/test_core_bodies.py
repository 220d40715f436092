"""The check that covers all other tests: every recorded gateway state accepts the bodies we
send.
"""

import logging

import pytest
from bodies import KNOWN_REFUSALS, NO_WEB_SEARCH, BodyCheck
from recordings.recordings import STATES, recordings, request_schema
from recordings.validation import violations
from support import ScriptedBackend, answer, completion

from emby_plugins import BadRequestError, Emby, FilePart, Message, ServerTool, Tool
from emby_plugins.mock import PROFILES, MockBackend, activate

REQUIRED, FILE, AUDIO, *_ = KNOWN_REFUSALS


@pytest.mark.parametrize("state", STATES)
def test_the_schemas_refuse_what_the_gateway_refused(state: str) -> None:
    """The request schema of each state refuses exactly the recorded bodies that the gateway
    refused.
    """
    chats = [
        r
        for r in recordings(state)
        if r.path == "/v1/chat/completions" and r.method == "POST" and r.status != 415
    ]
    assert len(chats) > 150
    for recording in chats:
        if not isinstance(recording.request_body, dict):
            continue
        body = recording.body if isinstance(recording.body, dict) else {}
        error = body.get("error")
        was_refused = isinstance(error, dict) and "issues" in error
        found = violations(recording.request_body, request_schema(state))
        assert bool(found) == was_refused, (recording.case, found)


@pytest.mark.parametrize(
    ("body", "states"),
    [
        ({"model": "m", "messages": [{"role": "assistant", "content": None}]}, 2),
        ({"model": "m", "messages": [{"role": "assistant"}]}, 2),
        ({"model": "m", "messages": [], "tool_choice": "any"}, 4),
        ({"model": "m", "messages": [], "reasoning_effort": "xhigh"}, 3),
        ({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "odd": 1}, 0),
    ],
)
def test_a_refused_body_is_found(body: object, states: int) -> None:
    """The check reports a body for each state that refuses it, and only then."""
    check = BodyCheck()
    check.look_at(body)
    assert len({refused.state for refused in check.take()}) == states
    assert check.take() == []


def test_bodies_of_a_client_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every body that a client is about to send is checked."""
    check = BodyCheck()
    monkeypatch.setattr("emby_plugins._base_client.chat_body", check.checked)
    with Emby(**ScriptedBackend(completion()).on) as emby:
        emby.chat("Hi", reasoning_effort="low")
        assert check.take() == []
        # Simulate a change of the schemas.
        check.schemas["2025-11"] = {"properties": {"reasoning_effort": {"enum": ["high"]}}}
        emby.chat("Hi", reasoning_effort="low")
    assert [refused.violation.path for refused in check.take()] == ["reasoning_effort"]


def test_the_fallback_for_required_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """If `required` is refused, the call is sent in another form and the log mentions it."""
    issue = {"path": ["tool_choice"], "code": "invalid_literal", "message": "Invalid"}
    refusal = answer({"error": {"issues": [issue]}}, status=400)
    backend = ScriptedBackend(refusal, answer(completion()))
    with Emby(**backend.on) as emby, caplog.at_level(logging.INFO, "emby_plugins"):
        emby.chat("Hi", tools=[Tool("a"), Tool("b")], tool_choice="required")
    assert REQUIRED.message in caplog.messages


def test_a_refused_file_has_a_hint() -> None:
    """A refused file raises an error that suggests an alternative."""
    issue = {"path": ["messages", 0, "content", 1, "type"], "code": "invalid_literal"}
    backend = ScriptedBackend(answer({"error": {"issues": [issue | {"message": "x"}]}}, status=400))
    pdf = FilePart.from_bytes(b"%PDF-1.7", filename="a.pdf")
    with Emby(**backend.on) as emby, pytest.raises(BadRequestError) as caught:
        emby.chat(Message.user("Read it.", pdf))
    assert str(caught.value).endswith(FILE.message)


@pytest.mark.parametrize("state", ["2025-11", "2025-12"])
def test_refused_audio_and_server_tools_have_a_hint(state: str) -> None:
    """States without audio or server tools refuse both, and the errors suggest alternatives."""
    sound = FilePart.from_bytes(b"RIFF", filename="a.wav", media_type="audio/wav")
    with (
        activate(MockBackend(profile=PROFILES[state])),
        Emby(base_url="mock:") as emby,
    ):
        with pytest.raises(BadRequestError) as caught:
            emby.chat(Message.user("What is this?", sound))
        assert str(caught.value).endswith(AUDIO.message)
        with pytest.raises(BadRequestError) as caught:
            emby.chat("News?", tools=[ServerTool("web_search")])
        assert str(caught.value).endswith(NO_WEB_SEARCH)
