"""`langchain-openai` against the mock: what works with Emby, and that it loses every image."""

from typing import Any

import openai
import pydantic
import pytest
from foreign_help import KEY, PUPPY, user
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from emby_plugins import Emby
from emby_plugins.mock import MockBackend, MockServer
from langchain_emby import ChatEmby

MODEL = "qwen2.5-vision"


class Dog(pydantic.BaseModel):
    """A dog."""

    name: str
    legs: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}."


@pytest.fixture
def chat(server: MockServer) -> ChatOpenAI:
    """LangChain's model for OpenAI, led to the mock."""
    return ChatOpenAI(model=MODEL, api_key=KEY, base_url=server.base_url, max_retries=0)


def merged(chunks: Any) -> Any:
    """The chunks added up."""
    whole = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return whole


def text_of_ours(server: MockServer, prompt: str) -> str:
    """What our client is told."""
    with Emby(KEY, server.base_url) as emby:
        return emby.chat(prompt).text


def test_invoke(chat: ChatOpenAI, server: MockServer) -> None:
    """Text and usage."""
    reply = chat.invoke("Hello")
    assert reply.content == text_of_ours(server, "Hello")
    assert reply.usage_metadata
    assert reply.response_metadata["finish_reason"] == "stop"


async def test_ainvoke(chat: ChatOpenAI) -> None:
    """The same, asynchronous."""
    assert (await chat.ainvoke("Hello")).content


def test_stream(chat: ChatOpenAI, server: MockServer) -> None:
    """Text in pieces."""
    chunks = list(chat.stream("Hello"))
    assert len([chunk for chunk in chunks if chunk.content]) > 3
    assert merged(chunks).content == text_of_ours(server, "Hello")


def test_tools(chat: ChatOpenAI) -> None:
    """The call, whole or streamed; its result only if a gateway takes null beside a call."""
    able, question = chat.bind_tools([get_weather]), "What is the weather in Paris?"
    reply, streamed = able.invoke(question), merged(able.stream(question))
    (call,) = reply.tool_calls
    assert call["name"] == "get_weather"
    assert [c["args"] for c in streamed.tool_calls] == [call["args"]]
    result = ToolMessage("Sunny.", tool_call_id=call["id"])
    # A known loss: it sends `content: null` beside the call, which the fork refuses.
    with pytest.raises(openai.BadRequestError):
        able.invoke([*user(question), reply, result])


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured(chat: ChatOpenAI, method: Any) -> None:
    """Each way to a typed reply."""
    prompt = "Describe a dog as JSON with the keys name and legs"
    reply = chat.with_structured_output(Dog, method=method, include_raw=True).invoke(prompt)
    assert reply["raw"].text or reply["raw"].tool_calls
    # Plain JSON mode promises no types, and the mock gives none.
    assert isinstance(reply["parsed"], Dog) or method == "json_mode"


def test_an_image_is_looked_at(chat: ChatOpenAI, backend: MockBackend) -> None:
    """Images go in."""
    backend.reply("A dog.")
    address = "https://example.com/dog.jpg"
    assert chat.invoke(user("What is this?", address)).text == "A dog."
    assert [image.url for image in backend.requests[-1].images] == [address]


def assert_lost(reply: AIMessage) -> None:
    """Neither content nor extras hold a picture."""
    told = f"{reply.content} {reply.additional_kwargs} {reply.response_metadata}"
    assert reply.text == "Here is your generated image:"
    assert "image/png" not in told
    assert not [block for block in reply.content_blocks if block["type"] == "image"]


def test_generated_images_are_lost(chat: ChatOpenAI) -> None:
    """A known loss: the picture that was paid for is nowhere in the reply."""
    assert_lost(chat.invoke(PUPPY))


def test_streamed_images_are_lost(chat: ChatOpenAI) -> None:
    """The same when streamed."""
    assert_lost(merged(chat.stream(PUPPY)))


def test_ours_keeps_what_it_loses(server: MockServer) -> None:
    """From the same server, ChatEmby has the picture."""
    chat = ChatEmby(model=MODEL, api_key=KEY, base_url=server.base_url)
    for reply in (chat.invoke(PUPPY), merged(chat.stream(PUPPY))):
        assert [block["type"] for block in reply.content_blocks] == ["text", "image"]


def test_reasoning_is_lost(chat: ChatOpenAI) -> None:
    """A known loss: `reasoning` is not read, only its tokens are counted."""
    reply = chat.invoke("Why?", reasoning_effort="low")
    assert "effort" not in f"{reply.content} {reply.additional_kwargs}"
    assert reply.usage_metadata
    assert reply.usage_metadata["output_token_details"]["reasoning"] > 0
