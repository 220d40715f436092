"""How a model speaks of an image: by an id made of its bytes.

The messages of a conversation are the only memory. An id is the same in every process and after
every checkpoint, two tool calls at once can't take the same one, and no name or path that a model
makes up leads anywhere.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from langchain_core.messages import BaseMessage, ToolMessage

from emby_plugins import EmbyError, Image, RequestError
from langchain_emby._blocks import block_image, image_blocks, images_of

LATEST = "latest"
"""Stands for the images of the last message that has any."""

_FEW = 20


def image_id(image: Image) -> str:
    """The id of an image, such as `image_3f9a2c1b`: what `EmbyImageTool` calls it.

    The same bytes (or the same address) have the same id, always.
    """
    named = image.data if image.url is None else image.url.encode()
    return f"image_{hashlib.sha256(named).hexdigest()[:8]}"


def find_images(ids: Iterable[str], messages: Iterable[BaseMessage]) -> list[Image]:
    """The images with these ids among those of the messages.

    Raises `RequestError`, with the ids there are, for one that is not there.
    """
    wanted = [name.strip() for name in ids]
    if not wanted:
        return []
    known: dict[str, Image] = {}
    senders: dict[str, str] = {}
    latest: list[Image] = []
    for message in messages:
        latest = list(_usable(message)) or latest
        for image in latest:
            known[image_id(image)] = image
            senders.setdefault(image_id(image), message.type)
    found: list[Image] = []
    for name in wanted:
        if name not in known and not (name == LATEST and latest):
            raise RequestError(f"There is no image {name!r}.", hint=_there_are(senders))
        found += latest if name == LATEST else [known[name]]
    return list(dict.fromkeys(found))


def messages_in(state: object) -> list[BaseMessage]:
    """The messages of a graph's state: a list of them, or whatever holds lists of them."""
    if isinstance(state, list | tuple):
        return [message for message in state if isinstance(message, BaseMessage)]
    fields = state if isinstance(state, Mapping) else getattr(state, "__dict__", {})
    lists = [value for value in fields.values() if isinstance(value, list | tuple)]
    return [message for value in lists for message in messages_in(value)]


def _usable(message: BaseMessage) -> Iterator[Image]:
    """The images of a message; one that can't be read does not hide the others."""
    if isinstance(message, ToolMessage):
        with suppress(EmbyError):
            yield from images_of(message)
            return
    for block in image_blocks(message):
        with suppress(EmbyError):
            yield block_image(block)


def _there_are(senders: Mapping[str, str]) -> str:
    if not senders:
        return "There are none in this conversation yet: leave the ids out to draw a new one."
    whose = {"human": "the user's", "ai": "the assistant's", "tool": "a tool's"}
    listed = [f"{name} ({whose.get(kind, kind)})" for name, kind in senders.items()]
    return f"There are, oldest first: {', '.join(listed[-_FEW:])}."
