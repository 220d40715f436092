"""The v3 events of a stream, without base64 in events that only announce an image.

LangChain's bridge from chunks to events sends each image twice: when its block starts and when it
ends. This removes the first copy, and marks tool calls as invalid if their arguments are not an
object.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from langchain_core.outputs import ChatGenerationChunk

from emby_plugins import MalformedReplyError
from langchain_emby._errors import to_langchain_error

try:
    from langchain_core.language_models._compat_bridge import achunks_to_events, chunks_to_events
except ImportError:  # private: without it, LangChain makes the events, large ones included
    HAS_BRIDGE = False
else:
    HAS_BRIDGE = True


def to_events(chunks: Iterator[ChatGenerationChunk], run_id: UUID | None) -> Iterator[Any]:
    """The events of a stream of chunks."""
    with _readable_arguments():
        yield from map(_adapt, chunks_to_events(chunks, message_id=_message_id(run_id)))


async def to_events_async(
    chunks: AsyncIterator[ChatGenerationChunk], run_id: UUID | None
) -> AsyncIterator[Any]:
    """As `to_events`, for `async for`."""
    with _readable_arguments():
        async for event in achunks_to_events(chunks, message_id=_message_id(run_id)):
            yield _adapt(event)


@contextmanager
def _readable_arguments() -> Iterator[None]:
    """Explain the errors of a JSON parser, which the bridge expects only for broken syntax."""
    try:
        yield
    except (RecursionError, ValueError) as error:
        msg = f"The arguments of a tool call can't be read: {error}."
        raise to_langchain_error(MalformedReplyError(msg)) from error


def _adapt(event: Any) -> Any:
    content = event.get("content")
    if event["event"] == "content-block-start" and "base64" in content:
        announced = {name: value for name, value in content.items() if name != "base64"}
        return {**event, "content": announced}
    if event["event"] == "content-block-finish" and content["type"] == "image":
        # LangChain adds an index of its own where there is none, and merges images of two messages
        # by it: one without the prefix is never merged.
        return {**event, "content": {**content, "index": content["index"].removeprefix("lc_")}}
    if event["event"] == "content-block-finish":
        return {**event, "content": _with_valid_arguments(content)}
    return event


def _with_valid_arguments(content: dict[str, Any]) -> dict[str, Any]:
    # The bridge accepts any JSON as arguments, which its own message then rejects.
    if content["type"] != "tool_call" or isinstance(content["args"], dict):
        return content
    return {
        **content,
        "type": "invalid_tool_call",
        "args": json.dumps(content["args"], ensure_ascii=False),
        "error": "The arguments are not a JSON object.",
    }


def _message_id(run_id: UUID | None) -> str | None:
    return f"lc_run--{run_id}" if run_id else None
