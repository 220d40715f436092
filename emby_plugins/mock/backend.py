"""The front door: routes, key, content type, and the order in which a request is refused."""

import hashlib
import hmac
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import repeat

import msgspec

from emby_plugins._images import Image
from emby_plugins._protocol.backend import BackendRequest
from emby_plugins.mock import faults
from emby_plugins.mock.abilities import check_abilities, check_input
from emby_plugins.mock.cache import Cache
from emby_plugins.mock.errors import ApiError, ProviderFailure, Refusal, SchemaError, reason_of
from emby_plugins.mock.failures import encode_json, event, failure_events, refusal_reply
from emby_plugins.mock.faults import Fault
from emby_plugins.mock.models import Route, check_provider, find_model, list_models
from emby_plugins.mock.profiles import EMBY, Profile
from emby_plugins.mock.requests import ChatRequest, ImagePart, read_chat_request
from emby_plugins.mock.responses import JSON, TEXT, MockResponse, Pace, respond, stream, tampered
from emby_plugins.mock.routes import not_found
from emby_plugins.mock.script import MockReply, MockRequest, Recorder

MAX_BODY = 100_000_000

_CHAT = ("POST", "/chat/completions")
_MODELS = ("GET", "/models")
_SOURCE = re.compile(r"[A-Za-z0-9.:/-]*")
_NOT_IN_DIGEST = ("stream", "stream_options")
_OWN_WORDS = MockReply()

Ask = Callable[[MockRequest], MockReply | None]
"""Answers a request for a plugin, or leaves it to the mock with None."""


class MockBackend:
    """A deterministic stand-in for Emby: the same request always gets the same bytes.

    With a key, a chat request must bear it; without one, anything is accepted. The model list asks
    for no key, as the gateway's does not. `profile` is the dialect it speaks. `faults` befall the
    first chat requests, one each (None for none). `pause` is the seconds between the chunks of
    every reply, and `sleep` what waits. `cache` is the seconds for which an equal chat
    is answered from the gateway's cache, None for never. Safe to call from several threads at
    once. It reaches neither the network nor the file system.
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
        self._pause = pause
        self._sleep = sleep
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
    ) -> None:
        """Script the answer to the next chat request that has none yet; see `MockReply`.

        Any model name is taken then, and images are not looked at. Where nothing is said but a
        `fault`, the mock's own answer suffers it, `fault.times` times.
        """
        scripted = MockReply(
            text, tuple(images), tuple(tool_calls), reasoning, finish_reason, fault
        )
        self._script.extend(repeat(scripted, (fault and fault.times) or 1))

    def __call__(self, request: BackendRequest, ask: Ask | None = None) -> MockResponse:
        """Answer one request: by the script, else as `ask` says, else with the mock's own words.

        Every failure is a response; only what `ask` raises is raised.
        """
        record = MockRequest.of(request)
        self._recorder.keep(record)
        fault, digest = faults.NONE, _digest(record)
        try:
            fault = self._asked_for(record, digest)
            path, _, query = request.path.partition("?")
            route = (request.method.upper(), path)
            if route == _MODELS:
                response = self._failure(fault, digest) or self._models(query)
            elif route == _CHAT:
                scripted = self._scripted(record, ask)
                fault = fault if fault != faults.NONE else scripted.fault or faults.NONE
                response = self._failure(fault, digest) or self._chat(
                    request, record, scripted, fault, digest
                )
            else:
                text = not_found(*route, record.model, self._profile)
                response = respond(404, text.encode(), TEXT)
        except Refusal as refusal:
            # The gateway numbers a request once its body is read.
            early = isinstance(refusal, SchemaError) or (
                isinstance(refusal, ApiError) and refusal.early
            )
            response = self._refuse(refusal, None if early else digest)
        pace = Pace(0.0, self._pause, self._profile.ping, self._sleep)
        return tampered(replace(response, model=record.model), fault, pace)

    def _asked_for(self, record: MockRequest, digest: str) -> Fault:
        """The fault that a request's own header asks for."""
        header = record.headers.get(faults.HEADER, "")
        if not header:
            return faults.NONE
        fault = faults.parse_fault(header)
        self._served[header + digest] += 1
        is_over = fault.times is not None and self._served[header + digest] > fault.times
        return faults.NONE if is_over else fault

    def _scripted(self, record: MockRequest, ask: Ask | None) -> MockReply:
        try:
            return self._script.popleft()
        except IndexError:
            return (ask(record) if ask else None) or _OWN_WORDS

    def _failure(self, fault: Fault, digest: str) -> MockResponse | None:
        """The response that takes the place of the reply, if one does."""
        if fault.status is None:
            return None
        if fault.status < 400:
            return respond(fault.status, b"", JSON, digest)
        reason = fault.message or f"{reason_of(fault.status)} (as asked of the mock)"
        return self._refuse(ApiError(fault.status, reason), digest)

    def _chat(
        self,
        request: BackendRequest,
        record: MockRequest,
        scripted: MockReply,
        fault: Fault,
        digest: str,
    ) -> MockResponse:
        """The checks in the gateway's order, and what the provider behind it makes of the rest."""
        profile = self._profile
        chat = self._read(request, record)
        route = find_model(chat.model, profile, scripted=not scripted.says_nothing)
        if not profile.key_before_abilities:
            check_abilities(chat, route, profile)
        self._check_key(request)
        if profile.key_before_abilities:
            check_abilities(chat, route, profile)
        route = check_provider(route)
        check_input(chat, route, profile)
        try:
            return self._ask_provider(chat, route, scripted, fault, record, digest)
        except ProviderFailure as failure:
            return self._fail(failure, chat, route, digest)

    def _read(self, request: BackendRequest, record: MockRequest) -> ChatRequest:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != JSON:
            message = f"Unsupported Media Type: Content-Type must be {JSON}"
            raise ApiError(415, message, early=True)
        if len(request.body) > MAX_BODY:
            raise ApiError(413, f"The body is over {MAX_BODY} bytes", early=True)
        if record.body is None and request.body.strip() != b"null":
            raise ApiError(400, "Malformed JSON in request body", early=True)
        chat = read_chat_request(record.body, self._profile.schema)
        if not _SOURCE.fullmatch(request.headers.get("x-source", "")):
            raise ApiError(400, "Invalid x-source header", early=True)
        return chat

    def _check_key(self, request: BackendRequest) -> None:
        if self._key is None:
            return
        offered = request.headers.get("authorization", "")
        other = request.headers.get("x-api-key", "") if self._profile.takes_x_api_key else ""
        if not offered and not other:
            raise ApiError(401, "Unauthorized: No Authorization header provided")
        key = (offered or f"Bearer {other}").encode("utf-8", "replace")
        if not hmac.compare_digest(key, f"Bearer {self._key}".encode()):
            raise ApiError(401, "Unauthorized: Invalid API token")

    def _ask_provider(
        self,
        chat: ChatRequest,
        route: Route,
        scripted: MockReply,
        fault: Fault,
        record: MockRequest,
        digest: str,
    ) -> MockResponse:
        """An answer as the profile has it, with what the fault does to it."""
        # Pillow comes with these; a process that never chats never imports it.
        from emby_plugins.mock import answer, inject, wire

        if fault.failure and not fault.error:
            raise fault.failure
        said = self._cache.get(chat, record) if self._cache else None
        is_cached = said is not None
        if said is None:
            words = scripted.says_nothing
            said = (
                answer.answer(chat, route, digest, documented=self._profile.is_emby)
                if words
                else answer.scripted(chat, scripted, digest)
            )
            if self._cache:
                self._cache.put(chat, said)
        said = inject.distort(said, fault)
        sent = sum(isinstance(part, ImagePart) for part in chat.parts)
        envelope = wire.Envelope(digest, route, self._profile, sent, is_cached)
        marks = {"x-llmgateway-cache": "HIT"} if is_cached and self._profile.marks_cache else {}
        if chat.stream:
            frames = wire.frames(said, envelope, fault.upstream_end)
            return stream(inject.spoil_frames(frames, fault), digest, marks)
        if fault.upstream_end:
            raise ProviderFailure(200)
        if fault.error:
            failed = ProviderFailure.saying(fault.upstream or 502, fault.message)
            return respond(200, refusal_reply(failed, route, self._profile)[1], JSON, digest)
        body = wire.completion(said, envelope)
        whole = inject.spoil_body(body, fault) if inject.spoils_text(fault) else body
        return respond(200, whole, JSON, digest, marks)

    def _fail(
        self, failure: ProviderFailure, chat: ChatRequest, route: Route, digest: str
    ) -> MockResponse:
        if not chat.stream:
            return respond(*refusal_reply(failure, route, self._profile), JSON, digest)
        from emby_plugins.mock import wire
        from emby_plugins.mock.answer import nothing

        envelope = wire.Envelope(digest, route, self._profile)
        events = failure_events(failure, route, self._profile, wire.empty(nothing(chat), envelope))
        frames = (event(name, data, at) for at, (name, data) in enumerate(events))
        return stream(frames, digest)

    def _models(self, query: str) -> MockResponse:
        listed = list_models(
            self._profile, with_deactivated="include_deactivated=true" in query.split("&")
        )
        return respond(200, encode_json({"data": listed}), JSON)

    def _refuse(self, refusal: Refusal, digest: str | None) -> MockResponse:
        return respond(*refusal_reply(refusal, None, self._profile), JSON, digest)


def _digest(record: MockRequest) -> str:
    """The same for a request streamed or not, so that their replies can be compared."""
    data = record.content
    if isinstance(record.body, dict):
        heard = {key: value for key, value in record.body.items() if key not in _NOT_IN_DIGEST}
        data = msgspec.json.encode(heard, order="deterministic")
    return hashlib.sha256(data).hexdigest()[:16]
