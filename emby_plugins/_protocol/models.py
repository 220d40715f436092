"""Parse the model list of `GET /models` into `ModelCard`s."""

from collections.abc import Mapping
from typing import Any

from emby_plugins._catalog import ModelCard
from emby_plugins._errors import MalformedReplyError, ReplyTooLargeError, TruncatedReplyError
from emby_plugins._protocol.body import BodyReader
from emby_plugins._protocol.loose_json import Document
from emby_plugins._protocol.schema import parse_json
from emby_plugins._text import clean_text

_MAX_MODELS = 10_000


class ModelsReader(BodyReader):
    """Reads the body of a model list; `cards` are its models once it has ended."""

    def __init__(self, headers: Mapping[str, str], most: int) -> None:
        super().__init__(headers, most)
        self.cards: list[ModelCard] = []
        self.is_read = False

    def close(self) -> tuple[()]:
        """Parse the list. Raises what `parse_models` raises."""
        self.cards = parse_models(self.body)
        self.is_read = True
        return ()


def parse_models(body: bytes) -> list[ModelCard]:
    """Return the models that a gateway lists, in its order.

    Raises `MalformedReplyError` for anything but `{"data": [...]}`. Entries without an `id` and
    unknown fields are ignored; a malformed value counts as unknown. Text is made
    safe to print. Recordings, case `models` (2025-11, 2025-12, 2026-08).
    """
    document = Document(body)
    entries = document.root.members("data").get("data")
    if entries is None or entries.kind != "[":
        parse_json(body)  # raises if not JSON at all
        hint = "Is the base URL that of an OpenAI-compatible API?"
        raise MalformedReplyError("The model list has no data array.", hint=hint)
    cards: list[ModelCard] = []
    for item in entries.items():
        # One at a time: as Python objects, JSON may take forty times its size.
        entry = item.plain()
        if isinstance(entry, dict) and _text(entry, "id"):
            cards.append(_card(entry))
        if len(cards) > _MAX_MODELS:
            raise ReplyTooLargeError(f"The model list has more than {_MAX_MODELS:,} models.")
    document.check_end()
    if document.is_cut:
        raise TruncatedReplyError("The model list ended in the middle of its JSON.")
    if document.is_broken:
        raise MalformedReplyError("The model list is not valid JSON.")
    return cards


def _card(entry: Mapping[str, Any]) -> ModelCard:
    architecture = entry.get("architecture")
    modalities = architecture if isinstance(architecture, dict) else {}
    inputs = _texts(modalities, "input_modalities")
    outputs = _texts(modalities, "output_modalities")
    efforts = [e for p in _provider_list(entry) for e in _texts(p, "reasoning_efforts")]
    largest = [_number(provider, "max_output") or 0 for provider in _provider_list(entry)]
    parameters = _list(entry, "supported_parameters")
    reasoning = "reasoning" in parameters or "reasoning_effort" in parameters
    return ModelCard(
        id=_text(entry, "id"),
        name=_text(entry, "name"),
        family=_text(entry, "family"),
        description=_text(entry, "description"),
        aliases=_texts(entry, "aliases"),
        vision=_any(
            _bool(entry, "vision"),
            _providers(entry, "vision"),
            _holds(inputs, "image"),
        ),
        text_output=_holds(outputs, "text"),
        image_output=_holds(outputs, "image"),
        # Gateways give every model a default list of parameters that includes "tools", so the list
        # only counts if no provider states the capability. Its absence from the list means
        # nothing: `auto` (case models, all states) calls tools and doesn't list them.
        tools=_first(_bool(entry, "tools"), _providers(entry, "tools"), "tools" in parameters),
        reasoning=_first(_bool(entry, "reasoning"), _providers(entry, "reasoning"), reasoning),
        # The 2025-11 state doesn't report it.
        structured_output=_first(
            _bool(entry, "structured_outputs"), "structured_outputs" in parameters
        ),
        context_length=_number(entry, "context_length") or None,  # 2026-08 sends 0 for unknown
        max_output=_number(entry, "max_output") or max(largest, default=0) or None,
        pricing=_pricing(entry.get("pricing")),
        created=_number(entry, "created"),
        deprecated_at=_text(entry, "deprecated_at"),
        deactivated_at=_text(entry, "deactivated_at"),
        input_modalities=inputs,
        output_modalities=outputs,
        reasoning_efforts=_texts(entry, "reasoning_efforts") or tuple(dict.fromkeys(efforts)),
    )


def _any(*answers: bool | None) -> bool | None:
    """Return True if any answer is True, else False if any is False, else None."""
    return True if True in answers else False if False in answers else None


def _first(*answers: bool | None) -> bool | None:
    """Return the first known answer. Of the last answer, a mere hint, only True counts."""
    *certain, hint = answers
    return next((answer for answer in certain if answer is not None), hint or None)


def _providers(entry: Mapping[str, Any], ability: str) -> bool | None:
    """Return True if one provider has the capability (requests go there), False if none has."""
    answers = [_bool(provider, ability) for provider in _provider_list(entry)]
    return True if True in answers else None if None in answers or not answers else False


def _texts(entry: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(clean_text(text) for text in _list(entry, name) if isinstance(text, str))


def _holds(modalities: tuple[str, ...], kind: str) -> bool | None:
    return kind in modalities if modalities else None


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
