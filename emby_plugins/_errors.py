"""Every error this distribution raises, in one tree.

    EmbyError
    ├── ConfigurationError (ValueError)     how the client was set up
    │   └── MissingKeyError                 no API key anywhere
    ├── InvalidImageError (ValueError)      bytes, a path or a URL that is not a usable image
    ├── RequestError (ValueError)           a request that can't be built; it was not sent
    ├── TransportError                      the network failed before a complete reply
    │   ├── EmbyConnectionError (ConnectionError)
    │   └── EmbyTimeoutError (TimeoutError)
    │       └── DeadlineExceededError       the whole call took too long
    ├── APIError                            the gateway answered with an error
    │   ├── BadRequestError                 400, 413, 415, 422
    │   │   ├── UnreadableInputImageError   it could not use an input image
    │   │   └── ModelNotFoundError          it does not know the model
    │   ├── AuthenticationError             401
    │   ├── BillingError                    402
    │   ├── PermissionDeniedError           403
    │   ├── NotFoundError                   404, 410
    │   ├── RateLimitError                  429
    │   └── ServerError                     5xx, and any other status
    │       └── ProviderAccountError        the provider rejected the gateway's account
    └── ReplyError                          the reply is incomplete or unusable
        ├── MalformedReplyError             not in the documented format
        ├── TruncatedReplyError             it ended before it was finished
        ├── ReplyTooLargeError              over one of the client's `Limits`
        └── ImageCountError                 `reply.image` of a reply without exactly one
            └── MissingImageError           an image was requested and none arrived

`str(error)` is one or two sentences: what happened, to what, and what to do about it.
"""

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from emby_plugins._chat import ChatReply


class EmbyError(Exception):
    """The base class of all errors.

    `message` describes what happened, `hint` (may be empty) what to do next. `request_id` is the
    gateway's `x-request-id`, or None. `partial` is the part of the reply that was received, text
    and images included, or None if nothing was received. A notebook shows only the caller's own
    frames of the traceback (`%xmode Verbose` for all).
    """

    is_retryable = False
    """Whether the same request may succeed if sent again."""

    def __init__(self, message: str, *, hint: str = "", request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.request_id = request_id
        self.partial: ChatReply | None = None
        self._cause: BaseException | None = None

    @property
    def cause(self) -> BaseException | None:
        """The error of another library that led to this one, such as httpx's, or None.

        Tracebacks leave it out once `message` describes it. Pickles do not contain it.
        """
        return self._cause or self.__cause__

    def keep_cause(self, cause: BaseException | None) -> Self:
        """Keep `cause` for the attribute, so that the error can be raised `from None`."""
        self._cause = cause
        return self

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of the whole traceback."""
        from emby_plugins._tracebacks import render

        return render(self)

    def __str__(self) -> str:
        text = f"{self.message} {self.hint}".rstrip()
        return f"{text} (request {self.request_id})" if self.request_id else text

    def __reduce__(self) -> tuple[object, ...]:
        # What other libraries raise can hold sockets and locks.
        return _rebuild, (type(self), self.args, self.__dict__ | {"_cause": None})


def _rebuild(cls: type[EmbyError], args: tuple[object, ...], state: dict[str, object]) -> EmbyError:
    error = cls.__new__(cls, *args)
    Exception.__init__(error, *args)
    error.__dict__.update(state)
    return error


class ConfigurationError(EmbyError, ValueError):
    """The client's settings can't be used: a base URL, a key, a limit."""


class MissingKeyError(ConfigurationError):
    """The call needs an API key and there is none; nothing was sent."""


class InvalidImageError(EmbyError, ValueError):
    """An image, given by the caller or received, can't be used."""


class RequestError(EmbyError, ValueError):
    """The request doesn't fit Emby's API; nothing was sent."""


class TransportError(EmbyError):
    """The network failed before the reply was complete."""


class EmbyConnectionError(TransportError, ConnectionError):
    """The gateway could not be reached, or the connection was lost."""


class EmbyTimeoutError(TransportError, TimeoutError):
    """The gateway sent nothing for `timeout` seconds."""


class DeadlineExceededError(EmbyTimeoutError):
    """The whole call, retries and stream included, took longer than `deadline` seconds."""


class APIError(EmbyError):
    """The gateway answered with an error, as an HTTP status or in the middle of a stream.

    `status` is the HTTP status, or the provider's status if the gateway put that into its
    message. `type`, `code` and `param` are the gateway's values, or empty; `param` is the path of
    the rejected field, such as `messages.0.content`. `retry_after` is in seconds, None if the
    gateway named no time.

    If a provider behind the gateway failed, `provider` is its name, `model` the provider's model
    and `response_text` its answer, as far as the gateway reports them (recordings upstream-*, all
    states). Otherwise all three are empty.
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
        """True for rate limits and temporary gateway failures: 429, 502, 503, 504, 529."""
        return self.status in {429, 502, 503, 504, 529}


class BadRequestError(APIError):
    """The gateway rejected the request."""


class UnreadableInputImageError(BadRequestError):
    """The gateway could not fetch or decode an image of the request.

    Emby, Vision Support page, "Error Handling": `type` is `invalid_image_input`.
    """


class ModelNotFoundError(BadRequestError):
    """The gateway does not serve the requested model."""


class AuthenticationError(APIError):
    """The gateway did not accept the API key."""


class BillingError(APIError):
    """The account has no credit left."""


class PermissionDeniedError(APIError):
    """The key is valid but lacks permission for this request."""


class NotFoundError(APIError):
    """Nothing exists at this URL: the base URL is wrong, or the resource was removed."""


class RateLimitError(APIError):
    """Too many requests, to the gateway or to the provider behind it."""


class ServerError(APIError):
    """The gateway, or the provider behind it, failed."""


class ProviderAccountError(ServerError):
    """The provider rejected the gateway's own account: its key, credit or permission.

    The caller's key was accepted. `status` is the provider's 401, 402 or 403 (recordings
    upstream-401 and upstream-402, all states).
    """


class ReplyError(EmbyError):
    """The gateway answered, but the reply is incomplete or unusable."""


class MalformedReplyError(ReplyError):
    """The reply is not in the documented format."""


class TruncatedReplyError(ReplyError):
    """The reply ended early. What was received is in `partial`."""

    is_retryable = True


class ReplyTooLargeError(ReplyError):
    """The reply is larger than the client's `Limits` allow."""


class ImageCountError(ReplyError):
    """`reply.image` was used on a reply with no image or with several."""


class MissingImageError(ImageCountError):
    """An image was requested and the reply has none; `partial` is that reply.

    The message gives the known reasons: how the reply ended, what the model answered instead,
    and the tokens billed for an image that did not arrive.
    """
