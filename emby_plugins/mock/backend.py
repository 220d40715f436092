"""The front door: routes, key, content type, and the order in which a request is refused."""

import hashlib
import hmac
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING

import msgspec

from emby_plugins.images import Image
from emby_plugins.mock import faults
from emby_plugins.mock.errors import ApiError, Refusal, SchemaError, UpstreamError, reason_of
from emby_plugins.mock.faults import Fault
from emby_plugins.mock.models import Route, any_model, find_model, list_models
from emby_plugins.mock.profiles import EMBY, Profile
from emby_plugins.mock.requests import ChatRequest, read_chat_request
from emby_plugins.mock.script import MockReply, MockRequest, Recorder
from emby_plugins.protocol.backend import BackendRequest, BackendResponse

if TYPE_CHECKING:
    from emby_plugins.mock.answer import Answer

MAX_BODY = 100_000_000

_CHAT = ("POST", "/chat/completions")
_MODELS = ("GET", "/models")
_JSON = "application/json"
_EVENTS = "text/event-stream"
_NOT_IN_DIGEST = ("stream", "stream_options")
_OWN_WORDS = MockReply()

Ask = Callable[[MockRequest], MockReply | None]
"""Answers a request for a plugin, or leaves it to the mock with None."""


@dataclass(frozen=True, slots=True)
class MockResponse(BackendResponse):
    """A response; with `is_cut`, the end of its body is where the connection breaks.

    `model` is the one that was asked, empty where none was.
    """

    is_cut: bool = False
    model: str = ""


class MockBackend:
    """A deterministic stand-in for Emby: the same request always gets the same bytes.

    With a key, a chat request must bear it; without one, anything is accepted. The model list asks
    for no key, as the gateway's does not. `profile` is the dialect it speaks. `faults` befall the
    first chat requests, one each (None for none). `pause` is the seconds between the chunks of
    every reply, and `sleep` what waits. Safe to call from several threads at once. It reaches
    neither the network nor the file system.
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
    ) -> None:
        self._key = key
        self._profile = profile
        self._pause = pause
        self._sleep = sleep
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
            route = (request.method.upper(), request.path.partition("?")[0])
            if route == _MODELS:
                response = self._failure(fault, digest) or self._models()
            elif route == _CHAT:
                scripted = self._scripted(record, ask)
                fault = fault if fault != faults.NONE else scripted.fault or faults.NONE
                response = self._failure(fault, digest) or self._chat(
                    request, record, scripted, fault, digest
                )
            else:
                response = _respond(404, b"404 Not Found", "text/plain; charset=UTF-8")
        except SchemaError as refusal:
            # The gateway gives a body that fails the schema no request id.
            response = self._refuse(refusal, None)
        except Refusal as refusal:
            response = self._refuse(refusal, digest)
        return self._tampered(replace(response, model=record.model), fault)

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
            return _respond(fault.status, b"", _JSON, digest)
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
        self._check(request)
        if record.body is None and request.body.strip() != b"null":
            raise ApiError(400, "Malformed JSON in request body")
        chat = read_chat_request(record.body, self._profile)
        # Pillow comes with these; a process that never chats never imports it.
        from emby_plugins.mock import answer

        if scripted.says_nothing:
            route = find_model(chat.model)
            said = answer.answer(chat, route, digest)
        else:
            route = any_model(chat.model)
            said = answer.scripted(chat, scripted, digest)
        return self._spell(said, chat, route, fault, digest)

    def _check(self, request: BackendRequest) -> None:
        if self._key is not None:
            offered = request.headers.get("authorization", "").encode("utf-8", "replace")
            if not hmac.compare_digest(offered, f"Bearer {self._key}".encode()):
                raise ApiError(401, "Missing or invalid API key")
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != _JSON:
            raise ApiError(415, f"Content-Type must be {_JSON}")
        if len(request.body) > MAX_BODY:
            raise ApiError(413, f"The body is over {MAX_BODY} bytes")

    def _spell(
        self, said: "Answer", chat: ChatRequest, route: Route, fault: Fault, digest: str
    ) -> MockResponse:
        """An answer as the profile has it, with what the fault does to it."""
        from emby_plugins.mock import inject, wire

        said = inject.distort(said, fault)
        envelope = wire.Envelope(digest, route, self._profile)
        upstream = UpstreamError(fault.upstream or 502)
        if chat.stream:
            if fault.upstream and not fault.error:
                return _respond(200, wire.error_event(upstream), _EVENTS, digest)
            frames = inject.spoil_frames(wire.frames(said, envelope), fault, self._profile.done)
            return _respond(200, frames, _EVENTS, digest)
        if fault.upstream and not fault.error:
            raise upstream
        if fault.error:
            return _respond(200, wire.refusal_reply(upstream, self._profile)[1], _JSON, digest)
        body = wire.completion(said, envelope)
        whole = inject.spoil_body(body, fault) if inject.spoils_text(fault) else body
        return _respond(200, whole, _JSON, digest)

    def _models(self) -> MockResponse:
        body = msgspec.json.encode({"data": list_models(self._profile)})
        return _respond(200, body, _JSON, hashlib.sha256(body).hexdigest()[:16])

    def _refuse(self, refusal: Refusal, digest: str | None) -> MockResponse:
        from emby_plugins.mock import wire

        return _respond(*wire.refusal_reply(refusal, self._profile), _JSON, digest)

    def _tampered(self, response: MockResponse, fault: Fault) -> MockResponse:
        """The response, with what the fault does to its headers and bytes."""
        pause = fault.pause or self._pause
        if fault == faults.NONE and not pause:
            return response
        from emby_plugins.mock import inject

        headers, chunks = dict(response.headers), response.body
        is_stream = headers["content-type"] == _EVENTS
        if fault.empty or fault.gzip:
            headers.pop("content-length", None)
        if fault.empty:
            chunks = iter(())
        if fault.gzip:
            headers["content-encoding"] = ", ".join(["gzip"] * fault.gzip)
            chunks = inject.compressed(chunks, fault.gzip)
        if fault.drip:
            chunks = inject.dripped(chunks, fault.drip)
        if pause or fault.delay:
            ping = self._profile.ping if is_stream else None
            chunks = inject.Pace(fault.delay, pause, ping, self._sleep).apply(chunks)
        if fault.cut is not None:
            chunks = inject.cut_off(chunks, fault.cut)
        if fault.content_type:
            headers["content-type"] = fault.content_type
        if fault.location:
            headers["location"] = fault.location
        if fault.retry_after is not None:
            headers["retry-after"] = f"{fault.retry_after:g}"
        is_cut = fault.cut is not None
        return replace(response, headers=headers, body=chunks, is_cut=is_cut)


def _digest(record: MockRequest) -> str:
    """The same for a request streamed or not, so that their replies can be compared."""
    data = record.content
    if isinstance(record.body, dict):
        heard = {key: value for key, value in record.body.items() if key not in _NOT_IN_DIGEST}
        data = msgspec.json.encode(heard, order="deterministic")
    return hashlib.sha256(data).hexdigest()[:16]


def _respond(
    status: int, body: bytes | Iterator[bytes], media_type: str, digest: str | None = None
) -> MockResponse:
    headers = {"content-type": media_type, "x-emby-mock": "1"}
    if digest is not None:
        headers["x-request-id"] = f"mock-{digest}"
    if isinstance(body, bytes):
        headers["content-length"] = str(len(body))
        body = iter((body,))
    return MockResponse(status, headers, body)
