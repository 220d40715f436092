"""The core's errors, each as a subclass of the matching LangChain error too.

They can be caught as errors of `emby_plugins` and of `langchain_core.exceptions`:

    EmbyError                       in langchain_core.exceptions
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
    │   │   ├── UnreadableInputImageError  ModelInvalidRequestError
    │   │   └── ModelNotFoundError  ModelNotFoundError
    │   ├── AuthenticationError     ModelAuthenticationError
    │   ├── BillingError            ModelError
    │   ├── PermissionDeniedError   ModelPermissionDeniedError
    │   ├── NotFoundError           ModelNotFoundError
    │   ├── RateLimitError          ModelRateLimitError
    │   └── ServerError             ModelAPIError
    │       └── ProviderAccountError  ModelAPIError
    └── ReplyError and subclasses   ModelError

`is_retryable` is the core's, which knows whether a request may already have been billed.
"""

# `is_retryable` is a property in the core, which decides by status, and an attribute in LangChain.
# mypy: disable-error-code="override"

import re
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core import exceptions as lc

import emby_plugins as core


class ChatEmbyError(core.EmbyError, lc.ModelError):
    """Any error without a more specific class."""


class ChatEmbyConfigurationError(core.ConfigurationError, lc.ModelError):
    """The model's settings are invalid."""


class ChatEmbyMissingKeyError(core.MissingKeyError, lc.ModelAuthenticationError):
    """No API key was found; nothing was sent."""


class ChatEmbyInvalidImageError(core.InvalidImageError, lc.ModelInvalidRequestError):
    """An image of the conversation or of the reply is not a supported image."""


class ChatEmbyRequestError(core.RequestError, lc.ModelInvalidRequestError):
    """The request can't be expressed in Emby's API; nothing was sent."""


class ChatEmbyConnectionError(core.EmbyConnectionError, lc.ModelConnectionError):
    """The gateway could not be reached, or the connection broke."""


class ChatEmbyTimeoutError(core.EmbyTimeoutError, lc.ModelTimeoutError):
    """The gateway sent no data for `timeout` seconds."""


class ChatEmbyDeadlineExceededError(core.DeadlineExceededError, lc.ModelTimeoutError):
    """The whole call took longer than `deadline` seconds."""


class ChatEmbyAPIError(core.APIError, lc.ModelAPIError):
    """The gateway answered with an error."""


class ChatEmbyBadRequestError(core.BadRequestError, lc.ModelInvalidRequestError):
    """The gateway rejected the request."""


class ChatEmbyContextOverflowError(
    core.BadRequestError, lc.ModelInvalidRequestError, lc.ContextOverflowError
):
    """The conversation exceeds the model's context window."""


class ChatEmbyUnreadableInputImageError(
    core.UnreadableInputImageError, lc.ModelInvalidRequestError
):
    """The gateway could not fetch or decode an image."""


class ChatEmbyModelNotFoundError(core.ModelNotFoundError, lc.ModelNotFoundError):
    """The gateway does not serve the model."""


class ChatEmbyAuthenticationError(core.AuthenticationError, lc.ModelAuthenticationError):
    """The gateway did not accept the API key."""


class ChatEmbyBillingError(core.BillingError, lc.ModelError):
    """The account has insufficient credit."""


class ChatEmbyPermissionDeniedError(core.PermissionDeniedError, lc.ModelPermissionDeniedError):
    """The key is valid but lacks permission."""


class ChatEmbyNotFoundError(core.NotFoundError, lc.ModelNotFoundError):
    """The gateway has no such endpoint or resource."""


class ChatEmbyRateLimitError(core.RateLimitError, lc.ModelRateLimitError):
    """The gateway's rate limit was exceeded."""


class ChatEmbyServerError(core.ServerError, lc.ModelAPIError):
    """The gateway or the provider behind it failed."""


class ChatEmbyProviderAccountError(core.ProviderAccountError, lc.ModelAPIError):
    """The provider rejected the gateway's account."""


class ChatEmbyReplyError(core.ReplyError, lc.ModelError):
    """The gateway's reply can't be used."""


class ChatEmbyMalformedReplyError(core.MalformedReplyError, lc.ModelError):
    """The reply does not have the documented form."""


class ChatEmbyTruncatedReplyError(core.TruncatedReplyError, lc.ModelError):
    """The reply ended early."""


class ChatEmbyReplyTooLargeError(core.ReplyTooLargeError, lc.ModelError):
    """The reply exceeds the model's `limits`."""


_LANGCHAIN_CLASS: dict[type[core.EmbyError], type[core.EmbyError]] = {
    cls.__bases__[0]: cls
    for cls in (
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
        ChatEmbyUnreadableInputImageError,
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
    """The same error, with all its attributes, as a subclass of LangChain's error too."""
    if isinstance(error, lc.ModelError):
        return error
    target = next(_LANGCHAIN_CLASS[cls] for cls in type(error).__mro__ if cls in _LANGCHAIN_CLASS)
    if target is ChatEmbyBadRequestError and _is_too_long(error):
        target = ChatEmbyContextOverflowError
    # Constructors differ between the classes, so copy the state instead of calling them.
    translated = target.__new__(target, *error.args)
    Exception.__init__(translated, *error.args)
    translated.__dict__.update(error.__dict__)
    return translated


@contextmanager
def translate_errors() -> Iterator[None]:
    """Re-raise the core's errors as subclasses of LangChain's."""
    try:
        yield
    except core.EmbyError as error:
        translated = to_langchain_error(error)
        if translated is error:
            raise
        # The same error with another class: one traceback, down to where the original was raised.
        raise translated.keep_cause(error.cause).with_traceback(error.__traceback__) from None


def _is_too_long(error: core.EmbyError) -> bool:
    # A provider's own code, such as context_length_exceeded, is only in its response text.
    fields = (getattr(error, name, "") for name in ("code", "response_text"))
    return bool(_TOO_LONG.search(" ".join((*fields, error.message))))
