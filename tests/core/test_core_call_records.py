"""`emby_call_started` and `emby_call_finished`: the records of calls that plugins receive."""

import asyncio
import hashlib
import logging
from contextvars import ContextVar
from dataclasses import fields
from typing import Any

import pytest
from support import (
    ChatCaller,
    Loopback,
    ScriptedBackend,
    Wire,
    answer,
    as_asked,
    chunk,
    completion,
    image_item,
    picture,
    sse,
)

from emby_plugins import (
    AsyncEmby,
    CallRecord,
    ChatReply,
    ChatRequest,
    Emby,
    EmbyError,
    Image,
    ImageRecord,
    MissingImageError,
    Usage,
    hookimpl,
)

RED, BLUE = picture("red"), picture("blue")
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "cost": 0.25}
METADATA = {"used_provider": "acme", "cached": True}
ANSWERED = {"model": "acme/m-1", "usage": USAGE, "metadata": METADATA}
BOTH = as_asked(
    completion("A fox.", RED, **ANSWERED),
    sse(chunk("A "), chunk("fox.", RED, finish="stop", **ANSWERED)),
)


class Observer:
    """Keeps the records, and the contents that it requests by parameter name."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.contents: list[tuple[ChatRequest | None, ChatReply]] = []

    @hookimpl
    def emby_call_started(self, record: CallRecord) -> None:
        """Keep the record."""
        self.records.append(record)

    @hookimpl
    def emby_call_finished(
        self, record: CallRecord, request: ChatRequest | None, reply: ChatReply
    ) -> None:
        """Keep the record and the contents."""
        self.records.append(record)
        self.contents.append((request, reply))

    def both(self) -> tuple[CallRecord, CallRecord]:
        """Return the two records of the only call."""
        started, finished = self.records
        assert started.id == finished.id
        return started, finished


def observed(backend: ScriptedBackend) -> tuple[Observer, dict[str, Any]]:
    """Return an observer and the client settings that use it."""
    observer = Observer()
    return observer, {"base_url": "test:", "plugins": [backend, observer]}


def image_record(data: bytes) -> ImageRecord:
    """Return the record of a PNG image."""
    return ImageRecord("image/png", len(data), hashlib.sha256(data).hexdigest())


def test_a_call_is_recorded(call_chat: ChatCaller) -> None:
    """The records at the start and the end of a call are the same in all four modes."""
    observer, on = observed(ScriptedBackend(by=BOTH))
    images = [Image.from_bytes(BLUE), Image.from_url("https://a.example/b.png")]
    reply = call_chat("Look", on=on, images=images, model="m", temperature=0.5)
    started, finished = observer.both()
    assert (started.operation, started.model, started.base_url) == ("chat", "m", "test:")
    assert started.stream is call_chat.is_stream
    assert started.parameters == {"temperature": 0.5}
    assert started.images_in == (image_record(BLUE), ImageRecord())
    assert (started.seconds, started.usage, started.is_complete) == (0.0, None, False)
    assert finished.images_in == started.images_in
    assert finished.images_out == (image_record(RED),)
    assert finished.usage == reply.usage == Usage(11, 7, 18, cost=0.25)
    assert (finished.response_model, finished.provider) == ("acme/m-1", "acme")
    assert (finished.is_cached, finished.finish_reason) == (True, "stop")
    assert (finished.is_complete, finished.error_type, finished.retries) == (True, None, 0)
    assert finished.seconds_to_first_byte is not None
    assert 0 < finished.seconds_to_first_byte <= finished.seconds


def test_no_image_is_hashed_for_plugins_that_read_no_record(
    call_chat: ChatCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook with only the parameter `reply` gets it without creating a record."""

    class Listener:
        @hookimpl
        def emby_call_finished(self, reply: ChatReply) -> None:
            received.append(reply.text)

    received: list[str] = []
    monkeypatch.setattr(CallRecord, "started", None)
    on = {"base_url": "test:", "plugins": [ScriptedBackend(by=BOTH), Listener()]}
    reply = call_chat("Look", on=on, images=[Image.from_bytes(BLUE)], model="m")
    assert received == [reply.text]


def test_a_record_has_no_content(call_chat: ChatCaller) -> None:
    """A record contains no part of prompt or reply; a hook gets those by its parameter names."""
    observer, on = observed(ScriptedBackend(by=BOTH))
    reply = call_chat("A secret question", on=on)
    assert "secret" not in repr(observer.records)
    assert "fox" not in repr(observer.records)
    ((request, received),) = observer.contents
    assert request is not None
    assert (request.prompt, received) == ("A secret question", reply)


def test_a_failed_call_is_recorded(call_chat: ChatCaller) -> None:
    """The record of a failed call has the error's class, its status and the number of retries."""
    observer, on = observed(ScriptedBackend(answer({"error": {"message": "Busy"}}, status=503)))
    with pytest.raises(EmbyError):
        call_chat("Hi", on=on | {"max_retries": 2})
    _, finished = observer.both()
    assert (finished.error_type, finished.status, finished.retries) == ("ServerError", 503, 2)
    assert (finished.is_complete, finished.seconds_to_first_byte) == (False, None)


def test_a_call_that_succeeds_after_a_retry_is_recorded_as_success(call_chat: ChatCaller) -> None:
    """A call that succeeds after a retry is recorded as one successful call with one retry."""
    busy = answer({"error": {"message": "Busy"}}, status=503)
    good = (
        answer(sse(chunk("Hi", finish="stop"))) if call_chat.is_stream else answer(completion("Hi"))
    )
    observer, on = observed(ScriptedBackend(busy, good))
    call_chat("Hi", on=on)
    _, finished = observer.both()
    assert (finished.error_type, finished.retries, finished.is_complete) == (None, 1, True)


def test_what_arrived_before_an_error_is_recorded(call_chat: ChatCaller) -> None:
    """Images that arrived before an error are recorded."""
    cut = sse(chunk("Look:", delta={"images": [image_item(RED)]}), done=False)
    observer, on = observed(ScriptedBackend(cut))
    with pytest.raises(EmbyError):
        call_chat("Hi", on=on)
    _, finished = observer.both()
    assert finished.images_out == (image_record(RED),)
    assert (finished.error_type, finished.is_complete) == ("TruncatedReplyError", False)


def test_an_error_before_anything_is_sent_is_recorded(call_chat: ChatCaller) -> None:
    """An error before anything is sent, such as a missing key, is recorded."""
    observer = Observer()
    with pytest.raises(EmbyError):
        call_chat("Hi", on={"base_url": "https://gateway.example/v1", "plugins": [observer]})
    assert observer.both()[1].error_type == "MissingKeyError"


def test_a_stream_that_is_left_early_is_not_an_error() -> None:
    """A stream that the caller leaves early is recorded as incomplete, without an error."""
    stream = sse(chunk("Hel"), chunk("lo", finish="stop"))
    observer, on = observed(ScriptedBackend(stream))
    with Emby(**on) as emby, emby.stream("Hi") as events:
        next(iter(events))
    _, finished = observer.both()
    assert (finished.is_complete, finished.error_type) == (False, None)

    async def leave() -> None:
        async with AsyncEmby(**on) as emby, emby.stream("Hi") as events:
            await anext(aiter(events))

    observer.records.clear()
    asyncio.run(leave())
    _, finished = observer.both()
    assert (finished.is_complete, finished.error_type) == (False, None)


def require_image(emby: Emby) -> None:
    """Raise an error inside the stream's context after the reply."""
    with emby.stream("Hi") as events:
        for _ in events:
            pass
        events.reply.require_images()


def test_an_error_of_the_caller_is_not_recorded() -> None:
    """An error raised by the caller's own code inside the stream's context is not recorded."""
    observer, on = observed(ScriptedBackend(sse(chunk("Hello", finish="stop"))))
    with Emby(**on) as emby, pytest.raises(MissingImageError):
        require_image(emby)
    _, finished = observer.both()
    assert (finished.is_complete, finished.error_type) == (True, None)


async def test_a_canceled_call_is_recorded() -> None:
    """A task that is canceled while the gateway is silent is recorded as `CancelledError`."""
    observer = Observer()
    loop, started = asyncio.get_running_loop(), asyncio.Event()

    def keep_waiting(_: object, wire: Wire) -> bool:
        loop.call_soon_threadsafe(started.set)
        wire.is_over()
        return False

    with Loopback(keep_waiting) as server:
        on = {"base_url": server.url, "api_key": "k", "plugins": [observer]}
        async with AsyncEmby(**on) as emby:
            call = asyncio.create_task(emby.chat("Hi"))
            await started.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
    _, finished = observer.both()
    assert (finished.error_type, finished.is_complete) == ("CancelledError", False)


def test_the_list_of_models_is_a_call() -> None:
    """Listing models is recorded as a call without model, request and reply."""
    observer, on = observed(ScriptedBackend({"data": [{"id": "a"}]}))
    with Emby(**on) as emby:
        emby.models()
    _, finished = observer.both()
    assert (finished.operation, finished.model) == ("list_models", "")
    assert (finished.is_complete, finished.error_type) == (True, None)
    assert observer.contents == [(None, ChatReply())]


def test_each_call_for_several_images_runs_in_the_callers_context() -> None:
    """The threads that generate several images run plugins in the caller's context."""
    task: ContextVar[str] = ContextVar("task", default="none")
    seen: list[str] = []

    class Reader:
        @hookimpl
        def emby_call_started(self) -> None:
            seen.append(task.get())

    backend = ScriptedBackend(completion("A fox.", RED))
    token = task.set("mine")
    with Emby(base_url="test:", plugins=[backend, Reader()]) as emby:
        assert len(emby.image("A fox", n=3)) == 3
    task.reset(token)
    assert seen == ["mine"] * 3


def test_a_failing_plugin_affects_nothing_else(
    call_chat: ChatCaller, caplog: pytest.LogCaptureFixture
) -> None:
    """A plugin that raises is logged, and neither the call nor the next plugin is affected."""

    class Faulty:
        @hookimpl
        def emby_call_started(self) -> None:
            raise RuntimeError("at the start")

        @hookimpl
        def emby_call_finished(self) -> None:
            raise RuntimeError("at the end")

    observer, on = observed(ScriptedBackend(by=BOTH))
    on["plugins"].append(Faulty())
    assert call_chat("Hi", on=on).text == "A fox."
    assert len(observer.records) == 2
    assert "at the start" in caplog.text
    assert "at the end" in caplog.text
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_nothing_is_recorded_without_observers(
    call_chat: ChatCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a plugin that implements the hooks, no record is created and no image is hashed."""

    def started(*_: object) -> None:
        raise AssertionError("a record was made")

    monkeypatch.setattr(CallRecord, "started", started)
    assert call_chat("Hi", on=ScriptedBackend(by=BOTH).on, images=[Image.from_bytes(BLUE)]).images
    with pytest.raises(AssertionError):
        call_chat("Hi", on=observed(ScriptedBackend(by=BOTH))[1])


def test_the_base_url_is_recorded_without_the_key() -> None:
    """A key in the base URL is redacted in the record."""
    backend = ScriptedBackend(completion("Hi"))
    backend.emby_backend = hookimpl(lambda url: backend)  # type: ignore[method-assign]
    observer = Observer()
    key = "sk-secret-key-1"
    with Emby(key, f"test:?key={key}", plugins=[backend, observer]) as emby:
        emby.chat("Hi")
    assert [record.base_url for record in observer.records] == ["test:?key=[key]"] * 2


def test_a_record_is_a_plain_frozen_value() -> None:
    """A record is immutable and has the documented fields."""
    record = CallRecord("1", "chat", "m", "mock:")
    with pytest.raises(AttributeError):
        record.model = "n"  # type: ignore[misc]
    assert {f.name for f in fields(record)} >= {"images_in", "images_out", "usage", "retries"}
