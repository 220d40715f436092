"""Estimating the cost of a call that the gateway does not report, from the model's prices."""

import asyncio
from typing import Any

import pytest
from support import ChatCaller, ScriptedBackend, answer, as_asked, chunk, completion, picture, sse

from emby_plugins import (
    AsyncEmby,
    BackendRequest,
    BackendResponse,
    Emby,
    Image,
    ModelCard,
    Usage,
    hookimpl,
)
from emby_plugins._protocol.usage import with_estimated_cost

USED = Usage(prompt_tokens=1000, completion_tokens=100, total_tokens=1100, cached_tokens=400)
TOKENS = {"prompt": "3e-7", "completion": "0.6e-6"}


@pytest.mark.parametrize(
    ("pricing", "images", "cost"),
    [
        (TOKENS, 0, 0.00036),
        (TOKENS | {"input_cache_read": "1e-7"}, 0, 0.00028),
        (TOKENS | {"input_cache_read": "0"}, 0, 0.00036),
        (TOKENS | {"image": "0.002"}, 3, 0.00636),
        (TOKENS | {"request": "0.01"}, 0, 0.01036),
        ({"prompt": "0", "completion": "0", "request": "0.04"}, 0, 0.04),
        (TOKENS | {"request": "nan", "image": "-1"}, 5, 0.00036),
    ],
)
def test_a_cost_is_estimated(pricing: dict[str, str], images: int, cost: float) -> None:
    """The estimate counts tokens, cached tokens at their own price, images sent and the request."""
    estimated = with_estimated_cost(USED, pricing, images)
    assert estimated.cost == pytest.approx(cost, rel=1e-12)
    assert estimated.cost_is_estimate


@pytest.mark.parametrize(
    "pricing",
    [
        {},
        {"prompt": "3e-7"},
        {"prompt": "3e-7", "completion": "free"},
        {"prompt": "-1", "completion": "-1"},
        {"prompt": "inf", "completion": "1"},
        {"prompt": "0", "completion": "0", "image": "0", "request": "0"},
    ],
)
def test_unknown_prices_give_no_estimate(pricing: dict[str, str]) -> None:
    """Prices that are missing, malformed, negative or all zero give no estimate."""
    assert with_estimated_cost(USED, pricing, 1) is USED


def test_the_gateways_cost_is_kept() -> None:
    """A cost that the gateway reports is kept, even 0."""
    for cost in (0.0, 1.5):
        reported = Usage(prompt_tokens=1, cost=cost)
        assert with_estimated_cost(reported, TOKENS) is reported


USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
CARDS = [ModelCard("m", pricing=TOKENS), ModelCard("dear", pricing={**TOKENS, "request": "1"})]


class Known:
    """A plugin that provides prices."""

    @hookimpl
    def emby_models(self) -> list[ModelCard]:
        return CARDS


def backend(**top: Any) -> ScriptedBackend:
    """Return a backend that reports this usage and model, streamed or not."""
    reported: dict[str, Any] = {"usage": USAGE, "model": "m", **top}
    return ScriptedBackend(
        by=as_asked(completion("Hi", **reported), sse(chunk("Hi", finish="stop", **reported)))
    )


@pytest.mark.parametrize(
    ("top", "requested", "cost"),
    [
        ({}, "m", 0.00036),
        ({"model": "acme/dear"}, "auto", 1.00036),
        ({"model": ""}, "dear", 1.00036),
        ({"model": "unheard-of"}, "unheard-of", None),
    ],
)
def test_a_reply_has_an_estimate(
    call_chat: ChatCaller, top: Any, requested: str, cost: float | None
) -> None:
    """The estimate uses the prices of the model that answered, or else of the requested one."""
    on = {"base_url": "test:", "plugins": [backend(**top), Known()]}
    usage = call_chat("Hi", on=on, model=requested).usage
    assert usage is not None
    assert usage.cost == (cost and pytest.approx(cost))
    assert usage.cost_is_estimate is (cost is not None)


def test_images_that_were_sent_are_counted(call_chat: ChatCaller) -> None:
    """The estimate counts the images of the whole conversation."""

    class Priced:
        @hookimpl
        def emby_models(self) -> list[ModelCard]:
            return [ModelCard("m", pricing={**TOKENS, "image": "0.5"})]

    images = [Image.from_bytes(picture("red")), Image.from_url("https://a.example/b.png")]
    on = {"base_url": "test:", "plugins": [backend(), Priced()]}
    usage = call_chat("Hi", on=on, model="m", images=images).usage
    assert usage is not None
    assert usage.cost == pytest.approx(1.00036)


def listing(request: BackendRequest) -> BackendResponse:
    """List a model with prices, or answer a chat."""
    if request.path.startswith("/models"):
        return answer({"data": [{"id": "m", "pricing": TOKENS}]})
    return answer(completion("Hi", usage=USAGE, model="m"))


def test_the_list_of_models_gives_prices() -> None:
    """Prices from a listing are used from then on, also by copies of the client, sync and async."""
    on = ScriptedBackend(by=listing).on
    with Emby(**on) as emby:
        before = emby.chat("Hi", model="m").usage
        emby.models()
        after = emby.with_options(timeout=5).chat("Hi", model="m").usage
    assert before is not None
    assert before.cost is None
    assert after is not None
    assert after.cost == pytest.approx(0.00036)

    async def cost() -> float | None:
        async with AsyncEmby(**on) as emby:
            await emby.models()
            usage = (await emby.chat("Hi", model="m")).usage
            return usage and usage.cost

    assert asyncio.run(cost()) == pytest.approx(0.00036)
