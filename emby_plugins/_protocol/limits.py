"""Maximum sizes of requests and replies."""

from dataclasses import dataclass

from emby_plugins._errors import ReplyTooLargeError

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum sizes that a client accepts, so that no reply or mistake can exhaust the memory.

    All are in bytes except the counts `images` and `entries`. `request_image` applies to each
    image sent: Emby accepts 20 to 30 MB depending on the model (Vision Support page, "Supported
    Image Types"). `wire` applies to a whole response, `event` to one event of a stream, `image` to
    one decoded image, and `text` to the text, reasoning and tool calls of a reply together: a
    character counts as one byte, or as four in a piece that is not ASCII. `entries` applies to all
    lists of a reply together (tool calls, parts, choices), not counting the first entry of each,
    and to events of an undocumented form: each takes time, even a small one. Fields that only
    inform are left out beyond 64 KiB each, and citations beyond a thousand.
    """

    request_image: int = 30 * _MIB
    wire: int = 512 * _MIB
    event: int = 160 * _MIB
    image: int = 100 * _MIB
    images: int = 64
    text: int = 32 * _MIB
    entries: int = 50_000

    def check(self, name: str, amount: int) -> None:
        """Raise `ReplyTooLargeError` if `amount` is over the limit called `name`."""
        most: int = getattr(self, name)
        if amount > most:
            unit = "" if name in {"images", "entries"} else " bytes"
            msg = f"The reply is too large: more than {most:,}{unit} ({name})."
            raise ReplyTooLargeError(msg, hint=f"Change the limit with Limits({name}=...).")
