"""The v3 events of a stream, without base64 in events that only announce an image.

LangChain's bridge from chunks to events sends each image twice: when its block starts and when it
ends, and takes any JSON for the arguments of a tool call. This removes the first copy, and states
tool calls as `invoke` does.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.outputs import ChatGenerationChunk

from emby_plugins import MalformedReplyError
from langchain_emby._chunks import LastChunk, MismatchChunk
from langchain_emby._errors import to_langchain_error

if TYPE_CHECKING:
    from langchain_emby._tool_calls import CallBlock

try:
    from langchain_core.language_models._compat_bridge import achunks_to_events, chunks_to_events
except ImportError:  # private: without it, LangChain makes the events, large ones included
    HAS_BRIDGE = False
else:
    HAS_BRIDGE = True


def to_events(chunks: Iterator[ChatGenerationChunk], run_id: UUID | None) -> Iterator[Any]:
    """The events of a stream of chunks."""
    adapter = _Adapter()
    received = (chunk for chunk in chunks if adapter.takes(chunk))
    with _readable_arguments():
        yield from map(adapter.adapt, chunks_to_events(received, message_id=_message_id(run_id)))


async def to_events_async(
    chunks: AsyncIterator[ChatGenerationChunk], run_id: UUID | None
) -> AsyncIterator[Any]:
    """As `to_events`, for `async for`."""
    adapter = _Adapter()
    received = (chunk async for chunk in chunks if adapter.takes(chunk))
    with _readable_arguments():
        async for event in achunks_to_events(received, message_id=_message_id(run_id)):
            yield adapter.adapt(event)


@contextmanager
def _readable_arguments() -> Iterator[None]:
    """Explain the errors of a JSON parser, which the bridge expects only for broken syntax."""
    try:
        yield
    except (RecursionError, ValueError) as error:
        msg = f"The arguments of a tool call can't be read: {error}."
        raise to_langchain_error(MalformedReplyError(msg)) from error


class _Adapter:
    """Adapts the bridge's events, with the tool calls of the last chunk."""

    def __init__(self) -> None:
        self._calls: Iterator[CallBlock] = iter(())

    def takes(self, chunk: ChatGenerationChunk) -> bool:
        """Whether the bridge gets a chunk, which it doesn't unless it was received."""
        message = chunk.message
        if isinstance(message, LastChunk):
            self._calls = iter(message.calls)
        return not isinstance(message, MismatchChunk)

    def adapt(self, event: Any) -> Any:
        content = event.get("content")
        if event["event"] == "content-block-start" and "base64" in content:
            announced = {name: value for name, value in content.items() if name != "base64"}
            return {**event, "content": announced}
        if event["event"] != "content-block-finish":
            return event
        if content["type"] == "image":
            # LangChain adds an index of its own where there is none, and merges images of two
            # messages by it: one without the prefix is never merged.
            return {**event, "content": {**content, "index": content["index"].removeprefix("lc_")}}
        if content["type"] in {"tool_call", "invalid_tool_call"}:
            # Blocks finish in the order in which they began.
            return {**event, "content": {**next(self._calls, content)}}
        return event


def _message_id(run_id: UUID | None) -> str | None:
    return f"lc_run--{run_id}" if run_id else None
