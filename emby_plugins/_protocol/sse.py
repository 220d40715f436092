"""Server-sent events, decoded from bytes as they arrive.

Implements the event stream format of the HTML standard, section 9.2 "Server-sent events",
as far as chat streams use it: `data` and `event`; `id`, `retry` and comments are read over.
Lines end at CR, LF or CRLF and nowhere else: U+2028 inside a text is text.
"""

from typing import NamedTuple

from emby_plugins._errors import ReplyTooLargeError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event: its data as bytes, and its type, which is `message` unless the server said."""

    data: bytes
    event: str = "message"


class EventDecoder:
    """Turns the bytes of an event stream into events, however the bytes are cut.

    Holds back at most `max_event_bytes` of an unfinished event, then raises `ReplyTooLargeError`.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        # Growing buffers, since many small pieces in a list take many times their size.
        self._line = bytearray()
        self._data: bytes | bytearray | None = None
        self._event = "message"
        self.held = 0
        """How many bytes of an unfinished event are held back."""
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that `chunk` completes."""
        if self._after_cr and chunk:
            # The LF of a CRLF that was cut in two ends no second line.
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
                # What nearly every line is. A byte order mark would make it another.
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
        """The event that the end of the stream left without its blank line, if there is one.

        The standard drops it; for a chat stream it may be the last piece of a paid reply.
        """
        events: list[ServerSentEvent] = []
        if self._line:
            self._take(self._ended(b""), events)
        self._dispatch(events)
        return events

    def _ended(self, end: bytes) -> bytes:
        """The line that came in pieces, with its last; from here on its value is what is held."""
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
            # Not a field of the standard, but what a gateway may write when it fails.
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
            raise ReplyTooLargeError(msg, hint="Limits(event=...) sets another limit.")
