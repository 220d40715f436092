"""Everything that arrived is kept: unusual spellings, odd fields, bad entries and truncation."""

import base64
import json
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from core_help import FINISH, Read, failed, good, message, whole
from support import (
    JSON,
    STREAM,
    ChatCaller,
    ScriptedBackend,
    as_asked,
    as_json,
    chunk,
    data_url,
    image_item,
    picture,
    sse,
)

from emby_plugins import (
    EmbyConnectionError,
    EmbyError,
    ImageReceived,
    InvalidImageError,
    Limits,
    MalformedReplyError,
    ServerError,
    TruncatedReplyError,
)
from emby_plugins._protocol.loose_json import Document
from emby_plugins._protocol.reader import ReplyReader

IMAGE = picture("red", format="JPEG") + b"?"
OTHER = picture("blue")
B64 = base64.b64encode(IMAGE).decode()
URL = data_url(IMAGE, "image/jpeg")
assert B64.endswith("=")

SPELLINGS: dict[str, Any] = {
    "documented": {"type": "image_url", "image_url": {"url": URL}},
    "string": URL,
    "url": {"url": URL},
    "image-url-string": {"image_url": URL},
    "url-behind-detail": {"image_url": {"detail": "auto", "url": URL}},
    "b64-json": {"b64_json": B64},
    "bare-base64": B64,
    "bare-base64-as-url": {"image_url": {"url": B64}},
    "unpadded": {"image_url": {"url": URL.rstrip("=")}},
    "url-safe": {"image_url": {"url": "data:image/jpeg;base64," + B64.translate({43: 45, 47: 95})}},
    "percent-encoded": {"image_url": {"url": "data:image/jpeg;base64," + quote(B64, safe="")}},
    "all-percent-encoded": {"image_url": {"url": quote(URL, safe="")}},
    "leading-space": {"image_url": {"url": " " + URL}},
    "white-space": {"image_url": {"url": f"\n{URL[:60]}\r\n {URL[60:]}\n"}},
    "space-after-comma": {"image_url": {"url": URL.replace(",", ", ")}},
    "parameters": {"image_url": {"url": URL.replace(";", ";name=a.jpg;charset=utf-8;")}},
    "image-string": {"type": "image", "image": URL},
    "image-object": {"type": "image", "image": {"url": URL}},
    "anthropic": {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/jpeg", "data": B64},
    },
    "google": {"inlineData": {"mimeType": "image/jpeg", "data": B64}},
    "google-snake": {"inline_data": {"mime_type": "image/jpeg", "data": B64}},
    "langchain": {"type": "image", "base64": B64, "mime_type": "image/jpeg"},
    "vercel": {"type": "file", "mediaType": "image/jpeg", "data": B64},
    "responses": {"type": "image_generation_call", "id": "ig_1", "result": B64},
    "unheard-of": {"picture": {"payload": {"bytes_as_text": B64}}},
}
WAYS = ("stream", "whole")


def read_reply(way: str, **fields: Any) -> Read:
    """Read a reply with a single message that has these fields."""
    if way == "whole":
        return whole(message(**fields))
    return Read(sse(chunk(delta=fields), FINISH))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SPELLINGS)
def test_an_image_is_read_in_every_spelling(name: str, way: str) -> None:
    """An image in any spelling, in `images`, in content or under a singular key, gives its exact
    bytes.
    """
    entry = SPELLINGS[name]
    shapes: list[dict[str, Any]] = [
        {"content": "Here:", "images": [entry]},
        {"content": "Here:", "images": entry},
        {"content": "Here:", "image": entry},
    ]
    if name not in {"string", "bare-base64", "unheard-of"}:
        # In content, a string is text, and an entry that does not identify itself as an image is
        # none.
        shapes.append({"content": [{"type": "text", "text": "Here:"}, entry]})
    for fields in shapes:
        result = read_reply(way, **fields)
        reply = good(result)
        assert reply.text == "Here:"
        assert [image.content for image in reply.images] == [IMAGE]
        shown = [e.image.content for e in result.events if isinstance(e, ImageReceived)]
        assert shown == [IMAGE]


@pytest.mark.parametrize("way", WAYS)
def test_a_data_url_among_content_is_an_image(way: str) -> None:
    """A data URL as an entry of `content` is an image, and any other string is text."""
    reply = good(read_reply(way, content=["Here:", URL]))
    assert (reply.text, reply.image.content) == ("Here:", IMAGE)


def test_base64_of_an_unknown_format_needs_an_image_key() -> None:
    """Base64 of an unknown format is an image under `b64_json`, but not as a plain string."""
    encoded = base64.b64encode(b"\xff\x0a and so on").decode()
    assert (
        good(read_reply("whole", images=[{"b64_json": encoded}])).image.data
        == b"\xff\x0a and so on"
    )
    error = failed(read_reply("whole", images=[encoded]), MalformedReplyError)
    assert error.partial is not None
    assert error.partial.unread == (as_json(encoded),)


def test_an_svg_need_not_be_base64() -> None:
    """A data URL of an SVG may be percent-encoded text."""
    reply = good(read_reply("whole", images=["data:image/svg+xml,%3Csvg%2F%3E"]))
    assert reply.image.data == b"<svg/>"


def test_audio_is_not_an_image() -> None:
    """An audio part is kept as it was received and not read as an image."""
    sound = {"type": "audio", "audio": {"format": "wav", "data": "UklGRiQAAABXQVZF"}}
    error = failed(
        read_reply("whole", content=[{"type": "text", "text": "x"}, sound]), MalformedReplyError
    )
    assert error.partial is not None
    assert (error.partial.text, error.partial.images) == ("x", ())
    assert error.partial.unread == (as_json(sound),)


INFORMING: dict[str, str] = {
    "nan": '"usage": {"cost": NaN, "prompt_tokens": 3}',
    "infinity": '"usage": {"cost": -Infinity}, "created": Infinity',
    "usage-list": '"usage": [1, 2]',
    "usage-string": '"usage": "many"',
    "ids": '"id": {"a": 1}, "model": ["m"], "created": "now", "system_fingerprint": 7',
    "id-number": '"id": 7.5, "object": NaN',
    "metadata": '"metadata": [NaN]',
    "error-empty": '"error": {}',
    "surrogate": '"service_tier": "\\ud800"',
    "control": '"provider": "a\tb"',
    "choices-twice": '"extra": [{"choices": [5]}]',
}
ODD_CHOICES: dict[str, dict[str, Any]] = {
    "finish-number": {"finish_reason": 5},
    "finish-object": {"finish_reason": {"type": "stop"}},
    "finish-true": {"finish_reason": True},
    "index-string": {"index": "0"},
    "index-float": {"index": 0.0},
    "logprobs": {"logprobs": [[[]]]},
}
ODD_FIELDS: dict[str, dict[str, Any]] = {
    "role": {"role": 5},
    "annotations": {"annotations": {"a": float("nan")}},
    "annotation": {"annotations": [5, None, {"url_citation": 7}]},
    "reasoning-object": {"reasoning": {"effort": "high"}},
    "reasoning-details": {"reasoning_details": [{"type": "reasoning.encrypted", "data": "AAAA"}]},
    "tool-calls-null": {"tool_calls": None},
    "tool-calls-empty-object": {"tool_calls": {}},
    "refusal-null": {"refusal": None},
    "image-null": {"image": None, "audio": None},
    "image-empty": {"image": "", "image_url": {}},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [*INFORMING, *ODD_CHOICES, *ODD_FIELDS])
def test_odd_informational_fields_are_tolerated(name: str, way: str) -> None:
    """Odd values in informational fields affect neither the image nor the text, and raise
    nothing.
    """
    finish = {"finish_reason": "stop", **ODD_CHOICES.get(name, {})}
    fields = {"content": "Here:", "images": [image_item(IMAGE)], **ODD_FIELDS.get(name, {})}
    kind = "message" if way == "whole" else "delta"
    body = json.dumps({"choices": [{kind: fields, **finish}]})
    if name in INFORMING:
        body = body[:-1] + ", " + INFORMING[name] + "}"
    result = Read(body.encode(), headers=JSON)
    if way == "stream":
        result = Read(f"data: {body}\n\ndata: [DONE]\n\n".encode())
    reply = good(result)
    assert (reply.text, reply.image.content) == ("Here:", IMAGE)
    assert reply.unread == ()


def test_an_odd_finish_reason_counts() -> None:
    """A number as finish reason ends the reply, and false does not."""
    assert good(Read(sse(chunk("Hi"), chunk(finish=5)))).finish_reason == "5"
    failed(Read(sse(chunk("Hi"), chunk(finish=False))), TruncatedReplyError)


BAD_ENTRIES: dict[str, tuple[dict[str, Any], type[EmbyError]]] = {
    "number": ({"images": [5]}, MalformedReplyError),
    "null": ({"images": [None]}, MalformedReplyError),
    "empty": ({"images": [{}]}, MalformedReplyError),
    "broken-base64": ({"images": [image_item("data:image/png;base64,A")]}, InvalidImageError),
    "letters": ({"images": [image_item(URL + "!?")]}, InvalidImageError),
    "no-bytes": ({"images": [image_item("data:image/png;base64,")]}, InvalidImageError),
    "file": ({"images": [image_item("file:///etc/passwd")]}, InvalidImageError),
    "unknown-part": (
        {"content": [{"type": "video", "video": {"frames": []}}]},
        MalformedReplyError,
    ),
    "content-number": ({"content": 5}, MalformedReplyError),
    "audio": ({"audio": {"data": "AAAA"}}, MalformedReplyError),
    "tool-calls-number": ({"tool_calls": 5}, MalformedReplyError),
    "tool-call-string": ({"tool_calls": ["add"]}, MalformedReplyError),
    "tool-function-string": ({"tool_calls": [{"function": "add"}]}, MalformedReplyError),
}


@pytest.mark.parametrize(("way", "place"), [*product(WAYS, ("before", "after", "beside"))])
@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_a_bad_entry_keeps_the_good_ones(name: str, way: str, place: str) -> None:
    """The error of a bad entry keeps image, text and usage before, after or beside it."""
    fields, kind = BAD_ENTRIES[name]
    good_fields = {"content": "Here:", "images": [image_item(IMAGE)]}
    if place == "beside" and not fields.keys() & good_fields.keys():
        messages = [fields | good_fields]
    elif place == "beside" and "images" in fields:
        messages = [
            good_fields | {"images": [*fields["images"], image_item(IMAGE), *fields["images"]]}
        ]
    else:
        messages = [fields, good_fields] if place == "before" else [good_fields, fields]
    usage = {"prompt_tokens": 3, "total_tokens": 7}
    if way == "stream":
        deltas = [chunk(delta=fields) for fields in messages]
        result = Read(sse(*deltas, FINISH, {"choices": [], "usage": usage}))
    else:
        choices = [{"message": m, "finish_reason": "stop"} for m in messages]
        result = whole({"choices": choices, "usage": usage})
    error = failed(result, kind)
    assert error.partial is not None
    assert (error.partial.text, error.partial.image.content) == ("Here:", IMAGE)
    assert error.partial.finish_reason == "stop"
    assert error.partial.usage is not None
    assert error.partial.usage.total_tokens == 7
    assert error.partial.unread
    assert "error.partial" in str(error) or "n=1" in str(error)


def test_unreadable_entries_are_kept_as_received() -> None:
    """`unread` has the exact JSON of every bad entry."""
    entry = '{ "shape" : "a\\u00e9" , "n": [1,2] }'
    body = as_json(message(content="x", images=[7])).replace(b"7", f"null, {entry}, 7".encode())
    error = failed(Read(body, headers=JSON), MalformedReplyError)
    assert error.partial is not None
    assert error.partial.unread == (b"null", entry.encode(), b"7")


def test_the_first_problem_is_the_one_that_is_raised() -> None:
    """The first of several problems is raised, after the rest of the reply has been read."""
    stream = sse(
        chunk(None, "data:image/png;base64,A"),
        chunk(delta={"content": [{"type": "video"}]}),
        chunk("and on"),
        FINISH,
    )
    error = failed(Read(stream), InvalidImageError)
    assert error.partial is not None
    assert error.partial.text == "and on"
    assert len(error.partial.unread) == 2


THINKING: dict[str, Any] = {
    "anthropic": {"type": "thinking", "thinking": "Let me see.", "signature": "x"},
    "mistral": {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]},
    "reasoning": {"type": "reasoning", "text": "Let me see."},
    "responses": {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Let me see."}],
    },
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", THINKING)
def test_a_thinking_part_is_reasoning(name: str, way: str) -> None:
    """A reasoning part among content parts becomes the reply's reasoning."""
    parts = [THINKING[name], {"type": "output_text", "text": "Here:"}, image_item(IMAGE)]
    reply = good(read_reply(way, content=[*parts, {"type": "redacted_thinking", "data": "AAAA"}]))
    assert (reply.reasoning, reply.text, reply.image.content) == ("Let me see.", "Here:", IMAGE)


@pytest.mark.parametrize("way", WAYS)
def test_tool_calls_of_odd_shapes_are_read(way: str) -> None:
    """Tool calls of unusual shapes are read."""
    calls = {
        "one": {"id": "t1", "function": {"name": "add", "arguments": {"a": 1}}},
        "flat": [{"type": "function_call", "call_id": "t1", "name": "add", "arguments": '{"a":1}'}],
        "input": [{"id": "t1", "name": "add", "input": {"a": 1}}],
        "index": [{"index": "0", "id": "t1", "function": {"name": "add", "arguments": '{"a":1}'}}],
    }
    for shape in calls.values():
        (call,) = good(read_reply(way, content="Here:", tool_calls=shape)).tool_calls
        assert (call.id, call.name, call.args) == ("t1", "add", {"a": 1})


def test_a_data_url_in_arguments_is_not_replaced() -> None:
    """An object as arguments becomes JSON, with a data URL in it unchanged."""
    arguments = {"image_url": {"url": URL}}
    call = {"id": "t1", "function": {"name": "show", "arguments": arguments}}
    reply = good(read_reply("stream", tool_calls=[call]))
    assert reply.tool_calls[0].args == arguments
    assert reply.images == ()


@pytest.mark.parametrize("way", WAYS)
def test_a_second_choice_is_kept(way: str) -> None:
    """A second choice raises an error that keeps its JSON and its image."""
    second = {"content": "two", "images": [image_item(OTHER)]}
    kind = "message" if way == "whole" else "delta"
    choices = [
        {"index": 1, kind: second, "finish_reason": "stop"},
        {"index": 0, kind: {"content": "one", "images": [image_item(IMAGE)]}},
    ]
    body = {"choices": choices}
    result = whole(body) if way == "whole" else Read(sse(body, FINISH))
    error = failed(result, MalformedReplyError)
    assert "n=1" in error.hint
    assert error.partial is not None
    assert error.partial.text == "one"
    assert [image.content for image in error.partial.images] == [IMAGE, OTHER]
    assert b'"two"' in error.partial.unread[0]


@pytest.mark.parametrize("way", WAYS)
def test_an_image_in_an_unexpected_place_is_received(way: str) -> None:
    """An image in the documented form is read even under an unexpected key."""
    result = read_reply(way, content="Here:", attachments=[image_item(IMAGE)])
    assert good(result).image.content == IMAGE
    assert [e.index for e in result.events if isinstance(e, ImageReceived)] == [0]


def test_an_error_beside_content_keeps_it() -> None:
    """An error object beside content under HTTP 200 raises an error with that content."""
    for headers in (JSON, STREAM):
        kind = "message" if headers is JSON else "delta"
        fields = {"content": "Here:", "images": [image_item(IMAGE)]}
        body = as_json({"choices": [{kind: fields}], "error": {"message": "Overloaded"}})
        body = body if headers is JSON else b"data: " + body + b"\n\n"
        error = failed(Read(body, headers=headers), ServerError)
        assert error.partial is not None
        assert (error.partial.text, error.partial.image.content) == ("Here:", IMAGE)


# ---- through a client


def test_unreadable_entries_are_saved_by_a_client(call_chat: ChatCaller, tmp_path: Path) -> None:
    """With `image_folder`, the error names the file with the unreadable entries and keeps the
    image.
    """
    fields = {"content": "Here:", "images": [5, image_item(IMAGE), {"b64_json": B64 + "!"}]}
    backend = ScriptedBackend(by=as_asked(message(**fields), sse(chunk(delta=fields), FINISH)))
    with pytest.raises(MalformedReplyError) as caught:
        call_chat("Hi", on={**backend.on, "image_folder": tmp_path})
    partial = caught.value.partial
    assert partial is not None
    assert (partial.text, partial.finish_reason, partial.image.data) == ("Here:", "stop", IMAGE)
    assert partial.image.path is not None
    (kept,) = (path for path in tmp_path.iterdir() if path != partial.image.path)
    assert kept.read_bytes() == b"5\n" + as_json({"b64_json": B64 + "!"})
    assert str(kept) in str(caught.value)


def test_an_image_is_read_in_any_spelling_through_a_client(
    call_chat: ChatCaller, tmp_path: Path
) -> None:
    """With `image_folder`, an image in any spelling is a file with the exact bytes."""
    for name in ("unpadded", "anthropic", "bare-base64", "percent-encoded"):
        fields = {"image": SPELLINGS[name]}
        backend = ScriptedBackend(by=as_asked(message(**fields), sse(chunk(delta=fields), FINISH)))
        reply = call_chat("Hi", on={**backend.on, "image_folder": tmp_path})
        assert reply.image.path is not None
        assert reply.image.path.read_bytes() == IMAGE


# ---- cuts


LAST: dict[str, dict[str, Any]] = {
    "plain": {"images": [image_item(IMAGE)]},
    "b64-json": {"images": [{"b64_json": B64}]},
    "in-parts": {"content": [{"type": "text", "text": "Here:"}, image_item(IMAGE)]},
    "anthropic": {"images": [SPELLINGS["anthropic"]]},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LAST)
def test_a_cut_after_the_image_keeps_it(name: str, way: str) -> None:
    """A cut anywhere after the end of the base64 keeps the image."""
    kind = "message" if way == "whole" else "delta"
    fields = {"content": "Here:", **LAST[name]}
    body = as_json({"choices": [{kind: fields, "finish_reason": "stop"}], "usage": {}})
    body, headers = (body, JSON) if way == "whole" else (b"data: " + body, STREAM)
    start = body.index(B64.encode()) + len(B64) + 1
    for cut in range(start, len(body)):
        error = failed(Read(body[:cut], headers=headers), TruncatedReplyError)
        assert error.partial is not None
        assert (error.partial.text, error.partial.image.content) == ("Here:", IMAGE), cut


def test_truncated_text_is_kept_up_to_the_cut() -> None:
    """Text cut anywhere is kept up to the cut, without partial escapes or characters."""
    text = 'Grüße 🐶 "quoted" \\ and \n on'
    for ascii_only in (True, False):
        body = json.dumps(message(content=text), ensure_ascii=ascii_only).encode()
        start = body.index(b'"content": "') + 12
        seen = set()
        for cut in range(start, len(body) - 3):
            error = failed(Read(body[:cut], headers=JSON), TruncatedReplyError)
            partial = error.partial.text if error.partial else ""
            assert text.startswith(partial), cut
            seen.add(partial)
        assert len(seen) == len(text) + 1


def test_a_network_failure_keeps_the_partial_reply() -> None:
    """The error of a failing transport has the images and text that arrived before."""
    body = as_json(message(content="Here:", images=[image_item(IMAGE), image_item(OTHER)]))
    stream = sse(chunk("Here:"), chunk(None, IMAGE, OTHER), done=False)
    for data, headers in ((body, JSON), (stream, STREAM)):
        reader = ReplyReader(headers, limits=Limits(), model="m", prompt="p")

        def feed_and_fail(reader: ReplyReader = reader, data: bytes = data) -> None:
            with reader.error_context():
                list(reader.feed(data[: data.rindex(b'"}}')]))
                raise EmbyConnectionError("The connection broke.")

        with pytest.raises(EmbyConnectionError) as caught:
            feed_and_fail()
        assert caught.value.partial is not None
        assert caught.value.partial.text == "Here:"
        assert [image.content for image in caught.value.partial.images] == [IMAGE]


# ---- detecting the kind of body


PAGE = b"<!DOCTYPE html><html><head><title>502 Bad&nbsp;Gateway\n</title></head><body>x</body>"
KINDS = ["text/event-stream", "application/json", "text/plain", "text/html", "", "x/y; charset=a"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_body_is_detected_from_the_bytes(kind: str) -> None:
    """A stream or JSON is detected from the bytes, under any content type and for any cut."""
    headers = {"content-type": kind}
    stream = sse(chunk("Here:", IMAGE), FINISH)
    bodies = {
        "stream": stream,
        "comment": b": ping\n\n" + stream,
        "event": b"event: message\n" + stream,
        "blank": b"\r\n\r\n " + as_json(message(content="Here:", images=[image_item(IMAGE)])),
        "mark": b"\xef\xbb\xbf" + as_json(message(content="Here:", images=[image_item(IMAGE)])),
        "mark-stream": b"\xef\xbb\xbf" + stream,
    }
    for name, body in bodies.items():
        for cut in range(12):
            reply = good(Read(body[:cut], body[cut:], headers=headers))
            assert (reply.text, reply.image.content) == ("Here:", IMAGE), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_quoted_by_its_title(kind: str) -> None:
    """An HTML page instead of a reply is quoted by its title or the beginning of its text."""
    headers = {"content-type": kind}
    error = failed(Read(PAGE, headers=headers), MalformedReplyError)
    assert "'502 Bad Gateway'" in error.message
    assert "base URL" in error.hint
    error = failed(Read(b"<h1>Sign in</h1> <p>now", headers=headers), MalformedReplyError)
    assert "'Sign in now'" in error.message


def test_an_error_line_between_events_is_read() -> None:
    """A line of JSON with an error, between the events of a stream, raises that error."""
    stream = sse(chunk("Hi"), b'{"error": {"message": "Overloaded"}}\n\n', done=False)
    assert failed(Read(stream), ServerError).message == "Overloaded."


# ---- the two readers


REPLIES: dict[str, dict[str, Any]] = {
    "text": chunk("Hi"),
    "unicode": chunk('Grüße 🐶 \u2028 \\ " \n'),
    "image": chunk("Here:", IMAGE, OTHER),
    "address": chunk(None, "https://example.com/a.png"),
    "parts": chunk(delta={"content": [{"type": "text", "text": "a"}, image_item(IMAGE)]}),
    "reasoning": chunk(delta={"reasoning": "r", "refusal": "no"}),
    "reasoning-content": chunk(delta={"reasoning_content": "r"}),
    "calls": chunk(delta={"tool_calls": [{"index": 1, "id": "t", "function": {"name": "n"}}]}),
    "call": chunk(delta={"tool_calls": [{"function": {"arguments": "{}"}}]}),
    "annotations": chunk(delta={"annotations": [{"url_citation": {"url": "u", "title": "t"}}]}),
    "end": chunk(finish="length", usage={"prompt_tokens": 1}, metadata={"a": 1}, created=5),
    "names": chunk("x", system_fingerprint="f", model="n", id="c"),
    "no-choices": {"choices": [], "usage": {"total_tokens": 5}},
    "message": message(content="Hi", tool_calls=[]),
    "both": {"choices": [{"delta": {"content": "a"}, "message": {"content": "b"}}]},
}


@pytest.mark.parametrize("name", REPLIES)
def test_both_readers_read_the_documented_form_alike(name: str, monkeypatch: Any) -> None:
    """The fast and the lenient reader give the same events and reply for documented forms."""
    stream = sse(REPLIES[name], FINISH)
    fast = Read(stream)
    with monkeypatch.context() as patch:
        patch.setattr("emby_plugins._protocol.reader.parse_completion", lambda _: None)
        slow = Read(stream)
    assert (fast.events, fast.reply, fast.error) == (slow.events, slow.reply, None)
    assert slow.error is None


def test_large_replies_are_read_by_the_lenient_reader() -> None:
    """A reply too large for the fast reader gives the same text."""
    text = "Grüße " * 100_000
    assert good(whole(message(content=text, images=[image_item(IMAGE)]))).text == text


BROKEN = [b"{", b'{"a"', b'{"a":', b'{"a":1', b"[1,", b'"abc', b"tru", b"-", b"", b'{"a":{"b":[']
WRONG = [b"{]", b"{1:2}", b'{"a" 1}', b"[1 2]", b"[1,]", b'{"a":1}}', b"nought", b"<p>", b"{a:1}"]


@pytest.mark.parametrize("data", [*BROKEN, *WRONG])
def test_truncated_and_invalid_json_are_distinguished(data: bytes) -> None:
    """Truncated JSON is distinguished from invalid JSON."""
    document = Document(data)
    values = [document.root]
    while values:
        value = values.pop()
        values += [*value.items(), *(member for _, member in value.all_members())]
    document.check_end()
    assert (document.is_cut, document.is_broken) == (data in BROKEN, data in WRONG)
