"""The contents of a reply, in every form of CONTRACT.md, sections 4 and 5."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from core_help import BLUE, FINISH, RED, Read, call, called, failed, good, message, read, whole
from support import JSON, as_json, chunk, completion, data_url

from emby_plugins import (
    ChatReply,
    Citation,
    Finished,
    ImageReceived,
    InvalidImageError,
    MalformedReplyError,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)

# ---- the two orders, and images


def test_text_then_one_chunk_per_image() -> None:
    """Text chunks followed by one chunk per image (order 1 of the contract) give all of both."""
    result = read(chunk("Here "), chunk("they are:"), chunk(None, RED), chunk(None, BLUE), FINISH)
    reply = good(result)
    assert reply.text == "Here they are:"
    assert [image.data for image in reply.images] == [RED, BLUE]
    assert [type(event) for event in result.events] == [
        TextDelta,
        TextDelta,
        ImageReceived,
        ImageReceived,
        Finished,
    ]


def test_text_and_all_images_in_one_chunk() -> None:
    """A single chunk with text and all images (order 2 of the contract) gives all of both."""
    usage = {"prompt_tokens": 9, "completion_tokens": 1290, "total_tokens": 1299}
    reply = good(read(chunk("Here:", RED, BLUE), chunk(finish="stop", usage=usage)))
    assert (reply.text, [i.data for i in reply.images]) == ("Here:", [RED, BLUE])
    assert reply.usage == Usage(9, 1290, 1299)


def test_image_indices_continue_across_chunks() -> None:
    """Each image event has an index that counts the images of all chunks."""
    events = read(chunk(None, RED, BLUE), chunk(None, RED), FINISH).events
    shown = [(e.index, e.image.data) for e in events if isinstance(e, ImageReceived)]
    assert shown == [(0, RED), (1, BLUE), (2, RED)]


def test_images_with_the_same_index_are_two_images() -> None:
    """Two images with the same index, as LiteLLM sends them, are both kept."""
    items = [
        {"index": 0, "type": "image_url", "image_url": {"url": data_url(data)}}
        for data in (RED, BLUE)
    ]
    chunks = [chunk(delta={"images": [item]}) for item in items]
    assert [i.data for i in good(read(*chunks, FINISH)).images] == [RED, BLUE]


@pytest.mark.parametrize("form", [data_url(RED), {"url": data_url(RED)}], ids=["string", "object"])
def test_an_image_url_may_be_a_bare_string(form: object) -> None:
    """An `image_url` may be an object, as in the contract, or a string, as some gateways send
    it.
    """
    item = {"image_url": form}
    assert good(whole(completion(images=None) | message(images=[item]))).image.data == RED


def test_an_https_image_is_not_downloaded() -> None:
    """An image that the gateway sends as an https URL is kept as a URL and not downloaded."""
    reply = good(read(chunk(None, "https://example.com/dog.png"), FINISH))
    assert reply.image.url == "https://example.com/dog.png"
    assert reply.image.content is None


RAW_URLS = {
    "escaped-slashes": json.dumps(data_url(RED)).replace("/", "\\/"),
    "unicode-escapes": json.dumps(data_url(RED)).replace("A", "\\u0041").replace("d", "\\u0064"),
    "line-breaks": json.dumps(data_url(RED)[:40] + "\r\n" + data_url(RED)[40:] + "\n"),
    "parameters": json.dumps(data_url(RED).replace(";", ";name=a b.png;charset=utf-8;", 1)),
    "upper-case": json.dumps(
        data_url(RED).replace("data:image/png;base64", "DATA:IMAGE/PNG;BASE64")
    ),
    "no-type": json.dumps(data_url(RED).replace("image/png", "")),
    "wrong-type": json.dumps(data_url(RED).replace("png", "jpeg")),
}


@pytest.mark.parametrize("raw", RAW_URLS.values(), ids=RAW_URLS)
@pytest.mark.parametrize("streamed", [True, False])
def test_every_spelling_of_a_data_url_gives_the_same_bytes(raw: str, *, streamed: bool) -> None:
    """JSON escapes, line breaks, parameters, case and a wrong media type change no byte of an
    image.
    """
    body = as_json(chunk(None, "URL", finish="stop")).replace(b'"URL"', raw.encode())
    if streamed:
        result = Read(b"data: " + body + b"\n\n")
    else:
        result = Read(body.replace(b'"delta"', b'"message"'), headers=JSON)
    image = good(result).image
    assert image.data == RED
    assert image.media_type == "image/png"


def test_an_image_of_an_unknown_format_is_kept() -> None:
    """The bytes of an image in an unknown format are returned unchanged."""
    image = good(read(chunk(None, data_url(b"\0JXL?")), FINISH)).image
    assert (image.data, image.media_type, image.suffix) == (
        b"\0JXL?",
        "application/octet-stream",
        ".bin",
    )


BROKEN_IMAGES = {
    "no-bytes": "data:image/png;base64,",
    "cut": data_url(RED).rstrip("=")[:-1],
    "letters": data_url(RED) + "!?",
    "too-much-padding": "data:image/png;base64,AA===",
    "not-base64": "data:image/png,abc",
    "no-comma": "data:image/png;base64",
    "empty": "",
    "file": "file:///etc/passwd",
    "broken-host": "https://[broken",
    "script": "javascript:alert(1)",
}


@pytest.mark.parametrize("url", BROKEN_IMAGES.values(), ids=BROKEN_IMAGES)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_broken_image_raises_and_loses_nothing(url: str, *, streamed: bool) -> None:
    """An image that can't be decoded raises an error with the preceding text and images."""
    if streamed:
        result = read(chunk("Here:", RED), chunk(None, url), FINISH)
    else:
        result = whole(completion("Here:", RED, url))
    error = failed(result, InvalidImageError)
    assert error.partial is not None
    assert (error.partial.text, error.partial.image.data) == ("Here:", RED)


def test_an_images_entry_without_an_image_raises() -> None:
    """An entry of `images` without an image raises MalformedReplyError instead of being dropped."""
    failed(read(chunk("Here:", delta={"images": [{"seed": 7}]}), FINISH), MalformedReplyError)
    failed(read(chunk(delta={"images": [None]}), FINISH), MalformedReplyError)


def test_an_image_has_its_provenance() -> None:
    """The provenance of an image has the model that answered, the prompt, the request id and the
    time.
    """
    made = good(read(chunk(None, RED, model="used", created=1730000000), FINISH)).image.provenance
    assert made is not None
    assert (made.model, made.prompt, made.request_id) == ("used", "a dog", "r-1")
    assert made.created == datetime.fromtimestamp(1730000000, UTC)


def test_provenance_falls_back_to_the_requested_model() -> None:
    """If the reply names no model, as in Emby's own examples, the provenance has the requested
    one.
    """
    made = good(whole(message(images=[{"image_url": {"url": data_url(RED)}}]))).image.provenance
    assert made is not None
    assert (made.model, made.created) == ("asked", None)


# ---- text, reasoning, parts, refusals, citations


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_by_either_name(name: str) -> None:
    """Reasoning is read from `reasoning` and from the older `reasoning_content`."""
    result = read(chunk(delta={name: "Let me "}), chunk(delta={name: "see."}), chunk("4"), FINISH)
    assert good(result).reasoning == "Let me see."
    assert result.events[:3] == [ReasoningDelta("Let me "), ReasoningDelta("see."), TextDelta("4")]
    assert good(whole(message(content="4", **{name: "Let me see."}))).reasoning == "Let me see."


def test_reasoning_under_both_names_counts_once() -> None:
    """Reasoning that a gateway sends under both names is counted once."""
    assert good(whole(message(content="4", reasoning="a", reasoning_content="a"))).reasoning == "a"


def test_content_as_an_array_of_parts() -> None:
    """Text and images are read from an array of content parts, as some gateways send them."""
    parts = [
        {"type": "text", "text": "Here: "},
        {"type": "image_url", "image_url": {"url": data_url(RED)}},
        {"type": "text", "text": "done."},
    ]
    for result in (whole(message(content=parts)), read(chunk(delta={"content": parts}), FINISH)):
        reply = good(result)
        assert (reply.text, reply.image.data) == ("Here: done.", RED)


def test_a_part_of_an_unknown_type_raises() -> None:
    """A content part of an unknown type, such as audio, raises an error that keeps the text."""
    parts = [{"type": "text", "text": "Listen:"}, {"type": "audio"}]
    error = failed(whole(message(content=parts)), MalformedReplyError)
    assert "'audio'" in error.message
    assert error.partial is not None
    assert error.partial.text == "Listen:"


def test_a_refusal_is_text() -> None:
    """A refusal of the model becomes the text of the reply."""
    assert good(whole(message(content=None, refusal="I can't."))).text == "I can't."


def test_annotations_become_citations() -> None:
    """Annotations become citations, and a malformed one does not affect the others."""
    cited = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A"}}
    odd = {"url_citation": {"url": None, "title": None}}
    reply = good(whole(message(content="x", annotations=[cited, odd, "loose"])))
    assert reply.citations == (
        Citation("https://a.example", "A"),
        Citation(""),
        Citation("", "loose"),
    )
    assert good(whole(message(content="x", annotations=None))).citations == ()


NOTHING_MUCH: dict[str, dict[str, Any]] = {
    "nulls": {"role": None, "content": None, "images": None, "tool_calls": None},
    "empty": {"content": "", "images": [], "tool_calls": [], "reasoning": ""},
    "bare": {},
}


@pytest.mark.parametrize("delta", NOTHING_MUCH.values(), ids=NOTHING_MUCH)
def test_an_empty_delta_creates_no_event(delta: dict[str, Any]) -> None:
    """Null, empty and absent fields of a delta create no event."""
    result = read(chunk(delta=delta), chunk("Hi"), FINISH)
    assert result.events == [TextDelta("Hi"), Finished(good(result))]


# ---- tool calls

SUM = ToolCall("t1", "add", '{"a": 1}')
TIME = ToolCall("t2", "now", "{}")


CALLS: dict[str, list[dict[str, Any]]] = {
    "fragments": [
        called(call("add", "", index=0, id="t1", type="function")),
        called(call(None, '{"a"', index=0)),
        called(call("now", "", index=1, id="t2")),
        called(call(None, ": 1}", index=0), call(None, "{}", index=1)),
    ],
    "whole-in-one-chunk": [
        called(call("add", '{"a": 1}', index=0, id="t1"), call("now", "{}", index=1, id="t2"))
    ],
    "without-index": [called(call("add", '{"a": 1}', id="t1"), call("now", "{}", id="t2"))],
    "without-index-in-two-chunks": [
        called(call("add", '{"a": 1}', id="t1")),
        called(call("now", "{}", id="t2")),
    ],
    "fragments-by-id": [
        called(call("add", '{"a"', id="t1")),
        called(call("now", "{}", id="t2")),
        called(call(None, ": 1}", id="t1")),
    ],
    "fragments-without-anything": [
        called(call("add", '{"a"', id="t1")),
        called(call(None, ": 1}")),
        called(call("now", None, id="t2")),
    ],
    "one-index-for-all": [
        called(call("add", '{"a": 1}', index=0, id="t1")),
        called(call("now", "{}", index=0, id="t2")),
    ],
    "one-index-for-all-in-fragments": [
        called(call("add", "", index=0, id="t1")),
        called(call(None, '{"a": 1}', index=0)),
        called(call("now", "", index=0, id="t2")),
        called(call(None, "{}", index=0)),
    ],
    "one-index-for-all-by-id": [
        called(call("add", '{"a"', index=0, id="t1")),
        called(call("now", "", index=0, id="t2")),
        called(call(None, ": 1}", index=0, id="t1")),
        called(call(None, "{}", index=0, id="t2")),
    ],
    "placeholder-ids": [
        called(call("add", '{"a"', index=0, id="t1")),
        called(call(None, ": 1}", index=0, id="null")),
        called(call("now", "{}", index=1, id="t2")),
    ],
    "name-in-every-fragment": [
        called(call("add", '{"a"', index=0, id="t1")),
        called(call("add", ": 1}", index=0, id="t1")),
        called(call("now", "{}", index=1, id="t2")),
    ],
    "name-later": [
        called(call(None, '{"a": 1}', index=0, id="t1")),
        called(call("add", None, index=0), call("now", "{}", index=1, id="t2")),
    ],
    "backwards": [
        called(call("now", "{}", index=1, id="t2")),
        called(call("add", '{"a": 1}', index=0, id="t1")),
    ],
}


@pytest.mark.parametrize("chunks", CALLS.values(), ids=CALLS)
def test_tool_calls_of_every_form(chunks: list[dict[str, Any]]) -> None:
    """Tool calls in fragments or whole, with or without index or id, give the same two calls."""
    result = read(*chunks, chunk(finish="tool_calls"))
    assert good(result).tool_calls == (SUM, TIME)
    assert result.reply.finish_reason == "tool_calls"


@pytest.mark.parametrize("chunks", CALLS.values(), ids=CALLS)
def test_tool_call_deltas_join_to_the_calls(chunks: list[dict[str, Any]]) -> None:
    """Joining the fields of the deltas, as hosts do, gives the complete tool calls."""
    joined: dict[int, list[str]] = {}
    for event in read(*chunks, chunk(finish="tool_calls")).events:
        if isinstance(event, ToolCallDelta):
            there = joined.setdefault(event.index, ["", "", ""])
            fragment = (event.id, event.name, event.arguments)
            joined[event.index] = [a + b for a, b in zip(there, fragment, strict=True)]
    calls = [ToolCall(i, n, a or "{}") for _, (i, n, a) in sorted(joined.items())]
    assert calls == [SUM, TIME]


def test_calls_of_one_id_and_index_are_distinguished_by_name() -> None:
    """A fragment with the same id and index belongs to the most recently named call."""
    fragments = [
        call("add", "", index=0, id="t1"),
        call(None, '{"a": 1}', index=0, id="t1"),
        call("now", "", index=0, id="t1"),
        call(None, "{}", index=0, id="t1"),
        call("now", "", index=1, id="t1"),
    ]
    calls = good(read(*map(called, fragments), FINISH)).tool_calls
    assert calls == (SUM, ToolCall("t1", "now", "{}"), ToolCall("t1", "now", "{}"))


@pytest.mark.parametrize("index", [0, None])
@pytest.mark.parametrize("id_", ["t1", ""])
def test_two_whole_calls_of_one_id_are_two(id_: str, index: int | None) -> None:
    """Complete calls with the same id or none are kept apart, streamed in any chunks or not."""
    for pair in (('{"a": 1}', '{"a": 2}'), ("{}", "{}")):
        calls = [call("add", arguments, id=id_, index=index) for arguments in pair]
        for result in (
            whole(message(tool_calls=calls)),
            whole({**message(tool_calls=calls), "usage": {"odd": "\ud800"}}),
            read(called(*calls), FINISH),
            read(*map(called, calls), FINISH),
        ):
            found = good(result).tool_calls
            assert [(c.name, c.arguments) for c in found] == [("add", args) for args in pair]
            assert [c.id for c in found] == ([id_] * 2 if id_ else ["call_0", "call_1"])


def test_arguments_may_be_an_object() -> None:
    """Arguments sent as a JSON object instead of a string become its JSON string."""
    reply = good(whole(message(tool_calls=[call("add", {"a": 1}, id="t1")])))
    assert reply.tool_calls[0].args == {"a": 1}


def test_calls_without_id_or_index_are_distinguished_by_name() -> None:
    """Tool calls without id or index are distinguished by name and get unique ids."""
    calls = [call("add", "{}"), call("now", "{}")]
    for result in (whole(message(tool_calls=calls)), read(called(*calls), FINISH)):
        assert [(c.id, c.name) for c in good(result).tool_calls] == [
            ("call_0", "add"),
            ("call_1", "now"),
        ]


# ---- usage and the rest

USAGES: dict[str, tuple[Any, Usage | None]] = {
    "plain": ({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, Usage(1, 2, 3)),
    "no-total": ({"prompt_tokens": 1, "completion_tokens": 2}, Usage(1, 2, 3)),
    "empty": ({}, Usage()),
    "null": (None, None),
    "no-object": ([1], None),
    "reasoning": ({"reasoning_tokens": 7}, Usage(reasoning_tokens=7)),
    "reasoning-details": (
        {"completion_tokens_details": {"reasoning_tokens": 7}},
        Usage(reasoning_tokens=7),
    ),
    "cached": ({"prompt_tokens_details": {"cached_tokens": 5}}, Usage(cached_tokens=5)),
    "details-null": ({"prompt_tokens_details": None, "prompt_tokens": 1}, Usage(1, 0, 1)),
    "cost": ({"cost": 0.25, "cost_details": {"x": 1}}, Usage(cost=0.25)),
    "cost-usd": ({"cost_usd_total": 0.5, "cost_usd_input": 0.1}, Usage(cost=0.5)),
    "cost-null": ({"cost_usd_total": None, "cost": None}, Usage()),
    "odd": (
        {"prompt_tokens": "many", "completion_tokens": -1, "total_tokens": 1e300, "cost": "free"},
        Usage(),
    ),
    "huge": ({"cost": 10**400, "prompt_tokens": 10**400}, Usage()),
    "negative": ({"cost": -(10**400), "prompt_tokens": -1}, Usage()),
}


@pytest.mark.parametrize(("wire", "usage"), USAGES.values(), ids=USAGES)
def test_usage_of_every_form(wire: object, usage: Usage | None) -> None:
    """Tokens and cost are read in the form of each gateway; malformed values count as absent."""
    assert good(whole(completion("Hi", usage=wire))).usage == usage
    assert good(read(chunk("Hi"), chunk(finish="stop", usage=wire))).usage == usage


def test_the_last_usage_wins() -> None:
    """The last usage that is not null is used, even in a chunk without choices."""
    reply = good(
        read(
            chunk("Hi", usage={"prompt_tokens": 1}),
            chunk(finish="stop", usage={"prompt_tokens": 2}),
            {"choices": [], "usage": {"prompt_tokens": 3}},
            {"choices": [], "usage": None},
        )
    )
    assert reply.usage == Usage(prompt_tokens=3, total_tokens=3)


FIRST = {
    "prompt_tokens": 12,
    "completion_tokens": 7,
    "total_tokens": 19,
    "completion_tokens_details": {"reasoning_tokens": 4},
    "prompt_tokens_details": {"cached_tokens": 5},
}
AMENDED = {
    "without-details": ({"prompt_tokens": 12, "completion_tokens": 7}, Usage(12, 7, 19, 4, 5)),
    "with-cost": ({"cost_usd_total": 6e-6}, Usage(12, 7, 19, 4, 5, cost=6e-6)),
    "filled-with-0": (
        {
            "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": 0},
            "prompt_tokens_details": {"cached_tokens": 0},
            "cost": 7e-6,
        },
        Usage(12, 7, 19, 4, 5, cost=7e-6),
    ),
    "null-details": ({"completion_tokens_details": None}, Usage(12, 7, 19, 4, 5)),
    "other-count": (
        {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 2}},
        Usage(12, 9, 21, 2, 5),
    ),
}


@pytest.mark.parametrize(("later", "usage"), AMENDED.values(), ids=AMENDED)
def test_a_later_usage_amends_the_first(later: object, usage: Usage) -> None:
    """A later usage replaces the fields that it contains and keeps the others."""
    chunks = (chunk("Hi", usage=FIRST), chunk(finish="stop"), {"choices": [], "usage": later})
    assert good(read(*chunks)).usage == usage


def test_id_and_model_may_change_between_chunks() -> None:
    """The last id and model that are not empty are used."""
    reply = good(
        read(
            chunk("a", id="1", model="x"),
            chunk("b", id="2", model="emby/x"),
            chunk(finish="stop", id="", model=None),
        )
    )
    assert (reply.id, reply.model, reply.text) == ("2", "emby/x", "ab")


def test_malformed_informational_fields_do_not_fail_a_reply() -> None:
    """Informational fields of an unexpected type are ignored or converted to text."""
    odd = {
        "id": 7,
        "model": ["m"],
        "created": "now",
        "metadata": 5,
        "system_fingerprint": 1,
        "new": {},
    }
    reply = good(whole(completion("Hi") | odd))
    assert (reply.text, reply.id, reply.model, reply.created) == ("Hi", "7", "", None)


def test_informational_fields_are_kept() -> None:
    """Routing metadata, time, fingerprint and request id are kept in the reply."""
    top = {"created": 1.9e9, "metadata": {"used_model": "q"}, "system_fingerprint": "emby-mock"}
    reply = good(whole(completion("Hi", **top)))
    assert reply.metadata == {"used_model": "q"}
    assert (reply.created, reply.system_fingerprint) == (1_900_000_000, "emby-mock")
    assert reply.request_id == "r-1"


def test_the_minimal_documented_reply_is_accepted() -> None:
    """A reply without usage, id, finish reason or index, as in Emby's own examples, is accepted."""
    reply = good(whole({"choices": [{"message": {"content": "Hi"}}]}))
    assert reply == ChatReply(text="Hi", request_id="r-1")
