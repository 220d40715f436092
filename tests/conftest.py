"""Every test: no key, address or proxy of the machine it runs on, and no waiting for retries."""

from collections.abc import Iterator

import pytest
import stamina
from hypothesis import settings

settings.register_profile("emby", deadline=None, database=None, derandomize=True, max_examples=60)
settings.load_profile("emby")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EMBY_API_KEY", "EMBY_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Tries are as many as ever, but nothing is waited for between them."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield
