"""The pytest plugin: the fixture `emby_mock`, and a switch that forbids the real network.

pytest imports this module at every start, so it imports nothing: what it needs, it imports when
a test or the switch asks for it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import httpx

    from emby_plugins._transport import Call
    from emby_plugins.mock import MockBackend

_SWITCH = "emby_block_network"


class BlockedNetworkError(RuntimeError):
    """A test asked a gateway that is not on this machine.

    No `EmbyError`, so that an application that handles those still fails its test.
    """


@pytest.fixture
def emby_mock(monkeypatch: pytest.MonkeyPatch) -> "Iterator[MockBackend]":
    """A mock backend that answers every Emby client of the test, and no network.

    `EMBY_BASE_URL` is `mock:`, and `mock:` is this backend: for `Emby()`, `AsyncEmby()`,
    `ChatEmby()` and `llm`, in all threads and event loops. `emby_mock.reply(...)` scripts what is
    answered, `emby_mock.requests` is what was asked. Gateways elsewhere raise
    `BlockedNetworkError`.
    """
    from emby_plugins.mock import MockBackend, activate

    backend = MockBackend()
    monkeypatch.setenv("EMBY_BASE_URL", backend.base_url)
    with activate(backend), block_network():
        yield backend


@contextmanager
def block_network() -> Iterator[None]:
    """Let no client of Emby ask a gateway that is not on this machine."""
    from emby_plugins._settings import is_loopback
    from emby_plugins._transport import IN_PROCESS, Call

    original = Call.request

    def request(call: "Call", http: "httpx.Client | httpx.AsyncClient") -> "httpx.Request":
        if not call.url.startswith(IN_PROCESS) and not is_loopback(call.url):
            msg = f"The test asked {call.url}: use the fixture emby_mock, or -o {_SWITCH}=false."
            raise BlockedNetworkError(msg)
        return original(call, http)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Call, "request", request)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the switch."""
    parser.addini(_SWITCH, "Let no client of Emby reach past this machine.", "bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Block from here to the end of the run, where the switch is on."""
    if config.getini(_SWITCH):
        stack = ExitStack()
        stack.enter_context(block_network())
        config.add_cleanup(stack.close)
