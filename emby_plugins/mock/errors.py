"""What the mock refuses, as values. How a refusal is spelled on the wire is `wire.py`'s business.

Refusal
├── ApiError       raised by the gateway: model, key, route, image
└── SchemaError    the body does not fit the request schema
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong with a request body, at a path such as `("messages", 0, "role")`."""

    path: tuple[str | int, ...]
    message: str
    code: str = "invalid_type"
    expected: str | None = None
    received: str | None = None


class Refusal(Exception):  # noqa: N818 - a family of answers, not only of errors
    """Ends a request with an error reply."""


class ApiError(Refusal):
    """An error of the gateway's own: `{"error": {"message", "type", "param"?, "code"?}}`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 - the wire's word
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code


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
