"""The v3 events of a stream, without base64 in events that only announce an image.

LangChain's bridge from chunks to events sends each image twice: when its block starts and when it
ends, and takes any JSON for the arguments of a tool call. This removes the first copy, and states
tool calls as `invoke` does.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any
from uuid import UUID

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_emby._chunks import LastChunk, MismatchChunk
from langchain_emby._translator import PROVIDER

try:
    from langchain_core.language_models._compat_bridge import achunks_to_events, chunks_to_events
except ImportError:  # private: without it, LangChain makes the events, large ones included
    HAS_BRIDGE = False
else:
    HAS_BRIDGE = True

_CALLS = {"tool_call", "invalid_tool_call"}


def to_events(chunks: Iterator[ChatGenerationChunk], run_id: UUID | None) -> Iterator[Any]:
    """The events of a stream of chunks."""
    bridged = (each for chunk in chunks for each in _bridged(chunk))
    yield from map(_adapt, chunks_to_events(bridged, message_id=_message_id(run_id)))


async def to_events_async(
    chunks: AsyncIterator[ChatGenerationChunk], run_id: UUID | None
) -> AsyncIterator[Any]:
    """As `to_events`, for `async for`."""
    bridged = (each async for chunk in chunks for each in _bridged(chunk))
    async for event in achunks_to_events(bridged, message_id=_message_id(run_id)):
        yield _adapt(event)


def _bridged(chunk: ChatGenerationChunk) -> Iterable[ChatGenerationChunk]:
    """The chunks that the bridge gets for one: what was received, and the whole calls at the end.

    It would parse the arguments itself, and takes any JSON; a whole block replaces the pieces.
    """
    message = chunk.message
    if isinstance(message, MismatchChunk):
        return ()
    if not isinstance(message, LastChunk) or not message.calls:
        return (chunk,)
    blocks: Any = [{**call, "index": index} for index, call in message.calls.items()]
    whole = AIMessageChunk(content=blocks, response_metadata={"model_provider": PROVIDER})
    return ChatGenerationChunk(message=whole), chunk


def _adapt(event: Any) -> Any:
    content = event.get("content")
    if event["event"] == "content-block-start" and "base64" in content:
        announced = {name: value for name, value in content.items() if name != "base64"}
        return {**event, "content": announced}
    if event["event"] == "content-block-finish" and content["type"] == "image":
        # LangChain adds an index of its own where there is none, and merges images of two messages
        # by it: one without the prefix is never merged.
        return {**event, "content": {**content, "index": content["index"].removeprefix("lc_")}}
    if event["event"] == "content-block-finish" and content["type"] in _CALLS:
        call = {name: value for name, value in content.items() if name != "index"}
        return {**event, "content": call}
    return event


def _message_id(run_id: UUID | None) -> str | None:
    return f"lc_run--{run_id}" if run_id else None
