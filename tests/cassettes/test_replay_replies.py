"""Replies of every kind that are not streamed, and conversations of several turns."""

import json
from typing import Any

import pytest
from cassette_help import BLUE, RED, Gateway
from support import ChatCaller

from emby_plugins import FilePart, Image, JSONSchema, Message, Tool
from emby_plugins.mock import MockBackend

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

PROFILES = ["emby", "2025-12", "2026-08"]
WEATHER = Tool(
    "get_weather",
    "The weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
SHAPE = JSONSchema(
    {
        "type": "object",
        "properties": {"subject": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["subject", "count"],
        "additionalProperties": False,
    }
)


@pytest.mark.parametrize("profile", PROFILES)
def test_reasoning(call_chat: ChatCaller, gateway: Gateway, profile: str) -> None:
    """Reasoning and its tokens, which have two possible places, are read."""
    reply = call_chat("How many legs has a dog?", on=gateway(profile), reasoning_effort="low")
    assert reply.reasoning
    assert reply.text
    assert reply.usage
    assert reply.usage.reasoning_tokens > 0


@pytest.mark.parametrize("profile", PROFILES)
def test_cost(call_chat: ChatCaller, gateway: Gateway, profile: str) -> None:
    """The cost in either of its forms is read; Emby documents none."""
    reply = call_chat("Hello", on=gateway(profile), max_tokens=5)
    assert reply.usage
    assert reply.finish_reason == "length"
    assert (reply.usage.cost is None) == (profile == "emby")


def test_a_round_with_a_tool(call_chat: ChatCaller, gateway: Gateway) -> None:
    """A tool call, its result and the final answer work in one conversation."""
    on, question = gateway(), Message.user("What is the weather in Paris?")
    first = call_chat(question, on=on, tools=[WEATHER], tool_choice="get_weather")
    (call,) = first.tool_calls
    assert (call.name, first.finish_reason) == ("get_weather", "tool_calls")
    assert list(call.args) == ["city"]
    result = Message.tool("Sunny, 21 degrees.", tool_call_id=call.id, name=call.name)
    second = call_chat([question, first.message, result], on=on, tools=[WEATHER])
    assert "21" in second.text
    assert not second.tool_calls


def test_two_tools_at_once(call_chat: ChatCaller, gateway: Gateway) -> None:
    """Two tool calls have separate arguments and ids."""

    def script(backend: MockBackend) -> None:
        calls = [("get_weather", {"city": city}) for city in ("Paris", "Rome")]
        backend.reply(tool_calls=calls)

    reply = call_chat("The weather in Paris and Rome?", on=gateway(script=script), tools=[WEATHER])
    assert [call.args["city"] for call in reply.tool_calls] == ["Paris", "Rome"]
    assert len({call.id for call in reply.tool_calls}) == 2


def test_a_schema(call_chat: ChatCaller, gateway: Gateway) -> None:
    """A reply with a schema is JSON that matches it."""
    reply = call_chat("Describe a dog", on=gateway(), response_format=SHAPE)
    assert json.loads(reply.text).keys() == {"subject", "count"}


def test_json(call_chat: ChatCaller, gateway: Gateway) -> None:
    """A reply with `json_object` is JSON."""
    prompt = "Describe a dog as a JSON object"
    reply = call_chat(prompt, on=gateway(), response_format="json_object")
    assert isinstance(json.loads(reply.text), dict)


def test_two_images(call_chat: ChatCaller, gateway: Gateway) -> None:
    """Two images arrive as different images."""
    reply = call_chat("Make two variations of this image", on=gateway(), images=[RED])
    assert len(reply.images) == 2
    assert reply.images[0] != reply.images[1]


def test_an_image_of_the_assistant_is_edited(call_chat: ChatCaller, gateway: Gateway) -> None:
    """A generated image can be sent back and edited in the next turn."""
    on, wish = gateway(), Message.user("Blur this", BLUE)
    first = call_chat(wish, on=on)
    second = call_chat([wish, first.message, Message.user("Now invert it")], on=on)
    assert second.image != first.image


def test_an_image_as_a_url(call_chat: ChatCaller, gateway: Gateway) -> None:
    """An image that the gateway sends as a URL stays a URL."""
    address = Image.from_url("https://example.com/made.png")
    reply = call_chat(
        "A picture, please", on=gateway(script=lambda mock: mock.reply("Here:", images=[address]))
    )
    assert reply.image.url == "https://example.com/made.png"


def test_an_image_without_text(call_chat: ChatCaller, gateway: Gateway) -> None:
    """A reply with null content has an image and no text."""
    on = gateway(script=lambda mock: mock.reply(images=[RED]))
    reply = call_chat("Just the picture", on=on)
    assert (reply.text, reply.images) == ("", (RED,))


def test_settings(vcr: Any, call_chat: ChatCaller, gateway: Gateway) -> None:
    """Every setting is sent under its name."""
    settings = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 64}
    penalties = {"frequency_penalty": 0.1, "presence_penalty": 0.2}
    prompt = [Message.system("Be brief."), Message.user("Hello")]
    assert call_chat(prompt, on=gateway(), **settings, **penalties).text
    sent = json.loads(vcr.requests[0].body)
    assert {**settings, **penalties}.items() <= sent.items()


def test_image_config(call_chat: ChatCaller, gateway: Gateway) -> None:
    """`image_config` sets the aspect ratio."""
    config = {"aspect_ratio": "2:1"}
    reply = call_chat("Generate an image of a line", on=gateway("2025-12"), image_config=config)
    width, height = reply.image.size or (0, 1)
    assert width / height > 1.5


def test_a_file(call_chat: ChatCaller, gateway: Gateway) -> None:
    """A file that is not an image is sent."""
    notes = FilePart.from_bytes(b"The answer is 42.", filename="notes.txt")
    assert call_chat(Message.user("What does it say?", notes), on=gateway()).text


def test_a_custom_provider(call_chat: ChatCaller, gateway: Gateway) -> None:
    """A model of a custom provider is sent as `company/model`."""
    # Only a gateway with that company's provider knows the model.
    reply = call_chat("Hello", on=gateway(script=lambda _: None), model="acme/model-1")
    assert reply.model == "acme/model-1"


def test_a_prefixed_model(call_chat: ChatCaller, gateway: Gateway) -> None:
    """A model may have Emby's own prefix."""
    assert call_chat("Hello", on=gateway(), model="emby/qwen2.5-vision").text


def test_a_lenient_model(call_chat: ChatCaller, gateway: Gateway) -> None:
    """A lenient model answers from the valid images (Vision Support, Per-model Handling)."""
    broken = Image.from_bytes((BLUE.content or b"")[:40])
    on = gateway(script=lambda _: None)
    reply = call_chat("Describe these.", on=on, images=[RED, broken], model="emby-mock-vision")
    assert "red" in reply.text
    assert "Image could not be fetched or decoded" in reply.text
