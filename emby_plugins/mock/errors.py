"""What the mock refuses, as values. How a refusal is spelled on the wire is `wire.py`'s business.

Refusal
├── ApiError            raised by the gateway: key, model, abilities, route
│   └── InputImageError an input image can't be used
├── SchemaError         the body does not fit the request schema
└── ProviderFailure     the provider behind the gateway failed or refused
"""

import json
from collections.abc import Sequence
from http import HTTPStatus

from emby_plugins.mock.validation import Issue

# Python 3.13 renamed it; the gateways say the old phrase.
_PHRASES = {413: "Request Entity Too Large"}
_PROVIDER_TYPES = {
    400: "invalid_request_error",
    402: "insufficient_quota",
    408: "timeout",
    429: "rate_limit_exceeded",
}


class Refusal(Exception):  # noqa: N818 - a family of answers, not only of errors
    """Ends a request with an error reply of `status`."""

    status: int


class ApiError(Refusal):
    """An error of the gateway's own.

    `early` ones come before a request id is given: content type, JSON, source.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        early: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.early = early


class InputImageError(ApiError):
    """An input image can't be fetched or decoded (Vision page, Error Handling)."""

    def __init__(self, detail: str, param: str | None = None) -> None:
        super().__init__(400, f"Image could not be fetched or decoded: {detail}", param=param)


class SchemaError(Refusal):
    """The body fails the schema; carries every issue found, not only the first."""

    status = 400

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__("; ".join(str(issue["message"]) for issue in issues))
        self.issues = issues


class ProviderFailure(Refusal):
    """The provider answered `status` with the body `text`; status 0 is no answer at all.

    A status below 400 is a body that the gateway can't read.
    """

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text

    @classmethod
    def saying(cls, status: int, message: str) -> "ProviderFailure":
        """A failure with an error object in OpenAI's form; a message of `<...>` is the body."""
        if message.startswith("<"):
            return cls(status, message)
        kind = _PROVIDER_TYPES.get(status, "server_error")
        error = {"message": message or reason_of(status), "type": kind, "code": None}
        return cls(status, json.dumps({"error": error}))


def bad_image(detail: str, param: str | None = None) -> InputImageError:
    """The documented refusal of an input image."""
    return InputImageError(detail, param)


def reason_of(status: int) -> str:
    """The standard phrase of a status, such as `Too Many Requests`; empty for an unknown one."""
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return ""
