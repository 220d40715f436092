"""A chat request as frozen values, read from the parsed body; the schema's word is final here.

Unknown keys of the body are dropped in silence, as the gateway does.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emby_plugins.mock.checks import EMPTY, MISSING, Checker, JsonObject, Path
from emby_plugins.mock.errors import SchemaError
from emby_plugins.mock.profiles import Profile

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
LONG_SIDES = {"1K": 1024, "2K": 2048, "4K": 4096}
MAX_IMAGES = 8

_NUMBERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_ASPECT_RATIO = re.compile(r"([1-9]\d{0,1}):([1-9]\d{0,1})")
_STEEPEST = 8.0


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


Part = TextPart | ImagePart | FilePart


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
    """What is wished of generated images; None is the model's own choice."""

    ratio: float | None = None
    long_side: int | None = None
    count: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """Everything the mock heeds of a POST to /chat/completions."""

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    response_format: str = "text"
    schema: JsonObject | None = None
    image_config: ImageConfig = ImageConfig()


def read_chat_request(body: object, profile: Profile) -> ChatRequest:
    """The request in a parsed body; raises SchemaError with every issue the profile finds."""
    check = Checker()
    source = check.mapping(body, ())
    if check.issues:
        raise SchemaError(tuple(check.issues))
    for key in _NUMBERS:
        check.number(source, key, ())
    response_format, schema = _read_response_format(source, check)
    request = ChatRequest(
        model=check.string(source, "model", ()),
        messages=_read_messages(source, check, profile),
        stream=check.boolean(source, "stream", ()),
        max_tokens=check.positive_integer(source, "max_tokens", ()),
        reasoning_effort=check.choice(source, "reasoning_effort", (), profile.efforts),
        tools=tuple(_read_tools(source, check)),
        tool_choice=_read_tool_choice(source, check, profile),
        parallel_tool_calls=check.boolean(source, "parallel_tool_calls", (), default=True),
        response_format=response_format,
        schema=schema,
        image_config=_read_image_config(source, check, profile),
    )
    if check.issues:
        raise SchemaError(tuple(check.issues))
    return request


def _read_messages(source: JsonObject, check: Checker, profile: Profile) -> tuple[Message, ...]:
    values = check.sequence(source.get("messages", MISSING), ("messages",))
    if not values and isinstance(source.get("messages"), list):
        check.note(("messages",), "Array must contain at least 1 element(s)", "too_small")
    return tuple(
        _read_message(check.mapping(value, ("messages", at)), ("messages", at), check, profile)
        for at, value in enumerate(values)
    )


def _read_message(source: JsonObject, path: Path, check: Checker, profile: Profile) -> Message:
    if source is EMPTY:
        return Message("user", ())
    role = check.choice(source, "role", path, ROLES)
    if "role" not in source:
        check.wrong_type((*path, "role"), "string", MISSING)
    content = source.get("content", None if role == "assistant" else MISSING)
    parts: list[Part] = []
    if isinstance(content, str):
        parts.append(TextPart(content))
    elif isinstance(content, list):
        parts.extend(_read_parts(content, (*path, "content"), check, profile))
    elif content is not None or role != "assistant":
        check.wrong_type((*path, "content"), "string or array", content)
    if role == "assistant" and isinstance(source.get("images"), list):
        images = check.sequence(source["images"], (*path, "images"))
        parts.extend(_read_parts(images, (*path, "images"), check, profile))
    return Message(role or "user", tuple(parts))


def _read_parts(values: object, path: Path, check: Checker, profile: Profile) -> Iterator[Part]:
    readers: dict[str, Callable[[JsonObject, Path, Checker], Part]] = {
        "text": _read_text,
        "image_url": _read_image,
    }
    if profile.takes_files:
        readers["file"] = _read_file
    for index, value in enumerate(check.sequence(values, path)):
        here = (*path, index)
        source = check.mapping(value, here)
        if source is EMPTY:
            continue
        kind = source.get("type")
        read = readers.get(kind) if isinstance(kind, str) else None
        if read is not None:
            yield read(source, here, check)
        else:
            wanted = " | ".join(f"'{name}'" for name in readers)
            message = f"Invalid discriminator value. Expected {wanted}"
            check.note((*here, "type"), message, "invalid_union_discriminator")


def _read_text(source: JsonObject, path: Path, check: Checker) -> TextPart:
    return TextPart(check.string(source, "text", path))


def _read_image(source: JsonObject, path: Path, check: Checker) -> ImagePart:
    image = check.mapping(source.get("image_url", MISSING), (*path, "image_url"))
    url = check.string(image, "url", (*path, "image_url")) if image else ""
    check.choice(image, "detail", (*path, "image_url"), ("low", "high", "auto"))
    return ImagePart(url, _dotted(path))


def _read_file(source: JsonObject, path: Path, check: Checker) -> FilePart:
    here = (*path, "file")
    file = check.mapping(source.get("file", MISSING), here)
    part = FilePart(
        check.optional_string(file, "filename", here),
        check.optional_string(file, "file_data", here),
        check.optional_string(file, "file_id", here),
        _dotted(path),
    )
    if file is not EMPTY and part.data is None and part.file_id is None:
        check.note(here, "One of file_data and file_id is required")
    return part


def _dotted(path: Path) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).lstrip(".")


def _read_tools(source: JsonObject, check: Checker) -> Iterator[Tool]:
    for index, value in enumerate(check.sequence(source.get("tools", []), ("tools",))):
        path: Path = ("tools", index)
        tool = check.mapping(value, path)
        if tool is EMPTY:
            continue
        check.choice({"type": MISSING, **tool}, "type", path, ("function",))
        here = (*path, "function")
        function = check.mapping(tool.get("function", MISSING), here)
        if function is EMPTY:
            continue
        yield Tool(
            check.string(function, "name", here),
            check.optional_string(function, "description", here) or "",
            check.mapping(function.get("parameters", {}), (*here, "parameters")),
        )


def _read_tool_choice(source: JsonObject, check: Checker, profile: Profile) -> ToolChoice:
    value = source.get("tool_choice", "auto")
    if isinstance(value, str) and value in profile.tool_choices:
        return ToolChoice(value)
    if isinstance(value, dict) and value.get("type") == "function":
        here = ("tool_choice", "function")
        function = check.mapping(value.get("function", MISSING), here)
        return ToolChoice("named", check.string(function, "name", here) if function else None)
    check.note(("tool_choice",), "Invalid input", "invalid_union")
    return ToolChoice()


def _read_response_format(source: JsonObject, check: Checker) -> tuple[str, JsonObject | None]:
    if "response_format" not in source:
        return "text", None
    path: Path = ("response_format",)
    value = check.mapping(source["response_format"], path)
    if value is EMPTY:
        return "text", None
    kinds = ("text", "json_object", "json_schema")
    kind = check.choice({"type": MISSING, **value}, "type", path, kinds) or "text"
    if kind != "json_schema":
        return kind, None
    here = (*path, "json_schema")
    wanted = check.mapping(value.get("json_schema", MISSING), here)
    if wanted is EMPTY:
        return kind, None
    check.string(wanted, "name", here)
    return kind, check.mapping(wanted.get("schema", MISSING), (*here, "schema"))


def _read_image_config(source: JsonObject, check: Checker, profile: Profile) -> ImageConfig:
    if "image_config" not in source:
        return ImageConfig()
    path: Path = ("image_config",)
    given = check.mapping(source["image_config"], path)
    config = {key: value for key, value in given.items() if key in profile.image_config}
    size = check.choice(config, "image_size", path, tuple(LONG_SIDES))
    count = check.positive_integer(config, "n", path)
    if count is not None and count > MAX_IMAGES:
        message = f"Number must be less than or equal to {MAX_IMAGES}"
        check.note((*path, "n"), message, "too_big")
    ratio = None
    if "aspect_ratio" in config:
        value = config["aspect_ratio"]
        match = _ASPECT_RATIO.fullmatch(value) if isinstance(value, str) else None
        ratio = int(match[1]) / int(match[2]) if match else None
        if ratio is None or not 1 / _STEEPEST <= ratio <= _STEEPEST:
            message = f"Invalid aspect ratio {value!r:.40}: expected a form such as '16:9'"
            check.note((*path, "aspect_ratio"), message, "invalid_string")
    seed = check.integer(config, "seed", path) or 0
    return ImageConfig(ratio, LONG_SIDES[size] if size else None, count, seed)
