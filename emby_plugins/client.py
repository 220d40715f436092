"""`Emby` and `AsyncEmby`: what a caller asks of the gateway, and gets.

Everything but the loops is shared: `_Client` holds the settings and makes every decision.
"""

import logging
import os
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import aclosing, asynccontextmanager, closing, contextmanager, suppress
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, Unpack

import stamina

from emby_plugins.catalog import ModelCard
from emby_plugins.chat import (
    DEFAULT_MODEL,
    ChatOptions,
    ChatReply,
    ChatRequest,
    Prompt,
    StreamEvent,
)
from emby_plugins.endings import log_missing_image
from emby_plugins.errors import ConfigurationError, EmbyError
from emby_plugins.folder import ImageFolder
from emby_plugins.images import Image
from emby_plugins.plugins import Plugins
from emby_plugins.protocol.failures import conceal, parse_failure
from emby_plugins.protocol.image_decoder import MemorySink, Sink
from emby_plugins.protocol.limits import Limits
from emby_plugins.protocol.listing import parse_models
from emby_plugins.protocol.reading import BodyReader, ReplyReader
from emby_plugins.protocol.request import chat_body, request_headers
from emby_plugins.settings import Secret, check_address, find_base_url, find_key, require_key
from emby_plugins.transport import (
    IN_PROCESS,
    AsyncHTTPClient,
    AsyncResponse,
    AsyncTransport,
    Call,
    HTTPClient,
    Response,
    Transport,
)

# Its word on each retry is for who configures logging; without, Python would print it to stderr.
logging.getLogger("stamina").addHandler(logging.NullHandler())

_LONGEST_WAIT = 60.0
_AFTER_DONE = 4
_MOST_OF_AN_ERROR = 64 * 1024

_HTTP = TypeVar("_HTTP", bound=HTTPClient | AsyncHTTPClient)


class HasReply(Protocol):
    """Whatever puts the pieces of a reply together."""

    @property
    def reply(self) -> ChatReply:
        """The reply as far as it has arrived."""


class ReplyStream:
    """The events of one reply as they come; `reply` is the whole of it once they have ended."""

    def __init__(self, reader: HasReply, events: Iterator[StreamEvent]) -> None:
        self._reader = reader
        self._events = events

    def __iter__(self) -> Iterator[StreamEvent]:
        return self._events

    @property
    def reply(self) -> ChatReply:
        """The reply as far as it has arrived: the whole reply after the last event."""
        return self._reader.reply

    def show(self) -> ChatReply:
        """The whole reply, shown while it comes.

        In a notebook text and images appear below the cell as they arrive, elsewhere the text is
        printed. What had come stays there when the stream breaks off, or is interrupted.
        """
        from emby_plugins.display import growing

        with growing(lambda: self.reply) as more:
            for _ in self._events:
                more()
        return self.reply


class AsyncReplyStream:
    """As `ReplyStream`, for `async for`."""

    def __init__(self, reader: HasReply, events: AsyncIterator[StreamEvent]) -> None:
        self._reader = reader
        self._events = events

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self._events

    @property
    def reply(self) -> ChatReply:
        """The reply as far as it has arrived: the whole reply after the last event."""
        return self._reader.reply

    async def show(self) -> ChatReply:
        """As `ReplyStream.show`."""
        from emby_plugins.display import growing

        with growing(lambda: self.reply) as more:
            async for _ in self._events:
                more()
        return self.reply


class _Client(Generic[_HTTP]):
    """What `Emby` and `AsyncEmby` share: all but the loops."""

    _new_transport: Callable[..., Any]

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float = 120.0,
        deadline: float = 600.0,
        max_retries: int = 2,
        metadata: Mapping[str, str] | None = None,
        source: str | None = None,
        limits: Limits | None = None,
        image_folder: str | os.PathLike[str] | None = None,
        http_client: _HTTP | None = None,
        plugins: Iterable[object] = (),
    ) -> None:
        given = None if api_key is None else Secret(api_key)
        del api_key  # from here on no traceback shows it
        if timeout <= 0 or deadline <= 0 or max_retries < 0:
            msg = "timeout and deadline are seconds above 0, max_retries is at least 0."
            raise ConfigurationError(msg)
        self.base_url = find_base_url(base_url)
        self.limits = limits or Limits()
        self._new_sink: Callable[[], Sink] = MemorySink
        if image_folder is not None:
            self._new_sink = ImageFolder(Path(image_folder).expanduser()).new_sink
        self._key = find_key(given)
        self._plugins = Plugins(plugins)
        self._backend = self._plugins.backend(self.base_url)
        if self._backend is None:
            check_address(self.base_url, self._key)
        elif http_client is not None:
            msg = f"{self.base_url!r} is answered in this process: http_client has no use."
            raise ConfigurationError(msg)
        self._timeout = timeout
        self._deadline = deadline
        self._max_retries = max_retries
        self._headers = {
            "Accept-Encoding": "identity",
            "User-Agent": _user_agent(),
            **request_headers(metadata or {}, source),
        }
        self._transport = self._new_transport(self._key, self._backend, http_client)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    def __reduce__(self) -> str:
        msg = "a client holds connections and a key: it can't be pickled, make one where it is used"
        raise TypeError(msg)

    def _chat_call(self, request: ChatRequest) -> Call:
        if self._backend is None:
            require_key(self.base_url, self._key)
        body = chat_body(request, self.limits)
        accept = "text/event-stream" if request.stream else "application/json"
        headers = {"Content-Type": "application/json", "Accept": accept}
        return self._call("POST", "/chat/completions", headers, body)

    def _models_call(self) -> Call:
        return self._call("GET", "/models", {"Accept": "application/json"}, None)

    def _call(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Call:
        return Call(
            method=method,
            url=(self.base_url if self._backend is None else IN_PROCESS) + path,
            headers={**self._headers, **headers},
            body=body,
            timeout=self._timeout,
            deadline=self._deadline,
            ends=time.monotonic() + self._deadline,
        )

    def _tries(self, call: Call) -> Any:  # stamina gives the type no public name
        def again(error: Exception) -> bool | float:
            if not isinstance(error, EmbyError) or not error.is_retryable:
                return False
            wait: float | None = getattr(error, "retry_after", None)
            return True if wait is None else wait if wait < min(_LONGEST_WAIT, call.left) else False

        return stamina.retry_context(
            on=again,
            attempts=self._max_retries + 1,
            timeout=max(0.001, call.left),
            wait_initial=0.5,
            wait_max=8.0,
        )

    def _reader(self, response: Response | AsyncResponse, request: ChatRequest) -> ReplyReader:
        return ReplyReader(
            response.headers,
            limits=self.limits,
            model=request.model,
            prompt=request.prompt,
            secret=self._key.reveal,
            new_sink=self._new_sink,
        )

    def _failure(self, response: Response | AsyncResponse, body: bytes) -> EmbyError:
        return parse_failure(response.status, response.headers, body, secret=self._key.reveal())

    @contextmanager
    def _advice(self) -> Iterator[None]:
        try:
            yield
        except EmbyError as error:
            conceal(error, self._key.reveal())
            self._plugins.advise(error)
            raise


class Emby(_Client[HTTPClient]):
    """Emby's chat, vision and image models.

    `api_key` and `base_url` default to `EMBY_API_KEY` and `EMBY_BASE_URL`; `base_url="mock:"` is
    a backend in this process that needs no key. `timeout` is the longest silence and `deadline`
    the longest call, retries and stream included, both in seconds; the deadline is looked at
    whenever bytes arrive. `max_retries` counts further tries after a failed connection, a 429,
    502, 503, 504 or 529; a request that may have been answered is never sent twice. `metadata`
    and `source` are sent as `X-Emby-*` and `X-Source` headers. Generated images are kept in
    `image_folder`, where one is given, and not in memory: each is a file there from its first
    byte on, named by its digest, and `image.path` in the reply. `http_client` is an
    `httpx.Client` to use as it is and leave open. `plugins` are hook implementers for this
    client, besides the installed ones.

    A context manager; safe to share between threads. Raises only errors of `emby_plugins.errors`.
    """

    _new_transport = Transport
    _transport: Transport

    def chat(
        self,
        prompt: Prompt,
        *,
        model: str = DEFAULT_MODEL,
        images: Iterable[Image] = (),
        **options: Unpack[ChatOptions],
    ) -> ChatReply:
        """A model's whole reply to a prompt, or to a history of messages.

        `images` join the last user message. Image Generation page, "Generate an Image"; Vision
        Support page, "Sending Images to Vision Models".
        """
        request = ChatRequest.of(prompt, model=model, images=images, options=options)
        with self._open(request) as stream:
            for _ in stream:
                pass
            return stream.reply

    @contextmanager
    def stream(
        self,
        prompt: Prompt,
        *,
        model: str = DEFAULT_MODEL,
        images: Iterable[Image] = (),
        **options: Unpack[ChatOptions],
    ) -> Iterator[ReplyStream]:
        """The same as `chat`, as events while they come.

        Image Generation page, "Streaming Support": text streams, images come at the end.
        """
        request = ChatRequest.of(prompt, model=model, images=images, options=options, stream=True)
        with self._open(request) as stream:
            yield stream

    def models(self) -> list[ModelCard]:
        """The models the gateway lists: Image Generation page, "Available Models"."""
        with self._advice(), closing(self._send(self._models_call())) as response:
            return parse_models(self._body(response))

    def close(self) -> None:
        """Close the connections. A given `http_client` is left open."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _open(self, request: ChatRequest) -> Iterator[ReplyStream]:
        with self._advice(), closing(self._send(self._chat_call(request))) as response:
            reader = self._reader(response, request)
            with closing(_events(response, reader)) as events:
                yield ReplyStream(reader, events)

    def _send(self, call: Call) -> Response:
        """A successful response, its body unread; tries again where that is safe."""
        for attempt in self._tries(call):
            with attempt:
                response = self._transport.send(call)
                if response.is_success:
                    return response
                with closing(response):
                    raise self._failure(response, self._complaint(response))
        raise AssertionError("a retry loop either returns or raises")

    def _body(self, response: Response) -> bytes:
        reader = BodyReader(response.headers, self.limits.wire)
        for chunk in response.chunks():
            reader.feed(chunk)
        return reader.body

    def _complaint(self, response: Response) -> bytes:
        """The body of an error, as much of it as can be read: its status counts in any case."""
        reader = None
        with suppress(EmbyError):
            reader = BodyReader(response.headers, _MOST_OF_AN_ERROR)
            for chunk in response.chunks():
                reader.feed(chunk)
        return reader.body if reader else b""


class AsyncEmby(_Client[AsyncHTTPClient]):
    """As `Emby`, with `await`, `async with` and `async for`; `http_client` is `httpx.AsyncClient`.

    Safe to share between tasks, and between event loops: each loop gets connections of its own,
    and `close` closes those of the loop it runs in.
    """

    _new_transport = AsyncTransport
    _transport: AsyncTransport

    async def chat(
        self,
        prompt: Prompt,
        *,
        model: str = DEFAULT_MODEL,
        images: Iterable[Image] = (),
        **options: Unpack[ChatOptions],
    ) -> ChatReply:
        """As `Emby.chat`."""
        request = ChatRequest.of(prompt, model=model, images=images, options=options)
        async with self._open(request) as stream:
            async for _ in stream:
                pass
            return stream.reply

    @asynccontextmanager
    async def stream(
        self,
        prompt: Prompt,
        *,
        model: str = DEFAULT_MODEL,
        images: Iterable[Image] = (),
        **options: Unpack[ChatOptions],
    ) -> AsyncIterator[AsyncReplyStream]:
        """As `Emby.stream`."""
        request = ChatRequest.of(prompt, model=model, images=images, options=options, stream=True)
        async with self._open(request) as stream:
            yield stream

    async def models(self) -> list[ModelCard]:
        """As `Emby.models`."""
        with self._advice():
            async with aclosing(await self._send(self._models_call())) as response:
                return parse_models(await self._body(response))

    async def close(self) -> None:
        """Close the connections of this event loop. A given `http_client` is left open."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def _open(self, request: ChatRequest) -> AsyncIterator[AsyncReplyStream]:
        with self._advice():
            async with aclosing(await self._send(self._chat_call(request))) as response:
                reader = self._reader(response, request)
                async with aclosing(_async_events(response, reader)) as events:
                    yield AsyncReplyStream(reader, events)

    async def _send(self, call: Call) -> AsyncResponse:
        """As `Emby._send`."""
        async for attempt in self._tries(call):
            with attempt:
                response = await self._transport.send(call)
                if response.is_success:
                    return response
                async with aclosing(response):
                    raise self._failure(response, await self._complaint(response))
        raise AssertionError("a retry loop either returns or raises")

    async def _body(self, response: AsyncResponse) -> bytes:
        reader = BodyReader(response.headers, self.limits.wire)
        async for chunk in response.chunks():
            reader.feed(chunk)
        return reader.body

    async def _complaint(self, response: AsyncResponse) -> bytes:
        """As `Emby._complaint`."""
        reader = None
        with suppress(EmbyError):
            reader = BodyReader(response.headers, _MOST_OF_AN_ERROR)
            async for chunk in response.chunks():
                reader.feed(chunk)
        return reader.body if reader else b""


def _events(response: Response, reader: ReplyReader) -> Generator[StreamEvent, None, None]:
    with closing(response.chunks()) as chunks:
        with reader.guard():
            for chunk in chunks:
                yield from reader.feed(chunk)
                if reader.is_done:
                    break
            yield from reader.close()
        log_missing_image(reader.reply)
        # Read on to the very end of the body, so that the connection can serve again.
        with suppress(EmbyError):
            for _ in islice(chunks, _AFTER_DONE):
                pass


async def _async_events(
    response: AsyncResponse, reader: ReplyReader
) -> AsyncGenerator[StreamEvent, None]:
    async with aclosing(response.chunks()) as chunks:
        with reader.guard():
            async for chunk in chunks:
                for event in reader.feed(chunk):
                    yield event
                if reader.is_done:
                    break
            for event in reader.close():
                yield event
        log_missing_image(reader.reply)
        with suppress(EmbyError):
            for _ in range(_AFTER_DONE):
                await anext(chunks, None)


@cache
def _user_agent() -> str:
    return f"emby-plugins/{version('emby-plugins')}"
