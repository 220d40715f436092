"""`MockBackend`: routes, key, content type, and the order in which a request is checked."""

import hashlib
import hmac
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING

import msgspec

from emby_plugins._images import Image
from emby_plugins._protocol.backend import BackendRequest
from emby_plugins.mock import apply_faults, faults
from emby_plugins.mock.cache import Cache
from emby_plugins.mock.capabilities import check_capabilities, check_input
from emby_plugins.mock.error_responses import encode_json, error_body, event, failure_events
from emby_plugins.mock.errors import ApiError, ErrorResponse, ProviderFailure, reason_of
from emby_plugins.mock.faults import Fault
from emby_plugins.mock.images_endpoint import IMAGE_PATHS, chat_request_of, images_body
from emby_plugins.mock.models import Route, check_provider, find_model, list_models
from emby_plugins.mock.profiles import EMBY, Profile
from emby_plugins.mock.requests import ChatRequest, ImagePart, read_chat_request
from emby_plugins.mock.responses import EVENTS, JSON, TEXT, MockResponse, response
from emby_plugins.mock.script import MockReply, MockRequest, Recorder

if TYPE_CHECKING:
    from emby_plugins.mock.respond import Reply

MAX_BODY = 100_000_000

_SOURCE = re.compile(r"[A-Za-z0-9.:/-]*")
_NOT_IN_DIGEST = ("stream", "stream_options")

Hook = Callable[[MockRequest], MockReply | None]
"""Replies to a request for a plugin, or leaves it to the mock with None."""


@dataclass(slots=True)
class _Call:
    """A request to a model, and what shapes the response to it."""

    path: str
    record: MockRequest
    script: MockReply
    fault: Fault
    digest: str

    @property
    def is_images(self) -> bool:
        return self.path in IMAGE_PATHS


class MockBackend:
    """A deterministic substitute for Emby: the same request always gets the same bytes.

    With a key, requests to a model must bear it; without one, anything is accepted. The model list
    needs no key, as at the gateway. `profile` is the dialect. `faults` are applied to the first
    chat requests, one each; None means no fault. `pause` is the seconds between the chunks of
    every reply, and `sleep` waits. `cache` is how many seconds an equal chat gets the cached
    reply, None for no cache. Thread-safe. It reaches neither the network nor the file system.
    """

    base_url = "mock:"
    """The address it has in this process, while `activate(backend)` is open."""

    def __init__(
        self,
        key: str | None = None,
        *,
        profile: Profile = EMBY,
        faults: Iterable[Fault | None] = (),
        pause: float = 0.0,
        sleep: Callable[[float], object] = time.sleep,
        cache: float | None = None,
    ) -> None:
        self._key = key
        self._profile = profile
        self._pace = apply_faults.Pace(pause, profile.ping, sleep)
        self._cache = Cache(cache, profile) if cache else None
        self._script: deque[MockReply] = deque()
        self._recorder = Recorder()
        self._served: Counter[str] = Counter()
        for fault in faults:
            self.reply(fault=fault)

    def __repr__(self) -> str:
        """Without the key."""
        key = "None" if self._key is None else "..."
        return f"MockBackend(key={key}, profile={self._profile.name!r})"

    @property
    def requests(self) -> list[MockRequest]:
        """The requests so far, oldest first: the latest 64 MB of them."""
        return self._recorder.kept()

    def reply(
        self,
        text: str | None = None,
        *,
        images: Iterable[Image] = (),
        tool_calls: Iterable[tuple[str, Mapping[str, object]]] = (),
        reasoning: str | None = None,
        finish_reason: str | None = None,
        fault: Fault | None = None,
        refusal: str | None = None,
        annotations: Iterable[Mapping[str, object]] = (),
        usage: Mapping[str, object] | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        """Script the reply to the next request to a model; see `MockReply`.

        Any model name is accepted then, and images are not opened. A `fault` alone is applied to
        the mock's own reply, `fault.times` times.
        """
        reply = MockReply(
            text, tuple(images), tuple(tool_calls), reasoning, finish_reason, fault,
            refusal, tuple(annotations), usage, fields or {},
        )  # fmt: skip
        self._script.extend(repeat(reply, (fault and fault.times) or 1))

    def __call__(self, request: BackendRequest, hook: Hook | None = None) -> MockResponse:
        """Respond to one request: by the script, else by the hook, else with the mock's own reply.

        Every failure is a response; only what `hook` raises is raised.
        """
        record = MockRequest.of(request)
        self._recorder.keep(record)
        fault, digest = faults.NONE, _digest(record)
        try:
            fault = self._fault_in_header(record, digest)
            path, _, query = request.path.partition("?")
            route = (request.method.upper(), path)
            has_images = self._profile.has_images_endpoint and path in IMAGE_PATHS
            if route == ("GET", "/models"):
                made = self._fault_response(fault, digest) or self._models(query)
            elif route[0] == "POST" and (path == "/chat/completions" or has_images):
                script = self._next_reply(record, hook)
                fault = fault if fault != faults.NONE else script.fault or faults.NONE
                call = _Call(path, record, script, fault, digest)
                made = self._fault_response(fault, digest) or self._respond(request, call)
            else:
                made = response(404, _not_found(*route, record.model, self._profile), TEXT)
        except ErrorResponse as error:
            # The gateway numbers a request once its body is read.
            made = self._error(error, None, None if error.early else digest)
        made = replace(made, model=record.model)
        return apply_faults.apply_to_response(made, fault, self._pace)

    def _fault_in_header(self, record: MockRequest, digest: str) -> Fault:
        header = record.headers.get(faults.HEADER, "")
        if not header:
            return faults.NONE
        fault = faults.parse_fault(header)
        self._served[header + digest] += 1
        is_over = fault.times is not None and self._served[header + digest] > fault.times
        return faults.NONE if is_over else fault

    def _next_reply(self, record: MockRequest, hook: Hook | None) -> MockReply:
        try:
            return self._script.popleft()
        except IndexError:
            return (hook(record) if hook else None) or MockReply()

    def _fault_response(self, fault: Fault, digest: str) -> MockResponse | None:
        """The response instead of the reply, if the fault has one."""
        if fault.status is None:
            return None
        if fault.status < 400:
            return response(fault.status, b"", JSON, digest)
        reason = fault.message or f"{reason_of(fault.status)} (as asked of the mock)"
        return self._error(ApiError(fault.status, reason), None, digest)

    def _respond(self, request: BackendRequest, call: _Call) -> MockResponse:
        """Check the request in the gateway's order, and let the provider reply."""
        profile, scripted = self._profile, not call.script.is_empty
        chat = self._read(request, call)
        route = find_model(chat.model, profile, scripted=scripted)
        if not profile.key_before_capabilities:
            check_capabilities(chat, route, profile)
        self._check_key(request)
        if profile.key_before_capabilities:
            check_capabilities(chat, route, profile)
        route = check_provider(route)
        check_input(chat, route, profile)
        try:
            reply, is_cached = self._reply(chat, route, call)
            return self._serialize(reply, chat, route, call, is_cached=is_cached)
        except ProviderFailure as failure:
            return self._fail(failure, chat, route, call)

    def _read(self, request: BackendRequest, call: _Call) -> ChatRequest:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        accepted = (JSON, "multipart/form-data") if call.path.endswith("/edits") else (JSON,)
        if media_type not in accepted:
            message = f"Unsupported Media Type: Content-Type must be {' or '.join(accepted)}"
            raise ApiError(415, message, early=True)
        if len(request.body) > MAX_BODY:
            raise ApiError(413, f"The body is over {MAX_BODY} bytes", early=True)
        if call.record.body is None and request.body.strip() != b"null":
            raise ApiError(400, "Malformed JSON in request body", early=True)
        if call.is_images:
            chat = chat_request_of(call.path, call.record.body, self._profile)
        else:
            chat = read_chat_request(call.record.body, self._profile.schema)
        if not _SOURCE.fullmatch(request.headers.get("x-source", "")):
            raise ApiError(400, "Invalid x-source header", early=True)
        return chat

    def _check_key(self, request: BackendRequest) -> None:
        if self._key is None:
            return
        sent = request.headers.get("authorization", "")
        if not sent and self._profile.takes_x_api_key and "x-api-key" in request.headers:
            sent = f"Bearer {request.headers['x-api-key']}"
        if not sent:
            raise ApiError(401, "Unauthorized: No Authorization header provided")
        if not hmac.compare_digest(sent.encode("utf-8", "replace"), f"Bearer {self._key}".encode()):
            raise ApiError(401, "Unauthorized: Invalid API token")

    def _reply(self, chat: ChatRequest, route: Route, call: _Call) -> "tuple[Reply, bool]":
        """The reply with the fault applied to its content, and whether the cache had it."""
        # It imports Pillow; a process that never chats never imports it.
        from emby_plugins.mock import respond

        if call.fault.failure and not call.fault.error:
            raise call.fault.failure
        bypass = self._profile.marks_cache and call.record.headers.get("x-no-cache") == "true"
        cache = None if call.is_images or bypass else self._cache
        cached = cache.get(chat) if cache else None
        if cached:
            reply = cached
        elif not call.script.is_empty:
            reply = respond.scripted(chat, call.script, call.digest)
        elif call.is_images:
            reply = respond.respond_with_images(chat, route)
        else:
            documented = self._profile.is_emby
            reply = respond.respond(chat, route, call.digest, documented=documented)
        if cache and not cached:
            cache.put(chat, reply)
        return apply_faults.apply_to_reply(reply, call.fault), cached is not None

    def _serialize(
        self, reply: "Reply", chat: ChatRequest, route: Route, call: _Call, *, is_cached: bool
    ) -> MockResponse:
        from emby_plugins.mock import completions

        fault, profile = call.fault, self._profile
        sent = sum(isinstance(part, ImagePart) for part in chat.parts)
        envelope = completions.Envelope(call.digest, route, profile, sent, is_cached)
        marks = {"x-llmgateway-cache": "HIT"} if envelope.is_marked else {}
        if chat.stream:
            frames = completions.frames(reply, envelope, fault.upstream_end)
            frames = apply_faults.apply_to_frames(frames, fault)
            return response(200, frames, EVENTS, call.digest, marks)
        if fault.upstream_end:
            raise ProviderFailure(200)
        if fault.error:
            failure = ProviderFailure.of(fault.upstream or 502, fault.message)
            return response(200, error_body(failure, route, profile)[1], JSON, call.digest)
        if call.is_images:
            return response(200, images_body(reply, chat, profile), JSON, call.digest)
        body = apply_faults.apply_to_body(completions.completion(reply, envelope), fault)
        return response(200, body, JSON, call.digest, marks)

    def _fail(
        self, failure: ProviderFailure, chat: ChatRequest, route: Route, call: _Call
    ) -> MockResponse:
        if call.is_images:
            # The endpoint passes on no more of a chat's error than this, and no 500 of a provider.
            status, body = error_body(failure, route, self._profile)
            error = msgspec.json.decode(body)
            error = error if error["error"] is True else error["error"]
            raise ApiError(502 if status == 500 else status, error["message"])
        if not chat.stream:
            return self._error(failure, route, call.digest)
        from emby_plugins.mock import completions
        from emby_plugins.mock.respond import empty_reply

        envelope = completions.Envelope(call.digest, route, self._profile)
        empty = completions.empty_chunk(empty_reply(chat), envelope)
        events = failure_events(failure, route, self._profile, empty)
        frames = (event(name, data, at) for at, (name, data) in enumerate(events))
        return response(200, frames, EVENTS, call.digest)

    def _models(self, query: str) -> MockResponse:
        deactivated = "include_deactivated=true" in query.split("&")
        listed = list_models(self._profile, with_deactivated=deactivated)
        return response(200, encode_json({"data": listed}), JSON)

    def _error(self, error: ErrorResponse, route: Route | None, digest: str | None) -> MockResponse:
        return response(*error_body(error, route, self._profile), JSON, digest)


def _not_found(method: str, path: str, model: str, profile: Profile) -> bytes:
    """The plain text of a 404; some states have the route."""
    if (method, path, profile.name) == ("POST", "/responses", "2025-12"):
        return b"The Responses API is currently not supported"
    if (method, path, profile.name) == ("POST", "/embeddings", "2026-08"):
        message = f"Embedding model not found: {model[:200]}"
        raise ApiError(400, message, param="model", code="model_not_found")
    return b"404 Not Found"


def _digest(record: MockRequest) -> str:
    """The same for a request streamed or not, so that their replies can be compared."""
    data = record.content
    if isinstance(record.body, dict):
        read = {key: value for key, value in record.body.items() if key not in _NOT_IN_DIGEST}
        data = msgspec.json.encode(read, order="deterministic")
    return hashlib.sha256(data).hexdigest()[:16]
