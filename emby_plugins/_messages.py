"""What is in a conversation: messages, their parts, and tool calls. Frozen values."""

import json
import mimetypes
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from emby_plugins._errors import MalformedReplyError, RequestError
from emby_plugins._files import read_file
from emby_plugins._images import Image
from emby_plugins._suggestions import suggest_image

Role = Literal["system", "user", "assistant", "tool"]
Detail = Literal["low", "high", "auto"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text inside a message: Vision Support page, "Content Format (Mixed Input)", text block.

    `cache_control` marks the end of a prefix for the provider's cache, such as
    `{"type": "ephemeral"}`: 2026-08 takes it, earlier states drop it.
    """

    text: str
    cache_control: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image inside a message: Vision Support page, "Content Format (Mixed Input)", image block.

    `detail` is how closely the model should look; None leaves it to the model.
    """

    image: Image
    detail: Detail | None = None


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file other than an image, such as a PDF: Image Generation page, `type: "file"`.

    Either `data` (bytes) or the `file_id` of something uploaded elsewhere.
    """

    filename: str = ""
    media_type: str = "application/octet-stream"
    data: bytes | None = field(default=None, repr=False)
    file_id: str | None = None

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Self:
        """A file read now; its media type is guessed from its name.

        Raises `RequestError` for anything but a regular file of at most 100 MiB.
        """
        try:
            path = Path(path).expanduser()
            data = read_file(path)
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            msg = f"The file {str(path)!r} can't be read: {reason}."
            raise RequestError(msg, hint="Check the path.") from error
        return cls.from_bytes(data, filename=path.name)

    @classmethod
    def from_bytes(cls, data: bytes, *, filename: str, media_type: str | None = None) -> Self:
        """A file from its bytes; the default media type is guessed from `filename`."""
        guessed = media_type or mimetypes.guess_type(filename)[0] or "application/octet-stream"
        return cls(filename=filename, media_type=guessed, data=data)


Part: TypeAlias = TextPart | ImagePart | FilePart
Content: TypeAlias = str | Image | Part
"""What a message can be made of: a string becomes a text part, an image an image part."""


def as_part(item: Content) -> Part:
    """A content part: text from a string, an image part from an `Image`."""
    if isinstance(item, str):
        return TextPart(item)
    if isinstance(item, Image):
        return ImagePart(item)
    if isinstance(item, TextPart | ImagePart | FilePart):
        return item
    hint = suggest_image(item) or "Give text, an Image, or a TextPart, ImagePart or FilePart."
    raise RequestError(f"A {type(item).__name__} can't be part of a message.", hint=hint)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to have a tool run. `arguments` is JSON, as the model wrote it."""

    id: str
    name: str
    arguments: str = "{}"

    @property
    def args(self) -> dict[str, Any]:
        """The arguments as a dict. Raises `MalformedReplyError` if they are not a JSON object."""
        try:
            args = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError):  # ValueError for a number of 5000 digits, too
            args = None
        if isinstance(args, dict):
            return args
        msg = (
            f"The arguments of the call to {self.name!r} are not a JSON object: {self.arguments!r}."
        )
        raise MalformedReplyError(msg)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The reasoning behind a message, in the form in which the model takes it back.

    `model` is the model that was requested; no other model gets the reasoning, since it may be
    encrypted or signed. `fields` are those of the message as they were received, such as
    `reasoning_details`, the pieces of a stream joined. `calls` has what came with tool calls, such
    as Google's thought signatures, by the id of the call.
    """

    model: str
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    calls: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values, to be stored with a message."""
        return {"model": self.model, "fields": dict(self.fields), "calls": dict(self.calls)}

    @classmethod
    def from_dict(cls, stored: object) -> Self | None:
        """The reasoning that `to_dict` stored; None for anything else."""
        if not isinstance(stored, Mapping) or not isinstance(stored.get("model"), str):
            return None
        fields, calls = (stored.get(name) for name in ("fields", "calls"))
        return cls(
            stored["model"],
            fields if isinstance(fields, Mapping) else {},
            calls if isinstance(calls, Mapping) else {},
        )


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation: a role and its parts, in order.

    Sending back an assistant's message with images works. What form Emby accepts there is not
    documented, so its images are prepended to the next user message, the place that image
    editing reads them from (Image Generation page, "Vision Support"). Its reasoning is sent back
    to the model that it came from.
    """

    role: Role
    content: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""
    reasoning: Reasoning | None = None

    @classmethod
    def system(cls, *content: Content) -> Self:
        """Instructions for the whole conversation."""
        return cls("system", tuple(map(as_part, content)))

    @classmethod
    def user(cls, *content: Content) -> Self:
        """The user's message: strings, `Image`s, parts."""
        return cls("user", tuple(map(as_part, content)))

    @classmethod
    def assistant(
        cls,
        *content: Content,
        tool_calls: Iterable[ToolCall] = (),
        reasoning: Reasoning | None = None,
    ) -> Self:
        """An answer of the model; usually `reply.message`."""
        parts, calls = tuple(map(as_part, content)), tuple(tool_calls)
        return cls("assistant", parts, calls, reasoning=reasoning)

    @classmethod
    def tool(cls, *content: Content, tool_call_id: str, name: str = "") -> Self:
        """What a tool answered to the call with that id."""
        return cls("tool", tuple(map(as_part, content)), tool_call_id=tool_call_id, name=name)

    @property
    def text(self) -> str:
        """The text of all text parts, a line each."""
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def images(self) -> tuple[Image, ...]:
        """The images of all image parts, in order."""
        return tuple(part.image for part in self.content if isinstance(part, ImagePart))


def add_system_text(
    messages: tuple[Message, ...], text: str, *, at_end: bool = False
) -> tuple[Message, ...]:
    """The messages with a system text at the beginning, or at the end of a first system message.

    There is never a second system message, as not every provider accepts one.
    """
    first, *others = messages
    if first.role != "system":
        return (Message.system(text), *messages)
    part = TextPart(text)
    content = (*first.content, part) if at_end else (part, *first.content)
    return (replace(first, content=content), *others)
