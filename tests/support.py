"""Shared test helpers: real photographs, replies as sent by gateways, backends and servers."""

import asyncio
import base64
import importlib.util
import io
import json
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Self

import PIL.Image

from emby_plugins import (
    AsyncEmby,
    BackendRequest,
    BackendResponse,
    ChatReply,
    Emby,
    Finished,
    ImageReceived,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    hookimpl,
)

MODES = ("sync", "sync-stream", "async", "async-stream")
"""The four ways to request the same reply."""

STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


_INTERRUPTIBLE = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def interruptible(module: str, *words: object) -> list[str]:
    """Build a command that runs a module such that Ctrl-C reaches it.

    A child process inherits an ignored signal, such as after `trap '' INT` or in background jobs.
    """
    return [sys.executable, "-c", _INTERRUPTIBLE, module, *map(str, words)]


def photo(name: str) -> Path:
    """A real photograph from scikit-image's wheel, such as `rocket.jpg`, without importing it."""
    found = importlib.util.find_spec("skimage")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0], "data", name)


def picture(colour: str = "red", size: tuple[int, int] = (3, 2), format: str = "PNG") -> bytes:  # noqa: A002
    """The bytes of a small picture of a single colour."""
    out = io.BytesIO()
    PIL.Image.new("RGB", size, colour).save(out, format=format)
    return out.getvalue()


def data_url(data: bytes, media_type: str = "image/png") -> str:
    """Bytes as a base64 data URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def image_item(data: bytes | str) -> dict[str, Any]:
    """An entry of `images`, from bytes or a URL."""
    url = data if isinstance(data, str) else data_url(data)
    return {"type": "image_url", "image_url": {"url": url}}


def completion(text: str | None = "Hello.", *images: bytes | str, **top: Any) -> dict[str, Any]:
    """A complete reply, not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if images:
        message["images"] = [image_item(image) for image in images]
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "c-1", "model": "m", "choices": [choice], **top}


def chunk(
    text: str | None = None,
    *images: bytes | str,
    finish: str | None = None,
    delta: Mapping[str, Any] | None = None,
    **top: Any,
) -> dict[str, Any]:
    """A chunk of a streamed reply; `delta` is merged with text and images, `top` with the chunk."""
    fields: dict[str, Any] = {} if text is None else {"content": text}
    if images:
        fields["images"] = [image_item(image) for image in images]
    choice = {"index": 0, "delta": {**fields, **(delta or {})}, "finish_reason": finish}
    return {"id": "c-1", "model": "m", "choices": [choice], **top}


def sse(*chunks: object, done: bool = True) -> bytes:
    """An event stream: bytes are sent unchanged, everything else as a JSON frame."""
    frames = [c if isinstance(c, bytes) else b"data: " + as_json(c) + b"\n\n" for c in chunks]
    return b"".join(frames) + (b"data: [DONE]\n\n" if done else b"")


def as_json(value: object) -> bytes:
    """Encode a value as JSON."""
    return json.dumps(value).encode()


def answer(
    value: object = None, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> BackendResponse:
    """A JSON response; bytes become an event stream."""
    if isinstance(value, bytes):
        return BackendResponse(status, STREAM | dict(headers or {}), iter([value]))
    body = as_json(completion() if value is None else value)
    return BackendResponse(status, JSON | dict(headers or {}), iter([body]))


def as_asked(whole: object, stream: bytes) -> Callable[[BackendRequest], BackendResponse]:
    """A backend function that returns `stream` for streaming requests, else `whole`."""

    def by(request: BackendRequest) -> BackendResponse:
        return answer(stream if json.loads(request.body).get("stream") else whole)

    return by


class ScriptedBackend:
    """A backend plugin for `test:` that records requests and answers from a list or function.

    The last answer of the list is repeated.
    """

    def __init__(
        self, *answers: object, by: Callable[[BackendRequest], BackendResponse] | None = None
    ) -> None:
        self.requests: list[BackendRequest] = []
        given = [a if isinstance(a, BackendResponse) else answer(a) for a in answers]
        self._answers = [(a.status, a.headers, tuple(a.body)) for a in given]
        self._by = by

    def __call__(self, request: BackendRequest) -> BackendResponse:
        """Answer one request."""
        self.requests.append(request)
        if self._by is not None:
            return self._by(request)
        few = len(self._answers) == 1
        status, headers, body = self._answers[0] if few else self._answers.pop(0)
        return BackendResponse(status, headers, iter(body))

    @hookimpl
    def emby_backend(self, url: str) -> Callable[[BackendRequest], BackendResponse] | None:
        """Return this object as the backend of `test:`."""
        return self if url == "test:" else None

    @property
    def body(self) -> Any:
        """The JSON body of the last request."""
        return json.loads(self.requests[-1].body)

    @property
    def on(self) -> dict[str, Any]:
        """Client settings that select this backend."""
        return {"base_url": "test:", "plugins": [self]}


@dataclass
class ChatCaller:
    """Calls the client in one of the four `MODES`, and records the events of the last stream."""

    mode: str
    events: list[StreamEvent] = field(default_factory=list)

    @property
    def is_stream(self) -> bool:
        """Whether the reply is streamed."""
        return self.mode.endswith("stream")

    def __call__(self, prompt: Any, *, on: Mapping[str, Any], **options: Any) -> ChatReply:
        """Return the reply, from a client created with `on` and closed afterwards."""
        self.events = []
        if self.mode.startswith("async"):
            return asyncio.run(self._ask_async(prompt, on, options))
        with Emby(**on) as emby:
            if not self.is_stream:
                return emby.chat(prompt, **options)
            with emby.stream(prompt, **options) as stream:
                for event in stream:
                    self.events.append(event)
                return self._checked(stream.reply)

    async def _ask_async(
        self, prompt: Any, on: Mapping[str, Any], options: dict[str, Any]
    ) -> ChatReply:
        async with AsyncEmby(**on) as emby:
            if not self.is_stream:
                return await emby.chat(prompt, **options)
            async with emby.stream(prompt, **options) as stream:
                async for event in stream:
                    self.events.append(event)
                return self._checked(stream.reply)

    def _checked(self, reply: ChatReply) -> ChatReply:
        """Return the reply, after checking that the events add up to exactly that reply."""
        seen = self.events
        assert "".join(e.text for e in seen if isinstance(e, TextDelta)) == reply.text
        assert "".join(e.text for e in seen if isinstance(e, ReasoningDelta)) == reply.reasoning
        assert [e.image for e in seen if isinstance(e, ImageReceived)] == list(reply.images)
        assert [e for e in seen if isinstance(e, Finished)] == [Finished(reply)]
        assert seen[-1] == Finished(reply)
        return reply


@dataclass(frozen=True)
class ReceivedRequest:
    """A request received over a socket; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """The server side of a connection, for valid and invalid responses."""

    def __init__(self, connection: socket.socket, stop: threading.Event) -> None:
        self._connection = connection
        self._stop = stop

    def is_over(self, seconds: float = 5.0) -> bool:
        """Wait for the end of the test for at most `seconds`, and return whether it ended."""
        return self._stop.wait(seconds)

    def send(self, data: bytes) -> None:
        """Send bytes unchanged."""
        self._connection.sendall(data)

    def head(self, *headers: str, status: str = "200 OK") -> None:
        """Send a status line and headers."""
        self.send("\r\n".join((f"HTTP/1.1 {status}", *headers, "", "")).encode())

    def whole(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        """Send a complete response."""
        self.head(f"content-length: {len(body)}", *headers, status=status)
        self.send(body)

    def stream(self, *pieces: bytes, ends: bool = True) -> None:
        """Send a chunked stream of events, and end it unless `ends` is false."""
        self.head("content-type: text/event-stream", "transfer-encoding: chunked")
        for piece in pieces:
            self.piece(piece)
        if ends:
            self.send(b"0\r\n\r\n")

    def piece(self, data: bytes) -> None:
        """Send one chunk of a chunked body."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def reset(self) -> None:
        """Reset the connection, as after a crash."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()


class Loopback:
    """A server on 127.0.0.1 that answers with `by(received, wire)`; `False` closes the connection.

    A handler with nothing to send waits for `wire.is_over()`.
    """

    def __init__(self, by: Callable[[ReceivedRequest, Wire], bool | None]) -> None:
        self.requests: list[ReceivedRequest] = []
        self.connections = 0
        self._stop = threading.Event()
        self._open: set[socket.socket] = set()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer.connections += 1
                outer._open.add(self.connection)
                with suppress(OSError, ValueError):
                    for received in _requests(self.rfile):
                        outer.requests.append(received)
                        if by(received, Wire(self.connection, outer._stop)) is False:
                            break
                outer._open.discard(self.connection)

        class Server(socketserver.ThreadingTCPServer):
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()


def _requests(file: Iterable[bytes] | Any) -> Iterator[ReceivedRequest]:
    while line := file.readline():
        method, path, _ = line.decode().split(" ", 2)
        headers = {}
        while (line := file.readline().strip().decode()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", 0)))
        yield ReceivedRequest(method, path, headers, body)


def pairwise_cases(**values: Iterable[Any]) -> list[dict[str, Any]]:
    """A small set of combinations that covers each pair of values of any two parameters.

    Each case starts from a missing pair, and takes for the other parameters the values that
    complete the most missing pairs.
    """
    names = {name: list(given) for name, given in values.items()}

    def pairs(case: dict[str, int]) -> set[frozenset[tuple[str, int]]]:
        return {frozenset(pair) for pair in combinations(case.items(), 2)}

    missing = {
        frozenset(((one, i), (other, j)))
        for one, other in combinations(names, 2)
        for i in range(len(names[one]))
        for j in range(len(names[other]))
    }
    cases = []
    while missing:
        case = dict(min(missing, key=sorted))
        for name, given in names.items():
            if name not in case:
                options = ({**case, name: at} for at in range(len(given)))
                case = max(options, key=lambda option: len(pairs(option) & missing))
        missing -= pairs(case)
        cases.append({name: names[name][case[name]] for name in names})
    return cases
