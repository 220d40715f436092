"""Agents: LangChain's `create_agent` and loops in LangGraph, with `ChatEmby` and the image tool."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from lc_support import PNG, Script, Turns, calling, data_url
from pydantic import BaseModel

from emby_plugins import Emby, Image, ModelCard, store_models
from langchain_emby import ChatEmby, EmbyImageTool, image_block, image_id, images_of

agents = pytest.importorskip("langchain.agents")
strategies = pytest.importorskip("langchain.agents.structured_output")
graphs = pytest.importorskip("langgraph.graph")
memory = pytest.importorskip("langgraph.checkpoint.memory")
prebuilt = pytest.importorskip("langgraph.prebuilt")
serde = pytest.importorskip("langgraph.checkpoint.serde.jsonplus")

THREAD = {"configurable": {"thread_id": "1"}}
LIMIT = {"recursion_limit": 12}
PAINTER = EmbyImageTool(base_url="mock:")


@tool
def weather(city: str) -> str:
    """Return the weather in a city."""
    return f"It is 21 degrees in {city}"


class Report(BaseModel):
    """A weather report."""

    city: str
    degrees: int


def mock() -> ChatEmby:
    """Return a chat model on the mock."""
    return ChatEmby(model="emby-mock", base_url="mock:")


def user_input(text: str) -> dict[str, Any]:
    """Return an agent's input."""
    return {"messages": [HumanMessage(text)]}


def painted(prompt: str, *images: Image) -> Image:
    """Return the mock's image for a prompt, without LangChain."""
    with Emby(base_url="mock:") as emby:
        return emby.chat(prompt, images=images).image


def loop(brain: Any, *tools: Any, **compiled: Any) -> Any:
    """Build the loop of an agent in LangGraph."""
    bound = brain.bind_tools(tools)
    graph = graphs.StateGraph(graphs.MessagesState)
    graph.add_node("brain", lambda state: {"messages": [bound.invoke(state["messages"])]})
    graph.add_node("tools", prebuilt.ToolNode(tools))
    graph.add_edge(graphs.START, "brain")
    graph.add_conditional_edges("brain", prebuilt.tools_condition)
    graph.add_edge("tools", "brain")
    return graph.compile(**compiled)


def by_create_agent(brain: Any, *tools: Any, **compiled: Any) -> Any:
    """Build LangChain's own agent."""
    return agents.create_agent(brain, tools=list(tools), **compiled)


MAKERS = pytest.mark.parametrize("make", [loop, by_create_agent])


@MAKERS
async def test_a_tool_loop(make: Any) -> None:
    """The mock calls a tool and answers from its result, with invoke, stream and ainvoke."""
    agent = make(mock(), weather)
    for state in (
        agent.invoke(user_input("What is the weather in Paris?"), LIMIT),
        [*agent.stream(user_input("What is the weather in Paris?"), LIMIT, stream_mode="values")][
            -1
        ],
    ):
        kinds = [message.type for message in state["messages"]]
        assert kinds == ["human", "ai", "tool", "ai"]
        assert state["messages"][-1].text == "The tool returned: It is 21 degrees in Paris"
    agent = by_create_agent(mock(), weather)
    state = await agent.ainvoke(user_input("What is the weather in Paris?"), LIMIT)
    assert state["messages"][-1].text == "The tool returned: It is 21 degrees in Paris"


@MAKERS
def test_the_mock_generates_and_describes_an_image(make: Any) -> None:
    """An agent on the mock generates an image with the tool and describes it."""
    state = make(mock(), PAINTER).invoke(user_input("Generate an image of a red fox"), LIMIT)
    call, result, answer = state["messages"][1:]
    drawn = painted(f"Generate an image: {call.tool_calls[0]['args']['prompt']}")
    assert images_of(result) == [drawn]
    assert [record["sha256"] for record in result.artifact] == [drawn.sha256]
    assert image_id(drawn) in answer.text
    assert "The image is a PNG of 256x256 pixels" in answer.text


def the_image(body: dict[str, Any]) -> Image:
    """Return the last image of a request."""
    content = body["messages"][-1]["content"]
    return Image.from_data_url(content[-1]["image_url"]["url"])


def draw(_: dict[str, Any]) -> Script:
    """Call the image tool for a fox."""
    return calling("generate_image", prompt="a red fox in the snow")


def look_and_edit(body: dict[str, Any]) -> Script:
    """Describe the image, and call the tool to edit it by the id in the result."""
    seen = mock().invoke([HumanMessage(["What is shown?", image_block(the_image(body))])])
    named = re.search(r"image_[0-9a-f]{8}", body["messages"][-2]["content"])
    assert named is not None
    script = calling("generate_image", prompt="make it grayscale", images=[named[0]])
    script._message["content"] = seen.text
    return script


def finish(body: dict[str, Any]) -> Script:
    """Finish without a tool call."""
    return Script(f"Done, it is {the_image(body).media_type}.")


@MAKERS
def test_an_agent_generates_describes_and_edits_in_one_run(make: Any) -> None:
    """An agent gets the tool's exact image, and edits it by its id in the same run."""
    brain = Turns(draw, look_and_edit, finish)
    state = make(brain.chat(), PAINTER).invoke(user_input("A grey fox, please."), LIMIT)
    drawn = painted("Generate an image: a red fox in the snow")
    edited = painted("Edit this image: make it grayscale", drawn)
    first, look, second, answer = state["messages"][2:]
    assert (images_of(first), images_of(second)) == ([drawn], [edited])
    assert first.artifact[0]["id"] == image_id(drawn)
    assert [the_image(body).data for body in brain.bodies[1:]] == [drawn.data, edited.data]
    assert look.text.startswith("The image is a PNG of 256x256 pixels")
    assert edited.to_pil().convert("RGB").getcolors(1) is None
    assert all(r == g == b for _, (r, g, b) in edited.to_pil().convert("RGB").getcolors(65536))
    assert answer.text == "Done, it is image/png."


@MAKERS
@pytest.mark.parametrize(("limit", "paid"), [(2, 2), (None, 6)])
def test_the_limit_stops_a_looping_agent(make: Any, limit: int | None, paid: int) -> None:
    """The limit of calls is reported to the model, and applies to each question separately."""
    painter = Script("", (PNG,))
    image_tool = EmbyImageTool(base_url="script:", plugins=[painter], max_calls=limit)
    brain = Turns(*[draw] * 6, lambda _: Script("Done."), draw, lambda _: Script("Done."))
    agent = make(brain.chat(), image_tool, checkpointer=memory.InMemorySaver())
    config = {**THREAD, "recursion_limit": 30}
    state = agent.invoke(user_input("Draw."), config)
    results = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert [result.status for result in results] == ["success"] * paid + ["error"] * (6 - paid)
    assert len(painter.requests) == paid
    if limit:
        assert "The limit of 2 calls of generate_image is reached." in results[-1].text
    agent.invoke(user_input("Another."), config)
    assert len(painter.requests) == paid + 1


def test_parallel_calls_share_the_limit() -> None:
    """Of three parallel calls only the two within the limit are made."""
    calls = [
        {"id": str(n), "type": "function", "function": {"name": "generate_image", "arguments": a}}
        for n, a in enumerate(['{"prompt": "a"}', '{"prompt": "b"}', '{"prompt": "c"}'])
    ]
    painter = Script("", (PNG,))
    image_tool = EmbyImageTool(base_url="script:", plugins=[painter], max_calls=2)
    brain = Turns(lambda _: Script(None, tool_calls=calls), lambda _: Script("Done."))
    state = by_create_agent(brain.chat(), image_tool).invoke(user_input("Draw three."), LIMIT)
    results = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert [result.status for result in results] == ["success", "success", "error"]
    assert len(painter.requests) == 2


@pytest.mark.parametrize("is_async", [False, True])
async def test_parallel_calls_share_the_budget(is_async: bool) -> None:
    """Parallel calls are made until the budget is spent, which applies to each question
    separately.
    """
    calls = [
        {"id": str(n), "type": "function", "function": {"name": "generate_image", "arguments": a}}
        for n, a in enumerate(['{"prompt": "a"}', '{"prompt": "b"}', '{"prompt": "c"}'])
    ]
    painter = Script("", (PNG,))
    image_tool = EmbyImageTool(base_url="script:", plugins=[painter], max_cost=0.5)
    turns = [lambda _: Script(None, tool_calls=calls), draw, lambda _: Script("Done.")] * 2
    agent = by_create_agent(Turns(*turns).chat(), image_tool, checkpointer=memory.InMemorySaver())
    config = {**THREAD, **LIMIT}
    for paid in (2, 4):
        question = user_input("Draw three.")
        state = (
            await agent.ainvoke(question, config) if is_async else agent.invoke(question, config)
        )
        results = [message for message in state["messages"] if isinstance(message, ToolMessage)]
        assert sorted(result.status for result in results[-4:]) == ["error"] * 2 + ["success"] * 2
        assert len(painter.requests) == paid
    assert "The budget of $0.5 for generate_image is spent ($0.5 so far)." in results[-1].text


def test_a_budget_counts_estimates_and_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget counts estimated costs and calls without an image."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}
    painter = Script("No.", usage=usage)
    image_tool = EmbyImageTool(base_url="script:", plugins=[painter], max_cost=0.001)
    call = {**tool_call(prompt="a").tool_calls[0], "type": "tool_call"}
    call["args"]["messages"] = [HumanMessage("Draw.")]
    prices = {"prompt": "1e-5", "completion": "0"}
    store_models([ModelCard("qwen2.5-vision", pricing=prices)], "script:")
    assert image_tool.invoke(call).status == "error"
    assert "is spent (an estimated $0.001 so far)" in image_tool.invoke(call).text
    assert len(painter.requests) == 1


def test_the_name_of_an_agent_can_be_sent() -> None:
    """OpenAI refuses spaces in the names of messages, which agents write into their replies."""
    turns = Turns(draw, lambda _: Script("Done."))
    agent = agents.create_agent(turns.chat(), [PAINTER], name="Ann <the painter>")
    named = agent.invoke({"messages": [HumanMessage("Draw.")]})["messages"][1]
    assert named.name == "Ann <the painter>"
    assert turns.bodies[1]["messages"][1]["name"] == "Ann_the_painter_"


def test_a_reply_from_the_cache_costs_nothing() -> None:
    """LangChain's cache repeats the cost that was paid once."""
    painter = Script("", (PNG,))
    image_tool = EmbyImageTool(chat=painter.chat(cache=InMemoryCache()), max_cost=0.3)
    call = {**tool_call(prompt="a").tool_calls[0], "type": "tool_call"}
    call["args"]["messages"] = [HumanMessage("Draw.")]
    assert [image_tool.invoke(call).status for _ in range(3)] == ["success"] * 3
    assert len(painter.requests) == 1


def test_a_budget_without_costs_warns() -> None:
    """A call of unknown cost within a budget causes a warning."""
    painter = Script("", (PNG,), usage={"prompt_tokens": 1, "total_tokens": 1})
    image_tool = EmbyImageTool(base_url="script:", plugins=[painter], max_cost=0.001)
    with pytest.warns(UserWarning, match="llm emby refresh"):
        image_tool.invoke({"prompt": "a", "messages": [HumanMessage("Draw.")]})


class Foreign(GenericFakeChatModel):
    """Another provider's model that supports tools."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def foreign(*messages: AIMessage) -> Foreign:
    """Return a model that gives these messages."""
    return Foreign(messages=iter(messages))


def tool_call(**args: Any) -> AIMessage:
    """Return a message that calls the image tool."""
    return AIMessage("", tool_calls=[{"id": "c", "name": "generate_image", "args": args}])


@MAKERS
def test_another_model_generates_and_edits(make: Any) -> None:
    """Any chat model can generate images with the tool, and edit those in the graph's messages."""
    drawn = painted("Generate an image: a red fox")
    brain = foreign(
        tool_call(prompt="a red fox"),
        tool_call(prompt="make it grayscale", images=[image_id(drawn)]),
        AIMessage("There."),
    )
    state = make(brain, PAINTER).invoke(user_input("A grey fox, please."), LIMIT)
    results = [m for m in state["messages"] if isinstance(m, ToolMessage)]
    assert [images_of(result) for result in results] == [
        [drawn],
        [painted("Edit this image: make it grayscale", drawn)],
    ]


@MAKERS
def test_a_user_s_photograph_is_edited(make: Any) -> None:
    """The id `latest` refers to the image that the user sent."""
    photo = Image.from_bytes(PNG)
    brain = foreign(tool_call(prompt="make it grayscale", images=["latest"]), AIMessage("There."))
    message = HumanMessage(["In grey, please.", image_block(photo)])
    state = make(brain, PAINTER).invoke({"messages": [message]}, LIMIT)
    edited = painted("Edit this image: make it grayscale", photo)
    assert images_of(state["messages"][2]) == [edited]


def sqlite_saver() -> Any:
    """Return a checkpointer in an SQLite database in memory."""
    import sqlite3

    savers = pytest.importorskip("langgraph.checkpoint.sqlite")
    return savers.SqliteSaver(sqlite3.connect(":memory:", check_same_thread=False))


def strict_saver() -> Any:
    """Return a checkpointer that restores no types but LangGraph's own."""
    return memory.InMemorySaver(serde=serde.JsonPlusSerializer(allowed_msgpack_modules=None))


@MAKERS
@pytest.mark.parametrize("saver", [memory.InMemorySaver, strict_saver, sqlite_saver])
@pytest.mark.parametrize("show", [True, False])
def test_images_survive_checkpoints(
    make: Any, saver: Any, show: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """An image restored from a checkpoint is exact, and can be edited in the next turn."""
    painter = EmbyImageTool(base_url="mock:", show_images=show)
    drawn = painted("Generate an image: a red fox")
    brain = foreign(
        tool_call(prompt="a red fox"),
        AIMessage("There."),
        tool_call(prompt="make it grayscale", images=[image_id(drawn)]),
        AIMessage("There."),
    )
    agent = make(brain, painter, checkpointer=saver())
    with caplog.at_level(logging.WARNING):
        agent.invoke(user_input("A fox"), THREAD | LIMIT)
        kept = agent.get_state(THREAD).values["messages"][2]
        state = agent.invoke(user_input("In grey"), THREAD | LIMIT)
    assert images_of(kept) == [drawn]
    assert images_of(kept)[0].provenance == images_of(state["messages"][2])[0].provenance
    assert images_of(kept)[0].provenance.model == "qwen2.5-vision"
    edited = painted("Edit this image: make it grayscale", drawn)
    assert images_of(state["messages"][6]) == [edited]
    assert not [r for r in caplog.records if "serde" in r.name]
    close = getattr(getattr(agent.checkpointer, "conn", None), "close", None)
    if close:
        close()


def test_the_image_model_s_text_is_not_streamed() -> None:
    """Streaming messages of a run does not include the image model's own text."""
    brain = Turns(draw, lambda _: Script("There."))
    agent = by_create_agent(brain.chat(), PAINTER)
    stream = agent.stream(user_input("A fox"), LIMIT, stream_mode="messages")
    answer = "".join(message.text for message, _ in stream if message.type != "tool")
    assert answer == "There."


STRATEGIES = [Report, strategies.ToolStrategy(Report), strategies.ProviderStrategy(Report)]


@pytest.mark.parametrize("tools", [[], [weather]], ids=["alone", "with a tool"])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=["class", "tool", "provider"])
async def test_structured_output_of_agents(strategy: Any, tools: list[Any]) -> None:
    """Every strategy returns an instance of the class, with or without other tools."""
    agent = agents.create_agent(mock(), tools=tools, response_format=strategy)
    for state in (
        agent.invoke(user_input("What is the weather in Paris?"), LIMIT),
        await agent.ainvoke(user_input("What is the weather in Paris?"), LIMIT),
    ):
        assert isinstance(state["structured_response"], Report)
        called = [call["name"] for m in state["messages"] for call in getattr(m, "tool_calls", [])]
        assert ("weather" in called) is bool(tools)


def test_without_a_strategy_the_answer_is_text() -> None:
    """Without a response format the answer is text, and the request does not ask for JSON."""
    script = Script("Fine.")
    state = agents.create_agent(script.chat(), tools=[weather]).invoke(user_input("Hi"), LIMIT)
    assert state["messages"][-1].text == "Fine."
    assert script.sent.keys() == {"model", "messages", "tools"}
    assert "structured_response" not in state


def test_images_of_tools_are_sent_in_a_user_message() -> None:
    """A tool's image is sent in an added user message, the only place that the gateway accepts."""
    brain = Turns(draw, lambda _: Script("There."))
    by_create_agent(
        brain.chat(), EmbyImageTool(base_url="script:", plugins=[Script("", (PNG,))])
    ).invoke(user_input("A fox"), LIMIT)
    *_, result, shown = brain.bodies[1]["messages"]
    assert (result["role"], result["tool_call_id"]) == ("tool", "call_1")
    assert result["content"] == f"{image_id(Image.from_bytes(PNG))}: image/png, 8 x 6 pixels"
    assert shown["role"] == "user"
    assert shown["content"] == [{"type": "image_url", "image_url": {"url": data_url(PNG)}}]
