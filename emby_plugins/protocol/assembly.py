"""Deltas become a reply.

One assembler serves both forms of a reply: an unstreamed message is a stream of one delta, so
the two can't come out different. Images have no index on the wire: they are appended, never
merged. Usage comes in several chunks that amend each other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from emby_plugins.chat import (
    ChatReply,
    Citation,
    ImageReceived,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from emby_plugins.errors import MalformedReplyError
from emby_plugins.images import Image, Provenance
from emby_plugins.protocol.limits import Limits
from emby_plugins.protocol.wire import (
    Completion,
    ContentItem,
    ImageURL,
    MessageItem,
    ToolCallItem,
)


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Assembler:
    """Collects what the chunks of one reply say.

    `provenance` makes the record that each image carries, from the model that answered and the
    time it says, in seconds since 1970. `image_of` makes an image of its url.
    """

    def __init__(
        self,
        limits: Limits,
        provenance: Callable[[str, int | None], Provenance],
        image_of: Callable[[ImageURL | str], Image],
    ) -> None:
        self.finish_reason: str | None = None
        self.has_choice = False
        self._limits = limits
        self._provenance = provenance
        self._image_of = image_of
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._text_size = 0
        self._images: list[Image] = []
        self._calls: dict[int, _Call] = {}
        self._citations: list[Citation] = []
        self._usage: dict[str, Any] | None = None
        self._id = self._model = ""
        self._created: int | None = None
        self._fingerprint: str | None = None
        self._metadata: dict[str, Any] = {}

    def add(self, chunk: Completion) -> list[StreamEvent]:
        """The events that one chunk, or one whole reply, amounts to.

        Raises `MalformedReplyError` for content it can't read, `ReplyTooLargeError`, and
        `InvalidImageError` for an image that does not decode; what came before is kept.
        """
        self._note(chunk)
        events: list[StreamEvent] = []
        for choice in chunk.choices or ():
            if choice.index:
                msg = "The reply has a second choice, which would be lost."
                raise MalformedReplyError(msg, hint="Ask for one choice (n=1).")
            self.has_choice = True
            message = choice.delta or choice.message
            if message is not None:
                events += self._message(message)
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason
        return events

    def reply(self, request_id: str | None = None) -> ChatReply:
        """The reply as far as it has come."""
        return ChatReply(
            text="".join(self._text),
            images=tuple(self._images),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(
                ToolCall(call.id, call.name, "".join(call.arguments) or "{}")
                for _, call in sorted(self._calls.items())
            ),
            citations=tuple(self._citations),
            usage=None if self._usage is None else parse_usage(self._usage),
            finish_reason=self.finish_reason,
            model=self._model,
            id=self._id,
            created=self._created,
            request_id=request_id,
            system_fingerprint=self._fingerprint,
            metadata=self._metadata,
        )

    def _note(self, chunk: Completion) -> None:
        # Most chunks repeat what the last one said, and this runs for every one of them.
        if chunk.model != self._model and isinstance(chunk.model, str) and chunk.model:
            self._model = chunk.model
        if chunk.id != self._id and isinstance(chunk.id, str | int) and chunk.id:
            self._id = str(chunk.id)
        if chunk.created != self._created and isinstance(chunk.created, int | float):
            self._created = int(chunk.created)
        if chunk.system_fingerprint is not None and isinstance(chunk.system_fingerprint, str):
            self._fingerprint = chunk.system_fingerprint
        if chunk.metadata is not None and isinstance(chunk.metadata, dict):
            self._metadata = chunk.metadata
        if chunk.usage is not None and isinstance(chunk.usage, dict):
            self._usage = _amended(self._usage or {}, chunk.usage)

    def _message(self, message: MessageItem) -> Iterator[StreamEvent]:
        reasoning = message.reasoning or message.reasoning_content
        if reasoning:
            self._grow(len(reasoning))
            self._reasoning.append(reasoning)
            yield ReasoningDelta(reasoning)
        content = message.content
        if isinstance(content, str):
            if content:
                yield self._said(content)
        elif content:
            yield from map(self._part, content)
        if message.refusal:
            yield self._said(message.refusal)
        if message.images:
            for image in message.images:
                yield self._pictured(image.image_url)
        if message.tool_calls:
            yield from map(self._called, message.tool_calls)
        if isinstance(message.annotations, list):
            self._citations += map(_citation, message.annotations)

    def _said(self, text: str) -> TextDelta:
        self._grow(len(text))
        self._text.append(text)
        return TextDelta(text)

    def _grow(self, size: int) -> None:
        self._text_size += size
        if self._text_size > self._limits.text:
            self._limits.check("text", self._text_size)

    def _part(self, item: ContentItem) -> StreamEvent:
        if item.type == "text":
            return self._said(item.text)
        if item.type == "image_url" and item.image_url is not None:
            return self._pictured(item.image_url)
        raise MalformedReplyError(f"The reply has content of an unknown type, {item.type[:80]!r}.")

    def _pictured(self, source: ImageURL | str) -> ImageReceived:
        self._limits.check("images", len(self._images) + 1)
        made = self._provenance(self._model, self._created)
        image = self._image_of(source).with_provenance(made)
        self._images.append(image)
        return ImageReceived(image, len(self._images) - 1)

    def _called(self, item: ToolCallItem) -> ToolCallDelta:
        function = item.function
        name = (function.name if function else None) or ""
        arguments = _arguments(function.arguments) if function else ""
        self._grow(len(arguments))
        index = self._index_of(item, name)
        new = index not in self._calls
        call = self._calls.setdefault(index, _Call(item.id or f"call_{index}"))
        # A name that comes with every fragment is told once, as hosts join what they are told.
        name = "" if call.name else name
        call.name = call.name or name
        call.arguments.append(arguments)
        return ToolCallDelta(index, call.id if new else "", name, arguments)

    def _index_of(self, item: ToolCallItem, name: str) -> int:
        """Where a call, or a fragment of one, belongs.

        By its index; but a named call of another id is another call, whatever index it is given.
        Without an index: to the call of its id, else behind the last where it is named.
        """
        if item.index is not None:
            there = self._calls.get(item.index)
            if there is None or not name or not item.id or item.id == there.id:
                return item.index
        last = max(self._calls, default=-1)
        if item.id:
            known = {call.id: index for index, call in self._calls.items()}
            return known.get(item.id, last + 1)
        return last + 1 if name else max(last, 0)


def _amended(usage: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Usage with what a later one tells: null and 0 tell nothing, and details are kept.

    All states send usage after the finish chunk, then once more without details in 2025-11 and
    2025-12, or with details of which some are only filled up with 0 in 2026-08 (reasoning-stream).
    """
    merged = dict(usage)
    for name, value in later.items():
        known = merged.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[name] = known | {k: v for k, v in value.items() if v or k not in known}
        elif value or name not in merged:
            merged[name] = value
    return merged


def parse_usage(usage: dict[str, Any]) -> Usage:
    """Usage in any of the forms gateways give it; what is missing or odd counts as nothing."""
    prompt = _details(usage, "prompt_tokens_details")
    completion = _details(usage, "completion_tokens_details")
    costs = [usage.get("cost"), usage.get("cost_usd_total")]
    input_tokens, output_tokens = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    return Usage(
        prompt_tokens=input_tokens,
        completion_tokens=output_tokens,
        # A total that an earlier chunk told may be less than what a later one amended.
        total_tokens=max(_count(usage, "total_tokens"), input_tokens + output_tokens),
        reasoning_tokens=_count(usage, "reasoning_tokens")
        or _count(completion, "reasoning_tokens"),
        cached_tokens=_count(prompt, "cached_tokens"),
        image_tokens=_count(completion, "image_tokens"),
        cost=next((float(c) for c in costs if isinstance(c, int | float) and 0 <= c < 1e15), None),
    )


def _details(usage: dict[str, Any], name: str) -> dict[str, Any]:
    details = usage.get(name)
    return details if isinstance(details, dict) else {}


def _count(counts: dict[str, Any], name: str) -> int:
    count = counts.get(name)
    return int(count) if isinstance(count, int | float) and 0 <= count < 1e15 else 0


def _citation(annotation: object) -> Citation:
    cited = annotation.get("url_citation") if isinstance(annotation, dict) else None
    if not isinstance(cited, dict):
        return Citation(url="", title=str(annotation)[:200])
    return Citation(url=str(cited.get("url") or ""), title=str(cited.get("title") or ""))


def _arguments(arguments: object) -> str:
    if isinstance(arguments, str):
        return arguments
    if arguments is None:
        return ""
    return msgspec.json.encode(arguments).decode()
