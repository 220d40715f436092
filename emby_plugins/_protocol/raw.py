"""The parsed JSON of a reply, kept for callers who ask for it."""

from typing import Any

import msgspec

from emby_plugins._protocol.image_decoder import ImageDecoder
from emby_plugins._protocol.limits import Limits


class RawJSON:
    """Keeps the JSON of a reply without the data of its images, as much as `Limits(text=)` allows.

    Anything that is not JSON is kept as text.
    """

    def __init__(self, decoder: ImageDecoder, limits: Limits) -> None:
        self._decoder = decoder
        self._limits = limits
        self._size = 0
        self._values: list[Any] = []

    def add(self, data: bytes) -> None:
        """Keep one chunk, or a whole reply. Raises `ReplyTooLargeError`."""
        data = self._decoder.abridge(data)
        self._size += len(data)
        self._limits.check("text", self._size)
        try:
            value = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError):
            value = data.decode("utf-8", "replace")
        self._values.append(value)

    def value(self, *, streamed: bool) -> Any:
        """The list of a stream's chunks, or the one value of a whole reply, if there is one."""
        if streamed:
            return list(self._values)
        return self._values[0] if self._values else None
