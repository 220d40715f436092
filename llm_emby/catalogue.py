"""Which models `llm` knows: from the pages, from the gateway's own list, from the user.

Reads files at most, never the network. `llm emby refresh` writes `models.json`, `llm emby add`
writes `added.json`, both in `<llm's folder>/emby`.
"""

from pathlib import Path

import click
import llm

from emby_plugins import (
    DOCUMENTED_MODELS,
    ConfigurationError,
    ModelCard,
    load_cards,
    save_cards,
)


def folder() -> Path:
    """Where everything of ours is kept: `<llm's folder>/emby`."""
    return Path(llm.user_dir()) / "emby"  # type: ignore[no-untyped-call]


def images_folder() -> Path:
    """Where generated images are kept, unless the user wants them elsewhere."""
    return folder() / "images"


def listed_path() -> Path:
    """Where the gateway's own list is kept."""
    return folder() / "models.json"


def added_path() -> Path:
    """Where the models that the user added are kept."""
    return folder() / "added.json"


def known_models() -> list[ModelCard]:
    """Every model to offer, each once; what the user added wins over what the gateway says.

    Until the gateway was asked for its list, the models of Emby's pages stand in for it.
    """
    listed = read(listed_path())
    cards = {card.id: card for card in (DOCUMENTED_MODELS if listed is None else listed)}
    cards |= {card.id: card for card in read(added_path()) or ()}
    return list(cards.values())


def read(path: Path) -> list[ModelCard] | None:
    """The models in a file; None, with a warning where one is due, when there is no usable file."""
    try:
        return load_cards(path)
    except FileNotFoundError:
        return None
    except (ConfigurationError, OSError) as error:
        click.echo(f"Warning: {error}", err=True)
        return None


def add(card: ModelCard) -> bool:
    """Keep a model of the user's; whether it is a new one."""
    cards = {known.id: known for known in read(added_path()) or ()}
    is_new = card.id not in cards
    save_cards(added_path(), (cards | {card.id: card}).values())
    return is_new


def remove(model_id: str) -> bool:
    """Forget a model that the user added; whether there was one."""
    cards = {known.id: known for known in read(added_path()) or ()}
    if cards.pop(model_id, None) is None:
        return False
    save_cards(added_path(), cards.values())
    return True


def replace_listed(cards: list[ModelCard]) -> tuple[list[str], list[str]]:
    """Keep the gateway's list; the ids that came, and those that went, in order."""
    listed = read(listed_path())
    before = {card.id for card in (DOCUMENTED_MODELS if listed is None else listed)}
    after = {card.id for card in cards}
    save_cards(listed_path(), cards)
    return sorted(after - before), sorted(before - after)
