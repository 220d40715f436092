"""Seeds for the fuzzers: realistic replies, errors, model lists and images."""

import gzip
import io
import json
from collections.abc import Iterator

import PIL.Image

from emby_plugins._protocol.backend import BackendRequest
from emby_plugins.mock import MockBackend

_PROMPTS = ("Hello", "Generate an image of a boat", "What is 2+2? Think.", "The weather in Paris?")
_TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
WORDS = (
    b'"image_url":{"url":"data:image/png;base64,',
    b'data: {"choices":[{"index":0,"delta":{',
    b'"finish_reason":"stop"',
    b"data: [DONE]\n\n",
    b"event: error\n",
    b'"tool_calls":[{"index":0,"id":"a","function":{"name":"n","arguments":"{}"}}]',
    b'"images":[',
    b'"content":',
    b'"message":{',
    b'"error":{"message":"m","type":"t","code":"429"}',
    b"\\ud800",
    b"\xe2\x80\xa8",
    b"\r\n",
    b"\xef\xbb\xbf",
    b"iVBORw0KGgo=",
    b"data:image/png;base64,",
    b'{"data":[{"id":"m","pricing":{},"providers":[{}]}]}',
    b"1e999",
    b"-1",
    b"null",
)


def _answer(prompt: str, *, streamed: bool) -> bytes:
    fields = {
        "model": "qwen2.5-vision",
        "messages": [{"role": "user", "content": prompt}],
        "stream": streamed,
        "tools": [_TOOL] if "weather" in prompt else None,
        "image_config": {"aspect_ratio": "1:1"},
    }
    body = json.dumps({name: value for name, value in fields.items() if value}).encode()
    headers = {"content-type": "application/json"}
    request = BackendRequest("POST", "/chat/completions", headers, body)
    return b"".join(MockBackend()(request).body)


def _small(*, streamed: bool) -> bytes:
    """A reply with an image, short enough for bytewise mutation."""
    image = '{"image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}'
    said = f'{{"content":"Hi","images":[{image}]}}'
    if not streamed:
        return f'{{"choices":[{{"message":{said},"finish_reason":"stop"}}]}}'.encode()
    finish = '{"choices":[{"finish_reason":"stop"}]}'
    return f'data: {{"choices":[{{"delta":{said}}}]}}\n\ndata: {finish}\n\n'.encode()


def _pictures() -> Iterator[bytes]:
    picture = PIL.Image.new("RGB", (5, 4), "red")
    for kind in ("PNG", "JPEG", "GIF", "WEBP"):
        out = io.BytesIO()
        picture.save(out, format=kind)
        yield out.getvalue()


def seeds(target: str) -> list[bytes]:
    """The seeds of a target."""
    if target in {"stream", "reply", "packed", "json"}:
        replies = [_answer(prompt, streamed=target != "reply") for prompt in _PROMPTS]
        replies += [_small(streamed=target != "reply")]
        if target == "json":
            return [line[6:] for reply in replies for line in reply.splitlines() if line[:5]]
        return [b"\x10\x80\xf0" + (gzip.compress(r) if target == "packed" else r) for r in replies]
    if target == "images":
        return [bytes((layout, 4, 9, 40, 90, 130, 200, 220)) + b"seed" for layout in range(16)]
    if target == "error":
        dates = b"Mon, 01 Jan 2027 00:00:00 GMT|Sun, 22 Nov 2026 00:00:00 GMT|req-1\n"
        return [dates + b'{"error":{"message":"sk-12345678","type":"t","code":429}}', b"3||\n"]
    if target == "models":
        request = BackendRequest("GET", "/models", {}, b"")
        return [b"".join(MockBackend()(request).body)]
    return [*_pictures()] if target == "image" else [b"iVBORw0KGgo=", b"data:,x"]
