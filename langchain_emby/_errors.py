"""Every error of a chat call, as a child of both trees.

Whoever catches `emby_plugins` errors catches these, and so does whoever catches LangChain's own:

    EmbyError                       and of langchain_core.exceptions
    ├── ConfigurationError          ModelError
    │   └── MissingKeyError         ModelAuthenticationError
    ├── InvalidImageError           ModelInvalidRequestError
    ├── RequestError                ModelInvalidRequestError
    ├── EmbyConnectionError         ModelConnectionError
    ├── EmbyTimeoutError            ModelTimeoutError
    │   └── DeadlineExceededError   ModelTimeoutError
    ├── APIError                    ModelAPIError
    │   ├── BadRequestError         ModelInvalidRequestError
    │   │   ├── (too long)          ModelInvalidRequestError, ContextOverflowError
    │   │   ├── InvalidImageInput.. ModelInvalidRequestError
    │   │   └── ModelNotFoundError  ModelNotFoundError
    │   ├── AuthenticationError     ModelAuthenticationError
    │   ├── BillingError            ModelError
    │   ├── PermissionDeniedError   ModelPermissionDeniedError
    │   ├── NotFoundError           ModelNotFoundError
    │   ├── RateLimitError          ModelRateLimitError
    │   └── ServerError             ModelAPIError
    │       └── ProviderAccountError  ModelAPIError
    └── ReplyError, and its kinds   ModelError

`is_retryable` is the core's: it knows whether a request may have been paid for already.
"""

# The core decides by the status what is retryable, in a property; LangChain has an attribute.
# mypy: disable-error-code="override"

import re
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core import exceptions as lc

import emby_plugins as core


class ChatEmbyError(core.EmbyError, lc.ModelError):
    """Whatever has no better name."""


class ChatEmbyConfigurationError(core.ConfigurationError, lc.ModelError):
    """The model's settings can't be used."""


class ChatEmbyMissingKeyError(core.MissingKeyError, lc.ModelAuthenticationError):
    """There is no API key; nothing was sent."""


class ChatEmbyInvalidImageError(core.InvalidImageError, lc.ModelInvalidRequestError):
    """An image of the conversation, or of the reply, is none that can be used."""


class ChatEmbyRequestError(core.RequestError, lc.ModelInvalidRequestError):
    """The conversation can't be expressed in Emby's contract; nothing was sent."""


class ChatEmbyConnectionError(core.EmbyConnectionError, lc.ModelConnectionError):
    """The gateway could not be reached, or the connection broke."""


class ChatEmbyTimeoutError(core.EmbyTimeoutError, lc.ModelTimeoutError):
    """The gateway was silent for longer than `timeout` seconds."""


class ChatEmbyDeadlineExceededError(core.DeadlineExceededError, lc.ModelTimeoutError):
    """The whole call took longer than `deadline` seconds."""


class ChatEmbyAPIError(core.APIError, lc.ModelAPIError):
    """The gateway answered with an error."""


class ChatEmbyBadRequestError(core.BadRequestError, lc.ModelInvalidRequestError):
    """The gateway refused the request as it stands."""


class ChatEmbyContextOverflowError(
    core.BadRequestError, lc.ModelInvalidRequestError, lc.ContextOverflowError
):
    """The conversation is longer than the model can take."""


class ChatEmbyInvalidImageInputError(core.UnreadableInputImageError, lc.ModelInvalidRequestError):
    """The gateway could not fetch or decode an image."""


class ChatEmbyModelNotFoundError(core.ModelNotFoundError, lc.ModelNotFoundError):
    """The gateway does not serve the model."""


class ChatEmbyAuthenticationError(core.AuthenticationError, lc.ModelAuthenticationError):
    """The gateway did not accept the API key."""


class ChatEmbyBillingError(core.BillingError, lc.ModelError):
    """The account has no credit left."""


class ChatEmbyPermissionDeniedError(core.PermissionDeniedError, lc.ModelPermissionDeniedError):
    """The key is valid, but may not do this."""


class ChatEmbyNotFoundError(core.NotFoundError, lc.ModelNotFoundError):
    """There is nothing at that address."""


class ChatEmbyRateLimitError(core.RateLimitError, lc.ModelRateLimitError):
    """Too many requests."""


class ChatEmbyServerError(core.ServerError, lc.ModelAPIError):
    """The gateway, or the provider behind it, failed."""


class ChatEmbyProviderAccountError(core.ProviderAccountError, lc.ModelAPIError):
    """The provider refused the gateway's account with it."""


class ChatEmbyReplyError(core.ReplyError, lc.ModelError):
    """The gateway answered, but not with a usable reply."""


class ChatEmbyMalformedReplyError(core.MalformedReplyError, lc.ModelError):
    """The reply is not of the contract's form."""


class ChatEmbyTruncatedReplyError(core.TruncatedReplyError, lc.ModelError):
    """The reply ended before it was finished."""


class ChatEmbyReplyTooLargeError(core.ReplyTooLargeError, lc.ModelError):
    """The reply is larger than the model's `limits` allow."""


_LANGCHAIN_CLASS: dict[type[core.EmbyError], type[core.EmbyError]] = {
    twin.__bases__[0]: twin
    for twin in (
        ChatEmbyError,
        ChatEmbyConfigurationError,
        ChatEmbyMissingKeyError,
        ChatEmbyInvalidImageError,
        ChatEmbyRequestError,
        ChatEmbyConnectionError,
        ChatEmbyTimeoutError,
        ChatEmbyDeadlineExceededError,
        ChatEmbyAPIError,
        ChatEmbyBadRequestError,
        ChatEmbyInvalidImageInputError,
        ChatEmbyModelNotFoundError,
        ChatEmbyAuthenticationError,
        ChatEmbyBillingError,
        ChatEmbyPermissionDeniedError,
        ChatEmbyNotFoundError,
        ChatEmbyRateLimitError,
        ChatEmbyServerError,
        ChatEmbyProviderAccountError,
        ChatEmbyReplyError,
        ChatEmbyMalformedReplyError,
        ChatEmbyTruncatedReplyError,
        ChatEmbyReplyTooLargeError,
    )
}
_TOO_LONG = re.compile(
    r"context[ _](length|window)|maximum context|prompt is too long|too many (input )?tokens",
    re.IGNORECASE,
)


def to_langchain_error(error: core.EmbyError) -> core.EmbyError:
    """The same error, `partial`, hint and all, as a child of LangChain's tree too."""
    if isinstance(error, lc.ModelError):
        return error
    twin = next(_LANGCHAIN_CLASS[cls] for cls in type(error).__mro__ if cls in _LANGCHAIN_CLASS)
    if twin is ChatEmbyBadRequestError and _is_too_long(error):
        twin = ChatEmbyContextOverflowError
    # The constructors differ from class to class; the state is all there is to carry over.
    both = twin.__new__(twin, *error.args)
    Exception.__init__(both, *error.args)
    both.__dict__.update(error.__dict__)
    return both


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise the core's errors as children of both trees."""
    try:
        yield
    except core.EmbyError as error:
        both = to_langchain_error(error)
        if both is error:
            raise
        raise both from error


def _is_too_long(error: core.EmbyError) -> bool:
    # A provider's own code, such as context_length_exceeded, is in what it answered.
    said = (getattr(error, name, "") for name in ("code", "response_text"))
    return bool(_TOO_LONG.search(" ".join((*said, error.message))))
