"""Agents, forced tools and structured output, against every gateway state of the mock."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel
from recordings.recordings import STATES

from emby_plugins.mock import PROFILES, MockBackend, activate
from langchain_emby import ChatEmby

agents = pytest.importorskip("langchain.agents")
strategies = pytest.importorskip("langchain.agents.structured_output")

LIMIT = {"recursion_limit": 12}
WAYS = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])


@tool
def weather(city: str) -> str:
    """Return the weather in a city."""
    return f"It is 21 degrees in {city}"


@tool
def population(city: str) -> str:
    """Count the people of a city."""
    return f"{city} has 361000 people"


class Report(BaseModel):
    """A weather report."""

    city: str
    degrees: int


@pytest.fixture(params=STATES, autouse=True)
def state(request: pytest.FixtureRequest) -> Iterator[str]:
    """The gateway state behind `mock:`."""
    with activate(MockBackend(profile=PROFILES[request.param])):
        yield request.param


def brain(*, streaming: bool) -> ChatEmby:
    """Return a model of the mock that supports tools."""
    return ChatEmby(model="qwen2.5-vision", base_url="mock:", streaming=streaming)


def user_input(text: str) -> dict[str, Any]:
    """Return an agent's input."""
    return {"messages": [HumanMessage(text)]}


def called(state: dict[str, Any]) -> list[str]:
    """Return the names of the called tools in order."""
    messages = [m for m in state["messages"] if isinstance(m, AIMessage)]
    return [call["name"] for message in messages for call in message.tool_calls]


@WAYS
async def test_an_agent_with_two_tools_finishes(streaming: bool) -> None:
    """Both tools of an agent run, sync and async, and the last message uses their results."""
    agent = agents.create_agent(brain(streaming=streaming), tools=[weather, population])
    prompt = user_input("Use weather and population on 'Utrecht'")
    for end in (agent.invoke(prompt, LIMIT), await agent.ainvoke(prompt, LIMIT)):
        assert sorted(called(end)) == ["population", "weather"]
        results = [m.text for m in end["messages"] if isinstance(m, ToolMessage)]
        assert sorted(results) == ["It is 21 degrees in Utrecht", "Utrecht has 361000 people"]
        assert "21 degrees" in end["messages"][-1].text


@WAYS
@pytest.mark.parametrize("tools", [[], [weather]], ids=["alone", "with-a-tool"])
async def test_structured_output_by_tools(streaming: bool, tools: list[Any]) -> None:
    """`ToolStrategy` gives an instance of the class, with and without another tool."""
    strategy = strategies.ToolStrategy(Report)
    agent = agents.create_agent(brain(streaming=streaming), tools, response_format=strategy)
    prompt = user_input("What is the weather in 'Utrecht'?")
    for end in (agent.invoke(prompt, LIMIT), await agent.ainvoke(prompt, LIMIT)):
        assert isinstance(end["structured_response"], Report)


@WAYS
@pytest.mark.parametrize("choice", ["any", "required", True])
def test_any_of_two_tools(streaming: bool, choice: Any) -> None:
    """A forced choice among two tools gives a call for a prompt that needs none."""
    model = brain(streaming=streaming).bind_tools([weather, population], tool_choice=choice)
    message = model.invoke("Say hello to Ann")
    assert {call["name"] for call in message.tool_calls} <= {"weather", "population"}
    assert message.tool_calls


@WAYS
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_structured_output(streaming: bool, method: Any) -> None:
    """Structured output by a forced tool and by a schema gives an instance of the class."""
    model = brain(streaming=streaming).with_structured_output(Report, method=method)
    assert isinstance(model.invoke("It is 21 degrees in Utrecht"), Report)
