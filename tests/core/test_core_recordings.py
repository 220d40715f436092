"""The core reads every recorded response of every state: the expected reply, or the expected
error.
"""

import asyncio
from typing import Any

import pytest
from recordings.expected import CHATS, Failure, Reply, chats, expected
from recordings.recordings import STATES, Recording
from support import ScriptedBackend

from emby_plugins import AsyncEmby, BackendResponse, ChatReply, Emby, EmbyError
from emby_plugins._protocol.errors import error_from_response
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.reader import ReplyReader


def headers(recording: Recording) -> dict[str, str]:
    """Return the recorded headers, with an id if one was sent."""
    given = {name: value for name, value in recording.response_headers.items() if value}
    return {name: "r-1" if value is True else str(value) for name, value in given.items()}


def summary(reply: ChatReply) -> Reply:
    """Return a reply in the form of the expected ones."""
    usage = reply.usage
    return Reply(
        text=reply.text,
        reasoning=reply.reasoning,
        images=tuple(image.url or image.data for image in reply.images),
        tool_calls=tuple((call.id, call.name, call.arguments) for call in reply.tool_calls),
        finish_reason=reply.finish_reason,
        tokens=usage
        and (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            usage.reasoning_tokens,
        ),
    )


def failed(error: EmbyError, wanted: Failure) -> Failure:
    """Return an error in the form of the expected ones, with its message if the reason is
    missing.
    """
    status = getattr(error, "status", None)
    return Failure(
        kind=type(error),
        status=None if wanted.status is None else status,
        provider=getattr(error, "provider", ""),
        is_retryable=error.is_retryable,
        reason=wanted.reason if wanted.reason in error.message else error.message,
        partial_text=error.partial.text if error.partial else "",
    )


def outcome(read: Any, wanted: Reply | Failure) -> Reply | Failure:
    """Return the result of reading, in the form of the expected ones."""
    try:
        reply = read()
    except EmbyError as error:
        return failed(error, wanted if isinstance(wanted, Failure) else Failure(EmbyError))
    return summary(reply)


def read_purely(recording: Recording, size: int) -> ChatReply:
    """Read the reply in pieces of this size, without I/O."""
    body = recording.content
    if recording.status >= 400:
        raise error_from_response(recording.status, headers(recording), body)
    reader = ReplyReader(headers(recording), limits=Limits(), model="m", prompt="p")
    with reader.error_context():
        for start in range(0, len(body), size):
            for _ in reader.feed(body[start : start + size]):
                pass
            if reader.is_done:
                break
        for _ in reader.close():
            pass
    return reader.reply


@pytest.mark.parametrize("recording", CHATS, ids=lambda recording: recording.id)
def test_every_recorded_response_is_read_correctly(recording: Recording) -> None:
    """Each recorded response gives the expected reply, image bytes included, or the expected
    error.
    """
    wanted = expected(recording)
    assert outcome(lambda: read_purely(recording, 1 << 20), wanted) == wanted


@pytest.mark.parametrize("state", STATES)
def test_small_chunks_change_nothing(state: str) -> None:
    """Recorded streams in pieces of 7 bytes give the expected result."""
    small = [r for r in chats(state) if r.frames is not None and len(r.content) < 20_000]
    assert len(small) > 30
    for recording in small:
        wanted = expected(recording)
        got = outcome(lambda recording=recording: read_purely(recording, 7), wanted)
        assert got == wanted, recording.id


class Replay(ScriptedBackend):
    """A backend that answers with one recording after another."""

    def __init__(self) -> None:
        super().__init__(by=self._answer)
        self.recording: Recording

    def _answer(self, _: object) -> BackendResponse:
        pieces = iter([self.recording.content])
        return BackendResponse(self.recording.status, headers(self.recording), pieces)


@pytest.mark.parametrize("state", STATES)
def test_the_sync_client_gives_the_same(state: str) -> None:
    """The sync client returns the expected result of each recording."""
    backend = Replay()
    with Emby(**backend.on) as emby:
        for backend.recording in chats(state):
            wanted = expected(backend.recording)
            got = outcome(
                lambda: call_chat(emby, is_stream=backend.recording.frames is not None), wanted
            )
            assert got == wanted, backend.recording.id


def call_chat(emby: Emby, *, is_stream: bool) -> ChatReply:
    """Return the reply, streamed or not."""
    if not is_stream:
        return emby.chat("Hi")
    with emby.stream("Hi") as stream:
        for _ in stream:
            pass
    return stream.reply


@pytest.mark.parametrize("state", STATES)
def test_the_async_client_gives_the_same(state: str) -> None:
    """The async client returns the expected result of each recording."""
    backend = Replay()

    async def ask_async(emby: AsyncEmby, *, is_stream: bool) -> ChatReply:
        if not is_stream:
            return await emby.chat("Hi")
        async with emby.stream("Hi") as stream:
            async for _ in stream:
                pass
        return stream.reply

    async def run() -> None:
        async with AsyncEmby(**backend.on) as emby:
            for backend.recording in chats(state):
                wanted = expected(backend.recording)
                is_stream = backend.recording.frames is not None
                try:
                    got: Reply | Failure = summary(await ask_async(emby, is_stream=is_stream))
                except EmbyError as error:
                    assert isinstance(wanted, Failure), backend.recording.id
                    got = failed(error, wanted)
                assert got == wanted, backend.recording.id

    asyncio.run(run())


@pytest.mark.parametrize("state", STATES)
def test_hints_match_their_errors(state: str) -> None:
    """Each hint matches its error: about the user's key, a provider's account or the model list."""
    backend = Replay()
    with Emby(**backend.on) as emby:
        for backend.recording in chats(state):
            wanted = expected(backend.recording)
            if not isinstance(wanted, Failure):
                continue
            with pytest.raises(EmbyError) as caught:
                call_chat(emby, is_stream=backend.recording.frames is not None)
            hint, name = caught.value.hint, wanted.kind.__name__
            assert ("EMBY_API_KEY" in hint) == (name == "AuthenticationError"), hint
            assert ("not your key" in hint) == (name == "ProviderAccountError"), hint
            assert ("models()" in hint) == (name == "ModelNotFoundError"), hint
            assert ("paid request" in hint) == (name == "TruncatedReplyError"), hint
            assert "credit to the account" not in hint
