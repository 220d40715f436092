"""`llm`'s messages become Emby's. `prompt.messages` is the whole history; nothing else is read."""

import json
import mimetypes
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import llm
from llm import parts

from emby_plugins import (
    ChatOptions,
    Content,
    FilePart,
    Image,
    ImageConfig,
    JSONSchema,
    Message,
    RequestError,
    Tool,
    ToolCall,
)
from llm_emby import _image_files as pictures
from llm_emby._options import Options


def chat_messages(messages: Iterable[parts.Message]) -> list[Message]:
    """The conversation, as Emby's messages."""
    return [message for given in messages for message in _messages(given)]


def chat_options(prompt: llm.Prompt, stream: bool) -> ChatOptions:
    """The options, tools and schema of a prompt.

    The client is always asked for events, which keep text and images in the order in which they
    came. Whether the gateway streams is a different matter: an order for an image goes
    unstreamed, because the 2025-11 state drops streamed images of more than about 7.8 MB.
    """
    assert isinstance(prompt.options, Options)
    options = _plain_options(prompt.options)
    if not stream or prompt.options.output is not None:
        options["extra_body"] = {"stream": False}
    if prompt.tools:
        options["tools"] = [_tool(tool) for tool in prompt.tools if isinstance(tool, llm.Tool)]
    if prompt.schema:
        assert isinstance(prompt.schema, dict)
        options["response_format"] = JSONSchema(prompt.schema, name="output")
    return options


def _plain_options(given: Options) -> ChatOptions:
    options = ChatOptions(
        temperature=given.temperature,
        max_tokens=given.max_tokens,
        top_p=given.top_p,
        reasoning_effort=given.reasoning_effort,
    )
    image = ImageConfig()
    if given.aspect_ratio:
        image["aspect_ratio"] = given.aspect_ratio
    if given.image_size:
        image["image_size"] = given.image_size
    if given.seed is not None:
        image["seed"] = given.seed
    if image:
        options["image_config"] = image
    return options


def _messages(given: parts.Message) -> Iterator[Message]:
    results = [part for part in given.parts if isinstance(part, parts.ToolResultPart)]
    for result in results:
        shown = map(attached, result.attachments)
        call_id = result.tool_call_id or ""
        yield Message.tool(result.output, *shown, tool_call_id=call_id, name=result.name)
    content = [item for part in given.parts for item in _content(part)]
    calls = [_call(part) for part in given.parts if isinstance(part, parts.ToolCallPart)]
    if given.role == "assistant":
        yield Message.assistant(*content, tool_calls=calls)
    elif given.role == "system":
        yield Message.system(*content)
    elif content:
        yield Message.user(*content)


def _content(part: parts.Part) -> Iterator[Content]:
    if isinstance(part, parts.TextPart):
        found = pictures.noted(part.provider_metadata)
        yield (pictures.load(found) if found else None) or part.text
    elif isinstance(part, parts.AttachmentPart) and part.attachment is not None:
        yield attached(part.attachment)


def attached(attachment: llm.Attachment) -> Content:
    """An attachment as an image or a file. An address is passed on and never fetched."""
    kind = attachment.type or ""
    if not kind and not attachment.url:
        kind = attachment.resolve_type() or ""  # type: ignore[no-untyped-call]
    if attachment.url:
        if kind and not kind.startswith("image/"):
            msg = f"The attachment {attachment.url} can't be sent as an address: it is {kind}."
            raise RequestError(msg, hint="Download it and attach the file.")
        return Image.from_url(attachment.url)
    if attachment.path:
        if kind.startswith("image/"):
            return Image.from_path(attachment.path)
        return FilePart.from_path(attachment.path)
    if kind.startswith("image/"):
        return Image.from_bytes(attachment.content or b"")
    return FilePart.from_bytes(attachment.content or b"", filename="attachment", media_type=kind)


def attachment_of(argument: str) -> llm.Attachment:
    """An attachment from the path or the https address of an image. Raises `ValueError`."""
    if argument.startswith(("https://", "http://")):
        # llm wants a type to check; what the address really holds, only the gateway will see.
        kind = mimetypes.guess_type(urlsplit(argument).path)[0] or "image/jpeg"
        return llm.Attachment(type=kind, url=argument)
    image = Image.from_path(argument)
    return llm.Attachment(type=image.media_type, path=str(Path(argument).expanduser().resolve()))


def _call(part: parts.ToolCallPart) -> ToolCall:
    return ToolCall(part.tool_call_id or "", part.name, json.dumps(part.arguments))


def _tool(tool: llm.Tool) -> Tool:
    return Tool(tool.name, tool.description or "", tool.input_schema or {})
