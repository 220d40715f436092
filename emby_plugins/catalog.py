"""`ModelCard`: what a model can do; and the models that are known without asking.

Imports nothing heavy: a host reads the catalogue at every start.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from emby_plugins.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model of the gateway's list, and what it can do.

    `pricing` holds decimal strings, US dollars for a token (`prompt`, `completion`), an image
    or a request. `context_length` and `max_output` are tokens, None where nobody says.
    Vision Support page, "Vision-Enabled Models": `vision` is what `"vision": true` means.
    """

    id: str
    name: str = ""
    family: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    vision: bool = False
    image_output: bool = False
    tools: bool = False
    reasoning: bool = False
    structured_output: bool = False
    context_length: int | None = None
    max_output: int | None = None
    pricing: Mapping[str, str] = field(default_factory=dict)
    created: int | None = None
    deprecated_at: str = ""
    deactivated_at: str = ""


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
        tools=True,
        structured_output=True,
    ),
    ModelCard(
        id="emby-mock-vision",
        name="Emby mock that looks and never paints",
        family="emby-mock",
        vision=True,
        tools=True,
        reasoning=True,
        structured_output=True,
    ),
    ModelCard(
        id="emby-mock-image",
        name="Emby mock that only makes images",
        family="emby-mock",
        vision=True,
        image_output=True,
    ),
)
"""The models of the mock backend, which no gateway serves."""


def save_cards(path: Path, cards: Iterable[ModelCard]) -> None:
    """Write a list of models to disk, whole or not at all. Raises `OSError`."""
    # Late, for a host reads the catalogue at every start and writes it hardly ever.
    from emby_plugins.files import replace_file

    path.parent.mkdir(parents=True, exist_ok=True)
    given = [{k: v for k, v in asdict(card).items() if v} for card in cards]
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


def _card(entry: dict[str, Any]) -> ModelCard:
    known = {f.name: entry[f.name] for f in fields(ModelCard) if f.name in entry}
    if not isinstance(known["id"], str):
        raise TypeError("a model's id is a string")
    return ModelCard(**{**known, "aliases": tuple(known.get("aliases", ()))})
