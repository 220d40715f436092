"""The chunks of a streamed reply, whose sum has typed text blocks.

LangChain adds a chunk of images to text as `["text", image]`. Other providers' models send such
content as it is, and gateways refuse the bare string.
"""

from typing import Any

from langchain_core.messages import AIMessageChunk

Blocks = list[str | dict[Any, Any]]


class ReplyChunk(AIMessageChunk):
    """A chunk whose sum with others has one text block, first, instead of bare strings.

    The sum with the last chunk of a reply is a plain `AIMessageChunk`, and so is what was stored
    and loaded.
    """

    def __add__(self, other: Any) -> Any:
        return _with_typed_text(super().__add__(other))

    def __radd__(self, other: AIMessageChunk) -> Any:
        # Python calls it for a plain chunk on the left, as this is a subclass.
        return _with_typed_text(AIMessageChunk.__add__(other, self))

    def __reduce__(self) -> Any:
        return AIMessageChunk.model_validate, (_fields(self),)


# Checkpoints, `dumps` and `repr` name a class by these.
ReplyChunk.__name__ = ReplyChunk.__qualname__ = AIMessageChunk.__name__
ReplyChunk.__module__ = AIMessageChunk.__module__


def type_text(content: str | Blocks) -> str | Blocks:
    """Content as a message has it: a string, or a text block and the other blocks."""
    if isinstance(content, str):
        return content
    texts = [block if isinstance(block, str) else _text(block) for block in content]
    others = [block for block, text in zip(content, texts, strict=True) if text is None]
    text = "".join(filter(None, texts))
    return [{"type": "text", "text": text}, *others] if text else others


def _text(block: dict[Any, Any]) -> str | None:
    return str(block["text"]) if block.get("type") == "text" else None


def _with_typed_text(merged: Any) -> Any:
    if not isinstance(merged, AIMessageChunk):
        return merged
    merged.content = type_text(merged.content)
    kind = AIMessageChunk if merged.chunk_position == "last" else ReplyChunk
    return merged if type(merged) is kind else kind(**_fields(merged))


def _fields(chunk: AIMessageChunk) -> dict[str, Any]:
    return {name: getattr(chunk, name) for name in chunk.model_fields_set}
