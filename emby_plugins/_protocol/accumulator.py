"""Accumulate deltas into a reply.

Streamed and unstreamed replies share this accumulator: an unstreamed message is a stream with one
delta, so both give the same result. Images have no index on the wire, so they are appended, never
merged. Usage arrives in several chunks that complement each other.

Unreadable content doesn't stop the reply: its value is kept in `unread` and recorded as a
`problem`, which the reader raises at the end. Only an exceeded limit raises immediately.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from emby_plugins._chat import (
    ChatReply,
    Citation,
    ImageReceived,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
)
from emby_plugins._errors import (
    EmbyError,
    InvalidImageError,
    MalformedReplyError,
    ReplyTooLargeError,
)
from emby_plugins._images import Image, Provenance
from emby_plugins._protocol.citations import parse_citation
from emby_plugins._protocol.image_decoder import ImageDecoder
from emby_plugins._protocol.image_entry import HINT, ImageReader
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.loose_json import parse_small
from emby_plugins._protocol.pieces import Pieces
from emby_plugins._protocol.reasoning import OpaqueReasoning
from emby_plugins._protocol.schema import (
    Completion,
    ImagePart,
    ImageURL,
    MessageItem,
    RefusalPart,
    TextPart,
    ToolCallItem,
)
from emby_plugins._protocol.tool_calls import Fragment, ToolCalls
from emby_plugins._protocol.usage import amended, parse_usage
from emby_plugins._text import clean_text

_MAX_NAME = 600
_MAX_CITATIONS = 1000
_MOST_UNREAD = 1000
# Memory of a tool call or an unread piece besides its text, so that empty ones count as well.
_OVERHEAD = 512
# The memory of a small Python object; JSON has one for each bracket or comma.
_OBJECT = 64


class ReplyAccumulator:
    """Accumulates the chunks of one reply.

    `provenance` creates the record attached to each image, from the model that answered and the
    creation time in seconds since 1970. `decoder` holds the images decoded while receiving.
    """

    def __init__(
        self,
        limits: Limits,
        provenance: Callable[[str, int | None], Provenance],
        decoder: ImageDecoder,
    ) -> None:
        self.finish_reason: str | None = None
        self.has_choice = False
        self.problem: EmbyError | None = None
        self.size = 0
        """Approximate memory of the text, reasoning, tool calls and unread pieces, in bytes."""
        self._entries = 0
        self._limits = limits
        self._provenance = provenance
        self._decoder = decoder
        self._image_reader = ImageReader(decoder, limits)
        self._text, self._reasoning, self._refusal = Pieces(), Pieces(), Pieces()
        self._opaque = OpaqueReasoning()
        self._images: list[Image] = []
        self._calls = ToolCalls()
        self._citations: list[Citation] = []
        self._unread: list[bytes] = []
        self._usage: dict[str, Any] | None = None
        self._id = self._model = ""
        self._created: int | None = None
        self._fingerprint: str | None = None
        self._metadata: dict[str, Any] = {}

    def add(self, chunk: Completion) -> Iterator[StreamEvent]:
        """Yield the events of one chunk, or of one complete reply.

        Raises `ReplyTooLargeError`; what was added before is kept.
        """
        self._add_envelope(chunk)
        choices = chunk.choices or ()
        if len(choices) > 1:
            self.count(len(choices) - 1)
        for choice in choices:
            self.has_choice = True
            message = choice.delta or choice.message
            if message is not None:
                if message.reasoning or message.reasoning_content or message.reasoning_details:
                    yield from self._think(message, is_delta=choice.delta is not None)
                content = message.content
                if isinstance(content, str):
                    if content:
                        yield self.say(content)
                elif content:
                    yield from self._parts(content)
                if message.refusal:
                    yield self.refuse(message.refusal)
                for image in message.images or ():
                    yield from self._add_image(image.image_url)
                if message.tool_calls:
                    self.count(len(message.tool_calls) - 1)
                    for item in message.tool_calls:
                        yield self._add_tool_call(item, is_whole=choice.delta is None)
                if message.annotations:
                    self.cite(bytes(message.annotations))
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason

    def reply(self, requested_model: str = "", **received: Any) -> ChatReply:
        """Return the reply received so far; `received` are fields that do not come in chunks.

        Its reasoning is for `requested_model`.
        """
        reasoning = "".join(self._reasoning)
        return ChatReply(
            text="".join(self._text),
            refusal="".join(self._refusal),
            images=tuple(self._images),
            reasoning=reasoning,
            thoughts=self._opaque.value(reasoning, requested_model),
            tool_calls=self._calls.value(),
            citations=tuple(self._citations),
            usage=None if self._usage is None else parse_usage(self._usage),
            finish_reason=self.finish_reason,
            model=self._model,
            id=self._id,
            created=self._created,
            system_fingerprint=self._fingerprint,
            metadata=self._metadata,
            unread=tuple(self._unread),
            **received,
        )

    def say(self, text: str) -> TextDelta:
        """Append text."""
        self._grow(text)
        return TextDelta(self._text.add(text))

    def reason(self, text: str, name: str = "") -> ReasoningDelta:
        """Append reasoning, which came in the field `name` if it can be sent back in it."""
        self._grow(text)
        if name:
            self._opaque.note_name(name)
        return ReasoningDelta(self._reasoning.add(text))

    def refuse(self, text: str) -> RefusalDelta:
        """Append text that is a refusal."""
        self._grow(text)
        self._text.add(text)
        return RefusalDelta(self._refusal.add(text))

    def keep_opaque(self, name: str, value: bytes, *, is_delta: bool) -> str:
        """Keep a field of the message for its model; return the text that can be read in it."""
        self._charge_objects(value)
        return self._opaque.add(name, self._decoder.restore(value), is_delta=is_delta)

    def show(
        self,
        entry: bytes,
        *,
        is_whole: bool = True,
        otherwise: MalformedReplyError | None = None,
    ) -> Iterator[ImageReceived]:
        """Add the image of an entry, given as JSON; keep the entry if it can't be read.

        `otherwise` is the problem to record for an entry that doesn't have to be an image.
        """
        try:
            image = self._image_reader.read(entry, is_image=otherwise is None)
        except (InvalidImageError, MalformedReplyError) as error:
            if len(self._unread) >= _MOST_UNREAD:
                msg = f"The reply has more than {_MOST_UNREAD:,} entries that can't be read."
                raise ReplyTooLargeError(msg, hint=HINT) from None
            if is_whole:
                is_image = isinstance(error, InvalidImageError)
                self.keep_unread(entry, error if is_image else otherwise or error)
        else:
            yield self._received(image)

    def show_rest(self) -> Iterator[ImageReceived]:
        """Add the images that were decoded from undocumented fields."""
        for image in self._decoder.take_all():
            if image not in self._images:
                yield self._received(image)

    def show_halves(self) -> Iterator[StreamEvent]:
        """Add U+FFFD for each half of a surrogate pair without its other half."""
        if rest := self._reasoning.finish():
            yield ReasoningDelta(rest)
        refused = self._refusal.finish()
        if rest := self._text.finish():
            yield RefusalDelta(rest) if refused else TextDelta(rest)
        yield from self._calls.finish()

    def call(self, fragment: Fragment) -> ToolCallDelta:
        """Add a tool call, or a fragment of one."""
        self._grow(fragment.arguments)
        delta = self._calls.add(fragment)
        if delta.id:
            self._charge(_OVERHEAD)
        if fragment.extra:
            self._charge_objects(fragment.extra)
            self._opaque.add_to_call(self._calls.id_at(delta.index), fragment.extra)
        return delta

    def cite(self, annotations: bytes) -> None:
        """Add citations, at most a thousand. They only inform, so malformed ones are ignored."""
        entries = parse_small(annotations)
        if isinstance(entries, list):
            free = max(0, _MAX_CITATIONS - len(self._citations))
            self._citations += map(parse_citation, entries[:free])

    def count(self, entries: int = 1) -> None:
        """Count entries of lists against the limit."""
        self._entries += entries
        if self._entries > self._limits.entries:
            self._limits.check("entries", self._entries)

    def keep_unread(self, raw: bytes, problem: EmbyError) -> None:
        """Keep unreadable content as received; the first problem is raised at the end."""
        self.note(problem)
        self._charge(len(raw) + _OVERHEAD)
        self._unread.append(self._decoder.abridge(raw))

    def note(self, problem: EmbyError) -> None:
        """Record a problem with the reply; the first one is raised at the end."""
        self.problem = self.problem or problem

    def note_usage(self, usage: bytes) -> None:
        """Set or complete the usage; malformed values are ignored."""
        counts = parse_small(usage)
        if isinstance(counts, dict):
            self._usage = amended(self._usage or {}, counts)

    def note_metadata(self, metadata: bytes) -> None:
        """Set the gateway's metadata, ignoring anything but a small object."""
        values = parse_small(metadata)
        if isinstance(values, dict):
            self._metadata = values

    def note_names(self, id: object, model: object, created: object) -> None:  # noqa: A002
        """Set the id, model and creation time; malformed values are ignored."""
        if isinstance(model, str) and model:
            self._model = clean_text(model, _MAX_NAME)
        if isinstance(id, str | int) and id:
            self._id = clean_text(str(id), _MAX_NAME)
        if isinstance(created, int | float):
            self._created = _whole(created)

    def note_fingerprint(self, fingerprint: object) -> None:
        """Set the system fingerprint, ignoring anything but a string."""
        if isinstance(fingerprint, str):
            self._fingerprint = fingerprint

    def _add_envelope(self, chunk: Completion) -> None:
        # A hot path: this runs for every chunk, and most repeat the values of the previous one.
        if chunk.model != self._model or chunk.id != self._id or chunk.created != self._created:
            self.note_names(chunk.id, chunk.model, chunk.created)
        if chunk.system_fingerprint is not None:
            self._fingerprint = chunk.system_fingerprint
        if chunk.metadata:
            self.note_metadata(bytes(chunk.metadata))
        if chunk.usage:
            self.note_usage(bytes(chunk.usage))

    def _think(self, message: MessageItem, *, is_delta: bool) -> Iterator[StreamEvent]:
        text = name = ""
        if message.reasoning:
            text, name = message.reasoning, "reasoning"
        elif message.reasoning_content:
            text, name = message.reasoning_content, "reasoning_content"
        if message.reasoning_details:
            details = bytes(message.reasoning_details)
            readable = self.keep_opaque("reasoning_details", details, is_delta=is_delta)
            text = text or readable
        if text:
            yield self.reason(text, name)

    def _parts(self, parts: list[TextPart | ImagePart | RefusalPart]) -> Iterator[StreamEvent]:
        self.count(len(parts) - 1)
        for part in parts:
            if isinstance(part, ImagePart):
                yield from self._add_image(part.image_url)
            elif isinstance(part, RefusalPart):
                yield self.refuse(part.refusal)
            else:
                yield self.say(part.text)

    def _add_image(self, source: ImageURL | str) -> Iterator[ImageReceived]:
        if isinstance(source, ImageURL):
            url = memoryview(source.url)
            image = self._decoder.take(url)
            if image is not None:
                yield self._received(image)
                return
            # The image reader decides by the key, so wrap the URL again.
            source_json = b'{"url":%b}' % bytes(url)
        else:
            source_json = msgspec.json.encode(source)
        yield from self.show(source_json)

    def _received(self, image: Image) -> ImageReceived:
        self._limits.check("images", len(self._images) + 1)
        image = image.with_provenance(self._provenance(self._model, self._created))
        self._images.append(image)
        return ImageReceived(image, len(self._images) - 1)

    def _add_tool_call(self, item: ToolCallItem, *, is_whole: bool) -> ToolCallDelta:
        function = item.function
        name, arguments = (function.name, function.arguments) if function else ("", "")
        words = (item.id or "", name or "", arguments or "")
        return self.call(Fragment(item.index, *words, bytes(item.extra_content), is_whole=is_whole))

    def _grow(self, text: str) -> None:
        # A single character beyond U+FFFF makes CPython store the string in 4 bytes each.
        self.size += len(text) if text.isascii() else 4 * len(text)
        # Compared here, to save a call for each delta.
        if self.size > self._limits.text:
            self._limits.check("text", self.size)

    def _charge_objects(self, raw: bytes) -> None:
        """Charge for JSON that is kept as Python objects."""
        self._charge(len(raw) + _OBJECT * sum(raw.count(byte) for byte in (b"{", b"[", b",")))

    def _charge(self, size: int) -> None:
        self.size += size
        if self.size > self._limits.text:
            self._limits.check("text", self.size)


def _whole(number: float) -> int | None:
    try:
        return int(number)
    except (ValueError, OverflowError):
        return None
