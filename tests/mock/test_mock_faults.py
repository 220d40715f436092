"""Faults on request, by header and from Python, and the errors that our client raises for them."""

import gzip
import io
import json
import zlib
from dataclasses import fields

import pytest
from mock_help import PUPPY, body_of, chat, mock, parts, pictures, raw, send
from PIL import Image as Pillow

from emby_plugins import Emby, EmbyError, Image, Limits, MalformedReplyError, TruncatedReplyError
from emby_plugins._errors import (
    APIError,
    InvalidImageError,
    RateLimitError,
    ReplyTooLargeError,
    ServerError,
)
from emby_plugins.mock import Fault, MockBackend, activate
from emby_plugins.mock.errors import ApiError
from emby_plugins.mock.faults import NONE, parse_fault


def faulty(header, prompt="Hello", **more):
    """Return the response to a request with a fault header."""
    return send(chat(prompt, **more), **{"x-emby-mock-fault": header})


def failure(fault, prompt="Hello", *, stream=False, **settings):
    """Return the error that our client raises for this fault."""
    with activate(MockBackend(faults=[fault], sleep=lambda _: None)):
        emby = Emby(base_url="mock:", max_retries=0, **settings)
        with emby, pytest.raises(EmbyError) as caught:
            read_all(emby, prompt) if stream else emby.chat(prompt)
    return caught.value


def read_all(emby, prompt):
    """Read a stream to its end."""
    with emby.stream(prompt) as events:
        list(events)


def test_the_grammar():
    """Fault headers have fields spelled with `-`, flags without a value, and optional blanks."""
    result = parse_fault(" status = 429 ; retry-after=2.5;times=1 ;; No-Done ")
    assert result == Fault(status=429, retry_after=2.5, times=1, no_done=True)
    assert parse_fault("") == NONE


@pytest.mark.parametrize("field", fields(Fault), ids=lambda field: field.name)
def test_the_grammar_knows_every_field(field):
    """Every field of `Fault` can be set by a header."""
    value = {"image": "bomb", "upstream_end": "cut", "status": "429", "upstream": "429"}
    name = field.name.replace("_", "-")
    item = name if field.type is bool else f"{name}={value.get(field.name, '3')}"
    assert parse_fault(item) != NONE


@pytest.mark.parametrize(
    "header",
    [
        "bogus",
        "status",
        "status=abc",
        "status=42",
        "status=٤٢٩",
        "cut=-1",
        "delay=nan",
        "delay=-1",
        "delay=99999",
        "image=cat",
        "garbage=1",
        "status=429; status=500",
        "location=a\r\nb",
        "gzip=9",
    ],
)
def test_an_invalid_header(header):
    """An invalid fault header is a 400 that describes the mistake."""
    with pytest.raises(ApiError, match="can't be read"):
        parse_fault(header)
    assert faulty(header).status == 400


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 410, 413, 418, 429, 500, 503, 529])
def test_any_status(status):
    """Every error status can be requested, in the documented form, with or without a stream."""
    for stream in (False, True):
        response = faulty(f"status={status}; message=No luck", stream=stream)
        result = {"error": True, "status": status, "message": "No luck"}
        assert (response.status, body_of(response)) == (status, result)


def test_retry_after_and_redirects():
    """Faults can set the headers `retry-after` and `location`."""
    assert faulty("status=429; retry-after=2").headers["retry-after"] == "2"
    moved = faulty("status=307; location=https://example.com/")
    assert (moved.status, moved.headers["location"], raw(moved)) == (
        307,
        "https://example.com/",
        b"",
    )


def test_models_can_fail_too():
    """A fault by header also applies to the list of models."""
    emby = Emby(base_url="mock:", metadata={"mock_fault": "status=500"}, max_retries=0)
    with emby, pytest.raises(ServerError):
        emby.models()


def test_metadata_sets_faults():
    """Faults can be set by our client's metadata, and `times` limits them."""
    with Emby(base_url="mock:", metadata={"mock_fault": "status=503; times=1"}) as emby:
        assert "Hello" in emby.chat("Hello").text


def test_a_scripted_sequence():
    """A 429 followed by a 200 makes the client retry, and both requests are recorded."""
    backend = MockBackend(faults=[Fault(status=429, retry_after=0)])
    with activate(backend), Emby(base_url="mock:") as emby:
        assert "Hello" in emby.chat("Hello").text
    assert [request.prompt for request in backend.requests] == ["Hello", "Hello"]


def test_faults_are_applied_in_order():
    """Faults are applied in order, one per chat request, with None for none and `times` for
    several.
    """
    backend = MockBackend(faults=[None, Fault(status=500, times=2), Fault(status=402)])
    assert [send(chat("x"), backend).status for _ in range(5)] == [200, 500, 500, 402, 200]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=429), RateLimitError),
        (Fault(upstream=429), RateLimitError),
        (Fault(error=True), ServerError),
        (Fault(error=True, upstream=429), RateLimitError),
        (Fault(garbage=True), MalformedReplyError),
        (Fault(empty=True), TruncatedReplyError),
        (Fault(cut=0), TruncatedReplyError),
        (Fault(cut=200), TruncatedReplyError),
        (Fault(gzip=2), MalformedReplyError),
    ],
)
def test_our_client_raises_the_matching_error(fault, error, stream):
    """Each fault causes the matching error of our client, streamed or not."""
    assert isinstance(failure(fault, stream=stream), error)


def test_a_stream_without_an_end():
    """A stream without a finish reason is truncated, with or without `[DONE]`, and its text is
    kept.
    """
    for fault in (Fault(no_finish=True), Fault(no_finish=True, no_done=True)):
        error = failure(fault, stream=True)
        assert isinstance(error, TruncatedReplyError)
        assert "Hello" in error.partial.text


@pytest.mark.parametrize(
    "fault",
    [Fault(no_done=True), Fault(double_done=True), Fault(drip=1), Fault(gzip=1), Fault(drip=7)],
)
def test_our_client_tolerates_minor_faults(fault):
    """A missing or second `[DONE]`, single bytes and compression cause no error in our client."""
    with activate(MockBackend(faults=[fault, fault])), Emby(base_url="mock:") as emby:
        whole = emby.chat(PUPPY)
        with emby.stream(PUPPY) as stream:
            list(stream)
    assert stream.reply.images == whole.images
    assert stream.reply.text == whole.text == "Here is your generated image:"


def test_ends_on_the_wire():
    """Faults control the number of `[DONE]` events and can omit the finish reason."""
    for header, count in (("no-done", 0), ("pause=0", 1), ("double-done", 2)):
        assert raw(faulty(header, stream=True)).count(b"[DONE]") == count
    result = parts(raw(faulty("no-finish", stream=True)))
    assert {choice["finish_reason"] for part in result for choice in part["choices"]} == {None}


def test_errors_in_mid_stream():
    """An error in mid-stream follows the first content under status 200, and ends the stream."""
    response = faulty("error; upstream=503", stream=True)
    _, first, last, done = raw(response).rstrip().split(b"\n\n")
    assert done == b"event: done\ndata: [DONE]\nid: 3"
    assert response.status == 200
    assert json.loads(first.split(b"\n")[0].removeprefix(b"data: "))["choices"]
    assert last.startswith(b'event: error\ndata: {"error":{"message":"Error from provider: 503')


@pytest.mark.parametrize("stream", [False, True])
def test_bad_bytes(stream):
    """The fault `invalid-utf8` puts invalid UTF-8 into the body."""
    with pytest.raises(UnicodeDecodeError):
        raw(faulty("invalid-utf8", stream=stream)).decode()


def test_wrong_content_type():
    """The fault `content-type` changes only this header."""
    plain, odd = faulty("pause=0"), faulty("content-type=text/html")
    assert odd.headers["content-type"] == "text/html"
    assert raw(odd) == raw(plain)


@pytest.mark.parametrize("stream", [False, True])
def test_cut(stream):
    """The fault `cut` ends the body after this many bytes and marks the response."""
    response = faulty("cut=77", stream=stream)
    assert response.is_cut
    assert raw(response) == raw(faulty("pause=0", stream=stream))[:77]


@pytest.mark.parametrize("stream", [False, True])
def test_large_replies(stream):
    """The fault `megabytes` sends a large reply, which exceeds the client's limit."""
    result = raw(faulty("megabytes=2", stream=stream))
    assert 2_000_000 < len(result) < 2_010_000
    error = failure(Fault(megabytes=2), stream=stream, limits=Limits(text=1_000_000))
    assert isinstance(error, ReplyTooLargeError)


@pytest.mark.parametrize("stream", [False, True])
def test_endless_replies(stream):
    """The fault `endless` sends data until the client's limit."""
    limits = Limits(wire=3_000_000, text=1_000_000)
    error = failure(Fault(endless=True), stream=stream, limits=limits)
    assert isinstance(error, ReplyTooLargeError)


def test_bombs():
    """The fault `gzip` compresses a large reply once or twice to a few kilobytes."""
    once, twice = faulty("gzip=1; megabytes=5"), faulty("gzip=2; megabytes=5")
    assert (once.headers["content-encoding"], twice.headers["content-encoding"]) == (
        "gzip",
        "gzip, gzip",
    )
    packed = raw(twice)
    assert len(packed) < 5_000
    assert len(gzip.decompress(gzip.decompress(packed))) > 5_000_000
    assert len(zlib.decompress(raw(once), wbits=31)) > 5_000_000
    error = failure(Fault(gzip=1, megabytes=5), limits=Limits(wire=1_000_000))
    assert isinstance(error, ReplyTooLargeError)


def test_number_of_images():
    """The fault `images` sets the number of images for any prompt."""
    for count in (0, 1, 5):
        message = body_of(faulty(f"images={count}"))["choices"][0]["message"]
        assert len(message.get("images", ())) == count
    error = failure(Fault(images=5), limits=Limits(images=4))
    assert isinstance(error, ReplyTooLargeError)


def test_odd_images():
    """The fault `image` sends a pixel bomb, a truncated file, unknown bytes or a URL."""
    made = {
        kind: body_of(faulty(f"image={kind}", PUPPY))["choices"][0]["message"]["images"]
        for kind in ("bomb", "truncated", "unknown", "https")
    }
    bomb = Image.from_data_url(made["bomb"][0]["image_url"]["url"]).data
    assert len(bomb) < 30_000
    with pytest.warns(Pillow.DecompressionBombWarning):
        assert Pillow.open(io.BytesIO(bomb)).size == (12_000, 12_000)
    (half,) = pictures({"images": made["truncated"]})
    with pytest.raises(OSError, match="truncated"):
        half.load()
    assert made["unknown"][0]["image_url"]["url"].startswith("data:image/x-emby-mock;base64,")
    assert made["https"][0]["image_url"]["url"].startswith("https://")


def test_our_client_on_odd_images():
    """Our client keeps an image URL, and refuses to open a pixel bomb."""
    backend = MockBackend(faults=[Fault(image="https"), Fault(image="bomb")])
    with activate(backend), Emby(base_url="mock:") as emby:
        assert emby.chat(PUPPY).image.url == "https://example.com/emby-mock.png"
        bomb = emby.chat(PUPPY).image
    with pytest.raises(InvalidImageError):
        bomb.to_pil()


def test_time_is_kept():
    """`delay` is waited for before the first byte, and `pause` between chunks."""
    waits = []
    response = send(
        chat("Hello", stream=True), mock("emby", Fault(delay=3, pause=0.5), sleep=waits.append)
    )
    assert waits == []
    next(response.body)
    assert waits == [3]
    rest = list(response.body)
    assert waits == [3] + [0.5] * len(rest)


def test_a_backend_with_a_pause():
    """A backend with `pause` waits between all chunks."""
    waits = []
    backend = MockBackend(pause=2, sleep=waits.append)
    frames = list(send(chat("Hello", stream=True), backend).body)
    assert waits == [2] * (len(frames) - 1)


def test_errors_keep_the_profile():
    """A requested status has the error form of the profile."""
    result = body_of(send(chat("x"), mock("2025-12", Fault(status=402))))
    assert (result["error"], result["status"]) == (True, 402)
    assert isinstance(failure(Fault(status=402)), APIError)
