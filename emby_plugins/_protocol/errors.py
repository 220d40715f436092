"""Error responses become errors of our tree, in every form that gateways give them."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any

from emby_plugins._errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BillingError,
    ModelNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    ProviderAccountError,
    RateLimitError,
    ReplyError,
    ServerError,
    UnreadableInputImageError,
)
from emby_plugins._protocol.issues import summarize
from emby_plugins._protocol.schema import parse_json
from emby_plugins._text import clean_text

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
_STATUS_OF_WORD = {
    "invalid_image_input": 400,
    "invalid_request_error": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "billing_error": 402,
    "insufficient_credits": 402,
    "permission_denied": 403,
    "permission_error": 403,
    "not_found": 404,
    "not_found_error": 404,
    "model_not_found": 404,
    "timeout": 408,
    "request_too_large": 413,
    "unsupported_media_type": 415,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "fetch_failed": 502,
    "stream_truncated": 502,
    "upstream_error": 502,
    "timeout_error": 504,
    "overloaded": 529,
    "overloaded_error": 529,
}
_STATUS_OF_KIND = {"api_error": 500, "gateway_error": 500, "server_error": 500}
# Every recorded wording of a provider's failure: 2025-11 and 2025-12 leave the provider out of it
# (upstream-401), 2026-08 names it. Three digits, then the reason phrase, then what it answered.
_PROVIDER = re.compile(
    r"Error from provider(?: (?P<name>[^\s:]{1,80}))?: ?(?P<status>[1-5]\d\d)\b"
    r"(?P<phrase>(?: [A-Za-z'-]+)*)"
)
_ACCOUNT = {401, 402, 403}
_MODEL = re.compile(
    r"\bmodel\b\W*\S*\s*(is |was )?(not (supported|found)|(does not|doesn't) exist|unknown)"
    r"|\b(unknown|invalid) model\b"
    r"|^model \S+ (has been deactivated|must be requested with a provider prefix)"
    r"|^provider \S+ (not found|does not support model )",
    re.IGNORECASE,
)
# 2026-08 (edit-plain-http, edit-data-url-without-comma), and providers' messages about images that
# the gateway passed on unseen (edit-bad-base64). Emby's pages have a type for it.
_IMAGE = re.compile(
    r"\b(failed|unable|could not|cannot|can't)( to)? (process|decode|fetch|download|load|read)"
    r"\b.{0,20}\bimage|\binvalid image\b|\bimage (could not|cannot|can't) be\b",
    re.IGNORECASE,
)
_ROUTE = {
    "provider": ("usedProvider", "requestedProvider"),
    "model": ("usedModel", "usedInternalModel", "requestedModel"),
}
_ERROR_STATUS = re.compile("[45][0-9]{2}")
_MAX_MESSAGE = 600
_NO_REASON = "The gateway gave no reason."


def error_from_response(status: int, headers: Mapping[str, str], body: bytes) -> APIError:
    """The exception for a response with an error status.

    `headers` have lower-case names.
    """
    payload = _object(body)
    if payload is not None:
        return error_from_payload(payload, status=status, headers=headers)
    said = _informs(body[:2000].decode("utf-8", "replace"))
    answered = f": {said!r}" if said else " with an empty body"
    message = f"The gateway answered {status}{answered}."
    hint = ""
    if status == 404:
        hint = "Is the base URL right? Emby's ends in /v1."
    elif 300 <= status < 400:
        hint = "Redirects are not followed; give the final address as base URL."
    return _error(status, message, False, {"hint": hint}, headers)


def error_from_event(data: bytes) -> APIError:
    """The error that arrived under HTTP 200, instead of a reply or a piece of one."""
    payload = _object(data)
    if payload is None:
        payload = {"message": data[:2000].decode("utf-8", "replace")}
    return error_from_payload(payload, status=200)


def error_from_payload(
    payload: Mapping[str, Any], *, status: int, headers: Mapping[str, str] = MappingProxyType({})
) -> APIError:
    """The exception for an error object.

    `status` is the response's own; the object may name a truer one: the provider's, or the actual
    one when a stream that began with a 200 fails. Vision Support page, "Error Handling";
    recordings upstream-* and mid-stream-* of every state.
    """
    error = payload.get("error")
    fields: Mapping[str, Any] = error if isinstance(error, dict) else payload
    words = {name: _word(fields.get(name)) for name in ("type", "code", "param")}
    message, path = _message(fields, error)
    words["param"] = words["param"] or _informs(path)
    answered = fields.get("responseText") or payload.get("responseText")
    answered = answered if isinstance(answered, str) else ""
    by_provider = _PROVIDER.search(message)
    if by_provider:
        status = int(by_provider["status"])
        words["provider"] = by_provider["name"] or ""
        message = _retold(by_provider, message, fields, answered)
    else:
        status = _status(fields, status)
        if answered and answered not in message:
            message = f"{message} ({_provider_message(answered)})"
    for name, keys in _ROUTE.items():
        found = (_word(fields.get(key)) for key in keys)
        words[name] = words.get(name) or next(filter(None, found), "")
    words["response_text"] = _informs(answered)
    message = _informs(message) or _NO_REASON
    if not message.endswith((".", "!", "?")):
        message += "."
    return _error(status, message, by_provider is not None, words, headers)


def is_unpaid(error: APIError) -> bool:
    """Whether an error that came before any piece of a reply shows that nothing was paid.

    True if the provider refused, or was never reached; not if its reply broke off (2026-08:
    `stream_truncated`), which may have been billed.
    """
    refused = error.status in {429, 503, 529} or _PROVIDER.search(error.message) is not None
    return error.is_retryable and (refused or error.code == "fetch_failed")


def request_id_in(headers: Mapping[str, str]) -> str | None:
    """The gateway's id of a request, safe to print; None if it gave none."""
    return _informs(headers.get("x-request-id", "")) or None


def _error(
    status: int,
    message: str,
    is_providers: bool,
    words: Mapping[str, str],
    headers: Mapping[str, str],
) -> APIError:
    """Build the exception for an error response; nothing else chooses its class."""
    cls = _BY_STATUS.get(status, ServerError)
    unusable_image = cls is BadRequestError and _IMAGE.search(message)
    if words.get("type") == "invalid_image_input" or unusable_image:
        cls = UnreadableInputImageError
    elif is_providers and status in _ACCOUNT:
        # It knows nothing of the user's key: it refused the gateway's own.
        cls = ProviderAccountError
    elif cls in {BadRequestError, NotFoundError} and _is_about_model(message, words):
        cls = ModelNotFoundError
    return cls(
        message,
        status=status,
        request_id=request_id_in(headers),
        retry_after=_seconds(headers),
        **words,
    )


def _is_about_model(message: str, words: Mapping[str, str]) -> bool:
    if words.get("code") in {"model_not_found", "model_not_supported"}:
        return True
    return "model_not_found" in words.get("response_text", "") or bool(_MODEL.search(message))


def _retold(match: re.Match[str], message: str, fields: Mapping[str, Any], answered: str) -> str:
    """A provider's failure as a sentence: who, with what status, and the reason it gave."""
    name = match["name"] or _word(fields.get("usedProvider"))
    tail, answered = message[match.end("status") :].strip(), answered.strip()
    if answered and tail.endswith(answered):
        phrase, said = tail.removesuffix(answered).strip(), answered
    else:
        phrase = match["phrase"].strip()
        said = message[match.end() :].strip() or answered
    head = f"Error from provider{name and ' ' + name}: {match['status']} {phrase}".rstrip()
    said = _provider_message(said)
    # Some answer with the reason phrase and nothing else.
    return f"{head}: {said}" if said and said != phrase else head


def _provider_message(answered: str) -> str:
    """The message in a provider's answer, or all of the answer if its form is unknown."""
    payload = _parsed(answered.encode("utf-8", "replace"))
    if not isinstance(payload, dict):
        return answered
    error = payload.get("error")
    fields = error if isinstance(error, dict) else payload
    message = error if isinstance(error, str) else fields.get("message")
    return message if isinstance(message, str) and message else answered


def _object(data: bytes) -> dict[str, Any] | None:
    payload = _parsed(data)
    return payload if isinstance(payload, dict) else None


def _parsed(data: bytes) -> Any:
    try:
        return parse_json(data)
    except ReplyError:
        return None


def _message(fields: Mapping[str, Any], error: object) -> tuple[str, str]:
    """The gateway's message, and the path of what it refused, or an empty one."""
    message = fields.get("message")
    issues = fields.get("issues")
    if issues is None and fields.get("name") == "ZodError" and isinstance(message, str):
        # Zod's own message is its issues, written as JSON.
        issues = _parsed(message.encode("utf-8", "replace"))
    if isinstance(issues, list):
        reason, path = summarize(issues)
        return f"The gateway refused the request: {reason}", path
    if isinstance(message, str):
        return message, ""
    return error if isinstance(error, str) else str(message or fields or ""), ""


def _status(fields: Mapping[str, Any], status: int) -> int:
    if status >= 300:
        return status
    for name in ("status", "code", "statusCode"):
        named = fields.get(name)
        if isinstance(named, int | str) and _ERROR_STATUS.fullmatch(str(named)):
            return int(named)
    code, kind = (_word(fields.get(name)) for name in ("code", "type"))
    found = _STATUS_OF_WORD.get(code) or _STATUS_OF_WORD.get(kind)
    return found or _STATUS_OF_KIND.get(kind, 502)


def _word(value: object) -> str:
    return _informs(str(value)) if isinstance(value, str | int) else ""


def _informs(text: str) -> str:
    return clean_text(text, _MAX_MESSAGE).strip()


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
