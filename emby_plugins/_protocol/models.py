"""The model list of `GET /models` becomes `ModelCard`s."""

from collections.abc import Mapping
from typing import Any

from emby_plugins._catalog import ModelCard, clean_text
from emby_plugins._errors import MalformedReplyError, ReplyTooLargeError, TruncatedReplyError
from emby_plugins._protocol.loose_json import Document
from emby_plugins._protocol.schema import parse_json

_MOST_MODELS = 10_000


def parse_models(body: bytes) -> list[ModelCard]:
    """The models a gateway lists, in its order.

    Raises `MalformedReplyError` for anything but `{"data": [...]}` with an `id` each. Unknown
    fields are left out, and an odd value of a known one counts as not said. Texts are cleaned for
    printing. Recordings, case `models` (2025-11, 2025-12, 2026-08).
    """
    document = Document(body)
    entries = document.root.members("data").get("data")
    if entries is None or entries.kind != "[":
        parse_json(body)  # raises where it is not JSON at all
        hint = "Is the base URL that of an OpenAI-compatible API?"
        raise MalformedReplyError("The model list has no data array.", hint=hint)
    cards: list[ModelCard] = []
    for item in entries.items():
        # One by one, since what a gateway can send may take forty times its size as objects.
        entry = item.plain()
        if isinstance(entry, dict) and _text(entry, "id"):
            cards.append(_card(entry))
        if len(cards) > _MOST_MODELS:
            raise ReplyTooLargeError(f"The model list has more than {_MOST_MODELS:,} models.")
    document.check_end()
    if document.is_cut:
        raise TruncatedReplyError("The model list ended in the middle of its JSON.")
    if document.is_broken:
        raise MalformedReplyError("The model list is not valid JSON.")
    return cards


def _card(entry: Mapping[str, Any]) -> ModelCard:
    architecture = entry.get("architecture")
    modalities = architecture if isinstance(architecture, dict) else {}
    outputs = _list(modalities, "output_modalities")
    parameters = _list(entry, "supported_parameters")
    reasoning = "reasoning" in parameters or "reasoning_effort" in parameters
    return ModelCard(
        id=_text(entry, "id"),
        name=_text(entry, "name"),
        family=_text(entry, "family"),
        description=_text(entry, "description"),
        aliases=tuple(clean_text(a) for a in _list(entry, "aliases") if isinstance(a, str)),
        vision=_any(
            _bool(entry, "vision"),
            _providers(entry, "vision"),
            _holds(_list(modalities, "input_modalities"), "image"),
        ),
        text_output=_holds(outputs, "text"),
        image_output=_holds(outputs, "image"),
        # The gateways give every model a default list of parameters, "tools" among them, and so
        # it counts only where no provider says. That it lacks one says nothing: `auto` (case
        # models, all states) calls tools and does not list them.
        tools=_first(_bool(entry, "tools"), _providers(entry, "tools"), "tools" in parameters),
        reasoning=_first(_bool(entry, "reasoning"), _providers(entry, "reasoning"), reasoning),
        # Not said by 2025-11.
        structured_output=_first(
            _bool(entry, "structured_outputs"), "structured_outputs" in parameters
        ),
        context_length=_number(entry, "context_length") or None,  # 2026-08 says 0 for unknown
        max_output=_number(entry, "max_output") or _largest_output(entry),
        pricing=_pricing(entry.get("pricing")),
        created=_number(entry, "created"),
        deprecated_at=_text(entry, "deprecated_at"),
        deactivated_at=_text(entry, "deactivated_at"),
    )


def _any(*answers: bool | None) -> bool | None:
    """Yes if any says yes, no if any says no, else not said."""
    return True if True in answers else False if False in answers else None


def _first(*answers: bool | None) -> bool | None:
    """The first that is said; of the last only a yes counts."""
    *certain, hint = answers
    return next((answer for answer in certain if answer is not None), hint or None)


def _providers(entry: Mapping[str, Any], ability: str) -> bool | None:
    """Yes if one provider has the ability, no if all lack it: one is enough to route to."""
    answers = [_bool(provider, ability) for provider in _provider_list(entry)]
    return True if True in answers else None if None in answers or not answers else False


def _holds(modalities: list[Any], kind: str) -> bool | None:
    return kind in modalities if modalities else None


def _largest_output(entry: Mapping[str, Any]) -> int | None:
    sizes = [_number(provider, "max_output") or 0 for provider in _provider_list(entry)]
    return max(sizes, default=0) or None


def _provider_list(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [provider for provider in _list(entry, "providers") if isinstance(provider, dict)]


def _pricing(prices: object) -> dict[str, str]:
    if not isinstance(prices, dict):
        return {}
    return {
        name: str(price) for name, price in prices.items() if isinstance(price, str | int | float)
    }


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return clean_text(value) if isinstance(value, str) else ""


def _bool(entry: Mapping[str, Any], name: str) -> bool | None:
    value = entry.get(name)
    return value if isinstance(value, bool) else None


def _list(entry: Mapping[str, Any], name: str) -> list[Any]:
    value = entry.get(name)
    return value if isinstance(value, list) else []


def _number(entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 1e15 else None
