"""Every test: no key, address or proxy of the machine it runs on, and no waiting for retries."""

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
    # Where no model list is stored, and no key; another for each test, as one may store a list.
    monkeypatch.setenv(
        "LLM_USER_PATH", str(tmp_path_factory.getbasetemp() / f"llm-{next(_number)}")
    )
    for name in ("EMBY_API_KEY", "EMBY_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, as tests of time limits wait instead of working."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Tries are as many as ever, but nothing is waited for between them."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


def pytest_report_header() -> str:
    """Say which HTTP library the suite runs on."""
    return f"HTTP library: {http_library.NAME}"


_number = itertools.count()
_bodies = BodyCheck()
_bodies.install()


@pytest.fixture(autouse=True)
def _every_state_takes_every_body() -> Iterator[None]:
    """Fails a test that had our packages make a chat body which a recorded state refuses.

    Per test, and not at the end of the session, since each worker of pytest-xdist has its own.
    """
    yield
    refused = _bodies.take()
    assert not refused, f"A state refuses it, and bodies.KNOWN_REFUSALS does not say why: {refused}"
