"""Errors of the mock, as values. `error_responses` serializes them.

ErrorResponse
├── ApiError            raised by the gateway: key, model, abilities, route
│   └── InputImageError an input image can't be used
├── SchemaError         the body does not match the request schema
└── ProviderFailure     the provider behind the gateway failed or refused
"""

import json
from collections.abc import Sequence
from http import HTTPStatus

from emby_plugins.mock.schema_validation import Issue

# Python 3.13 renamed it; the gateways send the old phrase.
_PHRASES = {413: "Request Entity Too Large"}
_PROVIDER_TYPES = {
    400: "invalid_request_error",
    402: "insufficient_quota",
    408: "timeout",
    429: "rate_limit_exceeded",
}


class ErrorResponse(Exception):  # noqa: N818 - a family of responses
    """Ends a request with an error response; an `early` one is sent without a request id."""

    early = False

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ApiError(ErrorResponse):
    """An error of the gateway's own."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        early: bool = False,
    ) -> None:
        super().__init__(status, message)
        self.param = param
        self.code = code
        self.early = early


class InputImageError(ApiError):
    """An input image can't be fetched or decoded (Vision page, Error Handling)."""

    def __init__(self, detail: str, param: str | None = None) -> None:
        super().__init__(400, f"Image could not be fetched or decoded: {detail}", param=param)


class SchemaError(ErrorResponse):
    """The body does not match the schema; `issues` are all that were found."""

    early = True

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__(400, "; ".join(str(issue["message"]) for issue in issues))
        self.issues = issues


class ProviderFailure(ErrorResponse):
    """The provider responded with `status` and the body `message`; status 0: no response.

    A status below 400 is a body that the gateway can't read.
    """

    @classmethod
    def of(cls, status: int, message: str) -> "ProviderFailure":
        """A failure with OpenAI's error object; a message of `<...>` is the body itself."""
        if message.startswith("<"):
            return cls(status, message)
        kind = _PROVIDER_TYPES.get(status, "server_error")
        error = {"message": message or reason_of(status), "type": kind, "code": None}
        return cls(status, json.dumps({"error": error}))


def reason_of(status: int) -> str:
    """The standard phrase of a status, such as `Too Many Requests`; empty for an unknown one."""
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return ""
