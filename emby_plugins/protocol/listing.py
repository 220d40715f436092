"""The model list of `GET /models` becomes `ModelCard`s."""

from collections.abc import Mapping
from typing import Any

from emby_plugins.catalog import ModelCard
from emby_plugins.errors import MalformedReplyError
from emby_plugins.protocol.wire import parse_json


def parse_models(body: bytes) -> list[ModelCard]:
    """The models a gateway lists, in its order.

    Raises `MalformedReplyError` for anything but `{"data": [...]}` with an `id` each. Unknown
    fields are left out, and an odd value of a known one counts as not given.
    """
    payload = parse_json(body)
    entries = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(entries, list):
        hint = "Is the base URL that of an OpenAI-compatible API?"
        raise MalformedReplyError("The model list has no data array.", hint=hint)
    return [_card(entry) for entry in entries if isinstance(entry, dict) and _text(entry, "id")]


def _card(entry: Mapping[str, Any]) -> ModelCard:
    architecture = entry.get("architecture")
    modalities = architecture if isinstance(architecture, dict) else {}
    providers = [p for p in _list(entry, "providers") if isinstance(p, dict)]
    parameters = _list(entry, "supported_parameters")

    def some_provider(ability: str) -> bool:
        return any(provider.get(ability) is True for provider in providers)

    return ModelCard(
        id=_text(entry, "id"),
        name=_text(entry, "name"),
        family=_text(entry, "family"),
        description=_text(entry, "description"),
        aliases=tuple(a for a in _list(entry, "aliases") if isinstance(a, str)),
        vision=(
            entry.get("vision") is True
            or some_provider("vision")
            or "image" in _list(modalities, "input_modalities")
        ),
        image_output="image" in _list(modalities, "output_modalities"),
        tools=some_provider("tools") or "tools" in parameters,
        reasoning=some_provider("reasoning") or "reasoning_effort" in parameters,
        structured_output=entry.get("structured_outputs") is True,
        context_length=_number(entry, "context_length"),
        max_output=next((n for p in providers if (n := _number(p, "max_output"))), None),
        pricing=_pricing(entry.get("pricing")),
        created=_number(entry, "created"),
        deprecated_at=_text(entry, "deprecated_at"),
        deactivated_at=_text(entry, "deactivated_at"),
    )


def _pricing(prices: object) -> dict[str, str]:
    if not isinstance(prices, dict):
        return {}
    return {
        name: str(price) for name, price in prices.items() if isinstance(price, str | int | float)
    }


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _list(entry: Mapping[str, Any], name: str) -> list[Any]:
    value = entry.get(name)
    return value if isinstance(value, list) else []


def _number(entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e15 else None
