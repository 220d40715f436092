"""`message.content_blocks` for messages whose `model_provider` is `emby`.

Without it LangChain guesses, and turns an incomplete chunk into a tool call. Registered when the
chat model is imported.
"""

from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.block_translators import register_translator
from langchain_core.messages.content import ContentBlock

PROVIDER = "emby"


def register() -> None:
    """Register this translator with LangChain. Idempotent."""
    register_translator(PROVIDER, translate_content, translate_content_chunk)


def translate_content(message: AIMessage) -> list[ContentBlock]:
    """The blocks of a complete message: reasoning, text and images, tool calls."""
    blocks = _content_blocks(message)
    cited = message.response_metadata.get("citations")
    if cited:
        text = next((block for block in blocks if block["type"] == "text"), None)
        if text is not None and "annotations" not in text:
            text["annotations"] = [{"type": "citation", **citation} for citation in cited]
    return cast("list[ContentBlock]", blocks + _calls(message, blocks))


def translate_content_chunk(message: AIMessageChunk) -> list[ContentBlock]:
    """The blocks of a chunk: tool call chunks, or whole tool calls in the last chunk."""
    if message.chunk_position == "last":
        return translate_content(message)
    blocks = _content_blocks(message)
    for piece in message.tool_call_chunks:
        block: dict[str, Any] = {name: piece[name] for name in ("id", "name", "args")}
        if piece.get("index") is not None:
            block["index"] = piece["index"]
        blocks.append({"type": "tool_call_chunk", **block})
    return cast("list[ContentBlock]", blocks)


def _content_blocks(message: AIMessage) -> list[dict[str, Any]]:
    # BaseMessage's own property parses only the content, in every known shape.
    read = cast("property", BaseMessage.content_blocks).fget
    found = cast("list[dict[str, Any]]", read(message) if read else [])
    blocks = [dict(b) for b in found if b["type"] != "text" or b.get("text") or len(b) > 2]
    refusal = message.additional_kwargs.get("refusal")
    if isinstance(refusal, str) and not any(block["type"] == "refusal" for block in blocks):
        blocks = _with_refusal(blocks, refusal)
    reasoning = message.additional_kwargs.get("reasoning_content")
    if reasoning and not any(block["type"] == "reasoning" for block in blocks):
        blocks.insert(0, {"type": "reasoning", "reasoning": reasoning})
    return blocks


def _with_refusal(blocks: list[dict[str, Any]], refusal: str) -> list[dict[str, Any]]:
    """The blocks with the refusal as a block of its own, instead of within the text."""
    at = next((n for n, b in enumerate(blocks) if refusal in str(b.get("text", ""))), None)
    block: dict[str, Any] = {"type": "refusal", "refusal": refusal}
    if at is None:
        return [*blocks, block]
    text = blocks[at]["text"].replace(refusal, "", 1)
    return [
        *blocks[:at],
        *([{**blocks[at], "text": text}] if text else []),
        block,
        *blocks[at + 1 :],
    ]


def _calls(message: AIMessage, blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    present = {block.get("id") for block in blocks if block["type"].endswith("tool_call")}
    valid: list[dict[str, Any]] = [
        {"type": "tool_call", "id": call["id"], "name": call["name"], "args": call["args"]}
        for call in message.tool_calls
    ]
    invalid: list[dict[str, Any]] = [
        {**call, "type": "invalid_tool_call"} for call in message.invalid_tool_calls
    ]
    return [call for call in valid + invalid if call["id"] not in present]
