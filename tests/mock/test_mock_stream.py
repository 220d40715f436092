import json

import pytest
from mock_help import PUPPY, chat, chunks, flat, message, reply, send

CASES = {
    "talk": (("Hello there",), {}),
    "reasoning": (("Why is the sky blue?",), {"reasoning_effort": "high"}),
    "paint": ((PUPPY,), {}),
    "several": (("Draw two pictures of a cat",), {}),
    "look": (("What is this?", flat("red")), {}),
    "edit": (("blur it", flat("red")), {}),
    "only images": (("two photos of a cat",), {"model": "emby-mock-image"}),
    "json": (("go",), {"response_format": {"type": "json_object"}}),
    "tools": (
        ("weather in Paris and London",),
        {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "get_weather",
                        "parameters": {
                            "type": "object",
                            "properties": {"location": {"type": "string"}},
                        },
                    },
                }
            ]
        },
    ),
    "cut": (("Hello there",), {"max_tokens": 2}),
}


def gathered(parts):
    """Merge deltas into a message, as clients do."""
    joined = {"role": None, "content": None}
    for part in parts:
        for choice in part["choices"]:
            delta = choice["delta"]
            joined["role"] = joined["role"] or delta.get("role")
            for key in ("content", "reasoning"):
                if delta.get(key) is not None:
                    joined[key] = (joined.get(key) or "") + delta[key]
            if "images" in delta:
                joined.setdefault("images", []).extend(delta["images"])
            for call in delta.get("tool_calls", []):
                made = joined.setdefault("tool_calls", [])
                if call["index"] == len(made):
                    made.append(
                        {
                            "id": call["id"],
                            "type": call["type"],
                            "function": {"name": call["function"]["name"], "arguments": ""},
                        }
                    )
                made[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    return joined


@pytest.mark.parametrize("name", CASES)
def test_a_stream_equals_the_complete_reply(name):
    """Message, usage, id and finish reason are the same, streamed or not."""
    args, more = CASES[name]
    whole, parts = reply(*args, **more), chunks(*args, **more)
    joined = gathered(parts)
    if not joined["content"]:
        joined["content"] = None
    assert joined == whole["choices"][0]["message"]
    counts = whole["usage"].keys() - {"completion_tokens_details", "reasoning_tokens"}
    usages = [part["usage"] for part in parts if part.get("usage")]
    assert all(usage[key] == whole["usage"][key] for usage in usages for key in counts)
    assert usages
    assert {part["id"] for part in parts} == {whole["id"]}
    ends = [c["finish_reason"] for part in parts for c in part["choices"] if c["finish_reason"]]
    assert ends == [whole["choices"][0]["finish_reason"]]


@pytest.mark.parametrize("name", CASES)
def test_frames(name):
    """A frame has one line of data and a counting id, and the last one is its own event."""
    args, more = CASES[name]
    frames = list(send(chat(*args, stream=True, **more)).body)
    assert frames[-1] == b"event: done\ndata: [DONE]\nid: %d\n\n" % (len(frames) - 1)
    for number, frame in enumerate(frames[:-1]):
        data, ident, *rest = frame.split(b"\n")
        assert (ident, rest) == (b"id: %d" % number, [b"", b""])
        assert json.loads(data.removeprefix(b"data: "))["object"] == "chat.completion.chunk"


def test_text_is_streamed_by_the_word():
    """Each delta after the first has a word, and two chunks with usage follow the last."""
    parts = chunks("Hello there")
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert parts[1]["choices"][0]["delta"] == {"role": "assistant", "content": "This "}
    assert parts[-2]["choices"] == []
    assert parts[-1]["choices"][0] == {"index": 0, "delta": {}, "finish_reason": None}


def test_reasoning_comes_first():
    """All reasoning is sent before any content."""
    kinds = [
        key
        for part in chunks("Why?", reasoning_effort="low")
        for c in part["choices"]
        for key, value in c["delta"].items()
        if key != "role" and value
    ]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"reasoning", "content"}


def test_a_chunk_per_image():
    """Each image is sent in a separate chunk after the text."""
    deltas = [c["delta"] for part in chunks("Draw two pictures of a cat") for c in part["choices"]]
    counts = [len(delta["images"]) for delta in deltas if "images" in delta]
    assert counts == [1, 1]
    assert ["images" in delta for delta in deltas[-4:]] == [True, True, False, False]


def test_image_models_send_all_at_once():
    """A model with image output only sends all images in one chunk, and usage with the finish."""
    first, last = chunks("two photos of a cat", model="emby-mock-image", profile="2026-08")
    delta = first["choices"][0]["delta"]
    assert len(delta["images"]) == 2
    assert delta["content"]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["completion_tokens"] == 2580


def test_arguments_come_in_fragments():
    """A tool call begins with id, name and empty arguments, and fragments follow."""
    args, more = CASES["tools"]
    deltas = [
        d
        for part in chunks(*args, **more)
        for c in part["choices"]
        for d in c["delta"].get("tool_calls", [])
    ]
    assert deltas[0]["function"] == {"name": "get_weather", "arguments": ""}
    assert sum("id" in delta for delta in deltas) == 2
    assert sum(delta["index"] == 0 for delta in deltas) > 2


def test_errors_are_decided_before_the_stream():
    """A request that is refused gets its status and JSON, even for a stream."""
    response = send(chat("What is this?", "http://example.com/a.png", stream=True))
    assert (response.status, response.headers["content-type"]) == (400, "application/json")


def nulls(value, path=()):
    """Yield the paths of all nulls in a JSON value."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from nulls(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from nulls(inner, path)


@pytest.mark.parametrize("name", CASES)
def test_only_some_fields_may_be_null(name):
    """Only finish reasons, content, providers and usage may be null."""
    args, more = CASES[name]
    for part in [reply(*args, **more), *chunks(*args, **more)]:
        found = {path[-1] for path in nulls(part)}
        assert found <= {"finish_reason", "content", "requested_provider", "usage"}
        assert "choices" in part
    assert ("content" in {path[-1] for path in nulls(message(*args, **more))}) == (name == "tools")
