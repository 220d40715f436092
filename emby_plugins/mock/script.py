"""`MockReply`, a scripted reply, and `MockRequest`, a recorded request."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.parser import BytesParser
from email.policy import HTTP
from functools import cached_property
from threading import Lock
from typing import Any

import msgspec
import pybase64

from emby_plugins._errors import EmbyError
from emby_plugins._images import Image
from emby_plugins._protocol.backend import BackendRequest
from emby_plugins.mock.faults import Fault

KEPT_BYTES = 64_000_000
"""How many bytes of request bodies a backend keeps for assertions."""


@dataclass(frozen=True, slots=True)
class MockReply:
    """A scripted reply; without content, the mock generates its own.

    `tool_calls` are names and arguments. `finish_reason` is by default what fits; `image_safety`
    is an image refused, which the gateway states report differently. `refusal` and `annotations`
    are passed on in OpenAI's form, as are other `fields` of the message, such as
    `reasoning_details`. `usage` is what the provider reports, an empty one for nothing.
    `fault` is a fault of the reply: `MockReply(fault=Fault(status=429))` is an error.
    """

    text: str | None = None
    images: tuple[Image, ...] = ()
    tool_calls: tuple[tuple[str, Mapping[str, object]], ...] = ()
    reasoning: str | None = None
    finish_reason: str | None = None
    fault: Fault | None = None
    refusal: str | None = None
    annotations: tuple[Mapping[str, object], ...] = ()
    usage: Mapping[str, object] | None = None
    fields: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether the mock generates the content, with the fault applied to it."""
        return replace(self, fault=None, usage=None, annotations=()) == MockReply()


@dataclass(frozen=True)
class MockRequest:
    """A request as it arrived; `headers` have lower-case names, and no key."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes

    @classmethod
    def of(cls, request: BackendRequest) -> "MockRequest":
        """The record of a request, its key redacted."""
        secret = {name: "[key]" for name in request.headers if name == "authorization"}
        return cls(request.method, request.path, {**request.headers, **secret}, request.body)

    @cached_property
    def body(self) -> Any:
        """The parsed JSON, or an image edit's form as the equivalent JSON; else None."""
        if self.headers.get("content-type", "").startswith("multipart/form-data"):
            return _read_form(self.headers["content-type"], self.content)
        try:
            return msgspec.json.decode(self.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    @property
    def model(self) -> str:
        """The requested model; empty without one."""
        model = self.body.get("model") if isinstance(self.body, dict) else None
        return model if isinstance(model, str) else ""

    @property
    def prompt(self) -> str:
        """The text of the last user message, or the prompt of an images request."""
        if isinstance(self.body, dict) and isinstance(self.body.get("prompt"), str):
            return str(self.body["prompt"])
        users = [m for m in self._messages() if m.get("role") == "user"]
        content = users[-1].get("content") if users else ""
        if isinstance(content, str):
            return content
        texts = (part.get("text") for part in _objects(content) if part.get("type") == "text")
        return "\n".join(text for text in texts if isinstance(text, str))

    @property
    def images(self) -> tuple[Image, ...]:
        """The images of all messages, decoded, in order; what is not an image is left out."""
        body = self.body if isinstance(self.body, dict) else {}
        parts = (
            part.get("image_url")
            for message in (*self._messages(), {"images": body.get("images")})
            for key in ("content", "images")
            for part in _objects(message.get(key))
        )
        return tuple(image for part in parts for image in _opened(part))

    def _messages(self) -> Iterator[dict[str, Any]]:
        return _objects(self.body.get("messages") if isinstance(self.body, dict) else None)


class Recorder:
    """The latest requests, as many as fit in `KEPT_BYTES`, and always the last one."""

    def __init__(self) -> None:
        self._kept: deque[MockRequest] = deque()
        self._bytes = 0
        self._lock = Lock()

    def keep(self, request: MockRequest) -> None:
        """Keep this one, and drop the oldest that no longer fit."""
        with self._lock:
            self._kept.append(request)
            self._bytes += len(request.content)
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= len(self._kept.popleft().content)

    def kept(self) -> list[MockRequest]:
        """The requests kept, oldest first."""
        with self._lock:
            return list(self._kept)


def _objects(value: object) -> Iterator[dict[str, Any]]:
    return (
        (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
    )


def _opened(part: object) -> Iterator[Image]:
    url = part.get("url") if isinstance(part, dict) else part
    if isinstance(url, str):
        with suppress(EmbyError):
            yield Image.from_data_url(url) if url.startswith("data:") else Image.from_url(url)


def _read_form(content_type: str, content: bytes) -> dict[str, Any] | None:
    """As the newest gateway reads it: one image, and the mask as another (its public source)."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("utf-8", "replace")
    form = BytesParser(policy=HTTP).parsebytes(head + content)
    fields: dict[str, Any] = {}
    for part in form.iter_parts() if form.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(data, bytes):
            kind = part.get_content_type() if part.get_filename() else ""
            encoded = f"data:{kind};base64,{pybase64.b64encode_as_string(data)}"
            value = encoded if kind else data.decode("utf-8", "replace")
            fields.setdefault(name.removesuffix("[]"), value)
    files = [fields.pop(name) for name in ("image", "mask") if name in fields]
    if str(fields.get("n", "")).isdecimal():
        fields["n"] = int(fields["n"])
    return fields | {"images": [{"image_url": url} for url in files]} if fields else None
