"""The values of a call: requests, replies and stream events.

Frozen values, and nothing of how they travel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict

from emby_plugins import _endings as endings
from emby_plugins._images import Image, PreparedImage
from emby_plugins._messages import Message, Reasoning, ToolCall

DEFAULT_MODEL = "qwen2.5-vision"
"""The model in the examples of both of Emby's pages: it looks at images and makes them."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may ask to have called; `parameters` is a JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool | None = None
    cache_control: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A tool that the gateway runs itself, such as `ServerTool("web_search", {"max_uses": 3})`.

    The states from 2026-02 on take `web_search` (`user_location`, `search_context_size`,
    `max_uses`), 2026-08 also `tool_search`; earlier ones refuse all of them, free of charge.
    """

    type: str
    settings: Mapping[str, Any] = field(default_factory=dict)


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
    merged into the request unchanged, for fields that this package does not support.
    """

    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    reasoning_effort: str | None
    tools: Sequence[Tool | ServerTool] | None
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

    `cached_tokens`, `cache_write_tokens`, `input_image_tokens` and `input_audio_tokens` are parts
    of `prompt_tokens`; `reasoning_tokens`, `image_tokens` and `audio_tokens` are parts of
    `completion_tokens`. `cost_details` are the parts of the cost that the gateway lists, under the
    names of 2026-08, such as `input_cost`. Where the gateway does not report the cost of a call,
    `cost` is computed from the prices of the model, as far as they are known, and
    `cost_is_estimate` is True. Prices are those of `Emby.models()`, if this client has called it,
    and of plugins (`emby_models`).
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    image_tokens: int = 0
    cost: float | None = None
    cost_is_estimate: bool = False
    cache_write_tokens: int = 0
    input_image_tokens: int = 0
    input_audio_tokens: int = 0
    audio_tokens: int = 0
    cost_details: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Citation:
    """A page the model refers to: the text from `start_index` to `end_index` is based on it.

    `cited_text` is the passage of the page. All but the URL may be missing.
    """

    url: str
    title: str = ""
    start_index: int | None = None
    end_index: int | None = None
    cited_text: str = ""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a model answered, the same whether it was streamed or not.

    `images` hold the very bytes that were sent. `finish_reason` is `stop`, `length`,
    `tool_calls` or `content_filter`, None if the gateway gave none. `created` is in seconds
    since 1970. `metadata` is the gateway's record of its routing. `streamed` is whether it came
    as a stream. `stop_sequence` is the one of `stop` at which the text was cut here; None where
    none was met, or where the gateway cut the text itself. `headers` are those of the response,
    under lower-case names, without the API key. `raw` is the parsed JSON, or the list of chunks of
    a stream, without the data of images: only with `keep_raw=True`. `unread` is what could not be
    read, each piece as it was received: only in the `partial` of an error. `prepared_images` lists
    the input images that were changed before they were sent. `refusal` is the part of the text
    that the provider marks as a refusal to answer. `thoughts` is the reasoning in the form in
    which `message` takes it back to the model. Image Generation page, "Response Format".
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
    refusal: str = ""
    thoughts: Reasoning | None = field(default=None, repr=False)

    @property
    def cached(self) -> bool:
        """Whether the gateway reports that this reply is from its cache, and so not a new one.

        2026-08 reports it in `metadata` and in a header (case `cached-second`); 2025-11 and 2025-12
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

        Describes what cut it off, or that the reply is empty, or that a paid image did not arrive.
        """
        return endings.notice(self)

    def require_images(self) -> tuple[Image, ...]:
        """The images, at least one. Raises `MissingImageError`, with the reason."""
        if not self.images:
            raise endings.image_count_error(self)
        return self.images

    @property
    def message(self) -> Message:
        """The reply as a message of the history, to send back with the next turn."""
        text = (self.text,) if self.text else ()
        return Message.assistant(
            *text, *self.images, tool_calls=self.tool_calls, reasoning=self.thoughts
        )

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
class RefusalDelta(TextDelta):
    """A further piece of text that the provider marks as a refusal to answer."""


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
"""The events of a stream; `Finished` is the last one, only if the reply is complete."""
