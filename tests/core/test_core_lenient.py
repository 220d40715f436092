"""Nothing that arrived whole is lost: careless spellings, odd fields, bad entries, cuts."""

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
    Asker,
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


def told(way: str, **fields: Any) -> Read:
    """A reply whose one message has these fields."""
    if way == "whole":
        return whole(message(**fields))
    return Read(sse(chunk(delta=fields), FINISH))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SPELLINGS)
def test_an_image_is_read_in_every_spelling(name: str, way: str) -> None:
    """As an entry of `images`, in a list of content, under a singular key: the very bytes."""
    entry = SPELLINGS[name]
    shapes: list[dict[str, Any]] = [
        {"content": "Here:", "images": [entry]},
        {"content": "Here:", "images": entry},
        {"content": "Here:", "image": entry},
    ]
    if name not in {"string", "bare-base64", "unheard-of"}:
        # Among content, a string is text, and what does not say that it is an image need not be.
        shapes.append({"content": [{"type": "text", "text": "Here:"}, entry]})
    for fields in shapes:
        result = told(way, **fields)
        reply = good(result)
        assert reply.text == "Here:"
        assert [image.content for image in reply.images] == [IMAGE]
        shown = [e.image.content for e in result.events if isinstance(e, ImageReceived)]
        assert shown == [IMAGE]


@pytest.mark.parametrize("way", WAYS)
def test_a_data_url_among_content_is_an_image(way: str) -> None:
    """A string entry of `content` is text, unless it is a data URL."""
    reply = good(told(way, content=["Here:", URL]))
    assert (reply.text, reply.image.content) == ("Here:", IMAGE)


def test_base64_of_an_unknown_format_is_an_image_where_one_is_meant() -> None:
    """Nobody here knows JPEG XL; under `b64_json` it is an image, as bare text it is not."""
    encoded = base64.b64encode(b"\xff\x0a and so on").decode()
    assert good(told("whole", images=[{"b64_json": encoded}])).image.data == b"\xff\x0a and so on"
    error = failed(told("whole", images=[encoded]), MalformedReplyError)
    assert error.partial is not None
    assert error.partial.unread == (as_json(encoded),)


def test_an_svg_need_not_be_base64() -> None:
    """A data URL of an SVG is often percent-encoded text."""
    reply = good(told("whole", images=["data:image/svg+xml,%3Csvg%2F%3E"]))
    assert reply.image.data == b"<svg/>"


def test_what_is_not_an_image_is_none() -> None:
    """Sound in a list of content is kept as it was received, not taken for an image."""
    sound = {"type": "audio", "audio": {"format": "wav", "data": "UklGRiQAAABXQVZF"}}
    error = failed(
        told("whole", content=[{"type": "text", "text": "x"}, sound]), MalformedReplyError
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
def test_what_only_informs_costs_nothing(name: str, way: str) -> None:
    """Odd values in fields that only inform: the whole reply, image and text, without an error."""
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


def test_an_odd_finish_reason_is_one() -> None:
    """A number or an object ends the reply as well as a word does; null and false do not."""
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
def test_a_bad_entry_costs_none_of_the_good_ones(name: str, way: str, place: str) -> None:
    """Before, after or beside it in one message: the image, the text and the usage are there."""
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


def test_what_can_not_be_read_is_kept_as_it_was_received() -> None:
    """The JSON of every bad entry, to the byte; an entry that is only odd is not among them."""
    entry = '{ "shape" : "a\\u00e9" , "n": [1,2] }'
    body = as_json(message(content="x", images=[7])).replace(b"7", f"null, {entry}, 7".encode())
    error = failed(Read(body, headers=JSON), MalformedReplyError)
    assert error.partial is not None
    assert error.partial.unread == (b"null", entry.encode(), b"7")


def test_the_first_problem_is_the_one_that_is_raised() -> None:
    """A broken image, then an unknown part, then the end: the error is of the broken image."""
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
    """Reasoning among content parts is treated as reasoning; the image beside it is there."""
    parts = [THINKING[name], {"type": "output_text", "text": "Here:"}, image_item(IMAGE)]
    reply = good(told(way, content=[*parts, {"type": "redacted_thinking", "data": "AAAA"}]))
    assert (reply.reasoning, reply.text, reply.image.content) == ("Let me see.", "Here:", IMAGE)


@pytest.mark.parametrize("way", WAYS)
def test_tool_calls_of_odd_shapes_are_read(way: str) -> None:
    """One call instead of a list, an object as arguments, numbers as strings, fields in a row."""
    calls = {
        "one": {"id": "t1", "function": {"name": "add", "arguments": {"a": 1}}},
        "flat": [{"type": "function_call", "call_id": "t1", "name": "add", "arguments": '{"a":1}'}],
        "input": [{"id": "t1", "name": "add", "input": {"a": 1}}],
        "index": [{"index": "0", "id": "t1", "function": {"name": "add", "arguments": '{"a":1}'}}],
    }
    for shape in calls.values():
        (call,) = good(told(way, content="Here:", tool_calls=shape)).tool_calls
        assert (call.id, call.name, call.args) == ("t1", "add", {"a": 1})


def test_a_data_url_in_arguments_is_not_replaced() -> None:
    """Arguments that are an object are handed on as JSON, the base64 in them as it was."""
    arguments = {"image_url": {"url": URL}}
    call = {"id": "t1", "function": {"name": "show", "arguments": arguments}}
    reply = good(told("stream", tool_calls=[call]))
    assert reply.tool_calls[0].args == arguments
    assert reply.images == ()


@pytest.mark.parametrize("way", WAYS)
def test_a_second_choice_is_kept(way: str) -> None:
    """It can't be told, but its JSON and its image are in the error."""
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
def test_an_image_in_a_place_of_its_own_is_received(way: str) -> None:
    """An image in the documented form is in the reply even in an unexpected place."""
    result = told(way, content="Here:", attachments=[image_item(IMAGE)])
    assert good(result).image.content == IMAGE
    assert [e.index for e in result.events if isinstance(e, ImageReceived)] == [0]


def test_an_error_beside_content_loses_none_of_it() -> None:
    """HTTP 200 with an image and an error object: the error is raised with the image."""
    for headers in (JSON, STREAM):
        kind = "message" if headers is JSON else "delta"
        fields = {"content": "Here:", "images": [image_item(IMAGE)]}
        body = as_json({"choices": [{kind: fields}], "error": {"message": "Overloaded"}})
        body = body if headers is JSON else b"data: " + body + b"\n\n"
        error = failed(Read(body, headers=headers), ServerError)
        assert error.partial is not None
        assert (error.partial.text, error.partial.image.content) == ("Here:", IMAGE)


# ---- through a client


def test_both_forms_through_a_client_keep_image_text_and_what_is_unread(
    ask: Asker, tmp_path: Path
) -> None:
    """Into a folder: the image is a file, what can't be read is one, and the error names it."""
    fields = {"content": "Here:", "images": [5, image_item(IMAGE), {"b64_json": B64 + "!"}]}
    backend = ScriptedBackend(by=as_asked(message(**fields), sse(chunk(delta=fields), FINISH)))
    with pytest.raises(MalformedReplyError) as caught:
        ask("Hi", on={**backend.on, "image_folder": tmp_path})
    partial = caught.value.partial
    assert partial is not None
    assert (partial.text, partial.finish_reason, partial.image.data) == ("Here:", "stop", IMAGE)
    assert partial.image.path is not None
    (kept,) = (path for path in tmp_path.iterdir() if path != partial.image.path)
    assert kept.read_bytes() == b"5\n" + as_json({"b64_json": B64 + "!"})
    assert str(kept) in str(caught.value)


def test_an_image_is_read_in_any_spelling_through_a_client(ask: Asker, tmp_path: Path) -> None:
    """Into a folder, four ways: the file holds the very bytes, and no error is raised."""
    for name in ("unpadded", "anthropic", "bare-base64", "percent-encoded"):
        fields = {"image": SPELLINGS[name]}
        backend = ScriptedBackend(by=as_asked(message(**fields), sse(chunk(delta=fields), FINISH)))
        reply = ask("Hi", on={**backend.on, "image_folder": tmp_path})
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
def test_a_cut_behind_the_image_does_not_cost_it(name: str, way: str) -> None:
    """From the byte behind the base64's closing quote on, a cut anywhere leaves the image."""
    kind = "message" if way == "whole" else "delta"
    fields = {"content": "Here:", **LAST[name]}
    body = as_json({"choices": [{kind: fields, "finish_reason": "stop"}], "usage": {}})
    body, headers = (body, JSON) if way == "whole" else (b"data: " + body, STREAM)
    start = body.index(B64.encode()) + len(B64) + 1
    for cut in range(start, len(body)):
        error = failed(Read(body[:cut], headers=headers), TruncatedReplyError)
        assert error.partial is not None
        assert (error.partial.text, error.partial.image.content) == ("Here:", IMAGE), cut


def test_text_cut_in_the_middle_is_kept_as_far_as_it_came() -> None:
    """Of an unstreamed reply too; no half escapes, surrogates or UTF-8 sequences."""
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


def test_a_failure_of_the_network_keeps_what_had_arrived() -> None:
    """The transport fails within the JSON: its error has the images and text decoded so far."""
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


# ---- what the body is


PAGE = b"<!DOCTYPE html><html><head><title>502 Bad&nbsp;Gateway\n</title></head><body>x</body>"
KINDS = ["text/event-stream", "application/json", "text/plain", "text/html", "", "x/y; charset=a"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_decide_what_a_body_is(kind: str) -> None:
    """A stream or JSON under any content type, cut anywhere in its first bytes, is read as such."""
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
    """HTML in place of a reply: the title is in the message, or the beginning of the text."""
    headers = {"content-type": kind}
    error = failed(Read(PAGE, headers=headers), MalformedReplyError)
    assert "'502 Bad Gateway'" in error.message
    assert "base URL" in error.hint
    error = failed(Read(b"<h1>Sign in</h1> <p>now", headers=headers), MalformedReplyError)
    assert "'Sign in now'" in error.message


def test_an_error_line_between_events_is_read() -> None:
    """A gateway that fails may write bare JSON into its stream."""
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
    """What is parsed at once and what is read step by step come to the same events and reply."""
    stream = sse(REPLIES[name], FINISH)
    fast = Read(stream)
    with monkeypatch.context() as patch:
        patch.setattr("emby_plugins._protocol.reader.parse_completion", lambda _: None)
        slow = Read(stream)
    assert (fast.events, fast.reply, fast.error) == (slow.events, slow.reply, None)
    assert slow.error is None


def test_large_replies_are_read_step_by_step() -> None:
    """A reply too large to be parsed at once is the same reply."""
    text = "Grüße " * 100_000
    assert good(whole(message(content=text, images=[image_item(IMAGE)]))).text == text


BROKEN = [b"{", b'{"a"', b'{"a":', b'{"a":1', b"[1,", b'"abc', b"tru", b"-", b"", b'{"a":{"b":[']
WRONG = [b"{]", b"{1:2}", b'{"a" 1}', b"[1 2]", b"[1,]", b'{"a":1}}', b"nought", b"<p>", b"{a:1}"]


@pytest.mark.parametrize("data", [*BROKEN, *WRONG])
def test_cut_and_wrong_json_are_told_apart(data: bytes) -> None:
    """A reply that only ended too early may be retried; one that is not JSON may not."""
    document = Document(data)
    values = [document.root]
    while values:
        value = values.pop()
        values += [*value.items(), *(member for _, member in value.all_members())]
    document.check_end()
    assert (document.is_cut, document.is_broken) == (data in BROKEN, data in WRONG)
