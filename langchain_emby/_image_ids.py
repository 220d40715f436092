"""Image ids, by which a model refers to images: derived from the image's bytes.

An id is the same in every process and after every checkpoint. Concurrent tool calls can't claim
the same id for different images, and a name or path that a model makes up resolves to nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from langchain_core.messages import BaseMessage, ToolMessage

from emby_plugins import EmbyError, Image, RequestError
from langchain_emby._blocks import block_image, image_blocks, image_id, images_of
from langchain_emby._image_files import find_by_id

LATEST = "latest"
"""Refers to the images of the last message that has any."""

_MAX_LISTED = 20


def find_images(
    ids: Iterable[str], messages: Iterable[BaseMessage], image_dir: str | None = None
) -> list[Image]:
    """Find the images with these ids in the messages, or else in the folder.

    The folder keeps images whose messages are gone, as after a summary. Raises `RequestError`,
    which lists the known ids, for an unknown one.
    """
    wanted = [name.strip() for name in ids]
    if not wanted:
        return []
    known: dict[str, Image] = {}
    senders: dict[str, str] = {}
    latest: list[Image] = []
    for message in messages:
        latest = list(_usable(message, image_dir)) or latest
        for image in latest:
            known[image_id(image)] = image
            senders.setdefault(image_id(image), message.type)
    found: list[Image] = []
    for name in wanted:
        stored = None if name in known else find_by_id(name, image_dir)
        if stored is not None:
            known[name] = stored
        if name not in known and not (name == LATEST and latest):
            raise RequestError(f"No image {name!r} in this conversation.", hint=_known_ids(senders))
        found += latest if name == LATEST else [known[name]]
    return list(dict.fromkeys(found))


def find_messages(state: object) -> list[BaseMessage]:
    """The messages of a graph's state: a list, or an object or mapping with lists of messages."""
    if isinstance(state, list | tuple):
        return [message for message in state if isinstance(message, BaseMessage)]
    fields = state if isinstance(state, Mapping) else getattr(state, "__dict__", {})
    lists = [value for value in fields.values() if isinstance(value, list | tuple)]
    return [message for value in lists for message in find_messages(value)]


def _usable(message: BaseMessage, image_dir: str | None) -> Iterator[Image]:
    """The readable images of a message; unreadable ones are skipped."""
    if isinstance(message, ToolMessage):
        with suppress(EmbyError):
            yield from images_of(message, image_dir=image_dir)
            return
    for block in image_blocks(message):
        with suppress(EmbyError):
            yield block_image(block, image_dir=image_dir)


def _known_ids(senders: Mapping[str, str]) -> str:
    if not senders:
        return "This conversation has no images yet. Leave out the ids to generate a new image."
    owners = {"human": "the user's", "ai": "the assistant's", "tool": "a tool's"}
    listed = [f"{name} ({owners.get(kind, kind)})" for name, kind in senders.items()]
    return f"Known images, oldest first: {', '.join(listed[-_MAX_LISTED:])}."
