"""Calls of users, with the types they get. Checked by `make types`, never run.

Each function is checked by mypy and pyright in strict mode. A wrong call has a comment that both
checkers need: if it became acceptable, the unused comment would be an error.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import assert_type

import llm
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel, SecretStr

from emby_plugins import (
    AsyncEmby,
    ChatReply,
    Emby,
    EmbyError,
    Image,
    ImageReceived,
    JSONSchema,
    Message,
    ModelCard,
    RateLimitError,
    TextDelta,
    Tool,
    hookimpl,
)
from langchain_emby import (
    ChatEmby,
    EmbyImageTool,
    ImagesOutputParser,
    block_image,
    image_block,
    image_id,
    images_of,
    show,
)


def core_calls() -> None:
    """The core: prompts, images, histories, options, streams."""
    with Emby() as emby:
        reply = emby.chat("Generate an image of a puppy", model="qwen2.5-vision")
        assert_type(reply, ChatReply)
        assert_type(reply.image.save("puppy"), Path)
        emby.chat("What is this?", images=[reply.image, Image.from_path("dog.jpg")])
        history = [Message.user("Look:", reply.image), reply.message, Message.user("And now?")]
        emby.chat(history, temperature=0, max_tokens=5, image_config={"aspect_ratio": "16:9"})
        emby.chat("Hello", tools=[Tool("weather", parameters={"type": "object"})])
        emby.chat("Hello", response_format=JSONSchema({"type": "object"}), tool_choice="auto")
        assert_type(emby.models(), list[ModelCard])
        assert_type(emby.images.generate("A lake", size="1024x1024", n=2), ChatReply)
        assert_type(emby.images.edit([reply.image], "Blur it", mask=reply.image), ChatReply)
        with emby.stream("Hello") as stream:
            for event in stream:
                if isinstance(event, TextDelta):
                    print(event.text)
                elif isinstance(event, ImageReceived):
                    print(event.image.media_type, event.index)
        assert_type(stream.reply, ChatReply)
    Emby("key", "mock:", timeout=5, deadline=60, max_retries=0, metadata={"tenant_id": "acme"})
    Emby(api_key="key", base_url="https://x.example/v1", image_folder=Path("images"))


async def async_core_calls() -> None:
    """The core with `await`."""
    async with AsyncEmby(base_url="mock:") as emby:
        assert_type(await emby.chat("Hello"), ChatReply)
        async with emby.stream("Hello") as stream:
            async for event in stream:
                print(event)


def errors() -> None:
    """Errors have typed attributes."""
    try:
        Emby().chat("Hello")
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except EmbyError as error:
        assert_type(error.partial, ChatReply | None)


def chat_models() -> None:
    """`ChatEmby`: every documented way to construct it."""
    ChatEmby()
    ChatEmby(model="qwen2.5-vision", temperature=0, stop=["END"], max_retries=0)
    ChatEmby(api_key="k", base_url="mock:", timeout=5, deadline=60)
    ChatEmby(api_key=SecretStr("k"), image_config={"aspect_ratio": "16:9"}, seed=3)
    ChatEmby(disable_streaming=True, output_version="v1", emby_metadata={"tenant_id": "a"})
    ChatEmby(max_retires=0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ChatEmby(api_key=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


@tool
def weather(city: str) -> str:
    """Return the weather."""
    return city


async def langchain_calls(chat: ChatEmby, image: Image) -> None:
    """Messages, blocks, tools, schemas, chains and streams."""
    message = chat.invoke([HumanMessage(["What is this?", image_block(image)])])
    assert_type(message, AIMessage)
    assert_type(images_of(message), list[Image])
    assert_type(await chat.ainvoke("Hello"), AIMessage)
    for chunk in chat.stream("Hello", stop=["END"]):
        print(chunk.text)
    assert_type(show(chat.stream("Hello")), AIMessageChunk)
    show([message])
    chat.bind_tools([weather], tool_choice="any").invoke("Hello")
    chat.with_structured_output(Joke, method="json_schema").invoke("Hello")
    prompt = ChatPromptTemplate.from_template("Generate an image of {what}")
    chain = prompt | chat | ImagesOutputParser()
    assert_type(chain.invoke({"what": "a fox"}), list[Image])
    assert_type(block_image(image_block(image)), Image)
    assert_type(image_id(image), str)


def image_tools() -> None:
    """`EmbyImageTool`: without arguments, with a chat model's settings, or with a chat model."""
    EmbyImageTool()
    EmbyImageTool(model="qwen2.5-vision", api_key="k", show_images=False)
    EmbyImageTool(chat=ChatEmby(), name="draw", description="Draws.")
    EmbyImageTool(colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


class Plugin:
    """A user's plugin keeps its own signatures under `@hookimpl`."""

    @hookimpl
    def emby_models(self) -> Iterable[ModelCard]:
        """Return a model."""
        return [ModelCard(id="mycompany/custom-gpt-4", vision=True)]

    @hookimpl
    def emby_error_hint(self, error: EmbyError, models: list[ModelCard]) -> str | None:
        """Return a hint."""
        return error.hint or (models[0].id if models else None)


def llm_calls() -> None:
    """`llm` from Python, with the models that the plugin registers."""
    model = llm.get_model("emby-mock")
    # llm has some parameters of prompt() without types.
    response = model.prompt("Hello", stream=False)  # pyright: ignore[reportUnknownMemberType]
    print(response.text())
    Emby(plugins=[Plugin()])
    assert_type(Plugin().emby_models(), Iterable[ModelCard])
