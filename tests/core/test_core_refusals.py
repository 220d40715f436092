"""A refused request is sent in another form, retried, or reported with a hint."""

import json
import logging
from typing import Any

import pytest
from support import ChatCaller, ScriptedBackend, answer, as_asked, chunk, completion, picture, sse

from emby_plugins import (
    APIError,
    AuthenticationError,
    BackendRequest,
    BackendResponse,
    BadRequestError,
    Emby,
    FilePart,
    Image,
    Message,
    ProviderAccountError,
    RateLimitError,
    ServerError,
    Tool,
    TruncatedReplyError,
)
from emby_plugins._protocol.issues import summarize

ADD, DIVIDE = Tool("add", "Adds."), Tool("divide", "Divides.")


def literal(expected: str, received: str) -> dict[str, Any]:
    """Return an issue about `tool_choice` as a literal."""
    return {"code": "invalid_literal", "path": ["tool_choice"], "message": "Invalid literal"} | {
        "expected": expected,
        "received": received,
    }


def refused(choice: str) -> BackendResponse:
    """The answer of 2025-11 to an unknown tool choice (tool-choice-required)."""
    kind = {"code": "invalid_type", "path": ["tool_choice"], "message": "Expected object"}
    kind |= {"expected": "object", "received": "string"}
    forms = [[literal("auto", choice)], [literal("none", choice)], [kind]]
    union = {"code": "invalid_union", "path": ["tool_choice"], "message": "Invalid input"}
    union |= {"unionErrors": [{"issues": form, "name": "ZodError"} for form in forms]}
    error = {"issues": [union], "name": "ZodError"}
    return answer({"success": False, "error": error}, status=400)


def strict(request: BackendRequest) -> BackendResponse:
    """A gateway that accepts only `auto`, `none` and a named function."""
    choice = json.loads(request.body).get("tool_choice")
    if not isinstance(choice, dict) and choice not in {"auto", "none", None}:
        return refused(choice)
    return as_asked(completion(), sse(chunk("Hello."), chunk(finish="stop")))(request)


def bodies(backend: ScriptedBackend) -> list[Any]:
    """Return every body that was sent."""
    return [json.loads(request.body) for request in backend.requests]


# ---- sending another form


def test_one_tool_is_named_if_required_is_refused(call_chat: ChatCaller) -> None:
    """If `required` is refused, a single tool is requested by name instead."""
    backend = ScriptedBackend(by=strict)
    assert call_chat("Add.", on=backend.on, tools=[ADD], tool_choice="required").text == "Hello."
    first, second = bodies(backend)
    assert first["tool_choice"] == "required"
    assert second == first | {"tool_choice": {"type": "function", "function": {"name": "add"}}}


@pytest.mark.parametrize("system", [[], [Message.system("Be brief.")]], ids=["none", "given"])
def test_several_tools_are_sent_with_an_instruction(
    call_chat: ChatCaller, system: list[Message]
) -> None:
    """If `required` is refused, several tools are sent with `auto` and a system instruction."""
    backend = ScriptedBackend(by=strict)
    prompt = [*system, Message.user("Add.")]
    call_chat(prompt, on=backend.on, tools=[ADD, DIVIDE], tool_choice="required")
    first, second = bodies(backend)
    assert (first["tool_choice"], second["tool_choice"]) == ("required", "auto")
    instruction, *rest = second["messages"]
    assert instruction["role"] == "system"
    assert (
        "must answer by calling at least one of these tools: add, divide" in instruction["content"]
    )
    assert rest == [{"role": "user", "content": "Add."}]
    assert not system or instruction["content"].startswith("Be brief.")


def test_a_refusal_is_remembered_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A client remembers a refused `required` and logs it once, and other clients try for
    themselves.
    """
    backend = ScriptedBackend(by=strict)
    with caplog.at_level(logging.INFO, "emby_plugins"), Emby(**backend.on, max_retries=0) as emby:
        for _ in range(3):
            emby.chat("Add.", tools=[ADD], tool_choice="required")
    assert len(backend.requests) == 4
    assert [record.message[:46] for record in caplog.records if record.name == "emby_plugins"] == [
        "The gateway refuses tool_choice 'required'. Fr"
    ]
    with Emby(**backend.on) as emby:
        emby.chat("Add.", tools=[ADD], tool_choice="required")
    assert bodies(backend)[4]["tool_choice"] == "required"


def test_a_gateway_that_accepts_required_gets_one_request() -> None:
    """A gateway that accepts `required` gets a single request with it."""
    backend = ScriptedBackend(completion())
    with Emby(**backend.on) as emby:
        emby.chat("Add.", tools=[ADD, DIVIDE], tool_choice="required")
    assert [body["tool_choice"] for body in bodies(backend)] == ["required"]


OTHER_REFUSALS = {
    "ability": {
        "error": {"message": "Model x does not support tool calls. Remove the tools/tool_choice."}
    },
    "provider": {
        "error": {"message": "Bad", "param": "tool_choice", "usedProvider": "openai"},
    },
    "schema": {"error": {"issues": [{"path": ["tools", 0], "message": "Required"}]}},
}


@pytest.mark.parametrize("body", OTHER_REFUSALS.values(), ids=OTHER_REFUSALS)
def test_another_refusal_is_raised_at_once(call_chat: ChatCaller, body: object) -> None:
    """Refusals for other reasons are raised without trying another form."""
    backend = ScriptedBackend(answer(body, status=400))
    with pytest.raises(BadRequestError):
        call_chat("Add.", on=backend.on, tools=[ADD], tool_choice="required")
    assert len(backend.requests) == 1


def test_a_refused_auto_is_raised() -> None:
    """A refused `auto` is raised without trying another form."""
    backend = ScriptedBackend(by=lambda request: refused("auto"))
    pattern = r'tool_choice: Expected "auto", "none" or object'
    with Emby(**backend.on) as emby, pytest.raises(BadRequestError, match=pattern):
        emby.chat("Add.", tools=[ADD], tool_choice="auto")
    assert len(backend.requests) == 1


# ---- retries


def event(message: str, **fields: object) -> bytes:
    """Return a stream that begins with an error event, as all states send it."""
    data = json.dumps({"error": {"message": message, **fields}})
    return f"event: error\ndata: {data}\nid: 0\n\nevent: done\ndata: [DONE]\n\n".encode()


GOOD = sse(chunk("Hello."), chunk(finish="stop"))
UNPAID = {
    "429": event("Error from provider: 429 Too Many Requests {}", type="gateway_error"),
    "named-503": event("Error from provider openai: 503 Service Unavailable", type="x"),
    "never-reached": event("Failed", type="upstream_error", code="fetch_failed"),
    "own-429": event("Slow down", type="rate_limit_error"),
}
STREAMS = pytest.mark.parametrize("mode", ["sync-stream", "async-stream"])


@STREAMS
@pytest.mark.parametrize("first", UNPAID.values(), ids=UNPAID)
def test_a_stream_that_fails_at_once_is_retried(mode: str, first: bytes) -> None:
    """A stream that begins with a retryable error is retried like an error status."""
    backend = ScriptedBackend(first, first, GOOD)
    assert ChatCaller(mode)("Hi", on=backend.on).text == "Hello."
    assert len(backend.requests) == 3


PAID = {
    "text": (sse(chunk("Hel"), done=False) + UNPAID["429"], RateLimitError),
    "role-only": (sse(chunk(""), done=False) + UNPAID["named-503"], ServerError),
    "broken-off": (event("Ended", type="upstream_error", code="stream_truncated"), ServerError),
    "unknown": (event("Boom"), ServerError),
    "401": (event("Error from provider openai: 401 Unauthorized"), ProviderAccountError),
    "500": (event("Error from provider: 500 Internal Server Error"), ServerError),
    "own-401": (event("No", code="invalid_api_key"), AuthenticationError),
    "no-finish": (sse(chunk("")), TruncatedReplyError),
}


@STREAMS
@pytest.mark.parametrize(("stream", "kind"), PAID.values(), ids=PAID)
def test_a_stream_that_may_be_paid_for_is_not_retried(
    mode: str, stream: bytes, kind: type[APIError]
) -> None:
    """A stream that may have been paid for, or has a permanent error, is not retried."""
    backend = ScriptedBackend(stream, GOOD)
    with pytest.raises(kind) as caught:
        ChatCaller(mode)("Hi", on=backend.on)
    assert type(caught.value) is kind
    assert len(backend.requests) == 1


@STREAMS
def test_retries_of_streams_share_max_retries(mode: str) -> None:
    """Error statuses and error events share one `max_retries`."""
    backend = ScriptedBackend(answer({}, status=503), UNPAID["429"], UNPAID["429"], GOOD)
    with pytest.raises(RateLimitError):
        ChatCaller(mode)("Hi", on=backend.on | {"max_retries": 2})
    assert len(backend.requests) == 3


# ---- hints


def hint(prompt: Any, body: object, status: int) -> str:
    """Return the hint of a response's error."""
    with (
        pytest.raises(APIError) as caught,
        Emby(**ScriptedBackend(answer(body, status=status)).on) as e,
    ):
        e.chat(prompt)
    return caught.value.hint


BARE = {"error": True, "status": 500, "message": "Internal Server Error"}


def test_an_image_that_was_not_fetched_has_a_hint() -> None:
    """A bare 500 for a request with an image URL has a hint to send its data; other 500s have
    none.
    """
    far = Message.user("Edit it.", Image.from_url("https://example.com/a.png"))
    assert "fetch https://example.com/a.png: download the image" in hint(far, BARE, 500)
    assert hint(Message.user("Edit it.", Image.from_bytes(picture())), BARE, 500) == ""
    provider = {
        "error": {"message": "Error from provider openai: 500 Oh", "usedProvider": "openai"}
    }
    assert hint(far, provider, 500) == ""


def test_a_gateway_without_files_has_a_hint() -> None:
    """A state that does not accept `file` parts causes an error with a hint (file-part)."""
    path = ["messages", 0, "content", 1, "type"]
    issue = {"code": "invalid_literal", "expected": "text", "received": "file", "path": path}
    body = {"error": {"issues": [issue | {"message": "Invalid"}]}}
    pdf = FilePart.from_bytes(b"%PDF-1.7", filename="a.pdf")
    assert "takes no files" in hint(Message.user("Read it.", pdf), body, 400)
    assert hint("Read it.", body, 400) == ""


def test_a_provider_that_refuses_the_gateways_key_is_not_the_users_fault() -> None:
    """Only a 401 of the gateway itself, not of a provider, refers to the user's key."""
    theirs = {"error": {"message": "Error from provider: 401 Unauthorized", "usedProvider": "groq"}}
    assert "groq refused the gateway's account, not your key" in hint("Hi", theirs, 500)
    assert "EMBY_API_KEY" in hint("Hi", {"error": True, "message": "Unauthorized"}, 401)


# ---- nested issues


def test_malformed_issues_are_tolerated() -> None:
    """Malformed and deeply nested issues still give a sentence."""
    deep: dict[str, Any] = {"path": ["a"], "message": "Required", "code": "custom"}
    for _ in range(200):
        deep = {"code": "invalid_union", "path": [], "unionErrors": [{"issues": [deep]}]}
        deep["message"] = "Invalid input"
    assert summarize([deep])[0]
    for odd in ({}, {"path": 3}, {"unionErrors": 5}, {"errors": [None, {}]}, {"path": [{}]}):
        assert summarize([odd])[0]
    newer = {"code": "invalid_union", "path": ["stop"], "message": "Invalid input"}
    newer["errors"] = [[{"code": "invalid_type", "expected": "string", "path": ["stop"]}]]
    assert summarize([newer])[1] == "stop"
