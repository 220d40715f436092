"""A chat request as typed structs, read from a body that the schema of a gateway accepts.

Unknown keys of the body are dropped, as the gateways do.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from emby_plugins.mock.errors import SchemaError
from emby_plugins.mock.schema_validation import JsonObject, Schema, validate

MAX_IMAGES = 8
SYSTEM_ROLES = ("system", "developer")

_LONG_SIDES = {"1K": 1024, "2K": 2048, "4K": 4096}
_EXACT_SIZE = re.compile(r"(\d{2,4})x(\d{2,4})")
_MAX_SIDE = 4096
_MAX_N = 10
_ASPECT_RATIO = re.compile(r"([1-9]\d{0,1}):([1-9]\d{0,1})")
_STEEPEST = 8.0
_MAX_READ = 10_000
_DEMAND = re.compile(
    r"\bmust\b[^.\n]{0,60}\b(?:call|calling|use|using)\b[^.\n]{0,60}\btools?\b", re.IGNORECASE
)


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """Text of a message."""

    text: str


class ImagePart(msgspec.Struct, frozen=True, tag="image_url"):
    """An image of a message."""

    image_url: dict[str, str]

    @property
    def url(self) -> str:
        """Its address or data URL."""
        return self.image_url["url"]


class FilePart(msgspec.Struct, frozen=True, tag="file"):
    """A file of a message: a data URL, or the id of one uploaded before."""

    file: dict[str, str]


class AudioPart(msgspec.Struct, frozen=True, tag="input_audio"):
    """Audio of a message."""


Part = TextPart | ImagePart | FilePart | AudioPart


class Message(msgspec.Struct, frozen=True):
    """One message: its role and its content."""

    role: str
    content: str | tuple[Part, ...] | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts."""
        if isinstance(self.content, tuple):
            return self.content
        return (TextPart(self.content),) if self.content else ()

    @property
    def text(self) -> str:
        """All text of the message, a line for each part."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))


class Tool(msgspec.Struct, frozen=True):
    """A function the model may call."""

    name: str
    description: str = ""
    parameters: JsonObject = {}


class ImageConfig(msgspec.Struct, frozen=True):
    """Options of generated images; the schema accepts any text as ratio and size."""

    aspect_ratio: str = ""
    image_size: str = ""
    n: float | None = None
    seed: int = 0

    @property
    def ratio(self) -> float | None:
        """Width by height, None for the model's choice."""
        match = _ASPECT_RATIO.fullmatch(self.aspect_ratio)
        ratio = int(match[1]) / int(match[2]) if match else 0
        return ratio if 1 / _STEEPEST <= ratio <= _STEEPEST else None

    @property
    def exact_size(self) -> tuple[int, int] | None:
        """Width and height in pixels, as OpenAI's `size` has them."""
        match = _EXACT_SIZE.fullmatch(self.image_size)
        return (min(int(match[1]), _MAX_SIDE), min(int(match[2]), _MAX_SIDE)) if match else None

    @property
    def long_side(self) -> int | None:
        """In pixels."""
        return _LONG_SIDES.get(self.image_size)

    @property
    def count(self) -> int | None:
        """How many images, at most 10, as at OpenAI's endpoint."""
        return None if self.n is None else max(1, min(_MAX_N, int(self.n)))


class ChatRequest(msgspec.Struct, frozen=True):
    """Everything the mock reads of a POST to /chat/completions; `body` has all of it.

    `tool_choice` is auto, none, required or named, the last with `tool_name`.
    """

    model: str
    messages: tuple[Message, ...]
    body: JsonObject = {}
    stream: bool = False
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    tools: tuple[Tool, ...] = ()
    server_tools: tuple[str, ...] = ()
    tool_choice: str = "auto"
    tool_name: str | None = None
    response_format: str = "text"
    schema: JsonObject | None = None
    image_config: ImageConfig = ImageConfig()

    @property
    def demands_tool(self) -> bool:
        """Whether a tool must be called, by `tool_choice` or by the system prompt."""
        if self.tool_choice != "auto":
            return self.tool_choice in ("required", "named")
        prompts = (m.text for m in self.messages if m.role in SYSTEM_ROLES)
        return any(_DEMAND.search(prompt[:_MAX_READ]) for prompt in prompts)

    @property
    def parts(self) -> Iterator[Part]:
        """The parts of all messages."""
        return (part for message in self.messages for part in message.parts)


def read_chat_request(body: Any, schema: Schema) -> ChatRequest:
    """The request in a parsed body; raises SchemaError with every issue the schema finds."""
    issues = validate(body, schema)
    if issues:
        raise SchemaError(issues)
    # Real providers draw another picture each time. The mock's draw by a seed, even if the gateway
    # drops it: otherwise a client that requests three pictures gets the same one three times.
    config = body.get("image_config")
    config = config if isinstance(config, dict) else {}
    seed, known = config.get("seed"), schema["properties"].get("image_config", {})
    config = {key: config[key] for key in known.get("properties", ()) if key in config}
    body = {key: value for key, value in body.items() if key in schema["properties"]}
    limit, choice = body.get("max_tokens"), body.get("tool_choice", "auto")
    name = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    form = body.get("response_format", {})
    effort = body.get("reasoning_effort") or body.get("reasoning", {}).get("effort")
    tools = body.get("tools", ())
    read = {
        "model": body["model"],
        "messages": body["messages"],
        "stream": body.get("stream", False),
        "max_tokens": int(limit) if limit and limit >= 1 else None,
        "reasoning_effort": None if effort == "none" else effort,
        "tools": [tool["function"] for tool in tools if "function" in tool],
        # Those that the newest gateway runs itself have no function.
        "server_tools": [tool["type"] for tool in tools if "function" not in tool],
        "tool_choice": choice if isinstance(choice, str) else "named" if name else "auto",
        "tool_name": name,
        "response_format": form.get("type", "text"),
        "schema": form.get("json_schema", {}).get("schema"),
        "image_config": config | {"seed": abs(int(seed)) if isinstance(seed, int | float) else 0},
        "body": body,
    }
    return msgspec.convert(read, ChatRequest)
