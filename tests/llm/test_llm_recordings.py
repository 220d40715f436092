"""Every recorded response of every state, as a user of `llm`'s models gets it."""

import asyncio
import json
from hashlib import sha256
from typing import Any

import llm
import pytest
from llm.parts import TextPart
from llm_help import Recorder
from recordings.expected import Failure, Reply, chats, expected
from recordings.recordings import STATES, Recording

from emby_plugins import BackendRequest, BackendResponse


def replay(wire: Recorder, recording: Recording) -> None:
    """Make the backend answer with this recording."""
    headers = {name: str(value) for name, value in recording.response_headers.items() if value}

    def answer(_: BackendRequest) -> BackendResponse:
        return BackendResponse(recording.status, headers, iter([recording.content]))

    wire.answer = answer


def shown(messages: list[Any], calls: list[Any], response: Any) -> dict[str, Any]:
    """Return text, images, calls and tokens of `llm`'s response, without the lines of image
    paths.
    """
    parts = [part for message in messages for part in message.parts]
    noted = {id(part): _noted(part) for part in parts if _noted(part)}
    words = [p.text for p in parts if isinstance(p, TextPart) and id(p) not in noted]
    return {
        "text": "".join(words),
        "images": [found.get("url") or found["sha256"] for found in noted.values()],
        "calls": [(c.tool_call_id, c.name, c.arguments) for c in calls],
        "tokens": (response.input_tokens or 0, response.output_tokens or 0),
    }


def _noted(part: Any) -> Any:
    return (getattr(part, "provider_metadata", None) or {}).get("emby", {}).get("image")


def wanted_of(reply: Reply) -> dict[str, Any]:
    """Return the expected values in the same form."""
    return {
        "text": reply.text,
        "images": [i if isinstance(i, str) else sha256(i).hexdigest() for i in reply.images],
        "calls": [(id_, name, json.loads(args)) for id_, name, args in reply.tool_calls],
        "tokens": (reply.tokens or (0, 0))[:2],
    }


def call_sync(*, is_stream: bool) -> dict[str, Any]:
    """Return the response of the sync model."""
    response = llm.get_model("emby-mock").prompt("Hi", stream=is_stream)
    response.text()
    return shown(response.messages(), response.tool_calls(), response)


def call_async(*, is_stream: bool) -> dict[str, Any]:
    """Return the response of the async model."""

    async def run() -> dict[str, Any]:
        response = llm.get_async_model("emby-mock").prompt("Hi", stream=is_stream)
        await response.text()
        return shown(await response.messages(), await response.tool_calls(), response)

    return asyncio.run(run())


@pytest.mark.parametrize("call", [call_sync, call_async], ids=["sync", "async"])
@pytest.mark.parametrize("state", STATES)
def test_every_recorded_response_reaches_the_user(wire: Recorder, state: str, call: Any) -> None:
    """Each recorded response gives the expected text, images, calls and tokens, or its error."""
    for recording in chats(state):
        replay(wire, recording)
        wanted, is_stream = expected(recording), recording.frames is not None
        if isinstance(wanted, Reply):
            assert call(is_stream=is_stream) == wanted_of(wanted), recording.id
            continue
        with pytest.raises(llm.ModelError) as caught:
            call(is_stream=is_stream)
        line, cause = str(caught.value), caught.value.__cause__
        assert type(cause) is wanted.kind, recording.id
        assert wanted.reason in line, recording.id
        assert advice(wanted) in line, (recording.id, line)
        assert "EMBY_API_KEY" not in line, "a key of llm's may come from its own store"


def advice(failure: Failure) -> str:
    """Return the expected hint for a user of the command line."""
    return {
        "AuthenticationError": "llm keys set emby",
        "ModelNotFoundError": "llm emby models",
        "ProviderAccountError": "not your key",
        "TruncatedReplyError": "Sending it again is a new, paid request",
    }.get(failure.kind.__name__, "")
