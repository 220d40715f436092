"""Tools with names that gateways refuse are sent under legal ones and called by their own."""

import re
from typing import Any, Generic, TypeVar

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from lc_support import Script, Turns, calling, merged
from pydantic import BaseModel

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

T = TypeVar("T")


class Resp(BaseModel, Generic[T]):
    """A response."""

    value: T


LONG = "a" * 64
NAMES = {
    "my tool": "my_tool_2",
    "my_tool": "my_tool",
    "my/tool": "my_tool_3",
    "Resp[int]": "Resp_int_",
    "grüße": "gr__e",
    LONG: LONG,
    f"{LONG}b": f"{LONG[:-2]}_2",
    f"{LONG}c": f"{LONG[:-2]}_3",
}


def tool_of(name: str) -> StructuredTool:
    """Return a tool that repeats its argument."""

    def run(value: int) -> str:
        """Repeat it."""
        return f"{name}: {value}"

    return StructuredTool.from_function(run, name=name)


def call_of(name: str) -> dict[str, Any]:
    """Return a tool call of a reply."""
    function = {"name": name, "arguments": '{"value": 1}'}
    return {"id": f"call_{name}", "type": "function", "function": function}


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", ["invoke", "stream", "v3"])
def test_names_are_legal_in_requests_and_original_in_messages(way: str, version: str) -> None:
    """Tool names are legal and unique in requests, and the original ones in messages."""
    calls = [call_of(name) for name in NAMES.values()]
    script = Script(None, tool_calls=calls, finish="tool_calls")
    chat = script.chat(output_version=version).bind_tools(
        [*map(tool_of, NAMES)], tool_choice="my tool"
    )
    if way == "v3":
        message = chat.stream_events("Hi", version="v3").output
    else:
        message = chat.invoke("Hi") if way == "invoke" else merged(chat.stream("Hi"))
    sent = [tool["function"]["name"] for tool in script.sent["tools"]]
    assert sent == [*NAMES.values()]
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in sent)
    assert script.sent["tool_choice"]["function"]["name"] == "my_tool_2"
    assert [call["name"] for call in message.tool_calls] == [*NAMES]
    blocks = [block for block in message.content_blocks if block["type"] == "tool_call"]
    assert [block["name"] for block in blocks] == [*NAMES]
    results = [
        ToolMessage("Done.", tool_call_id=call["id"], name=call["name"])
        for call in message.tool_calls
    ]
    chat.invoke([HumanMessage("Hi"), message, *results])
    _, assistant, *answers = script.sent["messages"]
    assert [call["function"]["name"] for call in assistant["tool_calls"]] == sent
    assert [answer["name"] for answer in answers] == sent


def test_names_of_tools_that_are_no_longer_bound_are_legal() -> None:
    """The names of tools that are no longer bound are legal in requests too."""
    script = Script("Fine.")
    call = {"type": "tool_call", "id": "1", "name": "my tool", "args": {}}
    result = ToolMessage("1", tool_call_id="1", name="my tool")
    script.chat().invoke([HumanMessage("Hi"), AIMessage("", tool_calls=[call]), result])
    assert script.sent["messages"][1]["tool_calls"][0]["function"]["name"] == "my_tool"
    assert script.sent["messages"][2]["name"] == "my_tool"


@pytest.mark.parametrize("streaming", [False, True])
def test_an_agent_runs_a_tool_and_answers_in_a_generic_class(streaming: bool) -> None:
    """LangChain's agents find tools and response classes by their original names."""
    turns = Turns(lambda _: calling("my_tool", value=2), lambda _: calling("Resp_int_", value=3))
    chat = turns.chat(streaming=streaming)
    agent = create_agent(chat, [tool_of("my tool")], response_format=ToolStrategy(Resp[int]))
    state = agent.invoke({"messages": [HumanMessage("Hi")]})
    assert state["messages"][2].content == "my tool: 2"
    assert state["structured_response"] == Resp[int](value=3)
