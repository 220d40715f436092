"""Convert the core's replies and stream events to LangChain messages and chunks.

Merged chunks equal the message that `invoke` returns. The content of a reply without images is a
string; with images it is a list: a text block, then the image blocks. Under `output_version="v1"`
all blocks are LangChain's v1 blocks; those of chunks are indexed, so that deltas of one block merge
and images never do.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    InputTokenDetails,
    OutputTokenDetails,
    UsageMetadata,
)
from langchain_core.messages.tool import tool_call_chunk

from emby_plugins import (
    ChatReply,
    Finished,
    ImageReceived,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from langchain_emby._blocks import image_block
from langchain_emby._chunks import (
    Blocks,
    LastChunk,
    MismatchChunk,
    ReplyChunk,
    type_text,
    without_indices,
)
from langchain_emby._tool_calls import (
    CallBlock,
    convert_tool_calls,
    invalidate,
    split_tool_calls,
)
from langchain_emby._tool_names import ToolNames
from langchain_emby._translator import PROVIDER

_logger = logging.getLogger("langchain_emby")

THOUGHTS = "emby_reasoning"
"""Where a message keeps the reasoning that is sent back."""

# LangChain defines no key for it, but allows provider-specific ones.
_IMAGE_TOKENS = "image"


def restore_names(reply: ChatReply, names: ToolNames) -> ChatReply:
    """The reply with the names of tools as the user knows them."""
    if not reply.tool_calls:
        return reply
    return replace(reply, tool_calls=tuple(map(names.restore, reply.tool_calls)))


def to_message(
    reply: ChatReply, *, model: str, v1: bool, image_dir: str | None = None
) -> AIMessage:
    """Convert a reply to a message.

    `model` is the requested model, used if the reply does not name one. With `image_dir`, images
    are references to files of that folder.
    """
    calls = convert_tool_calls(reply.tool_calls, reply.finish_reason)
    valid, invalid = split_tool_calls(calls)
    images = [image_block(image, image_dir=image_dir) for image in reply.images]
    content = _v1_content(reply, images, calls) if v1 else _v0_content(reply, images)
    return AIMessage(
        content=without_indices(content),
        additional_kwargs={
            **({"reasoning_content": reply.reasoning} if reply.reasoning else {}),
            **({"refusal": reply.refusal} if reply.refusal else {}),
            **_thoughts(reply),
        },
        tool_calls=valid,
        invalid_tool_calls=invalid,
        usage_metadata=to_usage_metadata(reply.usage),
        response_metadata=_metadata(reply, model, v1=v1),
    )


class ChunkWriter:
    """Converts the events of one reply to chunks.

    `model` and `image_dir` are as in `to_message`; `names` are those of the tools; `with_usage`
    puts the token counts on the last chunk. Metadata and usage are sent only once, because merging
    adds numbers and concatenates strings.
    """

    def __init__(
        self,
        *,
        names: ToolNames,
        model: str,
        v1: bool,
        with_usage: bool = True,
        image_dir: str | None = None,
    ) -> None:
        self._names = names
        self._image_dir = image_dir
        self._model = model
        self._v1 = v1
        self._with_usage = with_usage
        self._has_arguments: dict[int, bool] = {}
        self._writers: dict[type, Callable[[Any], Iterable[AIMessageChunk]]] = {
            TextDelta: self._text if v1 else _plain_text,
            ReasoningDelta: self._reasoning,
            RefusalDelta: lambda _: (),
            ImageReceived: self._image,
            ToolCallDelta: self._tool_call,
            Finished: self._finished,
        }

    def __call__(self, event: StreamEvent) -> Iterable[AIMessageChunk]:
        """The chunks of an event."""
        return self._writers[type(event)](event)

    def _text(self, event: TextDelta) -> Iterable[AIMessageChunk]:
        return (self._chunk([_text_block(event.text)]),)

    def _reasoning(self, event: ReasoningDelta) -> Iterable[AIMessageChunk]:
        kwargs = {"reasoning_content": event.text}
        blocks: Blocks = [_reasoning_block(event.text)]
        return (self._chunk(blocks if self._v1 else "", additional_kwargs=kwargs),)

    def _refusal(self, refusal: str) -> AIMessageChunk:
        # In one piece: LangChain's bridge to events does not merge refusal blocks.
        return AIMessageChunk(
            content=[_refusal_block(refusal)] if self._v1 else refusal,
            additional_kwargs={"refusal": refusal},
            response_metadata={
                "model_provider": PROVIDER,
                **({"output_version": "v1"} if self._v1 else {}),
            },
        )

    def _image(self, event: ImageReceived) -> Iterable[AIMessageChunk]:
        block = image_block(event.image, event.index, image_dir=self._image_dir)
        return (self._chunk([block]),)

    def _tool_call(self, event: ToolCallDelta) -> Iterable[AIMessageChunk]:
        event = replace(event, name=self._names.original(event.name))
        known = self._has_arguments.get(event.index, False)
        self._has_arguments[event.index] = known or bool(event.arguments)
        yield self._tool_call_chunk(event)

    def _invalidate(self, calls: Mapping[int, CallBlock]) -> Iterable[AIMessageChunk]:
        for index, call in calls.items():
            if call["type"] == "invalid_tool_call":
                end = invalidate(str(call["args"]) if self._has_arguments[index] else "")
                if end:
                    yield self._tool_call_chunk(ToolCallDelta(index, arguments=end), MismatchChunk)

    def _tool_call_chunk(
        self, event: ToolCallDelta, kind: type[ReplyChunk] = ReplyChunk
    ) -> AIMessageChunk:
        piece = tool_call_chunk(
            id=event.id or None, name=event.name or None, args=event.arguments, index=event.index
        )
        blocks: Blocks = [{**piece}]
        return self._chunk(blocks if self._v1 else "", kind, tool_call_chunks=[piece])

    def _finished(self, event: Finished) -> Iterable[AIMessageChunk]:
        reply = restore_names(event.reply, self._names)
        calls = self._calls(reply)
        yield from self._invalidate(calls)
        if reply.refusal:
            yield self._refusal(reply.refusal)
        has_citations = self._v1 and reply.citations and reply.text
        yield LastChunk(
            content=[_text_block("", reply)] if has_citations else [] if self._v1 else "",
            additional_kwargs=_thoughts(reply),
            usage_metadata=to_usage_metadata(reply.usage) if self._with_usage else None,
            response_metadata=_metadata(reply, self._model, v1=self._v1),
            chunk_position="last",
            calls=calls,
        )

    def _calls(self, reply: ChatReply) -> dict[int, CallBlock]:
        """The calls by their index, in the order in which they began; a reply's are sorted."""
        calls = convert_tool_calls(reply.tool_calls, reply.finish_reason)
        by_index = dict(zip(sorted(self._has_arguments), calls, strict=True))
        return {index: by_index[index] for index in self._has_arguments}

    def _chunk(
        self, content: str | Blocks, kind: type[ReplyChunk] = ReplyChunk, **fields: Any
    ) -> AIMessageChunk:
        if self._v1:
            fields["response_metadata"] = {"output_version": "v1"}
        return kind(content=content, **fields)


def to_usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    """Token counts as LangChain's `UsageMetadata`, with the details that are not zero."""
    if usage is None:
        return None
    counts = UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
    )
    inputs = {
        "cache_read": usage.cached_tokens,
        "cache_creation": usage.cache_write_tokens,
        "audio": usage.input_audio_tokens,
        _IMAGE_TOKENS: usage.input_image_tokens,
    }
    outputs = {
        "reasoning": usage.reasoning_tokens,
        "audio": usage.audio_tokens,
        _IMAGE_TOKENS: usage.image_tokens,
    }
    if any(inputs.values()):
        counts["input_token_details"] = cast("InputTokenDetails", _nonzero(inputs))
    if any(outputs.values()):
        counts["output_token_details"] = cast("OutputTokenDetails", _nonzero(outputs))
    return counts


def _nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {name: tokens for name, tokens in counts.items() if tokens}


def image_tokens(counts: UsageMetadata) -> int:
    """The image tokens that `to_usage_metadata` stored."""
    details = cast("dict[str, int]", counts.get("output_token_details", {}))
    return details.get(_IMAGE_TOKENS, 0)


def _plain_text(event: TextDelta) -> Iterable[AIMessageChunk]:
    return (ReplyChunk(content=event.text),)


def _v0_content(reply: ChatReply, images: list[dict[str, Any]]) -> str | Blocks:
    return type_text([reply.text, *images]) if images else reply.text


def _v1_content(
    reply: ChatReply,
    images: list[dict[str, Any]],
    calls: list[CallBlock],
) -> Blocks:
    text = reply.text.replace(reply.refusal, "", 1) if reply.refusal else reply.text
    texts = [_text_block(text, reply)] if text else []
    texts += [_refusal_block(reply.refusal)] if reply.refusal else []
    reasoning = [_reasoning_block(reply.reasoning)] if reply.reasoning else []
    return [*reasoning, *texts, *images, *map(dict, calls)]


def _text_block(text: str, reply: ChatReply | None = None) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": text, "index": "lc_txt_0"}
    if reply is not None and reply.citations:
        block["annotations"] = [{"type": "citation", **citation} for citation in _citations(reply)]
    return block


def _refusal_block(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text, "index": "lc_ref_0"}


def _thoughts(reply: ChatReply) -> dict[str, Any]:
    """The reasoning as its model takes it back; `_request` reads it."""
    return {THOUGHTS: reply.thoughts.to_dict()} if reply.thoughts else {}


def _reasoning_block(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "reasoning": text, "index": "lc_rs_0"}


def _metadata(reply: ChatReply, model: str, *, v1: bool) -> dict[str, Any]:
    notices = [reply.notice, *_incomplete_calls(reply)]
    metadata: dict[str, Any] = {
        "model_provider": PROVIDER,
        "model_name": reply.model or model,
        "finish_reason": reply.finish_reason,
        "stop_sequence": reply.stop_sequence,
        "notice": " ".join(filter(None, notices)),
        "id": reply.id,
        "created": reply.created,
        "request_id": reply.request_id,
        "system_fingerprint": reply.system_fingerprint,
        "routing": dict(reply.metadata),
        "cost": reply.usage.cost if reply.usage else None,
        "cost_is_estimate": (reply.usage is not None and reply.usage.cost_is_estimate) or None,
        "cost_details": dict(reply.usage.cost_details) if reply.usage else None,
        "citations": _citations(reply),
        "output_version": "v1" if v1 else None,
    }
    return {name: value for name, value in metadata.items() if value not in (None, "", {}, [])}


def _incomplete_calls(reply: ChatReply) -> list[str]:
    if reply.finish_reason != "length":
        return []
    _, invalid = split_tool_calls(convert_tool_calls(reply.tool_calls, reply.finish_reason))
    notices = [
        f"So the call to {call['name']!r} is incomplete and must not be executed."
        for call in invalid
    ]
    if notices:
        # An agent ends with such a message, and few programs show its metadata.
        _logger.warning("%s", " ".join(filter(None, [reply.notice, *notices])))
    return notices


def _citations(reply: ChatReply) -> list[dict[str, Any]]:
    return [
        {
            name: value
            for name, value in asdict(citation).items()
            if name in {"url", "title"} or value not in {None, ""}
        }
        for citation in reply.citations
    ]
