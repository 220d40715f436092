"""Error responses, the gateway's own and a provider's, whole and streamed."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from emby_plugins.mock.errors import (
    ErrorResponse,
    InputImageError,
    ProviderFailure,
    SchemaError,
    reason_of,
)
from emby_plugins.mock.faults import Ending
from emby_plugins.mock.models import Route
from emby_plugins.mock.profiles import Profile

JsonDict = dict[str, object]

# The newest gateway's codes, by status; the types are OpenAI's.
_CODES = {
    401: "invalid_api_key",
    402: "billing_error",
    403: "permission_denied",
    404: "not_found",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limit_error",
}
_DIED = '{"error":{"message":"upstream died","type":"server_error"}}'
_UNSENT = {"requestedProvider", "usedProvider", "requestedModel", "usedModel", "usedInternalModel"}

Event = tuple[Literal["error", "done"] | None, JsonDict | None]
"""The name of a server-sent event and its data; None is `[DONE]`."""

encode_json = msgspec.json.Encoder().encode


def event(name: str | None, data: JsonDict | None, number: int) -> bytes:
    """One server-sent event."""
    before = b"" if name is None else f"event: {name}\n".encode()
    text = b"[DONE]" if data is None else encode_json(data)
    return b"%bdata: %b\nid: %d\n\n" % (before, text, number)


def error_body(error: ErrorResponse, route: Route | None, profile: Profile) -> tuple[int, bytes]:
    """The status and the body of an error response."""
    status, message = error.status, error.message
    if isinstance(error, SchemaError):
        reasons: JsonDict = {"issues": error.issues, "name": "ZodError"}
        return status, encode_json({"success": False, "error": reasons})
    if isinstance(error, ProviderFailure):
        assert route is not None
        status, provided = _provider_error(error, route, profile)
        if provided is not None:
            return status, encode_json({"error": provided})
        message = "Internal Server Error"
    param, code = getattr(error, "param", None), getattr(error, "code", None)
    if profile.is_emby and isinstance(error, InputImageError):
        # The one error that Emby documents (Vision page, Error Handling).
        documented = {"message": message, "type": "invalid_image_input", "param": param}
        return status, encode_json({"error": documented})
    if profile.flat_errors:
        return status, encode_json({"error": True, "status": status, "message": message})
    kind = "api_error" if status >= 500 else "invalid_request_error"
    nested = {"message": message, "type": kind, "param": param, "code": code or _CODES.get(status)}
    return status, encode_json({"error": nested})


def failure_events(
    failure: ProviderFailure, route: Route, profile: Profile, empty: JsonDict
) -> Iterator[Event]:
    """The stream of a reply that fails before it begins; `empty` is a chunk without content."""
    if 0 < failure.status < 400:
        if profile.reports_truncation:
            yield "error", {"error": _truncated(failure.message)}
        else:
            yield None, empty
    else:
        error = _provider_error(failure, route, profile)[1] or {}
        unsent = _UNSENT if failure.status else {*_UNSENT, "param"}
        yield "error", {"error": {k: v for k, v in error.items() if k not in unsent}}
    yield "done", None


def broken_stream(
    profile: Profile, ending: Ending, final: JsonDict, uncosted: JsonDict, *, has_content: bool
) -> Iterator[Event]:
    """The end of a stream with a provider that failed in the middle.

    The older gateways swallow it, and may send one more chunk after `[DONE]` (cases mid-stream-*).
    """
    if not profile.reports_truncation:
        if ending == "error":
            delta: JsonDict = {"content": "", "tool_calls": None, "role": "assistant"}
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            yield None, final | {"choices": [choice], "usage": None}
        yield None, uncosted if ending == "cut" else final
        yield "done", None
        if ending != "cut":
            yield None, uncosted
        return
    if ending == "done":
        yield None, final
        yield "done", None
        if has_content:
            return
        nothing = "Response finished successfully but returned no content"
        yield "error", {"error": _upstream_error(nothing, "upstream_error", nothing)}
    elif ending == "error":
        yield "error", {"error": _upstream_error("upstream died", "server_error", _DIED)}
    else:
        yield "error", {"error": _truncated("Stream ended before a terminal finish reason")}
    yield "done", None


def _truncated(text: str) -> JsonDict:
    return _upstream_error("Upstream stream terminated unexpectedly", "stream_truncated", text)


def _upstream_error(message: str, code: str, text: str) -> JsonDict:
    kind: JsonDict = {"message": message, "type": "upstream_error", "code": code}
    return kind | {"param": None, "responseText": text}


def _provider_error(
    failure: ProviderFailure, route: Route, profile: Profile
) -> tuple[int, JsonDict | None]:
    """The status and the error object; None if the gateway itself fails to read the reply."""
    status, text = failure.status, failure.message
    about: JsonDict = {
        "requestedProvider": route.requested_provider,
        "usedProvider": route.provider,
        "requestedModel": route.requested,
        "usedModel" if profile.flat_errors else "usedInternalModel": route.model.id,
    }
    if status < 400:
        if status and not profile.reports_truncation:
            return 500, None
        action = "read response from" if status else "connect to"
        error: JsonDict = {"message": f"Failed to {action} provider: fetch failed"}
        return 502, error | {
            "type": "upstream_error",
            "param": None,
            "code": "fetch_failed",
        } | about
    kind = "upstream_error" if status >= 500 else "gateway_error"
    if profile.passes_client_errors and status in (404, 429):
        kind = "upstream_error"
    elif profile.passes_client_errors and status < 500 and status not in (401, 402, 403):
        own = _own_error(text)
        if own is not None:
            return status, own
    name = f" {route.provider}" if profile.names_provider else ""
    message = f"Error from provider{name}: {status} {reason_of(status)} {text}"
    error = {"message": message, "type": kind, "param": None, "code": kind}
    return 500, error | about | {"responseText": text}


def _own_error(text: str) -> JsonDict | None:
    try:
        error = msgspec.json.decode(text, type=dict[str, JsonDict]).get("error")
    except msgspec.DecodeError:
        return None
    return error
