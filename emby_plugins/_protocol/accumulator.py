"""Deltas become a reply.

One assembler serves both forms of a reply: an unstreamed message is a stream of one delta, so
the two can't come out different. Images have no index on the wire: they are appended, never
merged. Usage comes in several chunks that amend each other.

Receive first, judge later: what can't be read is kept in `unread` and noted as a `problem`, which
the reader raises when the reply has ended. Only a limit raises at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from emby_plugins._chat import (
    ChatReply,
    Citation,
    ImageReceived,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from emby_plugins._errors import (
    EmbyError,
    InvalidImageError,
    MalformedReplyError,
    ReplyTooLargeError,
)
from emby_plugins._images import Image, Provenance
from emby_plugins._protocol.image_decoder import ImageDecoder
from emby_plugins._protocol.image_entry import HINT, ImageReader
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.loose_json import parse_small
from emby_plugins._protocol.schema import Completion, ImagePart, ImageURL, TextPart, ToolCallItem
from emby_plugins._protocol.usage import amended, parse_usage

_MOST_CITATIONS = 1000
_MOST_UNREAD = 1000
# What a tool call or an unread piece takes beside its text: empty ones count against the limit.
_OVERHEAD = 512
_MANY = 4096


class _Text(list[str]):
    """Text in pieces, joined in blocks: many small ones take many times the memory of the text."""

    __slots__ = ("_full",)

    def __init__(self) -> None:
        self._full = _MANY

    def add(self, piece: str) -> None:
        """Add a piece."""
        self.append(piece)
        if len(self) >= self._full:
            # Only what came since the last time, so that each piece is joined once.
            first = self._full - _MANY
            self[first:] = ["".join(self[first:])]
            self._full += 1


class _Call:
    """A tool call in the making."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self, id: str) -> None:  # noqa: A002 - the contract's own name for it
        self.id = id
        self.name = ""
        self.arguments = _Text()


@dataclass(slots=True)
class Fragment:
    """A tool call, or a piece of one, as it stands on the wire."""

    index: int | None
    id: str
    name: str
    arguments: str


class ReplyAccumulator:
    """Collects the chunks of one reply.

    `provenance` makes the record that each image carries, from the model that answered and the
    time in the reply, in seconds since 1970. `decoder` holds the images decoded on the way.
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
        """The memory that the text takes, reasoning, tool calls and unread pieces included."""
        self._limits = limits
        self._provenance = provenance
        self._decoder = decoder
        self._image_reader = ImageReader(decoder, limits)
        self._text, self._reasoning = _Text(), _Text()
        self._images: list[Image] = []
        self._calls: dict[int, _Call] = {}
        self._index_by_id: dict[str, int] = {}
        self._last_index = -1
        self._citations: list[Citation] = []
        self._unread: list[bytes] = []
        self._usage: dict[str, Any] | None = None
        self._id = self._model = ""
        self._created: int | None = None
        self._fingerprint: str | None = None
        self._metadata: dict[str, Any] = {}

    def add(self, chunk: Completion) -> Iterator[StreamEvent]:
        """The events that one chunk, or one whole reply, amounts to.

        Raises `ReplyTooLargeError`; what came before is kept.
        """
        self._note(chunk)
        for choice in chunk.choices or ():
            self.has_choice = True
            message = choice.delta or choice.message
            if message is not None:
                reasoning = message.reasoning or message.reasoning_content
                if reasoning:
                    yield self.reason(reasoning)
                content = message.content
                if isinstance(content, str):
                    if content:
                        yield self.say(content)
                elif content:
                    yield from self._parts(content)
                if message.refusal:
                    yield self.say(message.refusal)
                for image in message.images or ():
                    yield from self._shown(image.image_url)
                for item in message.tool_calls or ():
                    yield self._called(item)
                if message.annotations:
                    self.cite(bytes(message.annotations))
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason

    def reply(self, request_id: str | None = None, *, streamed: bool = False) -> ChatReply:
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
            streamed=streamed,
            unread=tuple(self._unread),
        )

    def say(self, text: str) -> TextDelta:
        """Add to the text."""
        self._grow(text)
        self._text.add(text)
        return TextDelta(text)

    def reason(self, text: str) -> ReasoningDelta:
        """Add to the reasoning."""
        self._grow(text)
        self._reasoning.add(text)
        return ReasoningDelta(text)

    def show(
        self,
        entry: bytes,
        *,
        is_whole: bool = True,
        otherwise: MalformedReplyError | None = None,
    ) -> Iterator[ImageReceived]:
        """Add the image of an entry, given as JSON; keep the entry if it can't be read.

        `otherwise` is the problem if the entry holds no image, where it need not be one.
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
        """Add the images that were decoded in a place where none is documented."""
        for image in self._decoder.take_all():
            if image not in self._images:
                yield self._received(image)

    def call(self, fragment: Fragment) -> ToolCallDelta:
        """Add a tool call, or a piece of one."""
        name, arguments = fragment.name, fragment.arguments
        self._grow(arguments)
        index = self._index_of(fragment)
        call = self._calls.get(index)
        new = call is None
        if call is None:
            call = self._new_call(index, fragment.id or f"call_{index}")
        # A name that comes with every fragment is told once, as hosts join what they are told.
        name = "" if call.name else name
        call.name = call.name or name
        call.arguments.add(arguments)
        return ToolCallDelta(index, call.id if new else "", name, arguments)

    def cite(self, annotations: bytes) -> None:
        """Add citations. They only inform: beyond a thousand, and odd ones, are left out."""
        entries = parse_small(annotations)
        if isinstance(entries, list):
            room = max(0, _MOST_CITATIONS - len(self._citations))
            self._citations += map(_citation, entries[:room])

    def keep_unread(self, raw: bytes, problem: EmbyError) -> None:
        """Keep what can't be read as it was received; the first problem is raised in the end."""
        self.note(problem)
        self._charge(len(raw) + _OVERHEAD)
        self._unread.append(self._decoder.abridge(raw))

    def note(self, problem: EmbyError) -> None:
        """Note what is wrong with the reply; the first problem is raised in the end."""
        self.problem = self.problem or problem

    def note_usage(self, usage: bytes) -> None:
        """Take what a call used; odd values count as not given."""
        counts = parse_small(usage)
        if isinstance(counts, dict):
            self._usage = amended(self._usage or {}, counts)

    def note_metadata(self, metadata: bytes) -> None:
        """Take the gateway's metadata, if it is a small object."""
        values = parse_small(metadata)
        if isinstance(values, dict):
            self._metadata = values

    def note_names(self, id: object, model: object, created: object) -> None:  # noqa: A002
        """Take what names the reply; odd values count as not given."""
        if isinstance(model, str) and model:
            self._model = model
        if isinstance(id, str | int) and id:
            self._id = str(id)
        if isinstance(created, int | float):
            self._created = _whole(created)

    def note_fingerprint(self, fingerprint: object) -> None:
        """Take the fingerprint of the system that answered, if it is one."""
        if isinstance(fingerprint, str):
            self._fingerprint = fingerprint

    def _note(self, chunk: Completion) -> None:
        # Most chunks repeat what the last one said, and this runs for every one of them.
        if chunk.model != self._model or chunk.id != self._id or chunk.created != self._created:
            self.note_names(chunk.id, chunk.model, chunk.created)
        if chunk.system_fingerprint is not None:
            self._fingerprint = chunk.system_fingerprint
        if chunk.metadata:
            self.note_metadata(bytes(chunk.metadata))
        if chunk.usage:
            self.note_usage(bytes(chunk.usage))

    def _parts(self, parts: list[TextPart | ImagePart]) -> Iterator[StreamEvent]:
        for part in parts:
            if isinstance(part, ImagePart):
                yield from self._shown(part.image_url)
            else:
                yield self.say(part.text)

    def _shown(self, source: ImageURL | str) -> Iterator[ImageReceived]:
        if isinstance(source, ImageURL):
            url = memoryview(source.url)
            image = self._decoder.take(url)
            if image is not None:
                yield self._received(image)
                return
            # The image reader wants to see the key of a URL.
            source_json = b'{"url":%b}' % bytes(url)
        else:
            source_json = msgspec.json.encode(source)
        yield from self.show(source_json)

    def _received(self, image: Image) -> ImageReceived:
        self._limits.check("images", len(self._images) + 1)
        image = image.with_provenance(self._provenance(self._model, self._created))
        self._images.append(image)
        return ImageReceived(image, len(self._images) - 1)

    def _called(self, item: ToolCallItem) -> ToolCallDelta:
        function = item.function
        name, arguments = (function.name, function.arguments) if function else ("", "")
        return self.call(Fragment(item.index, item.id or "", name or "", arguments or ""))

    def _grow(self, text: str) -> None:
        # One character of an unusual alphabet makes all of a string four times as large.
        self.size += len(text) if text.isascii() else 4 * len(text)
        if self.size > self._limits.text:
            self._limits.check("text", self.size)

    def _charge(self, size: int) -> None:
        self.size += size
        if self.size > self._limits.text:
            self._limits.check("text", self.size)

    def _index_of(self, fragment: Fragment) -> int:
        """Where a call, or a fragment of one, belongs.

        By its index; but a named call of another id is another call, whatever index it is given.
        Without an index: to the call of its id, else behind the last where it is named.
        """
        index = fragment.index
        if index is not None:
            there = self._calls.get(index)
            if there is None or not fragment.name or fragment.id in ("", there.id):
                return index
        if fragment.id:
            return self._index_by_id.get(fragment.id, self._last_index + 1)
        return self._last_index + 1 if fragment.name else max(self._last_index, 0)

    def _new_call(self, index: int, id: str) -> _Call:  # noqa: A002
        self._charge(_OVERHEAD)
        call = self._calls[index] = _Call(id)
        self._index_by_id[id] = index
        self._last_index = max(self._last_index, index)
        return call


def _whole(number: float) -> int | None:
    try:
        return int(number)
    except (ValueError, OverflowError):
        return None


def _citation(annotation: object) -> Citation:
    cited = annotation.get("url_citation") if isinstance(annotation, dict) else None
    if not isinstance(cited, dict):
        return Citation(url="", title=str(annotation)[:200])
    return Citation(url=str(cited.get("url") or ""), title=str(cited.get("title") or ""))
