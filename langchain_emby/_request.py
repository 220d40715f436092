"""Convert LangChain messages to the core's.

One converter handles every content block in every role. Content that can't be sent raises; only
reasoning, and the records that other providers keep of their server-side tools, are left out. In
replies, which any model may have made, all that has no place here stays behind, with a warning if
it is not such a record.
"""

import logging
import mimetypes
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from typing import Any, Literal, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from emby_plugins import (
    FilePart,
    Image,
    ImagePart,
    Message,
    Reasoning,
    RequestError,
    TextPart,
)
from langchain_emby._blocks import block_image, decode, image_blocks, is_image
from langchain_emby._image_files import is_reference
from langchain_emby._response import THOUGHTS
from langchain_emby._tool_calls import answered_ids, sent_calls, tool_results

_logger = logging.getLogger("langchain_emby")

Part = TextPart | ImagePart | FilePart
ReadImage = Callable[[Mapping[str, Any]], Image]
Detail = Literal["low", "high", "auto"]

# Reasoning, tool calls, which are sent apart from the content, and what the server-side tools of
# other providers leave in their messages: it means nothing to Emby, and their text is beside it.
_OMITTED_BLOCKS = {
    *("reasoning", "thinking", "redacted_thinking", "compaction"),
    *("tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "input_json_delta"),
    *("server_tool_call", "server_tool_call_chunk", "server_tool_result", "server_tool_use"),
    *("function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"),
    *("file_search_call", "web_search_call", "computer_call", "computer_call_output"),
    *("code_interpreter_call", "image_generation_call", "local_shell_call", "shell_call"),
    *("local_shell_call_output", "shell_call_output", "apply_patch_call", "tool_search_call"),
    *("apply_patch_call_output", "tool_search_output", "item_reference", "container_upload"),
    *("mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
    *("mcp_tool_use", "mcp_tool_result", "web_search_tool_result", "web_fetch_tool_result"),
    *("code_execution_tool_result", "bash_code_execution_tool_result", "executable_code"),
    *("text_editor_code_execution_tool_result", "tool_search_tool_result"),
    *("code_execution_result", "tool_reference", "function_call_signature", "fallback"),
    *("reasoning_content", "advisor_tool_result", "program", "program_output", "additional_tools"),
}
# An agent's name is that of its messages, and OpenAI refuses these characters in it.
_REFUSED_IN_NAMES = re.compile(r"[\s<|\\/>]+")
_TEXT_TYPES = {"text", "input_text", "output_text"}
_ROLES = {
    "user": "user",
    "human": "user",
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "ai": "assistant",
}


def to_core(messages: Sequence[BaseMessage], image_dir: str | None = None) -> list[Message]:
    """Convert a conversation; references to images are those of files in `image_dir`.

    Raises `RequestError` for content or a message that Emby's API can't express, and
    `InvalidImageError` for an image that does not decode.
    """
    read = partial(_read_image, image_dir)
    answered = {id_ for message in messages for id_ in answered_ids(message)}
    return [core for message in messages for core in _message(message, read, answered)]


def with_media_types(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """Add the media type to image blocks with base64 that lack it.

    LangChain's tracing rejects such blocks before the chat model sees them.
    """
    return [_add_media_types(message) for message in messages]


def _add_media_types(message: BaseMessage) -> BaseMessage:
    content = message.content
    if isinstance(content, str) or not any(map(_lacks_media_type, content)):
        return message
    blocks = [
        _add_media_type(cast("dict[Any, Any]", b)) if _lacks_media_type(b) else b for b in content
    ]
    return message.model_copy(update={"content": blocks})


def _lacks_media_type(block: str | dict[Any, Any]) -> bool:
    if isinstance(block, str) or block.get("type") != "image" or "mime_type" in block:
        return False
    return isinstance(block.get("base64"), str) or block.get("source_type") == "base64"


def _add_media_type(block: dict[Any, Any]) -> dict[Any, Any]:
    return {**block, "mime_type": block_image(block).media_type}


def _read_image(image_dir: str | None, block: Mapping[str, Any]) -> Image:
    if image_dir is None and is_reference(block.get("file_id")):
        msg = f"The image {block['file_id']!r} is a file of an image folder."
        raise RequestError(msg, hint="Pass that folder to ChatEmby as image_dir.")
    return block_image(block, image_dir=image_dir)


def _message(message: BaseMessage, read: ReadImage, answered: Set[str]) -> Iterator[Message]:
    content, name = message.content, message.name or ""
    if not isinstance(message, ToolMessage):
        name = _REFUSED_IN_NAMES.sub("_", name)
    if isinstance(message, ToolMessage):
        parts = tuple(_parts(content, read))
        yield Message("tool", parts, tool_call_id=message.tool_call_id, name=name)
    elif isinstance(message, AIMessage):
        thoughts = Reasoning.from_dict(message.additional_kwargs.get(THOUGHTS))
        parts, calls = tuple(_whole_reply(message, read)), tuple(sent_calls(message, answered))
        yield Message("assistant", parts, calls, name=name, reasoning=thoughts)
    elif isinstance(message, SystemMessage):
        # Agents without a system prompt have an empty one, which some providers refuse.
        if parts := tuple(_parts(content, read)):
            yield Message("system", parts, name=name)
    elif isinstance(message, HumanMessage):
        yield from _human(content, name, read)
    elif isinstance(message, ChatMessage) and message.role.lower() in _ROLES:
        role = cast("Literal['user', 'system', 'assistant']", _ROLES[message.role.lower()])
        convert = _reply_parts if role == "assistant" else _parts
        yield Message(role, tuple(convert(content, read)), name=name)
    else:
        unknown = getattr(message, "role", message.type)
        raise RequestError(
            f"A {type(message).__name__} (role {unknown!r}) can't be sent to a chat model.",
            hint="Use HumanMessage, AIMessage, SystemMessage or ToolMessage.",
        )


def _whole_reply(message: AIMessage, read: ReadImage) -> Iterator[Part]:
    """The content, and what OpenAI's messages have beside it: images, and text if it has none."""
    images = [block for block in image_blocks(message) if block not in message.content]
    parts = (*_reply_parts(message.content, read), *_reply_parts(images, read))
    yield from parts
    if not any(isinstance(part, TextPart) for part in parts):
        yield from _parts(text_beside(message), read)


def text_beside(message: AIMessage) -> str:
    """The content of a reply without text: its refusal, or the transcript of its audio."""
    audio = message.additional_kwargs.get("audio")
    transcript = audio.get("transcript") if isinstance(audio, Mapping) else None
    text = message.additional_kwargs.get("refusal") or transcript
    return text if isinstance(text, str) else ""


def _human(
    content: str | list[str | dict[Any, Any]], name: str, read: ReadImage
) -> Iterator[Message]:
    """A user message; tool results, which Anthropic nests in it, become messages before it."""
    blocks = [content] if isinstance(content, str) else content
    results = tool_results(content)
    for result in results:
        inner = result.get("content") or ""
        yield Message(
            "tool", tuple(_parts(inner, read)), tool_call_id=str(result.get("tool_use_id"))
        )
    rest = [block for block in blocks if block not in results] if results else blocks
    if rest or not results:
        yield Message("user", tuple(_parts(rest, read)), name=name)


def _parts(content: str | Iterable[str | dict[Any, Any]], read: ReadImage) -> Iterator[Part]:
    for block in [content] if isinstance(content, str) else content:
        if not isinstance(block, str):
            yield from _part(block, read)
        elif block:
            yield TextPart(block)


def _reply_parts(content: str | Iterable[str | dict[Any, Any]], read: ReadImage) -> Iterator[Part]:
    """The parts of a reply: what another provider alone can read must not end the conversation."""
    for block in [content] if isinstance(content, str) else _join_texts(content):
        try:
            yield from tuple(_parts([block], read))
        except RequestError as error:
            if isinstance(block, str) or is_reference(block.get("file_id")):
                raise
            _logger.warning("A part of an earlier reply is not sent on. %s", error.message)


def _join_texts(content: Iterable[str | dict[Any, Any]]) -> list[str | dict[Any, Any]]:
    """The blocks of a reply; neighboring texts are pieces of one: Anthropic cites each."""
    joined: list[str | dict[Any, Any]] = []
    for block in content:
        text = block if isinstance(block, str) else _bare_text(block)
        if text is not None and joined and isinstance(joined[-1], str):
            joined[-1] += text
        else:
            joined.append(block if text is None else text)
    return joined


def _bare_text(block: Mapping[str, Any]) -> str | None:
    is_text = block.get("type") in _TEXT_TYPES and _cache_control(block) is None
    return str(block.get("text") or "") if is_text else None


def _part(block: Mapping[str, Any], read: ReadImage) -> Iterator[Part]:
    kind = block.get("type")
    if kind in _TEXT_TYPES or (kind is None and "text" in block):
        if block.get("text"):
            yield TextPart(str(block["text"]), cache_control=_cache_control(block))
    elif is_image(block):
        yield ImagePart(read(block), _detail(block))
    elif kind in {"search_result", "message"} or (kind == "document" and _nested_content(block)):
        yield from _nested(block, read)
    elif kind in {"file", "document", "input_file", "media"}:
        yield _file(block)
    elif kind in {"audio", "input_audio"} and (audio := _audio(block)):
        yield audio
    elif kind == "text-plain":
        yield TextPart(_plain_text(block))
    elif kind == "refusal":
        yield from _parts([block.get("refusal") or ""], read)
    elif kind == "non_standard" and isinstance(block.get("value"), Mapping):
        yield from _part(block["value"], read)
    elif kind not in _OMITTED_BLOCKS:
        raise RequestError(
            f"Content blocks of type {kind!r} can't be sent to Emby.",
            hint="Use text, images (JPEG, PNG, WebP, GIF), files, or audio with a mime_type.",
        )


def _nested_content(block: Mapping[str, Any]) -> Any:
    source = block.get("source")
    return block.get("content") or (source.get("content") if isinstance(source, Mapping) else None)


def _nested(block: Mapping[str, Any], read: ReadImage) -> Iterator[Part]:
    """The content of Anthropic's search results and documents, after its title and source."""
    heading = [block.get(name) for name in ("title", "source")]
    yield from _parts([text for text in heading if isinstance(text, str)], read)
    yield from _parts(_nested_content(block) or [], read)


def _cache_control(block: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The mark of a cached prefix, as Anthropic's blocks have it, or a v1 block's `extras`."""
    for place in (block, block.get("extras")):
        mark = place.get("cache_control") if isinstance(place, Mapping) else None
        if isinstance(mark, Mapping):
            return mark
    return None


def _audio(block: Mapping[str, Any]) -> Part | None:
    """The audio of a v1 block, or of OpenAI's `input_audio`; None without data or type.

    OpenAI's spoken replies have a transcript, which is sent instead.
    """
    inside = block.get("input_audio")
    fields = inside if isinstance(inside, Mapping) else block
    if fields.get("transcript"):
        return TextPart(str(fields["transcript"]))
    encoded = fields.get("base64") or fields.get("data")
    kind = fields.get("mime_type") or (fields.get("format") and f"audio/{fields['format']}")
    if not encoded or not kind:
        return None
    return FilePart(media_type=str(kind), data=decode(encoded, "The audio block"))


def _detail(block: Mapping[str, Any]) -> Detail | None:
    """The image's `detail`, as the different providers store it."""
    target = block.get("image_url")
    places = (target, block, block.get("extras"))
    found = (place.get("detail") for place in places if isinstance(place, Mapping))
    detail = next((detail for detail in found if detail), None)
    return cast("Detail | None", detail)


def _file(block: Mapping[str, Any]) -> Part:
    inside = (block.get("file"), block.get("source"))
    nested: Mapping[str, Any] = next((m for m in inside if isinstance(m, Mapping)), {})
    fields = {**block, **nested}
    if nested.get("type") == "text":
        return TextPart(str(nested.get("data", "")))
    encoded = fields.get("base64") or fields.get("file_data") or fields.get("data")
    url = fields.get("url")
    if encoded is None and isinstance(url, str) and url[:5].lower() == "data:":
        encoded = url
    if encoded is not None:
        return _to_file_part(decode(encoded, "The file block"), fields)
    if fields.get("file_id"):
        return FilePart(filename=_filename(fields) or "", file_id=str(fields["file_id"]))
    what = (
        "Files can't be sent by URL."
        if url or fields.get("file_uri") or fields.get("file_url")
        else "The file block contains no file."
    )
    raise RequestError(what, hint="Pass its bytes as base64.")


def _to_file_part(data: bytes, fields: Mapping[str, Any]) -> FilePart:
    filename = _filename(fields)
    media_type = _media_type(data, filename, fields.get("mime_type") or fields.get("media_type"))
    if not filename:
        filename = "document" + (mimetypes.guess_extension(media_type) or "")
    return FilePart.from_bytes(data, filename=filename, media_type=media_type)


def _filename(fields: Mapping[str, Any]) -> str | None:
    places = (fields, fields.get("extras"), fields.get("metadata"))
    names = (
        place.get(key)
        for place in places
        if isinstance(place, Mapping)
        for key in ("filename", "file_name", "name", "title")
    )
    return next((str(name) for name in names if name), None)


def _media_type(data: bytes, filename: str | None, given: object) -> str:
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    guessed = mimetypes.guess_type(filename or "")[0]
    # LangChain labels every file in OpenAI's form as PDF.
    if isinstance(given, str) and not (given == "application/pdf" and guessed):
        return given
    return guessed or "application/octet-stream"


def _plain_text(block: Mapping[str, Any]) -> str:
    text = block.get("text")
    if isinstance(text, str):
        return text
    if block.get("base64"):
        return decode(block["base64"], "The text block").decode("utf-8", "replace")
    hint = "Pass its content as text."
    raise RequestError("Plain text can't be sent by URL or id.", hint=hint)
