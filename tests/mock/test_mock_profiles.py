"""The three dialects: the same is said, and each has its own way of saying it."""

import json

import pytest
from mock_help import body_of, chat, flat, mock, parts, raw, send

from emby_plugins import Emby, ModelCard, hookimpl
from emby_plugins.mock import PROFILES, Fault, MockBackend
from emby_plugins.protocol.backend import BackendRequest

ALL = list(PROFILES)
BAD_IMAGE = "data:image/png;base64,QUJD"
TOOL = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}
PDF = {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,QUJD"}}


def streamed(profile, prompt="Hello", **more):
    """The body of a streamed reply."""
    return raw(send(chat(prompt, stream=True, **more), mock(profile)))


def refused(profile, body, **headers):
    """The status and the JSON of a reply."""
    response = send(body, mock(profile, key="k"), **{"authorization": "Bearer k"} | headers)
    return response.status, body_of(response)


class Route:
    """A plugin that leads `test:` to a backend."""

    def __init__(self, backend):
        self.backend = backend

    @hookimpl
    def emby_backend(self, url):
        return self.backend if url == "test:" else None


@pytest.mark.parametrize("profile", ALL)
def test_all_profiles_say_the_same(profile):
    """Our client reads the same reply from each, streamed or not."""
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


@pytest.mark.parametrize(
    ("profile", "end"),
    [
        ("emby", b"\n\nevent: done\ndata: [DONE]\n\n"),
        ("2025-12", b"\n\nevent: done\ndata: [DONE]\n\n"),
        ("2026-08", b"\n\ndata: [DONE]\n\n"),
    ],
)
def test_ends_of_streams(profile, end):
    """The last event has a name, or none."""
    assert streamed(profile).endswith(end)


@pytest.mark.parametrize(("profile", "counts"), [("2025-12", [1, 1]), ("2026-08", [2])])
def test_image_order(profile, counts):
    """A model that only makes images streams a chunk for each, or all in one."""
    told = parts(streamed(profile, "two photos of a cat", model="emby-mock-image"))
    deltas = [choice["delta"] for part in told for choice in part["choices"]]
    assert [len(delta["images"]) for delta in deltas if "images" in delta] == counts


def test_places_of_usage():
    """It rides on the finish chunk, or on a chunk without choices."""
    december, august = (parts(streamed(name))[-1] for name in ("2025-12", "2026-08"))
    assert december["choices"][0]["finish_reason"] == "stop"
    assert august["choices"] == []
    assert december["usage"]["total_tokens"] == august["usage"]["total_tokens"]


def test_forms_of_usage():
    """Reasoning tokens stand at the top or among details; the cost has two forms, or none."""
    emby, december, august = (
        body_of(send(chat("Why?", reasoning_effort="low"), mock(name)))["usage"] for name in ALL
    )
    assert december["reasoning_tokens"] == emby["reasoning_tokens"] > 0
    assert "completion_tokens_details" not in december
    assert august["completion_tokens_details"]["reasoning_tokens"] == emby["reasoning_tokens"]
    assert "reasoning_tokens" not in august
    assert december["cost_usd_total"] == pytest.approx(august["cost"])
    assert not [key for key in emby if key.startswith("cost")]


@pytest.mark.parametrize("effort", ["none", "xhigh", "max"])
def test_new_efforts(effort):
    """Efforts that Emby does not document are the latest profile's only."""
    statuses = [send(chat("x", reasoning_effort=effort), mock(name)).status for name in ALL]
    assert statuses == [400, 400, 200]


def test_required_tools_and_files():
    """The oldest profile takes neither `tool_choice: "required"` nor files."""
    tools = chat("x", tools=[TOOL], tool_choice="required")
    files = chat([{"role": "user", "content": [PDF]}])
    for body in (tools, files):
        assert [send(body, mock(name)).status for name in ALL] == [200, 400, 200]
    (issue,) = body_of(send(files, mock("2025-12")))["error"]["issues"]
    assert issue["message"].endswith("Expected 'text' | 'image_url'")


def test_image_config_keys():
    """A key that is none of the profile's is dropped in silence."""
    body = chat("A photo of a cat", model="emby-mock-image", image_config={"n": 3})
    counts = [
        len(body_of(send(body, mock(name)))["choices"][0]["message"]["images"]) for name in ALL
    ]
    assert counts == [3, 1, 3]


def test_flat_errors():
    """The oldest profile's errors are flat, and a bad image is a 500."""
    status, told = refused("2025-12", chat("x"), authorization="Bearer no")
    assert (status, told) == (
        401,
        {"error": True, "status": 401, "message": "Missing or invalid API key"},
    )
    status, told = refused("2025-12", chat("What?", BAD_IMAGE))
    assert (status, told["status"], told["error"]) == (500, 500, True)


@pytest.mark.parametrize("profile", ["emby", "2026-08"])
def test_error_objects(profile):
    """Elsewhere they are objects with type and code."""
    status, told = refused(profile, chat("x"), authorization="Bearer no")
    assert (status, told["error"]["type"], told["error"]["code"]) == (
        401,
        "invalid_api_key",
        "invalid_api_key",
    )
    status, told = refused(profile, chat("What?", BAD_IMAGE))
    assert (status, told["error"]["type"]) == (400, "invalid_image_input")


@pytest.mark.parametrize("profile", ALL)
def test_schema_errors_are_the_same(profile):
    """A body that fails the schema has one form in all."""
    status, told = refused(profile, {"model": "x"})
    assert (status, told["success"], told["error"]["name"]) == (400, False, "ZodError")


@pytest.mark.parametrize("profile", ALL)
def test_upstream_failures(profile):
    """An upstream 429 keeps its status or hides behind a 500; in a stream it comes under 200."""
    told = send(chat("x"), mock(profile, Fault(upstream=429)))
    body = body_of(told)
    message = "Error from provider: 429 Too Many Requests"
    if profile == "2025-12":
        assert (told.status, body) == (500, {"error": True, "status": 500, "message": message})
    else:
        assert (told.status, body["error"]["message"]) == (429, message)
        assert body["error"]["type"] == "upstream_error"
    stream = send(chat("x", stream=True), mock(profile, Fault(upstream=429)))
    event, data = raw(stream).strip().split(b"\n")
    assert (stream.status, event) == (200, b"event: error")
    assert json.loads(data.removeprefix(b"data: "))["error"]["message"] == message


@pytest.mark.parametrize("profile", ALL)
def test_model_lists(profile):
    """Only Emby's says `vision` on the model; all are read as the same models."""
    backend = mock(profile)
    cards = body_of(backend(BackendRequest("GET", "/models", {}, b"")))["data"]
    assert ["vision" in card for card in cards] == [profile == "emby"] * len(cards)
    key = "externalId" if profile == "2026-08" else "modelName"
    assert all(card["providers"][0][key] == card["id"] for card in cards)
    assert ("max_output" in cards[0]["providers"][0]) == (profile == "2026-08")
    with Emby(base_url="test:", plugins=[Route(backend)]) as emby:
        listed = {card.id: card for card in emby.models()}
    mocks = ("emby-mock", "emby-mock-text")
    assert [listed[name].vision for name in mocks] == [True, False]
    assert isinstance(listed["emby-mock"], ModelCard)


def test_keep_alives():
    """Where a stream waits, the latest profile sends a comment each 15 seconds; others none."""
    fault = Fault(delay=40, pause=10)
    for profile, pings in (("2026-08", 3), ("emby", 0)):
        waits = []
        body = send(chat("a", stream=True), mock(profile, fault, sleep=waits.append)).body
        told = b"".join(next(body) for _ in range(2 + pings))
        assert told.count(b": ping\n") == pings
        assert b": ping\n\n" not in told
        assert sum(waits) == 50
        assert len(parts(told)) == 2


def test_a_lenient_model_goes_on():
    """It answers from the images that open and names the others; with none left it refuses."""
    body = chat("Describe these.", flat("red"), BAD_IMAGE, model="emby-mock-vision")
    text = body_of(send(body))["choices"][0]["message"]["content"]
    assert text.startswith("The image is a PNG of 40x30 pixels, mostly red")
    assert "Left out messages[0].content[2]: Image could not be fetched or decoded" in text
    alone = send(chat("What is this?", BAD_IMAGE, model="emby-mock-vision"))
    assert body_of(alone)["error"]["type"] == "invalid_image_input"
    strict = send({**body, "model": "qwen2.5-vision"})
    assert body_of(strict)["error"]["type"] == "invalid_image_input"


def test_profiles_show():
    """The repr of a backend names its profile."""
    assert "2025-12" in repr(MockBackend(profile=PROFILES["2025-12"]))
