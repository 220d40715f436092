"""`Emby.image`: what an order of images asks for, and what its replies amount to."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import Any, TypeVar, cast

from emby_plugins._call_settings import ImageArguments
from emby_plugins._chat import ChatReply, ChatRequest, ImageConfig
from emby_plugins._errors import EmbyError, RequestError
from emby_plugins._images import Image
from emby_plugins._protocol.images_request import IMAGE_INSTRUCTION

_log = logging.getLogger("emby_plugins")

MAX_AT_ONCE = 8
"""How many calls of one order run at the same time."""

_T = TypeVar("_T")


def image_orders(
    n: int, aspect_ratio: str | None, size: str | None, arguments: ImageArguments
) -> list[ImageArguments]:
    """The arguments of each of the `n` calls of `chat`. Raises `RequestError`."""
    if not isinstance(n, int) or n < 1:
        raise RequestError(f"n is {n!r}; expected the number of images, at least 1.")
    config: dict[str, Any] = dict(arguments.get("image_config") or {})
    config |= {"aspect_ratio": aspect_ratio} if aspect_ratio is not None else {}
    config |= {"image_size": size} if size is not None else {}
    # A chat model may answer a mere description with words.
    defaults: ImageArguments = {"fresh": True, "endpoint": "auto", "system": IMAGE_INSTRUCTION}
    given = {name: value for name, value in arguments.items() if value is not None}
    order = cast("ImageArguments", {**defaults, **given})
    if config:
        order["image_config"] = cast("ImageConfig", config)
    return [{**order, "variant": number} for number in range(n)] if n > 1 else [order]


def with_seed(request: ChatRequest, variant: int | None) -> ChatRequest:
    """The request with the seed of a variant: with equal ones, some models make equal images."""
    if variant is None:
        return request
    config: ImageConfig = {"seed": variant, **(request.options.get("image_config") or {})}
    return replace(request, options={**request.options, "image_config": config})


def in_threads(
    call: Callable[..., ChatReply], orders: Iterable[ImageArguments]
) -> list[ChatReply | EmbyError]:
    """The result of each order, several at a time."""

    def outcome(order: ImageArguments) -> ChatReply | EmbyError:
        try:
            return call(**order)
        except EmbyError as error:
            return error

    pool = ThreadPoolExecutor(MAX_AT_ONCE)
    try:
        # Each runs in a copy of the caller's context, with the parent span of the calls.
        calls = [pool.submit(copy_context().run, outcome, order) for order in orders]
        return [call.result() for call in calls]
    finally:
        # After Ctrl-C nothing more is ordered.
        pool.shutdown(wait=False, cancel_futures=True)


async def in_tasks(
    call: Callable[..., Awaitable[ChatReply]], orders: Iterable[ImageArguments]
) -> list[ChatReply | EmbyError]:
    """As `in_threads`."""
    slots = asyncio.Semaphore(MAX_AT_ONCE)

    async def outcome(order: ImageArguments) -> ChatReply | EmbyError:
        async with slots:
            try:
                return await call(**order)
            except EmbyError as error:
                return error

    return await asyncio.gather(*map(outcome, orders))


def reusable(given: Iterable[_T] | Any) -> Any:
    """What was given, in a form that several calls can read: an iterator can only be read once."""
    return tuple(given) if isinstance(given, Iterator) else given


def collect_images(outcomes: Sequence[ChatReply | EmbyError]) -> list[Image]:
    """The images of all calls.

    Raises the first error, or `MissingImageError` for the first reply without an image; the images
    of the other calls are paid for, and in its `partial`. A warning is logged if two are equal.
    """
    partials = [o.partial if isinstance(o, EmbyError) else o for o in outcomes]
    images = [image for reply in partials if reply is not None for image in reply.images]
    for outcome in outcomes:
        try:
            if isinstance(outcome, EmbyError):
                raise outcome
            outcome.require_images()
        except EmbyError as error:
            if len(outcomes) > 1 and images:
                error.partial = replace(error.partial or ChatReply(), images=tuple(images))
            raise
    repeated = len(images) - len({image.sha256 for image in images})
    if repeated:
        _log.warning(
            "%d of %d images are identical to others of the same order: the gateway may have "
            "answered from a cache.",
            repeated,
            len(images),
        )
    return images
