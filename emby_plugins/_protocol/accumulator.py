"""Accumulate deltas into a reply.

Streamed and unstreamed replies share this accumulator: an unstreamed message is a stream with one
delta, so both give the same result. Images have no index on the wire, so they are appended, never
merged. Usage arrives in several chunks that complement each other.

Unreadable content doesn't stop the reply: it is kept in `unread` and recorded as a `problem`, which
the reader raises at the end. Only an exceeded limit raises immediately.
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
    ToolCallDelta,
)
from emby_plugins._errors import (
    EmbyError,
    InvalidImageError,
    MalformedReplyError,
    ReplyTooLargeError,
)
from emby_plugins._images import Image, Provenance
from emby_plugins._messages import ToolCall
from emby_plugins._protocol.image_decoder import ImageDecoder
from emby_plugins._protocol.image_entry import HINT, ImageReader
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.loose_json import parse_small
from emby_plugins._protocol.schema import Completion, ImagePart, ImageURL, TextPart, ToolCallItem
from emby_plugins._protocol.usage import amended, parse_usage
from emby_plugins._text import clean_text

_MAX_NAME = 600
_MAX_CITATIONS = 1000
_MOST_UNREAD = 1000
# Memory of a tool call or an unread piece besides its text, so that empty ones count as well.
_OVERHEAD = 512
_MANY = 4096


class _Text(list[str]):
    """Text in pieces. Joined in blocks: a small `str` takes many times the memory of its text."""

    __slots__ = ("_full",)

    def __init__(self) -> None:
        self._full = _MANY

    def add(self, piece: str) -> None:
        """Add a piece."""
        self.append(piece)
        if len(self) >= self._full:
            # Only the pieces since the last join, so that each piece is copied once.
            first = self._full - _MANY
            self[first:] = ["".join(self[first:])]
            self._full += 1


class _Call:
    """A tool call that is still being received."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self, id: str) -> None:  # noqa: A002 - its name on the wire
        self.id = id
        self.name = ""
        self.arguments = _Text()


@dataclass(slots=True)
class Fragment:
    """A tool call, or a fragment of one, as received."""

    index: int | None
    id: str
    name: str
    arguments: str


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
        """Yield the events of one chunk, or of one complete reply.

        Raises `ReplyTooLargeError`; what was added before is kept.
        """
        self._add_envelope(chunk)
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
                    yield from self._add_image(image.image_url)
                for item in message.tool_calls or ():
                    yield self._add_tool_call(item)
                if message.annotations:
                    self.cite(bytes(message.annotations))
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason

    def reply(self, **received: Any) -> ChatReply:
        """Return the reply received so far; `received` are fields that do not come in chunks."""
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
            system_fingerprint=self._fingerprint,
            metadata=self._metadata,
            unread=tuple(self._unread),
            **received,
        )

    def say(self, text: str) -> TextDelta:
        """Append text."""
        self._grow(text)
        self._text.add(text)
        return TextDelta(text)

    def reason(self, text: str) -> ReasoningDelta:
        """Append reasoning."""
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

    def call(self, fragment: Fragment) -> ToolCallDelta:
        """Add a tool call, or a fragment of one."""
        name, arguments = fragment.name, fragment.arguments
        self._grow(arguments)
        index = self._index_of(fragment)
        call = self._calls.get(index)
        new = call is None
        if call is None:
            call = self._new_call(index, fragment.id or f"call_{index}")
        # Some gateways repeat the name in every fragment. Hosts concatenate names, so emit it once.
        name = "" if call.name else name
        call.name = call.name or name
        call.arguments.add(arguments)
        return ToolCallDelta(index, call.id if new else "", name, arguments)

    def cite(self, annotations: bytes) -> None:
        """Add citations, at most a thousand. They only inform, so malformed ones are ignored."""
        entries = parse_small(annotations)
        if isinstance(entries, list):
            free = max(0, _MAX_CITATIONS - len(self._citations))
            self._citations += map(_citation, entries[:free])

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
        """Set the gateway's metadata, if it is a small object."""
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
        """Set the system fingerprint, if it is a string."""
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

    def _parts(self, parts: list[TextPart | ImagePart]) -> Iterator[StreamEvent]:
        for part in parts:
            if isinstance(part, ImagePart):
                yield from self._add_image(part.image_url)
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

    def _add_tool_call(self, item: ToolCallItem) -> ToolCallDelta:
        function = item.function
        name, arguments = (function.name, function.arguments) if function else ("", "")
        return self.call(Fragment(item.index, item.id or "", name or "", arguments or ""))

    def _grow(self, text: str) -> None:
        # A single character beyond U+FFFF makes CPython store the string in 4 bytes each.
        self.size += len(text) if text.isascii() else 4 * len(text)
        if self.size > self._limits.text:
            self._limits.check("text", self.size)

    def _charge(self, size: int) -> None:
        self.size += size
        if self.size > self._limits.text:
            self._limits.check("text", self.size)

    def _index_of(self, fragment: Fragment) -> int:
        """Return the index of the call that a fragment belongs to.

        The fragment's own index counts, unless it has a name and another id than the call at that
        index: then it is a new call, since some gateways give all calls index 0. A fragment
        without an index belongs to the call with its id. Otherwise a named one starts a new call
        and an unnamed one continues the last.
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
