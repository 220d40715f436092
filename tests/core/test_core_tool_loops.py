"""Loops of tool calls finish with every gateway state of the mock."""

from typing import Any

import pytest
from recordings.recordings import STATES
from support import ChatCaller

from emby_plugins import ChatReply, Message, Tool
from emby_plugins.mock import PROFILES, MockBackend, activate

ONE_NUMBER = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
DOUBLE = Tool("double", "Doubles a number.", ONE_NUMBER)
SQUARE = Tool("square", "Squares a number.", ONE_NUMBER)
RUN = {"double": lambda x: 2 * x, "square": lambda x: x * x}
BOTH = [DOUBLE, SQUARE]


def loop(call_chat: ChatCaller, prompt: str, **options: Any) -> tuple[ChatReply, list[str]]:
    """Call the model and its tools in turn; return the last reply and the names of the called
    tools.

    A choice of tools applies to the first turn.
    """
    history, called = [Message.user(prompt)], []
    choice = options.pop("tool_choice", "auto")
    for _ in range(5):
        reply = call_chat(history, on={"base_url": "mock:"}, tool_choice=choice, **options)
        if not reply.tool_calls:
            return reply, called
        choice = "auto"
        history.append(reply.message)
        for call in reply.tool_calls:
            called.append(call.name)
            result = str(RUN[call.name](**call.args))
            history.append(Message.tool(result, tool_call_id=call.id, name=call.name))
    raise AssertionError("the loop did not end")


@pytest.mark.parametrize("state", STATES)
def test_a_loop_with_two_tools_finishes(call_chat: ChatCaller, state: str) -> None:
    """Both tools are called, and the reply uses their results."""
    with activate(MockBackend(profile=PROFILES[state])):
        reply, called = loop(call_chat, "Use double and square on 5", tools=BOTH)
    assert sorted(called) == ["double", "square"]
    assert "10" in reply.text
    assert "25" in reply.text


FORCED = [
    ("required", [DOUBLE], {"double"}),
    ("required", BOTH, {"double", "square"}),
    ("square", BOTH, {"square"}),
]


@pytest.mark.parametrize(("choice", "tools", "allowed"), FORCED, ids=["one", "several", "named"])
@pytest.mark.parametrize("state", STATES)
def test_a_forced_call_is_made(
    call_chat: ChatCaller, state: str, choice: str, tools: list[Tool], allowed: set[str]
) -> None:
    """A forced tool call is made for any prompt, by an allowed tool."""
    with activate(MockBackend(profile=PROFILES[state])):
        reply, called = loop(call_chat, "Say hello, 3 times", tools=tools, tool_choice=choice)
    assert called
    assert allowed.issuperset(called)
    assert reply.text
    assert reply.finish_reason == "stop"
