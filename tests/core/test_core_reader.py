"""How replies end, and malformed replies: CONTRACT.md, sections 4 to 6."""

import base64
import gzip
import re
import zlib
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from core_help import BLUE, FINISH, RED, Read, call, called, failed, good, read, whole
from hypothesis import given, strategies as st
from support import JSON, STREAM, as_json, chunk, completion, data_url, sse

from emby_plugins import (
    APIError,
    BadRequestError,
    EmbyError,
    Finished,
    Limits,
    MalformedReplyError,
    RateLimitError,
    ReasoningDelta,
    ReplyTooLargeError,
    ServerError,
    TextDelta,
    ToolCallDelta,
    TruncatedReplyError,
)
from emby_plugins._protocol.body import BodyReader, Inflater
from emby_plugins._protocol.errors import error_from_event, error_from_response
from emby_plugins._protocol.models import parse_models
from emby_plugins._protocol.reader import ReplyReader

# ---- how streams end


def test_data_after_the_first_done_is_ignored() -> None:
    """A stream ends at the first `[DONE]`, and data after it is ignored."""
    result = read(chunk("Hi"), FINISH, b"event: done\ndata: [DONE]\n\n", chunk("?"))
    assert good(result).text == "Hi"
    assert [type(event) for event in result.events] == [TextDelta, Finished]


def test_done_may_be_missing_after_a_finish_reason() -> None:
    """A stream with a finish reason needs no `[DONE]`."""
    assert good(read(chunk("Hi"), FINISH, done=False)).text == "Hi"


@pytest.mark.parametrize("done", [True, False], ids=["with-done", "without-done"])
def test_a_stream_without_a_finish_reason_is_truncated(*, done: bool) -> None:
    """A stream without a finish reason is truncated even after `[DONE]`, with the partial reply."""
    error = failed(read(chunk("Here:", RED), chunk("and"), done=done), TruncatedReplyError)
    assert error.partial is not None
    assert (error.partial.text, error.partial.image.data) == ("Here:and", RED)
    assert "error.partial" in error.hint


def test_a_stream_cut_within_an_image_keeps_the_rest() -> None:
    """A stream cut within an image keeps everything before, and the image if its base64 is
    complete.
    """
    frame = sse(chunk(None, BLUE), done=False)
    before = sse(chunk("Here:", RED), done=False)
    end = frame.index(b'"', frame.index(b";base64,"))
    for cut in range(7, len(frame) - 2, 9):
        error = failed(Read(before + frame[:cut]), TruncatedReplyError)
        assert error.partial is not None
        arrived = [RED] if cut <= end else [RED, BLUE]
        assert [i.data for i in error.partial.images] == arrived, cut


def test_a_last_frame_without_its_blank_line_is_read() -> None:
    """A last frame that lacks only its blank line is read."""
    assert good(Read(sse(chunk("Hi"), FINISH, done=False).rstrip())).text == "Hi"
    assert good(Read(sse(chunk("Hi"), FINISH).rstrip())).text == "Hi"


@pytest.mark.parametrize("end", [b"data", b"data:", b"data: [DO", b"event: do", b": pi"])
def test_a_cut_without_loss_of_content_is_not_a_truncation(end: bytes) -> None:
    """A cut within `[DONE]` or a ping after the finish reason is not a truncation."""
    assert good(Read(sse(chunk("Hi"), FINISH, done=False) + end)).text == "Hi"
    failed(Read(sse(chunk("Hi"), done=False) + end), TruncatedReplyError)


def test_pings_are_ignored() -> None:
    """Pings with one newline and without a blank line are ignored."""
    assert good(read(b": ping\n", chunk("H"), b": ping\n: ping\n", chunk("i"), FINISH)).text == "Hi"


@pytest.mark.parametrize("headers", [STREAM, JSON], ids=["stream", "json"])
def test_an_empty_body_is_a_truncated_reply(headers: dict[str, str]) -> None:
    """An empty body under status 200 is a truncated reply without a partial one."""
    for body in (b"", b" \n"):
        assert failed(Read(body, headers=headers), TruncatedReplyError).partial is None


def test_json_cut_short_is_a_truncated_reply() -> None:
    """JSON cut anywhere is a truncated reply."""
    body = as_json(completion("Grüße", RED))
    for cut in range(1, len(body), 13):
        failed(Read(body[:cut], headers=JSON), TruncatedReplyError)


# ---- malformed replies and errors under status 200


@pytest.mark.parametrize(
    "frame",
    [
        b'event: error\ndata: {"error": {"message": "Overloaded", "type": "overloaded"}}\n\n',
        b'data: {"error": {"message": "Overloaded", "code": 529}}\n\n',
        b'event: error\ndata: {"message": "Overloaded", "status": 529}\n\n',
        b'event: error\ndata: {"error": true, "status": 529, "message": "Overloaded"}\n\n',
        b'event: error\ndata: {"error": {"message": "Overloaded", "type": "overloaded"}}',
    ],
    ids=["typed-event", "bare", "flat", "flat-observed", "unended"],
)
def test_an_error_in_mid_stream_has_the_partial_reply(frame: bytes) -> None:
    """An error in mid-stream, in each form, has its own status and message and the partial
    reply.
    """
    result = Read(sse(chunk("Here:", RED), done=False) + frame)
    error = failed(result, ServerError)
    assert isinstance(error, APIError)
    assert (error.message, error.status) == ("Overloaded.", 529)
    assert error.partial is not None
    assert (error.partial.text, error.partial.image.data) == ("Here:", RED)


def test_an_error_event_may_be_plain_text() -> None:
    """An error event may be plain text, as a proxy sends it."""
    error = failed(Read(b"event: error\ndata: upstream died\n\n"), ServerError)
    assert error.message == "upstream died."
    assert error.partial is None


def test_an_error_under_200_is_an_error() -> None:
    """An error object in a body under status 200 raises the error of its own status."""
    error = failed(
        whole({"error": {"message": "Slow down", "type": "rate_limit_error"}}), RateLimitError
    )
    assert isinstance(error, APIError)
    assert error.status == 429
    failed(whole({"error": True, "status": 400, "message": "Bad"}), BadRequestError)


@pytest.mark.parametrize("error", [None, False, ""])
def test_an_empty_error_is_ignored(error: object) -> None:
    """An empty `error` beside a reply is ignored."""
    assert good(whole(completion("Hi", error=error))).text == "Hi"


@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"choices": None}, {"object": "list", "data": []}]
)
def test_a_reply_without_choices_is_malformed(body: object) -> None:
    """A reply without choices is malformed."""
    assert "no choices" in failed(whole(body), MalformedReplyError).message


def test_a_second_choice_is_refused() -> None:
    """A second choice raises an error that has the first one."""
    second = {"index": 1, "message": {"content": "two"}, "finish_reason": "stop"}
    body = completion("one")
    body["choices"].append(second)
    error = failed(whole(body), MalformedReplyError)
    assert error.partial is not None
    assert error.partial.text == "one"
    assert "n=1" in error.hint


GARBAGE: dict[str, bytes] = {
    "html": b"<html>502</html>",
    "text": b"hello",
    "array": b"[1, 2]",
    "number": b"7",
    "null": b"null",
    "no-list": b'{"choices": {"0": {}}}',
    "content-number": b'{"choices": [{"delta": {"content": 5}}]}',
    "url-number": b'{"choices": [{"delta": {"images": [{"image_url": {"url": 5}}]}}]}',
    "bad-utf8": b'{"choices": [{"delta": {"images": "\xff"}}]}',
    "two-values": b'{"choices": []}{"choices": []}',
    "no-number": b'{"choices": [], "created": nought}',
}


DEEP = b'"usage": %b, "extra": %b' % (
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
)


@pytest.mark.parametrize("frame", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_malformed_and_keeps_the_partial_reply(frame: bytes) -> None:
    """A frame that is not a chunk raises a short error with the partial reply."""
    error = failed(Read(sse(chunk("Hi"), b"data: " + frame + b"\n\n")), MalformedReplyError)
    assert error.partial is not None
    assert error.partial.text == "Hi"
    assert len(str(error)) < 400
    failed(Read(frame.replace(b"delta", b"message"), headers=JSON), MalformedReplyError)


def test_json_of_any_depth_is_tolerated() -> None:
    """Informational fields nested a hundred thousand levels deep are ignored."""
    body = as_json(chunk("Hi", RED, finish="stop"))[:-1] + b", " + DEEP + b"}"
    assert good(Read(b"data: " + body + b"\n\n")).image.data == RED
    whole = body.replace(b'"delta"', b'"message"')
    assert good(Read(whole, headers=JSON)).text == "Hi"
    failed(Read(whole[:-50_000], headers=JSON), TruncatedReplyError)


def test_lone_surrogates_become_replacement_characters() -> None:
    """Lone surrogates become replacement characters, and the rest of the reply is kept."""
    body = as_json(chunk("a\ud800b", RED, finish="stop"))
    assert b"\\ud800" in body
    reply = good(Read(b"data: " + body + b"\n\n"))
    assert (reply.text, reply.image.data) == ("a\ufffdb", RED)
    assert good(read(chunk("🐶"), FINISH)).text == "🐶"


def test_a_split_surrogate_pair_is_one_character() -> None:
    """A surrogate pair split across chunks becomes one character, and a lone half U+FFFD."""

    def deltas(text: str) -> list[dict[str, Any]]:
        fields = {"content": text, "reasoning": text, "tool_calls": [call(None, text, index=0)]}
        return [chunk(delta={name: value}) for name, value in fields.items()]

    cuts = {
        ("a\ud83d", "\ude00b"): "a😀b",
        ("\ud83d", "\ude00\ud83d", "\ude00"): "😀😀",
        ("a\ud83d", "b"): "a\ufffdb",
        ("\ud83d", "\ud83d\ude00"): "\ufffd😀",
        ("\ude00", "\ud83d"): "\ufffd\ufffd",
    }
    for pieces, text in cuts.items():
        result = read(*(delta for piece in pieces for delta in deltas(piece)), FINISH)
        reply = good(result)
        assert (reply.text, reply.reasoning, reply.tool_calls[0].arguments) == (text,) * 3
        for kind in (TextDelta, ReasoningDelta):
            shown = [event.text for event in result.events if isinstance(event, kind)]
            assert "".join(shown) == text
            assert all(shown)
        parts = [event.arguments for event in result.events if isinstance(event, ToolCallDelta)]
        assert "".join(parts) == text
        refused = read(*(chunk(delta={"refusal": piece}) for piece in pieces), FINISH)
        assert good(refused).refusal == refused.reply.text == text


# ---- JSON instead of a stream, compression, limits


def test_content_types_are_normalized() -> None:
    """The content type is read case-insensitively and with its charset."""
    kinds = {"content-type": "Text/Event-Stream; charset=utf-8"}
    assert good(Read(sse(chunk("Hi"), FINISH), headers=kinds)).text == "Hi"
    assert good(Read(as_json(completion("Hi")), headers={})).text == "Hi"


@pytest.mark.parametrize("name", ["gzip", "deflate", "GZIP", "identity", " gzip "])
def test_one_layer_of_compression_is_decoded(name: str) -> None:
    """An unrequested layer of compression is decoded, for any cut."""
    stream = sse(chunk("Hi", RED), FINISH)
    kinds = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}
    body = kinds[name.strip().lower()](stream)
    headers = STREAM | {"content-encoding": name}
    for cut in range(0, len(body), 7):
        assert good(Read(body[:cut], body[cut:], headers=headers)).image.data == RED


@pytest.mark.parametrize("name", ["gzip, gzip", "br", "zstd", "gzip,deflate"])
def test_stacked_and_unknown_compression_is_refused(name: str) -> None:
    """Stacked or unknown compression is refused without unpacking it."""
    with pytest.raises(MalformedReplyError, match="not requested"):
        ReplyReader({"content-encoding": name}, limits=Limits(), model="m", prompt="")


def test_compression_is_bounded() -> None:
    """A compressed body that unpacks to more than the limit is refused early."""
    bomb = gzip.compress(b" " * 5_000_000)
    headers = JSON | {"content-encoding": "gzip"}
    failed(Read(bomb, headers=headers, limits=Limits(wire=100_000)), ReplyTooLargeError)
    reader = BodyReader({"content-encoding": "gzip"}, 100_000)
    with pytest.raises(ReplyTooLargeError):
        reader.feed(bomb)
    assert sum(map(len, Inflater("gzip", 5_000_000)(bomb))) == 5_000_000


def test_broken_compression_is_malformed() -> None:
    """A body that is not compressed as its header claims is malformed."""
    failed(Read(b"plain", headers=JSON | {"content-encoding": "gzip"}), MalformedReplyError)


def test_compression_cut_short_is_a_truncated_reply() -> None:
    """A truncated compressed body is a truncated reply."""
    body = gzip.compress(as_json(completion("Hi", RED)))
    failed(Read(body[:-40], headers=JSON | {"content-encoding": "gzip"}), TruncatedReplyError)


MANY = [chunk("x" * 50, delta={"reasoning": "y" * 50}) for _ in range(3)]
LIMITS: dict[str, tuple[Limits, Iterable[object]]] = {
    "wire": (Limits(wire=200), MANY),
    "event": (Limits(event=50), MANY),
    "image": (Limits(image=30), [chunk(None, b"\x89PNG" * 50)]),
    "images": (Limits(images=1), [chunk(None, RED, BLUE)]),
    "text": (Limits(text=149), MANY),
}


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_is_enforced_and_named(name: str) -> None:
    """Every limit raises an error that names it."""
    limits, chunks = LIMITS[name]
    stream = sse(*chunks, FINISH)
    error = failed(Read(stream, limits=limits), ReplyTooLargeError)
    assert f"Limits({name}=" in error.hint
    assert good(Read(stream)).finish_reason == "stop"


def test_limits_hold_for_unstreamed_replies_too() -> None:
    """The limits apply to replies that are not streamed too."""
    body = completion("x" * 100, RED, BLUE)
    for limits in (Limits(wire=150), Limits(text=99), Limits(images=1), Limits(image=10)):
        failed(whole(body, limits=limits), ReplyTooLargeError)
    good(whole(body, limits=Limits(text=100, images=2)))


def test_tool_arguments_count_as_text() -> None:
    """The arguments of tool calls count toward the text limit."""
    chunks = [called(call("add", "x" * 60, index=0)) for _ in range(3)]
    failed(Read(sse(*chunks), limits=Limits(text=100)), ReplyTooLargeError)


# ---- streamed and not, cut anywhere

texts = st.text(max_size=12)
replies = st.fixed_dictionaries(
    {
        "texts": st.lists(texts, max_size=4),
        "reasoning": st.lists(texts, max_size=2),
        "images": st.lists(st.binary(min_size=1, max_size=30), max_size=3),
        "calls": st.lists(st.tuples(texts, st.lists(texts, max_size=3)), max_size=2),
        "finish": st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
        "usage": st.none() | st.fixed_dictionaries({"prompt_tokens": st.integers(0, 99)}),
    }
)


def as_whole(contents: dict[str, Any]) -> bytes:
    """Return this reply as one JSON object."""
    calls = [
        call(name, "".join(parts), id=f"t{n}") for n, (name, parts) in enumerate(contents["calls"])
    ]
    fields = {
        "content": "".join(contents["texts"]),
        "reasoning": "".join(contents["reasoning"]),
        "images": [{"image_url": {"url": data_url(image)}} for image in contents["images"]],
        "tool_calls": calls,
    }
    choice = {"message": fields, "finish_reason": contents["finish"]}
    return as_json({"id": "c-1", "model": "m", "choices": [choice], "usage": contents["usage"]})


def as_stream(contents: dict[str, Any]) -> bytes:
    """Return this reply as a stream."""
    chunks = [chunk(delta={"reasoning": text}) for text in contents["reasoning"]]
    chunks += [chunk(text) for text in contents["texts"]]
    for n, (name, parts) in enumerate(contents["calls"]):
        chunks.append(called(call(name, "", index=n, id=f"t{n}")))
        chunks += [called(call(None, part, index=n)) for part in parts]
    chunks += [chunk(None, image) for image in contents["images"]]
    return sse(*chunks, chunk(finish=contents["finish"], usage=contents["usage"]))


@given(replies, st.lists(st.integers(0, 4_000), max_size=5))
def test_streamed_and_not_are_the_same_reply(contents: dict[str, Any], at: list[int]) -> None:
    """Any reply, streamed in any pieces, equals the one that was not streamed."""
    stream = as_stream(contents)
    places = [0, *sorted(min(place, len(stream)) for place in at), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    reply = good(Read(*pieces))
    assert reply == good(Read(as_whole(contents), headers=JSON))
    assert [image.data for image in reply.images] == contents["images"]


@given(replies, st.integers(0, 4_000))
def test_a_stream_cut_anywhere_is_complete_or_truncated(contents: dict[str, Any], at: int) -> None:
    """A stream cut anywhere gives the complete reply or an error with a part of it."""
    full = good(Read(as_stream(contents)))
    result = Read(as_stream(contents)[:at])
    if result.error is None:
        assert result.reply == full
    else:
        failed(result, TruncatedReplyError)
        assert full.text.startswith(result.reply.text)
        assert full.images[: len(result.reply.images)] == result.reply.images


def test_an_image_of_any_length_is_exact() -> None:
    """Images of any length, and so with any padding, are decoded exactly."""
    for size in range(1, 40):
        data = bytes(range(200, 200 + size))
        assert base64.b64decode(data_url(data).partition(",")[2]) == data
        assert good(read(chunk(None, data), FINISH)).image.data == data


FIELDS = re.findall(
    r"\w+",
    """
    choices delta message index finish_reason content type text images image_url url
    reasoning tool_calls id function name arguments annotations url_citation usage cost
    prompt_tokens prompt_tokens_details created model metadata error status code issues
    path responseText data
    """,
)
ODD = [10**400, -(10**400), 1e308, "\u00b2\u00b2\u00b2", "\ud800", "https://[x", "data:,", "429"]
leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3) | st.sampled_from(ODD)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(anything, anything, st.sampled_from(FIELDS))
def test_anything_at_all_is_a_reply_or_a_typed_error(one: object, two: object, name: str) -> None:
    """Any JSON as a chunk, a body or an error raises nothing but EmbyError."""
    chunks = [one, {"choices": [{"delta": two}]}, chunk("Hi", delta={name: one}), {name: two}]
    for value in chunks:
        read(value, FINISH)
        whole(value)
        assert str(error_from_event(as_json(value)))
        assert str(error_from_response(400, {}, as_json(value)))
        with suppress(EmbyError):
            parse_models(as_json({"data": [{"id": "m", name: value}, value]}))
