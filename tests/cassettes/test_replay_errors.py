"""Errors in each known form: the one Emby documents, and those of two states."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from cassette_help import KEY, RED, Gateway
from support import ChatCaller

from emby_plugins import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BillingError,
    Emby,
    Image,
    Message,
    ModelNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    UnreadableInputImageError,
)
from emby_plugins.mock import Fault

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

PROFILES = ["emby", "2025-12", "2026-08"]
STATUSES: dict[int, type[APIError]] = {
    402: BillingError,
    403: PermissionDeniedError,
    404: NotFoundError,
    410: NotFoundError,
    413: BadRequestError,
    429: RateLimitError,
    500: ServerError,
    502: ServerError,
    503: ServerError,
    504: ServerError,
    529: ServerError,
}


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    """Each of the three profiles."""
    return str(request.param)


@contextmanager
def changed(
    on: dict[str, Any], body: bytes | None = None, kind: str | None = None
) -> Iterator[Emby]:
    """Yield a client that sends changed requests, which ours normally never sends."""

    def spoil(request: httpx.Request) -> None:
        if kind is not None:
            request.headers["content-type"] = kind
        if body is not None:
            request.stream = httpx.ByteStream(body)
            request.headers["content-length"] = str(len(body))

    with (
        httpx.Client(event_hooks={"request": [spoil]}, trust_env=False) as client,
        Emby(**on, http_client=client) as emby,
    ):
        yield emby


def refusal(emby: Emby) -> APIError:
    """Return the error of a chat."""
    with pytest.raises(APIError) as caught:
        emby.chat("Hello")
    return caught.value


def test_a_wrong_key(call_chat: ChatCaller, gateway: Gateway, profile: str) -> None:
    """A wrong key is a 401 that raises AuthenticationError."""
    with pytest.raises(AuthenticationError) as caught:
        call_chat("Hello", on={**gateway(profile), "api_key": "no-such-key"})
    assert caught.value.status == 401
    assert KEY not in str(caught.value)


def test_an_unknown_model(call_chat: ChatCaller, gateway: Gateway, profile: str) -> None:
    """An unknown model raises ModelNotFoundError."""
    with pytest.raises(ModelNotFoundError):
        call_chat("Hello", on=gateway(profile), model="no-such-model")


def test_a_body_that_fails_the_schema(gateway: Gateway, profile: str) -> None:
    """A body that fails the schema raises BadRequestError with the issues."""
    with changed(gateway(profile), b'{"model": "qwen2.5-vision"}') as emby:
        error = refusal(emby)
    assert isinstance(error, BadRequestError)
    assert "messages" in str(error)


# VCR would parse the body to compare it.
@pytest.mark.vcr(match_on=["method", "path", "raw_body"])
def test_a_body_that_is_not_json(gateway: Gateway, profile: str) -> None:
    """A body that is not JSON is a 400."""
    with changed(gateway(profile), b"{") as emby:
        assert refusal(emby).status == 400


def test_another_content_type(gateway: Gateway, profile: str) -> None:
    """A body of another content type is a 415."""
    with changed(gateway(profile), kind="text/plain") as emby:
        assert refusal(emby).status == 415


def test_an_unknown_route(gateway: Gateway, profile: str) -> None:
    """An unknown route is a 404 in plain text that raises NotFoundError."""
    on = gateway(profile)
    with Emby(**{**on, "base_url": f"{on['base_url']}/nowhere"}) as emby:
        error = refusal(emby)
    assert isinstance(error, NotFoundError)


def test_a_bad_image(call_chat: ChatCaller, gateway: Gateway, profile: str) -> None:
    """A bad image is `invalid_image_input` as documented, or the provider's 400."""
    # The head of a PNG without the rest.
    broken = Image.from_bytes((RED.content or b"")[:40])
    with pytest.raises(
        UnreadableInputImageError if profile == "emby" else BadRequestError
    ) as caught:
        call_chat("What is this?", on=gateway(profile), images=[broken])
    assert caught.value.status == 400


def test_an_image_for_a_model_without_vision(call_chat: ChatCaller, gateway: Gateway) -> None:
    """The provider's 400 for an image, sent as a 500, raises BadRequestError."""
    on = gateway("emby", None)
    with pytest.raises(BadRequestError, match="has no vision"):
        call_chat(Message.user("What is this?", RED), on=on, model="emby-mock-text")


def test_each_status(call_chat: ChatCaller, gateway: Gateway, profile: str) -> None:
    """Each status raises its error."""
    on = gateway(profile, *(Fault(status=status) for status in STATUSES)) | {"max_retries": 0}
    for status, kind in STATUSES.items():
        with pytest.raises(kind) as caught:
            call_chat(f"Fail with {status}", on=on)
        assert (type(caught.value), caught.value.status) == (kind, status)


def test_a_failing_provider(call_chat: ChatCaller, gateway: Gateway, profile: str) -> None:
    """A provider's 429 raises RateLimitError, even if sent as a 500."""
    on = gateway(profile, Fault(upstream=429)) | {"max_retries": 0}
    with pytest.raises(RateLimitError) as caught:
        call_chat("Hello", on=on)
    assert caught.value.status == 429


def test_too_many_requests(call_chat: ChatCaller, gateway: Gateway, profile: str) -> None:
    """After a 429 with `Retry-After` the request is retried."""
    faults = (Fault(status=429, retry_after=1), None)
    reply = call_chat("Hello again", on=gateway(profile, *faults))
    assert reply.text


def test_retry_after(call_chat: ChatCaller, gateway: Gateway) -> None:
    """The error has the seconds of `Retry-After`."""
    on = gateway("emby", Fault(status=429, retry_after=7)) | {"max_retries": 0}
    with pytest.raises(RateLimitError) as caught:
        call_chat("Hello", on=on)
    assert caught.value.retry_after == 7
