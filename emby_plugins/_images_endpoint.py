"""`emby.images`: the endpoint for images, of gateways that have it."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar, Unpack

from emby_plugins._call_settings import ImagesArguments
from emby_plugins._chat import DEFAULT_MODEL
from emby_plugins._exchange import Exchange
from emby_plugins._images import Image

_R = TypeVar("_R")


class Images(Generic[_R]):
    """The images endpoint of a gateway, `emby.images`. `AsyncEmby`'s calls are awaited.

    2026-08 and Emby's portal have it; the older gateways answer with `NotFoundError`, at no
    charge. `Emby.image` works with all of them.
    """

    def __init__(
        self, run: Callable[[Exchange], _R], new_exchange: Callable[..., Exchange]
    ) -> None:
        self._run = run
        self._new_exchange = new_exchange

    def generate(
        self, prompt: str, *, model: str = DEFAULT_MODEL, **options: Unpack[ImagesArguments]
    ) -> _R:
        """A reply with images generated from a prompt: `POST /images/generations`.

        `n` is 1 to 10, `size` such as `1024x1536`, `quality` such as `high`, `background`
        `transparent`, `opaque` or `auto`, `output_format` `png`, `jpeg` or `webp`: what of it
        counts, the model decides. `fresh`, by default true, is as for `Emby.image`: no image of a
        cache, since its key may ignore the size. The other `options` are those of `CallOptions`.
        `reply.images` are the very bytes that were sent, with their provenance; a prompt that was
        revised is in `reply.metadata`. Raises what `chat` raises, and `MissingImageError` for a
        reply without an image. OpenAI's form, as 2026-08 reads it.
        """
        return self._run(self._new_exchange(prompt, model, options))

    def edit(
        self,
        images: Image | Iterable[Image],
        prompt: str,
        *,
        mask: Image | None = None,
        model: str = DEFAULT_MODEL,
        **options: Unpack[ImagesArguments],
    ) -> _R:
        """A reply with edited images, as `generate`: `POST /images/edits`.

        `images` are one or several to edit or combine. `mask` marks what to change, by its
        transparent pixels, of one image; 2026-08 shows it to the model as a further image.
        """
        return self._run(self._new_exchange(prompt, model, options, images=images, mask=mask))
