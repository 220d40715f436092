"""Every recorded response of every state through `ChatEmby`: the message, or the typed error."""

import asyncio
import json
from typing import Any

import pytest
from langchain_core import exceptions as lc
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from recordings.expected import Failure, Reply, chats, expected
from recordings.recordings import STATES, Recording
from support import ScriptedBackend

from emby_plugins import BackendResponse, EmbyError
from langchain_emby import ChatEmby, images_of

TREE = {
    "BadRequestError": lc.ModelInvalidRequestError,
    "UnreadableInputImageError": lc.ModelInvalidRequestError,
    "ModelNotFoundError": lc.ModelNotFoundError,
    "AuthenticationError": lc.ModelAuthenticationError,
    "NotFoundError": lc.ModelNotFoundError,
    "RateLimitError": lc.ModelRateLimitError,
    "ServerError": lc.ModelAPIError,
    "ProviderAccountError": lc.ModelAPIError,
    "TruncatedReplyError": lc.ModelError,
}


class Replay(ScriptedBackend):
    """A backend that answers with one recording after another."""

    def __init__(self) -> None:
        super().__init__(by=self._answer)
        self.recording: Recording

    def _answer(self, _: object) -> BackendResponse:
        named = self.recording.response_headers.items()
        headers = {name: str(value) for name, value in named if value}
        return BackendResponse(self.recording.status, headers, iter([self.recording.content]))


def shown(message: BaseMessage) -> dict[str, Any]:
    """Return the contents of a message."""
    assert isinstance(message, AIMessage)
    usage = message.usage_metadata
    details = (usage or {}).get("output_token_details") or {}
    return {
        "text": message.text or message.additional_kwargs.get("refusal", ""),
        "images": [image.url or image.data for image in images_of(message)],
        "reasoning": message.additional_kwargs.get("reasoning_content", ""),
        "calls": [(c["id"], c["name"], c["args"]) for c in message.tool_calls],
        "finish": message.response_metadata.get("finish_reason"),
        "tokens": usage
        and (
            usage["input_tokens"],
            usage["output_tokens"],
            usage["total_tokens"],
            details.get("reasoning", 0),
        ),
    }


def wanted_of(reply: Reply) -> dict[str, Any]:
    """Return the expected contents in the same form."""
    return {
        "text": reply.text,
        "images": list(reply.images),
        "reasoning": reply.reasoning,
        "calls": [(id_, name, json.loads(args)) for id_, name, args in reply.tool_calls],
        "finish": reply.finish_reason,
        "tokens": reply.tokens,
    }


def call_sync(chat: ChatEmby, *, is_stream: bool) -> BaseMessage:
    """Return the message, or the sum of the chunks."""
    if not is_stream:
        return chat.invoke("Hi")
    chunks = list(chat.stream("Hi"))
    return sum(chunks[1:], chunks[0])


def call_async(chat: ChatEmby, *, is_stream: bool) -> BaseMessage:
    """Return the message, or the sum of the chunks, asynchronously."""

    async def run() -> BaseMessage:
        if not is_stream:
            return await chat.ainvoke("Hi")
        chunks: list[AIMessageChunk] = [c async for c in chat.astream("Hi")]
        return sum(chunks[1:], chunks[0])

    return asyncio.run(run())


@pytest.mark.parametrize("call", [call_sync, call_async], ids=["sync", "async"])
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("state", STATES)
def test_every_recorded_response_becomes_a_message(state: str, version: str, call: Any) -> None:
    """Each recorded response gives the expected message, or an error of both trees."""
    backend = Replay()
    chat = ChatEmby(**backend.on, output_version=version)
    for backend.recording in chats(state):
        wanted, is_stream = expected(backend.recording), backend.recording.frames is not None
        if isinstance(wanted, Reply):
            got = shown(call(chat, is_stream=is_stream))
            assert got == wanted_of(wanted), backend.recording.id
            continue
        with pytest.raises(EmbyError) as caught:
            call(chat, is_stream=is_stream)
        check(caught.value, wanted, backend.recording.id)


def check(error: EmbyError, wanted: Failure, case: str) -> None:
    """Check that the error is the expected one in both trees."""
    assert isinstance(error, wanted.kind), case
    assert isinstance(error, TREE[wanted.kind.__name__]), case
    assert error.is_retryable == wanted.is_retryable, case
    assert wanted.reason in error.message, case
    assert (error.partial.text if error.partial else "") == wanted.partial_text, case
    assert ("EMBY_API_KEY" in error.hint) == (wanted.kind.__name__ == "AuthenticationError"), case
