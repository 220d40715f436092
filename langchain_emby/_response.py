"""The core's replies and events become LangChain's messages and chunks.

Streamed chunks, merged, say the same as the whole message. A reply without images is plain text;
with images it is a list: the text, then the image blocks. Under `output_version="v1"` every
block is LangChain's v1 form from the start, numbered so that pieces of one thing merge and two
images never do.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    InvalidToolCall,
    OutputTokenDetails,
    ToolCall as LangChainToolCall,
    UsageMetadata,
)
from langchain_core.messages.tool import tool_call_chunk

from emby_plugins import (
    ChatReply,
    Finished,
    ImageReceived,
    MalformedReplyError,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from langchain_emby._blocks import image_block
from langchain_emby._stop_sequences import StopFilter, cut
from langchain_emby._translator import PROVIDER

Blocks = list[str | dict[Any, Any]]

# LangChain names no key for it, and allows a provider's own.
_IMAGE_TOKENS = "image"


def message_of(reply: ChatReply, *, asked: str, v1: bool, stop: Sequence[str] = ()) -> AIMessage:
    """A whole reply as a message, cut at the first of the `stop` sequences.

    `asked` is the model that was asked, for a reply that does not say which one answered.
    """
    text = cut(reply.text, stop)
    calls, broken = _called(reply.tool_calls)
    return AIMessage(
        content=_v1_content(reply, text, calls, broken) if v1 else _v0_content(reply, text),
        additional_kwargs={"reasoning_content": reply.reasoning} if reply.reasoning else {},
        tool_calls=calls,
        invalid_tool_calls=broken,
        usage_metadata=usage_of(reply.usage),
        response_metadata=_metadata(reply, asked, was_cut=text != reply.text, v1=v1),
    )


class ChunkWriter:
    """Turns the events of one reply into chunks.

    `asked` is as in `message_of`; `with_usage` puts the token counts on the last chunk. Metadata
    and usage are sent once: merging adds up numbers and joins names.
    """

    def __init__(
        self, *, asked: str, v1: bool, stop: Sequence[str] = (), with_usage: bool = True
    ) -> None:
        self._asked = asked
        self._v1 = v1
        self._stopper = StopFilter(stop) if stop else None
        self._with_usage = with_usage
        self._writers: dict[type, Callable[[Any], Iterable[AIMessageChunk]]] = {
            TextDelta: self._text,
            ReasoningDelta: self._reasoning,
            ImageReceived: self._image,
            ToolCallDelta: self._call,
            Finished: self._last,
        }
        if not v1 and not stop:
            self._writers[TextDelta] = _plain_text

    def __call__(self, event: StreamEvent) -> Iterable[AIMessageChunk]:
        """The chunks that an event amounts to: one, or none while a stop sequence may begin."""
        return self._writers[type(event)](event)

    def _text(self, event: TextDelta) -> Iterable[AIMessageChunk]:
        text = self._stopper.feed(event.text) if self._stopper else event.text
        return self._said(text)

    def _said(self, text: str) -> Iterable[AIMessageChunk]:
        if not text:
            return ()
        return (self._chunk([_text_block(text)]) if self._v1 else AIMessageChunk(content=text),)

    def _reasoning(self, event: ReasoningDelta) -> Iterable[AIMessageChunk]:
        known = {"reasoning_content": event.text}
        blocks: Blocks = [_reasoning_block(event.text)]
        return (self._chunk(blocks if self._v1 else "", additional_kwargs=known),)

    def _image(self, event: ImageReceived) -> Iterable[AIMessageChunk]:
        return (self._chunk([image_block(event.image, event.index)]),)

    def _call(self, event: ToolCallDelta) -> Iterable[AIMessageChunk]:
        piece = tool_call_chunk(
            id=event.id or None, name=event.name or None, args=event.arguments, index=event.index
        )
        blocks: Blocks = [{**piece}]
        return (self._chunk(blocks if self._v1 else "", tool_call_chunks=[piece]),)

    def _last(self, event: Finished) -> Iterable[AIMessageChunk]:
        if self._stopper:
            yield from self._said(self._stopper.rest())
        reply = event.reply
        was_cut = self._stopper is not None and self._stopper.has_stopped
        cited = self._v1 and reply.citations and reply.text
        yield AIMessageChunk(
            content=[_text_block("", reply)] if cited else [] if self._v1 else "",
            usage_metadata=usage_of(reply.usage) if self._with_usage else None,
            response_metadata=_metadata(reply, self._asked, was_cut=was_cut, v1=self._v1),
            chunk_position="last",
        )

    def _chunk(self, content: str | Blocks, **fields: Any) -> AIMessageChunk:
        if self._v1:
            fields["response_metadata"] = {"output_version": "v1"}
        return AIMessageChunk(content=content, **fields)


def usage_of(usage: Usage | None) -> UsageMetadata | None:
    """Token counts in LangChain's form; details only where there is something to count."""
    if usage is None:
        return None
    counts = UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
    )
    if usage.cached_tokens:
        counts["input_token_details"] = {"cache_read": usage.cached_tokens}
    details = {"reasoning": usage.reasoning_tokens, _IMAGE_TOKENS: usage.image_tokens}
    if any(details.values()):
        counted = {name: tokens for name, tokens in details.items() if tokens}
        counts["output_token_details"] = cast("OutputTokenDetails", counted)
    return counts


def image_tokens_in(counts: UsageMetadata) -> int:
    """The image tokens that `usage_of` counted."""
    details = cast("dict[str, int]", counts.get("output_token_details", {}))
    return details.get(_IMAGE_TOKENS, 0)


def _plain_text(event: TextDelta) -> Iterable[AIMessageChunk]:
    return (AIMessageChunk(content=event.text),)


def _v0_content(reply: ChatReply, text: str) -> str | Blocks:
    if not reply.images:
        return text
    images = [image_block(image, index) for index, image in enumerate(reply.images)]
    # Merging puts what came before the first image at the head of the list, even when it is
    # empty, as it is after reasoning.
    return [text, *images] if text or reply.reasoning else [*images]


def _v1_content(
    reply: ChatReply, text: str, calls: list[LangChainToolCall], broken: list[InvalidToolCall]
) -> Blocks:
    said = [_text_block(text, reply)] if text else []
    thought = [_reasoning_block(reply.reasoning)] if reply.reasoning else []
    images = [image_block(image, index) for index, image in enumerate(reply.images)]
    return [*thought, *said, *images, *map(dict, calls), *map(dict, broken)]


def _text_block(text: str, reply: ChatReply | None = None) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": text, "index": "lc_txt_0"}
    if reply is not None and reply.citations:
        block["annotations"] = [{"type": "citation", **cited} for cited in _citations(reply)]
    return block


def _reasoning_block(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "reasoning": text, "index": "lc_rs_0"}


def _called(
    calls: Iterable[ToolCall],
) -> tuple[list[LangChainToolCall], list[InvalidToolCall]]:
    good: list[LangChainToolCall] = []
    bad: list[InvalidToolCall] = []
    for call in calls:
        try:
            args = call.args
        except MalformedReplyError as error:
            bad.append(
                InvalidToolCall(
                    type="invalid_tool_call",
                    id=call.id,
                    name=call.name,
                    args=call.arguments,
                    error=error.message,
                )
            )
        else:
            good.append(LangChainToolCall(type="tool_call", id=call.id, name=call.name, args=args))
    return good, bad


def _metadata(reply: ChatReply, asked: str, *, was_cut: bool, v1: bool) -> dict[str, Any]:
    finish_reason = reply.finish_reason
    known: dict[str, Any] = {
        "model_provider": PROVIDER,
        "model_name": reply.model or asked,
        "finish_reason": "stop" if was_cut and not reply.tool_calls else finish_reason,
        # Text that was cut here ended as it was to end, whatever the gateway says.
        "notice": "" if was_cut else reply.notice,
        "id": reply.id,
        "created": reply.created,
        "request_id": reply.request_id,
        "system_fingerprint": reply.system_fingerprint,
        "routing": dict(reply.metadata),
        "cost": reply.usage.cost if reply.usage else None,
        "citations": _citations(reply),
        "output_version": "v1" if v1 else None,
    }
    return {name: value for name, value in known.items() if value not in (None, "", {}, [])}


def _citations(reply: ChatReply) -> list[dict[str, str]]:
    return [{"url": cited.url, "title": cited.title} for cited in reply.citations]
