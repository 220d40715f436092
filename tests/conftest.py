"""Isolate every test from the machine's keys, addresses and proxies, and skip retry waits."""

import itertools
import os
from collections.abc import Iterator

import http_library  # first: it decides what the rest imports
import pytest
import stamina
from bodies import BodyCheck
from hypothesis import settings

settings.register_profile("emby", deadline=None, database=None, derandomize=True, max_examples=60)
settings.load_profile("emby")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # An empty folder per test, without stored models or keys, since a test may store a list.
    monkeypatch.setenv(
        "LLM_USER_PATH", str(tmp_path_factory.getbasetemp() / f"llm-{next(_number)}")
    )
    for name in ("EMBY_API_KEY", "EMBY_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, since tests of time limits mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Retries happen as usual, but without waiting in between."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


def pytest_report_header() -> str:
    """Report which HTTP library the suite uses."""
    return f"HTTP library: {http_library.NAME}"


_number = itertools.count()
_bodies = BodyCheck()
_bodies.install()


@pytest.fixture(autouse=True)
def _every_state_takes_every_body() -> Iterator[None]:
    """Fail a test in which the packages built a chat body that a recorded state refuses.

    Checked per test rather than per session, since each pytest-xdist worker has its own session.
    """
    yield
    refused = _bodies.take()
    assert not refused, f"A state refuses it, and bodies.KNOWN_REFUSALS does not say why: {refused}"
