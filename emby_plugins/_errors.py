"""Every error this distribution raises, in one tree.

    EmbyError
    ├── ConfigurationError (ValueError)     how the client was set up
    │   └── MissingKeyError                 no API key anywhere
    ├── InvalidImageError (ValueError)      bytes, a path or a URL that is no usable image
    ├── RequestError (ValueError)           a request that can't be built, so was not sent
    ├── TransportError                      nothing usable came back over the wire
    │   ├── EmbyConnectionError (ConnectionError)
    │   └── EmbyTimeoutError (TimeoutError)
    │       └── DeadlineExceededError       the whole call took too long
    ├── APIError                            the gateway answered with an error
    │   ├── BadRequestError                 400, 413, 415, 422
    │   │   ├── UnreadableInputImageError      it could not use an image
    │   │   └── ModelNotFoundError          it does not know the model
    │   ├── AuthenticationError             401
    │   ├── BillingError                    402
    │   ├── PermissionDeniedError           403
    │   ├── NotFoundError                   404, 410
    │   ├── RateLimitError                  429
    │   └── ServerError                     5xx, and whatever has no better name
    │       └── ProviderAccountError        the provider refused the gateway's account with it
    └── ReplyError                          it answered, but not with a whole reply
        ├── MalformedReplyError             not the contract's form
        ├── TruncatedReplyError             it ended before it was finished
        ├── ReplyTooLargeError              over one of the client's `Limits`
        └── ImageCountError                 `reply.image` where there is not exactly one
            └── MissingImageError           an image was ordered and none came

`str(error)` is one or two sentences: what happened, to what, and what to do about it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emby_plugins._chat import ChatReply


class EmbyError(Exception):
    """The root of every error raised here.

    `message` says what happened, `hint` (may be empty) what to do next. `request_id` is the
    gateway's `x-request-id` where it gave one. `partial` is the reply as far as it had arrived,
    text and images included, or None when nothing had.
    """

    is_retryable = False
    """Whether the same request may succeed when sent again."""

    def __init__(self, message: str, *, hint: str = "", request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.request_id = request_id
        self.partial: ChatReply | None = None

    def __str__(self) -> str:
        text = f"{self.message} {self.hint}".rstrip()
        return f"{text} (request {self.request_id})" if self.request_id else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[EmbyError], args: tuple[object, ...], state: dict[str, object]) -> EmbyError:
    error = cls.__new__(cls, *args)
    Exception.__init__(error, *args)
    error.__dict__.update(state)
    return error


class ConfigurationError(EmbyError, ValueError):
    """The client's settings can't be used: a base URL, a key, a limit."""


class MissingKeyError(ConfigurationError):
    """A call that needs an API key was made without one; nothing was sent."""


class InvalidImageError(EmbyError, ValueError):
    """What was given, or what came back, is not an image that can be used."""


class RequestError(EmbyError, ValueError):
    """The request can't be expressed in Emby's contract; nothing was sent."""


class TransportError(EmbyError):
    """The network failed before a whole reply had arrived."""


class EmbyConnectionError(TransportError, ConnectionError):
    """The gateway could not be reached, or the connection broke."""


class EmbyTimeoutError(TransportError, TimeoutError):
    """The gateway was silent for longer than `timeout` seconds."""


class DeadlineExceededError(EmbyTimeoutError):
    """The whole call, retries and stream included, took longer than `deadline` seconds."""


class APIError(EmbyError):
    """The gateway answered with an error object, under an error status or in mid-stream.

    `status` is the HTTP status the error stands for: the provider's where the gateway hid it
    in its message. `type`, `code` and `param` are the gateway's own words, or empty; `param` is
    the path of the field it refused, such as `messages.0.content`. `retry_after` is in seconds,
    None when the gateway named no time.

    Where a provider behind the gateway failed, `provider` is its name, `model` the model asked
    there, and `response_text` what it answered, each as far as the gateway tells
    (recordings upstream-* of every state). Elsewhere all three are empty.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str = "",  # noqa: A002 - the contract's own name for it
        code: str = "",
        param: str = "",
        retry_after: float | None = None,
        provider: str = "",
        model: str = "",
        response_text: str = "",
        hint: str = "",
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, request_id=request_id)
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.provider = provider
        self.model = model
        self.response_text = response_text

    @property
    def is_retryable(self) -> bool:  # type: ignore[override]
        """True for rate limits and gateway troubles: 429, 502, 503, 504, 529."""
        return self.status in {429, 502, 503, 504, 529}


class BadRequestError(APIError):
    """The gateway refused the request as it stands."""


class UnreadableInputImageError(BadRequestError):
    """The gateway could not fetch or decode an image of the request.

    Emby, Vision Support page, "Error Handling": `type` is `invalid_image_input`.
    """


class ModelNotFoundError(BadRequestError):
    """The gateway does not serve the model that was asked for."""


class AuthenticationError(APIError):
    """The gateway did not accept the API key."""


class BillingError(APIError):
    """The account has no credit left."""


class PermissionDeniedError(APIError):
    """The key is valid, but may not do this."""


class NotFoundError(APIError):
    """There is nothing at that address: a wrong base URL, or something withdrawn."""


class RateLimitError(APIError):
    """Too many requests, to the gateway or to the provider behind it."""


class ServerError(APIError):
    """The gateway, or the provider behind it, failed."""


class ProviderAccountError(ServerError):
    """The provider refused the gateway's account with it: its key, credit or permission.

    The caller's own key was accepted. `status` is the provider's 401, 402 or 403 (recordings
    upstream-401 and upstream-402 of every state).
    """


class ReplyError(EmbyError):
    """The gateway answered, but not with a whole and usable reply."""


class MalformedReplyError(ReplyError):
    """The reply is not of the contract's form."""


class TruncatedReplyError(ReplyError):
    """The reply ended before it was finished. What had arrived is in `partial`."""

    is_retryable = True


class ReplyTooLargeError(ReplyError):
    """The reply is larger than the client's `Limits` allow."""


class ImageCountError(ReplyError):
    """`reply.image` was asked for where the reply has no image, or several."""


class MissingImageError(ImageCountError):
    """An image was ordered, and the reply has none; `partial` is that reply.

    The message says what is known of the reason: how the reply ended, what the model said,
    and the tokens that were billed for an image that did not arrive.
    """
