"""One call over all its attempts: what is sent, what is read, and whether to try again."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from emby_plugins._call import Call
from emby_plugins._call_settings import CallSettings
from emby_plugins._chat import ChatReply, ChatRequest, StreamEvent
from emby_plugins._errors import EmbyError
from emby_plugins._images import PreparedImage
from emby_plugins._preparation import has_inline_images
from emby_plugins._protocol.images_request import ImagesRequest
from emby_plugins._protocol.models import ModelsReader
from emby_plugins._protocol.reader import ReplyReader

# stamina logs every retry; without a handler Python would print it to stderr. Only a call that is
# tried again imports and enters it.
logging.getLogger("stamina").addHandler(logging.NullHandler())

_MAX_RETRY_WAIT = 60.0


class Reader(Protocol):
    """What reads the body of a successful response, chunk by chunk."""

    is_done: bool

    def feed(self, chunk: bytes) -> Iterable[StreamEvent]:
        """The events that these bytes complete."""

    def close(self) -> Iterable[StreamEvent]:
        """The events that the end of the body completes."""

    def is_complete(self) -> bool:
        """Whether nothing is missing, though the body may go on."""

    def error_context(self) -> AbstractContextManager[None]:
        """Attach what has arrived to any error raised inside."""

    def may_repeat(self, error: EmbyError) -> bool:
        """Whether the request may be sent again after this error."""


class Exchange:
    """What is sent, how, and the reader of the last response to it; `call` is set when it begins.

    `request` is None for the model list. An order of images has in `fallback` the chat that means
    the same, for a gateway without an endpoint for images. `attempt` counts from 1. `first_byte`
    is when the body of the response began, on the monotonic clock, and is noted only while plugins
    observe the call.
    """

    call: Call

    def __init__(
        self,
        settings: CallSettings,
        new_reader: Callable[..., Reader],
        request: ChatRequest | ImagesRequest | None = None,
        *,
        path: str = "/chat/completions",
    ) -> None:
        self.settings = settings
        self.request = request
        self.fallback: ChatRequest | None = None
        self._path = path
        self.reader: Reader | None = None
        self.attempt = 0
        self.first_byte: float | None = None
        self.is_observed = False
        self.new_reader = new_reader

    @property
    def path(self) -> str:
        """What the request is sent to, below the base URL."""
        return self.request.path if isinstance(self.request, ImagesRequest) else self._path

    def use_images_endpoint(self, request: ImagesRequest, fallback: ChatRequest | None) -> None:
        """Send this request instead of the chat."""
        self.request, self.fallback = request, fallback
        self.new_reader = partial(self.new_reader, of_images=True)

    def use_chat(self, request: ChatRequest) -> None:
        """Send the chat after all."""
        self.request, self.fallback = request, None
        self.new_reader = partial(self.new_reader, of_images=False)

    def replace_images(
        self, request: ChatRequest | ImagesRequest, prepared: tuple[PreparedImage, ...]
    ) -> None:
        """Replace the request by one with prepared images, which the reply will list."""
        self.request = request
        self.new_reader = partial(self.new_reader, prepared_images=prepared)

    def read(self, headers: Mapping[str, str]) -> Reader:
        """A reader for a successful response with these headers."""
        self.reader = self.new_reader(headers)
        if self.is_observed:
            self._note_first_byte(self.reader)
        return self.reader

    def start_attempt(self) -> None:
        """Count an attempt, and forget what came of the one before."""
        self.attempt += 1
        self.reader = self.first_byte = None

    def _note_first_byte(self, reader: Any) -> None:
        """Note when the first piece of a body is read, at no cost to the pieces after it."""

        def feed(chunk: bytes) -> Iterable[StreamEvent]:
            self.first_byte = time.monotonic()
            del reader.feed  # the method of the class is back
            events: Iterable[StreamEvent] = reader.feed(chunk)
            return events

        reader.feed = feed

    @property
    def has_images(self) -> bool:
        """Whether the request has images that are sent as bytes."""
        return self.request is not None and has_inline_images(self.request)

    @property
    def reply(self) -> ChatReply:
        """The reply as far as it has arrived."""
        return self.reader.reply if isinstance(self.reader, ReplyReader) else ChatReply()

    @property
    def is_complete(self) -> bool:
        """Whether the whole reply, or the whole list, has been read."""
        if isinstance(self.reader, ModelsReader):
            return self.reader.is_read
        return self.reader is not None and self.reader.is_done

    @property
    def models(self) -> ModelsReader:
        """The reader of the model list."""
        assert isinstance(self.reader, ModelsReader)
        return self.reader

    def attempts(self) -> "Attempts":
        """The attempts, with the waits between them; none is longer than the deadline allows."""
        return Attempts(self)

    def further_attempts(self) -> Any:  # stamina gives the type no public name
        """All attempts once more, of which the first is for an error that may be repeated."""
        import stamina

        return stamina.retry_context(
            on=self.wait_before_next,
            attempts=self.settings.max_retries + 1,
            timeout=max(0.001, self.call.left),
            wait_initial=0.5,
            wait_max=8.0,
        )

    def wait_before_next(self, error: Exception) -> bool | float:
        """Whether to try again; the number of seconds to wait first, if the gateway names it."""
        if not isinstance(error, EmbyError) or not self._may_repeat(error):
            return False
        wait: float | None = getattr(error, "retry_after", None)
        if wait is None:
            return True
        return wait if wait < min(_MAX_RETRY_WAIT, self.call.left) else False

    def _may_repeat(self, error: EmbyError) -> bool:
        return self.reader.may_repeat(error) if self.reader else error.is_retryable


class Attempts:
    """The first attempt by itself; only if it fails, and may be repeated, those of stamina.

    To be iterated until an attempt succeeds, in either way.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._failure: BaseException | None = None
        self._further: Any = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        if isinstance(error, EmbyError) and self._exchange.wait_before_next(error) is not False:
            self._failure = error
        return self._failure is not None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._failure is None:
            return self
        if self._further is None:
            self._further = iter(self._exchange.further_attempts())
            with next(self._further):
                raise self._failure
        return next(self._further)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._failure is None:
            return self
        if self._further is None:
            self._further = aiter(self._exchange.further_attempts())
            with await anext(self._further):
                raise self._failure
        return await anext(self._further)
