"""Errors of `ChatEmby` are in both error trees and keep their attributes."""

import inspect
import pickle
from typing import Any

import pytest
from langchain_core import exceptions as lc
from lc_support import PNG, Script, wire_images

import emby_plugins as core
from emby_plugins import BackendRequest, BackendResponse, hookimpl
from langchain_emby import ChatEmby, _errors as errors

CASES: list[tuple[int, dict[str, Any], type[Exception], type[Exception], bool]] = [
    (400, {}, core.BadRequestError, lc.ModelInvalidRequestError, False),
    (
        400,
        {"type": "invalid_image_input"},
        core.UnreadableInputImageError,
        lc.ModelInvalidRequestError,
        False,
    ),
    (
        400,
        {"code": "context_length_exceeded"},
        core.BadRequestError,
        lc.ContextOverflowError,
        False,
    ),
    (400, {"code": "model_not_found"}, core.ModelNotFoundError, lc.ModelNotFoundError, False),
    (401, {}, core.AuthenticationError, lc.ModelAuthenticationError, False),
    (402, {}, core.BillingError, lc.ModelError, False),
    (403, {}, core.PermissionDeniedError, lc.ModelPermissionDeniedError, False),
    (404, {}, core.NotFoundError, lc.ModelNotFoundError, False),
    (429, {}, core.RateLimitError, lc.ModelRateLimitError, True),
    (500, {}, core.ServerError, lc.ModelAPIError, False),
    (503, {}, core.ServerError, lc.ModelAPIError, True),
]


@pytest.mark.parametrize(("status", "fields", "ours", "theirs", "retryable"), CASES)
async def test_both_trees_in_every_call(
    status: int, fields: dict[str, Any], ours: type, theirs: type, retryable: bool
) -> None:
    """The gateway's errors can be caught by the core's class and by LangChain's, in every mode."""
    chat = Script(status=status, error={"message": "No", **fields}).chat(max_retries=0)
    found = []
    for call in (chat.invoke, lambda m: list(chat.stream(m))):
        with pytest.raises(ours) as caught:
            call("Hello")
        found.append(caught.value)
    with pytest.raises(theirs) as caught:
        await chat.ainvoke("Hello")
    found.append(caught.value)
    with pytest.raises(theirs) as caught:
        [chunk async for chunk in chat.astream("Hello")]
    found.append(caught.value)
    for error in found:
        assert isinstance(error, ours)
        assert isinstance(error, theirs)
        assert isinstance(error, lc.ModelError)
        assert error.is_retryable is retryable
        assert error.status == status
        assert error.cause is error.__cause__ is None
        assert "req-1" in str(error)


@pytest.mark.parametrize(
    ("fields", "is_too_long"),
    [
        ({}, False),
        ({"message": "max_tokens is too large"}, False),
        ({"message": "image_config: unknown key 'length'"}, False),
        ({"code": "context_length_exceeded"}, True),
        ({"message": "This model's maximum context length is 8192 tokens."}, True),
        ({"message": "prompt is too long: 9000 tokens"}, True),
    ],
)
def test_only_a_too_long_context_is_an_overflow(fields: dict[str, Any], is_too_long: bool) -> None:
    """Only an error about a too long context is a `ContextOverflowError`."""
    with pytest.raises(core.BadRequestError) as caught:
        Script(status=400, error={"message": "No", **fields}).chat().invoke("Hello")
    assert isinstance(caught.value, lc.ContextOverflowError) is is_too_long


def test_errors_keep_the_partial_reply_and_can_be_pickled() -> None:
    """The error of a truncated stream has text and image, also after pickling."""
    deltas = [{"content": "Here it "}, {"images": wire_images((PNG,))}]
    chat = Script(streamed=deltas, finish=None).chat()
    with pytest.raises(core.TruncatedReplyError) as caught:
        list(chat.stream("Draw."))
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert type(error) is errors.ChatEmbyTruncatedReplyError
        assert isinstance(error, lc.ModelError)
        assert error.is_retryable
        assert error.partial.text == "Here it "
        assert error.partial.image.data == PNG


def test_the_network_s_errors_are_of_both_trees() -> None:
    """An unreachable gateway raises LangChain's connection error, which is also Python's."""
    chat = ChatEmby(base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(lc.ModelConnectionError) as caught:
        chat.invoke("Hello")
    assert isinstance(caught.value, core.EmbyConnectionError | ConnectionError)
    assert caught.value.is_retryable


def test_a_missing_key_is_an_authentication_error() -> None:
    """A missing key raises an authentication error of both trees before anything is sent."""
    with pytest.raises(lc.ModelAuthenticationError, match="EMBY_API_KEY") as caught:
        ChatEmby().invoke("Hello")
    assert isinstance(caught.value, core.MissingKeyError)
    with pytest.raises(core.ConfigurationError):
        ChatEmby(base_url="no-such:").invoke("Hello")


def test_every_core_error_has_a_twin() -> None:
    """Every error class of the core that a call can raise has its own LangChain class."""
    tree = {
        value
        for name in core.__all__
        if inspect.isclass(value := getattr(core, name)) and issubclass(value, core.EmbyError)
    }
    twins = {twin.__bases__[0] for twin in vars(errors).values() if _is_twin(twin)}
    assert tree - twins == {core.TransportError, core.ImageCountError, core.MissingImageError}


def test_twins_survive_pickling_and_repeated_conversion() -> None:
    """An error of both trees survives pickling, and is not converted again."""
    error = core.RateLimitError("Slow down.", status=429, retry_after=3.0, hint="Wait.")
    both = errors.to_langchain_error(error)
    again = pickle.loads(pickle.dumps(both))
    assert type(again) is type(both) is errors.ChatEmbyRateLimitError
    assert (again.retry_after, again.hint, str(again)) == (3.0, "Wait.", str(error))
    assert errors.to_langchain_error(both) is both


def test_retry_middleware_reads_is_retryable() -> None:
    """`with_retry` on LangChain's class retries in addition to our own retries."""
    calls = []

    class Flaky:
        @hookimpl
        def emby_backend(self, url: str) -> Any:
            return self.answer if url == "flaky:" else None

        def answer(self, request: BackendRequest) -> BackendResponse:
            calls.append(request)
            return BackendResponse(429, {}, iter([b'{"error": {"message": "Busy"}}']))

    chat = ChatEmby(base_url="flaky:", plugins=[Flaky()], max_retries=0)
    again = chat.with_retry(
        retry_if_exception_type=(lc.ModelRateLimitError,),
        stop_after_attempt=3,
        wait_exponential_jitter=False,
    )
    with pytest.raises(core.RateLimitError):
        again.invoke("Hello")
    assert len(calls) == 3


def _is_twin(value: object) -> bool:
    return (
        inspect.isclass(value)
        and issubclass(value, lc.ModelError)
        and value.__module__ == (errors.__name__)
    )
