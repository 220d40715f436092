"""The mock over HTTP for other clients, in a thread of this process."""

from collections.abc import Iterator

import pytest
from foreign_help import KEY

from emby_plugins.mock import MockBackend, MockServer


@pytest.fixture
def backend() -> MockBackend:
    """The backend, which keeps the requests."""
    return MockBackend(KEY)


@pytest.fixture
def server(backend: MockBackend) -> Iterator[MockServer]:
    """The backend's server."""
    with MockServer(backend) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_settings_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes keys, addresses and tracing settings of this machine."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_ORG_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
