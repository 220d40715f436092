"""Conversations in the form that every provider's chat model takes."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from emby_plugins import RequestError
from langchain_emby._blocks import (
    block_image,
    image_block,
    image_blocks,
    inline_images,
    is_image,
)
from langchain_emby._image_files import ImageDir
from langchain_emby._request import text_beside
from langchain_emby._tool_calls import sendable_calls


def hand_over(messages: Iterable[BaseMessage], *, image_dir: ImageDir = None) -> list[BaseMessage]:
    """The conversation for another provider's chat model, which continues it.

    Most of them refuse images in the messages of assistants and tools, so these come at the
    beginning of the next user message, as base64. Replies keep their text and tool calls; what only
    the model that made them understands, such as reasoning, is left out, and so are incomplete tool
    calls that no message answers. `image_dir` is as in `block_image`, and so are the errors raised.
    The messages given are not changed.
    """
    inlined = inline_images(messages, image_dir=image_dir)
    answered = {message.tool_call_id for message in inlined if isinstance(message, ToolMessage)}
    return list(_move_images(_plain(message, answered) for message in inlined))


def _plain(message: BaseMessage, answered: set[str]) -> BaseMessage:
    if not isinstance(message, AIMessage):
        return message
    text = message.text or text_beside(message) or _refusal(message)
    valid, invalid = sendable_calls(message, answered)
    images = image_blocks(message)
    content: list[Any] = [*([{"type": "text", "text": text}] if text else []), *images]
    return AIMessage(
        content=content if images else text,
        tool_calls=valid,
        invalid_tool_calls=invalid,
        usage_metadata=message.usage_metadata,
        id=message.id,
        name=message.name,
    )


def _refusal(message: AIMessage) -> str:
    blocks = cast("list[dict[str, Any]]", message.content_blocks)
    return "".join(block.get("refusal") or "" for block in blocks if block["type"] == "refusal")


def _move_images(messages: Iterable[BaseMessage]) -> Iterator[BaseMessage]:
    moved: list[dict[Any, Any]] = []
    for message in messages:
        if isinstance(message, SystemMessage):
            yield message
        elif isinstance(message, AIMessage | ToolMessage):
            if moved and isinstance(message, AIMessage):
                yield HumanMessage([*moved])
                moved = []
            moved += map(_standard, image_blocks(message))
            yield _without_images(message)
        else:
            yield _with_images(message, moved) if moved else message
            moved = []
    if moved:
        yield HumanMessage([*moved])


def _standard(block: dict[Any, Any]) -> dict[Any, Any]:
    """The image as LangChain's own block, unless only its provider has it."""
    try:
        return image_block(block_image(block))
    except RequestError:
        return block


def _without_images(message: BaseMessage) -> BaseMessage:
    if isinstance(message.content, str):
        return message
    kept = [b for b in message.content if not (isinstance(b, dict) and is_image(b))]
    only_text = len(kept) == 1 and isinstance(kept[0], dict) and kept[0].get("type") == "text"
    content = message.text if only_text or not kept else kept
    return message.model_copy(update={"content": content})


def _with_images(message: BaseMessage, images: list[dict[Any, Any]]) -> BaseMessage:
    own = message.content
    blocks: list[Any] = [{"type": "text", "text": own}] if isinstance(own, str) else own
    return message.model_copy(update={"content": [*images, *blocks]})
