"""The values of a conversation: messages, parts, requests, replies and stream events.

Frozen values, and nothing of how they travel.
"""

import json
import mimetypes
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, TypedDict

from emby_plugins import _endings as endings
from emby_plugins._errors import MalformedReplyError, RequestError
from emby_plugins._files import read_file
from emby_plugins._images import Image, PreparedImage
from emby_plugins._suggestions import suggest_image

DEFAULT_MODEL = "qwen2.5-vision"
"""The model in the examples of both of Emby's pages: it looks at images and makes them."""

Role = Literal["system", "user", "assistant", "tool"]
Detail = Literal["low", "high", "auto"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text inside a message: Vision Support page, "Content Format (Mixed Input)", text block."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image inside a message: Vision Support page, "Content Format (Mixed Input)", image block.

    `detail` tells the model how closely to look; None leaves it to the model.
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
        """A file from its bytes; without a media type it is guessed from `filename`."""
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
        except ValueError:
            args = None
        if isinstance(args, dict):
            return args
        msg = (
            f"The arguments of the call to {self.name!r} are not a JSON object: {self.arguments!r}."
        )
        raise MalformedReplyError(msg)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation: a role and its parts, in order.

    Sending back an assistant's message with images works. What form Emby accepts there is not
    documented, so its images are prepended to the next user message, the place that image
    editing reads them from (Image Generation page, "Vision Support").
    """

    role: Role
    content: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""

    @classmethod
    def system(cls, *content: Content) -> Self:
        """Instructions for the whole conversation."""
        return cls("system", tuple(map(as_part, content)))

    @classmethod
    def user(cls, *content: Content) -> Self:
        """What the user says and shows: strings, `Image`s, parts."""
        return cls("user", tuple(map(as_part, content)))

    @classmethod
    def assistant(cls, *content: Content, tool_calls: Iterable[ToolCall] = ()) -> Self:
        """An answer of the model; usually `reply.message`."""
        return cls("assistant", tuple(map(as_part, content)), tuple(tool_calls))

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


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may ask to have called; `parameters` is a JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class JSONSchema:
    """The shape a reply's text must have, as a JSON schema."""

    schema: Mapping[str, Any]
    name: str = "reply"
    description: str = ""
    strict: bool | None = None


class ImageConfig(TypedDict, total=False):
    """Wishes for a generated image; a model without it ignores them."""

    aspect_ratio: str
    image_size: str
    image_quality: str
    n: int
    seed: int


class ChatOptions(TypedDict, total=False):
    """The options of a chat request, under the names of OpenAI's and Emby's APIs.

    `tool_choice` is `auto`, `none`, `required` or the name of a tool. `stop` is sent and also
    applied here, since recorded gateways drop it: see `ChatReply.stop_sequence`. `seed`, `user`,
    `service_tier`, `parallel_tool_calls` and `logprobs` are sent; gateways that do not know them
    drop them (recordings, cases `stop-and-seed`, `parallel-tool-calls-false`). `extra_body` is
    merged into the request as it is, for what a gateway knows and this package does not.
    """

    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    reasoning_effort: str | None
    tools: Sequence[Tool] | None
    tool_choice: str | None
    response_format: JSONSchema | Literal["text", "json_object"] | None
    image_config: ImageConfig | None
    stop: str | Sequence[str] | None
    seed: int | None
    user: str | None
    service_tier: str | None
    parallel_tool_calls: bool | None
    logprobs: bool | None
    extra_body: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat call: the model, the conversation, the options, streamed or not."""

    model: str
    messages: tuple[Message, ...]
    options: ChatOptions = field(default_factory=ChatOptions)
    stream: bool = False

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call used: tokens, and US dollars.

    `reasoning_tokens` and `image_tokens` are parts of `completion_tokens`. If the gateway does
    not report what a call cost, `cost` is computed from the prices of the model, as far as they are
    known, and `cost_is_estimate` is True. Prices are those of `Emby.models()`, if this client
    has called it, and of plugins (`emby_models`).
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    image_tokens: int = 0
    cost: float | None = None
    cost_is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class Citation:
    """A page the model refers to."""

    url: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a model answered, the same whether it was streamed or not.

    `images` hold the very bytes that were sent. `finish_reason` is `stop`, `length`,
    `tool_calls` or `content_filter`, or None if the gateway gave none. `created` is in seconds
    since 1970. `metadata` is what the gateway says of its routing. `streamed` is whether it came
    as a stream. `stop_sequence` is the one of `stop` at which the text was cut here; None if
    none occurred, or if the gateway cut the text itself. `headers` are those of the response,
    under lower-case names, without the API key. `raw` is the parsed JSON, or the list of chunks of
    a stream, without the data of images: only with `keep_raw=True`. `unread` is what could not be
    read, each piece as it was received: only in the `partial` of an error. `prepared_images` lists
    the input images that were changed before they were sent. Image Generation
    page, "Response Format".
    """

    text: str = ""
    images: tuple[Image, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    citations: tuple[Citation, ...] = ()
    usage: Usage | None = None
    finish_reason: str | None = None
    model: str = ""
    id: str = ""
    created: int | None = None
    request_id: str | None = None
    system_fingerprint: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    streamed: bool = field(default=False, compare=False)
    unread: tuple[bytes, ...] = field(default=(), repr=False)
    stop_sequence: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    raw: Any = field(default=None, compare=False, repr=False)
    prepared_images: tuple[PreparedImage, ...] = field(default=(), compare=False, repr=False)

    @property
    def cached(self) -> bool:
        """Whether the gateway says that this reply is from its cache, and so not a new one.

        2026-08 says so, in `metadata` and in a header (case `cached-second`); 2025-11 and 2025-12
        give no sign of it.
        """
        is_hit = self.headers.get("x-llmgateway-cache", "").strip().upper() == "HIT"
        return is_hit or self.metadata.get("cached") is True

    @property
    def image(self) -> Image:
        """The one image. Raises `ImageCountError`, if there is none `MissingImageError`."""
        if len(self.images) != 1:
            raise endings.image_count_error(self)
        return self.images[0]

    @property
    def notice(self) -> str:
        """What to know about how the reply ended; empty for a normal end.

        Says what cut it off, that it is empty, or that a paid image did not arrive.
        """
        return endings.notice(self)

    def require_images(self) -> tuple[Image, ...]:
        """The images, at least one. Raises `MissingImageError`, which says why there is none."""
        if not self.images:
            raise endings.image_count_error(self)
        return self.images

    @property
    def message(self) -> Message:
        """The reply as a message of the history, to send back with the next turn."""
        text = (self.text,) if self.text else ()
        return Message.assistant(*text, *self.images, tool_calls=self.tool_calls)

    def show(self, title: str = "") -> None:
        """Show the reply below the cell of a notebook, or print it; `title` is a line above it.

        As the last line of a cell, `reply` alone does the same.
        """
        from emby_plugins._display import show

        show(self, title)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from emby_plugins._display import bundle

        return bundle(self)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A further piece of the reply's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A further piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A further piece of the tool call at `index`; `id` and `name` come once, with the first."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ImageReceived:
    """A whole image; `index` counts them from 0 in the order they came."""

    image: Image
    index: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The stream is whole, and this is the reply."""

    reply: ChatReply


StreamEvent: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta | ImageReceived | Finished
"""What a stream tells; `Finished` comes last, and only when the reply is whole."""
