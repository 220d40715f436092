"""Error responses become errors of our tree, in every form that gateways give them."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from emby_plugins.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BillingError,
    EmbyError,
    InvalidImageInputError,
    ModelNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ReplyError,
    ServerError,
)
from emby_plugins.protocol.wire import parse_json

_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: BillingError,
    403: PermissionDeniedError,
    404: NotFoundError,
    410: NotFoundError,
    413: BadRequestError,
    415: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}
_STATUS_OF_TYPE = {
    "invalid_image_input": 400,
    "invalid_request_error": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "billing_error": 402,
    "insufficient_credits": 402,
    "permission_denied": 403,
    "not_found": 404,
    "request_too_large": 413,
    "unsupported_media_type": 415,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded": 529,
}
_UPSTREAM = re.compile(r"Error from provider:\s*(\d{3})\b")
_ERROR_STATUS = re.compile("[45][0-9]{2}")
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+"
)
_MOST = 600
_TELLING = 8  # characters of a key, from which on they give it away


def parse_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, secret: str = ""
) -> APIError:
    """The error that a response with an error status stands for.

    `headers` have lower-case names. `secret` is blotted out should the gateway echo it.
    """
    request_id = request_id_in(headers, secret)
    payload = _object(body)
    if payload is not None:
        error = failure_of(payload, status=status, secret=secret)
    else:
        said = printable(body[:2000].decode("utf-8", "replace"), secret)
        error = _error(status, f"The gateway answered {status}: {said or 'nothing more'!r}.")
        if status == 404:
            error.hint = "Is the base URL right? Emby's ends in /v1."
        elif 300 <= status < 400:
            error.hint = "Redirects are not followed; give the final address as base URL."
    error.request_id = request_id
    error.retry_after = _seconds(headers)
    return error


def failure_in(data: bytes, *, secret: str = "") -> APIError:
    """The error that came where a reply, or a piece of one, was due: under HTTP 200."""
    payload = _object(data)
    if payload is None:
        payload = {"message": data[:2000].decode("utf-8", "replace")}
    return failure_of(payload, status=200, secret=secret)


def failure_of(payload: Mapping[str, Any], *, status: int, secret: str = "") -> APIError:
    """The error that an error object stands for.

    `status` is the response's own; the object may name a truer one: the upstream's, or in
    mid-stream, where the response was a 200 long before. Vision Support page, "Error Handling".
    """
    error = payload.get("error")
    fields: Mapping[str, Any] = error if isinstance(error, dict) else payload
    message = _message(fields, error)
    kind, code, param = (_word(fields.get(name), secret) for name in ("type", "code", "param"))
    status = _status(fields, kind, message, status)
    upstream = fields.get("responseText") or payload.get("responseText")
    if isinstance(upstream, str) and upstream not in message:
        message = f"{message} ({upstream})"
    message = printable(message, secret) or "no reason given"
    if not message.endswith((".", "!", "?")):
        message += "."
    return _error(status, message, type=kind, code=code, param=param)


def request_id_in(headers: Mapping[str, str], secret: str = "") -> str | None:
    """The gateway's id of a request, safe to print; None where it gave none."""
    return printable(headers.get("x-request-id", ""), secret) or None


def conceal(error: EmbyError, secret: str) -> None:
    """Blot the key out of what an error says: a gateway may echo it, and errors quote gateways.

    So too a beginning of it, with which a quotation that was cut may end.
    """
    for size in range(len(secret), min(_TELLING, len(secret)) - 1, -1):
        error.message = without(error.message, secret[:size])
    error.args = (error.message,)


def printable(text: str, secret: str = "") -> str:
    """Text that is safe to print: no control or bidi characters, no secret, no novel."""
    text = _UNPRINTABLE.sub(" ", without(text, secret)).strip()
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."


def without(text: str, secret: str) -> str:
    """The text, with the secret blotted out."""
    return text.replace(secret, "[key]") if secret else text


def _error(status: int, message: str, **fields: str) -> APIError:
    cls = _BY_STATUS.get(status, ServerError)
    if fields.get("type") == "invalid_image_input":
        cls = InvalidImageInputError
    elif cls in {BadRequestError, NotFoundError} and _is_about_model(message, fields):
        cls = ModelNotFoundError
    return cls(message, status=status, **fields)  # type: ignore[arg-type]


def _is_about_model(message: str, fields: Mapping[str, str]) -> bool:
    if fields.get("code") in {"model_not_found", "model_not_supported"}:
        return True
    return bool(re.search(r"\bmodel\b.*\b(not (supported|found|exist)|unknown)", message.lower()))


def _object(data: bytes) -> dict[str, Any] | None:
    payload = _parsed(data)
    return payload if isinstance(payload, dict) else None


def _parsed(data: bytes) -> Any:
    try:
        return parse_json(data)
    except ReplyError:
        return None


def _message(fields: Mapping[str, Any], error: object) -> str:
    message = fields.get("message")
    issues = fields.get("issues")
    if issues is None and fields.get("name") == "ZodError" and isinstance(message, str):
        # Zod's own message is its issues, written as JSON.
        issues = _parsed(message.encode("utf-8", "replace"))
    if isinstance(issues, list):
        return "The gateway refused the request: " + "; ".join(map(_issue, issues[:5]))
    if isinstance(message, str):
        return message
    return error if isinstance(error, str) else str(message or fields or "")


def _issue(issue: object) -> str:
    """One complaint of the gateway's schema check (a ZodError)."""
    if not isinstance(issue, dict):
        return str(issue)
    path = issue.get("path")
    where = ".".join(map(str, path)) if isinstance(path, list) else ""
    return f"{where}: {issue.get('message', 'invalid')}" if where else str(issue.get("message"))


def _status(fields: Mapping[str, Any], kind: str, message: str, status: int) -> int:
    upstream = _UPSTREAM.search(message)
    if upstream:
        return int(upstream[1])
    if status >= 300:
        return status
    for name in ("status", "code", "statusCode"):
        named = fields.get(name)
        if isinstance(named, int | str) and _ERROR_STATUS.fullmatch(str(named)):
            return int(named)
    return _STATUS_OF_TYPE.get(kind) or _STATUS_OF_TYPE.get(_word(fields.get("code"), ""), 502)


def _word(value: object, secret: str) -> str:
    return printable(str(value), secret) if isinstance(value, str | int) else ""


def _seconds(headers: Mapping[str, str]) -> float | None:
    """What `Retry-After` asks for: seconds, or a date beside the server's own `Date`."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            then, now = map(parsedate_to_datetime, (value, headers.get("date", "")))
            seconds = max(0.0, (then - now).total_seconds())
        except (TypeError, ValueError, OverflowError):
            return None
    return seconds if 0 <= seconds < 1e9 else None
