"""Reading the body of a response, chunk by chunk, to a whole reply or to a named failure."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from html import unescape

from emby_plugins._chat import ChatReply, Finished, StreamEvent, Usage
from emby_plugins._errors import (
    APIError,
    EmbyError,
    MalformedReplyError,
    ReplyTooLargeError,
    TruncatedReplyError,
)
from emby_plugins._images import PreparedImage, Provenance
from emby_plugins._protocol.accumulator import ReplyAccumulator
from emby_plugins._protocol.body import Inflater, is_object
from emby_plugins._protocol.errors import (
    error_from_event,
    is_unpaid,
    request_id_in,
)
from emby_plugins._protocol.image_decoder import ImageDecoder
from emby_plugins._protocol.image_entry import HINT
from emby_plugins._protocol.lenient import LenientReader
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.loose_json import SMALL
from emby_plugins._protocol.raw import RawJSON
from emby_plugins._protocol.schema import parse_completion
from emby_plugins._protocol.sse import EventDecoder, ServerSentEvent
from emby_plugins._protocol.stop_sequences import StopFilter, cut_reply
from emby_plugins._sinks import MemorySink, Sink
from emby_plugins._text import clean_text

_DONE = b"[DONE]"
_CONTENT = ("text", "images", "reasoning", "thoughts", "tool_calls", "unread")
_EVENT_STREAM = "text/event-stream"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_MOST_QUOTED = 4096
_MOST_UNREAD = 1 << 20


class ReplyReader:
    """Turns a successful response into stream events and a `ChatReply`.

    Whether the body is a stream or a single JSON object is read off its first bytes: some gateways
    only stream, some never do, and some send a wrong content type. `headers` have lower-case
    names. `stop` cuts the text, and `keep_raw` keeps the JSON. `of_images` is a response of the
    images endpoint. Whoever drives it does so within `error_context`, the reading of the network
    included.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        limits: Limits,
        model: str,
        prompt: str,
        new_sink: Callable[[], Sink] = MemorySink,
        stop: Sequence[str] = (),
        keep_raw: bool = False,
        of_images: bool = False,
        estimate: Callable[[Usage, str], Usage] | None = None,
        prepared_images: tuple[PreparedImage, ...] = (),
    ) -> None:
        self._prepared_images = prepared_images
        self.is_done = False
        self._whole_reply: ChatReply | None = None
        self._headers = headers
        self._request_id = request_id_in(headers)
        self._limits = limits
        self._model = model
        self._prompt = prompt
        self._of_images = of_images
        self._estimate = estimate
        self._decoder = ImageDecoder(limits, new_sink)
        # Not a method: in a reference cycle, images would wait for the garbage collector.
        provenance = partial(_provenance, model, prompt, self._request_id)
        self._accumulator = ReplyAccumulator(limits, provenance, self._decoder)
        self._inflate = Inflater(headers.get("content-encoding", ""), limits.wire)
        self._media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._events: EventDecoder | None = None
        self._is_json = False
        self._body = bytearray()
        self._wire_size = 0
        self._has_begun = False
        self._stop = stop
        self._stop_filter = StopFilter(stop) if stop else None
        self._raw = RawJSON(self._decoder, limits) if keep_raw else None

    def feed(self, chunk: bytes) -> Iterable[StreamEvent]:
        """The events that these bytes complete."""
        events = self._feed(chunk)
        return self._stop_filter.apply(events) if self._stop_filter else events

    def close(self) -> Iterable[StreamEvent]:
        """The events that the end of the body completes.

        Raises the first problem with what arrived, if there was one. Raises `TruncatedReplyError`
        when the reply was not finished: a stream must give a finish reason, and so must one that
        ends with `[DONE]`, since gateways hide an upstream death behind it.
        """
        events = self._close()
        return self._stop_filter.apply(events) if self._stop_filter else events

    def _feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        self._wire_size += len(chunk)
        if self._wire_size > self._limits.wire:
            self._limits.check("wire", self._wire_size)
        for piece in self._inflate(chunk):
            data = self._decoder.feed(piece)
            events = self._events
            if events is None:
                data = self._begin(data)
                events = self._events
            if events is not None:
                decoded = events.feed(data)
                try:
                    for event in decoded:
                        if self._raw is not None and event.data != _DONE:
                            self._raw.add(event.data)
                        # Nearly every event is a chunk of the documented form.
                        is_message = event.event == "message"
                        parsed = parse_completion(event.data) if is_message else None
                        if parsed is not None:
                            self._has_begun = True
                            yield from self._accumulator.add(parsed)
                        else:
                            self._accumulator.count()
                            yield from self._take(event)
                            if self.is_done:
                                return
                except EmbyError:
                    # What follows in this chunk is ignored, as it would be in the next one.
                    events.close()
                    raise
            if self._decoder.error is not None:
                raise self._decoder.error
            if self._inflate.is_packed:
                held = self._events.held if self._events is not None else len(self._body)
                self._inflate.check(held + self._accumulator.size)

    def _close(self) -> Iterator[StreamEvent]:
        if self.is_done:
            return
        if self._events is None:
            yield from self._whole()
            return
        # Of what a cut left of [DONE] nothing can be lost.
        for event in self._events.close():
            if not _DONE.startswith(event.data):
                if self._raw is not None:
                    self._raw.add(event.data)
                yield from self._take(event, is_last=True)
        if not self.is_done:
            yield from self._end()

    def is_complete(self) -> bool:
        """Whether nothing is missing from the reply, though its body may go on."""
        if self._events is None:
            return is_object(self._body)
        return self._accumulator.finish_reason is not None

    @property
    def reply(self) -> ChatReply:
        """The reply as far as it has arrived."""
        return self._whole_reply or self._reply_so_far()

    def _reply_so_far(self) -> ChatReply:
        streamed = self._events is not None
        reply = self._accumulator.reply(
            self._model,
            request_id=self._request_id,
            streamed=streamed,
            headers=self._headers,
            prepared_images=self._prepared_images,
            raw=self._raw and self._raw.value(streamed=streamed),
        )
        if self._estimate and reply.usage is not None and reply.usage.cost is None:
            reply = replace(reply, usage=self._estimate(reply.usage, reply.model))
        return cut_reply(reply, self._stop) if self._stop else reply

    @contextmanager
    def error_context(self) -> Iterator[None]:
        """Attach the request id and the partial reply to any error raised inside.

        What arrived is also in `reply`, after Ctrl-C and cancellation too. However it ends, nothing
        is left behind of an image that broke off.
        """
        try:
            yield
        except GeneratorExit:  # the caller has enough
            raise
        except BaseException as error:
            with suppress(EmbyError):
                self._salvage(is_too_large=isinstance(error, ReplyTooLargeError))
            if isinstance(error, EmbyError):
                error.request_id = error.request_id or self._request_id
                partial = self.reply
                if any(getattr(partial, name) for name in _CONTENT):
                    error.partial = partial
            raise
        finally:
            self._decoder.close()

    def may_repeat(self, error: EmbyError) -> bool:
        """Whether the request may be sent again after this error, since nothing can have been paid.

        Every state answers 200 and an error event when a provider refuses a stream
        (upstream-503-stream): as the first event, it equals an error status.
        """
        return not self._has_begun and isinstance(error, APIError) and is_unpaid(error)

    def _begin(self, data: bytes) -> bytes:
        """Keep the body, or a start too short to identify it; return the stream's bytes."""
        self._body += data
        if self._is_json:
            return b""
        # White space identifies nothing and may be long, so drop it rather than keep it.
        del self._body[: len(self._body) - len(self._body.lstrip())]
        is_stream = _is_stream(bytes(self._body[:16]), self._media_type)
        if is_stream is None:
            return b""
        self._is_json = not is_stream
        if self._is_json:
            return b""
        self._events = EventDecoder(self._limits.event)
        data = bytes(self._body)
        self._body.clear()
        return data

    def _take(self, event: ServerSentEvent, *, is_last: bool = False) -> Iterator[StreamEvent]:
        """The events of anything but a chunk of the documented form."""
        if event.data == _DONE:
            yield from self._end()
        elif event.event == "error":
            raise self._failure(event.data, event.data)
        elif event.data:
            yield from self._read_leniently(event.data, is_last=is_last)

    def _whole(self) -> Iterator[StreamEvent]:
        body = bytes(self._body.removeprefix(_BYTE_ORDER_MARK))
        self._body.clear()
        if not body.strip():
            raise TruncatedReplyError("The reply is empty.", hint="Try again.")
        if self._raw is not None:
            self._raw.add(body)
        parsed = None if self._of_images else parse_completion(body)
        if parsed is not None:
            self._has_begun = True
            yield from self._accumulator.add(parsed)
        else:
            yield from self._read_leniently(body)
        yield from self._rest()
        if not self._accumulator.has_choice and self._accumulator.problem is None:
            msg = "The reply has no choices, so there is no message in it."
            error = MalformedReplyError(msg, hint="Is the base URL that of a chat API?")
            self._accumulator.keep_unread(body[:_MOST_UNREAD], error)
        if self._accumulator.problem is not None:
            raise self._accumulator.problem
        yield self._finished()

    def _read_leniently(self, data: bytes, *, is_last: bool = False) -> Iterator[StreamEvent]:
        lenient = self._lenient(data)
        for event in lenient.read():
            self._has_begun = True
            yield event
        if lenient.error is not None:
            # HTTP 200 may carry one.
            raise self._failure(data, lenient.error)
        self._has_begun = True
        if lenient.is_broken and not is_last:
            error = _not_a_reply(data)
            if self._accumulator.has_choice:
                error.hint = HINT
            self._accumulator.keep_unread(data[:_MOST_UNREAD], error)
        elif lenient.is_broken or lenient.is_cut:
            self._accumulator.note(_truncated("The reply ended in the middle of its JSON."))

    def _lenient(self, data: bytes) -> LenientReader:
        images_for = self._prompt.strip() if self._of_images else None
        return LenientReader(
            data, self._accumulator, self._decoder, self._limits, images_for=images_for
        )

    def _rest(self) -> Iterator[StreamEvent]:
        yield from self._accumulator.show_halves()
        yield from self._accumulator.show_rest()

    def _end(self) -> Iterator[StreamEvent]:
        yield from self._rest()
        if self._accumulator.problem is not None:
            raise self._accumulator.problem
        if self._accumulator.finish_reason is None:
            raise _truncated("The reply ended before it was finished.")
        yield self._finished()

    def _finished(self) -> Finished:
        self.is_done = True
        self._whole_reply = self._reply_so_far()
        return Finished(self._whole_reply)

    def _failure(self, data: bytes, error: bytes) -> APIError:
        """The gateway's error in `data`; nothing large is parsed for it."""
        if len(data) > SMALL:
            data = b'{"error":%b}' % error if len(error) < SMALL else data[:2000]
        return error_from_event(data)

    def _salvage(self, *, is_too_large: bool) -> None:
        """Read what can be read of the piece of JSON that is still incomplete."""
        held = len(self._body) if self._events is None else self._events.held
        if not is_too_large or held <= _MOST_UNREAD:
            pending = [ServerSentEvent(bytes(self._body))]
            if self._events is not None:
                pending = self._events.close()
            self._body.clear()
            for event in pending:
                if event.event != "error":
                    for _ in self._lenient(event.data).read():
                        pass
        for _ in self._accumulator.show_rest():
            pass


def _provenance(
    requested: str, prompt: str, request_id: str | None, model: str, created: int | None
) -> Provenance:
    time = None if created is None else _time(created)
    return Provenance(model or requested, prompt, request_id, time)


def _is_stream(head: bytes, media_type: str) -> bool | None:
    """Whether a body that begins like this is a stream; None if more of it must be seen."""
    head = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not head or _BYTE_ORDER_MARK.startswith(head):
        return None
    if head.startswith((b"{", b"[", b"<")):
        return False
    if media_type == _EVENT_STREAM or head.startswith(_FIELDS):
        return True
    return None if any(field.startswith(head) for field in _FIELDS) else False


def _truncated(message: str) -> TruncatedReplyError:
    hint = "What arrived is in error.partial; retrying is a new, paid request."
    return TruncatedReplyError(message, hint=hint)


def _not_a_reply(data: bytes) -> MalformedReplyError:
    """The error for anything but a JSON object; quotes the title of a page, else its beginning."""
    hint = "Is the base URL that of an OpenAI-compatible API?"
    start = data[:_MOST_QUOTED].decode("utf-8", "replace").strip()
    if not start.startswith("<"):
        return MalformedReplyError(f"The response is not valid JSON: {start[:80]!r}.", hint=hint)
    title = _TITLE.search(start)
    text = title[1] if title else _TAG.sub(" ", start)
    shown = clean_text(" ".join(unescape(text).split()), 200)
    msg = f"The response is an HTML page, not a reply: {shown!r}."
    return MalformedReplyError(msg, hint=hint)


def _time(seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
