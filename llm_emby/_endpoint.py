"""Which endpoint a prompt for an image goes to: that for images, or chat."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import llm

from emby_plugins import (
    ChatReply,
    Finished,
    Image,
    ImageReceived,
    Message,
    ModelCard,
    NotFoundError,
    RequestError,
    StreamEvent,
    TextDelta,
)
from llm_emby._options import Options

# What the images endpoint takes, and what is not part of the request.
_TAKEN = frozenset(
    [
        *("image_size", "image_quality", "fresh", "endpoint", "mask", "output", "overwrite"),
        *("metadata", "source", "header", "timeout", "deadline", "max_retries"),
    ]
)


@dataclass(frozen=True, slots=True)
class ImagesCall:
    """A call of `emby.images`; `is_required` if chat can't be used instead."""

    prompt: str
    images: tuple[Image, ...]
    mask: Image | None
    options: dict[str, Any]
    is_required: bool

    def start(self, images: Any, model: str) -> Any:
        """Call `emby.images`; for an async client the result is awaited."""
        if self.images or self.mask:
            options = self.options | {"mask": self.mask}
            return images.edit(self.images, self.prompt, model=model, **options)
        return images.generate(self.prompt, model=model, **self.options)

    def check(self, error: NotFoundError) -> None:
        """Raise the error, unless the gateway has no images endpoint and chat will do as well."""
        if self.is_required and not error.provider:
            error.hint = "This gateway has no images endpoint: use --endpoint chat."
        if self.is_required or error.provider:
            raise error


def images_call(prompt: llm.Prompt, messages: list[Message], card: ModelCard) -> ImagesCall | None:
    """The call of the images endpoint for a prompt, or None if chat is to be used.

    `auto` uses it for a mask and for models that generate nothing but images, as `Emby.image`
    does. Raises `RequestError` if it is required and can't express the prompt.
    """
    given = prompt.options
    assert isinstance(given, Options)
    only_images = card.image_output is True and card.text_output is False
    is_required = given.endpoint == "images" or given.mask is not None
    if given.endpoint == "chat" and given.mask is not None:
        raise RequestError("A mask needs the images endpoint.", hint="Leave out the endpoint.")
    if given.endpoint == "chat" or not (is_required or only_images):
        return None
    others = sorted(name for name, value in given if value is not None and name not in _TAKEN)
    turns = [message for message in messages if message.role != "system"]
    if others or len(turns) != 1 or prompt.tools or prompt.schema:
        if not is_required:
            return None
        what = f"the option {others[0]}" if others else "a conversation, tools or a schema"
        raise RequestError(f"The images endpoint does not take {what}.")
    if given.mask is not None and not turns[0].images:
        raise RequestError("A mask needs an image to edit.", hint="Add it with -a.")
    options = {"size": given.image_size, "quality": given.image_quality}
    if given.fresh is not None:
        options["fresh"] = given.fresh  # type: ignore[assignment]
    mask = Image.from_path(given.mask) if given.mask is not None else None
    return ImagesCall(turns[0].text, turns[0].images, mask, options, is_required)


def reply_events(reply: ChatReply) -> Iterator[StreamEvent]:
    """The events of a reply that came as a whole."""
    if reply.text:
        yield TextDelta(reply.text)
    for index, image in enumerate(reply.images):
        yield ImageReceived(image, index)
    yield Finished(reply)
