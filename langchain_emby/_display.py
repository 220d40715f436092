"""`show()`: display a message, a stream or a conversation.

Maps messages to `ChatReply`; the core renders them.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from typing import overload

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.ai import add_ai_message_chunks

from emby_plugins import (
    AsyncReplyStream,
    ChatReply,
    Citation,
    ReplyStream,
    StreamEvent,
    TextDelta,
    ToolCall,
    Usage,
)
from langchain_emby._blocks import images_of
from langchain_emby._response import image_tokens

_SENDERS = {"human": "You", "ai": "The assistant", "AIMessageChunk": "The assistant"}


@overload
def show(messages: BaseMessage | Sequence[BaseMessage]) -> None: ...
@overload
def show(messages: Iterator[AIMessageChunk]) -> AIMessageChunk: ...
@overload
def show(messages: AsyncIterator[AIMessageChunk]) -> Awaitable[AIMessageChunk]: ...
def show(
    messages: BaseMessage
    | Sequence[BaseMessage]
    | Iterator[AIMessageChunk]
    | AsyncIterator[AIMessageChunk],
) -> AIMessageChunk | Awaitable[AIMessageChunk] | None:
    """Display a message with its images below a notebook cell; elsewhere print it.

    A list of messages, such as an agent's state, is displayed in order, each with its sender. A
    stream is displayed while it arrives, and the merged message is returned:

            message = show(chat.stream("Generate an image of a puppy"))
            message = await show(chat.astream("Generate an image of a puppy"))

    Accepts messages of any chat model. Raises what `images_of` raises for an unreadable image.
    """
    if isinstance(messages, BaseMessage):
        to_reply(messages).show()
    elif isinstance(messages, Sequence):
        for message in messages:
            to_reply(message).show(_sender(message))
    elif isinstance(messages, AsyncIterator):
        return _stream_async(messages)
    else:
        streamed = _StreamedReply()
        ReplyStream(streamed, streamed.events(messages)).show()
        return streamed.message
    return None


async def _stream_async(chunks: AsyncIterator[AIMessageChunk]) -> AIMessageChunk:
    streamed = _StreamedReply()
    await AsyncReplyStream(streamed, streamed.events_async(chunks)).show()
    return streamed.message


class _StreamedReply:
    """Collects chunks and merges them only on access, because each merge copies everything."""

    def __init__(self) -> None:
        self._chunks = [AIMessageChunk(content="")]
        self._merged = 1
        self._message = self._chunks[0]

    @property
    def message(self) -> AIMessageChunk:
        """The chunks so far, merged."""
        new = self._chunks[self._merged :]
        if new:
            merged = [self._message] if self._merged > 1 else []
            first, *others = [*merged, *new]
            self._message = add_ai_message_chunks(first, *others) if others else first
            self._merged += len(new)
        return self._message

    @property
    def reply(self) -> ChatReply:
        """`message` as a core reply."""
        return to_reply(self.message)

    def events(self, chunks: Iterator[AIMessageChunk]) -> Iterator[StreamEvent]:
        """One event per chunk, after storing the chunk."""
        for chunk in chunks:
            self._chunks.append(chunk)
            yield TextDelta(chunk.text)

    async def events_async(
        self, chunks: AsyncIterator[AIMessageChunk]
    ) -> AsyncIterator[StreamEvent]:
        """As `events`."""
        async for chunk in chunks:
            self._chunks.append(chunk)
            yield TextDelta(chunk.text)


def to_reply(message: BaseMessage) -> ChatReply:
    """Convert a message of any chat model to a core reply."""
    images = tuple(images_of(message))
    if not isinstance(message, AIMessage):
        return ChatReply(text=message.text, images=images)
    metadata = message.response_metadata
    usage = message.usage_metadata
    return ChatReply(
        text=message.text,
        images=images,
        reasoning=_reasoning(message),
        tool_calls=tuple(
            ToolCall(call["id"] or "", call["name"], json.dumps(call["args"], ensure_ascii=False))
            for call in message.tool_calls
        ),
        citations=tuple(
            Citation(citation["url"], citation["title"])
            for citation in metadata.get("citations", ())
        ),
        usage=usage
        and Usage(
            prompt_tokens=usage["input_tokens"],
            completion_tokens=usage["output_tokens"],
            total_tokens=usage["total_tokens"],
            reasoning_tokens=usage.get("output_token_details", {}).get("reasoning") or 0,
            image_tokens=image_tokens(usage),
            # LangChain marks a reply from its cache this way.
            cost=0 if usage.get("total_cost") == 0 else metadata.get("cost"),
            cost_is_estimate=metadata.get("cost_is_estimate", False),
        ),
        finish_reason=metadata.get("finish_reason"),
        model=metadata.get("model_name", ""),
        request_id=metadata.get("request_id"),
    )


def _reasoning(message: AIMessage) -> str:
    reasoning = message.additional_kwargs.get("reasoning_content")
    if isinstance(reasoning, str):
        return reasoning
    blocks = message.content if isinstance(message.content, list) else []
    texts = (block.get("reasoning") for block in blocks if isinstance(block, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _sender(message: BaseMessage) -> str:
    sender = message.name or _SENDERS.get(message.type, message.type)
    failed = isinstance(message, ToolMessage) and message.status == "error"
    return f"{sender} (failed)" if failed else sender
