"""`Fault`: what is to go wrong with a reply, and how a request header asks for it.

    X-Emby-Mock-Fault: status=429; retry-after=2; times=1
    X-Emby-Mock-Fault: cut=300; pause=0.5

Names are those of the fields, with `-` for `_`; flags stand alone. Since clients send metadata as
`X-Emby-*`, `metadata={"mock_fault": "cut=300"}` reaches it too.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from emby_plugins.mock.errors import ApiError, ProviderFailure

HEADER = "x-emby-mock-fault"

OddImage = Literal["bomb", "truncated", "unknown", "https"]
Ending = Literal["cut", "error", "done"]

_LONGEST = 3600.0
_PRINTABLE = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one reply. Fields combine; none of them set changes nothing.

    Instead of the reply: `status` (200-599) with an optional `message`, `location` and
    `retry_after` (seconds); `empty`, no body. From the provider behind the gateway: `upstream`, its
    status (below 400, a body that can't be read), with what it says as `message` (`<...>` is the
    body itself); `hang_up`, no answer at all. In a stream both come under HTTP 200.

    In time (seconds): `delay` before the first byte, `pause` between chunks; `drip` makes the
    chunks so many bytes. In a process these block the event loop of an asynchronous client.

    In the stream: after the first event `garbage`, `invalid_utf8` or an `error` event (of status
    `upstream`, else 502); `no_finish` (also where not streamed), `no_done`, `double_done`;
    `endless`, events for ever. Not streamed, the first three and `endless` spoil the JSON.
    `upstream_end` is how the provider's stream ends in place of a finish reason: `cut` off, with an
    `error`, or with `done`; the profile decides what a client sees of it.

    In the bytes: `cut` breaks the connection after so many bytes of body (in a process the body
    ends there); `content_type`; `gzip` layers of compression, a bomb together with `megabytes`.

    In what is said: `megabytes` of text; `images`, that many; `image`, what each is: a pixel
    `bomb` of 144 megapixels in 18 KB, a `truncated` file, `unknown` bytes, an `https` address.

    `times` limits a header's fault to the first so many equal requests, and repeats a fault in a
    script.
    """

    status: int | None = None
    message: str = ""
    location: str = ""
    retry_after: float | None = None
    upstream: int | None = None
    hang_up: bool = False
    upstream_end: Ending | None = None
    empty: bool = False
    delay: float = 0.0
    pause: float = 0.0
    drip: int | None = None
    garbage: bool = False
    invalid_utf8: bool = False
    error: bool = False
    no_finish: bool = False
    no_done: bool = False
    double_done: bool = False
    endless: bool = False
    cut: int | None = None
    content_type: str = ""
    gzip: int = 0
    megabytes: int = 0
    images: int | None = None
    image: OddImage | None = None
    times: int | None = None

    @property
    def failure(self) -> ProviderFailure | None:
        """What the provider answers in place of a reply."""
        if self.hang_up:
            return ProviderFailure(0)
        if self.upstream is None:
            return None
        return ProviderFailure.saying(self.upstream, self.message)


NONE = Fault()


def parse_fault(header: str) -> Fault:
    """The fault a header asks for. Raises ApiError, a 400, that says what was not understood."""
    fields: dict[str, object] = {}
    for item in filter(None, (item.strip() for item in header.split(";"))):
        name, equals, value = (piece.strip() for piece in item.partition("="))
        field = name.lower().replace("-", "_")
        if field in fields:
            raise _misread(f"{name!r} is given twice")
        if field in _FLAGS and not equals:
            fields[field] = True
        elif field in _VALUES and equals:
            try:
                fields[field] = _VALUES[field](value)
            except ValueError as error:
                raise _misread(f"{name}: {error}") from None
        else:
            known = ", ".join([*(f"{n}=..." for n in _VALUES), *_FLAGS]).replace("_", "-")
            raise _misread(f"{item!r:.80} is none of {known}")
    return Fault(**fields)  # type: ignore[arg-type]  # each reader gives its field's type


def _misread(reason: str) -> ApiError:
    return ApiError(400, f"X-Emby-Mock-Fault can't be read: {reason}", param=HEADER)


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or not low <= int(text[:20]) <= high:
            raise ValueError(f"{text!r:.40} is no whole number from {low} to {high}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    value = float(text)
    if math.isnan(value) or not 0 <= value <= _LONGEST:
        raise ValueError(f"{text!r:.40} is not 0 to {_LONGEST:g} seconds")
    return value


def _plain(text: str) -> str:
    # It becomes a header or a sentence of the reply.
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("only printable ASCII is taken")
    return text


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r:.40} is not one of {', '.join(names)}")
        return text

    return read


_FLAGS = (
    "hang_up",
    "empty",
    "garbage",
    "invalid_utf8",
    "error",
    "no_finish",
    "no_done",
    "double_done",
    "endless",
)
_VALUES: dict[str, Callable[[str], object]] = {
    "status": _whole(200, 599),
    "message": _plain,
    "location": _plain,
    "retry_after": _seconds,
    "upstream": _whole(200, 599),
    "delay": _seconds,
    "pause": _seconds,
    "drip": _whole(1, 1_000_000),
    "cut": _whole(0, 10**12),
    "content_type": _plain,
    "gzip": _whole(1, 8),
    "megabytes": _whole(1, 4096),
    "images": _whole(0, 100),
    "image": _one_of(*get_args(OddImage)),
    "upstream_end": _one_of(*get_args(Ending)),
    "times": _whole(1, 1000),
}
