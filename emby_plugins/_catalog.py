"""`ModelCard`, a model's capabilities, and the built-in list of models.

Imports nothing heavy, since hosts read the catalog at every start.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from emby_plugins._errors import ConfigurationError
from emby_plugins._text import clean_text


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model and its capabilities.

    Capabilities are True, False or None for unknown; requests are never refused locally because
    of None. `vision` means that the model accepts images; `text_output` and `image_output` are
    what it generates; `input_modalities` and `output_modalities` are all kinds that the gateway
    lists, such as `audio`. `reasoning_efforts` are the levels it takes. `pricing` contains decimal
    strings, in US dollars per token (`prompt`, `completion`), image or request. `context_length`
    and `max_output` are in tokens.
    `max_image_bytes` and `max_image_pixels` limit each input image; larger ones are shrunk.
    `deprecated_at` and `deactivated_at` are dates in the gateway's format. `plugin` is the name of
    the plugin that defined the card, if no gateway listed it. None and an empty string mean
    "unknown".

    Emby, Vision Support page, "Vision-Enabled Models"; recordings, case `models` (all states).
    """

    id: str
    name: str = ""
    family: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    vision: bool | None = None
    text_output: bool | None = None
    image_output: bool | None = None
    tools: bool | None = None
    reasoning: bool | None = None
    structured_output: bool | None = None
    context_length: int | None = None
    max_output: int | None = None
    max_image_bytes: int | None = None
    max_image_pixels: int | None = None
    pricing: Mapping[str, str] = field(default_factory=dict)
    created: int | None = None
    deprecated_at: str = ""
    deactivated_at: str = ""
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    reasoning_efforts: tuple[str, ...] = ()
    plugin: str = field(default="", compare=False)

    @property
    def is_chat_model(self) -> bool:
        """Whether it can answer a chat: False only if it generates neither text nor images.

        Embedding, speech and video models can't. Unknown capabilities count as True.
        """
        return self.text_output is not False or self.image_output is not False

    def updated_by(self, newer: "ModelCard") -> "ModelCard":
        """Return a copy with all fields that are known in `newer` replaced."""
        return replace(self, **_known_fields(newer))


_CAPABILITIES = ("vision", "text_output", "image_output", "tools", "reasoning", "structured_output")
_LISTS = ("aliases", "input_modalities", "output_modalities", "reasoning_efforts")
_TEXTS = ("id", "name", "family", "description", "deprecated_at", "deactivated_at", "plugin")


def _built_in(model_id: str, name: str, family: str, **lacking: Any) -> ModelCard:
    # Emby's pages document vision and image output. They don't mention tools and the rest, so
    # assume support and leave it to the gateway to refuse.
    able: dict[str, Any] = dict.fromkeys(_CAPABILITIES, True) | {"text_output": None}
    return ModelCard(model_id, name, family, **{**able, **lacking})


DOCUMENTED_MODELS = (
    _built_in("qwen2.5-vision", "qwen2.5-vision", "qwen"),
    _built_in("qwen2.5-vl", "qwen2.5-vl", "qwen"),
    _built_in("glm-vision", "glm-vision", "glm"),
    _built_in("deepseek-vision", "deepseek-vision", "deepseek"),
)
"""The models documented by Emby: Image Generation page, "Available Models"."""

_TEXT_ONLY = dict.fromkeys(("vision", "image_output", "reasoning"), False)
_IMAGES_ONLY = dict.fromkeys(("text_output", "tools", "reasoning", "structured_output"), False)
_NO_IMAGES = "Emby mock, vision without image output"

MOCK_MODELS = (
    _built_in("emby-mock", "Emby mock", "emby-mock"),
    _built_in("emby-mock-text", "Emby mock, text only", "emby-mock", **_TEXT_ONLY),
    _built_in("emby-mock-vision", _NO_IMAGES, "emby-mock", image_output=False),
    _built_in("emby-mock-image", "Emby mock, images only", "emby-mock", **_IMAGES_ONLY),
)
"""The models of the mock backend; no gateway serves them."""


def known_models(listed: Iterable[ModelCard] | None = None) -> list[ModelCard]:
    """Return the models of a gateway's list, completed from the built-in list.

    Without a list, returns the built-in one, `DOCUMENTED_MODELS`. Each model appears once, in the
    list's order; for a model listed twice, the later entry wins.
    """
    shipped = {card.id: card for card in DOCUMENTED_MODELS}
    if listed is None:
        return list(shipped.values())
    cards: dict[str, ModelCard] = {}
    for card in listed:
        model = card.id.removeprefix("emby/")
        known = cards.get(model) or shipped.get(model)
        cards[model] = known.updated_by(card) if known else card
    return list(cards.values())


def find_model(model: str, cards: Iterable[ModelCard]) -> ModelCard | None:
    """Find a model by id or alias, with or without a provider prefix. Returns None if unknown."""
    cards = list(cards)
    by_name = {alias: card for card in cards for alias in card.aliases}
    by_name |= {card.id: card for card in cards}
    return by_name.get(model) or by_name.get(model.rpartition("/")[2])


def save_cards(path: Path, cards: Iterable[ModelCard]) -> None:
    """Write a list of models to disk atomically. Raises `OSError`."""
    # Imported late: hosts read the catalog at every start and rarely write it.
    from emby_plugins._files import replace_file

    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [_known_fields(card) for card in cards]
    replace_file(path, json.dumps({"models": entries}, indent=1).encode() + b"\n")


def load_cards(path: Path) -> list[ModelCard]:
    """Read a list of models written by `save_cards`.

    Raises `FileNotFoundError` if the file doesn't exist, and `ConfigurationError` if it does not
    contain a list of models.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return [_card(entry) for entry in json.loads(text)["models"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        msg = f"The model list {str(path)!r} can't be read ({type(error).__name__})."
        raise ConfigurationError(msg, hint="Run 'llm emby refresh' to write a new one.") from None


def _known_fields(card: ModelCard) -> dict[str, Any]:
    # False is known; None, an empty string, no aliases and no prices are not.
    return {name: value for name, value in asdict(card).items() if value is False or value}


def _card(entry: dict[str, Any]) -> ModelCard:
    known = {f.name: entry[f.name] for f in fields(ModelCard) if f.name in entry}
    if not isinstance(known["id"], str):
        raise TypeError("a model's id must be a string")
    for name in _CAPABILITIES:
        if not isinstance(known.get(name), bool):
            known.pop(name, None)
    # Older versions wrote unsanitized text.
    known |= {name: clean_text(known[name]) for name in _TEXTS if name in known}
    known |= {name: tuple(map(clean_text, known[name])) for name in _LISTS if name in known}
    return ModelCard(**known)
