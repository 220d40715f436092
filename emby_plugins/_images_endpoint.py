"""`emby.images`: the endpoint for images, of gateways that have it; and when `image` uses it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar, Unpack

from emby_plugins._call_settings import CallOptions, ImageArguments
from emby_plugins._chat import DEFAULT_MODEL, ChatReply
from emby_plugins._errors import NotFoundError
from emby_plugins._exchange import Exchange
from emby_plugins._image_orders import chat_arguments
from emby_plugins._images import Image
from emby_plugins._prompts import Prompt
from emby_plugins._protocol.images_request import ImagesRequest
from emby_plugins._protocol.refusals import Dialect

_R = TypeVar("_R")


class Images(Generic[_R]):
    """The images endpoint of a gateway, `emby.images`. `AsyncEmby`'s calls are awaited.

    2026-08 and Emby's portal have it; the older gateways answer with `NotFoundError`, at no
    charge. `Emby.image` works with all of them.
    """

    def __init__(self, run: Callable[[ImagesRequest, bool, CallOptions], _R]) -> None:
        self._run = run

    def generate(
        self,
        prompt: str,
        *,
        model: str = DEFAULT_MODEL,
        n: int | None = None,
        size: str | None = None,
        quality: str | None = None,
        background: str | None = None,
        output_format: str | None = None,
        fresh: bool = True,
        **options: Unpack[CallOptions],
    ) -> _R:
        """A reply with images generated from a prompt: `POST /images/generations`.

        `n` is 1 to 10, `size` such as `1024x1536`, `quality` such as `high`, `background`
        `transparent`, `opaque` or `auto`, `output_format` `png`, `jpeg` or `webp`: what of it
        counts, the model decides. `fresh` is as for `Emby.image`: no image of a cache, whose key
        may ignore the size. `options` hold for this call only. `reply.images` are the very
        bytes that were sent, with their provenance; a prompt that was revised is in
        `reply.metadata`. Raises what `chat` raises, and `MissingImageError` for a reply without an
        image. OpenAI's form, as 2026-08 reads it.
        """
        wanted = {
            "n": n,
            "size": size,
            "quality": quality,
            "background": background,
            "output_format": output_format,
        }
        return self._run(ImagesRequest.of(prompt, model=model, options=wanted), fresh, options)

    def edit(
        self,
        images: Image | Iterable[Image],
        prompt: str,
        *,
        mask: Image | None = None,
        model: str = DEFAULT_MODEL,
        n: int | None = None,
        size: str | None = None,
        quality: str | None = None,
        background: str | None = None,
        output_format: str | None = None,
        fresh: bool = True,
        **options: Unpack[CallOptions],
    ) -> _R:
        """A reply with edited images, as `generate`: `POST /images/edits`.

        `images` are one or several to edit or combine. `mask` marks what to change, by its
        transparent pixels, of one image; 2026-08 shows it to the model as a further image.
        """
        wanted = {
            "n": n,
            "size": size,
            "quality": quality,
            "background": background,
            "output_format": output_format,
        }
        request = ImagesRequest.of(prompt, model=model, images=images, mask=mask, options=wanted)
        return self._run(request, fresh, options)


class WithImages:
    """The part of `Emby` that uses the images endpoint: its loop, and the way back to chat."""

    _open: Any
    chat: Any
    _dialect: Dialect
    _images_exchange: Callable[[ImagesRequest, bool, CallOptions], Exchange]
    _order_exchange: Callable[..., Exchange]

    @property
    def images(self) -> Images[ChatReply]:
        """The images endpoint, for gateways that have it."""
        return Images(self._run_images)

    def _run_images(self, request: ImagesRequest, fresh: bool, options: CallOptions) -> ChatReply:
        return self._finish(self._images_exchange(request, fresh, options))

    def _generate(
        self, prompt: Prompt, model: str, images: Iterable[Image], order: ImageArguments
    ) -> ChatReply:
        """One reply of an order of images, by the endpoint that fits, else by chat."""
        exchange = self._order_exchange(prompt, model, images, order)
        if isinstance(exchange.request, ImagesRequest):
            try:
                return self._finish(exchange)
            except NotFoundError as error:
                if not self._dialect.learn_no_images_endpoint(error):
                    raise
        reply: ChatReply = self.chat(prompt, model=model, images=images, **chat_arguments(order))
        return reply

    def _finish(self, exchange: Exchange) -> ChatReply:
        assert isinstance(exchange.request, ImagesRequest)
        with self._open(exchange, exchange.request.path) as stream:
            for _ in stream:
                pass
            reply: ChatReply = stream.reply
            reply.require_images()
            return reply


class WithAsyncImages:
    """As `WithImages`, for `AsyncEmby`."""

    _open: Any
    chat: Any
    _dialect: Dialect
    _images_exchange: Callable[[ImagesRequest, bool, CallOptions], Exchange]
    _order_exchange: Callable[..., Exchange]

    @property
    def images(self) -> Images[Awaitable[ChatReply]]:
        """As `Emby.images`, with `await`."""
        return Images(self._run_images)

    async def _run_images(
        self, request: ImagesRequest, fresh: bool, options: CallOptions
    ) -> ChatReply:
        return await self._finish(self._images_exchange(request, fresh, options))

    async def _generate(
        self, prompt: Prompt, model: str, images: Iterable[Image], order: ImageArguments
    ) -> ChatReply:
        """As `WithImages._generate`."""
        exchange = self._order_exchange(prompt, model, images, order)
        if isinstance(exchange.request, ImagesRequest):
            try:
                return await self._finish(exchange)
            except NotFoundError as error:
                if not self._dialect.learn_no_images_endpoint(error):
                    raise
        reply: ChatReply = await self.chat(
            prompt, model=model, images=images, **chat_arguments(order)
        )
        return reply

    async def _finish(self, exchange: Exchange) -> ChatReply:
        assert isinstance(exchange.request, ImagesRequest)
        async with self._open(exchange, exchange.request.path) as stream:
            async for _ in stream:
                pass
            reply: ChatReply = stream.reply
            reply.require_images()
            return reply
