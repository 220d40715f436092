"""How calls are made: how long they may take, how often they are tried, and with what headers.

A client has one `CallSettings`, and each call its own, so that calls never share what was given
to one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypedDict, cast

from emby_plugins._chat import ChatOptions, ImageConfig
from emby_plugins._errors import ConfigurationError
from emby_plugins._images import Image
from emby_plugins._protocol.images_request import ImagesOptions
from emby_plugins._protocol.request import request_headers
from emby_plugins._suggestions import nearest


class CallOptions(TypedDict, total=False):
    """What a client, and each of its calls, takes besides the request itself.

    `timeout` is the longest silence and `deadline` the longest call, retries and stream included,
    both in seconds. `max_retries` counts further attempts. `headers` are sent with the request;
    `metadata` is sent as `X-Emby-*` headers and `source` as `X-Source`. None is the client's own
    setting; the `headers` and `metadata` of a call are added to the client's.
    """

    timeout: float | None
    deadline: float | None
    max_retries: int | None
    headers: Mapping[str, str] | None
    metadata: Mapping[str, str] | None
    source: str | None


class ImageArguments(ChatOptions, CallOptions, total=False):
    """The further arguments of `image`: the options of the request, and how this call is made.

    `system` is a system message at the beginning of the conversation. `fresh=True` asks for a
    reply that is not from a cache; see `Emby.image`. `keep_raw=True` keeps the JSON of the reply
    in `reply.raw`, without the data of images.

    `endpoint` is `chat`, `images`, or `auto`: the endpoint for images if the model makes nothing
    else, the gateway has the endpoint and it can express the request. `chat` and `stream` use
    `chat` by default, `image` uses `auto`. `mask` marks what to change of one image, by its
    transparent pixels, and needs the endpoint for images.

    `variant` distinguishes equal orders, as 0, 1 and so on: the seed of the image, unless
    `image_config` has one. The endpoint for images takes no seed.
    """

    system: str | None
    fresh: bool | None
    keep_raw: bool
    endpoint: Literal["auto", "chat", "images"] | None
    mask: Image | None
    variant: int | None


class ChatArguments(ImageArguments, total=False):
    """The further arguments of `chat` and `stream`. `n` must be 1: a call gives one reply."""

    n: int | None


class ImagesArguments(ImagesOptions, CallOptions, total=False):
    """The further arguments of `images.generate` and `images.edit`, which describe them."""

    fresh: bool


@dataclass(frozen=True, slots=True)
class CallSettings:
    """The settings of one call; raises `ConfigurationError` for values that can't be used."""

    timeout: float = 120.0
    deadline: float = 600.0
    max_retries: int = 2
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    request_headers: Mapping[str, str] = field(default_factory=dict, init=False, repr=False)
    """All of them as they are sent, under lower-case names."""

    def __post_init__(self) -> None:
        seconds = (self.timeout, self.deadline)
        if not all(isinstance(value, int | float) and value > 0 for value in seconds) or not (
            isinstance(self.max_retries, int) and self.max_retries >= 0
        ):
            msg = "timeout and deadline are seconds above 0, max_retries is at least 0."
            raise ConfigurationError(msg)
        sent = request_headers(self.metadata, self.source, self.headers)
        object.__setattr__(self, "request_headers", sent)

    def updated(self, options: CallOptions) -> Self:
        """The settings updated with `options`; headers and metadata are added."""
        given: dict[str, Any] = {name: v for name, v in options.items() if v is not None}
        for name in given.keys() & {"headers", "metadata"}:
            given[name] = {**getattr(self, name), **given[name]}
        return replace(self, **given) if given else self


_OTHER_NAMES = {
    "image": "images",
    "img": "images",
    "image_path": "images",
    "system_prompt": "system",
    "instructions": "system",
    "messages": "prompt",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stop_sequences": "stop",
    "extra_headers": "headers",
    "default_headers": "headers",
    "request_timeout": "timeout",
    "response_schema": "response_format",
    "json_schema": "response_format",
}


def check_names(options: Mapping[str, object], known: type = CallOptions) -> None:
    """Raise `TypeError` for what is not one of the options in `known`, a `TypedDict`."""
    for name in options.keys() - known.__annotations__.keys():
        raise TypeError(f"unknown option {name!r}; {_suggestion(name, known)}")


def call_options(options: Mapping[str, Any]) -> CallOptions:
    """Those of the options that are about the call and not about its request."""
    chosen = {n: v for n, v in options.items() if n in CallOptions.__annotations__}
    return cast("CallOptions", chosen)


def _suggestion(name: str, known: type) -> str:
    names = {*known.__annotations__}
    if known is not CallOptions:
        names |= {"model", "images", "prompt"}
    key = f"image_{name}" if name in {"size", "quality"} else name
    if "image_config" in names and key in ImageConfig.__annotations__:
        return f"options of the image go into image_config={{{key!r}: ...}}"
    meant = _OTHER_NAMES.get(name, "")
    meant = meant if meant in names else nearest(name, names)
    if meant:
        return f"did you mean {meant!r}?"
    others = "; extra_body={...} takes any other" if "extra_body" in names else ""
    return f"valid options are {', '.join(sorted(names))}{others}"
