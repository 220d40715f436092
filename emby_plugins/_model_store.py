"""The models of gateways as files: one list for each base URL, shared by both hosts.

They are in the folder of `llm`, together with the files of its plugin, so that one refresh serves
every program.
"""

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from emby_plugins._catalog import MOCK_MODELS, ModelCard, load_cards, save_cards
from emby_plugins._errors import ConfigurationError
from emby_plugins._settings import DEFAULT_BASE_URL, find_base_url

_LLM = "io.datasette.llm"
_MOCK_IDS = frozenset(card.id for card in MOCK_MODELS)


def store_folder() -> Path:
    """`<llm's folder>/emby`; llm's folder is `$LLM_USER_PATH`, or where programs keep settings."""
    named = os.environ.get("LLM_USER_PATH")
    if named:
        return Path(named) / "emby"
    if sys.platform == "win32":
        settings = os.environ.get("APPDATA") or "~"
    elif sys.platform == "darwin":
        settings = "~/Library/Application Support"
    else:
        settings = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(settings).expanduser() / _LLM / "emby"


def stored_path(base_url: str | None = None) -> Path:
    """The file with the list of the gateway at `base_url`."""
    base_url = find_base_url(base_url)
    if base_url == DEFAULT_BASE_URL:
        return store_folder() / "models.json"
    readable = re.sub(r"[^a-z0-9]+", "-", base_url.lower()).strip("-")[:60]
    return store_folder() / f"models-{readable}-{sha256(base_url.encode()).hexdigest()[:8]}.json"


def stored_models(base_url: str | None = None) -> list[ModelCard] | None:
    """The stored list of a gateway, by default of `EMBY_BASE_URL`'s; None if there is none.

    Raises `ConfigurationError` or `OSError` if its file can't be read.
    """
    path = stored_path(base_url)
    try:
        cards = load_cards(path)
    except FileNotFoundError:
        return None
    # Older versions had one list for all base URLs, so this one may come from the mock.
    if path.name == "models.json" and any(card.id in _MOCK_IDS for card in cards):
        return None
    return cards


def store_models(cards: Iterable[ModelCard], base_url: str | None = None) -> None:
    """Store the list of a gateway, as `llm emby refresh` does: `store_models(Emby().models())`.

    `ChatEmby` takes the profiles of its models from it, and `llm` its models. What the list stored
    before states about a model is kept if the new one does not state it. Raises `OSError`.
    """
    earlier: dict[str, ModelCard] = {}
    with suppress(ConfigurationError):  # one that can't be read is replaced
        earlier = {card.id: card for card in stored_models(base_url) or ()}
    merged = [earlier[card.id].updated_by(card) if card.id in earlier else card for card in cards]
    save_cards(stored_path(base_url), merged)
