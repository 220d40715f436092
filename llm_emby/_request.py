"""From `llm`'s messages and options to Emby's.

`prompt.messages` is the whole history; nothing else is read.
"""

import json
import mimetypes
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import llm
from llm import parts

from emby_plugins import (
    ChatOptions,
    Content,
    FilePart,
    Image,
    ImageConfig,
    ImagePart,
    JSONSchema,
    Message,
    Reasoning,
    RequestError,
    ServerTool,
    Tool,
    ToolCall,
)
from llm_emby import _image_files as image_files
from llm_emby._options import Options

Detail: TypeAlias = Literal["low", "high", "auto"]

variant: ContextVar[int | None] = ContextVar("variant", default=None)
"""Which of several equal orders for an image the current one is, if there are several."""


def chat_messages(prompt: llm.Prompt) -> list[Message]:
    """The conversation as Emby's messages."""
    assert isinstance(prompt.options, Options)
    messages: list[Message] = []
    for message in (message for given in prompt.messages for message in _messages(given)):
        if messages and message.role == "user" and has_only_images(messages[-1]):
            # `llm chat` did not send them by themselves.
            images = messages.pop()
            messages.append(replace(message, content=(*images.content, *message.content)))
        else:
            messages.append(message)
    detail = prompt.options.image_detail
    return [_with_detail(message, detail) for message in messages] if detail else messages


def has_no_words(messages: list[Message]) -> bool:
    """Whether the turn of the user is empty, or an image alone."""
    return not messages or messages[-1].role == "assistant" or has_only_images(messages[-1])


def has_only_images(message: Message) -> bool:
    """Whether a user's message has images and no words."""
    return message.role == "user" and bool(message.images) and not message.text


def chat_arguments(
    prompt: llm.Prompt, stream: bool, *, fresh: bool | None = None
) -> dict[str, Any]:
    """The options, tools and schema of a prompt, as arguments of the client's `stream`.

    `fresh` is used unless `-o fresh` is given. An order for an image is fresh, as in `Emby.image`:
    caches would answer it with an old image, and their keys ignore its size and seed.

    The client is always used as a stream of events, which keep text and images in order. Whether
    the gateway streams is a separate decision: a request for an image is sent unstreamed,
    because the 2025-11 state drops streamed images of more than about 7.8 MB. Raises
    `RequestError`.
    """
    assert isinstance(prompt.options, Options)
    given = prompt.options
    options = ChatOptions(
        temperature=given.temperature,
        max_tokens=given.max_tokens,
        top_p=given.top_p,
        frequency_penalty=given.frequency_penalty,
        presence_penalty=given.presence_penalty,
        reasoning_effort=given.reasoning_effort,
        stop=given.stop,
    )
    if image := _image_config(given):
        options["image_config"] = image
    if prompt.tools:
        options["tools"] = [_to_tool(tool, prompt.model) for tool in prompt.tools]
    if prompt.schema and given.json_object:
        raise RequestError("A schema and -o json_object can't be combined.")
    if prompt.schema:
        assert isinstance(prompt.schema, dict)
        options["response_format"] = JSONSchema(prompt.schema, name="output")
    elif given.json_object:
        options["response_format"] = "json_object"
    options["extra_body"] = _extra_body(given, stream=stream)
    mask = None if given.mask is None else Image.from_path(given.mask)
    return {
        "fresh": fresh if given.fresh is None else given.fresh,
        "endpoint": given.endpoint or "auto",
        "mask": mask,
        "variant": variant.get(),
        **options,
    }


def _extra_body(given: Options, *, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if not stream or given.output is not None:
        body["stream"] = False
    if given.web_search is not None:
        # In the request schema of the 2026 states; those of 2025 drop it.
        body["web_search"] = given.web_search
    reserved = sorted({"model", "messages", "stream"} & (given.extra or {}).keys())
    if reserved:
        raise RequestError(f"-o extra can't set {reserved[0]!r}.")
    return body | (given.extra or {})


def _image_config(given: Options) -> ImageConfig:
    image = ImageConfig()
    if given.aspect_ratio:
        image["aspect_ratio"] = given.aspect_ratio
    if given.image_size:
        image["image_size"] = given.image_size
    if given.image_quality:
        image["image_quality"] = given.image_quality
    if given.seed is not None:
        image["seed"] = given.seed
    return image


def _with_detail(message: Message, detail: Detail) -> Message:
    content = (
        replace(part, detail=detail) if isinstance(part, ImagePart) else part
        for part in message.content
    )
    return replace(message, content=tuple(content))


def _messages(given: parts.Message) -> Iterator[Message]:
    results = [part for part in given.parts if isinstance(part, parts.ToolResultPart)]
    for result in results:
        attachments = map(_read, result.attachments)
        call_id = result.tool_call_id or ""
        yield Message.tool(result.output, *attachments, tool_call_id=call_id, name=result.name)
    content = [item for part in given.parts for item in _content(part)]
    calls = [_to_tool_call(part) for part in given.parts if isinstance(part, parts.ToolCallPart)]
    if given.role == "assistant":
        yield Message.assistant(*content, tool_calls=calls, reasoning=_reasoning(given))
    elif given.role == "system":
        yield Message.system(*content)
    elif content:
        yield Message.user(*content)


def _content(part: parts.Part) -> Iterator[Content]:
    if isinstance(part, parts.TextPart):
        found = image_files.from_metadata(part.provider_metadata)
        yield (image_files.load(found) if found else None) or part.text
    elif isinstance(part, parts.AttachmentPart) and part.attachment is not None:
        yield _read(part.attachment)


def _read(attachment: llm.Attachment) -> Content:
    """An attachment as an image or a file. A URL is forwarded and never fetched."""
    kind = attachment.type or ""
    if not kind and not attachment.url:
        kind = attachment.resolve_type() or ""  # type: ignore[no-untyped-call]
    if attachment.url:
        if kind and not kind.startswith("image/"):
            msg = f"The attachment {attachment.url} ({kind}) can't be sent as a URL."
            raise RequestError(msg, hint="Download it and attach the file.")
        return Image.from_url(attachment.url)
    # puremagic, which llm detects types with, takes HEIC for MP4. The bytes decide.
    is_image = kind.startswith("image/") or kind == "video/mp4"
    if attachment.path:
        if is_image:
            return Image.from_path(attachment.path, lazy=True)
        return FilePart.from_path(attachment.path)
    if is_image:
        return Image.from_bytes(attachment.content or b"")
    return FilePart.from_bytes(attachment.content or b"", filename="attachment", media_type=kind)


def read_attachment(argument: str) -> llm.Attachment:
    """An attachment from an image's path, from its https URL, or from standard input for `-`.

    Raises `ValueError`.
    """
    if argument == "-":
        data = sys.stdin.buffer.read()
        return llm.Attachment(type=Image.from_bytes(data).media_type, content=data)
    if argument.startswith(("https://", "http://")):
        # llm requires a type to check; only the gateway will see what the URL really serves.
        kind = mimetypes.guess_type(urlsplit(argument).path)[0] or "image/jpeg"
        return llm.Attachment(type=kind, url=Image.from_url(argument).url)
    image = Image.from_path(argument, lazy=True)
    return llm.Attachment(type=image.media_type, path=str(Path(argument).expanduser().resolve()))


def _to_tool_call(part: parts.ToolCallPart) -> ToolCall:
    return ToolCall(part.tool_call_id or "", part.name, json.dumps(part.arguments))


def _to_tool(tool: llm.Tool | llm.ServerSideTool, model: object) -> Tool | ServerTool:
    if isinstance(tool, llm.Tool):
        return Tool(tool.name, tool.description or "", tool.input_schema or {})
    spec = dict(tool.tool_spec(model))
    return ServerTool(str(spec.pop("type", tool.name)), spec)


def _reasoning(given: parts.Message) -> Reasoning | None:
    """The reasoning that `ResponseWriter` stored with the reasoning part."""
    stored = [
        ((part.provider_metadata or {}).get("emby") or {}).get("reasoning")
        for part in given.parts
        if isinstance(part, parts.ReasoningPart)
    ]
    return next(filter(None, map(Reasoning.from_dict, reversed(stored))), None)
