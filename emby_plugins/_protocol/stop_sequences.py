"""Stop sequences, applied here as well: gateways drop `stop` in silence (case `stop-and-seed`).

Whichever cuts first counts. Text after a stop sequence is read and dropped, so that images and
usage still arrive.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from emby_plugins._chat import ChatReply, Finished, StreamEvent, TextDelta


def cut(text: str, stop: Sequence[str]) -> tuple[str, str | None]:
    """The text before the first of the stop sequences, and that sequence; None if there is none."""
    found = [(at, sequence) for sequence in stop if (at := text.find(sequence)) >= 0]
    if not found:
        return text, None
    # Of those that begin at the same place the longest: "\n\n" rather than "\n".
    at, sequence = min(found, key=lambda pair: (pair[0], -len(pair[1])))
    return text[:at], sequence


def cut_reply(reply: ChatReply, stop: Sequence[str]) -> ChatReply:
    """The reply with its text cut; its finish reason is then the stop sequence."""
    text, sequence = cut(reply.text, stop)
    if sequence is None or reply.refusal:
        return reply
    reason = "stop" if reply.finish_reason == "length" else reply.finish_reason
    return replace(reply, text=text, stop_sequence=sequence, finish_reason=reason)


class StopFilter:
    """Cuts the text of a stream, and holds back what may be the beginning of a stop sequence."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = stop
        self._longest = max(map(len, stop))
        self._held = ""
        self._has_stopped = False

    def apply(self, events: Iterable[StreamEvent]) -> Iterator[StreamEvent]:
        """The events, without the text after a stop sequence."""
        for event in events:
            if type(event) is TextDelta:  # a refusal is never cut
                text = self._feed(event.text)
                if text:
                    yield TextDelta(text)
                continue
            if isinstance(event, Finished) and self._held:
                yield TextDelta(self._held)
                self._held = ""
            yield event

    def _feed(self, text: str) -> str:
        """The text that is certain to come before a stop sequence."""
        if self._has_stopped:
            return ""
        seen = self._held + text
        wanted, sequence = cut(seen, self._stop)
        if sequence is not None:
            self._has_stopped, self._held = True, ""
            return wanted
        certain = len(seen) - self._doubtful(seen)
        self._held = seen[certain:]
        return seen[:certain]

    def _doubtful(self, seen: str) -> int:
        """How many characters at the end may begin a stop sequence."""
        for size in range(min(len(seen), self._longest - 1), 0, -1):
            tail = seen[-size:]
            if any(sequence.startswith(tail) for sequence in self._stop):
                return size
        return 0
