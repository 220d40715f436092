"""An agent's image across a summary, a checkpoint, a new process and JSON."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AnyMessage, ToolMessage, message_to_dict, messages_from_dict
from pydantic import TypeAdapter

from emby_plugins import Image
from langchain_emby import EmbyImageTool, images_of, inline_images

fastapi = pytest.importorskip("fastapi")
TestClient = pytest.importorskip("fastapi.testclient").TestClient
pytest.importorskip("langchain.agents")
pytest.importorskip("langgraph.checkpoint.sqlite")

# Run here, and again in a new process: the agent's last messages as JSON.
_AGENT = """
import json, sqlite3, sys
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, message_to_dict
from langgraph.checkpoint.sqlite import SqliteSaver
from langchain_emby import EmbyImageTool

class Brain(GenericFakeChatModel):
    def bind_tools(self, tools, **kwargs):
        return self

def call(number, **args):
    calls = [{"name": "generate_image", "args": args, "id": f"call_{number}", "type": "tool_call"}]
    return AIMessage("", tool_calls=calls)

def run(folder, turns):
    tool = EmbyImageTool(base_url="mock:", image_dir=f"{folder}/images")
    replies = [m for n, (_, args) in enumerate(turns)
               for m in (call(n, **args), AIMessage("Done."))]
    summarize = SummarizationMiddleware(
        GenericFakeChatModel(messages=iter([AIMessage("Images were made.")] * 9)),
        trigger=("messages", 5), keep=("messages", 1),
    )
    connection = sqlite3.connect(f"{folder}/state.db", check_same_thread=False)
    agent = create_agent(
        Brain(messages=iter(replies)), [tool], middleware=[summarize],
        checkpointer=SqliteSaver(connection),
    )
    thread = {"configurable": {"thread_id": "1"}}
    for text, _ in turns:
        state = agent.invoke({"messages": [HumanMessage(text)]}, thread)
    connection.close()
    return state["messages"]
"""


@pytest.mark.slow
def test_an_image_can_be_edited_across_processes(tmp_path: Path) -> None:
    """An image can be edited after a summary, SQLite, another process and a web service."""
    here: dict[str, Any] = {}
    exec(_AGENT, here)
    first = here["run"](tmp_path, [("A fox", {"prompt": "a red fox"})])
    drawn = next(m for m in first if isinstance(m, ToolMessage)).artifact[0]
    edit = {"prompt": "make it grayscale", "images": [drawn["id"]]}
    last = here["run"](tmp_path, [("In gray", edit)])
    assert not any(drawn["id"] in m.text for m in last[:1])
    code = f"{_AGENT}\nmade = run({str(tmp_path)!r}, [('Again', {edit!r})])"
    code += "\nprint(json.dumps([message_to_dict(message) for message in made]))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    there = messages_from_dict(json.loads(out.stdout))
    assert not any(drawn["file_id"] in json.dumps(m.content) for m in there)
    (edited,) = images_of(
        [m for m in there if isinstance(m, ToolMessage)][-1], image_dir=tmp_path / "images"
    )
    assert edited.media_type == "image/png"
    colors = edited.to_pil().convert("RGB").getcolors(1 << 16)
    assert all(red == green == blue for _, (red, green, blue) in colors)
    served = [m.model_dump_json() for m in inline_images(there, image_dir=tmp_path / "images")]
    assert edited.base64 in "".join(served)
    with TestClient(service(there, tmp_path / "images")) as client:
        state = client.get("/state").json()
        assert messages_from_dict(state["messages"]) == there
        typed = TypeAdapter(list[AnyMessage]).validate_python(client.get("/typed").json())
        assert images_of(typed[-2], image_dir=tmp_path / "images") == [edited]
        order = {**state, "prompt": "invert the colors", "images": [drawn["id"]]}
        answer = messages_from_dict([client.post("/edit", json=order).json()])[0]
    (inverted,) = images_of(answer, image_dir=tmp_path / "images")
    original = Image.from_path(tmp_path / "images" / drawn["file_id"]).to_pil().convert("RGB")
    assert inverted.to_pil().convert("RGB").size == original.size
    assert inverted.data not in (
        edited.data,
        Path(tmp_path, "images", drawn["file_id"]).read_bytes(),
    )


def service(messages: list[Any], folder: Path) -> Any:
    """Return a web service with an agent's state that edits images of the state it receives."""
    app = fastapi.FastAPI()
    image_tool = EmbyImageTool(base_url="mock:", image_dir=str(folder))

    @app.get("/state")
    def state() -> dict[str, Any]:
        return {"messages": [message_to_dict(message) for message in messages]}

    @app.get("/typed")
    def typed() -> list[AnyMessage]:
        return messages

    @app.post("/edit")
    async def edit(order: dict[str, Any] = fastapi.Body()) -> dict[str, Any]:  # noqa: B008
        args = {**order, "messages": messages_from_dict(order["messages"])}
        call = {"type": "tool_call", "id": "1", "name": image_tool.name, "args": args}
        return message_to_dict(await image_tool.ainvoke(call))

    return app
