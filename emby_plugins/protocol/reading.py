"""Reading the body of a response, chunk by chunk, to a whole reply or to a named failure."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from emby_plugins.chat import ChatReply, Finished, StreamEvent
from emby_plugins.errors import (
    APIError,
    EmbyError,
    MalformedReplyError,
    ReplyError,
    ReplyTooLargeError,
    TruncatedReplyError,
)
from emby_plugins.images import Provenance
from emby_plugins.protocol.assembly import Assembler
from emby_plugins.protocol.failures import conceal, failure_in, is_unpaid, request_id_in
from emby_plugins.protocol.image_decoder import ImageDecoder, MemorySink, Sink
from emby_plugins.protocol.limits import Limits
from emby_plugins.protocol.sse import EventDecoder, ServerSentEvent
from emby_plugins.protocol.wire import parse_completion

_DONE = b"[DONE]"


class ReplyReader:
    """Turns a successful response into stream events and a `ChatReply`.

    Reads a stream or a single JSON object, as the response's content type says and whatever was
    asked for: some gateways only stream, some never do. `headers` have lower-case names. `secret`
    reveals what is blotted out of an error; it is called late, so that no traceback shows it.
    Whoever drives it does so within `guard`, the reading of the network included.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        limits: Limits,
        model: str,
        prompt: str,
        secret: Callable[[], str] = str,
        new_sink: Callable[[], Sink] = MemorySink,
    ) -> None:
        self.is_done = False
        self._request_id = request_id_in(headers, secret())
        self._secret = secret
        self._limits = limits
        self._model = model
        self._prompt = prompt
        self._decoder = ImageDecoder(limits, new_sink)
        self._assembler = Assembler(limits, self._provenance, self._decoder.image)
        self._inflate = Inflater(headers.get("content-encoding", ""), limits.wire)
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._events = EventDecoder(limits.event) if media_type == "text/event-stream" else None
        self._body: list[bytes] = []
        self._wire_size = 0
        self._has_begun = False

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """The events that these bytes complete."""
        self._wire_size += len(chunk)
        if self._wire_size > self._limits.wire:
            self._limits.check("wire", self._wire_size)
        chunk = self._decoder.feed(self._inflate(chunk))
        if self._events is None:
            self._body.append(chunk)
            return
        for event in self._events.feed(chunk):
            yield from self._take(event)
            if self.is_done:
                return

    def close(self) -> Iterator[StreamEvent]:
        """The events that the end of the body completes.

        Raises `TruncatedReplyError` when the reply was not finished: a stream must give a
        finish reason, and so must one that ends with `[DONE]`, since gateways hide an upstream
        death behind it.
        """
        if self.is_done:
            return
        if self._events is None:
            yield from self._whole(b"".join(self._body))
        else:
            yield from self._last(self._events.close())

    @property
    def reply(self) -> ChatReply:
        """The reply as far as it has arrived."""
        reply = self._assembler.reply(self._request_id)
        return replace(reply, streamed=self._events is not None)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Everything read is read within: notes on an error the request id and what had arrived.

        However it ends, nothing is left behind of an image that broke off.
        """
        try:
            yield
        except EmbyError as error:
            error.request_id = error.request_id or self._request_id
            conceal(error, self._secret())
            partial = self.reply
            if partial.text or partial.images or partial.reasoning or partial.tool_calls:
                error.partial = partial
            raise
        finally:
            self._decoder.close()

    def may_repeat(self, error: EmbyError) -> bool:
        """Whether the request may be sent again after this error, since nothing can have been paid.

        Every state answers 200 and an error event where a provider refuses a stream
        (upstream-503-stream): as the first thing that came, it is as good as an error status.
        """
        return not self._has_begun and isinstance(error, APIError) and is_unpaid(error)

    def _take(self, event: ServerSentEvent) -> list[StreamEvent]:
        data = event.data
        if data == _DONE:
            return [self._end()]
        if event.event == "error":
            raise failure_in(data, secret=self._secret())
        chunk = parse_completion(data)
        if chunk.error:
            raise failure_in(data, secret=self._secret())
        self._has_begun = True
        return self._assembler.add(chunk)

    def _last(self, events: list[ServerSentEvent]) -> Iterator[StreamEvent]:
        for event in events:
            if _DONE.startswith(event.data):
                # All of it, or what a cut left of it: there is no content in it to lose.
                continue
            try:
                yield from self._take(event)
            except ReplyError as error:
                if not isinstance(error, ReplyTooLargeError):
                    raise self._truncated() from None
                raise
        if not self.is_done:
            yield self._end()

    def _whole(self, body: bytes) -> Iterator[StreamEvent]:
        if not body.strip():
            raise TruncatedReplyError("The reply is empty.", hint="Try again.")
        completion = parse_completion(body)
        if completion.error:
            # HTTP 200 may carry one.
            raise failure_in(body, secret=self._secret())
        self._has_begun = True
        yield from self._assembler.add(completion)
        if not self._assembler.has_choice:
            msg = "The reply has no choices, so there is no message in it."
            raise MalformedReplyError(msg, hint="Is the base URL that of a chat API?")
        yield self._finished()

    def _end(self) -> Finished:
        if self._assembler.finish_reason is None:
            raise self._truncated()
        return self._finished()

    def _finished(self) -> Finished:
        self.is_done = True
        return Finished(self.reply)

    def _truncated(self) -> TruncatedReplyError:
        hint = "What had arrived is in error.partial; asking again is a new, paid request."
        return TruncatedReplyError("The reply ended before it was finished.", hint=hint)

    def _provenance(self, model: str, created: int | None) -> Provenance:
        time = None if created is None else _time(created)
        return Provenance(model or self._model, self._prompt, self._request_id, time)


def _time(seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


class BodyReader:
    """Collects a body that is no reply; raises `ReplyTooLargeError` beyond `most` bytes."""

    def __init__(self, headers: Mapping[str, str], most: int) -> None:
        self._inflate = Inflater(headers.get("content-encoding", ""), most)
        self._most = most
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take these bytes."""
        self._body += self._inflate(chunk)
        if len(self._body) > self._most:
            raise ReplyTooLargeError(f"The response is larger than {self._most:,} bytes.")

    @property
    def body(self) -> bytes:
        """What was collected."""
        return bytes(self._body)


class Inflater:
    """Undoes a content encoding that nobody asked for, never beyond `most` bytes in all.

    Stacked encodings are refused: two kilobytes of nested gzip hold a gigabyte.
    """

    def __init__(self, encoding: str, most: int) -> None:
        name = encoding.strip().lower()
        if name not in {"", "identity", "gzip", "deflate"}:
            msg = f"The reply is compressed as {name[:80]!r}, which was not asked for."
            raise MalformedReplyError(msg, hint="Emby's replies come uncompressed: is it a proxy?")
        self._inflate = (
            zlib.decompressobj(zlib.MAX_WBITS | 32) if name in {"gzip", "deflate"} else None
        )
        self._left = most

    def __call__(self, chunk: bytes) -> bytes:
        """The bytes that `chunk` stands for."""
        if self._inflate is None:
            return chunk
        try:
            data = self._inflate.decompress(chunk, self._left + 1)
        except zlib.error as error:
            raise MalformedReplyError(f"The reply's compression is broken: {error}.") from None
        self._left -= len(data)
        if self._left < 0:
            raise ReplyTooLargeError("The reply unpacks to more than Limits(wire=...) allows.")
        return data
