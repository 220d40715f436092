"""Tool calls of replies and of histories, and whether one may be executed.

The answer is the same invoked, streamed and as v3 events.

A call is valid only if its arguments are a complete JSON object. LangChain completes partial JSON
when it merges chunks, so a call that the token limit cut off would be executed with the part
of its arguments that arrived.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    ToolCall as LangChainToolCall,
    ToolMessage,
)
from langchain_core.utils.json import parse_partial_json

from emby_plugins import MalformedReplyError, ToolCall

CallBlock = LangChainToolCall | InvalidToolCall

# Close a string that may be open, then mismatch a bracket: no parser completes such JSON.
_MISMATCHES = ("]", "}", '"]', '"}', '""]', '""}')
_SURROGATES = re.compile("[\ud800-\udfff]")


def convert_tool_calls(calls: Iterable[ToolCall], finish_reason: str | None) -> list[CallBlock]:
    """The tool calls of a reply in order, each marked as valid or invalid by its type."""
    return [_convert(call, finish_reason) for call in calls]


def split_tool_calls(
    calls: Iterable[CallBlock],
) -> tuple[list[LangChainToolCall], list[InvalidToolCall]]:
    """The valid and the invalid calls."""
    valid = [call for call in calls if call["type"] == "tool_call"]
    invalid = [call for call in calls if call["type"] != "tool_call"]
    return valid, invalid


def _convert(call: ToolCall, finish_reason: str | None) -> CallBlock:
    problem = _find_problem(call, finish_reason)
    if not problem:
        return LangChainToolCall(type="tool_call", id=call.id, name=call.name, args=call.args)
    return InvalidToolCall(
        type="invalid_tool_call", id=call.id, name=call.name, args=call.arguments, error=problem
    )


def _find_problem(call: ToolCall, finish_reason: str | None) -> str:
    """Why a call must not be executed; empty for a valid call."""
    is_cut = finish_reason == "length"
    try:
        args = call.args
    except MalformedReplyError as error:
        problem = error.message
    else:
        # A tool without parameters is called without arguments. In a reply that was cut off, they
        # may just not have arrived.
        problem = f"The call to {call.name!r} has no arguments." if is_cut and not args else ""
    cause = " The token limit cut it off (finish reason: length)." if problem and is_cut else ""
    return problem + cause


def invalidate(arguments: str) -> str:
    """Text that, appended to invalid arguments, keeps LangChain from completing them.

    Empty if LangChain can't parse them anyway.
    """
    candidates = ("", *_MISMATCHES) if arguments else _MISMATCHES
    return next(end for end in candidates if not _is_completed(arguments + end))


def _is_completed(arguments: str) -> bool:
    try:
        return isinstance(parse_partial_json(arguments), dict)
    except (ValueError, RecursionError):
        return False


def answered_ids(message: BaseMessage) -> Iterator[str]:
    """The ids of the calls that a message answers."""
    if isinstance(message, ToolMessage):
        yield message.tool_call_id
    elif isinstance(message, HumanMessage):
        yield from (str(result.get("tool_use_id")) for result in tool_results(message.content))


def tool_results(content: str | list[str | dict[Any, Any]]) -> list[dict[Any, Any]]:
    """The results of tool calls that Anthropic nests in a user message."""
    blocks = [] if isinstance(content, str) else content
    return [b for b in blocks if isinstance(b, dict) and b.get("type") == "tool_result"]


def sendable_calls(
    message: AIMessage, answered: Set[str]
) -> tuple[list[LangChainToolCall], list[InvalidToolCall]]:
    """The valid calls, and the invalid ones that a message answers.

    Gateways need each call together with its answer, and LangChain runs no invalid call, so most
    have none. Of a stream that broke off, LangChain completes the last call: that is invalid too.
    """
    cut = {
        piece["id"]
        for piece in getattr(message, "tool_call_chunks", ())
        if not _is_json(piece["args"] or "{}")
    }
    valid = [call for call in message.tool_calls if call["id"] in answered or call["id"] not in cut]
    others = answered - {call["id"] for call in valid}
    return valid, [call for call in message.invalid_tool_calls if (call["id"] or "") in others]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def sent_calls(message: AIMessage, answered: Set[str]) -> Iterator[ToolCall]:
    """The calls of a message that are sent, those that only its content has included."""
    valid, answered_invalid = sendable_calls(message, answered)
    for call in valid:
        yield ToolCall(call["id"] or "", call["name"], _dump(call["args"]))
    for invalid in answered_invalid:
        yield ToolCall(invalid["id"] or "", invalid["name"] or "", invalid["args"] or "{}")
    known = {call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)}
    for block in message.content:
        in_content = _call_in(block) if isinstance(block, dict) else None
        if in_content is not None and in_content.id not in known:
            yield in_content


def _dump(arguments: object) -> str:
    text = json.dumps(arguments, ensure_ascii=False)
    # Half of a surrogate pair can only be sent as an escape.
    return text if text.isascii() or not _SURROGATES.search(text) else json.dumps(arguments)


def _call_in(block: Mapping[str, Any]) -> ToolCall | None:
    """The tool call of a content block of Anthropic's or of OpenAI's Responses API."""
    if block.get("type") in {"tool_use", "tool_call"}:
        arguments = _dump(block.get("input") or block.get("args") or {})
        return ToolCall(str(block.get("id") or ""), str(block.get("name") or ""), arguments)
    if block.get("type") == "function_call":
        call_id = str(block.get("call_id") or block.get("id") or "")
        arguments = str(block.get("arguments") or "{}")
        return ToolCall(call_id, str(block.get("name") or ""), arguments)
    return None
