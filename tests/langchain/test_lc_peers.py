"""Conversations handed over between ChatEmby and other providers' chat models."""

import json
from pathlib import Path
from typing import Any

import openai.types.chat
import pydantic
import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
    messages_from_dict,
)
from langchain_openai import ChatOpenAI
from lc_support import JPEG, PNG, Script, data_url, merged, wire_images
from recordings.recordings import SCHEMA_STATES, request_schema
from recordings.validation import violations

from emby_plugins import Image
from langchain_emby import hand_over, image_block, images_of


def recorded(name: str) -> dict[str, Any]:
    """Load recorded messages of other providers' models."""
    messages: dict[str, Any] = json.loads(Path(__file__).with_name(name).read_text("utf-8"))
    return messages


STREAMED = {f"streamed-{name}": m for name, m in recorded("peer_streams.json").items()}
PEERS = recorded("peer_messages.json") | STREAMED
DREW = {name for name in PEERS if "anthropic" not in name and "chat" not in name}


@pytest.mark.parametrize("streamed", [False, True], ids=["invoked", "streamed"])
@pytest.mark.parametrize("name", PEERS)
def test_a_conversation_of_another_provider_is_continued(name: str, streamed: bool) -> None:
    """Text, images and calls of another provider's message are sent once each."""
    (began,) = messages_from_dict([PEERS[name]])
    assert isinstance(began, AIMessage)
    is_cut = name.endswith("-cut")
    called = [] if is_cut else began.tool_calls
    results = [ToolMessage("A dog.", tool_call_id=call["id"]) for call in called]
    script = Script("Fine.")
    history = [HumanMessage("Draw."), began, *results, HumanMessage("And?")]
    chat = script.chat()
    reply = merged(chat.stream(history)) if streamed else chat.invoke(history)
    assert reply.text == "Fine."
    assistant, *answers, user = script.sent["messages"][1:]
    assert assistant["content"] == "Here is a dog."
    assert [answer["tool_call_id"] for answer in answers] == [call["id"] for call in called]
    calls = [call["function"] for call in assistant.get("tool_calls", ())]
    assert len(calls) == len(called)
    if calls:
        assert (calls[0]["name"], json.loads(calls[0]["arguments"])) == ("look", {"at": "dog"})
    for state in SCHEMA_STATES:
        assert not violations(script.sent, request_schema(state)), state
    drawn = [image_part(PNG)] if name in DREW else []
    assert user["content"] == ([*drawn, {"type": "text", "text": "And?"}] if drawn else "And?")
    assert images_of(began) == [Image.from_bytes(PNG)] * len(drawn)
    replied, *shown = hand_over([began, *results])
    shown = [message for message in shown if message.type == "human"]
    assert (replied.text, replied.tool_calls) == ("Here is a dog.", called)
    assert [message.content for message in shown] == [[image_block(i)] for i in images_of(began)]


def image_part(data: bytes, media_type: str = "image/png") -> dict[str, Any]:
    """Return an image part of a request."""
    return {"type": "image_url", "image_url": {"url": data_url(data, media_type)}}


CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CUT = {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": '{"a'}}
TURNS = [
    Script("A fox:", (PNG,), reasoning="Let me see."),
    Script("I look.", (), tool_calls=[CALL], finish="tool_calls"),
    Script(None, refusal="I can't.", streamed=[{"refusal": "I can't."}]),
    Script("Hm.", tool_calls=[CUT], finish="length"),
]
WAYS = ["invoke", "stream", "v3"]


def began(way: str, version: str) -> list[BaseMessage]:
    """Return a conversation of `ChatEmby` with all kinds of content."""
    seen = [{"type": "text", "text": "A puppy."}, image_block(Image.from_bytes(JPEG))]
    between = [[HumanMessage("And?")], [ToolMessage(seen, tool_call_id="call_1")], [], []]
    history: list[BaseMessage] = [SystemMessage("Draw well."), HumanMessage("Draw.")]
    for turn, after in zip(TURNS, between, strict=True):
        chat = turn.chat(output_version=version)
        if way == "v3":
            message = chat.stream_events("?", version="v3").output
        else:
            message = chat.invoke("?") if way == "invoke" else merged(chat.stream("?"))
        history += [message, *after]
    return [*history, HumanMessage("Go on.")]


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", WAYS)
def test_our_conversation_is_continued_by_another_model(way: str, version: str) -> None:
    """A handed-over conversation is valid for OpenAI's SDK and the schema of each state."""
    history = began(way, version)
    payload = ChatOpenAI(api_key="k")._get_request_payload(hand_over(history))
    messages: list[dict[str, Any]] = payload["messages"]
    kind = pydantic.TypeAdapter(list[openai.types.chat.ChatCompletionMessageParam])
    kind.validate_python(messages)
    kind.validate_python(convert_to_openai_messages(hand_over(history)))
    roles = " ".join(message["role"] for message in messages)
    assert roles == "system user assistant user assistant tool user assistant assistant user"
    fox, puppy = (messages[n]["content"][0] for n in (3, 6))
    assert (fox, puppy) == (image_part(PNG), image_part(JPEG, "image/jpeg"))
    texts = [messages[n]["content"] for n in (2, 5, 7, 8)]
    assert texts == ["A fox:", "A puppy.", "I can't.", "Hm."]
    assert [c["id"] for m in messages for c in m.get("tool_calls", ())] == ["call_1"]
    for state in SCHEMA_STATES:
        assert not violations({"model": "m", "messages": messages}, request_schema(state))


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", WAYS)
def test_our_messages_have_typed_parts(way: str, version: str) -> None:
    """Our messages are sent by another model as typed parts, even without `hand_over`."""
    payload = ChatOpenAI(api_key="k")._get_request_payload(began(way, version)[:3])
    for state in SCHEMA_STATES:
        body = {"model": "m", "messages": payload["messages"]}
        assert not violations(body, request_schema(state))
    assert payload["messages"][2]["content"][0]["text"] == "A fox:"


def test_handing_over_changes_no_message_given() -> None:
    """`hand_over` does not change the given messages, and puts images into an added one."""
    script = Script("Two:", streamed=[{"content": "Two:"}, {"images": wire_images((PNG, JPEG))}])
    drawn = merged(script.chat().stream("Draw."))
    before = drawn.model_copy(deep=True)
    reply, shown = hand_over([drawn])
    assert drawn == before
    assert (reply.content, shown.type) == ("Two:", "human")
    assert images_of(shown) == images_of(drawn)
