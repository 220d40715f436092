"""What the mock refuses, as values. How a refusal is spelled on the wire is `wire.py`'s business.

Refusal
├── ApiError         raised by the gateway: model, key, route, image
├── UpstreamError    the provider behind the gateway failed
└── SchemaError      the body does not fit the request schema
"""

from dataclasses import dataclass
from http import HTTPStatus

_TYPES = {
    401: "invalid_api_key",
    402: "billing_error",
    403: "permission_denied",
    404: "not_found",
    408: "timeout_error",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded",
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong with a request body, at a path such as `("messages", 0, "role")`."""

    path: tuple[str | int, ...]
    message: str
    code: str = "invalid_type"
    expected: str | None = None
    received: str | None = None


class Refusal(Exception):  # noqa: N818 - a family of answers, not only of errors
    """Ends a request with an error reply of `status`."""

    status: int


class ApiError(Refusal):
    """An error of the gateway's own; `type` and `code` are by default those of the status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - the wire's word
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        other = "api_error" if status >= 500 else "invalid_request_error"
        self.type = type or _TYPES.get(status, other)
        self.param = param
        self.code = code or (_TYPES.get(status) if type is None else None)


class UpstreamError(Refusal):
    """The provider answered `status`, and the gateway passes its failure on."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Error from provider: {status} {reason_of(status)}".rstrip())
        self.status = status


class SchemaError(Refusal):
    """The body fails the schema; carries every issue found, not only the first."""

    status = 400

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        super().__init__("; ".join(issue.message for issue in issues))
        self.issues = issues


def bad_image(detail: str, param: str | None = None) -> ApiError:
    """The documented refusal of an input image (Vision page, Error Handling)."""
    message = f"Image could not be fetched or decoded: {detail}"
    return ApiError(400, message, type="invalid_image_input", param=param)


def reason_of(status: int) -> str:
    """The standard phrase of a status, such as `Too Many Requests`; empty for an unknown one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
