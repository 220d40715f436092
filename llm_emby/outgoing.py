"""Emby's replies become `llm`'s events, streamed or not through the same few lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llm
from llm.parts import StreamEvent

from emby_plugins import (
    ChatReply,
    Finished,
    Image,
    ImageReceived,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from emby_plugins import StreamEvent as Event
from llm_emby import pictures
from llm_emby.options import Options

# Far above the indices that llm deals out itself, with which an image's must never collide.
_FIRST_IMAGE = 10**6


class Outgoing:
    """Turns the events of one reply into what `llm` prints and logs."""

    def __init__(self, prompt: llm.Prompt, response: Any) -> None:
        assert isinstance(prompt.options, Options)
        self._target = prompt.options.output
        self._response = response
        self._has_text = False
        self._shown = 0

    def events(self, event: Event) -> Iterator[StreamEvent]:
        """What `llm` is told of one event; the last one leaves usage and the like behind."""
        match event:
            case TextDelta(text):
                self._has_text = True
                yield StreamEvent("text", text)
            case ReasoningDelta(text):
                yield StreamEvent("reasoning", text)
            case ImageReceived(image, index):
                yield self._picture(image, index)
            case ToolCallDelta(index, call_id, name, arguments):
                yield from self._tool_call(index, call_id, name, arguments)
            case Finished(reply):
                self._finish(reply)

    def whole(self, reply: ChatReply) -> Iterator[StreamEvent]:
        """The same for a reply that came in one piece."""
        if reply.reasoning:
            yield from self.events(ReasoningDelta(reply.reasoning))
        if reply.text:
            yield from self.events(TextDelta(reply.text))
        for index, image in enumerate(reply.images):
            yield from self.events(ImageReceived(image, index))
        for index, call in enumerate(reply.tool_calls):
            yield from self.events(ToolCallDelta(index, call.id, call.name, call.arguments))
        yield from self.events(Finished(reply))

    def rescue(self, partial: ChatReply) -> list[Path]:
        """Save the images of a broken reply that were not shown, and return where they are."""
        missed = partial.images[self._shown :]
        return [pictures.save(image, self._target) for image in missed if image.url is None]

    def _picture(self, image: Image, index: int) -> StreamEvent:
        self._shown = index + 1
        if image.url is not None:
            shown, metadata = image.url, {"emby": {"image": {"url": image.url}}}
        else:
            path = pictures.save(image, self._target)
            shown, metadata = str(path), pictures.note(image, path)
        # A line of its own; a reply of one image and no text is the bare path.
        text = f"\n{shown}" if self._has_text or index else shown
        return StreamEvent(
            "text", text, part_index=_FIRST_IMAGE + index, provider_metadata=metadata
        )

    def _tool_call(
        self, index: int, call_id: str, name: str, arguments: str
    ) -> Iterator[StreamEvent]:
        # Pieces after the first carry no id, so the pieces are held together by their index.
        at = _FIRST_IMAGE // 2 + index
        if name:
            yield StreamEvent("tool_call_name", name, part_index=at, tool_call_id=call_id or None)
        if arguments:
            yield StreamEvent("tool_call_args", arguments, part_index=at)

    def _finish(self, reply: ChatReply) -> None:
        response = self._response
        for call in reply.tool_calls:
            response.add_tool_call(llm.ToolCall(call.name, call.args, call.id))
        if reply.usage is not None:
            details = {
                "reasoning_tokens": reply.usage.reasoning_tokens,
                "cached_tokens": reply.usage.cached_tokens,
                "cost": reply.usage.cost,
            }
            response.set_usage(
                input=reply.usage.prompt_tokens,
                output=reply.usage.completion_tokens,
                details={name: value for name, value in details.items() if value} or None,
            )
        if reply.model and reply.model != response.model.wire_name:
            response.set_resolved_model(reply.model)
        # All but the content, which is logged as text and, for images, as paths.
        facts = {
            "id": reply.id,
            "created": reply.created,
            "model": reply.model,
            "finish_reason": reply.finish_reason,
            "request_id": reply.request_id,
            "system_fingerprint": reply.system_fingerprint,
            "metadata": dict(reply.metadata),
        }
        response.response_json = {name: value for name, value in facts.items() if value}
