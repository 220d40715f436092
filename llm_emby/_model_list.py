"""The models `llm` knows: documented by Emby, listed by the gateway, or added by the user.

Only reads files, never the network. `llm emby refresh` writes the gateway's list, one file per
base URL, and `llm emby add` writes `added.json`, all in `<llm's folder>/emby`.
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
    """The folder of this plugin: `<llm's folder>/emby`."""
    return Path(llm.user_dir()) / "emby"  # type: ignore[no-untyped-call]


def images_folder() -> Path:
    """The default folder of generated images."""
    return folder() / "images"


def listed_path(base_url: str) -> Path:
    """The file with the list of the gateway at `base_url`."""
    if base_url == DEFAULT_BASE_URL:
        return folder() / "models.json"
    readable = re.sub(r"[^a-z0-9]+", "-", base_url.lower()).strip("-")[:60]
    return folder() / f"models-{readable}-{sha256(base_url.encode()).hexdigest()[:8]}.json"


def added_path() -> Path:
    """The file with the models that the user added."""
    return folder() / "added.json"


def known_chat_models() -> list[ModelCard]:
    """Every known chat model, each once; models added by the user override the gateway's.

    Before the first `llm emby refresh`, these are the models that Emby documents. Models that
    generate neither text nor images are excluded.
    """
    cards = {card.id.removeprefix("emby/"): card for card in known_models(_listed())}
    cards |= {card.id: card for card in _added()}
    return [card for card in cards.values() if card.is_chat_model]


def find_listed(base_url: str) -> list[ModelCard] | None:
    """The saved list of a base URL; None if there is none.

    Raises `ConfigurationError` or `OSError` if its file can't be read.
    """
    try:
        cards = load_cards(listed_path(base_url))
    except FileNotFoundError:
        return None
    # Older versions had one list for all base URLs, so this one may come from the mock.
    if base_url == DEFAULT_BASE_URL and any(card.id in _MOCK_IDS for card in cards):
        return None
    return cards


def add(card: ModelCard) -> bool:
    """Save a model of the user's. Return False if it replaces one."""
    cards = {known.id: known for known in _added()}
    is_new = card.id not in cards
    save_cards(added_path(), (cards | {card.id: card}).values())
    return is_new


def remove(model_id: str) -> bool:
    """Remove a model that the user added. Return False if it did not exist."""
    cards = {known.id: known for known in _added()}
    if cards.pop(model_id, None) is None:
        return False
    save_cards(added_path(), cards.values())
    return True


def replace_listed(base_url: str, cards: list[ModelCard]) -> tuple[list[str], list[str]]:
    """Save the list of the gateway at `base_url`. Return the new and the removed ids, sorted.

    What the previous list states about a model is kept if the new one doesn't state it.
    """
    before = _listed(base_url)
    earlier = {card.id: card for card in before or ()}
    cards = [earlier[card.id].updated_by(card) if card.id in earlier else card for card in cards]
    save_cards(listed_path(base_url), cards)
    old, new = (
        {card.id for card in known_models(c) if card.is_chat_model} for c in (before, cards)
    )
    return sorted(new - old), sorted(old - new)


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
