"""Tools, tool choice and structured output."""

import json
import re
from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypedDict, TypeVar

import pytest
from langchain.agents import create_agent
from langchain_core.exceptions import OutputParserException
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
    """Return the weather."""
    return city


@tool
def time(zone: int) -> str:
    """Return the time."""
    return str(zone)


class Joke(BaseModel):
    """A joke."""

    setup: str = Field(description="The question")
    punchline: str


class JokeDict(TypedDict):
    """A joke."""

    setup: str
    punchline: str


JOKE_FIELDS = {"setup": "Why?", "punchline": "Because."}


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_tool_calls_arrive(version: str) -> None:
    """Tool calls and their blocks are the same, streamed and invoked."""
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
UNPARSABLE = {"deep": '{"a": ' + "[" * 100_000, "many digits": f'{{"a": {"9" * 5000}}}'}


def cut_call(arguments: str, finish: str, version: str) -> ChatEmby:
    """Return a model that calls a tool with these arguments."""
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
    """Arguments that are not a complete JSON object give an invalid call in every mode."""
    message = way(cut_call(arguments, finish, version))
    assert message.tool_calls == []
    (call,) = message.invalid_tool_calls
    assert (call["id"], call["name"]) == ("call_1", "weather")
    assert call["args"] == (arguments or "{}")
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
    """Complete arguments, or none in a complete reply, give a valid call in every mode."""
    message = way(cut_call(arguments, finish, version))
    assert [call["args"] for call in message.tool_calls] == [json.loads(arguments or "{}")]
    assert message.invalid_tool_calls == []
    assert "incomplete" not in message.response_metadata.get("notice", "")


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_does_not_execute_a_cut_call(stream: bool) -> None:
    """An agent does not run a tool with truncated arguments."""
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
    """An invalid call is sent back with its tool message, or not at all."""
    script = Script("Fine.")
    history = [HumanMessage("Hi"), by_stream(cut_call('{"city": "Zü', "length", "v0"))]
    if is_answered:
        history.append(ToolMessage("Incomplete.", tool_call_id="call_1"))
    script.chat().invoke([*history, HumanMessage("Again.")])
    calls = script.sent["messages"][1].get("tool_calls", [])
    assert [call["id"] for call in calls] == (["call_1"] if is_answered else [])


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("arguments", [INCOMPLETE[0], "", '{"a": "b\nc"}', *UNPARSABLE.values()])
def test_an_invalid_call_is_the_same_streamed(arguments: str, version: str) -> None:
    """An invalid call has its arguments and the reason, the same streamed and invoked."""
    chat = cut_call(arguments, "length", version)
    invoked = by_invoke(chat)
    assert "token limit" in str(invoked.invalid_tool_calls[0]["error"])
    for streamed in (by_stream(chat), by_streaming(chat)):
        assert streamed.invalid_tool_calls == invoked.invalid_tool_calls
        assert streamed.content == invoked.content
        assert streamed.content_blocks == invoked.content_blocks


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", [by_streaming, by_stream, by_v3])
@pytest.mark.parametrize("second", ['{"a": 2}', "{}", '{"a": ', "[]"])
def test_two_calls_of_one_id_are_two(
    second: str, way: Callable[[ChatEmby], AIMessage], version: str
) -> None:
    """Two calls with one id keep their own arguments and validity, in content blocks too."""
    calls = [{**CALLS[0], "function": {"name": "f", "arguments": a}} for a in ('{"a": 1}', second)]
    chat = Script(None, tool_calls=calls, finish="tool_calls").chat(output_version=version)
    invoked, streamed = by_invoke(chat), way(chat)
    found = [*streamed.tool_calls, *streamed.invalid_tool_calls]
    assert [call["args"] for call in found] == [
        {"a": 1},
        {"{}": {}, '{"a": 2}': {"a": 2}}.get(second, second),
    ]
    assert streamed.tool_calls == invoked.tool_calls
    assert streamed.invalid_tool_calls == invoked.invalid_tool_calls
    if version == "v1":
        assert streamed.content == invoked.content == found


def test_an_invalid_call_with_an_answered_id_is_not_sent() -> None:
    """Of two calls with one id, only the valid one is sent back with the tool's answer."""
    calls = [{**CALLS[0], "function": {"name": "f", "arguments": a}} for a in ("{}", '{"a": ')]
    message = by_stream(Script(None, tool_calls=calls, finish="length").chat())
    assert len(message.invalid_tool_calls) == 2
    calls[0]["function"]["arguments"] = '{"a": 1}'
    message = by_stream(Script(None, tool_calls=calls, finish="length").chat())
    script = Script("Fine.")
    script.chat().invoke(["Hi", message, ToolMessage("?", tool_call_id=CALLS[0]["id"])])
    assert [call["function"] for call in script.sent["messages"][1]["tool_calls"]] == [
        calls[0]["function"]
    ]


@pytest.mark.parametrize("version", ["v0", "v1"])
async def test_v3_events_have_only_what_was_received(version: str) -> None:
    """The events of a cut call have the received arguments, in the deltas and the final block."""
    chat = cut_call(INCOMPLETE[0], "length", version)
    stream = await chat.astream_events("?", version="v3")
    for events in (list(chat.stream_events("?", version="v3")), [event async for event in stream]):
        deltas = [e["delta"] for e in events if e["event"] == "content-block-delta"]
        (end,) = (e["content"] for e in events if e["event"] == "content-block-finish")
        # Before langchain-core 1.7, each delta has all arguments received so far.
        old = [delta["fields"]["args"] for delta in deltas if "fields" in delta][-1:]
        assert "".join(old or [delta["args"] for delta in deltas]) == INCOMPLETE[0]
        assert end == by_invoke(chat).invalid_tool_calls[0]


@pytest.mark.parametrize("arguments", UNPARSABLE.values(), ids=UNPARSABLE)
def test_unparsable_arguments_are_an_invalid_call(arguments: str) -> None:
    """Nothing parses them, LangChain's events included."""
    chat = cut_call(arguments, "stop", "v0")
    assert by_v3(chat).invalid_tool_calls == by_invoke(chat).invalid_tool_calls


def test_a_cut_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An invalid call is logged once."""
    for way in (by_invoke, by_stream):
        caplog.clear()
        way(cut_call(INCOMPLETE[0], "length", "v0"))
        assert len(caplog.messages) == 1
        assert "So the call to 'weather' is incomplete" in caplog.text
    way(cut_call('{"city": "Zürich"}', "length", "v0"))
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("arguments", ['{"a": NaN}', '{"a": 1, "a": 2}', '{"a": "\\ud800"}'])
def test_odd_arguments_are_sent_back(arguments: str) -> None:
    """Unusual JSON that Python accepts is a valid call in every mode and can be sent back."""
    valid = [way(cut_call(arguments, "tool_calls", "v0")) for way in (by_invoke, by_stream, by_v3)]
    assert len({str(message.tool_calls[0]["args"]) for message in valid}) == 1
    script = Script("Fine.")
    script.chat().invoke(["Hi", valid[0], ToolMessage("?", tool_call_id="call_1")])
    sent = script.sent["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert str(json.loads(sent)) == str(valid[0].tool_calls[0]["args"])


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
    """Each form of a tool choice is sent in the form of the contract."""
    script = Script("Fine.")
    script.chat().bind_tools([weather, time][:count], tool_choice=choice).invoke("Hi")
    named = {"type": "function", "function": {"name": sent}}
    expected = sent if sent in {None, "auto", "none", "required"} else named
    assert script.sent.get("tool_choice") == expected
    assert len(script.sent["tools"]) == count


def test_an_unknown_tool_choice_raises() -> None:
    """A tool choice that matches none of the tools, or an unknown server tool, raises."""
    with pytest.raises(RequestError, match="'wether'"):
        Script().chat().bind_tools([weather], tool_choice="wether")
    with pytest.raises(RequestError, match="web_search"):
        Script().chat().bind_tools([{"type": "web_search_preview"}])


def test_no_tools_and_tracing_notes_are_not_sent() -> None:
    """Empty tools and LangChain's tracing arguments are not sent."""
    script = Script("Fine.")
    chat = script.chat().bind_tools([], tool_choice="any", ls_structured_output_format={})
    chat.invoke("Hi")
    assert script.sent.keys() == {"model", "messages"}
    script.chat().bind(tools=[], tool_choice="auto").invoke("Hi")
    assert script.sent.keys() == {"model", "messages"}


def test_strict_and_the_response_format() -> None:
    """`strict` applies to tools and schema, and a response format is sent beside tools."""
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
    """Every method returns the schema's own type, invoked, awaited and streamed."""
    answer = json.dumps(JOKE_FIELDS)
    call = {"id": "1", "type": "function", "function": {"name": "Joke", "arguments": answer}}
    if schema is JokeDict:
        call["function"]["name"] = "JokeDict"
    by_tool = method == "function_calling"
    script = Script(None, tool_calls=[call]) if by_tool else Script(answer)
    chain = script.chat().with_structured_output(schema, method=method, strict=strict)
    expected = Joke(**JOKE_FIELDS) if schema is Joke else JOKE_FIELDS
    assert chain.invoke("Joke!") == expected
    assert await chain.ainvoke("Joke!") == expected
    assert list(chain.stream("Joke!"))[-1] == expected
    if by_tool:
        assert script.sent["tool_choice"]["function"]["name"] == call["function"]["name"]
    else:
        assert script.sent["response_format"]["type"] == method.replace("json_mode", "json_object")
    assert "ls_structured_output_format" not in script.sent


class Node(BaseModel):
    """A node of a tree."""

    name: str
    children: list["Node"] = []


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    """A box."""

    value: T


class Color(Enum):
    """A color."""

    RED = "red"


class Leg(BaseModel):
    """A leg."""

    color: Color
    length: int | float | None = None


class Chair(BaseModel):
    """A chair with nested, optional and union fields."""

    legs: list[Leg]
    name: str | None = None
    kind: Leg | Box[str] | None = None


OBJECT = {"type": "object", "properties": {"setup": {"type": "string"}}, "required": ["setup"]}
WITH_DEFS = {
    "title": "Joke",
    "type": "object",
    "properties": {"setup": {"$ref": "#/$defs/S"}},
    "$defs": {"S": {"type": "string"}},
}
SCHEMAS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "openai's json_schema": ({"name": "Joke", "strict": True, "schema": OBJECT}, OBJECT, "Joke"),
    "openai's response_format": (
        {"type": "json_schema", "json_schema": {"name": "Joke", "schema": OBJECT}},
        OBJECT,
        "Joke",
    ),
    "openai's tool": (
        {"type": "function", "function": {"name": "Joke", "parameters": OBJECT}},
        OBJECT,
        "Joke",
    ),
    "anthropic's tool": ({"name": "Joke", "input_schema": OBJECT}, OBJECT, "Joke"),
    "schema with $defs": (WITH_DEFS, WITH_DEFS, "Joke"),
    "schema without a title": (OBJECT, OBJECT, "reply"),
    "generic": (Box[int], Box[int].model_json_schema(), "Box_int_"),
    "nested": (Chair, Chair.model_json_schema(), "Chair"),
    "nested generic": (Box[list[Leg]], Box[list[Leg]].model_json_schema(), "Box_list_Leg__"),
}
DATA: dict[str, dict[str, Any]] = {
    "generic": {"value": 1},
    "nested": {"legs": [{"color": "red", "length": 1.5}], "kind": {"value": "x"}},
    "nested generic": {"value": [{"color": "red", "length": None}]},
}


def answering(method: str, name: str, answer: str, finish: str = "stop") -> Script:
    """Return a model with this answer, by a tool call or as text."""
    if method != "function_calling":
        return Script(answer, finish=finish)
    call = {"id": "1", "type": "function", "function": {"name": name, "arguments": answer}}
    return Script(None, tool_calls=[call], finish=finish)


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
@pytest.mark.parametrize("case", SCHEMAS)
def test_a_schema_is_sent_unchanged(case: str, method: Any) -> None:
    """A schema is sent unchanged under a legal name, and the answer is of its type."""
    schema, sent, name = SCHEMAS[case]
    data = DATA.get(case, {"setup": "Why?"})
    script = answering(method, name, json.dumps(data))
    chain = script.chat().with_structured_output(schema, method=method)
    expected = schema(**data) if isinstance(schema, type) else data
    assert chain.invoke("Joke!") == expected
    assert [*chain.stream("Joke!")][-1] == expected
    if method == "function_calling":
        function = script.sent["tools"][0]["function"]
        assert (function["name"], function["parameters"]) == (name, sent)
    else:
        form = script.sent["response_format"]["json_schema"]
        assert (form["name"], form["schema"]) == (name, sent)


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
@pytest.mark.parametrize("strict", [None, True])
def test_a_recursive_class_keeps_its_definitions(method: Any, strict: bool | None) -> None:
    """A recursive class is sent with its definitions, and strict mode closes every object."""
    data = {"name": "a", "children": [{"name": "b", "children": []}]}
    script = answering(method, "Node", json.dumps(data))
    chain = script.chat().with_structured_output(Node, method=method, strict=strict)
    assert chain.invoke("Tree!") == Node(**data)
    sent = script.sent
    schema = (
        sent["tools"][0]["function"]["parameters"]
        if method == "function_calling"
        else sent["response_format"]["json_schema"]["schema"]
    )
    assert schema["type"] == "object"
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    for place in (schema, schema["$defs"]["Node"]):
        assert place.get("additionalProperties") is (False if strict else None)
        assert place["required"] == (["name", "children"] if strict else ["name"])


MISSING: list[tuple[Script, str, str]] = [
    (Script("No."), "function_calling", "did not call 'Joke'. The model said: 'No.'"),
    (
        answering("function_calling", "Joke", '{"setup": "Wh', "length"),
        "function_calling",
        "not complete JSON. The reply was cut off",
    ),
    (answering("function_calling", "Joke", "null"), "function_calling", "not complete JSON"),
    (Script('{"setup": "Wh', finish="length"), "json_schema", "not valid JSON"),
    (Script("", finish="content_filter"), "json_schema", "A content filter ended"),
    (Script("No."), "json_mode", "not valid JSON"),
]


@pytest.mark.parametrize("schema", [Joke, {"title": "Joke", **OBJECT}], ids=["class", "dict"])
@pytest.mark.parametrize(("script", "method", "says"), MISSING)
async def test_a_missing_answer_is_a_parsing_error(
    script: Script, method: Any, says: str, schema: Any
) -> None:
    """A missing or incomplete answer raises, or is a parsing error with `include_raw`."""
    chat = script.chat()
    answer = chat.with_structured_output(schema, method=method, include_raw=True).invoke("?")
    assert answer["parsed"] is None
    assert says in str(answer["parsing_error"])
    chain = chat.with_structured_output(schema, method=method)
    with pytest.raises(OutputParserException, match=re.escape(says)):
        chain.invoke("?")
    with pytest.raises(OutputParserException):
        await chain.ainvoke("?")
    with pytest.raises(OutputParserException):
        list(chain.stream("?"))
    with pytest.raises(OutputParserException):
        [item async for item in chain.astream("?")]


def test_structured_output_with_the_message() -> None:
    """`include_raw` returns the message with the parsing error."""
    chat = Script("no joke").chat()
    answer = chat.with_structured_output(Joke, method="json_schema", include_raw=True).invoke("?")
    assert answer["raw"].content == "no joke"
    assert answer["parsed"] is None
    assert answer["parsing_error"] is not None
    with pytest.raises(ValueError, match="'telepathy'"):
        chat.with_structured_output(Joke, method="telepathy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="schema"):
        chat.with_structured_output(None)
