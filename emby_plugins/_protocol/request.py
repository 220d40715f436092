"""A `ChatRequest` becomes headers and a body.

Content is a plain string as long as there is only text, and an array as soon as there is an
image: Vision Support page, "Content Format (Mixed Input)" and "Simple Text-Only Messages Still
Work".
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pybase64

from emby_plugins._chat import ChatOptions, ChatRequest, JSONSchema, ServerTool, Tool
from emby_plugins._errors import ConfigurationError, InvalidImageError, RequestError
from emby_plugins._images import Image
from emby_plugins._media_types import ACCEPTED_MEDIA_TYPES, sniff
from emby_plugins._messages import ImagePart, Message, Part, TextPart, ToolCall
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.reasoning import sendable_fields
from emby_plugins._protocol.request_body import DataURL, StreamedBody, json_body

_CONVERTED_OPTIONS = {"tools", "tool_choice", "response_format", "stop", "extra_body"}
_PLAIN_OPTIONS = tuple(n for n in ChatOptions.__annotations__ if n not in _CONVERTED_OPTIONS)
_TOOL_CHOICES = {"auto", "none", "required"}
# Names of media types for which the 2026-08 schema has others.
_AUDIO_FORMATS = {"vnd.wave": "wav", "wave": "wav", "mp4a-latm": "m4a"}
_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key"})
# Another length, encoding or connection would break what is sent or read.
_OWN_HEADERS = {
    *("accept", "accept-encoding", "connection", "content-encoding", "content-length"),
    *("content-type", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding"),
    "upgrade",
}


def chat_body(request: ChatRequest, limits: Limits) -> bytes | StreamedBody:
    """The JSON body of `POST /chat/completions`, streamed if it has large images.

    Raises `InvalidImageError` for an image that Emby does not take, and `RequestError` for what
    is not JSON.
    """
    options = request.options
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [
            _message(message, limits, request.model)
            for message in _move_images_to_user_messages(request.messages)
        ],
    }
    if request.stream:
        body["stream"] = True
    for name in _PLAIN_OPTIONS:
        value = options.get(name)
        if value is not None:
            body[name] = value
    stop = options.get("stop")
    if stop:
        body["stop"] = [stop] if isinstance(stop, str) else list(stop)
    tools = options.get("tools")
    if tools:
        body["tools"] = [_tool(tool) for tool in tools]
    choice = options.get("tool_choice")
    if choice is not None:
        body["tool_choice"] = _tool_choice(choice, tools or ())
    shape = options.get("response_format")
    if shape is not None:
        body["response_format"] = (
            _response_format(shape) if isinstance(shape, JSONSchema) else {"type": shape}
        )
    body |= options.get("extra_body") or {}
    try:
        return json_body(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"The request can't be written as JSON: {error}.") from None


def vary(request: ChatRequest, spaces: str) -> ChatRequest:
    """The same request with `spaces` behind the user's last text, so that no cache knows it.

    The key of the gateways' caches is made of model, messages, sampling values and response format
    (cases `cached-*`). A sampling value is not a way to vary it: models that refuse temperature or
    penalties would refuse the order, and others would draw differently. White space at the end of
    a message means nothing to a model, and every provider takes it.
    """
    for at, message in reversed([*enumerate(request.messages)]):
        for part_at, part in reversed([*enumerate(message.content)]):
            if message.role == "user" and isinstance(part, TextPart) and part.text.strip():
                content, messages = [*message.content], [*request.messages]
                content[part_at] = TextPart(part.text + spaces)
                messages[at] = replace(message, content=tuple(content))
                return replace(request, messages=tuple(messages))
    return request


def request_headers(
    metadata: Mapping[str, str],
    source: str | None,
    others: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """The headers of a call, under lower-case names: `{"tenant_id": "acme"}` as `x-emby-tenant-id`.

    Emby, Metadata page and Source Attribution page. `others` are sent as they are. Raises
    `ConfigurationError` for a name or a value that no header can carry, for headers that the
    client sets itself, and for those that carry a key: it has a setting of its own.
    """
    headers = {_checked_name(name, value): value.strip() for name, value in others.items()}
    for name, value in metadata.items():
        words = name.replace("_", "-")
        if not _HEADER_NAME.fullmatch(words) or not _HEADER_VALUE.fullmatch(str(value)):
            msg = f"The metadata {name!r} can't be sent as a header."
            raise ConfigurationError(msg, hint="Use ASCII: letters, digits and _ in names.")
        headers[f"x-emby-{words.lower()}"] = str(value).strip()
    if source is not None:
        if not source.strip() or not _HEADER_VALUE.fullmatch(source):
            msg = f"The source {source!r} can't be sent as a header."
            raise ConfigurationError(msg, hint="It is the domain of your app: example.com.")
        headers["x-source"] = source.strip()
    return headers


def _checked_name(name: str, value: object) -> str:
    """The name of a header in lower case, if it may be sent; no error shows its value."""
    lower = name.lower()
    if lower in _KEY_HEADERS:
        msg = f"The header {name!r} carries a key, which headers= does not take."
        raise ConfigurationError(msg, hint="Pass the key as api_key= when making the client.")
    if lower in _OWN_HEADERS:
        raise ConfigurationError(f"The header {name!r} is set by the client itself.")
    if not _TOKEN.fullmatch(lower):
        raise ConfigurationError(f"{name!r} is not a valid header name.")
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
        msg = f"The value of the header {name!r} can't be sent."
        raise ConfigurationError(msg, hint="Use a string of printable ASCII.")
    return lower


def _move_images_to_user_messages(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages, with images moved out of assistant and tool messages.

    They are prepended to the next user message. If the assistant is first or nothing follows,
    a user message is added for them. One that the user shows again there is not sent twice.
    """
    moved: list[Part] = []
    for message in messages:
        if message.role == "user":
            if moved:
                shown = set(message.images)
                new = [r for r in moved if not (isinstance(r, ImagePart) and r.image in shown)]
                message = replace(message, content=(*new, *message.content))  # noqa: PLW2901
                moved = []
            yield message
        elif message.role == "system":
            yield message
        else:
            if moved and message.role == "assistant":
                yield Message("user", tuple(moved))
                moved = []
            moved += (part for part in message.content if isinstance(part, ImagePart))
            stay = (part for part in message.content if not isinstance(part, ImagePart))
            yield replace(message, content=tuple(stay))
    if moved:
        yield Message("user", tuple(moved))


def _message(message: Message, limits: Limits, model: str) -> dict[str, Any]:
    plain = all(isinstance(p, TextPart) and p.cache_control is None for p in message.content)
    content = message.text if plain else [_part(part, limits) for part in message.content]
    wire: dict[str, Any] = {"role": message.role, "content": content}
    if message.name:
        wire["name"] = message.name
    if message.role == "tool":
        wire["tool_call_id"] = message.tool_call_id
    thoughts = message.reasoning
    if thoughts is None or message.role != "assistant" or _bare(thoughts.model) != _bare(model):
        thoughts = None
    if thoughts is not None:
        wire |= sendable_fields(thoughts, is_tool_round=bool(message.tool_calls))
    if message.tool_calls:
        extra = thoughts.calls if thoughts is not None else {}
        wire["tool_calls"] = [_tool_call(call, extra.get(call.id)) for call in message.tool_calls]
    return wire


def _bare(model: str) -> str:
    return model.removeprefix("emby/")


def _tool_call(call: ToolCall, extra: Any) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    wire: dict[str, Any] = {"id": call.id, "type": "function", "function": function}
    return {**wire, "extra_content": extra} if extra else wire


def _part(part: Part, limits: Limits) -> dict[str, Any]:
    if isinstance(part, TextPart):
        text: dict[str, Any] = {"type": "text", "text": part.text}
        return text | ({"cache_control": part.cache_control} if part.cache_control else {})
    if isinstance(part, ImagePart):
        return image_block(part.image, part.detail, limits)
    if part.data is None:
        if not part.file_id:
            msg = f"The file part {part.filename!r} has neither data nor a file_id."
            raise RequestError(msg, hint="FilePart.from_path() reads a file.")
        return {"type": "file", "file": {"file_id": part.file_id}}
    if sniff(part.data) in ACCEPTED_MEDIA_TYPES:
        # Not every gateway takes `file`, so an image always travels as one.
        return image_block(Image(part.data), None, limits)
    if part.media_type.partition("/")[0] == "audio":
        return _audio_block(part.data, part.media_type)
    file: dict[str, Any] = {"file_data": DataURL(part.media_type, Image(part.data))}
    if part.filename:
        file["filename"] = part.filename
    return {"type": "file", "file": file}


def image_block(image: Image, detail: str | None, limits: Limits) -> dict[str, Any]:
    """An image block: Vision Support page, "Using HTTPS URLs" and "Base64 Inline Data"."""
    url: str | DataURL
    if image.url is not None:
        url = image.url
    else:
        image = image.pinned()
        kind = image.media_type or ""
        if kind not in ACCEPTED_MEDIA_TYPES:
            hint = "Emby takes JPEG, PNG, WebP and GIF; Image.from_pil() converts."
            raise InvalidImageError(f"{image!r} can't be sent: it is {kind}.", hint=hint)
        if image.byte_size > limits.request_image:
            most = limits.request_image
            hint = "Send a smaller one, or set Limits(request_image=...) if your model takes it."
            raise InvalidImageError(f"{image!r} is over the limit of {most:,} bytes.", hint=hint)
        url = DataURL(kind, image)
    block: dict[str, Any] = {"url": url}
    if detail:
        block["detail"] = detail
    return {"type": "image_url", "image_url": block}


def _audio_block(data: bytes, media_type: str) -> dict[str, Any]:
    """Audio, as 2026-08 takes it; its `data` is base64 without the head of a data URL."""
    name = media_type.partition(";")[0].partition("/")[2].removeprefix("x-").lower()
    audio = {"data": pybase64.b64encode_as_string(data), "format": _AUDIO_FORMATS.get(name, name)}
    return {"type": "input_audio", "input_audio": audio}


def _tool(tool: Tool | ServerTool) -> dict[str, Any]:
    if isinstance(tool, ServerTool):
        return {"type": tool.type, **tool.settings}
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    if tool.strict is not None:
        function["strict"] = tool.strict
    wire = {"type": "function", "function": function}
    return {**wire, "cache_control": tool.cache_control} if tool.cache_control else wire


def _tool_choice(choice: str, tools: Sequence[Tool | ServerTool]) -> str | dict[str, Any]:
    if choice in _TOOL_CHOICES:
        return choice
    if any(isinstance(tool, ServerTool) and tool.type == choice for tool in tools):
        return {"type": choice}
    return {"type": "function", "function": {"name": choice}}


def _response_format(shape: JSONSchema) -> dict[str, Any]:
    schema: dict[str, Any] = {"name": shape.name, "schema": shape.schema}
    if shape.description:
        schema["description"] = shape.description
    if shape.strict is not None:
        schema["strict"] = shape.strict
    return {"type": "json_schema", "json_schema": schema}
