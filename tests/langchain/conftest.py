"""What all tests of the LangChain package share."""

from typing import Any

import pytest
from lc_support import CASSETTES

_SENT = {"content-type", "accept"}
_RECEIVED = {"content-type", "retry-after"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EMBY_API_KEY", "EMBY_BASE_URL", "LC_OUTPUT_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")


@pytest.fixture(scope="module")
def vcr_cassette_dir(request: pytest.FixtureRequest) -> str:
    """A folder of cassettes for each test module."""
    return str(CASSETTES / request.path.stem)


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    """Only the headers that matter are kept; the host is that of the recording."""
    return {
        "match_on": ["method", "path", "body"],
        "allow_playback_repeats": True,
        "before_record_request": _with_few_headers,
        "before_record_response": _received,
    }


@pytest.fixture
def benchmark(benchmark: Any) -> Any:
    """LangChain's timed tests run once: figures are made elsewhere, beside peers."""
    benchmark.disabled = True
    return benchmark


def _with_few_headers(request: Any) -> Any:
    request.headers = {k: v for k, v in request.headers.items() if k.lower() in _SENT}
    return request


def _received(response: dict[str, Any]) -> dict[str, Any]:
    headers = {k: v for k, v in response["headers"].items() if k.lower() in _RECEIVED}
    return {**response, "headers": headers}
