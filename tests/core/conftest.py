"""The one contract, four ways."""

import pytest
from support import MODES, Asker


@pytest.fixture(params=MODES)
def ask(request: pytest.FixtureRequest) -> Asker:
    """Asks sync or async, streamed or not."""
    return Asker(request.param)
