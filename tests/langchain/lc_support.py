"""A scripted gateway for these tests: it gives prepared replies and keeps the requests."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pybase64
from PIL import Image as Pillow

from emby_plugins import Backend, BackendRequest, BackendResponse, hookimpl
from langchain_emby import ChatEmby

CASSETTES = Path(__file__).resolve().parents[2] / "cassettes"
"""The folder of recorded HTTP, with a folder for each test module."""


def picture(kind: str = "PNG", colour: str = "red") -> bytes:
    """Return the file of a small image."""
    out = io.BytesIO()
    Pillow.new("RGB", (8, 6), colour).save(out, format=kind)
    return out.getvalue()


PNG, JPEG, WEBP = picture("PNG"), picture("JPEG", "green"), picture("WEBP", "blue")
MORE = tuple(picture("PNG", colour) for colour in ("yellow", "black"))
ADDRESS = "https://example.com/puppy.png"
PDF = b"%PDF-1.4\n%fake but honest\n"


def data_url(data: bytes, media_type: str = "image/png") -> str:
    """Return the bytes as a data URL."""
    return f"data:{media_type};base64,{b64(data)}"


def b64(data: bytes) -> str:
    """Return the bytes as base64 text."""
    return pybase64.b64encode_as_string(data)


def wire_images(pictures: tuple[bytes | str, ...]) -> list[dict[str, Any]]:
    """Return images in the form of the gateway."""
    urls = (p if isinstance(p, str) else data_url(p) for p in pictures)
    return [{"type": "image_url", "image_url": {"url": url}} for url in urls]


class Script:
    """A plugin with a backend that answers with one message, streamed or not, and keeps requests.

    `streamed` are the deltas to stream instead of the message's own; with `only_streams` every
    reply is streamed.
    """

    def __init__(
        self,
        text: str | None = "",
        images: tuple[bytes | str, ...] = (),
        *,
        finish: str | None = "stop",
        streamed: list[dict[str, Any]] | None = None,
        only_streams: bool = False,
        usage: dict[str, Any] | None = None,
        status: int = 200,
        error: dict[str, Any] | None = None,
        head: dict[str, Any] | None = None,
        **message: Any,
    ) -> None:
        self.requests: list[BackendRequest] = []
        self._finish = finish
        self._status = status
        self._error = error
        self._head = {"id": "chatcmpl-1", "model": "qwen2.5-vision", "created": 1, **(head or {})}
        self._only_streams = only_streams
        self._usage = usage or {
            "prompt_tokens": 9,
            "completion_tokens": 40,
            "total_tokens": 49,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 3},
            "cost": 0.25,
        }
        self._message = {"role": "assistant", "content": text, **message}
        if images:
            self._message["images"] = wire_images(images)
        self._streamed = streamed or [*self._deltas(text, images, message)]

    @hookimpl
    def emby_backend(self, url: str) -> Backend | None:
        """Answer for `script:`."""
        return self._answer if url == "script:" else None

    def chat(self, **settings: Any) -> ChatEmby:
        """Return a chat model that uses this script."""
        return ChatEmby(**{"base_url": "script:", "plugins": [self], **settings})

    @property
    def sent(self) -> dict[str, Any]:
        """The body of the last request."""
        return json.loads(self.requests[-1].body)

    def _deltas(
        self, text: str | None, images: tuple[bytes | str, ...], message: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        if message.get("reasoning"):
            yield {"reasoning": message["reasoning"]}
        for word in (text or "").split(" ") if text else []:
            yield {"content": word if word == text.split(" ")[0] else f" {word}"}
        for image in images:
            yield {"images": wire_images((image,))}
        for index, call in enumerate(message.get("tool_calls", [])):
            arguments = call["function"]["arguments"]
            yield {
                "tool_calls": [
                    {**call, "index": index, "function": {**call["function"], "arguments": ""}}
                ]
            }
            for piece in (arguments[:5], arguments[5:]):
                yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
        if message.get("annotations"):
            yield {"annotations": message["annotations"]}

    def _answer(self, request: BackendRequest) -> BackendResponse:
        self.requests.append(request)
        json_type = {"content-type": "application/json", "x-request-id": "req-1"}
        if self._error is not None:
            body = json.dumps({"error": self._error}).encode()
            return BackendResponse(self._status, json_type, iter([body]))
        if self._only_streams or json.loads(request.body).get("stream"):
            headers = {"content-type": "text/event-stream", "x-request-id": "req-1"}
            return BackendResponse(200, headers, self._events())
        choice = {"index": 0, "message": self._message, "finish_reason": self._finish}
        reply = {**self._head, "choices": [choice], "usage": self._usage}
        return BackendResponse(200, json_type, iter([json.dumps(reply).encode()]))

    def _events(self) -> Iterator[bytes]:
        for delta in self._streamed:
            yield self._event({"choices": [{"index": 0, "delta": delta}]})
        if self._finish:
            last = {"index": 0, "delta": {}, "finish_reason": self._finish}
            yield self._event({"choices": [last], "usage": self._usage})
        yield b"data: [DONE]\n\n"

    def _event(self, chunk: dict[str, Any]) -> bytes:
        return b"data: " + json.dumps({**self._head, **chunk}).encode() + b"\n\n"


class Turns:
    """A plugin with a backend that answers each request of a conversation with the next function.

    Each function gets the request's body and returns a `Script`.
    """

    def __init__(self, *turns: Callable[[dict[str, Any]], Script]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._turns = turns

    @hookimpl
    def emby_backend(self, url: str) -> Backend | None:
        """Answer for `turns:`."""
        return self._answer if url == "turns:" else None

    def chat(self, **settings: Any) -> ChatEmby:
        """Return a chat model that uses this conversation."""
        return ChatEmby(**{"base_url": "turns:", "plugins": [self], **settings})

    def _answer(self, request: BackendRequest) -> BackendResponse:
        self.bodies.append(json.loads(request.body))
        return self._turns[len(self.bodies) - 1](self.bodies[-1])._answer(request)


def calling(name: str, **args: Any) -> Script:
    """Return a reply that calls a tool."""
    function = {"name": name, "arguments": json.dumps(args)}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    return Script(None, tool_calls=calls, finish="tool_calls")


def merged(chunks: Any) -> Any:
    """Return the sum of the chunks."""
    full = None
    for chunk in chunks:
        full = chunk if full is None else full + chunk
    return full
