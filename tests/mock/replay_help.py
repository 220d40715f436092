"""Replay a recorded request against the mock, with a provider that acts like the recorded one.

The recordings were made with a fake provider that is controlled by trigger words in the prompt.
`provider` does the same for the mock; nothing here depends on the name of a case.
"""

import base64
import json
from typing import Any

from recordings.recordings import Recording

from emby_plugins import Image
from emby_plugins._protocol.backend import BackendRequest
from emby_plugins.mock import PROFILES, Fault, MockBackend, MockReply, MockRequest
from emby_plugins.mock.responses import outside

KEY = "good-key"
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGM4YSOCFTEMLQkAh11GAVWqxZsAAAAASUVORK5CYII="
)
PICTURE = Image.from_bytes(_PNG)
OTHER = Image.from_bytes(_PNG + b"\0")
_CITY = {"city": "Utrecht"}


def _counts(prompt: int, completion: int, **details: Any) -> dict[str, Any]:
    total = prompt + completion
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
    } | details


_TEXT = _counts(12, 7)
_THOUGHT = _counts(12, 7, completion_tokens_details={"reasoning_tokens": 4})
_IMAGE = _counts(9, 1290)


def _says(text: str | None = None, usage: Any = _TEXT, **more: Any) -> MockReply:
    return MockReply(text, usage=usage, **more)


_DIES = {"usage": None}
TRIGGERS = {
    "LENGTH": _says("Hello world", finish_reason="length"),
    "RICHUSAGE": _says(
        "Hello world",
        _counts(
            12,
            7,
            prompt_tokens_details={"cached_tokens": 5, "audio_tokens": 0},
            completion_tokens_details={"reasoning_tokens": 0},
        ),
    ),
    "NOUSAGE": _says("Hello world", {}),
    "ANNOT": _says(
        "Hello",
        annotations=(
            {
                "type": "url_citation",
                "url_citation": {
                    "url": "https://example.com",
                    "title": "Ex",
                    "start_index": 0,
                    "end_index": 5,
                },
            },
        ),
    ),
    "REFUSE": _says(refusal="I can't help with that."),
    "FILTER": _says("Par", finish_reason="content_filter"),
    "PARALLEL": _says(tool_calls=(("get_weather", _CITY), ("get_weather", {"city": "Delft"}))),
    "GONLYIMG": _says(None, _IMAGE, images=(PICTURE,)),
    "GJPEG": _says(None, _IMAGE, images=(PICTURE,)),
    "GTHINK": _says("Here.", _IMAGE, images=(PICTURE,), reasoning="Planning."),
    "GFILEDATA": _says("Here.", _IMAGE),
    "GSNAKE": _says("Here.", _IMAGE),
    "GTEXTONLY": _says("I-will-not-draw-that.", _IMAGE),
    "GIMAGESAFETY": _says(None, _IMAGE, finish_reason="image_safety"),
    "GNOIMAGE": _says(None, _IMAGE, finish_reason="stop"),
    "GSAFETY": _says("I-can't.", _IMAGE, finish_reason="content_filter"),
    "GPROMPTBLOCK": _says(None, _counts(9, 0), finish_reason="content_filter"),
    "GPROHIBITED": _says(None, _IMAGE, finish_reason="content_filter"),
    "OAIIMG": _says("Here:", images=(PICTURE,)),
    "OAIINDEX": _says("Here:", images=(PICTURE,)),
    "OAITWO": _says("Here:", images=(PICTURE, OTHER)),
    "OAINULL": _says(None, images=(PICTURE,)),
    "OAIHTTPS": _says("Here:", images=(Image.from_url("https://example.com/out.png"),)),
    "HTML502": MockReply(fault=Fault(upstream=502, message="<html>Bad</html>")),
    "HTML200": MockReply(fault=Fault(upstream=200, message="<html>Welcome</html>")),
    "HANGUP": MockReply(fault=Fault(hang_up=True)),
    "EMPTYSTREAM": MockReply("", fault=Fault(upstream_end="cut")),
    "DONEONLY": MockReply("", fault=Fault(upstream_end="done")),
    "MIDERR": MockReply("Hello world", fault=Fault(upstream_end="error")),
    "MIDCUT": MockReply("Hello world", fault=Fault(upstream_end="cut")),
    "MIDEND": MockReply("Hello world", fault=Fault(upstream_end="cut")),
    "MIDDONE": MockReply("Hello world", fault=Fault(upstream_end="done")),
    "GCUT": MockReply("Here is", fault=Fault(upstream_end="cut")),
}


def provider(request: MockRequest) -> MockReply | None:
    """Return the answer of the recordings' fake provider to a request."""
    body, prompt = request.body, request.prompt
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return None
    words = prompt.split()
    for word in words:
        if word.startswith("TRIGGER_"):
            status = word.removeprefix("TRIGGER_")
            if status.isdigit():
                fault = Fault(upstream=int(status), message=f"provider says {status}")
                return MockReply(fault=fault)
            return TRIGGERS[status]
        if word in TRIGGERS:
            return TRIGGERS[word]
    model = str(body.get("model"))
    if "gpt-image" in model:
        return MockReply(
            "Image edited" if request.images else None, (PICTURE,), usage=_counts(9, 100)
        )
    if "cogview" in model:
        pictures = (PICTURE, OTHER) if "TWO" in words else (PICTURE,)
        return MockReply(None, pictures, usage=_counts(round(len(prompt) / 4), 4))
    if "gemini" in model:
        return _says("Here is your image:", _IMAGE, images=(PICTURE,))
    if any(message.get("role") == "tool" for message in body["messages"]):
        return _says("It is sunny.")
    if body.get("tools") and body.get("tool_choice") != "none":
        return _says(tool_calls=(("get_weather", _CITY),))
    if body.get("response_format", {}).get("type", "text") != "text":
        return _says('{"name": "Rex", "age": 3}')
    if "gpt-oss" in model:
        return _says("Hello world", _THOUGHT, reasoning="Hmm ok.")
    return _says("Hello world")


def send(recorded: Recording, backend: MockBackend) -> tuple[int, dict[str, str], bytes]:
    """Return the mock's status, headers and body for a recorded request."""
    headers = dict(recorded.headers)
    token = headers.pop("authorization", "none")
    if token != "none":
        headers["authorization"] = {"good": f"Bearer {KEY}", "bad": "Bearer bad"}.get(token, token)
    if headers.get("x-api-key") == "good":
        headers["x-api-key"] = KEY
    body = recorded.request_body
    content = (
        body.encode()
        if isinstance(body, str)
        else b""
        if body is None
        else json.dumps(body).encode()
    )
    method = "GET" if recorded.method == "HEAD" else recorded.method
    path = recorded.path.removeprefix("/v1")
    if path == recorded.path:
        response = outside(method, path)
    else:
        response = backend(BackendRequest(method, path, headers, content), provider)
    return response.status, dict(response.headers), b"".join(response.body)


def backend_for(state: str, **more: Any) -> MockBackend:
    """Return the mock of a recorded state, with a key."""
    return MockBackend(KEY, profile=PROFILES[state], **more)


def events(body: bytes) -> list[dict[str, Any]]:
    """Return the frames of a stream in the form of the recordings."""
    frames = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if fields:
            data = fields["data"]
            frames.append(fields | {"data": data if data == "[DONE]" else json.loads(data)})
    return frames


def provider_fails(recorded: Recording) -> bool:
    """Return whether the provider reports no usage, so that the gateway estimates it."""
    body = recorded.request_body
    if not isinstance(body, dict):
        return False
    reply = provider(MockRequest("POST", "", {}, json.dumps(body).encode()))
    return reply is not None and reply.fault is not None
