"""How much is accepted from outside before it is refused."""

from dataclasses import dataclass

from emby_plugins._errors import ReplyTooLargeError

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The most a client takes, so that no reply and no mistake can fill the memory.

    All are bytes, but `images`, which counts. `request_image` bounds each image sent: Emby
    takes 20 to 30 MB depending on the model (Vision Support page, "Supported Image Types").
    `wire` bounds a whole response, `event` one event of a stream, `image` one decoded image,
    `text` the text and the reasoning of a reply together.
    """

    request_image: int = 30 * _MIB
    wire: int = 512 * _MIB
    event: int = 160 * _MIB
    image: int = 100 * _MIB
    images: int = 64
    text: int = 32 * _MIB

    def check(self, name: str, amount: int) -> None:
        """Raise `ReplyTooLargeError` when `amount` is over the limit called `name`."""
        most: int = getattr(self, name)
        if amount > most:
            unit = "" if name == "images" else " bytes"
            msg = f"The reply is too large: more than {most:,}{unit} ({name})."
            raise ReplyTooLargeError(msg, hint=f"Limits({name}=...) sets another limit.")
