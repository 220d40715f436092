"""LangChain's model profiles, from the stored list of the gateway's models: no network."""

import warnings
from functools import lru_cache
from pathlib import Path
from typing import cast

from langchain_core.language_models import ModelProfile

from emby_plugins import (
    MOCK_MODELS,
    ConfigurationError,
    ModelCard,
    find_model,
    hookimpl,
    known_models,
    plugin_models,
    stored_models,
    stored_path,
)

_INPUTS = {"pdf": "pdf_inputs", "file": "pdf_inputs", "audio": "audio_inputs"}
_INPUTS |= {"video": "video_inputs"}
_OUTPUTS = {"audio": "audio_outputs", "video": "video_outputs"}


def find_profile(model: str, base_url: str | None = None) -> ModelProfile | None:
    """The profile of a known model, by its id or `provider/id`, or None.

    Models are known from the list stored for the gateway (`llm emby refresh`, `store_models`),
    else from Emby's documentation, and from plugins.
    """
    card = find_card(model, base_url)
    return None if card is None else to_profile(card)


def find_card(model: str, base_url: str | None = None) -> ModelCard | None:
    """The card of a known model, or None."""
    listed = _stored(base_url)
    return find_model(model, [*MOCK_MODELS, *known_models(listed), *plugin_models()])


def _stored(base_url: str | None) -> list[ModelCard] | None:
    try:
        path = stored_path(base_url)
    except ConfigurationError:
        return None  # which the client raises when used
    try:
        return _load(path, path.stat().st_mtime_ns, base_url)
    except FileNotFoundError:
        return None
    except (ConfigurationError, OSError) as error:
        warnings.warn(f"The profiles of models are unknown. {error}", stacklevel=2)
        return None


@lru_cache(maxsize=8)
def _load(path: Path, changed: int, base_url: str | None) -> list[ModelCard] | None:  # noqa: ARG001
    return stored_models(base_url)


class StoredPrices:
    """A plugin of the client: the stored card of its model, with prices for estimating costs."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card

    @classmethod
    def find(cls, model: str, base_url: str | None) -> "list[StoredPrices]":
        """The plugin, if prices of the model are stored."""
        card = find_model(model, _stored(base_url) or ())
        return [cls(card)] if card and card.pricing else []

    @hookimpl
    def emby_models(self) -> list[ModelCard]:
        """The card."""
        return [self._card]


def to_profile(card: ModelCard) -> ModelProfile:
    """A model card as LangChain's profile; unknown values are left out."""
    fields = {
        "name": card.name,
        "status": "deprecated" if card.deprecated_at else None,
        "text_inputs": True,
        "text_outputs": card.text_output is not False,
        "image_inputs": card.vision,
        "image_url_inputs": card.vision,
        "image_tool_message": card.vision,
        "image_outputs": card.image_output,
        "reasoning_output": card.reasoning,
        "reasoning_effort_levels": [*card.reasoning_efforts] or None,
        "tool_calling": card.tools,
        "tool_choice": card.tools,
        "tool_call_streaming": card.tools,
        "structured_output": card.structured_output,
        "max_input_tokens": card.context_length,
        "max_output_tokens": card.max_output,
        **_modalities(_INPUTS, card.input_modalities),
        **_modalities(_OUTPUTS, card.output_modalities),
    }
    # LangChain warns about keys that its installed version does not know yet.
    known = ModelProfile.__annotations__
    return cast("ModelProfile", {k: v for k, v in fields.items() if v is not None and k in known})


def _modalities(names: dict[str, str], listed: tuple[str, ...]) -> dict[str, bool]:
    """What the list of a model's modalities states of each; nothing if there is no list."""
    found = {names[kind] for kind in listed if kind in names}
    return {name: name in found for name in names.values()} if listed else {}
