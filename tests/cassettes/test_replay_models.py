"""The list of models, in each known form."""

import pytest
from cassette_help import Gateway

from emby_plugins import AsyncEmby, Emby

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]


@pytest.mark.parametrize("profile", ["emby", "2025-12", "2026-08"])
def test_models(gateway: Gateway, profile: str) -> None:
    """Vision and image output are read from the list of each profile."""
    with Emby(**gateway(profile)) as emby:
        models = {model.id: model for model in emby.models()}
    assert any(model.vision for model in models.values())
    if profile != "emby":
        assert [models[name].vision for name in ("emby-mock", "emby-mock-text")] == [True, False]
        assert not models["emby-mock-vision"].image_output


async def test_models_async(gateway: Gateway) -> None:
    """The async client lists models too."""
    async with AsyncEmby(**gateway()) as emby:
        models = await emby.models()
    assert any(model.image_output for model in models)
