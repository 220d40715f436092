"""The chunks of a streamed reply; their sum equals the message of a reply that is not streamed.

LangChain adds a chunk of images to text as `["text", image]`. Other providers' models send such
content unchanged, and gateways refuse the bare string. It also forgets why a call is invalid.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessageChunk
from pydantic import PrivateAttr

from langchain_emby._tool_calls import CallBlock, split_tool_calls

Blocks = list[str | dict[Any, Any]]

_CALL_BLOCKS = {"tool_call_chunk", "tool_call", "invalid_tool_call"}


class ReplyChunk(AIMessageChunk):
    """A chunk whose sum with others has one text block, first, instead of bare strings.

    The sum with the last chunk of a reply is a plain `AIMessageChunk`, and so is what was stored
    and loaded.
    """

    # LangChain and pydantic go by it when they convert a chunk to a message, compare and store it.
    # A property of this name rules out `super()` here.
    __class__ = property(lambda _: AIMessageChunk)

    def __add__(self, other: Any) -> Any:
        return _finish(AIMessageChunk.__add__(self, other), other)

    def __radd__(self, other: AIMessageChunk) -> Any:
        # Python calls it for a plain chunk on the left, as this is a subclass.
        return _finish(AIMessageChunk.__add__(other, self), self)

    def __reduce__(self) -> Any:
        return AIMessageChunk.model_validate, (_fields(self),)


class MismatchChunk(ReplyChunk):
    """A bracket after the arguments of an invalid call, so that LangChain does not complete them.

    It was not received: the merged message and v3 events do not have it.
    """


class LastChunk(ReplyChunk):
    """The last chunk, with the tool calls of the whole reply by their index."""

    _calls: Mapping[int, CallBlock] = PrivateAttr(default_factory=dict)

    def __init__(self, *, calls: Mapping[int, CallBlock], **fields: Any) -> None:
        super().__init__(**fields)
        cast("dict[str, Any]", self.__pydantic_private__)["_calls"] = calls

    @property
    def calls(self) -> Mapping[int, CallBlock]:
        """The calls by their index, in the order in which they began."""
        return self._calls

    def restore_calls(self, whole: AIMessageChunk) -> None:
        """Put the calls, as they were received, in place of what LangChain made of the chunks."""
        if not self._calls or len(whole.tool_call_chunks) != len(self._calls):
            return
        calls = [call for _, call in sorted(self._calls.items())]
        whole.tool_calls, whole.invalid_tool_calls = split_tool_calls(calls)
        if isinstance(whole.content, list):
            blocks = iter(calls)
            whole.content = [
                {**next(blocks, block)}
                if isinstance(block, dict) and block.get("type") in _CALL_BLOCKS
                else block
                for block in whole.content
            ]


# Checkpoints, `dumps` and `repr` name a class by these.
for _kind in (ReplyChunk, MismatchChunk, LastChunk):
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
    if isinstance(last, LastChunk):
        last.restore_calls(whole)
    return whole


def _fields(chunk: AIMessageChunk) -> dict[str, Any]:
    return {name: getattr(chunk, name) for name in chunk.model_fields_set}
