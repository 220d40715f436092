"""`Fault`: a fault of a response, and the request header that selects it.

    X-Emby-Mock-Fault: status=429; retry-after=2; times=1
    X-Emby-Mock-Fault: cut=300; pause=0.5

Names are the fields, with `-` for `_`; flags have no value. Since clients send metadata as
`X-Emby-*`, `metadata={"mock_fault": "cut=300"}` selects one too.
"""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from emby_plugins.mock.errors import ApiError, ProviderFailure

HEADER = "x-emby-mock-fault"

OddImage = Literal["bomb", "truncated", "unknown", "https"]
Ending = Literal["cut", "error", "done"]

_Status = Annotated[int, Meta(ge=200, le=599)]
_Seconds = Annotated[float, Meta(ge=0, le=3600)]
# It becomes a header or a sentence of the reply.
_Printable = Annotated[str, Meta(pattern=r"\A[ -~]*\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault of one reply. Fields combine; with none set, nothing changes.

    Instead of the reply: `status` (200-599) with an optional `message`, `location` and
    `retry_after` (seconds); `empty`, no body. From the provider behind the gateway: `upstream`, its
    status (below 400, an unreadable body) with its `message` (`<...>` is the body itself);
    `hang_up`, no response at all. In a stream both come under HTTP 200.

    In time (seconds): `delay` before the first byte, `pause` between chunks; `drip` makes the
    chunks so many bytes. In a process these block the event loop of an asynchronous client.

    In the stream: after the first event `garbage`, `invalid_utf8` or an `error` event (of status
    `upstream`, else 502); `no_finish` (also when not streamed), `no_done`, `double_done`;
    `endless`, events forever. Not streamed, the first three and `endless` spoil the JSON.
    `upstream_end` is how the provider's stream ends instead of with a finish reason: `cut` off,
    with an `error`, or with `done`; the profile decides what a client sees of it.

    In the bytes: `cut` breaks the connection after so many bytes of body (in a process the body
    ends there); `content_type`; `gzip` layers of compression, a bomb together with `megabytes`.

    In the content: `megabytes` of text; `images`, that many; `image`, what each is: a pixel
    `bomb` of 144 megapixels in 18 KB, a `truncated` file, `unknown` bytes, an `https` address.

    `times` limits a header's fault to the first so many equal requests, and repeats a fault in a
    script.
    """

    status: _Status | None = None
    message: _Printable = ""
    location: _Printable = ""
    retry_after: _Seconds | None = None
    upstream: _Status | None = None
    hang_up: bool = False
    upstream_end: Ending | None = None
    empty: bool = False
    delay: _Seconds = 0.0
    pause: _Seconds = 0.0
    drip: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    garbage: bool = False
    invalid_utf8: bool = False
    error: bool = False
    no_finish: bool = False
    no_done: bool = False
    double_done: bool = False
    endless: bool = False
    cut: Annotated[int, Meta(ge=0, le=10**12)] | None = None
    content_type: _Printable = ""
    gzip: Annotated[int, Meta(ge=0, le=8)] = 0
    megabytes: Annotated[int, Meta(ge=0, le=4096)] = 0
    images: Annotated[int, Meta(ge=0, le=100)] | None = None
    image: OddImage | None = None
    times: Annotated[int, Meta(ge=1, le=1000)] | None = None

    @property
    def failure(self) -> ProviderFailure | None:
        """The provider's failure, if it fails."""
        if self.hang_up:
            return ProviderFailure(0)
        return None if self.upstream is None else ProviderFailure.of(self.upstream, self.message)


NONE = Fault()
_IS_FLAG = {field.name.replace("_", "-"): field.type is bool for field in fields(Fault)}


def parse_fault(header: str) -> Fault:
    """The fault in a header. Raises ApiError, a 400, that names what can't be read."""
    values: dict[str, object] = {}
    for item in filter(None, (item.strip() for item in header.split(";"))):
        name, equals, value = (piece.strip() for piece in item.partition("="))
        name = name.lower().replace("_", "-")
        if name.replace("-", "_") in values:
            raise _unreadable(f"{name!r} is given twice")
        if name not in _IS_FLAG or _IS_FLAG[name] is bool(equals):
            known = ", ".join(name if flag else f"{name}=..." for name, flag in _IS_FLAG.items())
            raise _unreadable(f"{item!r:.80} is none of {known}")
        values[name.replace("-", "_")] = value if equals else True
    try:
        return msgspec.convert(values, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise _unreadable(str(error).replace("$.", "")) from None


def _unreadable(reason: str) -> ApiError:
    return ApiError(400, f"X-Emby-Mock-Fault can't be read: {reason}", param=HEADER)
