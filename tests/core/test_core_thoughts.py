"""Reasoning sent back to its model, refusals, citations, costs and server-side tools."""

import json
from typing import Any

import pytest
from core_help import FINISH, call, called, good, message, read, whole
from support import ChatCaller, ScriptedBackend, answer, as_asked, chunk, completion, sse

from emby_plugins import (
    Citation,
    Emby,
    Limits,
    Message,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    ReplyTooLargeError,
    ServerTool,
    TextDelta,
    TextPart,
    Tool,
    Usage,
)

TEXT = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
SECRET = {"type": "reasoning.encrypted", "data": "c2VjcmV0", "index": 1}
WHOLE = [{**TEXT, "text": "Two and two.", "signature": "sig"}, SECRET]
PIECES: list[list[dict[str, Any]]] = [
    [{**TEXT, "text": "Two ", "signature": None}],
    [{**TEXT, "text": "and two."}],
    [{**TEXT, "text": "", "signature": "sig"}],
    [SECRET],
]
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
SIGNED = {**CALL, "extra_content": {"google": {"thought_signature": "abc"}}}

THOUGHT = message(reasoning="Two and two.", reasoning_details=WHOLE, tool_calls=[SIGNED])
THOUGHT_STREAM = sse(
    chunk(delta={"reasoning": "Two ", "reasoning_details": PIECES[0]}),
    chunk(delta={"reasoning": "and two.", "reasoning_details": PIECES[1]}),
    *(chunk(delta={"reasoning_details": piece}) for piece in PIECES[2:]),
    called({**SIGNED, "index": 0}),
    FINISH,
)


def sent_back(call_chat: ChatCaller, model: str) -> dict[str, Any]:
    """Return the assistant's message of a second turn after a first one from `thinker`."""
    backend = ScriptedBackend(by=as_asked(THOUGHT, THOUGHT_STREAM))
    first = call_chat("2 + 2?", on=backend.on, model="thinker", tools=[Tool("add")])
    result = Message.tool("4", tool_call_id="call_1")
    call_chat([Message.user("2 + 2?"), first.message, result], on=backend.on, model=model)
    sent: dict[str, Any] = json.loads(backend.requests[-1].body)["messages"][1]
    return sent


@pytest.mark.parametrize("model", ["thinker", "emby/thinker"])
def test_reasoning_is_sent_back_to_its_model_unchanged(call_chat: ChatCaller, model: str) -> None:
    """Reasoning, its details and signatures of tool calls are sent back unchanged to their
    model.
    """
    sent = sent_back(call_chat, model)
    assert sent["reasoning"] == "Two and two."
    assert sent["reasoning_details"] == WHOLE
    assert sent["tool_calls"] == [SIGNED]


def test_reasoning_is_not_sent_to_another_model(call_chat: ChatCaller) -> None:
    """Reasoning is not sent to another model, which would refuse a foreign signature."""
    assert sent_back(call_chat, "other") == {
        "role": "assistant",
        "content": "",
        "tool_calls": [CALL],
    }


def details(*deltas: list[dict[str, Any]], name: str = "reasoning_details") -> Any:
    """Return the merged details of a stream."""
    reply = good(read(*(chunk(delta={name: entries}) for entries in deltas), FINISH))
    return reply.thoughts and reply.thoughts.fields.get(name)


def entry(text: str, **fields: Any) -> dict[str, Any]:
    """Return a piece of readable reasoning."""
    return {"type": "reasoning.text", "text": text, **fields}


def test_details_of_a_stream_are_merged_by_type_and_index() -> None:
    """Streamed details are merged by type and index, or up to a signature if there is no index."""
    assert details([entry("a", index=0)], [entry("b", index=1)], [entry("c", index=0)]) == [
        entry("ac", index=0),
        entry("b", index=1),
    ]
    assert details([entry("a")], [entry("b", signature="s")], [entry("c")]) == [
        entry("ab", signature="s"),
        entry("c"),
    ]
    assert details([SECRET], [{**SECRET, "data": "more"}]) == [SECRET, {**SECRET, "data": "more"}]
    thinking = {"type": "thinking", "thinking": "a"}
    assert details([thinking], [{**thinking, "signature": "s"}], name="thinking_blocks") == [
        {"type": "thinking", "thinking": "aa", "signature": "s"}
    ]


def test_a_split_character_is_joined_in_details() -> None:
    """A character split between reasoning details is joined, so their signature stays valid."""
    pieces = [[entry("a\ud83d")], [entry("\ude00\ud83d", signature="s")]]
    assert details(*pieces) == [entry("a😀\ufffd", signature="s")]
    reply = good(read(*(chunk(delta={"reasoning_details": piece}) for piece in pieces), FINISH))
    assert reply.reasoning == "a😀\ufffd"


def test_details_of_a_whole_reply_are_not_merged() -> None:
    """The entries of a reply that is not streamed are not merged."""
    entries = [entry("a", index=0), entry("b", index=0)]
    reply = good(whole(message(content="x", reasoning_details=entries)))
    assert reply.reasoning == "ab"
    assert reply.thoughts == Reasoning("asked", {"reasoning_details": entries})


def test_the_name_of_the_text_is_kept() -> None:
    """The field name of the reasoning text, such as `reasoning_content`, is kept."""
    result = read(*(chunk(delta={"reasoning_content": text}) for text in "ab"), FINISH)
    assert result.events[:2] == [ReasoningDelta("a"), ReasoningDelta("b")]
    thoughts = good(result).thoughts
    assert thoughts is not None
    assert thoughts.fields == {"reasoning_content": "ab"}
    assert Reasoning.from_dict(json.loads(json.dumps(thoughts.to_dict()))) == thoughts
    assert Reasoning.from_dict({"fields": {}}) is None


def test_null_in_reasoning_details_is_not_sent() -> None:
    """Null values in `reasoning_details`, which 2026-08 refuses, are kept but not sent."""
    backend = ScriptedBackend(completion())
    fields = {"reasoning_details": [{"type": "t", "text": None, "data": "d"}, "odd"]}
    thoughts = Reasoning("m", fields)
    with Emby(**backend.on) as emby:
        emby.chat([Message.assistant("a", reasoning=thoughts), Message.user("b")], model="m")
    sent = json.loads(backend.requests[-1].body)["messages"][0]
    assert sent["reasoning_details"] == [{"type": "t", "data": "d"}]
    assert fields["reasoning_details"][0] == {"type": "t", "text": None, "data": "d"}


REFUSALS: dict[str, dict[str, Any]] = {
    "field": {"content": None, "refusal": "I can't."},
    "part": {"content": [{"type": "refusal", "refusal": "I can't."}]},
    "odd-part": {"content": [{"type": "refusal", "refusal": "I can't.", "x": 1}, None]},
}


@pytest.mark.parametrize("fields", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_marked_in_every_form(fields: dict[str, Any]) -> None:
    """A refusal in any form is the reply's text, marked as a refusal, with its own event and
    notice.
    """
    streamed = read(chunk(delta=fields), FINISH)
    assert streamed.events[0] == RefusalDelta("I can't.")
    assert isinstance(streamed.events[0], TextDelta)
    for reply in (good(streamed), good(whole(message(**fields)))):
        assert (reply.text, reply.refusal) == ("I can't.", "I can't.")
        assert reply.notice == "The model refused to answer; its text is the refusal."
        assert reply.message == Message.assistant("I can't.")
    assert good(whole(message(content="I can't."))).refusal == ""


def test_citations_in_both_forms() -> None:
    """Citations are read in the nested form and in the flat form of the Responses API."""
    fields = {"url": "https://e.x", "title": "E", "start_index": 0, "end_index": 5}
    annotations = [
        {"type": "url_citation", "url_citation": fields},
        {"type": "url_citation", **fields, "cited_text": "Hello"},
        {"type": "url_citation", "url": "https://bare.x", "start_index": True},
    ]
    reply = good(whole(message(content="Hello", annotations=annotations)))
    assert reply.citations == (
        Citation("https://e.x", "E", 0, 5),
        Citation("https://e.x", "E", 0, 5, "Hello"),
        Citation("https://bare.x"),
    )


def test_usage_has_every_detail_the_gateway_lists() -> None:
    """Usage includes cache writes, image and audio tokens, and the parts of the cost."""
    first = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "prompt_tokens_details": {
            "cached_tokens": 1,
            "cache_write_tokens": 2,
            "image_tokens": 3,
            "audio_tokens": 4,
        },
        "completion_tokens_details": {"image_tokens": 1, "audio_tokens": 2, "reasoning_tokens": 1},
    }
    later = {"cost": 0.3, "cost_details": {"input_cost": 0.1, "image_input_cost": None}}
    usage = good(read(chunk("a"), FINISH, chunk(usage=first), chunk(usage=later))).usage
    assert usage == Usage(
        9, 4, 13, 1, 1, 1, cost=0.3, cache_write_tokens=2, input_image_tokens=3,
        input_audio_tokens=4, audio_tokens=2,
    )  # fmt: skip
    assert usage.cost_details == {"input_cost": 0.1}
    dollars = {"cost_usd_total": 0.3, "cost_usd_input": 0.1, "cost_usd_request": None}
    usage = good(whole(completion("a", usage=dollars))).usage
    assert usage is not None
    assert usage.cost_details == {"total_cost": 0.3, "input_cost": 0.1}


def body_of(**options: Any) -> dict[str, Any]:
    """Return the body of a request with these options."""
    backend = ScriptedBackend(completion())
    with Emby(**backend.on) as emby:
        emby.chat(**options)
    body: dict[str, Any] = json.loads(backend.requests[-1].body)
    return body


def test_server_tools_and_cache_marks_are_sent() -> None:
    """Server tools and cache marks are sent in the form of 2026-08."""
    search = ServerTool("web_search", {"max_uses": 2})
    mark = {"type": "ephemeral", "ttl": "1h"}
    body = body_of(
        prompt=[Message.user(TextPart("A long document.", cache_control=mark), "And?")],
        tools=[search, Tool("add", cache_control=mark)],
        tool_choice="web_search",
    )
    assert body["tools"][0] == {"type": "web_search", "max_uses": 2}
    assert body["tools"][1]["cache_control"] == mark
    assert body["tool_choice"] == {"type": "web_search"}
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "A long document.", "cache_control": mark},
        {"type": "text", "text": "And?"},
    ]


MANY: dict[str, Any] = {
    "calls": {"tool_calls": [{}] * 60_000},
    "parts": {"content": [""] * 60_000},
    "reasoning": {"reasoning": [""] * 60_000},
}


@pytest.mark.parametrize("fields", MANY.values(), ids=MANY)
def test_entries_are_limited(fields: dict[str, Any]) -> None:
    """A reply with too many entries raises an error that has the text before them."""
    result = read(chunk("Before."), chunk(delta=fields), FINISH)
    assert isinstance(result.error, ReplyTooLargeError)
    assert str(result.error).startswith("The reply is too large: more than 50,000 (entries).")
    assert result.error.partial is not None
    assert result.error.partial.text == "Before."
    fewer = {name: value[:40_000] for name, value in fields.items()}
    assert good(read(chunk("Before."), chunk(delta=fewer), FINISH)).text == "Before."


def test_fragments_of_arguments_count_as_one_entry() -> None:
    """Arguments in many fragments count as one entry."""
    limits = Limits(entries=10)
    pieces = [called(call("add", "", index=0)), *[called(call(None, "1", index=0))] * 100]
    backend = ScriptedBackend(answer(sse(*pieces, FINISH)))
    with Emby(**backend.on, limits=limits) as emby, emby.stream("Hi") as stream:
        for _ in stream:
            pass
    assert stream.reply.tool_calls[0].arguments == "1" * 100
