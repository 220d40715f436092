"""The gateway's cache of replies: off by default there, an hour at Emby's portal."""

import time
from typing import TYPE_CHECKING

import msgspec

from emby_plugins.mock.profiles import Profile
from emby_plugins.mock.requests import ChatRequest
from emby_plugins.mock.script import MockRequest

if TYPE_CHECKING:
    from emby_plugins.mock.answer import Answer

# Never of image_config, seed or stop: another image is not had by changing those.
_KEYED = (
    "model", "messages", "temperature", "max_tokens", "top_p", "frequency_penalty",
    "presence_penalty", "response_format", "stream",
)  # fmt: skip


class Cache:
    """Answers of the last `seconds`, by what the gateway takes for the same request."""

    def __init__(self, seconds: float, profile: Profile) -> None:
        self._seconds = seconds
        self._profile = profile
        self._kept: dict[bytes, tuple[float, Answer]] = {}

    def get(self, chat: ChatRequest, record: MockRequest) -> "Answer | None":
        """The answer kept for an equal request."""
        if self._profile.marks_cache and record.headers.get("x-no-cache") == "true":
            return None
        then, answer = self._kept.get(self._key(chat), (0.0, None))
        return answer if time.monotonic() - then < self._seconds else None

    def put(self, chat: ChatRequest, answer: "Answer") -> None:
        """Keep an answer."""
        self._kept[self._key(chat)] = (time.monotonic(), answer)

    def _key(self, chat: ChatRequest) -> bytes:
        # The older gateways forget the tools, so that a request with others gets the same reply.
        keyed = (*_KEYED, "tools", "tool_choice") if self._profile.marks_cache else _KEYED
        values = {name: chat.body.get(name) for name in keyed}
        return msgspec.json.encode(values, order="deterministic")
