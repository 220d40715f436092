"""`CallRecord`: the record of a call for plugins, which has everything but its content."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self
from uuid import uuid4

from emby_plugins._chat import ChatReply, ChatRequest, JSONSchema, Usage
from emby_plugins._errors import APIError, EmbyError
from emby_plugins._images import Image
from emby_plugins._protocol.images_request import ImagesRequest
from emby_plugins._text import clean_text

_PARAMETERS = (
    *("temperature", "max_tokens", "top_p", "frequency_penalty", "presence_penalty"),
    *("reasoning_effort", "seed"),
)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image that was sent or received, without the image.

    `size` is in bytes and `sha256` in hexadecimal. All are None for an image that is only an
    address, or for a deleted file.
    """

    media_type: str | None = None
    size: int | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, image: Image) -> Self:
        """The facts about an image. Its bytes are hashed once in the life of the `Image`."""
        with suppress(EmbyError):
            return cls(image.media_type, image.byte_size, image.sha256)
        return cls()


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, retries included: everything that is known of it but its content.

    Known from the start are `id` (the same when it has finished), `operation` (`chat`,
    `generate_images` or `list_models`), `model` as requested, `base_url`, `stream`, `output_type`
    (`json` or `image` if the request names one), the sampling `parameters` and `images_in`.

    Known when it has finished: `images_out`; `usage`, with tokens and cost, or None if the gateway
    sent none; the `response_model`, `response_id` and `request_id`; the `provider` that the
    gateway chose; `is_cached`, whether the gateway reports that the reply is from its cache;
    `finish_reason`; how many `retries` there were; `seconds`, and the `seconds_to_first_byte` of
    the reply's body, both from the start of the call.

    `is_complete` is False if the reply did not arrive whole: `error_type` is then the class of
    the exception that ended the call (`CancelledError` if it was cancelled), with its HTTP
    `status` if there was one, or None if the caller stopped reading.
    """

    id: str
    operation: str
    model: str
    base_url: str
    stream: bool = False
    output_type: str | None = None
    parameters: Mapping[str, float | str] = field(default_factory=dict)
    images_in: tuple[ImageRecord, ...] = ()
    images_out: tuple[ImageRecord, ...] = ()
    usage: Usage | None = None
    response_model: str = ""
    response_id: str = ""
    request_id: str | None = None
    provider: str = ""
    is_cached: bool = False
    finish_reason: str | None = None
    retries: int = 0
    seconds: float = 0.0
    seconds_to_first_byte: float | None = None
    is_complete: bool = False
    error_type: str | None = None
    status: int | None = None

    @classmethod
    def started(cls, request: ChatRequest | ImagesRequest | None, base_url: str) -> Self:
        """The record of a call that begins; `request` is None for the list of models."""
        if request is None:
            return cls(uuid4().hex, "list_models", "", base_url)
        is_order = isinstance(request, ImagesRequest)
        chat = request.to_chat() if isinstance(request, ImagesRequest) else request
        options: Mapping[str, Any] = chat.options
        images = [image for message in chat.messages for image in message.images]
        return cls(
            uuid4().hex,
            "generate_images" if is_order else "chat",
            chat.model,
            base_url,
            stream=chat.stream,
            output_type="image" if is_order else _output_type(options),
            parameters={n: options[n] for n in _PARAMETERS if options.get(n) is not None},
            images_in=tuple(map(ImageRecord.of, images)),
        )

    def finished(
        self,
        reply: ChatReply,
        *,
        is_complete: bool,
        error: BaseException | None = None,
        retries: int,
        seconds: float,
        seconds_to_first_byte: float | None,
    ) -> Self:
        """The record of the finished call; `reply` is what arrived of it."""
        # Once the reply is whole, an exception is the caller's own. A closed generator is how a
        # caller stops reading.
        failed = not is_complete and not isinstance(error, GeneratorExit | None)
        return replace(
            self,
            images_out=tuple(map(ImageRecord.of, reply.images)),
            usage=reply.usage,
            response_model=reply.model,
            response_id=reply.id,
            request_id=reply.request_id or getattr(error, "request_id", None),
            provider=clean_text(str(reply.metadata.get("used_provider") or ""), 200),
            is_cached=reply.metadata.get("cached") is True,
            finish_reason=reply.finish_reason,
            retries=retries,
            seconds=seconds,
            seconds_to_first_byte=seconds_to_first_byte,
            is_complete=is_complete,
            error_type=type(error).__name__ if failed else None,
            status=error.status if failed and isinstance(error, APIError) else None,
        )


def _output_type(options: Mapping[str, Any]) -> str | None:
    form = options.get("response_format")
    if isinstance(form, JSONSchema) or form == "json_object":
        return "json"
    return "image" if options.get("image_config") else None
