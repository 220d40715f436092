"""Error responses, in every form of CONTRACT.md, section 6, and the error classes they become."""

import ast
import copy
import inspect
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from core_help import RED
from support import as_json

from emby_plugins import (
    APIError,
    ChatReply,
    EmbyConnectionError,
    EmbyError,
    Image,
    _errors as errors,
)
from emby_plugins._protocol.errors import error_from_event, error_from_response

KINDS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "BillingError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    408: "ServerError",
    410: "NotFoundError",
    413: "BadRequestError",
    415: "BadRequestError",
    418: "ServerError",
    422: "BadRequestError",
    429: "RateLimitError",
    500: "ServerError",
    502: "ServerError",
    503: "ServerError",
    504: "ServerError",
    529: "ServerError",
}
FORMS: dict[str, Any] = {
    "emby": lambda status: {
        "error": {"message": "No luck", "type": "t", "code": "c", "param": "p"}
    },
    "observed": lambda status: {"error": True, "status": status, "message": "No luck"},
    "bare": lambda status: {"message": "No luck"},
    "string": lambda status: {"error": "No luck"},
}


def fail(status: int, body: object, **headers: str) -> APIError:
    """Return the error of a response; underscores in header names become hyphens."""
    data = body if isinstance(body, bytes) else as_json(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_from_response(status, named, data)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", KINDS)
def test_every_status_in_every_form(status: int, form: str) -> None:
    """The status determines the class, and the message is the gateway's as a sentence."""
    error = fail(status, FORMS[form](status), x_request_id="r-1")
    assert type(error).__name__ == KINDS[status]
    assert (error.message, error.status, error.request_id) == ("No luck.", status, "r-1")
    assert str(error) == "No luck. (request r-1)"
    expected = ("t", "c", "p") if form == "emby" else ("", "", "")
    assert (error.type, error.code, error.param) == expected


def test_only_temporary_failures_are_retryable() -> None:
    """Only rate limits and temporary gateway failures are retryable, as a 500 may have been paid
    for.
    """
    retryable = {status for status in KINDS if fail(status, {}).is_retryable}
    assert retryable == {429, 502, 503, 504, 529}


def test_an_image_that_the_gateway_could_not_use() -> None:
    """The documented type `invalid_image_input` gives its own class under any status."""
    body = {
        "error": {
            "message": "Image could not be fetched or decoded",
            "type": "invalid_image_input",
        }
    }
    for status in (400, 422, 500):
        assert type(fail(status, body)).__name__ == "UnreadableInputImageError"
    assert type(error_from_event(as_json(body))).__name__ == "UnreadableInputImageError"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Model gpt-9 is not supported", ""),
        ("The model `gpt-9` does not exist", ""),
        ("Requested model 'x' not found", ""),
        ("model unknown", ""),
        ("Provider 'nope' not found.", ""),
        ("Provider openai does not support model llama", ""),
        ("Model x must be requested with a provider prefix", ""),
        ("Model x has been deactivated", ""),
        ("No idea", "model_not_found"),
    ],
)
def test_an_unknown_model_by_word_or_code(message: str, code: str) -> None:
    """A 400 or 404 about the model, by message or code, gives ModelNotFoundError; a 500 does
    not.
    """
    body = {"error": {"message": message, "code": code}}
    assert type(fail(400, body)).__name__ == "ModelNotFoundError"
    assert type(fail(404, body)).__name__ == "ModelNotFoundError"
    assert type(fail(500, body)).__name__ == "ServerError"


def test_a_model_without_vision_is_not_unknown() -> None:
    """An error about a capability of a model is not a ModelNotFoundError."""
    for message in (
        "Model x does not support vision",
        "Model x does not support tool calls",
        "Provider zai does not support image input for model x",
        "The requested max_tokens (9) exceeds the maximum output tokens allowed for model x (8)",
    ):
        assert type(fail(400, {"error": {"message": message}})).__name__ == "BadRequestError"


ISSUES = [
    {"code": "invalid_type", "path": ["messages", 0, "content"], "message": "Required"},
    {"path": [], "message": "Unrecognized key"},
    "odd",
]


@pytest.mark.parametrize(
    "error",
    [
        {"name": "ZodError", "issues": ISSUES},
        {"name": "ZodError", "message": json.dumps(ISSUES, indent=2)},
    ],
    ids=["list", "in-message"],
)
def test_a_body_that_fails_the_schema(error: object) -> None:
    """A ZodError is reported field by field instead of as JSON."""
    failure = fail(400, {"success": False, "error": error})
    assert failure.message == (
        "The gateway refused the request: messages.0.content: Required; Unrecognized key; odd."
    )


def test_only_the_first_issues_are_reported() -> None:
    """At most five validation issues are reported."""
    failure = fail(400, {"error": {"issues": [{"path": [n], "message": "bad"} for n in range(9)]}})
    assert "4: bad" in failure.message
    assert "5: bad" not in failure.message


@pytest.mark.parametrize(("status", "name"), [(429, "RateLimitError"), (400, "BadRequestError")])
def test_the_upstream_status_in_the_message_is_the_true_one(status: int, name: str) -> None:
    """The upstream status in a message overrides that of a gateway that answers 500 for
    everything.
    """
    body = {"error": True, "status": 500, "message": f"Error from provider: {status} Too bad"}
    for error in (fail(500, body), error_from_event(as_json(body))):
        assert (type(error).__name__, error.status) == (name, status)


def test_the_upstream_response_text_is_reported() -> None:
    """`responseText` is appended to the message unless the message already contains it."""
    error = {"message": "Upstream failed", "type": "upstream_error", "responseText": "no GPU"}
    assert fail(502, {"error": error}).message == "Upstream failed (no GPU)."
    assert fail(502, {"error": {**error, "responseText": "failed"}}).message == "Upstream failed."
    body = {"error": {"message": "Bad"}, "responseText": "no GPU"}
    assert fail(502, body).message == "Bad (no GPU)."


GOOGLE = {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
ANTHROPIC = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
PROVIDERS = {
    "google": (429, "Too Many Requests", json.dumps(GOOGLE), "Quota exceeded"),
    "anthropic": (529, "", json.dumps(ANTHROPIC), "Overloaded"),
    "text": (503, "Service Unavailable", "no healthy upstream", "no healthy upstream"),
    "nothing": (500, "Internal Server Error", "", ""),
    "string": (400, "Bad Request", '{"error": "too long"}', "too long"),
}


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize(
    ("status", "phrase", "answered", "quoted"), PROVIDERS.values(), ids=PROVIDERS
)
def test_a_provider_error_is_reported_once(
    status: int, phrase: str, answered: str, quoted: str, named: bool
) -> None:
    """A provider's error is reported once with its name, status and message; its response is
    kept.
    """
    head = f"Error from provider{' groq' if named else ''}: {status} {phrase}"
    error = {"message": f"{head} {answered}", "usedProvider": "groq", "usedModel": "llama"}
    failure = fail(500, {"error": error | {"responseText": answered}})
    prefix = f"Error from provider groq: {status} {phrase}".rstrip()
    assert failure.message == (f"{prefix}: {quoted}." if quoted else f"{prefix}.")
    assert (failure.status, failure.provider, failure.model) == (status, "groq", "llama")
    assert failure.response_text == answered


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_provider_that_refuses_the_gateway(status: int) -> None:
    """A provider that refuses the gateway's own account gives an error that is not retryable."""
    message = f"Error from provider: {status} No"
    for error in (fail(500, {"error": {"message": message}}), error_from_event(message.encode())):
        assert type(error).__name__ == "ProviderAccountError"
        assert (error.status, error.is_retryable) == (status, False)


@pytest.mark.parametrize(
    "message",
    [
        "Failed to process image: Image URLs must use HTTPS",
        "Error from provider: 400 Bad Request Unable to process input image",
        "Could not fetch the image",
        "Image could not be fetched or decoded",
    ],
)
def test_an_unusable_image_by_its_message(message: str) -> None:
    """An unusable image is recognized by its message if the error has no type."""
    assert type(fail(400, {"error": {"message": message}})).__name__ == "UnreadableInputImageError"
    assert type(fail(500, {"error": {"message": "Oh"}})).__name__ == "ServerError"


def test_plain_text_and_html() -> None:
    """A body that is not JSON is quoted, with a hint for a 404 and a redirect."""
    error = fail(404, b"404 Not Found")
    assert error.message == "The gateway answered 404: '404 Not Found'."
    assert "/v1" in error.hint
    page = fail(502, b"<html>\n<h1>Bad\x1b[31m Gateway</h1>" + b"x" * 5_000)
    assert page.message.startswith("The gateway answered 502: '<html> <h1>Bad\ufffd[31m Gateway")
    assert len(page.message) < 700
    assert "final address" in fail(307, b"").hint
    assert fail(500, b"").message == "The gateway answered 500 with an empty body."


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'"no"', b"[" * 60_000, b"\xff\xfe", b'{"error":']
)
def test_a_body_that_is_not_an_object_keeps_its_status(body: bytes) -> None:
    """A body that is not a JSON object raises the error of its status."""
    assert type(fail(401, body)).__name__ == "AuthenticationError"


@pytest.mark.parametrize("body", [{}, {"error": {}}, {"error": None}, {"error": {"message": None}}])
def test_an_error_without_a_message(body: object) -> None:
    """An error without a message still gets a sentence."""
    error = fail(500, body)
    assert len(error.message) > 5
    assert error.message.endswith(".")


RETRY_AFTER = {
    "7": 7.0,
    "0": 0.0,
    "1.5": 1.5,
    "": None,
    "soon": None,
    "-1": None,
    "nan": None,
    "inf": None,
    "1e99": None,
    "Sun, 22 Nov 2026 01:00:30 GMT": 30.0,
    "Sun, 22 Nov 2026 00:00:00 GMT": 0.0,
    "Sun, 99 Nov 2026": None,
}


@pytest.mark.parametrize(("value", "seconds"), RETRY_AFTER.items())
def test_retry_after(value: str, seconds: float | None) -> None:
    """`Retry-After` is read as seconds, or as a date relative to the server's clock; others are
    ignored.
    """
    date = "Sun, 22 Nov 2026 01:00:00 GMT"
    assert fail(429, {}, retry_after=value, date=date).retry_after == seconds


def test_a_retry_date_without_the_servers_clock_names_no_time() -> None:
    """A `Retry-After` date without a `Date` header is ignored, as the local clock may be wrong."""
    assert fail(429, {}, retry_after="Sun, 22 Nov 2026 01:00:30 GMT").retry_after is None


MIDSTREAM = [
    ({"status": 429}, 429),
    ({"code": "503"}, 503),
    ({"code": 401}, 401),
    ({"statusCode": 402}, 402),
    ({"type": "rate_limit_error"}, 429),
    ({"type": "overloaded"}, 529),
    ({"type": "billing_error"}, 402),
    ({"type": "api_error", "code": "invalid_api_key"}, 401),
    ({"type": "upstream_error"}, 502),
    ({"status": 200, "code": "²²²"}, 502),
    ({"code": "9" * 5_000}, 502),
    ({"status": True}, 502),
    ({}, 502),
]


@pytest.mark.parametrize(("fields", "status"), MIDSTREAM)
def test_the_status_of_an_error_in_mid_stream(fields: dict[str, Any], status: int) -> None:
    """The status of an error in mid-stream is taken from its fields, and is 502 without any."""
    assert error_from_event(as_json({"error": {"message": "No", **fields}})).status == status


def test_errors_are_safe_to_print() -> None:
    """Control characters, bidi overrides and lone surrogates are removed from errors."""
    evil = "a\x1b]52;c;ZXZpbA==\x07b\x9b31mc\u202ed\u2066e\u200ff\u2028g\r\nh\ud800i\x00"
    error = fail(400, {"error": {"message": evil, "type": evil, "code": evil, "param": evil}})
    for words in (error.message, error.type, error.code, error.param):
        assert re.fullmatch("[\x20-\x7e\ufffd]+", words), words


def test_a_long_message_is_cut() -> None:
    """A long message is truncated."""
    error = fail(400, {"error": {"message": "x" * 50_000, "type": "y" * 50_000}})
    assert len(error.message) < 610
    assert len(error.type) < 610
    assert error.message.endswith("x...")


# ---- the tree


def tree() -> list[type[EmbyError]]:
    """Return every class of the error tree."""
    return [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, EmbyError)]


def made(cls: type[EmbyError]) -> EmbyError:
    """Return an error of this class with all attributes set."""
    fields: dict[str, Any] = {"hint": "Try again.", "request_id": "r-1"}
    if issubclass(cls, APIError):
        fields |= {"status": 429, "type": "t", "code": "c", "param": "p", "retry_after": 1.5}
    error = cls("It failed.", **fields)
    error.partial = ChatReply("Here:", (Image(RED),), metadata={"a": 1})
    return error


@pytest.mark.parametrize("cls", tree())
@pytest.mark.parametrize(
    "clone", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy]
)
def test_errors_survive_pickling_and_copying(cls: type[EmbyError], clone: Any) -> None:
    """Pickling and copying keep every attribute, including the partial reply and its image."""
    error = made(cls)
    twin = clone(error)
    assert type(twin) is cls
    assert vars(twin) == vars(error)
    assert twin.args == error.args
    assert str(twin) == "It failed. Try again. (request r-1)"
    assert twin.partial.image.data == RED
    assert twin.is_retryable == error.is_retryable


def test_a_changed_retryable_survives_pickling() -> None:
    """`is_retryable` set on an instance survives pickling."""
    error = EmbyConnectionError("It failed.")
    error.is_retryable = True
    assert pickle.loads(pickle.dumps(error)).is_retryable is True


def test_the_documented_tree_is_correct() -> None:
    """The tree in the module's docstring has every class with its parent and built-in base."""
    drawn: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ([ │├└─]*)(\w+Error)\b(?: \((\w+)\))?", line):
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            drawn[match[2]] = (path[depth - 1] if depth else None, match[3])
    real: dict[str, tuple[str | None, str | None]] = {}
    for cls in tree():
        ours = [base.__name__ for base in cls.__bases__ if issubclass(base, EmbyError)]
        others = [base.__name__ for base in cls.__bases__ if not issubclass(base, EmbyError)]
        named = others[0] if others and cls is not EmbyError else None
        real[cls.__name__] = (ours[0] if ours else None, named)
    assert drawn == real


def test_every_message_in_the_sources_is_a_sentence() -> None:
    """Each literal message and hint of our errors ends with a full stop or question mark."""
    names = {cls.__name__ for cls in tree()}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in names:
                continue
            arguments = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "hint")]
            for value in arguments:
                end = value.values[-1] if isinstance(value, ast.JoinedStr) else value
                if isinstance(end, ast.Constant) and isinstance(end.value, str):
                    assert end.value.endswith((".", "?")), (path.name, end.value)


def sources() -> list[Path]:
    """Return the core's source files."""
    folder = Path(errors.__file__).parent
    return [*folder.glob("*.py"), *folder.glob("protocol/*.py")]
