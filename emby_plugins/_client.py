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
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, Unpack, cast

import stamina

from emby_plugins._catalog import ModelCard
from emby_plugins._chat import (
    DEFAULT_MODEL,
    ChatOptions,
    ChatReply,
    ChatRequest,
    Prompt,
    StreamEvent,
)
from emby_plugins._endings import log_missing_image
from emby_plugins._errors import APIError, BadRequestError, ConfigurationError, EmbyError
from emby_plugins._images import Image
from emby_plugins._plugins import Plugins
from emby_plugins._protocol.body import BodyReader
from emby_plugins._protocol.errors import error_from_response, redact_error, without
from emby_plugins._protocol.image_decoder import MemorySink, Sink
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.models import parse_models
from emby_plugins._protocol.reader import ReplyReader
from emby_plugins._protocol.refusals import Dialect, hint_for
from emby_plugins._protocol.request import chat_body, request_headers
from emby_plugins._settings import Secret, check_address, find_base_url, find_key, require_key
from emby_plugins._sinks import ImageFolder
from emby_plugins._transport import (
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

_MAX_RETRY_WAIT = 60.0
_NEVER = "a retry loop either returns or raises"
_MAX_ERROR_BODY = 64 * 1024

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
        from emby_plugins._display import growing

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
        from emby_plugins._display import growing

        with growing(lambda: self.reply) as more:
            async for _ in self._events:
                more()
        return self.reply


@dataclass
class _Exchange:
    """One call over all its attempts: what is sent, and the reader of the last response to it."""

    request: ChatRequest
    call: Call
    reader: ReplyReader | None = None

    @property
    def reply(self) -> ChatReply:
        """The reply as far as it has arrived."""
        return self.reader.reply if self.reader else ChatReply()

    def may_repeat(self, error: EmbyError) -> bool:
        """Whether the request may be sent again after this error."""
        return self.reader.may_repeat(error) if self.reader else error.is_retryable


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
        self._dialect = Dialect()
        self._headers = {
            "Accept-Encoding": "identity",
            "User-Agent": _user_agent(),
            **request_headers(metadata or {}, source),
        }
        self._transport = self._new_transport(self.base_url, self._key, self._backend, http_client)

    def __repr__(self) -> str:
        # Also of one that could not be set up: a traceback with local variables shows it.
        url = str(getattr(self, "base_url", ""))
        key = getattr(self, "_key", None)
        return f"{type(self).__name__}(base_url={without(url, key.reveal() if key else '')!r})"

    def __reduce__(self) -> str:
        msg = "a client holds connections and a key: it can't be pickled, make one where it is used"
        raise TypeError(msg)

    def _exchange(self, request: ChatRequest) -> "_Exchange":
        request = self._dialect.adapted(request)
        return _Exchange(request, self._chat_call(request))

    def _adapts(self, exchange: "_Exchange", error: APIError) -> bool:
        """Whether a refused request has another form, which is then the one to send."""
        if not self._dialect.learn(exchange.request, error):
            return False
        exchange.request = self._dialect.adapted(exchange.request)
        exchange.call = replace(exchange.call, body=chat_body(exchange.request, self.limits))
        return True

    def _chat_call(self, request: ChatRequest) -> Call:
        if self._backend is None:
            require_key(self.base_url, self._key)
        body = chat_body(request, self.limits)
        accept = "text/event-stream" if request.stream else "application/json"
        headers = {"Content-Type": "application/json", "Accept": accept}
        return self._call("POST", "/chat/completions", headers, body)

    def _models_call(self, exclude_deprecated: bool) -> Call:
        path = "/models?exclude_deprecated=true" if exclude_deprecated else "/models"
        return self._call("GET", path, {"Accept": "application/json"}, None)

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

    def _attempts(
        self, call: Call, may_repeat: Callable[[EmbyError], bool]
    ) -> Any:  # stamina gives the type no public name
        def again(error: Exception) -> bool | float:
            if not isinstance(error, EmbyError) or not may_repeat(error):
                return False
            wait: float | None = getattr(error, "retry_after", None)
            return (
                True if wait is None else wait if wait < min(_MAX_RETRY_WAIT, call.left) else False
            )

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
        return error_from_response(
            response.status, response.headers, body, secret=self._key.reveal()
        )

    @contextmanager
    def _error_context(self, request: ChatRequest | None = None) -> Iterator[None]:
        try:
            yield
        except EmbyError as error:
            if request is not None and not error.hint:
                error.hint = hint_for(request, error)
            redact_error(error, self._key.reveal())
            self._plugins.add_hint(error)
            raise


class Emby(_Client[HTTPClient]):
    """Emby's chat, vision and image models.

    `api_key` and `base_url` default to `EMBY_API_KEY` and `EMBY_BASE_URL`; `base_url="mock:"` is
    a backend in this process that needs no key. `timeout` is the longest silence and `deadline`
    the longest call, retries and stream included, both in seconds; they hold on every read and
    write of the client's own connections, and for an `http_client` as far as it lets them
    (docs/security.md, "Time"). `max_retries` counts further tries after a failed connection, a 429,
    502, 503, 504 or 529; a request that may have been answered is never sent twice. `metadata`
    and `source` are sent as `X-Emby-*` and `X-Source` headers. Generated images are kept in
    `image_folder`, where one is given, and not in memory: each is a file there from its first
    byte on, named by its digest, and `image.path` in the reply. `http_client` is an
    `httpx.Client` to use as it is and leave open. `plugins` are hook implementers for this
    client, besides the installed ones.

    A context manager; safe to share between threads. Raises only errors of `emby_plugins._errors`.
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

    def models(self, *, exclude_deprecated: bool = False) -> list[ModelCard]:
        """The models the gateway lists: Image Generation page, "Available Models".

        `exclude_deprecated` asks it to leave out those that it is about to withdraw; a gateway
        that does not know the option may ignore or refuse it (recordings, case
        `models-exclude-deprecated`: all states take it).
        """
        call = self._models_call(exclude_deprecated)
        with self._error_context():
            for attempt in self._attempts(call, _is_retryable):
                with attempt, closing(self._respond(call)) as response:
                    return parse_models(self._body(response))
        raise AssertionError(_NEVER)

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
        exchange = self._exchange(request)
        with self._error_context(request), closing(self._events(exchange)) as events:
            next(events)
            yield ReplyStream(exchange, cast("Iterator[StreamEvent]", events))

    def _events(self, exchange: _Exchange) -> Generator[StreamEvent | None, None, None]:
        """None when a response has begun, then what it tells; tries again where that is safe."""
        is_opened = False
        for attempt in self._attempts(exchange.call, exchange.may_repeat):
            with attempt, closing(self._send(exchange)) as response:
                reader = exchange.reader = self._reader(response, exchange.request)
                if not is_opened:
                    is_opened = True
                    yield None
                with closing(response.chunks(reader.is_complete)) as chunks:
                    with reader.error_context():
                        for chunk in chunks:
                            yield from reader.feed(chunk)
                            if reader.is_done:
                                break
                        yield from reader.close()
                    log_missing_image(reader.reply)
                    response.finish(chunks)
                return

    def _send(self, exchange: _Exchange) -> Response:
        """A successful response, its body unread, to the request or to another form of it."""
        exchange.reader = None
        try:
            return self._respond(exchange.call)
        except BadRequestError as error:
            if not self._adapts(exchange, error):
                raise
        return self._respond(exchange.call)

    def _respond(self, call: Call) -> Response:
        """A successful response, its body unread. Raises what another one stands for."""
        response = self._transport.send(call)
        if response.is_success:
            return response
        with closing(response):
            raise self._failure(response, self._read_error_body(response))

    def _body(self, response: Response) -> bytes:
        reader = BodyReader(response.headers, self.limits.wire)
        for chunk in response.chunks(reader.is_complete):
            reader.feed(chunk)
        return reader.body

    def _read_error_body(self, response: Response) -> bytes:
        """The body of an error, as much of it as can be read: its status counts in any case."""
        reader = None
        with suppress(EmbyError):
            reader = BodyReader(response.headers, _MAX_ERROR_BODY)
            for chunk in response.chunks(reader.is_complete):
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

    async def models(self, *, exclude_deprecated: bool = False) -> list[ModelCard]:
        """As `Emby.models`."""
        call = self._models_call(exclude_deprecated)
        with self._error_context():
            async for attempt in self._attempts(call, _is_retryable):
                with attempt:
                    async with aclosing(await self._respond(call)) as response:
                        return parse_models(await self._body(response))
        raise AssertionError(_NEVER)

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
        exchange = self._exchange(request)
        with self._error_context(request):
            async with aclosing(self._events(exchange)) as events:
                await anext(events)
                yield AsyncReplyStream(exchange, cast("AsyncIterator[StreamEvent]", events))

    async def _events(self, exchange: _Exchange) -> AsyncGenerator[StreamEvent | None, None]:
        """As `Emby._events`."""
        is_opened = False
        async for attempt in self._attempts(exchange.call, exchange.may_repeat):
            with attempt:
                async with aclosing(await self._send(exchange)) as response:
                    reader = exchange.reader = self._reader(response, exchange.request)
                    if not is_opened:
                        is_opened = True
                        yield None
                    async with aclosing(response.chunks(reader.is_complete)) as chunks:
                        with reader.error_context():
                            async for chunk in chunks:
                                for event in reader.feed(chunk):
                                    yield event
                                if reader.is_done:
                                    break
                            for event in reader.close():
                                yield event
                        log_missing_image(reader.reply)
                        await response.finish(chunks)
                return

    async def _send(self, exchange: _Exchange) -> AsyncResponse:
        """As `Emby._send`."""
        exchange.reader = None
        try:
            return await self._respond(exchange.call)
        except BadRequestError as error:
            if not self._adapts(exchange, error):
                raise
        return await self._respond(exchange.call)

    async def _respond(self, call: Call) -> AsyncResponse:
        """As `Emby._respond`."""
        response = await self._transport.send(call)
        if response.is_success:
            return response
        async with aclosing(response):
            raise self._failure(response, await self._read_error_body(response))

    async def _body(self, response: AsyncResponse) -> bytes:
        reader = BodyReader(response.headers, self.limits.wire)
        async for chunk in response.chunks(reader.is_complete):
            reader.feed(chunk)
        return reader.body

    async def _read_error_body(self, response: AsyncResponse) -> bytes:
        """As `Emby._read_error_body`."""
        reader = None
        with suppress(EmbyError):
            reader = BodyReader(response.headers, _MAX_ERROR_BODY)
            async for chunk in response.chunks(reader.is_complete):
                reader.feed(chunk)
        return reader.body if reader else b""


def _is_retryable(error: EmbyError) -> bool:
    return error.is_retryable


@cache
def _user_agent() -> str:
    return f"emby-plugins/{version('emby-plugins')}"
