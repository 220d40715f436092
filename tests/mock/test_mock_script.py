"""Scripted replies, recorded requests, and the hook that answers instead of the mock."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from mock_help import JSON, body_of, chat, flat, send
from PIL import Image as Pillow

from emby_plugins import AsyncEmby, BackendRequest, Emby, Image, ImagePart, Message, hookimpl
from emby_plugins.mock import Fault, MockBackend, MockReply, MockRequest, activate, script

RED = Image.from_pil(Pillow.new("RGB", (3, 2), "red"))


def call_mock(prompt="Hello", **more):
    """Return the reply of `mock:` to our client."""
    with Emby(base_url="mock:") as emby:
        return emby.chat(prompt, **more)


@pytest.mark.parametrize("stream", [False, True])
def test_everything_can_be_scripted(stream):
    """Scripted text, reasoning, images, tool calls and finish reason arrive unchanged."""
    backend = MockBackend()
    backend.reply(
        "A boat.",
        images=[RED, Image.from_url("https://example.com/boat.png")],
        tool_calls=[("paint", {"what": "boat", "size": 3})],
        reasoning="Boats float.",
        finish_reason="length",
    )
    with activate(backend), Emby(base_url="mock:") as emby:
        if stream:
            with emby.stream("Hi") as events:
                list(events)
            reply = events.reply
        else:
            reply = emby.chat("Hi")
    assert (reply.text, reply.reasoning, reply.finish_reason) == (
        "A boat.",
        "Boats float.",
        "length",
    )
    assert reply.images == (RED, Image.from_url("https://example.com/boat.png"))
    (call,) = reply.tool_calls
    assert (call.name, call.arguments) == ("paint", '{"what": "boat", "size": 3}')
    assert reply.usage.completion_tokens > 0


def test_calls_finish_as_calls():
    """Scripted tool calls finish with `tool_calls` by default, and text with `stop`."""
    backend = MockBackend()
    backend.reply(tool_calls=[("now", {})])
    backend.reply("Noon.")
    finishes = [body_of(send(chat("x"), backend))["choices"][0]["finish_reason"] for _ in "ab"]
    assert finishes == ["tool_calls", "stop"]


def test_scripted_replies_are_used_in_order():
    """Scripted replies are used once each in order, and then the mock's own."""
    backend = MockBackend()
    backend.reply("one")
    backend.reply("two")
    with activate(backend):
        result = [call_mock().text for _ in range(3)]
    assert result[:2] == ["one", "two"]
    assert "This is emby-mock" in result[2]


def test_a_script_accepts_any_model_and_images():
    """A scripted reply is given for unknown models and invalid images too."""
    backend = MockBackend()
    backend.reply("Yes.")
    body = chat("Is it red?", "data:image/png;base64,QUJD", model="acme-vision-9")
    assert body_of(send(body, backend))["model"] == "acme-vision-9"


def test_a_scripted_request_is_still_checked():
    """A body that fails the schema is refused even if a reply is scripted."""
    backend = MockBackend()
    backend.reply("Yes.")
    assert send({"model": "x", "messages": ""}, backend).status == 400


def test_a_scripted_reply_can_have_a_fault():
    """A scripted reply can have a fault."""
    backend = MockBackend()
    backend.reply("All of it.", fault=Fault(cut=5))
    assert len(b"".join(send(chat("x"), backend).body)) == 5


def test_requests_are_recorded():
    """Requests are recorded with method, path, headers, body, prompt, model and images, but no
    key.
    """
    backend = MockBackend(key="sesame")
    with activate(backend), Emby("sesame", "mock:", metadata={"tenant_id": "acme"}) as emby:
        emby.models()
        emby.chat("What is this?", images=[RED], model="glm-vision", temperature=0.5)
    listed, received = backend.requests
    assert (listed.method, listed.path, listed.body) == ("GET", "/models", None)
    assert (received.method, received.path, received.model) == (
        "POST",
        "/chat/completions",
        "glm-vision",
    )
    assert received.headers["x-emby-tenant-id"] == "acme"
    assert (received.prompt, received.images, received.body["temperature"]) == (
        "What is this?",
        (RED,),
        0.5,
    )
    assert "sesame" not in repr(backend.requests)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": 3, "messages": [3]}', b"\xff"])
def test_any_request_can_be_recorded(body):
    """Invalid requests are recorded too."""
    backend = MockBackend()
    send(body, backend)
    (received,) = backend.requests
    assert (received.content, received.model, received.prompt, received.images) == (
        body,
        "",
        "",
        (),
    )


def test_images_of_a_request():
    """The record has the images of all messages in order, including URLs but no invalid ones."""
    backend = MockBackend()
    send(chat("x", flat("red"), "https://example.com/a.png", "data:image/png;base64,QUJD"), backend)
    (received,) = backend.requests
    assert [image.media_type for image in received.images] == ["image/png", None]


def test_records_are_bounded(monkeypatch):
    """The oldest records are dropped when they take too much memory, but never the last."""
    monkeypatch.setattr(script, "KEPT_BYTES", 400)
    backend = MockBackend()
    for number in range(9):
        send(chat(f"{number}" * 50), backend)
    assert [request.prompt[0] for request in backend.requests] == ["6", "7", "8"]
    send(chat("x" * 1000), backend)
    assert len(backend.requests) == 1


def test_activation_reaches_every_thread_and_loop():
    """The active backend answers clients in other threads and event loops, and existing ones."""

    async def call_async():
        async with AsyncEmby(base_url="mock:") as emby:
            return (await emby.chat("Hello")).text

    early = Emby(base_url="mock:")
    backend = MockBackend()
    for _ in range(4):
        backend.reply("scripted")
    with activate(backend), ThreadPoolExecutor(2) as pool:
        results = [
            pool.submit(lambda: call_mock().text).result(),
            pool.submit(lambda: asyncio.run(call_async())).result(),
            asyncio.run(call_async()),
            early.chat("Hello").text,
        ]
    assert results == ["scripted"] * 4
    assert "This is emby-mock" in early.chat("Hello").text
    assert len(backend.requests) == 4


def test_activations_nest():
    """Nested activations use the innermost backend."""
    outer, inner = MockBackend(), MockBackend()
    outer.reply("outer")
    inner.reply("inner")
    with activate(outer):
        with activate(inner):
            assert call_mock().text == "inner"
        assert call_mock().text == "outer"


class Oracle:
    """A plugin with one reply."""

    def __init__(self, reply):
        self.received = []
        self._reply = reply

    @hookimpl
    def emby_mock_reply(self, request):
        self.received.append(request)
        return self._reply(request)


def test_the_hook_answers_before_the_mock():
    """The hook of the plugin registered last is called first, and None falls through to the
    mock.
    """
    first = Oracle(lambda request: MockReply("first"))
    last = Oracle(lambda request: MockReply("42") if "life" in request.prompt else None)
    with Emby(base_url="mock:", plugins=[first, last]) as emby:
        assert emby.chat("What is the meaning of life?").text == "42"
        assert emby.chat("Hello").text == "first"
    with Emby(base_url="mock:", plugins=[last]) as emby:
        assert "This is emby-mock" in emby.chat("Hello").text
    assert len(first.received) == 1
    assert isinstance(last.received[0], MockRequest)


def test_the_script_precedes_the_hook():
    """A scripted reply takes precedence over a plugin's, which is not called."""
    oracle = Oracle(lambda request: MockReply("hook"))
    backend = MockBackend()
    backend.reply("script")
    with activate(backend), Emby(base_url="mock:", plugins=[oracle]) as emby:
        assert [emby.chat("a").text, emby.chat("b").text] == ["script", "hook"]
    assert [request.prompt for request in oracle.received] == ["b"]


def test_the_hook_can_inject_a_fault():
    """A hook's reply with only a fault applies that fault to the mock's own reply."""
    oracle = Oracle(lambda request: MockReply(fault=Fault(images=2)))
    with Emby(base_url="mock:", plugins=[oracle]) as emby:
        assert len(emby.chat("A boat").images) == 2


def test_an_exception_in_the_hook_reaches_the_test():
    """An exception raised in the hook is propagated, so that assertions fail the test."""

    def fails(request):
        assert request.prompt == "something else"

    with Emby(base_url="mock:", plugins=[Oracle(fails)]) as emby, pytest.raises(AssertionError):
        emby.chat("Hello")


def test_the_model_list_uses_no_scripted_reply():
    """Listing models does not use up a scripted reply."""
    backend = MockBackend()
    backend.reply("scripted")
    backend(BackendRequest("GET", "/models", {}, b""))
    body = json.dumps(chat("x")).encode()
    result = body_of(backend(BackendRequest("POST", "/chat/completions", JSON, body)))
    assert result["choices"][0]["message"]["content"] == "scripted"


def test_image_parts_of_a_history():
    """Images of earlier turns are recorded too."""
    backend = MockBackend()
    with activate(backend):
        call_mock(
            [Message("user", (ImagePart(RED),)), Message("assistant", ()), Message.user("And?")]
        )
    (received,) = backend.requests
    assert received.images == (RED,)
    assert received.prompt == "And?"
