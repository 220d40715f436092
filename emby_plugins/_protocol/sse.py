"""Server-sent events, decoded from bytes as they arrive.

Implements the event stream format of the HTML standard, section 9.2 "Server-sent events",
as far as chat streams use it: `data` and `event`; `id`, `retry` and comments are ignored.
Lines end only at CR, LF or CRLF: U+2028 within text is text.
"""

import re

import msgspec

from emby_plugins._errors import ReplyTooLargeError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ONE_EVENT = re.compile(rb"data: (.*)\n\n").fullmatch


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event: its data as bytes, and its type, `message` by default."""

    data: bytes
    event: str = "message"


class EventDecoder:
    """Decodes an event stream, split into chunks at any position.

    Buffers at most `max_event_bytes` of an unfinished event, then raises `ReplyTooLargeError`.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        # A bytearray, since a list of many small pieces takes many times their size.
        self._line = bytearray()
        self._data: bytes | bytearray | None = None
        self._event = "message"
        self.held = 0
        """Number of buffered bytes of an unfinished event."""
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that `chunk` completes."""
        is_idle = self._data is None and not (self._line or self._after_cr)
        whole = _ONE_EVENT(chunk) if is_idle and len(chunk) <= self._max else None
        if whole and chunk.find(b"\r") < 0:  # the pattern itself refuses only LF
            # The common case, in half the time.
            self._first = False
            event, self._event = self._event, "message"
            return [ServerSentEvent(whole[1], event)]
        if self._after_cr and chunk:
            # The LF of a CRLF split across chunks doesn't end another line.
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        lines = chunk.splitlines()
        rest = b"" if chunk.endswith((b"\n", b"\r")) else lines.pop()
        self._after_cr = chunk.endswith(b"\r")
        events: list[ServerSentEvent] = []
        if lines and self._line:
            lines[0] = self._ended(lines[0])
        for line in lines:
            if not line:
                self._dispatch(events)
            elif line.startswith(b"data: "):
                # The common case. A first line with a byte order mark doesn't match.
                if self._data is None:
                    self._data = line[6:]
                else:
                    self._add(line[6:])
                self._hold(len(line) - 6)
            else:
                self._take(line, events)
        if rest:
            self._line += rest
            self._hold(len(rest))
        return events

    def close(self) -> list[ServerSentEvent]:
        """Return the last event, if the stream ended without its blank line.

        The standard discards it, but it may be the last piece of a paid reply.
        """
        events: list[ServerSentEvent] = []
        if self._line:
            self._take(self._ended(b""), events)
        self._dispatch(events)
        return events

    def _ended(self, end: bytes) -> bytes:
        """Return a line received in pieces; from here on its value counts as buffered instead."""
        self.held -= len(self._line)
        self._line += end
        line = bytes(self._line)
        self._line = bytearray()
        return line

    def _add(self, value: bytes) -> None:
        if self._data is None:
            self._data = value
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += b"\n"
        self._data += value

    def _take(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        name, _, value = line.partition(b":")
        if name == b"data":
            self._add(value.removeprefix(b" "))
            self._hold(len(value))
        elif name == b"event":
            self._event = value.removeprefix(b" ").decode("utf-8", "replace") or "message"
        elif line.startswith(b"{"):
            # Not in the standard, but some gateways write a bare error object.
            events.append(ServerSentEvent(line, self._event))

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        self._first = False
        if self._data is not None:
            events.append(ServerSentEvent(bytes(self._data), self._event))
            self._data = None
        self._event = "message"
        self.held = 0

    def _hold(self, count: int) -> None:
        self.held += count
        if self.held > self._max:
            msg = f"One event of the stream is larger than {self._max:,} bytes."
            raise ReplyTooLargeError(msg, hint="Change the limit with Limits(event=...).")
