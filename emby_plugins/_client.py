"""`Emby` and `AsyncEmby`: what a caller asks of the gateway, and gets.

Only the loops, each twice: every decision is in `BaseClient`.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Generator,
    Iterable,
    Iterator,
)
from contextlib import aclosing, asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from typing import Self, Unpack, cast

from emby_plugins._base_client import BaseClient
from emby_plugins._call import Call
from emby_plugins._call_settings import CallOptions, ChatArguments, ImageArguments
from emby_plugins._catalog import ModelCard
from emby_plugins._chat import DEFAULT_MODEL, ChatReply, StreamEvent
from emby_plugins._endings import log_missing_image
from emby_plugins._errors import BadRequestError, EmbyError, NotFoundError
from emby_plugins._exchange import Exchange, Reader
from emby_plugins._http import AsyncHTTPClient, HTTPClient
from emby_plugins._image_orders import (
    collect_images,
    image_orders,
    in_tasks,
    in_threads,
    reusable,
)
from emby_plugins._images import Image
from emby_plugins._images_endpoint import Images
from emby_plugins._prompts import Prompt
from emby_plugins._protocol.body import BodyReader
from emby_plugins._protocol.errors import error_from_response
from emby_plugins._streams import AsyncReplyStream, ReplyStream
from emby_plugins._transport import AsyncResponse, AsyncTransport, Response, Transport

_MAX_ERROR_BODY = 64 * 1024


class Emby(BaseClient[HTTPClient]):
    """Emby's chat, vision and image models.

    Args:
        api_key: `EMBY_API_KEY` by default.
        base_url: `EMBY_BASE_URL` by default, else Emby's own. `mock:` is a backend in this process
            that needs no key.
        timeout: the longest silence, in seconds. It holds on every read and write of the client's
            own connections, and for an `http_client` as far as that lets it (docs/security.md,
            "Time"). So does the deadline.
        deadline: the longest call in seconds, retries and stream included.
        max_retries: further attempts after a failed connection, a 429, 502, 503, 504 or 529. A
            request that may have been answered is never sent twice.
        headers: sent with every request.
        metadata: sent as `X-Emby-*` headers.
        source: sent as the header `X-Source`.
        limits: how much of a response is accepted.
        image_folder: a folder in which generated images are kept instead of in memory: each is a
            file from its first byte on, named by its digest, and `image.path` in the reply.
        keep_base64: keep generated images as the base64 they arrive in, for programs that pass it
            on: `image.base64` then costs nothing, and `image.data` decodes at each access.
        http_client: an `httpx.Client` or `httpx2.Client`, used unchanged and left open.
        image_metadata: what happens to EXIF data of input images. `reduce`: if an image has to be
            re-encoded, only the camera, the time and the exposure are kept, not the location.
            `keep`: all of it stays. `remove`: every image is sent without it.
        max_connections: how many calls are on the way at once, 100 by default, or as many as the
            `http_client` has connections; further calls wait in line, within their deadline. In
            `AsyncEmby` each event loop has as many.
        plugins: hook implementers for this client, besides the installed ones.

    A context manager; safe to share between threads. Raises `EmbyError` and its subclasses only.
    """

    _new_transport = Transport
    _transport: Transport

    def chat(
        self,
        prompt: Prompt,
        *,
        model: str = DEFAULT_MODEL,
        images: Iterable[Image] = (),
        **options: Unpack[ChatArguments],
    ) -> ChatReply:
        """A model's whole reply to a prompt, or to a history of messages.

        `images` join the last user message. `options` are those of `ChatOptions`, which go into
        the request, and of `CallOptions`, which hold for this call only. Image Generation page,
        "Generate an Image"; Vision Support page, "Sending Images to Vision Models".
        """
        return self._run(self._chat_exchange(prompt, model, images, options))

    @contextmanager
    def stream(
        self,
        prompt: Prompt,
        *,
        model: str = DEFAULT_MODEL,
        images: Iterable[Image] = (),
        **options: Unpack[ChatArguments],
    ) -> Iterator[ReplyStream]:
        """The same as `chat`, as events while they arrive.

        Image Generation page, "Streaming Support": text streams, images come at the end.
        """
        exchange = self._chat_exchange(prompt, model, images, options, stream=True)
        with self._open(exchange) as stream:
            yield stream

    def image(
        self,
        prompt: Prompt,
        *,
        model: str = DEFAULT_MODEL,
        images: Iterable[Image] = (),
        n: int = 1,
        aspect_ratio: str | None = None,
        size: str | None = None,
        **options: Unpack[ImageArguments],
    ) -> list[Image]:
        """The images a model generates for a prompt, the shortest way: at least `n` of them.

        `images` are edited or combined. `aspect_ratio` is such as `16:9`, `size` such as `2K`
        (`image_config`, for models that have it). A system prompt asks for an image, unless
        `system=` is given. The `n` calls run at the same time, unstreamed, since some gateways
        drop large images from streams. `options` are those of `chat`. A model that only makes
        images is called at the images endpoint, if the gateway has one.

        Gateways keep replies in caches, by a key that ignores `image_config` and `seed`, so each
        order asks for fresh ones: with the header `x-no-cache`, and with white space at the end of
        the prompt. `fresh=False` allows cached ones. If images of one order are identical all the
        same, a warning is logged.

        Raises what `chat` raises, and `MissingImageError`; images of other calls are then in
        `error.partial`. Image Generation page, "Generate an Image".
        """
        orders = image_orders(n, aspect_ratio, size, options)
        call = partial(self.chat, reusable(prompt), model=model, images=reusable(images))
        return collect_images(in_threads(call, orders))

    @property
    def images(self) -> Images[ChatReply]:
        """The images endpoint, for gateways that have it."""
        return Images(partial(self._run, needs_images=True), self._images_exchange)

    def models(
        self, *, exclude_deprecated: bool = False, **options: Unpack[CallOptions]
    ) -> list[ModelCard]:
        """The models the gateway lists, and those that plugins add (`ModelCard.plugin`).

        `exclude_deprecated` leaves out those about to be withdrawn (all recorded states take it).
        `options` hold for this call only. Image Generation page, "Available Models".
        """
        exchange = self._models_exchange(exclude_deprecated, options)
        self._run(exchange)
        return self._note_models(exchange.models.cards)

    def close(self) -> None:
        """Close the connections. A given `http_client` is left open."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, exchange: Exchange, *, needs_images: bool = False) -> ChatReply:
        """The whole reply. Raises `MissingImageError` if it needs images and has none."""
        with self._open(exchange) as stream:
            for _ in stream:
                pass
            if needs_images:
                stream.reply.require_images()
            return stream.reply

    @contextmanager
    def _open(self, exchange: Exchange) -> Iterator[ReplyStream]:
        with self._observed(exchange), self._error_context(exchange):
            if exchange.has_images:
                self._prepare_images(exchange)
            self._begin(exchange)
            with closing(self._events(exchange)) as events:
                next(events)
                yield ReplyStream(exchange, cast("Iterator[StreamEvent]", events))

    def _events(self, exchange: Exchange) -> Generator[StreamEvent | None, None, None]:
        """None when a response has begun, then its events; retries if that is safe."""
        is_opened = False
        for attempt in exchange.attempts():
            with attempt, closing(self._send(exchange)) as response:
                reader = exchange.read(self._headers(response))
                if not is_opened:
                    is_opened = True
                    yield None
                yield from self._read(response, reader)
                log_missing_image(exchange.reply)
                return

    def _read(self, response: Response, reader: Reader) -> Iterator[StreamEvent]:
        """The events of a body, to its end."""
        with closing(response.chunks(reader.is_complete)) as chunks:
            with reader.error_context():
                for chunk in chunks:
                    yield from reader.feed(chunk)
                    if reader.is_done:
                        break
                yield from reader.close()
            response.finish(chunks)

    def _send(self, exchange: Exchange) -> Response:
        """A successful response, its body unread, to the request or to another form of it."""
        exchange.start_attempt()
        try:
            return self._respond(exchange.call)
        except (BadRequestError, NotFoundError) as error:
            if not self._adapts(exchange, error):
                raise
        return self._respond(exchange.call)

    def _respond(self, call: Call) -> Response:
        """A successful response, its body unread. Raises the error of an unsuccessful one."""
        response = self._transport.send(call)
        if response.is_success:
            return response
        headers, reader = self._headers(response), None
        with closing(response), suppress(EmbyError):  # the status counts in any case
            reader = BodyReader(headers, _MAX_ERROR_BODY)
            for _ in self._read(response, reader):
                pass
        raise error_from_response(response.status, headers, reader.body if reader else b"")


class AsyncEmby(BaseClient[AsyncHTTPClient]):
    """As `Emby`, with `await`, `async with` and `async for`; `http_client` is an
    `httpx.AsyncClient` or `httpx2.AsyncClient`.

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
        **options: Unpack[ChatArguments],
    ) -> ChatReply:
        """As `Emby.chat`."""
        return await self._run(self._chat_exchange(prompt, model, images, options))

    @asynccontextmanager
    async def stream(
        self,
        prompt: Prompt,
        *,
        model: str = DEFAULT_MODEL,
        images: Iterable[Image] = (),
        **options: Unpack[ChatArguments],
    ) -> AsyncIterator[AsyncReplyStream]:
        """As `Emby.stream`."""
        exchange = self._chat_exchange(prompt, model, images, options, stream=True)
        async with self._open(exchange) as stream:
            yield stream

    async def image(
        self,
        prompt: Prompt,
        *,
        model: str = DEFAULT_MODEL,
        images: Iterable[Image] = (),
        n: int = 1,
        aspect_ratio: str | None = None,
        size: str | None = None,
        **options: Unpack[ImageArguments],
    ) -> list[Image]:
        """As `Emby.image`."""
        orders = image_orders(n, aspect_ratio, size, options)
        call = partial(self.chat, reusable(prompt), model=model, images=reusable(images))
        return collect_images(await in_tasks(call, orders))

    @property
    def images(self) -> Images[Awaitable[ChatReply]]:
        """As `Emby.images`, with `await`."""
        return Images(partial(self._run, needs_images=True), self._images_exchange)

    async def models(
        self, *, exclude_deprecated: bool = False, **options: Unpack[CallOptions]
    ) -> list[ModelCard]:
        """As `Emby.models`."""
        exchange = self._models_exchange(exclude_deprecated, options)
        await self._run(exchange)
        return self._note_models(exchange.models.cards)

    async def close(self) -> None:
        """Close the connections of this event loop. A given `http_client` is left open."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, exchange: Exchange, *, needs_images: bool = False) -> ChatReply:
        """As `Emby._run`."""
        async with self._open(exchange) as stream:
            async for _ in stream:
                pass
            if needs_images:
                stream.reply.require_images()
            return stream.reply

    @asynccontextmanager
    async def _open(self, exchange: Exchange) -> AsyncIterator[AsyncReplyStream]:
        with self._observed(exchange), self._error_context(exchange):
            if exchange.has_images:
                await asyncio.to_thread(self._prepare_images, exchange)
            self._begin(exchange)
            async with aclosing(self._events(exchange)) as events:
                await anext(events)
                yield AsyncReplyStream(exchange, cast("AsyncIterator[StreamEvent]", events))

    async def _events(self, exchange: Exchange) -> AsyncGenerator[StreamEvent | None, None]:
        """As `Emby._events`."""
        is_opened = False
        async for attempt in exchange.attempts():
            with attempt:
                async with aclosing(await self._send(exchange)) as response:
                    reader = exchange.read(self._headers(response))
                    if not is_opened:
                        is_opened = True
                        yield None
                    async with aclosing(self._read(response, reader)) as events:
                        async for event in events:
                            yield event
                    log_missing_image(exchange.reply)
                return

    async def _read(
        self, response: AsyncResponse, reader: Reader
    ) -> AsyncGenerator[StreamEvent, None]:
        """As `Emby._read`."""
        async with aclosing(response.chunks(reader.is_complete)) as chunks:
            with reader.error_context():
                async for chunk in chunks:
                    for event in reader.feed(chunk):
                        yield event
                    if reader.is_done:
                        break
                for event in reader.close():
                    yield event
            await response.finish(chunks)

    async def _send(self, exchange: Exchange) -> AsyncResponse:
        """As `Emby._send`."""
        exchange.start_attempt()
        try:
            return await self._respond(exchange.call)
        except (BadRequestError, NotFoundError) as error:
            if not self._adapts(exchange, error):
                raise
        return await self._respond(exchange.call)

    async def _respond(self, call: Call) -> AsyncResponse:
        """As `Emby._respond`."""
        response = await self._transport.send(call)
        if response.is_success:
            return response
        headers, reader = self._headers(response), None
        async with aclosing(response):
            with suppress(EmbyError):
                reader = BodyReader(headers, _MAX_ERROR_BODY)
                async with aclosing(self._read(response, reader)) as events:
                    async for _ in events:
                        pass
        raise error_from_response(response.status, headers, reader.body if reader else b"")
