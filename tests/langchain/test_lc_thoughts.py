"""Reasoning, refusals, server-side tools and usage details through `ChatEmby`."""

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core import exceptions
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)
from lc_support import Script, b64
from pydantic import BaseModel

from emby_plugins import RequestError
from langchain_emby import ChatEmby

DETAILS = [{"type": "reasoning.encrypted", "data": "c2VjcmV0", "index": 0}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
SIGNED = {**CALL, "extra_content": {"google": {"thought_signature": "abc"}}}
THOUGHT: list[dict[str, Any]] = [
    {"reasoning": "Two ", "reasoning_details": DETAILS},
    {"reasoning": "and two."},
    {"tool_calls": [{**SIGNED, "index": 0}]},
]
# New in langchain-core 1.7.5; earlier versions raise this error for any unparsable answer.
ModelRefusalError = getattr(exceptions, "ModelRefusalError", exceptions.OutputParserException)
WAYS = ("invoke", "stream", "v3")


def call(chat: ChatEmby, way: str) -> AIMessage:
    """Return the message in this mode."""
    if way == "invoke":
        return chat.invoke("Hi")
    if way == "v3":
        message: AIMessage = chat.stream_events("Hi", version="v3").output
        return message
    merged = None
    for chunk in chat.stream("Hi"):
        assert isinstance(chunk, AIMessageChunk)
        merged = chunk if merged is None else merged + chunk
    assert merged is not None
    return merged


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", WAYS)
def test_reasoning_is_sent_back_to_its_model_only(way: str, version: str) -> None:
    """Reasoning is sent back unchanged, also after JSON, but not to another model."""
    script = Script(
        None,
        streamed=THOUGHT,
        finish="tool_calls",
        reasoning="Two and two.",
        reasoning_details=DETAILS,
        tool_calls=[SIGNED],
    )
    chat = script.chat(model="thinker", output_version=version)
    message = call(chat, way)
    blocks = [block for block in message.content_blocks if block["type"] == "reasoning"]
    assert [block.get("reasoning") for block in blocks] == ["Two and two."]
    (stored,) = messages_from_dict(json.loads(json.dumps([message_to_dict(message)])))
    history = [HumanMessage("2 + 2?"), stored, ToolMessage("4", tool_call_id="call_1")]
    chat.invoke(history)
    sent = script.sent["messages"][1]
    assert (sent["reasoning"], sent["reasoning_details"]) == ("Two and two.", DETAILS)
    assert sent["tool_calls"] == [SIGNED]
    chat.invoke(history, model="other")
    assert script.sent["messages"][1] == {"role": "assistant", "content": "", "tool_calls": [CALL]}


class Answer(BaseModel):
    """An answer."""

    text: str


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_is_a_refusal_block(way: str, version: str) -> None:
    """A refusal is a refusal block that LangChain's structured output recognizes."""
    script = Script(None, streamed=[{"refusal": "I "}, {"refusal": "can't."}], refusal="I can't.")
    chat = script.chat(output_version=version)
    message = call(chat, way)
    blocks = [{k: b[k] for k in b if k != "index"} for b in message.content_blocks]  # type: ignore[literal-required]
    assert blocks == [{"type": "refusal", "refusal": "I can't."}]
    assert "refused" in message.response_metadata["notice"]
    with pytest.raises(ModelRefusalError, match=r"I can't|refused"):
        chat.with_structured_output(Answer).invoke("Hi")
    raw = chat.with_structured_output(Answer, include_raw=True).invoke("Hi")
    assert isinstance(raw["parsing_error"], ModelRefusalError)
    chat.invoke([HumanMessage("Hi"), message, HumanMessage("Why?")])
    assert script.sent["messages"][1] == {"role": "assistant", "content": "I can't."}


def test_the_middleware_of_langchain_sees_a_refusal() -> None:
    """LangChain's `ModelRefusalMiddleware`, if available, raises for a refusal."""
    middleware = pytest.importorskip("langchain.agents.middleware")
    if not hasattr(middleware, "ModelRefusalMiddleware"):
        pytest.skip("this LangChain has no ModelRefusalMiddleware")
    chat = Script(None, refusal="I can't.").chat()
    agent = create_agent(chat, middleware=[middleware.ModelRefusalMiddleware()])
    with pytest.raises(ModelRefusalError, match="I can't"):
        agent.invoke({"messages": ["Hi"]})


def test_server_tools_and_cache_marks_are_passed_on() -> None:
    """Server tools and cache marks of the newest schema are sent, and others are refused."""
    script = Script("Hi")
    mark = {"type": "ephemeral"}
    search = {"type": "web_search", "max_uses": 2}
    block = {"type": "text", "text": "Long.", "cache_control": mark}
    create_agent(script.chat(), tools=[search]).invoke({"messages": [HumanMessage([block])]})
    assert script.sent["tools"] == [search]
    assert script.sent["messages"][0]["content"] == [block]
    with pytest.raises(RequestError, match=r"code_interpreter.*web_search"):
        script.chat().bind_tools([{"type": "code_interpreter"}])
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "block",
    [
        {"type": "audio", "base64": b64(b"RIFF"), "mime_type": "audio/wav"},
        {"type": "input_audio", "input_audio": {"data": b64(b"RIFF"), "format": "wav"}},
    ],
)
def test_audio_is_sent(block: dict[str, Any]) -> None:
    """Audio in LangChain's and OpenAI's form is sent in OpenAI's form."""
    script = Script("A sound.")
    script.chat().invoke([HumanMessage([block])])
    audio = {"data": b64(b"RIFF"), "format": "wav"}
    assert script.sent["messages"][0]["content"] == [{"type": "input_audio", "input_audio": audio}]


@pytest.mark.parametrize("way", WAYS)
def test_usage_and_citations_have_their_details(way: str) -> None:
    """Usage has cache writes, image and audio tokens and costs; citations have positions."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cache_write_tokens": 2, "image_tokens": 3, "audio_tokens": 4},
        "completion_tokens_details": {"image_tokens": 1, "audio_tokens": 2},
        "cost_details": {"input_cost": 0.1},
    }
    cited = {"url": "https://e.x", "title": "E", "start_index": 0, "end_index": 2}
    annotations = [{"type": "url_citation", **cited}]
    deltas = [{"content": "Hi"}, {"annotations": annotations}]
    script = Script("Hi", streamed=deltas, usage=usage, annotations=annotations)
    message = call(script.chat(), way)
    assert message.usage_metadata is not None
    inputs = {"cache_creation": 2, "image": 3, "audio": 4}
    assert message.usage_metadata["input_token_details"] == inputs
    assert message.usage_metadata["output_token_details"] == {"image": 1, "audio": 2}
    assert message.response_metadata["cost_details"] == {"input_cost": 0.1}
    assert message.response_metadata["citations"] == [cited]
