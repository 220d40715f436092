"""The gateway's response cache: off by default there, one hour at Emby's portal."""

import time
from typing import TYPE_CHECKING

import msgspec

from emby_plugins.mock.profiles import Profile
from emby_plugins.mock.requests import ChatRequest

if TYPE_CHECKING:
    from emby_plugins.mock.respond import Reply

# Without image_config, seed and stop: changing those does not get another image.
_KEYS = (
    "model", "messages", "temperature", "max_tokens", "top_p", "frequency_penalty",
    "presence_penalty", "response_format", "stream",
)  # fmt: skip


class Cache:
    """Replies of the last `seconds`, by what the gateway considers the same request."""

    def __init__(self, seconds: float, profile: Profile) -> None:
        self._seconds = seconds
        # The older gateways ignore the tools: a request with other tools gets the same reply.
        self._keys = (*_KEYS, "tools", "tool_choice") if profile.marks_cache else _KEYS
        self._kept: dict[bytes, tuple[float, Reply]] = {}

    def get(self, chat: ChatRequest) -> "Reply | None":
        """The reply to an equal request."""
        then, reply = self._kept.get(self._key(chat), (0.0, None))
        return reply if time.monotonic() - then < self._seconds else None

    def put(self, chat: ChatRequest, reply: "Reply") -> None:
        """Keep a reply."""
        self._kept[self._key(chat)] = (time.monotonic(), reply)

    def _key(self, chat: ChatRequest) -> bytes:
        values = {name: chat.body.get(name) for name in self._keys}
        return msgspec.json.encode(values, order="deterministic")
