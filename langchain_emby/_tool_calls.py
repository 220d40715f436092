"""Whether a tool call may be executed: the same answer invoked, streamed and as v3 events.

A call is valid only if its arguments are a complete JSON object. LangChain completes partial JSON
when it merges chunks, so a call that the token limit cut off would be executed with the part
of its arguments that arrived.
"""

from collections.abc import Iterable

from langchain_core.messages import InvalidToolCall, ToolCall as LangChainToolCall
from langchain_core.utils.json import parse_partial_json

from emby_plugins import MalformedReplyError, ToolCall

CallBlock = LangChainToolCall | InvalidToolCall

# Close a string that may be open, then mismatch a bracket: no parser completes such JSON.
_MISMATCHES = ("]", "}", '"]', '"}', '""]', '""}')


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
