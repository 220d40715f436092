"""`show`: messages of LangChain, whole, streamed, or a whole conversation, looked at.

How they look is the core's business. Here stands which part of a message is which.
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
from langchain_emby._response import image_tokens_in

_WHO = {"human": "You", "ai": "The assistant", "AIMessageChunk": "The assistant"}


@overload
def show(shown: BaseMessage | Sequence[BaseMessage]) -> None: ...
@overload
def show(shown: Iterator[AIMessageChunk]) -> AIMessageChunk: ...
@overload
def show(shown: AsyncIterator[AIMessageChunk]) -> Awaitable[AIMessageChunk]: ...
def show(
    shown: BaseMessage
    | Sequence[BaseMessage]
    | Iterator[AIMessageChunk]
    | AsyncIterator[AIMessageChunk],
) -> AIMessageChunk | Awaitable[AIMessageChunk] | None:
    """Show a message with its images below the cell of a notebook; elsewhere print it.

    Messages in a list, as in the state of an agent, are shown one below the other, each with who
    said it. A stream is shown while it comes, and the message that its chunks make is returned:

            message = show(chat.stream("Generate an image of a puppy"))
            message = await show(chat.astream("Generate an image of a puppy"))

    It takes the messages of every chat model. Raises what `images_of` raises for an image that
    can't be read.
    """
    if isinstance(shown, BaseMessage):
        reply_of(shown).show()
    elif isinstance(shown, Sequence):
        for message in shown:
            reply_of(message).show(_who(message))
    elif isinstance(shown, AsyncIterator):
        return _stream_async(shown)
    else:
        growing = _Growing()
        ReplyStream(growing, growing.told(shown)).show()
        return growing.message
    return None


async def _stream_async(chunks: AsyncIterator[AIMessageChunk]) -> AIMessageChunk:
    growing = _Growing()
    await AsyncReplyStream(growing, growing.told_async(chunks)).show()
    return growing.message


class _Growing:
    """Chunks as they come, merged only when someone looks: merging copies all there is."""

    def __init__(self) -> None:
        self._chunks = [AIMessageChunk(content="")]
        self._merged = 1
        self._message = self._chunks[0]

    @property
    def message(self) -> AIMessageChunk:
        """The message that the chunks make so far."""
        news = self._chunks[self._merged :]
        if news:
            known = [self._message] if self._merged > 1 else []
            first, *others = [*known, *news]
            self._message = add_ai_message_chunks(first, *others) if others else first
            self._merged += len(news)
        return self._message

    @property
    def reply(self) -> ChatReply:
        """The same as a reply."""
        return reply_of(self.message)

    def told(self, chunks: Iterator[AIMessageChunk]) -> Iterator[StreamEvent]:
        """An event for each chunk, once it is noted."""
        for chunk in chunks:
            self._chunks.append(chunk)
            yield TextDelta(chunk.text)

    async def told_async(self, chunks: AsyncIterator[AIMessageChunk]) -> AsyncIterator[StreamEvent]:
        """As `told`."""
        async for chunk in chunks:
            self._chunks.append(chunk)
            yield TextDelta(chunk.text)


def reply_of(message: BaseMessage) -> ChatReply:
    """A message of any chat model as a reply of the core."""
    images = tuple(images_of(message))
    if not isinstance(message, AIMessage):
        return ChatReply(text=message.text, images=images)
    known = message.response_metadata
    used = message.usage_metadata
    return ChatReply(
        text=message.text,
        images=images,
        reasoning=_reasoning(message),
        tool_calls=tuple(
            ToolCall(call["id"] or "", call["name"], json.dumps(call["args"], ensure_ascii=False))
            for call in message.tool_calls
        ),
        citations=tuple(
            Citation(cited["url"], cited["title"]) for cited in known.get("citations", ())
        ),
        usage=used
        and Usage(
            prompt_tokens=used["input_tokens"],
            completion_tokens=used["output_tokens"],
            total_tokens=used["total_tokens"],
            reasoning_tokens=used.get("output_token_details", {}).get("reasoning") or 0,
            image_tokens=image_tokens_in(used),
            cost=known.get("cost"),
        ),
        finish_reason=known.get("finish_reason"),
        model=known.get("model_name", ""),
        request_id=known.get("request_id"),
    )


def _reasoning(message: AIMessage) -> str:
    kept = message.additional_kwargs.get("reasoning_content")
    if isinstance(kept, str):
        return kept
    blocks = message.content if isinstance(message.content, list) else []
    told = (block.get("reasoning") for block in blocks if isinstance(block, dict))
    return "".join(text for text in told if isinstance(text, str))


def _who(message: BaseMessage) -> str:
    who = message.name or _WHO.get(message.type, message.type)
    failed = isinstance(message, ToolMessage) and message.status == "error"
    return f"{who}, which failed" if failed else who
