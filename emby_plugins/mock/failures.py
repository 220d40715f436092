"""How refusals are spelled, the gateway's own and a provider's, whole and streamed."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from emby_plugins.mock.errors import (
    ApiError,
    InputImageError,
    ProviderFailure,
    Refusal,
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
_OPERATOR = (401, 402, 403)
_TRANSIENT = (404, 429)
_DIED = '{"error":{"message":"upstream died","type":"server_error"}}'

Event = tuple[Literal["error", "done"] | None, JsonDict | None]
"""The name of a server-sent event and its data; None for `[DONE]`."""

encode_json = msgspec.json.Encoder().encode


def event(name: str | None, data: JsonDict | None, number: int) -> bytes:
    """One server-sent event."""
    before = b"" if name is None else f"event: {name}\n".encode()
    text = b"[DONE]" if data is None else encode_json(data)
    return b"%bdata: %b\nid: %d\n\n" % (before, text, number)


def is_done(frame: bytes) -> bool:
    """Whether a frame is the `[DONE]` of a stream."""
    return b"data: [DONE]\n" in frame[:40]


def refusal_reply(refusal: Refusal, route: Route | None, profile: Profile) -> tuple[int, bytes]:
    """The status and the body of an error reply."""
    if isinstance(refusal, SchemaError):
        told: JsonDict = {"issues": refusal.issues, "name": "ZodError"}
        return 400, encode_json({"success": False, "error": told})
    if isinstance(refusal, ProviderFailure):
        status, error = _provider_error(refusal, route, profile)
        if error is not None:
            return status, encode_json({"error": error})
        refusal = ApiError(status, "Internal Server Error")
    if profile.is_emby and isinstance(refusal, InputImageError):
        # The one error that Emby documents (Vision page, Error Handling).
        documented = {"type": "invalid_image_input", "param": refusal.param}
        return 400, encode_json({"error": {"message": refusal.message, **documented}})
    assert isinstance(refusal, ApiError)
    status = refusal.status
    if profile.flat_errors:
        flat: JsonDict = {"error": True, "status": status, "message": refusal.message}
        return status, encode_json(flat)
    kind = "api_error" if status >= 500 else "invalid_request_error"
    code = refusal.code or _CODES.get(status)
    error = {"message": refusal.message, "type": kind, "param": refusal.param, "code": code}
    return status, encode_json({"error": error})


def failure_events(
    failure: ProviderFailure, route: Route, profile: Profile, empty: JsonDict
) -> Iterator[Event]:
    """The stream of a reply that fails before it begins; `empty` is a last chunk without a word."""
    if 0 < failure.status < 400:
        if not profile.tells_truncation:
            yield None, empty
        else:
            yield "error", {"error": _truncated(failure.text)}
    else:
        error = _provider_error(failure, route, profile)[1] or {}
        about = ("requestedProvider", "usedProvider", "requestedModel", "usedModel")
        unsent = {*about, "usedInternalModel", *(("param",) if not failure.status else ())}
        yield "error", {"error": {k: v for k, v in error.items() if k not in unsent}}
    yield "done", None


def broken_stream(
    profile: Profile, ending: Ending, final: JsonDict, uncosted: JsonDict, *, said: bool
) -> Iterator[Event]:
    """The end of a stream whose provider gave up in its middle.

    The older gateways swallow it, and may send one more chunk after `[DONE]` (cases mid-stream-*).
    """
    if profile.tells_truncation:
        if ending == "done":
            yield None, final
            yield "done", None
            if said:
                return
            nothing = "Response finished successfully but returned no content"
            yield "error", {"error": _upstream_error(nothing, "upstream_error", nothing)}
        elif ending == "error":
            yield "error", {"error": _upstream_error("upstream died", "server_error", _DIED)}
        else:
            yield "error", {"error": _truncated("Stream ended before a terminal finish reason")}
        yield "done", None
        return
    if ending == "error":
        delta: JsonDict = {"content": "", "tool_calls": None, "role": "assistant"}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        yield None, final | {"choices": [choice], "usage": None}
    yield None, uncosted if ending == "cut" else final
    yield "done", None
    if ending != "cut":
        yield None, uncosted


def _truncated(text: str) -> JsonDict:
    return _upstream_error("Upstream stream terminated unexpectedly", "stream_truncated", text)


def _upstream_error(message: str, code: str, text: str) -> JsonDict:
    kind: JsonDict = {"message": message, "type": "upstream_error", "code": code}
    return kind | {"param": None, "responseText": text}


def _provider_error(
    failure: ProviderFailure, route: Route | None, profile: Profile
) -> tuple[int, JsonDict | None]:
    """The status and the error object; None where the gateway itself stumbles over the reply."""
    assert route is not None
    used = "usedModel" if profile.flat_errors else "usedInternalModel"
    about: JsonDict = {
        "requestedProvider": route.requested_provider,
        "usedProvider": route.provider,
        "requestedModel": route.asked,
        used: route.model.id,
    }
    status = failure.status
    if status < 400:
        if status and not profile.tells_truncation:
            return 500, None
        failed = "read response from" if status else "connect to"
        message = f"Failed to {failed} provider: fetch failed"
        error: JsonDict = {"message": message, "type": "upstream_error", "param": None}
        return 502, error | {"code": "fetch_failed"} | about
    kind = _kind(status, profile)
    if kind is None:
        own = _own_error(failure.text)
        if own is not None:
            return status, own
    name = f" {route.provider}" if profile.names_provider else ""
    message = f"Error from provider{name}: {status} {reason_of(status)} {failure.text}"
    kind = kind or "gateway_error"
    error = {"message": message, "type": kind, "param": None, "code": kind}
    return 500, error | about | {"responseText": failure.text}


def _kind(status: int, profile: Profile) -> str | None:
    """Whose fault a provider's status is; None for the client's, which is passed on."""
    if status >= 500:
        return "upstream_error"
    if not profile.passes_client_errors:
        return "gateway_error"
    if status in _TRANSIENT:
        return "upstream_error"
    return "gateway_error" if status in _OPERATOR else None


def _own_error(text: str) -> JsonDict | None:
    try:
        body = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else None
