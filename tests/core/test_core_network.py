"""The client over real sockets on loopback: truncation, timeouts, redirects and connections."""

import asyncio
import gc
import importlib
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest
from support import (
    ChatCaller,
    Loopback,
    ReceivedRequest,
    Wire,
    as_json,
    chunk,
    completion,
    picture,
    sse,
)

from emby_plugins import (
    APIError,
    AsyncEmby,
    AuthenticationError,
    DeadlineExceededError,
    Emby,
    EmbyConnectionError,
    EmbyError,
    EmbyTimeoutError,
    Image,
    MalformedReplyError,
    StreamEvent,
    TextDelta,
    TruncatedReplyError,
)
from emby_plugins._http import core
from emby_plugins._protocol.reader import ReplyReader

RED = picture("red")
BEGUN = sse(chunk("Here:"), chunk(None, RED), done=False)
WHOLE = sse(chunk("Here:"), chunk(None, RED), chunk(finish="stop"))


def well(received: ReceivedRequest, wire: Wire) -> None:
    """A valid answer, streamed on request."""
    if b'"stream":true' in received.body:
        wire.stream(WHOLE)
    else:
        wire.whole(as_json(completion("Here:", RED)), "content-type: application/json")


def broken(
    call_chat: ChatCaller, by: Callable[[ReceivedRequest, Wire], bool | None], **on: float
) -> EmbyError:
    """Return the error of a call to this server, after checking that it was not retried."""
    with Loopback(by) as server, pytest.raises(EmbyError) as caught:
        call_chat("Hi", on={"base_url": server.url, "max_retries": 2, **on})
    assert len(server.requests) == 1, "a request that may have been answered was sent again"
    return caught.value


def has_what_arrived(error: EmbyError) -> bool:
    """Return whether the error has the text and the exact image."""
    return error.partial is not None and (error.partial.text, error.partial.images) == (
        "Here:",
        (Image(RED),),
    )


def test_a_good_answer(call_chat: ChatCaller) -> None:
    """A call over a socket returns the text and the exact image, with one request."""
    with Loopback(well) as server:
        reply = call_chat("Hi", on={"base_url": server.url, "api_key": "sk-1"}, images=[Image(RED)])
    assert (reply.text, reply.image.data) == ("Here:", RED)
    (received,) = server.requests
    assert (received.method, received.path) == ("POST", "/v1/chat/completions")
    assert received.headers["authorization"] == "Bearer sk-1"
    assert received.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_pieces_of_any_size(call_chat: ChatCaller, size: int) -> None:
    """Any size of the network's chunks gives the same reply."""
    pieces = [WHOLE[at : at + size] for at in range(0, len(WHOLE), size)]
    with Loopback(lambda _, wire: wire.stream(*pieces)) as server:
        reply = call_chat("Hi", on={"base_url": server.url})
    assert (reply.text, reply.image.data) == ("Here:", RED)


def test_a_request_is_sent_in_one_piece(
    call_chat: ChatCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Head and body of a small request are sent with one system call."""
    sent: list[bytes] = []
    sync = importlib.import_module(f"{core().__name__}._backends.sync")
    for stream in (sync.SyncStream, asyncio.StreamWriter):
        monkeypatch.setattr(stream, "write", noting(stream.write, sent))
    with Loopback(well) as server:
        call_chat("Hi", on={"base_url": server.url})
    (request,) = filter(None, sent)
    assert request.startswith(b"POST /v1/chat")
    assert request.endswith(b"}")


def noting(write: Callable[..., Any], sent: list[bytes]) -> Callable[..., Any]:
    """Return a stream's `write` that also appends the data to `sent`."""

    def noted(self: Any, data: bytes, *args: Any) -> Any:
        sent.append(bytes(data))
        return write(self, data, *args)

    return noted


def test_a_dropped_reply_is_freed_at_once(
    call_chat: ChatCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dropped reply is freed without the garbage collector."""
    readers: list[weakref.ref[ReplyReader]] = []
    original = ReplyReader.feed

    def feed(self: ReplyReader, chunk: bytes) -> Iterable[StreamEvent]:
        readers.append(weakref.ref(self))
        return original(self, chunk)

    monkeypatch.setattr(ReplyReader, "feed", feed)
    gc.disable()
    try:
        with Loopback(well) as server:
            call_chat("Hi", on={"base_url": server.url})
        assert readers
        assert not [kept for kept in readers if kept() is not None]
    finally:
        gc.enable()


# ---- broken connections


def test_a_refused_connection_is_tried_again(call_chat: ChatCaller) -> None:
    """A refused connection is retried, since nothing was sent, and the error has a hint."""
    with Loopback(well) as server:
        url = server.url
    with pytest.raises(EmbyConnectionError) as caught:
        call_chat("Hi", on={"base_url": url})
    assert caught.value.is_retryable
    assert "EMBY_BASE_URL" in caught.value.hint
    assert url in caught.value.message
    assert isinstance(caught.value, ConnectionError)


def cut_chunked(_: ReceivedRequest, wire: Wire) -> bool:
    """A chunked body without its last chunk."""
    wire.stream(BEGUN, ends=False)
    return False


def cut_sized(_: ReceivedRequest, wire: Wire) -> bool:
    """A body shorter than its content length."""
    wire.head("content-type: text/event-stream", f"content-length: {len(WHOLE)}")
    wire.send(BEGUN)
    return False


def cut_by_closing(_: ReceivedRequest, wire: Wire) -> bool:
    """A body that ends too early with the connection, which HTTP can't detect."""
    wire.head("content-type: text/event-stream", "connection: close")
    wire.send(BEGUN)
    return False


def without_done(_: ReceivedRequest, wire: Wire) -> None:
    """A complete body with an incomplete reply."""
    wire.stream(BEGUN)


@pytest.mark.parametrize("by", [cut_chunked, cut_sized, cut_by_closing, without_done])
def test_a_truncated_stream_keeps_the_partial_reply(
    call_chat: ChatCaller, by: Callable[[ReceivedRequest, Wire], bool | None]
) -> None:
    """A stream that ends too early in any way raises an error with the text and the image."""
    error = broken(call_chat, by)
    assert type(error) is TruncatedReplyError
    assert has_what_arrived(error)


def test_a_cut_json_reply_is_truncated(call_chat: ChatCaller) -> None:
    """A JSON reply that is cut off by the end of the connection is truncated."""

    def by(_: ReceivedRequest, wire: Wire) -> bool:
        wire.head("content-type: application/json", "connection: close")
        wire.send(as_json(completion("Here:", RED))[:-20])
        return False

    assert type(broken(call_chat, by)) is TruncatedReplyError


def test_a_reset_connection_keeps_the_partial_reply(call_chat: ChatCaller) -> None:
    """The error of a reset connection has the text and image that arrived."""
    image_seen = threading.Event()

    def by(_: ReceivedRequest, wire: Wire) -> bool:
        wire.stream(BEGUN, ends=False)
        image_seen.wait(5)
        wire.reset()
        return False

    if not call_chat.is_stream:
        image_seen.set()
        error = broken(call_chat, by)
        # A reset may overtake the data sent before it.
        assert isinstance(error, EmbyConnectionError | TruncatedReplyError)
        return
    with Loopback(by) as server:
        error, seen = _until_image(call_chat, server.url, image_seen)
    assert seen
    assert type(error) is EmbyConnectionError
    assert has_what_arrived(error)


def _until_image(
    call_chat: ChatCaller, url: str, image_seen: threading.Event
) -> tuple[EmbyError, list[object]]:
    """Return the error and events of a stream whose server waits until the image was received."""
    seen: list[object] = []

    async def async_stream() -> None:
        async with AsyncEmby(base_url=url) as emby, emby.stream("Hi") as stream:
            async for event in stream:
                seen.append(event)
                if stream.reply.images:
                    image_seen.set()

    def sync_stream() -> None:
        with Emby(base_url=url) as emby, emby.stream("Hi") as stream:
            for event in stream:
                seen.append(event)
                if stream.reply.images:
                    image_seen.set()

    with pytest.raises(EmbyError) as caught:
        asyncio.run(async_stream()) if call_chat.mode.startswith("async") else sync_stream()
    return caught.value, seen


def test_no_answer_at_all(call_chat: ChatCaller) -> None:
    """A connection closed without a response is not retried, since the call may have been paid
    for, and the error is one readable sentence.
    """
    error = broken(call_chat, lambda *_: False)
    assert type(error) is EmbyConnectionError
    assert error.message.endswith("failed: Server disconnected without sending a response.")


def test_an_unknown_host_has_a_readable_message() -> None:
    """The number of an operating system's error is left out of the message."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno -2] Name or service not known")

    with (
        httpx.Client(transport=httpx.MockTransport(fail)) as given,
        Emby("k", "https://unknown.example/v1", http_client=given, max_retries=0) as emby,
        pytest.raises(EmbyConnectionError, match=r"failed: Name or service not known\."),
    ):
        emby.chat("Hello")


def test_a_response_in_another_protocol(call_chat: ChatCaller) -> None:
    """A response in another protocol raises EmbyConnectionError."""

    def by(_: ReceivedRequest, wire: Wire) -> bool:
        wire.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        return False

    assert type(broken(call_chat, by)) is EmbyConnectionError


def test_an_error_that_is_cut_keeps_its_status(call_chat: ChatCaller) -> None:
    """An error response with a truncated body raises the error of its status."""

    def by(_: ReceivedRequest, wire: Wire) -> bool:
        wire.head("content-type: application/json", "content-length: 900", status="401 No")
        wire.send(b'{"error": {"message": "Wro')
        return False

    assert type(broken(call_chat, by)) is AuthenticationError


def test_a_page_in_place_of_a_reply(call_chat: ChatCaller) -> None:
    """An HTML page under status 200, such as a login page, is quoted in the error."""
    page = b"<html>Please sign in</html>"
    error = broken(call_chat, lambda _, wire: wire.whole(page, "content-type: text/html"))
    assert type(error) is MalformedReplyError
    assert "Please sign in" in error.message


# ---- time


def test_silence_is_a_timeout(call_chat: ChatCaller) -> None:
    """No data for `timeout` seconds raises EmbyTimeoutError, and the request is not retried."""
    error = broken(call_chat, silence, timeout=0.3)
    assert type(error) is EmbyTimeoutError
    assert error.message == "The gateway was silent for 0.3 seconds."
    assert "timeout=" in error.hint
    assert isinstance(error, TimeoutError)
    assert not error.is_retryable


def silence(_: ReceivedRequest, wire: Wire) -> bool:
    """Send nothing until the test is over."""
    return not wire.is_over()


def test_a_timeout_in_mid_stream_keeps_the_partial_reply(call_chat: ChatCaller) -> None:
    """The error of a timeout in mid-stream has the image that arrived."""

    def by(_: ReceivedRequest, wire: Wire) -> bool:
        wire.stream(BEGUN, ends=False)
        return not wire.is_over()

    error = broken(call_chat, by, timeout=0.3)
    assert type(error) is EmbyTimeoutError
    assert has_what_arrived(error)


def test_a_slow_drip_ends_at_the_deadline(call_chat: ChatCaller) -> None:
    """A stream kept alive by pings ends at the deadline, and the error has the partial reply."""

    def by(_: ReceivedRequest, wire: Wire) -> bool:
        wire.stream(BEGUN, ends=False)
        for _ in range(150):
            if wire.is_over(0.02):
                break
            wire.piece(b": ping\n")
        return False

    error = broken(call_chat, by, deadline=0.4, timeout=0.3)
    assert type(error) is DeadlineExceededError
    assert error.message == "The call took longer than 0.4 seconds."
    assert has_what_arrived(error)


def test_the_deadline_bounds_silence_too(call_chat: ChatCaller) -> None:
    """A deadline shorter than the timeout ends a silent call."""
    error = broken(call_chat, silence, deadline=0.3)
    assert type(error) is DeadlineExceededError


# ---- redirects


def test_a_redirect_is_not_followed(call_chat: ChatCaller) -> None:
    """A redirect is not followed, and the error suggests checking the base URL."""
    with Loopback(well) as other:
        to = f"location: {other.url}/chat/completions"
        error = broken(
            call_chat, lambda _, wire: wire.whole(b"", to, status="307 Temporary Redirect")
        )
        assert other.connections == 0
    assert isinstance(error, APIError)
    assert error.status == 307
    assert "base URL" in error.hint


# ---- connections


def test_connections_are_reused(call_chat: ChatCaller) -> None:
    """The connection of a finished reply is reused, streamed or not."""
    with Loopback(well) as server:
        if call_chat.mode.startswith("async"):
            asyncio.run(_several_async(server.url, call_chat.is_stream))
        else:
            with Emby(base_url=server.url) as emby:
                for _ in range(3):
                    if call_chat.is_stream:
                        with emby.stream("Hi") as stream:
                            list(stream)
                    else:
                        emby.chat("Hi")
    assert len(server.requests) == 3
    assert server.connections == 1


async def _several_async(url: str, is_stream: bool) -> None:
    async with AsyncEmby(base_url=url) as emby:
        for _ in range(3):
            if is_stream:
                async with emby.stream("Hi") as stream:
                    async for _event in stream:
                        pass
            else:
                await emby.chat("Hi")


def test_the_connection_of_an_error_is_reused() -> None:
    """The connection of an error response is reused."""
    body = as_json({"error": {"message": "No"}})
    with (
        Loopback(lambda _, wire: wire.whole(body, status="400 Bad")) as server,
        Emby(base_url=server.url) as emby,
    ):
        for _ in range(2):
            with pytest.raises(APIError):
                emby.chat("Hi")
    assert server.connections == 1


def endless(received: ReceivedRequest, wire: Wire) -> bool | None:
    """Answer `endless` with an endless stream, and anything else normally."""
    if b"endless" not in received.body:
        return well(received, wire)
    wire.stream(chunk_of("a"), ends=False)
    while True:
        wire.piece(chunk_of("b"))


def chunk_of(text: str) -> bytes:
    """Return one frame with this text."""
    return sse(chunk(text), done=False)


def test_breaking_off_leaves_the_client_usable() -> None:
    """Leaving a stream early closes its connection, and the client can be used again."""
    with Loopback(endless) as server, Emby(base_url=server.url) as emby:
        with emby.stream("endless") as stream:
            for event in stream:
                assert event == TextDelta("a")
                break
        assert stream.reply.text.startswith("a")
        assert list(stream) == []
        assert emby.chat("Hi").image.data == RED


async def test_breaking_off_leaves_the_async_client_usable() -> None:
    """Leaving an async stream early closes its connection, and the client can be used again."""
    with Loopback(endless) as server:
        async with AsyncEmby(base_url=server.url) as emby:
            async with emby.stream("endless") as stream:
                async for event in stream:
                    assert event == TextDelta("a")
                    break
            assert [event async for event in stream] == []
            assert (await emby.chat("Hi")).image.data == RED


def divide(events: Iterable[object]) -> None:
    """Raise at the first event."""
    for _ in events:
        _ = 1 / 0


def test_an_error_of_the_caller_leaves_the_client_usable() -> None:
    """An exception in the caller's loop is propagated, and the client can be used again."""
    with Loopback(endless) as server, Emby(base_url=server.url) as emby:
        with pytest.raises(ZeroDivisionError), emby.stream("endless") as stream:
            divide(stream)
        assert emby.chat("Hi").text == "Here:"


async def test_cancelling_leaves_the_client_usable() -> None:
    """A task cancelled in mid-stream releases its connection, and the client can be used again."""
    with Loopback(endless) as server:
        async with AsyncEmby(base_url=server.url) as emby:
            begun = asyncio.Event()

            async def listen() -> None:
                async with emby.stream("endless") as stream:
                    async for _ in stream:
                        begun.set()

            task = asyncio.create_task(listen())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await emby.chat("Hi")).text == "Here:"


async def test_cancelling_a_silent_call_leaves_the_client_usable() -> None:
    """A task cancelled before the first byte releases its connection."""
    received = threading.Event()
    over = threading.Event()

    def by(request: ReceivedRequest, wire: Wire) -> bool | None:
        if b"silent" not in request.body:
            return well(request, wire)
        received.set()
        over.wait(5)
        return False

    with Loopback(by) as server:
        async with AsyncEmby(base_url=server.url) as emby:
            task = asyncio.create_task(emby.chat("silent"))
            await asyncio.to_thread(received.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await emby.chat("Hi")).text == "Here:"
        over.set()


async def test_tasks_share_a_client() -> None:
    """Twenty concurrent tasks each get their own reply."""

    def by(received: ReceivedRequest, wire: Wire) -> None:
        number = received.body.partition(b'"content":"')[2].partition(b'"')[0].decode()
        wire.stream(sse(chunk(number), chunk(finish="stop")))

    with Loopback(by) as server:
        async with AsyncEmby(base_url=server.url) as emby:
            replies = await asyncio.gather(*(emby.chat(str(n)) for n in range(20)))
    assert [reply.text for reply in replies] == [str(n) for n in range(20)]


def test_threads_share_a_client() -> None:
    """Four threads share a sync client."""
    texts: list[str] = []
    with Loopback(well) as server, Emby(base_url=server.url) as emby:
        threads = [
            threading.Thread(target=lambda: texts.append(emby.chat("Hi").text)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["Here:"] * 4


def test_an_async_client_survives_its_event_loops() -> None:
    """One async client works in several runs of `asyncio.run` and leaves no socket open."""
    with Loopback(well) as server:
        emby = AsyncEmby(base_url=server.url)

        async def call_chat() -> str:
            return (await emby.chat("Hi")).text + (await emby.chat("Hi")).text

        for _ in range(3):
            # An unclosed socket is a ResourceWarning, which is an error here.
            assert asyncio.run(call_chat()) == "Here:Here:"
            gc.collect()
        assert server.connections == 3
        assert len(emby._transport._opened) <= 1


def test_an_async_client_serves_two_threads() -> None:
    """One async client works in two threads at the same time, each with its own event loop."""
    meet = threading.Barrier(2, timeout=5)
    texts: list[str] = []
    with Loopback(well) as server:
        emby = AsyncEmby(base_url=server.url)

        async def call_chat() -> None:
            await emby.chat("Hi")
            await asyncio.to_thread(meet.wait)
            texts.append((await emby.chat("Hi")).text)

        threads = [threading.Thread(target=lambda: asyncio.run(call_chat())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["Here:"] * 2
    assert server.connections == 2


async def test_an_async_client_that_is_dropped_leaves_no_socket() -> None:
    """The connections of an async client that is dropped without closing are closed by its loop."""
    with Loopback(well) as server:
        for _ in range(2):
            await AsyncEmby(base_url=server.url).chat("Hi")
        gc.collect()
        await asyncio.sleep(0)


async def test_closing_closes_the_connections_of_this_loop() -> None:
    """`close` closes the connections of the current loop, and a later call opens new ones."""
    with Loopback(well) as server:
        emby = AsyncEmby(base_url=server.url)
        await emby.chat("Hi")
        await emby.close()
        assert emby._transport._opened == {}
        await emby.chat("Hi")
        await emby.close()
    assert server.connections == 2
