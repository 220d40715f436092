"""Parse token usage and cost, which gateways report in several formats and chunks."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, cast

from emby_plugins._chat import Usage

if TYPE_CHECKING:
    from typing_extensions import TypeIs

_COST_USD = "cost_usd_"
_NAMES = {
    *("prompt_tokens", "completion_tokens", "total_tokens", "reasoning_tokens"),
    *("prompt_tokens_details", "completion_tokens_details", "cost", "cost_details"),
    *(_COST_USD + part for part in ("total", "input", "output", "cached_input", "request")),
    # The names of OpenAI's images endpoint.
    *("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"),
}
_DETAILS = {
    *("reasoning_tokens", "cached_tokens", "cache_write_tokens", "image_tokens", "audio_tokens"),
    # LiteLLM's name.
    "cache_creation_tokens",
}
_MOST_COSTS = 64
_MOST = 1e15
_NUMBERS = (int, float)


def amended(usage: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Merge usage with a later one, in which null and 0 mean "unknown"; details are kept.

    All states send usage after the finish chunk, then again: without details in 2025-11 and
    2025-12, and with some details zeroed in 2026-08 (recording reasoning-stream).
    """
    merged = dict(usage)
    for name, value in later.items():
        if name not in _NAMES:
            continue  # or many chunks could accumulate any number of names
        known = merged.get(name)
        if name == "cost_details" and isinstance(value, dict):
            value = dict(list(value.items())[:_MOST_COSTS])  # noqa: PLW2901
        elif isinstance(value, dict):
            value = {k: v for k, v in value.items() if k in _DETAILS}  # noqa: PLW2901
        if isinstance(known, dict) and isinstance(value, dict):
            merged[name] = known | {k: v for k, v in value.items() if v or k not in known}
        elif value or name not in merged:
            merged[name] = value
    return merged


def parse_usage(usage: dict[str, Any]) -> Usage:
    """Parse usage in any known format. Missing and malformed values count as 0 or None."""
    prompt = _details(usage, "prompt_tokens_details") or _details(usage, "input_tokens_details")
    completion = _details(usage, "completion_tokens_details")
    completion = completion or _details(usage, "output_tokens_details")
    costs = [usage.get("cost"), usage.get(f"{_COST_USD}total")]
    input_tokens = _count(usage, "prompt_tokens") or _count(usage, "input_tokens")
    output_tokens = _count(usage, "completion_tokens") or _count(usage, "output_tokens")
    return Usage(
        prompt_tokens=input_tokens,
        completion_tokens=output_tokens,
        # The total of an earlier chunk may be less than the amended sum.
        total_tokens=max(_count(usage, "total_tokens"), input_tokens + output_tokens),
        reasoning_tokens=_count(usage, "reasoning_tokens")
        or _count(completion, "reasoning_tokens"),
        cached_tokens=_count(prompt, "cached_tokens"),
        image_tokens=_count(completion, "image_tokens"),
        cost=next((float(c) for c in costs if _is_amount(c)), None),
        cache_write_tokens=_count(prompt, "cache_write_tokens")
        or _count(prompt, "cache_creation_tokens"),
        input_image_tokens=_count(prompt, "image_tokens"),
        input_audio_tokens=_count(prompt, "audio_tokens"),
        audio_tokens=_count(completion, "audio_tokens"),
        cost_details=_cost_details(usage),
    )


def _cost_details(usage: dict[str, Any]) -> dict[str, float]:
    """The parts of the cost, under the names of 2026-08: `cost_usd_input` is `input_cost`."""
    named = {
        f"{name.removeprefix(_COST_USD)}_cost": value
        for name, value in usage.items()
        if name.startswith(_COST_USD)
    }
    listed = named | _details(usage, "cost_details")
    return {name: float(value) for name, value in listed.items() if _is_amount(value)}


def _is_amount(value: object) -> "TypeIs[int | float]":
    # As JSON has them: `isinstance` would take bool for a number.
    return type(value) in _NUMBERS and 0 <= cast("float", value) < _MOST


def _details(usage: dict[str, Any], name: str) -> dict[str, Any]:
    details = usage.get(name)
    return details if isinstance(details, dict) else {}


def _count(counts: dict[str, Any], name: str) -> int:
    count = counts.get(name)
    return int(count) if _is_amount(count) else 0


def with_estimated_cost(usage: Usage, pricing: Mapping[str, str], images: int = 0) -> Usage:
    """Usage with its cost by a model's prices, if the gateway gave none.

    `pricing` is that of a `ModelCard`; `images` is how many were sent, which some models charge for
    apiece (`image`). Generated images are part of `completion_tokens`. Usage is unchanged if a
    price per token is missing, or all are 0: gateways list 0 for models that they route to others,
    such as `auto` (recordings, case `models`).
    """
    prompt, completion = _price(pricing, "prompt"), _price(pricing, "completion")
    request, image = _price(pricing, "request") or 0, _price(pricing, "image") or 0
    if usage.cost is not None or prompt is None or completion is None:
        return usage
    if not any((prompt, completion, request, image)):
        return usage
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    cost = (
        prompt * (usage.prompt_tokens - cached)
        # Gateways list 0 if they don't know of a discount.
        + (_price(pricing, "input_cache_read") or prompt) * cached
        + completion * usage.completion_tokens
        + image * images
        + request
    )
    return replace(usage, cost=float(cost), cost_is_estimate=True)


def _price(pricing: Mapping[str, str], name: str) -> Decimal | None:
    try:
        price = Decimal(pricing[name])
    except (KeyError, InvalidOperation):
        return None
    # A negative price, as some gateways list for "it depends", is none.
    return price if price.is_finite() and 0 <= price < 1_000_000 else None
