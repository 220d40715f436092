"""The profiles: differences between Emby's documentation and the states, and their common ground.

The states are compared with their recordings in `test_mock_replay.py`.
"""

import io

import pytest
from mock_help import body_of, chat, flat, mock, parts, raw, send
from PIL import Image as Pillow

from emby_plugins import Emby, Image, ModelCard, hookimpl
from emby_plugins._protocol.backend import BackendRequest
from emby_plugins.mock import PROFILES, Fault, MockBackend

ALL = list(PROFILES)
STATES = ALL[1:]
BAD_IMAGE = "data:image/png;base64,QUJD"
PDF = {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,QUJD"}}


class Route:
    """A plugin that routes `test:` to a backend."""

    def __init__(self, backend):
        self.backend = backend

    @hookimpl
    def emby_backend(self, url):
        return self.backend if url == "test:" else None


@pytest.mark.parametrize("profile", ALL)
def test_all_profiles_give_the_same_reply(profile):
    """Our client reads the same reply from each profile, streamed or not."""
    with Emby(base_url="test:", plugins=[Route(mock(profile))]) as emby:
        whole = emby.chat("Draw two pictures of a cat", reasoning_effort="low")
        with emby.stream("Draw two pictures of a cat", reasoning_effort="low") as stream:
            list(stream)
    assert whole.text == "Here are your 2 generated images:"
    assert stream.reply.images == whole.images
    assert len(whole.images) == 2
    for reply in (whole, stream.reply):
        assert reply.reasoning
        assert reply.usage.reasoning_tokens > 0
        assert reply.finish_reason == "stop"


def test_only_emby_accepts_its_prefix():
    """Only Emby's profile accepts its own prefix, since the gateways have no such provider."""
    statuses = [send(chat("x", model="emby/qwen2.5-vl"), mock(name)).status for name in ALL]
    assert statuses == [200, 400, 400, 400]


@pytest.mark.parametrize("profile", ALL)
def test_an_unknown_provider_reveals_a_wrong_key(profile):
    """An unknown provider is a 401 with a wrong key and a 400 with the right one, free of
    charge.
    """
    body = chat("x", model="nosuchprovider/doctor")
    backend = MockBackend("k", profile=PROFILES[profile])
    assert send(body, backend, authorization="Bearer no").status == 401
    right = send(body, backend, authorization="Bearer k")
    assert right.status == 400
    assert b"'nosuchprovider' not found" in raw(right)


def test_documented_files():
    """Emby's profile and the newest state accept `type: "file"`, and the older states refuse it."""
    body = chat([{"role": "user", "content": [PDF]}])
    assert [send(body, mock(name)).status for name in ALL] == [200, 400, 400, 200]


def test_documented_image_errors():
    """A bad image is the documented error in Emby's profile, and a provider's error in the
    states.
    """
    body = chat("What is this?", BAD_IMAGE)
    emby = send(body)
    assert (emby.status, body_of(emby)["error"]["type"]) == (400, "invalid_image_input")
    for name in STATES:
        error = body_of(send(body, mock(name)))["error"]
        assert error.get("usedProvider", "emby-mock") == "emby-mock"
        assert "Image could not be fetched or decoded" in error["message"]


def test_documented_reasoning_tokens():
    """`usage.reasoning_tokens` is at the top level in Emby's profile only (Reasoning page)."""
    counted = [
        "reasoning_tokens"
        in body_of(send(chat("Why?", reasoning_effort="low"), mock(name)))["usage"]
        for name in ALL
    ]
    assert counted == [True, False, False, False]


def test_model_lists():
    """Only Emby's list has `vision` on the model, but our client reads the same from each."""
    for profile in ALL:
        backend = mock(profile)
        cards = body_of(backend(BackendRequest("GET", "/models", {}, b"")))["data"]
        assert ["vision" in card for card in cards] == [profile == "emby"] * len(cards)
        with Emby(base_url="test:", plugins=[Route(backend)]) as emby:
            listed = {card.id: card for card in emby.models()}
        names = ("emby-mock", "emby-mock-text")
        assert [listed[name].vision for name in names] == [True, False]
        assert isinstance(listed["emby-mock"], ModelCard)
        assert ("gpt-4o-mini" in listed) == (profile != "emby")


@pytest.mark.parametrize(("profile", "count"), [("emby", 0), ("2025-11", 0), ("2025-12", 1)])
def test_some_profiles_drop_large_streamed_images(profile, count):
    """Images over 10 MiB of base64 are dropped from streams of Emby's profile and state 2025-11."""
    noise = io.BytesIO()
    Pillow.effect_noise((3000, 2800), 90).save(noise, "PNG", compress_level=0)
    large = Image.from_bytes(noise.getvalue())
    for stream, wanted in ((True, count), (False, 1)):
        backend = mock(profile)
        backend.reply("Here.", images=[large])
        result = send(chat("x", stream=stream), backend)
        content = raw(result)
        assert content.count(b"data:image/png;base64,") == wanted
        assert b'"finish_reason":"stop"' in content
        assert b'"completion_tokens":1290' in content


@pytest.mark.parametrize("profile", STATES)
def test_caching(profile):
    """An equal chat is answered from the cache; only the newest state marks and bypasses it."""
    marks = profile == "2026-08"
    backend = mock(profile, cache=60.0)
    for text in ("one", "two", "three"):
        backend.reply(text)
    first, second = (send(chat("x", seed=n), backend) for n in (1, 2))
    bypassing = send(chat("x"), backend, **{"x-no-cache": "true"})
    assert second.headers.get("x-llmgateway-cache") == ("HIT" if marks else None)
    result = [body_of(r)["choices"][0]["message"]["content"] for r in (first, second, bypassing)]
    assert result == ["one", "one", "three" if marks else "one"]


@pytest.mark.parametrize("profile", STATES)
@pytest.mark.parametrize("stream", [False, True])
def test_upstream_failures(profile, stream):
    """A provider's 429 is in the message, under status 500, or 200 in a stream."""
    fault = Fault(upstream=429, message="slow down")
    result = send(chat("x", stream=stream), mock(profile, fault))
    name = " emby-mock" if profile == "2026-08" else ""
    assert f"Error from provider{name}: 429 Too Many Requests {{".encode() in raw(result)
    assert result.status == (200 if stream else 500)


def test_text_of_a_failing_provider():
    """Text sent before a provider failed is kept, and only the newest state reports the failure."""
    for profile in ALL:
        body = raw(send(chat("Hello", stream=True), mock(profile, Fault(upstream_end="cut"))))
        result = parts(body)
        assert result[1]["choices"][0]["delta"]["content"] == "This "
        assert (b"event: error" in body) == (profile == "2026-08")
        assert not any(c["finish_reason"] for part in result for c in part.get("choices", ()))


def test_keep_alives():
    """While a stream waits, the newest state sends a comment every 15 seconds, and others none."""
    fault = Fault(delay=40, pause=10)
    for profile, pings in (("2026-08", 3), ("emby", 0)):
        waits = []
        body = send(chat("a", stream=True), mock(profile, fault, sleep=waits.append)).body
        result = b"".join(next(body) for _ in range(2 + pings))
        assert result.count(b": ping\n") == pings
        assert b": ping\n\n" not in result
        assert sum(waits) == 50
        assert len(parts(result)) == 2


def test_a_lenient_model_ignores_bad_images():
    """A lenient model describes the valid images and lists the others, or refuses if none is
    valid.
    """
    body = chat("Describe these.", flat("red"), BAD_IMAGE, model="emby-mock-vision")
    text = body_of(send(body))["choices"][0]["message"]["content"]
    assert text.startswith("The image is a PNG of 40x30 pixels, mostly red")
    assert "Left out messages[0].content[2]: Image could not be fetched or decoded" in text
    alone = send(chat("What is this?", BAD_IMAGE, model="emby-mock-vision"))
    assert body_of(alone)["error"]["type"] == "invalid_image_input"
    strict = send({**body, "model": "qwen2.5-vision"})
    assert body_of(strict)["error"]["type"] == "invalid_image_input"


def test_the_repr_has_the_profile():
    """The repr of a backend has the name of its profile."""
    assert "2025-12" in repr(MockBackend(profile=PROFILES["2025-12"]))
