"""Clients of httpx and httpx2 that the user passes work alike."""

from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest

from emby_plugins import (
    AsyncEmby,
    ConfigurationError,
    Emby,
    EmbyConnectionError,
    EmbyTimeoutError,
    RateLimitError,
    TruncatedReplyError,
)

LIBRARIES = [httpx, httpx2]
REPLY = (
    b'{"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",'
    b' "message": {"role": "assistant", "content": "Hello"}}]}'
)
EVENTS = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}\n\n'
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
)
Handler = Callable[[Any], Any]


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.__name__)
def library(request: pytest.FixtureRequest) -> Any:
    """Each HTTP library, regardless of the one that the package prefers."""
    return request.param


async def call_chat(library: Any, handler: Handler, *, stream: bool, is_async: bool) -> str:
    """Return the text of a reply, using this library's client with a handler as its network."""
    settings: dict[str, Any] = {"api_key": "a-key-of-tests", "base_url": "https://emby.test/v1"}
    settings["max_retries"] = 0
    network = library.MockTransport(handler)
    if is_async:
        async with library.AsyncClient(transport=network) as http:
            emby = AsyncEmby(**settings, http_client=http)
            if not stream:
                return (await emby.chat("Hi", model="m")).text
            async with emby.stream("Hi", model="m") as events:
                async for _ in events:
                    pass
            return events.reply.text
    with library.Client(transport=network) as http:
        client = Emby(**settings, http_client=http)
        if not stream:
            return client.chat("Hi", model="m").text
        with client.stream("Hi", model="m") as received:
            for _ in received:
                pass
        return received.reply.text


WAYS = pytest.mark.parametrize(
    ("stream", "is_async"),
    [(False, False), (True, False), (False, True), (True, True)],
    ids=["sync", "sync-stream", "async", "async-stream"],
)


@WAYS
async def test_a_given_client_of_either_library_sends_the_call(
    library: Any, stream: bool, is_async: bool
) -> None:
    """A given client of either library sends the request with the key, and the reply is read."""
    sent: list[Any] = []

    def answer(request: Any) -> Any:
        sent.append(request)
        kind = "text/event-stream" if stream else "application/json"
        content = EVENTS if stream else REPLY
        return library.Response(200, headers={"content-type": kind}, content=content)

    assert await call_chat(library, answer, stream=stream, is_async=is_async) == "Hello"
    assert [request.url.path for request in sent] == ["/v1/chat/completions"]
    assert sent[0].headers["authorization"] == "Bearer a-key-of-tests"


@WAYS
@pytest.mark.parametrize(
    ("name", "expected", "retryable"),
    [
        ("ConnectError", EmbyConnectionError, True),
        ("ReadError", EmbyConnectionError, False),
        ("ReadTimeout", EmbyTimeoutError, False),
        ("ConnectTimeout", EmbyTimeoutError, True),
        ("PoolTimeout", EmbyTimeoutError, True),
        ("UnsupportedProtocol", ConfigurationError, False),
    ],
)
async def test_exceptions_of_either_library_become_ours(
    library: Any,
    name: str,
    expected: type[Exception],
    retryable: bool,
    stream: bool,
    is_async: bool,
) -> None:
    """Exceptions of the library in use become the adapter's errors."""

    def fail(request: Any) -> Any:
        raise getattr(library, name)("broken", request=request)

    with pytest.raises(expected) as raised:
        await call_chat(library, fail, stream=stream, is_async=is_async)
    assert getattr(raised.value, "is_retryable", None) is retryable


@WAYS
async def test_a_cut_body_of_either_library_is_a_truncated_reply(
    library: Any, stream: bool, is_async: bool
) -> None:
    """A body cut by the library's own exception is truncated, and a status keeps its own error."""

    class Cut(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Any:
            yield EVENTS[:40]
            raise library.RemoteProtocolError("peer closed connection")

        async def __aiter__(self) -> Any:
            yield EVENTS[:40]
            raise library.RemoteProtocolError("peer closed connection")

    headers = {"content-type": "text/event-stream"}
    with pytest.raises(TruncatedReplyError):
        await call_chat(
            library,
            lambda _: library.Response(200, headers=headers, stream=Cut()),
            stream=stream,
            is_async=is_async,
        )
    with pytest.raises(RateLimitError):
        await call_chat(library, lambda _: library.Response(429), stream=stream, is_async=is_async)


@pytest.mark.parametrize("client", [httpx.AsyncClient(), httpx2.AsyncClient(), "no client"])
def test_a_client_of_the_wrong_kind_is_refused(client: Any) -> None:
    """Passing anything but a sync client raises a ConfigurationError on creation."""
    with pytest.raises(ConfigurationError, match=r"Expected an httpx\.Client or an httpx2\.Client"):
        Emby(base_url="http://localhost:1/v1", http_client=client)


@pytest.mark.parametrize("client", [httpx.Client(), httpx2.Client(), object()])
def test_an_async_client_takes_async_clients_only(client: Any) -> None:
    """Passing anything but an async client to AsyncEmby raises a ConfigurationError on creation."""
    with pytest.raises(ConfigurationError, match=r"Expected an httpx\.AsyncClient or an httpx2"):
        AsyncEmby(base_url="http://localhost:1/v1", http_client=client)


async def test_a_lost_connection_is_not_retried(library: Any) -> None:
    """A lost connection that a transport reports as a failure to connect is not retried."""
    requests = []

    def gateway(request: Any) -> Any:
        requests.append(request)
        raise library.ConnectTimeout("Server disconnected") from OSError()

    async with library.AsyncClient(transport=library.MockTransport(gateway)) as http:
        emby = AsyncEmby("a-key-of-tests", "https://emby.test/v1", http_client=http)
        with pytest.raises(EmbyConnectionError, match="failed: Server disconnected"):
            await emby.chat("Hi", model="m")
    assert len(requests) == 1
