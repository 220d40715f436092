"""Helpers that send requests to the mock's bytes interface and read its responses."""

import base64
import io
import json
from typing import Any

from PIL import Image

from emby_plugins._protocol.backend import BackendRequest, BackendResponse
from emby_plugins.mock import PROFILES, Fault, MockBackend

JSON = {"content-type": "application/json"}
PUPPY = "Generate an image of a golden retriever puppy playing in a sunny meadow"


def mock(profile: str = "emby", *faults: Fault, **more: Any) -> MockBackend:
    """Return a backend of a profile with faults for its first requests."""
    return MockBackend(profile=PROFILES[profile], faults=faults, **more)


def raw(response: BackendResponse) -> bytes:
    """Return the complete body of a response."""
    return b"".join(response.body)


def parts(body: bytes) -> list[Any]:
    """Return the JSON chunks of a stream of events."""
    lines = (line for line in body.split(b"\n") if line.startswith(b"data: {"))
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def send(body: Any, backend: MockBackend | None = None, **headers: str) -> BackendResponse:
    """Return the response to a POST of `body` (bytes unchanged, anything else as JSON)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = BackendRequest("POST", "/chat/completions", JSON | headers, data)
    return (backend or MockBackend())(request)


def body_of(response: BackendResponse) -> Any:
    """Return the JSON of a response."""
    return json.loads(b"".join(response.body))


def chat(prompt: Any, *images: str, model: str = "qwen2.5-vision", **more: Any) -> dict[str, Any]:
    """Return a request body for a prompt and images, or for a list of messages."""
    if isinstance(prompt, list):
        return {"model": model, "messages": prompt} | more
    content: Any = prompt
    if images:
        content = [{"type": "text", "text": prompt}, *map(image_part, images)]
    return {"model": model, "messages": [{"role": "user", "content": content}]} | more


def image_part(url: str) -> dict[str, Any]:
    """Return an image part."""
    return {"type": "image_url", "image_url": {"url": url}}


def reply(*args: Any, profile: str = "emby", **more: Any) -> Any:
    """Return the JSON reply to a chat that must succeed."""
    response = send(chat(*args, **more), mock(profile))
    assert response.status == 200
    return body_of(response)


def message(*args: Any, **more: Any) -> Any:
    """Return the message of a reply."""
    return reply(*args, **more)["choices"][0]["message"]


def chunks(*args: Any, profile: str = "emby", **more: Any) -> list[Any]:
    """Return the JSON chunks of a streamed reply, without its end."""
    frames = list(send(chat(*args, stream=True, **more), mock(profile)).body)
    return [json.loads(frame.split(b"\n")[0].removeprefix(b"data: ")) for frame in frames[:-1]]


def data_url(image: Image.Image, kind: str = "PNG", **options: Any) -> str:
    """Return an image as a data URL."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


def flat(colour: str, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> str:
    """Return an image of one color."""
    return data_url(Image.new(mode, size, colour))


def pictures(content: Any) -> list[Image.Image]:
    """Return the decoded images of a message."""
    urls = [item["image_url"]["url"] for item in content["images"]]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]
