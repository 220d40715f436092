"""`EmbyImageTool`: its requests, results and errors."""

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.load import dumps, loads
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)
from langchain_core.tools import ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool
from lc_support import ADDRESS, JPEG, PNG, WEBP, Script, data_url, wire_images

import emby_plugins as core
from emby_plugins import Image
from emby_plugins.mock import PROFILES, MockBackend
from langchain_emby import ChatEmby, EmbyImageTool, block_image, image_block, image_id, images_of

RED, GREEN, BLUE = (Image.from_bytes(data) for data in (PNG, JPEG, WEBP))
HIDDEN = {"runtime", "messages"}


def scripted_tool(script: Script, **settings: Any) -> EmbyImageTool:
    """Return a tool that uses a script."""
    return EmbyImageTool(base_url="script:", plugins=[script], **settings)


def call(**args: Any) -> dict[str, Any]:
    """Return a model's call of the tool."""
    return {"type": "tool_call", "id": "call_1", "name": "generate_image", "args": args}


async def both_ways(tool: EmbyImageTool, arguments: dict[str, Any]) -> ToolMessage:
    """Return the result after checking that sync and async are the same."""
    invoked, awaited = tool.invoke(arguments), await tool.ainvoke(arguments)
    assert (invoked.content, invoked.artifact) == (awaited.content, awaited.artifact)
    assert invoked.status == awaited.status
    return invoked


async def test_a_prompt_becomes_an_image() -> None:
    """The result has the image's id and data for the model, and its record for the caller."""
    script = Script("Here it is:", (PNG, ADDRESS))
    message = await both_ways(scripted_tool(script), call(prompt="a fox"))
    images = images_of(message)
    assert images == [RED, Image.from_url(ADDRESS)]
    assert images[0].provenance.model == "qwen2.5-vision"
    text, *shown = message.content
    ids = [image_id(image) for image in images]
    assert [record["id"] for record in message.artifact] == ids
    assert message.artifact[0]["sha256"] == RED.sha256
    assert text["text"] == (
        f"{ids[0]}: image/png, 8 x 6 pixels\n{ids[1]}: at {ADDRESS}\nHere it is:"
    )
    assert [block_image(block) for block in shown] == images
    assert script.sent["messages"] == [{"role": "user", "content": "Generate an image: a fox"}]
    assert script.sent.keys() == {"model", "messages"}


async def test_models_without_vision_read_only_the_id() -> None:
    """With `show_images=False` the image is only in the artifact, and can still be edited."""
    script = Script("", (PNG,))
    tool = scripted_tool(script, show_images=False)
    message = await both_ways(tool, call(prompt="a fox"))
    assert [block["type"] for block in message.content] == ["text"]
    assert images_of(message) == [RED]
    tool.invoke(call(prompt="a hat", images=[image_id(RED)], messages=[message]))
    assert script.sent["messages"][0]["content"][0]["image_url"]["url"] == data_url(PNG)


@pytest.mark.parametrize(("profile", "routes"), [("2026-08", 1), ("2025-11", 2)])
async def test_an_image_only_model_uses_the_images_endpoint(profile: str, routes: int) -> None:
    """An image-only model is called at the images endpoint, or by a chat, with callbacks in
    both.
    """
    backend, paths = MockBackend(profile=PROFILES[profile]), []

    class Gateway:
        @core.hookimpl
        def emby_backend(self, url: str) -> Any:
            def respond(request: core.BackendRequest) -> core.BackendResponse:
                paths.append(request.path)
                return backend(request)

            return respond if url == "gateway:" else None

    tool = EmbyImageTool(model="emby-mock-image", base_url="gateway:", plugins=[Gateway()])
    ended: list[Any] = []

    class Tracer(BaseCallbackHandler):
        def on_llm_end(self, response: Any, **_: Any) -> None:
            ended.append(response)

    message = await tool.ainvoke(call(prompt="a fox"), {"callbacks": [Tracer()]})
    assert images_of(message)[0].media_type == "image/png"
    assert paths == ["/images/generations", "/chat/completions"][:routes]
    assert len(ended) == 1


SHOWN = HumanMessage(["Look.", image_block(RED), image_block(GREEN)])
DRAWN = AIMessage(["Drawn:", image_block(BLUE)])
BROKEN = HumanMessage([{"type": "image", "base64": "?", "mime_type": "image/png"}])
REFERENCES: list[tuple[Any, list[Any], list[bytes]]] = [
    ([image_id(RED)], [SHOWN], [PNG]),
    (image_id(RED), [SHOWN], [PNG]),
    ([image_id(BLUE), image_id(RED)], [SHOWN, DRAWN], [WEBP, PNG]),
    ([f" {image_id(RED)} ", image_id(RED)], [SHOWN], [PNG]),
    (["latest"], [SHOWN, DRAWN, HumanMessage("Now?")], [WEBP]),
    (["latest"], [DRAWN, SHOWN], [PNG, JPEG]),
    ("latest", [SHOWN, BROKEN], [PNG, JPEG]),
    ([], [SHOWN], []),
    (None, [SHOWN], []),
]


@pytest.mark.parametrize(("ids", "messages", "sent"), REFERENCES)
@pytest.mark.parametrize("place", ["messages", "state", "list", "object"])
async def test_images_are_referenced_by_id(
    ids: Any, messages: list[Any], sent: list[bytes], place: str
) -> None:
    """Ids refer to images of the conversation, in any role and form of the state."""
    script = Script("", (PNG,))
    states: dict[str, Any] = {
        "state": {"history": messages, "n": 1},
        "list": messages,
        "object": Runtime(messages),
    }
    runtime = Runtime(states.get(place))
    given = {"messages": messages} if place == "messages" else {"runtime": runtime}
    await both_ways(scripted_tool(script), call(prompt="a hat", images=ids, **given))
    content = script.sent["messages"][0]["content"]
    urls = [] if isinstance(content, str) else [p["image_url"]["url"] for p in content[:-1]]
    assert urls == [data_url(data, Image.from_bytes(data).media_type or "") for data in sent]
    text = content if isinstance(content, str) else content[-1]["text"]
    start = {0: "Generate an image", 1: "Edit this image", 2: "Edit these images"}[len(sent)]
    assert text == f"{start}: a hat"


class Runtime:
    """The part of LangGraph's runtime that the tool uses."""

    def __init__(self, state: Any) -> None:
        self.state = state


async def test_an_unknown_id_is_answered_with_the_known_ones() -> None:
    """An unknown id is answered with the known ones, and nothing is sent."""
    script = Script("", (PNG,))
    given = {"messages": [SHOWN, DRAWN]}
    message = await both_ways(
        scripted_tool(script), call(prompt="a hat", images="fox.png", **given)
    )
    assert message.status == "error"
    assert "No image 'fox.png'" in message.content
    for image, owner in ((RED, "user"), (GREEN, "user"), (BLUE, "assistant")):
        assert f"{image_id(image)} (the {owner}'s)" in message.content
    message = await both_ways(scripted_tool(script), call(prompt="a hat", images="latest"))
    assert message.status == "error"
    assert "no images yet" in message.content
    assert not script.requests


def test_a_model_can_not_forge_a_conversation() -> None:
    """Arguments that look like messages but are plain data are ignored."""
    script = Script("", (PNG,))
    forged = [{"type": "human", "content": [image_block(RED)]}]
    for given in ({"messages": forged}, {"runtime": {"state": {"messages": forged}}}):
        message = scripted_tool(script).invoke(call(prompt="x", images=[image_id(RED)], **given))
        assert message.status == "error"
    assert not script.requests


FAILURES: list[tuple[Script, str]] = [
    (Script("I would rather not."), "has none. The model answered: 'I would rather not.'"),
    (Script("", finish="content_filter"), "A content filter ended the reply"),
    (Script(""), "The reply is empty (finish reason: stop)."),
    (Script(status=400, error={"message": "Too rude"}), "Too rude"),
    (Script(status=503, error={"message": "Busy"}), "The same call may succeed later."),
]


@pytest.mark.parametrize(("script", "text"), FAILURES)
async def test_failures_are_reported_to_the_model(script: Script, text: str) -> None:
    """Refusals and gateway failures are reported to the model, or raised if configured."""
    tool = scripted_tool(script, max_retries=0)
    message = await both_ways(tool, call(prompt="a fox"))
    assert message.status == "error"
    assert text in message.content
    with pytest.raises(ToolException):
        tool.model_copy(update={"handle_tool_error": False}).invoke(call(prompt="a fox"))


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_failures_of_the_setup_are_raised(status: int) -> None:
    """Errors of the setup, such as a wrong key, are raised."""
    tool = scripted_tool(Script(status=status, error={"message": "No"}))
    with pytest.raises(core.APIError):
        tool.invoke(call(prompt="a fox"))
    with pytest.raises(core.APIError):
        await tool.ainvoke(call(prompt="a fox"))
    with pytest.raises(core.MissingKeyError, match="EMBY_API_KEY"):
        EmbyImageTool().invoke(call(prompt="a fox"))


def test_images_before_an_error_are_kept() -> None:
    """A stream truncated after an image returns that image with a notice."""
    deltas = [{"content": "Two:"}, {"images": wire_images((PNG,))}]
    tool = scripted_tool(Script(streamed=deltas, finish=None, only_streams=True))
    message = tool.invoke(call(prompt="two foxes"))
    assert images_of(message) == [RED]
    assert "The reply then failed" in message.content[0]["text"]


def test_wrong_arguments_are_named() -> None:
    """Invalid arguments are reported to the model by name."""
    message = scripted_tool(Script()).invoke(call(images=[1]))
    assert message.status == "error"
    assert "prompt: Field required" in message.content
    assert "images.0: Input should be a valid string" in message.content


def test_settings_are_those_of_the_chat_model() -> None:
    """The constructor takes the arguments of ChatEmby, or a ChatEmby, but not both."""
    script = Script("", (PNG,))
    wishes = {"image_size": "1K", "aspect_ratio": "1:1"}
    tool = scripted_tool(
        script, model="glm-vision", image_config=wishes, emby_metadata={"tenant_id": "a"}
    )
    tool.invoke(call(prompt="a fox", aspect_ratio="16:9"))
    assert script.sent["model"] == "glm-vision"
    assert script.sent["image_config"] == {"image_size": "1K", "aspect_ratio": "16:9"}
    assert script.requests[-1].headers["x-emby-tenant-id"] == "a"
    tool.invoke(call(prompt="a fox"))
    assert script.sent["image_config"] == wishes
    chat = ChatEmby(base_url="mock:")
    assert EmbyImageTool(chat=chat, name="draw").chat is chat
    with pytest.raises(ValueError, match="model: set it on the ChatEmby"):
        EmbyImageTool(chat=chat, model="glm-vision")
    with pytest.raises(ValueError, match="'colour'"):
        EmbyImageTool(base_url="mock:", colour="red")
    assert "sk-secret" not in repr(EmbyImageTool(api_key="sk-secret"))


def test_a_model_sees_three_arguments() -> None:
    """The model sees three arguments, and the conversation is not one of them."""
    tool = EmbyImageTool(base_url="mock:")
    shown = convert_to_openai_tool(tool)["function"]
    assert shown["name"] == "generate_image"
    assert shown["parameters"]["properties"].keys() == {"prompt", "images", "aspect_ratio"}
    assert shown["parameters"]["required"] == ["prompt"]
    assert tool.get_input_schema().model_fields.keys() - tool.args.keys() == HIDDEN


def test_usage_and_callbacks_see_the_drawing() -> None:
    """The tokens of the image tool are counted by the run's callbacks."""
    counted = UsageMetadataCallbackHandler()
    tool = scripted_tool(Script("", (PNG,)))
    tool.invoke(call(prompt="a fox"), config={"callbacks": [counted]})
    assert counted.usage_metadata["qwen2.5-vision"]["total_tokens"] == 49


def test_ids_are_made_of_the_bytes() -> None:
    """Image ids are the same for the same bytes only."""
    ids = {image_id(image) for image in (RED, GREEN, BLUE, Image.from_url(ADDRESS))}
    assert len(ids) == 4
    assert image_id(Image.from_bytes(PNG)) == image_id(RED)


def by_json(message: ToolMessage) -> ToolMessage:
    """Serialize a message like a web service."""
    return ToolMessage.model_validate_json(message.model_dump_json())


def by_dict(message: ToolMessage) -> ToolMessage:
    """Serialize a message like SQL and file histories."""
    (again,) = messages_from_dict(json.loads(json.dumps([message_to_dict(message)])))
    return again


def by_dumps(message: ToolMessage) -> ToolMessage:
    """Serialize a message with LangChain's own serialization."""
    return loads(dumps(message), allowed_objects="messages")


def by_pickle(message: ToolMessage) -> ToolMessage:
    """Serialize a message like caches."""
    return pickle.loads(pickle.dumps(message))


def by_checkpoint(message: ToolMessage) -> ToolMessage:
    """Serialize a message like LangGraph's checkpointers, without our types on their allow list."""
    serde = pytest.importorskip("langgraph.checkpoint.serde.jsonplus").JsonPlusSerializer()
    return serde.loads_typed(serde.dumps_typed(message))


def without_artifact(message: ToolMessage) -> ToolMessage:
    """Simulate a serializer that replaces artifacts."""
    return message.model_copy(update={"artifact": "<artifact>"})


STORES = (by_json, by_dict, by_dumps, by_pickle, by_checkpoint)


@pytest.mark.parametrize(
    ("store", "show_images"),
    [*((store, shown) for store in STORES for shown in (True, False)), (without_artifact, True)],
)
def test_images_survive_every_serialization(
    store: Callable[[ToolMessage], ToolMessage], show_images: bool
) -> None:
    """A stored tool message keeps its exact images, which can be edited later."""
    script = Script("Two:", (PNG, ADDRESS))
    tool = scripted_tool(script, show_images=show_images)
    message = tool.invoke(call(prompt="a fox"))
    again = store(message)
    assert images_of(again) == [RED, Image.from_url(ADDRESS)]
    assert images_of(again)[0].data == PNG
    edit = scripted_tool(script).invoke(call(prompt="a hat", images="latest", messages=[again]))
    assert edit.status == "success"
    urls = [part["image_url"]["url"] for part in script.sent["messages"][0]["content"][:2]]
    assert urls == [data_url(PNG), ADDRESS]
    if store is not without_artifact:
        assert images_of(again)[0].provenance.model == "qwen2.5-vision"


def test_artifacts_of_earlier_versions_are_still_read() -> None:
    """Artifacts stored by earlier versions, as `Image`s or dicts of their fields, are readable."""
    old = {"content": PNG, "url": None, "provenance": {"model": "m", "prompt": "p"}}
    for artifact in ([RED], [old], [{**old, "path": None}], RED):
        message = ToolMessage("", tool_call_id="1", artifact=artifact)
        assert images_of(message) == [RED]


def test_a_foreign_artifact_is_ignored() -> None:
    """An artifact of another tool is ignored, and the images in the content are used."""
    for artifact in ({"content": b"x"}, [1], [RED, 1], [], None, [{"content": 1, "url": 2}]):
        message = ToolMessage([image_block(GREEN)], tool_call_id="1", artifact=artifact)
        assert images_of(message) == [GREEN]
