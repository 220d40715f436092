"""Fixtures for the tests of the LangChain package."""

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
    """The cassette folder of the test module."""
    return str(CASSETTES / request.path.stem)


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    """Keeps only the relevant headers, and matches requests of any host."""
    return {
        "match_on": ["method", "path", "body"],
        "allow_playback_repeats": True,
        "before_record_request": _with_few_headers,
        "before_record_response": _received,
    }


@pytest.fixture
def benchmark(benchmark: Any) -> Any:
    """Runs LangChain's benchmark tests once, since performance is measured elsewhere."""
    benchmark.disabled = True
    return benchmark


def _with_few_headers(request: Any) -> Any:
    request.headers = {k: v for k, v in request.headers.items() if k.lower() in _SENT}
    return request


def _received(response: dict[str, Any]) -> dict[str, Any]:
    headers = {k: v for k, v in response["headers"].items() if k.lower() in _RECEIVED}
    return {**response, "headers": headers}
