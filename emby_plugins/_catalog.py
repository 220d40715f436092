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


def _documented(model_id: str, family: str) -> ModelCard:
    # Emby's pages document vision and image output. They don't mention tools and the rest, so
    # assume support and leave it to the gateway to refuse.
    return ModelCard(
        id=model_id,
        name=model_id,
        family=family,
        vision=True,
        image_output=True,
        tools=True,
        reasoning=True,
        structured_output=True,
    )


DOCUMENTED_MODELS = (
    _documented("qwen2.5-vision", "qwen"),
    _documented("qwen2.5-vl", "qwen"),
    _documented("glm-vision", "glm"),
    _documented("deepseek-vision", "deepseek"),
)
"""The models documented by Emby: Image Generation page, "Available Models"."""

MOCK_MODELS = (
    ModelCard(
        id="emby-mock",
        name="Emby mock",
        family="emby-mock",
        vision=True,
        image_output=True,
        tools=True,
        reasoning=True,
        structured_output=True,
    ),
    ModelCard(
        id="emby-mock-text",
        name="Emby mock, text only",
        family="emby-mock",
        vision=False,
        image_output=False,
        tools=True,
        reasoning=False,
        structured_output=True,
    ),
    ModelCard(
        id="emby-mock-vision",
        name="Emby mock, vision without image output",
        family="emby-mock",
        vision=True,
        image_output=False,
        tools=True,
        reasoning=True,
        structured_output=True,
    ),
    ModelCard(
        id="emby-mock-image",
        name="Emby mock, images only",
        family="emby-mock",
        vision=True,
        text_output=False,
        image_output=True,
        tools=False,
        reasoning=False,
        structured_output=False,
    ),
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

    Raises `FileNotFoundError` if the file doesn't exist, and `ConfigurationError` if it is not a
    list of models.
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
