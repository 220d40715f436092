"""`ReplyStream` and `AsyncReplyStream`: a reply as it arrives."""

from collections.abc import AsyncIterator, Iterator
from typing import Generic, Protocol, TypeVar

from emby_plugins._chat import ChatReply, StreamEvent

_Events = TypeVar("_Events")


class HasReply(Protocol):
    """Anything that accumulates a reply."""

    @property
    def reply(self) -> ChatReply:
        """The reply as far as it has arrived."""


class _BaseStream(Generic[_Events]):
    def __init__(self, source: HasReply, events: _Events) -> None:
        self._source = source
        self._events = events

    @property
    def reply(self) -> ChatReply:
        """The reply as far as it has arrived: the whole reply after the last event."""
        return self._source.reply


class ReplyStream(_BaseStream[Iterator[StreamEvent]]):
    """The events of one reply as they arrive; `reply` is the whole reply after the last event."""

    def __iter__(self) -> Iterator[StreamEvent]:
        return self._events

    def show(self) -> ChatReply:
        """Show the reply while it arrives, and return the whole of it.

        In a notebook text and images appear below the cell as they arrive, elsewhere the text is
        printed. What has arrived stays visible when the stream fails or is interrupted.
        """
        from emby_plugins._display import growing

        with growing(lambda: self.reply) as more:
            for _ in self._events:
                more()
        return self.reply


class AsyncReplyStream(_BaseStream[AsyncIterator[StreamEvent]]):
    """As `ReplyStream`, for `async for`."""

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self._events

    async def show(self) -> ChatReply:
        """As `ReplyStream.show`."""
        from emby_plugins._display import growing

        with growing(lambda: self.reply) as more:
            async for _ in self._events:
                more()
        return self.reply
