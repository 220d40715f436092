"""Images by reference: blocks that name files of one folder, and no others."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from lc_support import JPEG, PNG, Script, b64, merged

from emby_plugins import EmbyError, Image, InvalidImageError, RequestError
from langchain_emby import (
    EmbyImageTool,
    ImagesOutputParser,
    block_image,
    image_block,
    image_id,
    images_of,
    inline_images,
    show,
)

WAYS = pytest.mark.parametrize("way", ["invoke", "stream"])
VERSIONS = pytest.mark.parametrize("version", ["v0", "v1"])


@WAYS
@VERSIONS
def test_messages_reference_files(way: str, version: str, tmp_path: Path) -> None:
    """Replies with `image_dir` reference files with the exact bytes, which all readers find."""
    script = Script("Two", (PNG, JPEG))
    chat = script.chat(image_dir=tmp_path, output_version=version)
    message = chat.invoke("Hi") if way == "invoke" else merged(chat.stream("Hi"))
    assert [block.get("file_id") for block in message.content if isinstance(block, dict)][-2:] == [
        path.name
        for digest in (Image.from_bytes(data).sha256 for data in (PNG, JPEG))
        for path in tmp_path.glob(f"emby-{digest[:16]}.*")
    ]
    assert b64(PNG) not in json.dumps(message.content)
    assert [image.data for image in images_of(message)] == [PNG, JPEG]
    assert [i.data for i in (chat | ImagesOutputParser()).invoke("Hi")] == [PNG, JPEG]
    show(message)
    chat.invoke([message, HumanMessage("Now with a hat")])
    sent = json.dumps(script.sent)
    assert b64(PNG) in sent
    assert b64(JPEG) in sent


def test_inline_images_restores_base64(tmp_path: Path) -> None:
    """`inline_images` restores the base64 in content and artifacts, and changes no given
    message.
    """
    block = image_block(Image.from_bytes(PNG), image_dir=tmp_path)
    kept = [
        HumanMessage(["Look", block]),
        ToolMessage([block], tool_call_id="1", artifact=[block]),
        AIMessage("Text"),
    ]
    sent = inline_images(kept, image_dir=tmp_path)
    assert sent[0].content[1] == {"type": "image", "mime_type": "image/png", "base64": b64(PNG)}
    assert sent[1].content == sent[1].artifact == [sent[0].content[1]]
    assert sent[2] is kept[2]
    assert "base64" not in kept[0].content[1]


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "/etc/passwd", "emby-0123456789abcdef.png", "secret.png", "file-abc", 7],
)
def test_references_reach_nothing_else(name: Any, tmp_path: Path) -> None:
    """A reference to a file outside of the folder, or a foreign file in it, is refused."""
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "secret.png").write_bytes(PNG)
    (folder / "emby-0123456789abcdef.png").symlink_to(tmp_path / "secret.png")
    block = {"type": "image", "file_id": name}
    script = Script("Hi")
    for image_dir in (folder, None):
        with pytest.raises(EmbyError):
            script.chat(image_dir=image_dir).invoke([HumanMessage([block])])
    with pytest.raises(EmbyError):
        block_image(block, image_dir=folder)
    assert script.requests == []


def test_another_chat_s_folder_is_not_read(tmp_path: Path) -> None:
    """A reference is looked up only in the folder of the model that gets it."""
    block = image_block(Image.from_bytes(PNG), image_dir=tmp_path / "a")
    Script().chat(image_dir=tmp_path / "a")
    with pytest.raises(InvalidImageError, match="is not in"):
        Script().chat(image_dir=tmp_path / "b").invoke([HumanMessage([block])])
    with pytest.raises(RequestError, match="image folder"):
        Script().chat().invoke([HumanMessage([block])])


def test_with_an_unwritable_folder_images_stay_in_the_message(tmp_path: Path) -> None:
    """An image that can't be saved as a file stays in the message."""
    (tmp_path / "file").write_text("no folder")
    message = Script("Here", (PNG,)).chat(image_dir=tmp_path / "file").invoke("Hi")
    assert [image.data for image in images_of(message)] == [PNG]


def test_checkpoints_stay_small(tmp_path: Path) -> None:
    """The checkpoint database of ten turns does not grow by their images."""
    graph = pytest.importorskip("langgraph.graph")
    savers = pytest.importorskip("langgraph.checkpoint.sqlite")
    noise = [PNG + bytes([turn]) * 300_000 for turn in range(10)]
    scripts = iter([Script("Here", (data,)) for data in noise])

    def answer(state: Any) -> Any:
        return {"messages": [next(scripts).chat(image_dir=tmp_path).invoke(state["messages"])]}

    flow = graph.StateGraph(graph.MessagesState).add_node("answer", answer)
    flow.add_edge(graph.START, "answer")
    database = tmp_path / "state.db"
    connection = sqlite3.connect(database, check_same_thread=False)
    agent = flow.compile(checkpointer=savers.SqliteSaver(connection))
    thread = {"configurable": {"thread_id": "1"}}
    for turn in range(10):
        agent.invoke({"messages": [HumanMessage(f"Image {turn}")]}, thread)
    kept = agent.get_state(thread).values["messages"]
    connection.close()
    assert [image.data for message in kept[1::2] for image in images_of(message)] == noise
    assert database.stat().st_size < 1_000_000


def test_images_are_found_after_their_messages_are_gone(tmp_path: Path) -> None:
    """The tool edits an image of the folder by its id without any message."""
    script = Script("", (PNG,))
    tool = EmbyImageTool(chat=script.chat(image_dir=tmp_path))
    call = {"type": "tool_call", "id": "1", "name": tool.name, "args": {"prompt": "a fox"}}
    drawn = tool.invoke(call)
    assert drawn.artifact[0]["id"] == image_id(Image.from_bytes(PNG))
    assert "base64" not in json.dumps(drawn.model_dump(mode="json"))
    args = {"prompt": "in grey", "images": [drawn.artifact[0]["id"]], "messages": []}
    tool.invoke({**call, "args": args})
    assert b64(PNG) in json.dumps(script.sent)
    for name in ("image_00000000", "image_*", "../x"):
        failed = tool.invoke({**call, "args": {**args, "images": [name]}})
        assert failed.status == "error"
