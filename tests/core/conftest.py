"""Fixtures of the core's tests: each chat call runs sync and async, streamed and not."""

from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest
from support import MODES, ChatCaller


@pytest.fixture(params=MODES)
def call_chat(request: pytest.FixtureRequest) -> ChatCaller:
    """Makes a chat call sync or async, streamed or not."""
    return ChatCaller(request.param)


@pytest.fixture(scope="session", autouse=True)
def _one_root_is_enough(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A client loads all trusted root certificates on creation; loopback needs none, so use one."""
    roots = Path(certifi.where()).read_text("utf-8")
    end = "-----END CERTIFICATE-----\n"
    one = tmp_path_factory.mktemp("roots") / "one.pem"
    one.write_text(roots[roots.index("-----BEGIN") : roots.index(end) + len(end)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(one))
        yield
