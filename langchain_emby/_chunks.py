"""The chunks of a streamed reply, whose sum equals the message of a reply that is not streamed.

LangChain adds a chunk of images to text as `["text", image]`. Other providers' models send such
content as it is, and gateways refuse the bare string. It also forgets why a call is invalid.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessageChunk, InvalidToolCall
from pydantic import PrivateAttr

Blocks = list[str | dict[Any, Any]]


class ReplyChunk(AIMessageChunk):
    """A chunk whose sum with others has one text block, first, instead of bare strings.

    The sum with the last chunk of a reply is a plain `AIMessageChunk`, and so is what was stored
    and loaded.
    """

    def __add__(self, other: Any) -> Any:
        return _finish(super().__add__(other), other)

    def __radd__(self, other: AIMessageChunk) -> Any:
        # Python calls it for a plain chunk on the left, as this is a subclass.
        return _finish(AIMessageChunk.__add__(other, self), self)

    def __reduce__(self) -> Any:
        return AIMessageChunk.model_validate, (_fields(self),)


class LastChunk(ReplyChunk):
    """The last chunk, with the calls of the reply that must not be executed, as they were received.

    The chunks before it have more, which keeps LangChain from completing them.
    """

    _invalid_calls: Sequence[InvalidToolCall] = PrivateAttr(default=())

    def __init__(self, *, invalid_calls: Sequence[InvalidToolCall] = (), **fields: Any) -> None:
        super().__init__(**fields)
        self._invalid_calls = invalid_calls


# Checkpoints, `dumps` and `repr` name a class by these.
for _kind in (ReplyChunk, LastChunk):
    _kind.__name__ = _kind.__qualname__ = AIMessageChunk.__name__
    _kind.__module__ = AIMessageChunk.__module__


def type_text(content: str | Blocks) -> str | Blocks:
    """Content as a message has it: a string, or a text block and the other blocks."""
    if isinstance(content, str):
        return content
    texts = [block if isinstance(block, str) else _text(block) for block in content]
    others = [block for block, text in zip(content, texts, strict=True) if text is None]
    text = "".join(filter(None, texts))
    return [{"type": "text", "text": text}, *others] if text else others


def without_indices(content: str | Blocks) -> str | Blocks:
    """Content without the indices by which blocks of chunks are merged.

    With them, LangChain would merge the blocks of two whole messages, too, and join their base64.
    """
    if isinstance(content, str):
        return content
    return [
        {name: value for name, value in block.items() if name != "index"}
        if isinstance(block, dict)
        else block
        for block in content
    ]


def _text(block: dict[Any, Any]) -> str | None:
    return str(block["text"]) if block.get("type") == "text" else None


def _finish(merged: Any, added: Any) -> Any:
    if not isinstance(merged, AIMessageChunk):
        return merged
    content = merged.content
    if isinstance(content, list):
        is_v1 = merged.response_metadata.get("output_version") == "v1"
        if not is_v1:
            content = type_text(content)
        elif not all(content):
            content = [block for block in content if block]
    if merged.chunk_position != "last":
        if type(merged) is ReplyChunk and content is merged.content:
            return merged
        return ReplyChunk(**{**_fields(merged), "content": content})
    whole = AIMessageChunk(**{**_fields(merged), "content": without_indices(content)})
    last = added[-1] if isinstance(added, Sequence) else added
    if isinstance(last, LastChunk) and last._invalid_calls:  # noqa: SLF001 - a class of this module
        _restore_invalid(whole, last._invalid_calls)  # noqa: SLF001
    return whole


def _restore_invalid(whole: AIMessageChunk, calls: Sequence[InvalidToolCall]) -> None:
    whole.invalid_tool_calls = [*calls]
    if isinstance(whole.content, list):
        by_id = {call["id"]: dict(call) for call in calls}
        pieces = ("tool_call_chunk", "tool_call")
        whole.content = [
            by_id.get(block.get("id"), block)
            if isinstance(block, dict) and block.get("type") in pieces
            else block
            for block in whole.content
        ]


def _fields(chunk: AIMessageChunk) -> dict[str, Any]:
    return {name: getattr(chunk, name) for name in chunk.model_fields_set}
