"""The expected result of a recorded response, derived from the recording without our code.

The rules are the contract's: an error status, or an error event before `[DONE]`, is an error; a
stream without a finish reason was truncated; anything else is a reply.
"""

import re
from base64 import b64decode
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from recordings.recordings import STATES, Recording, recordings

from emby_plugins import (
    APIError,
    AuthenticationError,
    BadRequestError,
    EmbyError,
    ModelNotFoundError,
    NotFoundError,
    ProviderAccountError,
    RateLimitError,
    ServerError,
    TruncatedReplyError,
    UnreadableInputImageError,
)

_BY_STATUS = {400: BadRequestError, 401: AuthenticationError, 404: NotFoundError}
_BY_STATUS |= {413: BadRequestError, 415: BadRequestError, 429: RateLimitError}
_PROVIDER = re.compile(r"^Error from provider ?([\w-]*): (\d+)")
# Requested models and providers that the gateways did not have.
_UNKNOWN_MODELS = re.compile(
    r"nope|nopeprov/.*|emby/.*|deepseek-chat||google-ai-studio/gpt-4o-mini|.*hermes-3-llama-405b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reply:
    """A reply, complete or partial, in the user's view."""

    text: str = ""
    reasoning: str = ""
    images: tuple[bytes | str, ...] = ()
    tool_calls: tuple[tuple[str, str, str], ...] = ()
    finish_reason: str | None = None
    tokens: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Failure:
    """The error in the user's view. `status` is None if the gateway sent none."""

    kind: type[EmbyError]
    status: int | None = None
    provider: str = ""
    is_retryable: bool = False
    reason: str = ""
    partial_text: str = ""


def chats(state: str) -> list[Recording]:
    """Return the recordings of chat requests."""
    return [
        r
        for r in recordings(state)
        if (r.method, r.path.partition("?")[0]) == ("POST", "/v1/chat/completions")
    ]


def expected(recording: Recording) -> Reply | Failure:
    """Return the expected result of this response."""
    if recording.frames is not None:
        return _of_stream(recording)
    if recording.status >= 400:
        return _failure(recording, recording.body, recording.status)
    (choice,) = recording.body["choices"]
    seen = _Seen()
    seen.message(choice["message"])
    seen.usage(recording.body.get("usage"))
    return seen.reply(choice.get("finish_reason"))


def _of_stream(recording: Recording) -> Reply | Failure:
    seen, finish = _Seen(), None
    for frame in recording.frames or ():
        data = frame["data"]
        if data == "[DONE]":
            break
        if frame.get("event") == "error":
            return _failure(recording, data, 200, seen.reply(None).text)
        seen.usage(data.get("usage"))
        for choice in data["choices"]:
            seen.message(choice["delta"])
            finish = choice.get("finish_reason") or finish
    if finish is None:
        text = seen.reply(None).text
        return Failure(TruncatedReplyError, is_retryable=True, partial_text=text)
    return seen.reply(finish)


def _failure(recording: Recording, body: Any, status: int, partial: str = "") -> Failure:
    error = body if isinstance(body, dict) else {}
    error = error["error"] if isinstance(error.get("error"), dict) else error
    message = str(error.get("message", ""))
    provider = error.get("usedProvider", "")
    code: int | None = status if status >= 400 else None
    by_provider = _PROVIDER.match(message)
    if by_provider:
        provider, code = by_provider[1] or provider, int(by_provider[2])
    kind: type[APIError] = _BY_STATUS.get(code or 0, ServerError)
    if by_provider and code in {401, 402, 403}:
        kind = ProviderAccountError
    request = recording.request_body
    model = request.get("model") if isinstance(request, dict) else None
    # Of two faults at once, the reported one decides.
    is_about_model = "issues" not in error and "x-source" not in message
    if code in {400, 410} and is_about_model and _UNKNOWN_MODELS.fullmatch(str(model)):
        kind = ModelNotFoundError
    if message.startswith("Failed to process image"):
        kind = UnreadableInputImageError
    if code is None and error.get("type") == "invalid_request_error":
        kind = BadRequestError
    retryable = code in {429, 502, 503, 504}
    if code is None:
        retryable = error.get("type") == "upstream_error"
    return Failure(kind, code, provider, retryable, _reason(error, message), partial)


def _reason(error: dict[str, Any], message: str) -> str:
    """Return the text that the error must contain."""
    if "issues" in error:
        return ".".join(map(str, _place(error["issues"])))
    quoted = re.search(r'"message": "([^"]*)"', message)
    return quoted[1] if quoted else message[max(message.find("<html>"), 0) :]


def _place(issues: list[dict[str, Any]]) -> list[Any]:
    """Return the common prefix of the longest paths of issues."""
    paths = [issue["path"] for issue in issues]
    for issue in issues:
        paths += [_place(form["issues"]) for form in issue.get("unionErrors", ())]
    farthest = [path for path in paths if len(path) == max(map(len, paths))]
    same = takewhile(lambda keys: len(set(keys)) == 1, zip(*farthest, strict=True))
    return [keys[0] for keys in same]


@dataclass
class _Seen:
    """The contents of the messages or deltas of one reply."""

    texts: dict[str, list[str]] = field(default_factory=lambda: {"text": [], "reasoning": []})
    pictures: list[bytes | str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    has_usage: bool = False

    def message(self, message: dict[str, Any]) -> None:
        content = message.get("content") or ""
        # One recording contains a provider's parts unchanged.
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        self.texts["text"] += [part.get("text", "") for part in parts]
        self.texts["text"].append(message.get("refusal") or "")
        self.texts["reasoning"].append(message.get("reasoning") or "")
        shown = [part for part in parts if part["type"] == "image_url"]
        for item in (*shown, *(message.get("images") or ())):
            url = item["image_url"]["url"]
            head, _, data = url.partition(";base64,")
            self.pictures.append(b64decode(data) if head.startswith("data:") else url)
        for place, call in enumerate(message.get("tool_calls") or ()):
            known = self.calls.setdefault(call.get("index", place), ["", "", ""])
            function = call.get("function", {})
            known[0] = known[0] or call.get("id", "")
            known[1] = known[1] or function.get("name", "")
            known[2] += function.get("arguments", "")

    def usage(self, usage: dict[str, Any] | None) -> None:
        if usage is None:
            return
        self.has_usage = True
        reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
        counted = {
            "prompt": usage.get("prompt_tokens"),
            "completion": usage.get("completion_tokens"),
            "total": usage.get("total_tokens"),
            "reasoning": usage.get("reasoning_tokens") or reasoning,
        }
        self.counts |= {name: count for name, count in counted.items() if count}

    def reply(self, finish: str | None) -> Reply:
        names = ("prompt", "completion", "total", "reasoning")
        prompt, completion, total, reasoning = (self.counts.get(name, 0) for name in names)
        calls = (tuple(call) for _, call in sorted(self.calls.items()))
        return Reply(
            text="".join(self.texts["text"]),
            reasoning="".join(self.texts["reasoning"]),
            images=tuple(self.pictures),
            tool_calls=tuple(calls),  # type: ignore[arg-type]
            finish_reason=finish,
            tokens=(prompt, completion, total, reasoning) if self.has_usage else None,
        )


CHATS = [recording for state in STATES for recording in chats(state)]
