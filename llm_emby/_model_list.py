"""The models `llm` knows: documented by Emby, listed by the gateway, or added by the user.

Only reads files, never the network. `llm emby refresh` writes the gateway's list, one file per
base URL, and `llm emby add` writes `added.json`, all in `<llm's folder>/emby`.
"""

from pathlib import Path

import click
import llm

from emby_plugins import (
    ConfigurationError,
    ModelCard,
    known_models,
    load_cards,
    save_cards,
    store_models,
    stored_models,
)


def folder() -> Path:
    """The folder of this plugin: `<llm's folder>/emby`."""
    return Path(llm.user_dir()) / "emby"  # type: ignore[no-untyped-call]


def images_folder() -> Path:
    """The default folder of generated images."""
    return folder() / "images"


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
    store_models(cards, base_url)
    old, new = (
        {card.id for card in known_models(c) if card.is_chat_model} for c in (before, cards)
    )
    return sorted(new - old), sorted(old - new)


def _listed(base_url: str | None = None) -> list[ModelCard] | None:
    try:
        return stored_models(base_url)
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
