"""`MockReply`, what a test wants to be answered, and `MockRequest`, what was asked."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import msgspec

from emby_plugins._errors import EmbyError
from emby_plugins._images import Image
from emby_plugins._protocol.backend import BackendRequest
from emby_plugins.mock.faults import Fault

KEPT_BYTES = 64_000_000
"""How many bytes of request bodies a backend keeps for assertions."""


@dataclass(frozen=True, slots=True)
class MockReply:
    """A reply as a test scripts it; one that says nothing leaves the words to the mock.

    `tool_calls` are names and arguments. `finish_reason` is by default what fits; `image_safety`
    is an image refused, which the gateway states tell differently. `refusal` and `annotations` are
    passed on in OpenAI's form. `usage` is what the provider reports, an empty one for nothing.
    `fault` is what goes wrong with the reply: `MockReply(fault=Fault(status=429))` is an error.
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

    @property
    def says_nothing(self) -> bool:
        """Whether the mock answers as it would, but for the fault."""
        said = (self.images, self.tool_calls, self.reasoning, self.finish_reason, self.refusal)
        return self.text is None and not any(said)


@dataclass(frozen=True)
class MockRequest:
    """A request as it arrived; `headers` have lower-case names, and no key."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes

    @classmethod
    def of(cls, request: BackendRequest) -> "MockRequest":
        """The record of a request, its key blotted out."""
        headers = dict(request.headers)
        if "authorization" in headers:
            headers["authorization"] = "[key]"
        return cls(request.method, request.path, headers, request.body)

    @cached_property
    def body(self) -> Any:
        """The parsed JSON; None where it is none."""
        try:
            return msgspec.json.decode(self.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    @property
    def model(self) -> str:
        """The model that was asked; empty where none was named."""
        model = self.body.get("model") if isinstance(self.body, dict) else None
        return model if isinstance(model, str) else ""

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        said = [m for m in self._messages() if m.get("role") == "user"]
        content = said[-1].get("content") if said else ""
        if isinstance(content, str):
            return content
        texts = (p.get("text") for p in _objects(content) if p.get("type") == "text")
        return "\n".join(text for text in texts if isinstance(text, str))

    @property
    def images(self) -> tuple[Image, ...]:
        """The images of all messages, decoded, in their order; those that are none are left out."""
        urls = (
            part["image_url"].get("url")
            for message in self._messages()
            for key in ("content", "images")
            for part in _objects(message.get(key))
            if isinstance(part.get("image_url"), dict)
        )
        return tuple(image for url in urls for image in _opened(url))

    def _messages(self) -> Iterator[dict[str, Any]]:
        return _objects(self.body.get("messages") if isinstance(self.body, dict) else None)


class Recorder:
    """Keeps the latest requests, as many as fit in `KEPT_BYTES`, and always the last one."""

    def __init__(self) -> None:
        self._kept: deque[MockRequest] = deque()
        self._bytes = 0
        self._lock = Lock()

    def keep(self, request: MockRequest) -> None:
        """Keep this one; forget the oldest where it is too much."""
        with self._lock:
            self._kept.append(request)
            self._bytes += len(request.content)
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= len(self._kept.popleft().content)

    def kept(self) -> list[MockRequest]:
        """Those kept, oldest first."""
        with self._lock:
            return list(self._kept)


def _objects(value: object) -> Iterator[dict[str, Any]]:
    return (
        (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
    )


def _opened(url: object) -> Iterator[Image]:
    try:
        if isinstance(url, str):
            yield Image.from_data_url(url) if url.startswith("data:") else Image.from_url(url)
    except EmbyError:
        return
