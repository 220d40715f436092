"""Read as much as possible of a reply, or chunk, that deviates from the documented format.

`schema` is the fast path for documented JSON. This reader walks through everything else: truncated
or invalid JSON, unexpected types, content in undocumented places. Informative fields may have any
value. Unreadable content is kept, and the accumulator records the problem.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec

from emby_plugins._chat import ReasoningDelta, RefusalDelta, StreamEvent, TextDelta
from emby_plugins._errors import MalformedReplyError
from emby_plugins._protocol.accumulator import ReplyAccumulator
from emby_plugins._protocol.image_decoder import ImageDecoder
from emby_plugins._protocol.image_entry import HINT
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.loose_json import Document, Value
from emby_plugins._protocol.reasoning import OPAQUE
from emby_plugins._protocol.tool_calls import Fragment

_TEXT_TYPES = {"", "text", "output_text", "input_text"}
_REASONING_TYPES = {"thinking", "reasoning", "reasoning_text", "summary_text"}
_SILENT_TYPES = {"redacted_thinking", "step-start", "ping"}
_TEXT_KEYS = ("text", "thinking", "reasoning", "content", "summary")
_IMAGE_FACTS = ("background", "output_format", "quality", "size")
_MAX_WORD = 100
_MAX_DEPTH = 3
_LARGE = 1 << 20


class LenientReader:
    """Reads one JSON document into an accumulator.

    With `images_for`, a prompt, the document is a response of the images endpoint, with images in
    `data`. After `read`, `is_cut` and `is_broken` are True for a truncated document and for one
    that is not valid JSON; `error` is its error object, or None.
    """

    def __init__(
        self,
        data: bytes,
        accumulator: ReplyAccumulator,
        decoder: ImageDecoder,
        limits: Limits,
        *,
        images_for: str | None = None,
    ) -> None:
        self.error: bytes | None = None
        self._document = Document(data)
        self._into = accumulator
        self._decoder = decoder
        self._limits = limits
        self._images_for = images_for

    @property
    def is_cut(self) -> bool:
        """Whether the document is truncated."""
        return self._document.is_cut

    @property
    def is_broken(self) -> bool:
        """Whether the document is not valid JSON, or not an object."""
        return self._document.is_broken or self._document.root.kind not in ("{", "")

    def read(self) -> Iterator[StreamEvent]:
        """Yield the events of everything that is readable."""
        top = self._document.root.members(
            "choices", "error", "id", "model", "created", "system_fingerprint", "metadata", "usage"
        )
        names = (self._plain(top.get(name)) for name in ("id", "model", "created"))
        self._into.note_names(*names)
        self._into.note_fingerprint(self._plain(top.get("system_fingerprint")))
        if "metadata" in top:
            self._into.note_metadata(top["metadata"].raw)
        if "usage" in top:
            self._into.note_usage(top["usage"].raw)
        if "choices" in top:
            yield from self._choices(top["choices"])
        elif self._images_for is not None:
            yield from self._image_data()
        if "error" in top and not top["error"].is_empty:
            self.error = top["error"].raw
        self._document.check_end()

    def _image_data(self) -> Iterator[StreamEvent]:
        """The images of `data`; their other fields are metadata (OpenAI, Images API)."""
        found = self._document.root.members("data", *_IMAGE_FACTS)
        data = found.pop("data", None)
        if data is None or data.kind != "[":
            return
        self._into.has_choice = True
        facts = {name: value.plain() for name, value in found.items()}
        revised = (
            item.members("revised_prompt").get("revised_prompt") for item in self._entries(data)
        )
        prompts = [str(value.plain()).strip() for value in revised if value is not None]
        # The newest gateway repeats the prompt as it was sent.
        if any(prompt not in ("None", self._images_for) for prompt in prompts):
            facts["revised_prompts"] = prompts
        self._into.note_metadata(msgspec.json.encode(facts))
        yield from self._images(data)
        # An empty list is how the newest gateway reports a refused image (its public source).
        self._into.finish_reason = "content_filter" if data.is_empty else "stop"

    def _plain(self, value: Value | None) -> Any:
        return value.plain() if value is not None else None

    def _choices(self, choices: Value) -> Iterator[StreamEvent]:
        if choices.kind != "[":
            self._unread(choices, "The choices are not a list.")
        for item in self._entries(choices):
            if item.kind == "{":
                yield from self._choice(item)
            else:
                self._unread(item, "A choice is not an object.")

    def _choice(self, choice: Value) -> Iterator[StreamEvent]:
        found = choice.members("index", "delta", "message", "finish_reason")
        if _index(self._plain(found.get("index"))):
            hint = "Request a single choice (n=1)."
            self._unread(choice, "It has a second choice, which can't be returned.", hint=hint)
            return
        self._into.has_choice = True
        message = found.get("delta")
        is_delta = message is not None and not message.is_null
        if not is_delta:
            message = found.get("message")
        if message is not None:
            yield from self._message(message, is_delta=is_delta)
        reason = found.get("finish_reason")
        if reason is not None and reason.is_whole and not reason.is_empty:
            self._into.finish_reason = str(reason.plain())[:_MAX_WORD]

    def _message(self, message: Value, *, is_delta: bool) -> Iterator[StreamEvent]:
        if message.kind != "{":
            self._unread(message, "A message is not an object.")
            return
        found = {name: value for name, value in message.all_members() if name in _MESSAGE}
        yield from self._thoughts(found, is_delta=is_delta)
        if "content" in found:
            yield from self._content(found["content"])
        if "refusal" in found:
            yield from self._refusal(found["refusal"])
        for name in ("images", "image", "image_url"):
            if name in found:
                yield from self._images(found[name])
        if "tool_calls" in found:
            yield from self._tool_calls(found["tool_calls"], is_whole=not is_delta)
        if "annotations" in found:
            self._into.cite(found["annotations"].raw)
        if "audio" in found:
            self._unread(found["audio"], "It has audio, which is not supported.")

    def _thoughts(self, found: dict[str, Value], *, is_delta: bool) -> Iterator[StreamEvent]:
        readable = ""
        for name in OPAQUE:
            if name in found and found[name].is_whole and not found[name].is_empty:
                kept = self._into.keep_opaque(name, found[name].raw, is_delta=is_delta)
                readable = kept or readable
        texts = [n for n in ("reasoning", "reasoning_content") if n in found]
        name = next((name for name in texts if not found[name].is_empty), "")
        if name:
            yield from self._reasoning(found[name], name if found[name].kind == '"' else "")
        elif readable:
            yield self._into.reason(readable)

    def _reasoning(self, value: Value, name: str = "") -> Iterator[StreamEvent]:
        # Reasoning without text, such as encrypted reasoning, is ignored.
        for text in self._texts(value):
            yield from self._deltas(text, lambda piece: self._into.reason(piece, name))

    def _refusal(self, value: Value) -> Iterator[StreamEvent]:
        if value.kind == '"':
            yield from self._deltas(value, self._into.refuse)
        else:
            yield from self._content(value)

    def _content(self, content: Value) -> Iterator[StreamEvent]:
        if content.kind == '"':
            yield from self._deltas(content, self._into.say)
        elif content.kind == "[":
            for part in self._entries(content):
                yield from self._part(part)
        elif content.kind == "{":
            yield from self._part(content)
        else:
            self._unread(content, "The content is neither text nor a list.")

    def _part(self, part: Value) -> Iterator[StreamEvent]:
        if part.kind == '"':
            yield from self._text_or_image(part)
            return
        found = part.members("type", *_TEXT_KEYS, "refusal")
        kind = found["type"].plain() if "type" in found else ""
        text = found.get("text")
        refusal = found.get("refusal") or text
        if kind == "refusal" and refusal is not None and refusal.kind in '"n':
            yield from self._refusal(refusal)
        elif kind in _REASONING_TYPES:
            yield from self._reasoning(part)
        elif kind in _TEXT_TYPES and text is not None and text.kind in '"n':
            yield from self._content(text)
        elif kind not in _SILENT_TYPES and not part.is_null:
            msg = f"The reply has content of an unknown type, {str(kind)[:_MAX_WORD]!r}."
            yield from self._image(part, MalformedReplyError(msg, hint=HINT))

    def _text_or_image(self, value: Value) -> Iterator[StreamEvent]:
        if value.is_whole and value.size > 5 and value.raw[1:6].lower() == b"data:":
            yield from self._image(value)
        else:
            yield from self._content(value)

    def _images(self, images: Value) -> Iterator[StreamEvent]:
        if images.kind == "[":
            for item in self._entries(images):
                yield from self._image(item)
        elif not images.is_empty:
            yield from self._image(images)

    def _image(
        self, entry: Value, otherwise: MalformedReplyError | None = None
    ) -> Iterator[StreamEvent]:
        """Add the image of an entry; `otherwise` is the problem if it need not be an image."""
        raw = entry.raw
        yield from self._into.show(raw, is_whole=entry.is_whole, otherwise=otherwise)

    def _tool_calls(self, calls: Value, *, is_whole: bool) -> Iterator[StreamEvent]:
        items = [calls] if calls.kind == "{" else self._entries(calls)
        if calls.kind not in "[{" and not calls.is_empty:
            self._unread(calls, "The tool calls are not a list.")
        for item in items:
            fragment = self._fragment(item)
            if fragment is not None:
                yield self._into.call(replace(fragment, is_whole=is_whole))
            elif not item.is_null:
                self._unread(item, "A tool call is malformed.")

    def _fragment(self, item: Value) -> Fragment | None:
        """Parse a tool call with a `function` object, as OpenAI's, or with its fields inline."""
        found = item.members(*_CALL)
        function = found.get("function")
        if function is not None and function.kind == "{":
            found |= function.members("name", "arguments", "input")
        if item.kind != "{" or (function is not None and function.kind not in "{n"):
            return None
        index, id_, name = (self._plain(found.get(key)) for key in ("index", "id", "name"))
        id_ = id_ or self._plain(found.get("call_id"))
        if not isinstance(name, str | None) or not isinstance(id_, str | int | None):
            return None
        extra = found.get("extra_content")
        is_extra = extra is not None and extra.is_whole and not extra.is_empty
        raw = extra.raw if extra is not None and is_extra else b""
        return Fragment(_index(index), str(id_ or ""), name or "", self._arguments(found), raw)

    def _arguments(self, found: dict[str, Value]) -> str:
        value = found.get("arguments") or found.get("input")
        if value is None or value.is_null:
            return ""
        if value.kind == '"':
            return "".join(self._pieces(value))
        return self._decoder.restore(value.raw).decode("utf-8", "replace")

    def _texts(self, value: Value, depth: int = 0) -> Iterator[Value]:
        """The strings of reasoning: a string, a part or a list of parts."""
        if value.kind == '"':
            yield value
        elif depth < _MAX_DEPTH:
            for item in self._entries(value):
                yield from self._texts(item, depth + 1)
            found = value.members(*_TEXT_KEYS)
            for key in _TEXT_KEYS:
                if key in found:
                    yield from self._texts(found[key], depth + 1)
                    return

    def _entries(self, values: Value) -> Iterator[Value]:
        """The items of a list; all but the first count against the limit."""
        for number, item in enumerate(values.items()):
            self._into.count(min(number, 1))
            yield item

    def _deltas(
        self, value: Value, add: Callable[[str], TextDelta | ReasoningDelta | RefusalDelta]
    ) -> Iterator[StreamEvent]:
        for piece in self._pieces(value):
            delta = add(piece)
            if delta.text:  # half of a surrogate pair waits for the other one
                yield delta

    def _pieces(self, value: Value) -> Iterator[str]:
        if value.size > _LARGE:
            # Check before decoding. Smaller values are counted afterwards.
            self._limits.check("text", value.size - 2)
        return value.pieces()

    def _unread(self, value: Value, what: str, *, hint: str = HINT) -> None:
        if value.is_null or not value.is_whole:
            return
        msg = f"The reply can't be read completely. {what}"
        self._into.keep_unread(value.raw, MalformedReplyError(msg, hint=hint))


_MESSAGE = {
    *("reasoning", "reasoning_content", "content", "refusal", "images", "image", "image_url"),
    *("tool_calls", "annotations", "audio", *OPAQUE),
}
_CALL = ("index", "id", "call_id", "function", "name", "arguments", "input", "extra_content")


def _index(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:9])
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e9 else None
