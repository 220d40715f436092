"""Tools, tool choice and structured output."""

import json
from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from lc_support import Script, merged
from pydantic import BaseModel, Field
from test_lc_images_out import by_invoke, by_stream, by_streaming, by_v3

from emby_plugins import RequestError
from langchain_emby import ChatEmby

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

CALLS = [
    {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Zürich"}'},
    },
    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": '{"zone": 1}'}},
]


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return city


@tool
def time(zone: int) -> str:
    """Tell the time."""
    return str(zone)


class Joke(BaseModel):
    """A joke."""

    setup: str = Field(description="The question")
    punchline: str


class JokeDict(TypedDict):
    """A joke."""

    setup: str
    punchline: str


SAID = {"setup": "Why?", "punchline": "Because."}


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_tool_calls_arrive(version: str) -> None:
    """Calls are the same streamed and invoked, and so are the blocks."""
    chat = Script(None, tool_calls=CALLS, finish="tool_calls").chat(output_version=version)
    invoked = chat.invoke("Weather?")
    streamed = merged(chat.stream("Weather?"))
    assert [c["args"] for c in invoked.tool_calls] == [{"city": "Zürich"}, {"zone": 1}]
    assert streamed.tool_calls == invoked.tool_calls
    assert streamed.content == invoked.content
    assert streamed.content_blocks == invoked.content_blocks
    assert chat.stream_events("Weather?", version="v3").output.tool_calls == invoked.tool_calls
    assert invoked.response_metadata["finish_reason"] == "tool_calls"


INCOMPLETE = [
    '{"city": "Zü',
    '{"city": "Zürich"',
    '{"city": "Zürich", "days": 1',
    '{"city": ["a", "b\\',
    '{"city": {"name": "Zü"',
    "{",
    "",
]
NO_OBJECT = ["[]", "null", '"Zürich"', "1", '[{"city": "Zürich"}]', "Zürich", "]", '{"a": 1}}']


def cut_call(arguments: str, finish: str, version: str) -> ChatEmby:
    """A model whose reply calls a tool with these arguments."""
    call = {**CALLS[0], "function": {"name": "weather", "arguments": arguments}}
    return Script(None, tool_calls=[call], finish=finish).chat(output_version=version)


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", [by_invoke, by_streaming, by_stream, by_v3])
@pytest.mark.parametrize(
    ("arguments", "finish"),
    [*((a, "length") for a in INCOMPLETE), *((a, "tool_calls") for a in NO_OBJECT)],
)
def test_incomplete_arguments_are_an_invalid_call(
    arguments: str, finish: str, way: Callable[[ChatEmby], AIMessage], version: str
) -> None:
    """Only a complete JSON object is executed, in every way to call; nothing raises."""
    message = way(cut_call(arguments, finish, version))
    assert message.tool_calls == []
    (call,) = message.invalid_tool_calls
    assert (call["id"], call["name"]) == ("call_1", "weather")
    assert call["args"].startswith(arguments if arguments else ("", "{}", "]"))
    assert not [block for block in message.content_blocks if block["type"] == "tool_call"]
    if finish == "length":
        assert "So the call to 'weather' is incomplete" in message.response_metadata["notice"]


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", [by_invoke, by_streaming, by_stream, by_v3])
@pytest.mark.parametrize(
    ("arguments", "finish"), [('{"city": "Zürich"}', "length"), ("{}", "stop"), ("", "tool_calls")]
)
def test_complete_arguments_are_a_valid_call(
    arguments: str, finish: str, way: Callable[[ChatEmby], AIMessage], version: str
) -> None:
    """The contrast: complete arguments before the limit, and no arguments where nothing is cut."""
    message = way(cut_call(arguments, finish, version))
    assert [call["args"] for call in message.tool_calls] == [json.loads(arguments or "{}")]
    assert message.invalid_tool_calls == []
    assert "incomplete" not in message.response_metadata.get("notice", "")


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_does_not_execute_a_cut_call(stream: bool) -> None:
    """The tool never runs with the arguments that happened to arrive."""
    ran: list[str] = []

    @tool
    def delete(path: str) -> str:
        """Delete a path."""
        ran.append(path)
        return "Deleted."

    call = {**CALLS[0], "function": {"name": "delete", "arguments": '{"path": "/data'}}
    model = Script(None, tool_calls=[call], finish="length").chat()
    agent = create_agent(model, tools=[delete])
    if stream:
        for _ in agent.stream({"messages": [HumanMessage("Go")]}, stream_mode="messages"):
            pass
    else:
        agent.invoke({"messages": [HumanMessage("Go")]})
    assert ran == []


@pytest.mark.parametrize("is_answered", [True, False])
def test_an_invalid_call_is_sent_back_with_its_answer(is_answered: bool) -> None:
    """Gateways refuse a call without a tool message, and a tool message without its call."""
    script = Script("Fine.")
    history = [HumanMessage("Hi"), by_stream(cut_call('{"city": "Zü', "length", "v0"))]
    if is_answered:
        history.append(ToolMessage("Incomplete.", tool_call_id="call_1"))
    script.chat().invoke([*history, HumanMessage("Again.")])
    calls = script.sent["messages"][1].get("tool_calls", [])
    assert [call["id"] for call in calls] == (["call_1"] if is_answered else [])


CHOICES: list[tuple[Any, int, Any]] = [
    (None, 2, None),
    (False, 2, None),
    ("auto", 2, "auto"),
    ("none", 2, "none"),
    ("any", 2, "required"),
    ("required", 2, "required"),
    (True, 2, "required"),
    ("any", 1, "weather"),
    (True, 1, "weather"),
    ("time", 2, "time"),
    ({"type": "function", "function": {"name": "time"}}, 2, "time"),
    ({"type": "tool", "name": "time"}, 2, "time"),
    ({"type": "any"}, 2, "required"),
    ({"type": "auto"}, 2, "auto"),
]


@pytest.mark.parametrize(("choice", "count", "sent"), CHOICES)
def test_tool_choice_in_every_form(choice: Any, count: int, sent: str | None) -> None:
    """Each way of choosing becomes what the contract knows."""
    script = Script("Fine.")
    script.chat().bind_tools([weather, time][:count], tool_choice=choice).invoke("Hi")
    named = {"type": "function", "function": {"name": sent}}
    expected = sent if sent in {None, "auto", "none", "required"} else named
    assert script.sent.get("tool_choice") == expected
    assert len(script.sent["tools"]) == count


def test_a_choice_that_is_no_tool_raises() -> None:
    """A misspelt tool is found before anything is sent."""
    with pytest.raises(RequestError, match="'wether'"):
        Script().chat().bind_tools([weather], tool_choice="wether")
    with pytest.raises(RequestError, match="web_search"):
        Script().chat().bind_tools([{"type": "web_search_preview"}])


def test_no_tools_and_tracing_notes_are_not_sent() -> None:
    """What LangChain's agents add for themselves stays out of the request."""
    script = Script("Fine.")
    chat = script.chat().bind_tools([], tool_choice="any", ls_structured_output_format={})
    chat.invoke("Hi")
    assert script.sent.keys() == {"model", "messages"}
    script.chat().bind(tools=[], tool_choice="auto").invoke("Hi")
    assert script.sent.keys() == {"model", "messages"}


def test_strict_and_the_answer_s_form() -> None:
    """`strict` reaches tools and schema; a form beside tools is sent too."""
    script = Script("Fine.")
    script.chat().bind_tools([weather], strict=True, response_format=Joke).invoke("Hi")
    assert script.sent["tools"][0]["function"]["strict"] is True
    shape = script.sent["response_format"]["json_schema"]
    assert (shape["name"], shape["strict"]) == ("Joke", True)
    assert shape["schema"]["required"] == ["setup", "punchline"]


@pytest.mark.parametrize("schema", [Joke, JokeDict, Joke.model_json_schema()])
@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
async def test_structured_output(method: str, strict: bool | None, schema: Any) -> None:
    """Every method answers with the schema's own kind, invoked, awaited and streamed."""
    answer = json.dumps(SAID)
    call = {"id": "1", "type": "function", "function": {"name": "Joke", "arguments": answer}}
    if schema is JokeDict:
        call["function"]["name"] = "JokeDict"
    by_tool = method == "function_calling"
    script = Script(None, tool_calls=[call]) if by_tool else Script(answer)
    chain = script.chat().with_structured_output(schema, method=method, strict=strict)
    expected = Joke(**SAID) if schema is Joke else SAID
    assert chain.invoke("Joke!") == expected
    assert await chain.ainvoke("Joke!") == expected
    assert list(chain.stream("Joke!"))[-1] == expected
    if by_tool:
        assert script.sent["tool_choice"]["function"]["name"] == call["function"]["name"]
    else:
        assert script.sent["response_format"]["type"] == method.replace("json_mode", "json_object")
    assert "ls_structured_output_format" not in script.sent


def test_structured_output_with_the_message() -> None:
    """`include_raw` gives the message too, and the error instead of raising it."""
    chat = Script("no joke").chat()
    answer = chat.with_structured_output(Joke, method="json_schema", include_raw=True).invoke("?")
    assert answer["raw"].content == "no joke"
    assert answer["parsed"] is None
    assert answer["parsing_error"] is not None
    with pytest.raises(ValueError, match="'telepathy'"):
        chat.with_structured_output(Joke, method="telepathy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="schema"):
        chat.with_structured_output(None)
