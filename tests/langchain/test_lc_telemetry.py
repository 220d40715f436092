"""Telemetry in LangChain: the calls of an agent and its tool are children of its span."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from telemetry_help import Telemetry

from emby_plugins import ModelCard, hookimpl
from langchain_emby import ChatEmby, EmbyImageTool

agents = pytest.importorskip("langchain.agents")
QUESTION = {"messages": [HumanMessage("Generate an image of a red fox")]}


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
async def test_an_agents_calls_are_children_of_its_span(way: str) -> None:
    """An agent's calls are children of its span, also in langgraph's threads and tasks."""
    telemetry = Telemetry()
    on = {"base_url": "mock:", "plugins": [telemetry.plugin]}
    model, painter = ChatEmby(model="emby-mock", **on), EmbyImageTool(model="emby-mock", **on)
    agent = agents.create_agent(model, tools=[painter])
    with telemetry.tracer.start_as_current_span("agent") as run:
        if way == "invoke":
            agent.invoke(QUESTION)
        elif way == "ainvoke":
            await agent.ainvoke(QUESTION)
        elif way == "stream":
            assert list(agent.stream(QUESTION, stream_mode="messages"))
        else:
            assert [part async for part in agent.astream(QUESTION, stream_mode="messages")]
    *spans, _ = telemetry.spans
    parents = {span.parent.span_id for span in spans if span.parent}
    assert parents == {run.get_span_context().span_id}
    assert {span.name for span in spans} == {"chat emby-mock"}
    drawn = [span for span in spans if "emby.response.images.count" in (span.attributes or {})]
    assert len(spans) == 3
    assert len(drawn) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_an_estimated_cost_is_marked(stream: bool) -> None:
    """A message's metadata marks an estimated cost, and has no cost without known prices."""

    class Priced:
        @hookimpl
        def emby_models(self) -> list[ModelCard]:
            return [ModelCard("emby-mock", pricing={"prompt": "1e-6", "completion": "1e-6"})]

    def metadata(**on: Any) -> dict[str, Any]:
        model = ChatEmby(model="emby-mock", base_url="mock:", streaming=stream, **on)
        return dict(model.invoke("Hello").response_metadata)

    reported = metadata(plugins=[Priced()])
    assert reported["cost"] == pytest.approx(10e-6)
    assert reported["cost_is_estimate"] is True
    assert not metadata().keys() & {"cost", "cost_is_estimate"}
