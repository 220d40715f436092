"""`ModelCard`: what a model can do; and the models that are known without asking.

Imports nothing heavy: a host reads the catalog at every start.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from emby_plugins._errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model and what it can do.

    Abilities are True, False, or None where nobody says; with None, ask: the gateway decides.
    `vision` accepts images, `text_output` and `image_output` are what it generates. `pricing`
    holds decimal strings, US dollars per token (`prompt`, `completion`), image or request.
    `context_length` and `max_output` are tokens, None where nobody says. `deprecated_at` and
    `deactivated_at` are dates as the gateway writes them. An empty text means "not said".

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
    pricing: Mapping[str, str] = field(default_factory=dict)
    created: int | None = None
    deprecated_at: str = ""
    deactivated_at: str = ""

    @property
    def is_chat_model(self) -> bool:
        """Whether it may answer a chat: False only if it generates neither text nor images.

        Embedding, speech and video models are such. A model that says nothing counts as one.
        """
        return self.text_output is not False or self.image_output is not False

    def updated_by(self, newer: "ModelCard") -> "ModelCard":
        """A card with everything that `newer` says, and what this one says where it is silent."""
        return replace(self, **_said(newer))


_ABILITIES = ("vision", "text_output", "image_output", "tools", "reasoning", "structured_output")
_TEXTS = ("id", "name", "family", "description", "deprecated_at", "deactivated_at")


def clean_text(text: str) -> str:
    """Text from outside as one printable line: a terminal or log must not obey a model's name.

    White space becomes a space, and each control, bidi or other unprintable character U+FFFD, so
    that no two different ids become the same.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


def _documented(model_id: str, family: str) -> ModelCard:
    # Emby's pages promise vision and image output; of tools and the like they say nothing, and
    # then it is for the gateway to refuse, not for us.
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
"""The models that Emby's pages name: Image Generation page, "Available Models"."""

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
        name="Emby mock that looks and never paints",
        family="emby-mock",
        vision=True,
        image_output=False,
        tools=True,
        reasoning=True,
        structured_output=True,
    ),
    ModelCard(
        id="emby-mock-image",
        name="Emby mock that only makes images",
        family="emby-mock",
        vision=True,
        text_output=False,
        image_output=True,
        tools=False,
        reasoning=False,
        structured_output=False,
    ),
)
"""The models of the mock backend, which no gateway serves."""


def known_models(listed: Iterable[ModelCard] | None = None) -> list[ModelCard]:
    """The models of a gateway's list, completed by what the shipped catalog knows of them.

    Without a list: the shipped catalog, `DOCUMENTED_MODELS`. Each model once, in the list's
    order; of a model listed twice, what is said later counts.
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
    """The card of a model by its id or alias, with or without a provider's prefix; else None."""
    cards = list(cards)
    by_name = {alias: card for card in cards for alias in card.aliases}
    by_name |= {card.id: card for card in cards}
    return by_name.get(model) or by_name.get(model.rpartition("/")[2])


def save_cards(path: Path, cards: Iterable[ModelCard]) -> None:
    """Write a list of models to disk, whole or not at all. Raises `OSError`."""
    # Late, for a host reads the catalogue at every start and writes it hardly ever.
    from emby_plugins._files import replace_file

    path.parent.mkdir(parents=True, exist_ok=True)
    given = [_said(card) for card in cards]
    replace_file(path, json.dumps({"models": given}, indent=1).encode() + b"\n")


def load_cards(path: Path) -> list[ModelCard]:
    """The list of models that `save_cards` wrote.

    Raises `FileNotFoundError` where there is none, and `ConfigurationError` where what is there
    is no such list.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return [_card(entry) for entry in json.loads(text)["models"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        msg = f"The model list {str(path)!r} can't be read ({type(error).__name__})."
        raise ConfigurationError(msg, hint="'llm emby refresh' writes a new one.") from None


def _said(card: ModelCard) -> dict[str, Any]:
    # False is said; None, an empty text, no aliases and no prices are not.
    return {name: value for name, value in asdict(card).items() if value is False or value}


def _card(entry: dict[str, Any]) -> ModelCard:
    known = {f.name: entry[f.name] for f in fields(ModelCard) if f.name in entry}
    if not isinstance(known["id"], str):
        raise TypeError("a model's id is a string")
    for name in _ABILITIES:
        if not isinstance(known.get(name), bool):
            known.pop(name, None)
    # Cleaned here too: older versions wrote what the gateway sent.
    known |= {name: clean_text(known[name]) for name in _TEXTS if name in known}
    aliases = tuple(clean_text(alias) for alias in known.get("aliases", ()))
    return ModelCard(**{**known, "aliases": aliases})
