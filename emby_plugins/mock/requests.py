"""A chat request as frozen values, read from a body that its schema accepts.

Unknown keys of the body are dropped in silence, as the gateway does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from emby_plugins.mock.errors import SchemaError
from emby_plugins.mock.validation import JsonObject, Schema, validate

LONG_SIDES = {"1K": 1024, "2K": 2048, "4K": 4096}
MAX_IMAGES = 8
SYSTEM_ROLES = ("system", "developer")

_ASPECT_RATIO = re.compile(r"([1-9]\d{0,1}):([1-9]\d{0,1})")
_STEEPEST = 8.0
_READ = 10_000
_DEMAND = re.compile(
    r"\bmust\b[^.\n]{0,60}\b(?:call|calling|use|using)\b[^.\n]{0,60}\btools?\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text of a message."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image of a message; `where` names it in errors."""

    url: str
    where: str


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file of a message: a data URL, or the id of one uploaded before."""

    name: str | None
    data: str | None
    file_id: str | None
    where: str


@dataclass(frozen=True, slots=True)
class AudioPart:
    """Audio of a message."""


Part = TextPart | ImagePart | FilePart | AudioPart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who spoke, and what."""

    role: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """All text of the message, a part a line."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`mode` is auto, none, required or named."""

    mode: str = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What is asked of generated images; None is the model's own choice."""

    ratio: float | None = None
    long_side: int | None = None
    count: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """Everything the mock reads of a POST to /chat/completions; `body` has all of it."""

    model: str
    messages: tuple[Message, ...]
    body: JsonObject
    stream: bool = False
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    response_format: str = "text"
    schema: JsonObject | None = None
    image_config: ImageConfig = ImageConfig()

    @property
    def demands_tool(self) -> bool:
        """Whether a tool must be called: by `tool_choice`, or because the system prompt says so."""
        mode = self.tool_choice.mode
        prompts = (m.text for m in self.messages if m.role in SYSTEM_ROLES)
        told = mode == "auto" and any(_DEMAND.search(prompt[:_READ]) for prompt in prompts)
        return mode in ("required", "named") or told

    @property
    def parts(self) -> Iterator[Part]:
        """The parts of all messages."""
        return (part for message in self.messages for part in message.parts)


def read_chat_request(body: Any, schema: Schema) -> ChatRequest:
    """The request in a parsed body; raises SchemaError with every issue the schema finds."""
    issues = validate(body, schema)
    if issues:
        raise SchemaError(issues)
    # Real providers draw another picture each time. The mock's draw by a seed, and get it from a
    # gateway that drops it too: else whoever asks for three pictures had the same one thrice.
    seed = _seed(body.get("image_config"))
    body = {key: value for key, value in body.items() if key in schema["properties"]}
    wanted = body.get("response_format", {})
    limit = body.get("max_tokens")
    reasoning = body.get("reasoning_effort") or body.get("reasoning", {}).get("effort")
    return ChatRequest(
        model=body["model"],
        messages=tuple(_message(value, at) for at, value in enumerate(body["messages"])),
        body=body,
        stream=body.get("stream", False),
        max_tokens=int(limit) if limit and limit >= 1 else None,
        reasoning_effort=None if reasoning == "none" else reasoning,
        tools=tuple(_tools(body.get("tools", ()))),
        tool_choice=_tool_choice(body.get("tool_choice", "auto")),
        response_format=wanted.get("type", "text"),
        schema=wanted.get("json_schema", {}).get("schema"),
        image_config=_image_config(body.get("image_config", {}), seed),
    )


def _message(value: Any, at: int) -> Message:
    content = value.get("content")
    if not isinstance(content, list):
        return Message(value["role"], (TextPart(content),) if content else ())
    where = f"messages[{at}].content"
    return Message(
        value["role"], tuple(_part(part, f"{where}[{index}]") for index, part in enumerate(content))
    )


def _part(value: Any, where: str) -> Part:
    if value["type"] == "text":
        return TextPart(value["text"])
    if value["type"] == "image_url":
        return ImagePart(value["image_url"]["url"], where)
    if value["type"] == "file":
        file = value["file"]
        return FilePart(file.get("filename"), file.get("file_data"), file.get("file_id"), where)
    return AudioPart()


def _tools(values: Any) -> Iterator[Tool]:
    for value in values:
        function = value.get("function")
        # The newest gateway takes tools of its own too, which have no function.
        if function is not None:
            about = function.get("description", "")
            yield Tool(function["name"], about, function.get("parameters", {}))


def _tool_choice(value: Any) -> ToolChoice:
    if isinstance(value, str):
        return ToolChoice(value)
    name = value.get("function", {}).get("name")
    return ToolChoice("named", name) if name is not None else ToolChoice()


def _seed(given: Any) -> int:
    seed = given.get("seed") if isinstance(given, dict) else None
    return abs(int(seed)) if isinstance(seed, int | float) else 0


def _image_config(given: Any, seed: int) -> ImageConfig:
    """The schema takes any text for the form, and the provider makes of it what it can."""
    match = _ASPECT_RATIO.fullmatch(given.get("aspect_ratio", ""))
    ratio = int(match[1]) / int(match[2]) if match else None
    if ratio is not None and not 1 / _STEEPEST <= ratio <= _STEEPEST:
        ratio = None
    count = given.get("n")
    if count is not None:
        count = max(1, min(MAX_IMAGES, int(count)))
    return ImageConfig(ratio, LONG_SIDES.get(given.get("image_size", "")), count, seed)
