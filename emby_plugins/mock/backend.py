"""The front door: routes, key, content type, and the order in which a request is refused."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping

import msgspec

from emby_plugins.mock.errors import ApiError, Refusal, SchemaError
from emby_plugins.mock.models import find_model, list_models
from emby_plugins.mock.requests import read_chat_request
from emby_plugins.protocol.backend import BackendRequest, BackendResponse

MAX_BODY = 100_000_000

_CHAT = ("POST", "/chat/completions")
_MODELS = ("GET", "/models")
_JSON = "application/json"
_NOT_IN_DIGEST = ("stream", "stream_options")


class MockBackend:
    """A deterministic stand-in for Emby: the same request always gets the same bytes.

    With a key, a chat request must bear it; without one, anything is accepted. The model list asks
    for no key, as the gateway's does not. Safe to call from several threads at once. It reaches
    neither the network nor the file system.
    """

    def __init__(self, key: str | None = None) -> None:
        self._key = key

    def __repr__(self) -> str:
        """Without the key."""
        return f"MockBackend(key={'None' if self._key is None else '...'})"

    def __call__(self, request: BackendRequest) -> BackendResponse:
        """Answer one request. Every failure is a response, never an exception."""
        route = (request.method.upper(), request.path.partition("?")[0])
        if route == _MODELS:
            return _models()
        if route != _CHAT:
            return _respond(404, (b"404 Not Found",), "text/plain; charset=UTF-8")
        digest = _digest(request.body)
        try:
            self._check(request)
            body = _parse(request.body)
            if isinstance(body, dict):
                digest = _digest_of_request(body)
            return _chat(body, digest)
        except SchemaError as refusal:
            # The gateway gives a body that fails the schema no request id.
            return _refuse(refusal, refusal.status, None)
        except ApiError as refusal:
            return _refuse(refusal, refusal.status, digest)

    def _check(self, request: BackendRequest) -> None:
        if self._key is not None:
            offered = request.headers.get("authorization", "").encode("utf-8", "replace")
            if not hmac.compare_digest(offered, f"Bearer {self._key}".encode()):
                reason = "Missing or invalid API key"
                raise ApiError(401, reason, code="invalid_api_key")
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != _JSON:
            reason = f"Content-Type must be {_JSON}"
            raise ApiError(415, reason, code="unsupported_media_type")
        if len(request.body) > MAX_BODY:
            reason = f"The body is over {MAX_BODY} bytes"
            raise ApiError(413, reason, code="request_too_large")


def _chat(body: object, digest: str) -> BackendResponse:
    chat = read_chat_request(body)
    model = find_model(chat.model)
    # Pillow comes with these; a process that never chats never imports it.
    from emby_plugins.mock import wire
    from emby_plugins.mock.answer import answer

    said = answer(chat, model, digest)
    envelope = wire.Envelope(digest, model)
    if chat.stream:
        return _respond(200, wire.frames(said, envelope), "text/event-stream", digest)
    return _respond(200, (wire.completion(said, envelope),), _JSON, digest)


def _models() -> BackendResponse:
    data = list_models()
    body = msgspec.json.encode({"data": data})
    return _respond(200, (body,), _JSON, _digest(body))


def _refuse(refusal: Refusal, status: int, digest: str | None) -> BackendResponse:
    from emby_plugins.mock import wire

    return _respond(status, (wire.refusal_body(refusal),), _JSON, digest)


def _parse(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "Malformed JSON in request body") from error


def _digest_of_request(body: Mapping[str, object]) -> str:
    """The same for a request streamed or not, so that their replies can be compared."""
    heard = {key: value for key, value in body.items() if key not in _NOT_IN_DIGEST}
    return _digest(msgspec.json.encode(heard, order="deterministic"))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _respond(
    status: int,
    body: Iterator[bytes] | tuple[bytes, ...],
    media_type: str,
    digest: str | None = None,
) -> BackendResponse:
    headers = {"content-type": media_type, "x-emby-mock": "1"}
    if digest is not None:
        headers["x-request-id"] = f"mock-{digest}"
    return BackendResponse(status, headers, iter(body))
