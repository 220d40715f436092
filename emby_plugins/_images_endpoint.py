"""`emby.images`: the endpoint for images, of gateways that have it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar, Unpack

from emby_plugins._call_settings import CallOptions
from emby_plugins._chat import DEFAULT_MODEL, ChatReply
from emby_plugins._exchange import Exchange
from emby_plugins._images import Image
from emby_plugins._protocol.images_request import ImagesRequest

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
    """The part of `Emby` that leads to the images endpoint."""

    _open: Any
    _images_exchange: Callable[[ImagesRequest, bool, CallOptions], Exchange]

    @property
    def images(self) -> Images[ChatReply]:
        """The images endpoint, for gateways that have it."""
        return Images(self._run_images)

    def _run_images(self, request: ImagesRequest, fresh: bool, options: CallOptions) -> ChatReply:
        with self._open(self._images_exchange(request, fresh, options)) as stream:
            for _ in stream:
                pass
            reply: ChatReply = stream.reply
            reply.require_images()
            return reply


class WithAsyncImages:
    """As `WithImages`, for `AsyncEmby`."""

    _open: Any
    _images_exchange: Callable[[ImagesRequest, bool, CallOptions], Exchange]

    @property
    def images(self) -> Images[Awaitable[ChatReply]]:
        """As `Emby.images`, with `await`."""
        return Images(self._run_images)

    async def _run_images(
        self, request: ImagesRequest, fresh: bool, options: CallOptions
    ) -> ChatReply:
        async with self._open(self._images_exchange(request, fresh, options)) as stream:
            async for _ in stream:
                pass
            reply: ChatReply = stream.reply
            reply.require_images()
            return reply
