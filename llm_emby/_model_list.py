"""Which models `llm` knows: from the pages, from the gateway's own list, from the user.

Reads files at most, never the network. `llm emby refresh` writes the gateway's list, one file for
each base URL, `llm emby add` writes `added.json`, all in `<llm's folder>/emby`.
"""

import re
from hashlib import sha256
from pathlib import Path

import click
import llm

from emby_plugins import (
    DEFAULT_BASE_URL,
    MOCK_MODELS,
    ConfigurationError,
    ModelCard,
    find_base_url,
    known_models,
    load_cards,
    save_cards,
)

_MOCK_IDS = frozenset(card.id for card in MOCK_MODELS)


def folder() -> Path:
    """Where everything of ours is kept: `<llm's folder>/emby`."""
    return Path(llm.user_dir()) / "emby"  # type: ignore[no-untyped-call]


def images_folder() -> Path:
    """Where generated images are kept, unless the user wants them elsewhere."""
    return folder() / "images"


def listed_path(base_url: str) -> Path:
    """Where the list of the gateway at `base_url` is kept."""
    if base_url == DEFAULT_BASE_URL:
        return folder() / "models.json"
    readable = re.sub(r"[^a-z0-9]+", "-", base_url.lower()).strip("-")[:60]
    return folder() / f"models-{readable}-{sha256(base_url.encode()).hexdigest()[:8]}.json"


def added_path() -> Path:
    """Where the models that the user added are kept."""
    return folder() / "added.json"


def models_to_offer() -> list[ModelCard]:
    """Every model to offer, each once; what the user added wins over what the gateway says.

    Until the gateway was asked for its list, the models of Emby's pages stand in for it. Models
    that generate neither text nor images are left out.
    """
    cards = {card.id.removeprefix("emby/"): card for card in known_models(_listed())}
    cards |= {card.id: card for card in _added()}
    return [card for card in cards.values() if card.is_chat_model]


def find_listed(base_url: str) -> list[ModelCard] | None:
    """The list kept for a base URL; None where there is none.

    Raises `ConfigurationError` or `OSError` where its file can't be read.
    """
    try:
        cards = load_cards(listed_path(base_url))
    except FileNotFoundError:
        return None
    # Older versions kept one list for all base URLs, so that Emby's may have come from the mock.
    if base_url == DEFAULT_BASE_URL and any(card.id in _MOCK_IDS for card in cards):
        return None
    return cards


def add(card: ModelCard) -> bool:
    """Keep a model of the user's; whether it is a new one."""
    cards = {known.id: known for known in _added()}
    is_new = card.id not in cards
    save_cards(added_path(), (cards | {card.id: card}).values())
    return is_new


def remove(model_id: str) -> bool:
    """Remove a model that the user added; False if there was none."""
    cards = {known.id: known for known in _added()}
    if cards.pop(model_id, None) is None:
        return False
    save_cards(added_path(), cards.values())
    return True


def replace_listed(base_url: str, cards: list[ModelCard]) -> tuple[list[str], list[str]]:
    """Keep the list of the gateway at `base_url`; the ids that came and that went, sorted.

    What an earlier list said of a model, and this one leaves open, stays.
    """
    before = _listed(base_url)
    earlier = {card.id: card for card in before or ()}
    cards = [earlier[card.id].updated_by(card) if card.id in earlier else card for card in cards]
    save_cards(listed_path(base_url), cards)
    old, new = (
        {card.id for card in known_models(c) if card.is_chat_model} for c in (before, cards)
    )
    return sorted(new - old), sorted(old - new)


def _chat_model_ids(listed: list[ModelCard] | None) -> set[str]:
    return {card.id for card in known_models(listed) if card.is_chat_model}


def _listed(base_url: str | None = None) -> list[ModelCard] | None:
    try:
        return find_listed(base_url or find_base_url())
    except (ConfigurationError, OSError) as error:
        click.echo(f"Warning: {error}", err=True)
        return None


def _added() -> list[ModelCard]:
    try:
        return load_cards(added_path())
    except FileNotFoundError:
        return []
    except (ConfigurationError, OSError) as error:
        click.echo(f"Warning: {error}", err=True)
        return []
