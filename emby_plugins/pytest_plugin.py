"""The pytest plugin: the fixture `emby_mock`, and an option that blocks real gateways.

pytest imports this module at every start, so everything else is imported on first use.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emby_plugins._call import Call
    from emby_plugins.mock import MockBackend

_OPTION = "emby_block_network"


class BlockedNetworkError(RuntimeError):
    """A test tried to call a gateway on another machine.

    Not an `EmbyError`: an application that handles those must still fail its test.
    """


@pytest.fixture
def emby_mock(monkeypatch: pytest.MonkeyPatch) -> "Iterator[MockBackend]":
    """A mock backend that answers all Emby clients of the test, without a network.

    `EMBY_BASE_URL` is `mock:`, and `mock:` is this backend: for `Emby()`, `AsyncEmby()`,
    `ChatEmby()` and `llm`, in all threads and event loops. `emby_mock.reply(...)` scripts answers
    and `emby_mock.requests` lists the requests. Any other gateway raises `BlockedNetworkError`.
    """
    from emby_plugins.mock import MockBackend, activate

    backend = MockBackend()
    monkeypatch.setenv("EMBY_BASE_URL", backend.base_url)
    with activate(backend), block_network():
        yield backend


@contextmanager
def block_network() -> Iterator[None]:
    """Raise `BlockedNetworkError` for requests to gateways on other machines."""
    from emby_plugins._call import Call
    from emby_plugins._in_process import IN_PROCESS
    from emby_plugins._settings import is_loopback

    original = Call.request

    def request(call: "Call", http: Any, limits: Any) -> Any:
        if not call.url.startswith(IN_PROCESS) and not is_loopback(call.url):
            hint = f"Use the fixture emby_mock, or -o {_OPTION}=false."
            raise BlockedNetworkError(f"The test tried to call {call.url}. {hint}")
        return original(call, http, limits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Call, "request", request)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option."""
    parser.addini(
        _OPTION, "Block requests of Emby clients to other machines.", "bool", default=False
    )


def pytest_configure(config: pytest.Config) -> None:
    """Block real gateways for the whole run if the option is on."""
    if config.getini(_OPTION):
        stack = ExitStack()
        stack.enter_context(block_network())
        config.add_cleanup(stack.close)
