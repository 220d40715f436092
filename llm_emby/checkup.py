"""What `llm emby doctor` looks at, one finding each, and what to do about a bad one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emby_plugins import (
    ConfigurationError,
    Emby,
    EmbyError,
    MissingKeyError,
    load_cards,
)
from llm_emby import catalogue


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at, and what was found."""

    name: str
    is_well: bool
    finding: str


def checkup(key: str) -> Iterator[Check]:
    """Look at everything that a prompt needs, the cheapest first."""
    yield _list("catalogue", catalogue.listed_path(), "the documented models; see 'refresh'")
    yield _list("added models", catalogue.added_path(), "none")
    yield _folder(catalogue.images_folder())
    try:
        client = Emby(api_key=key, deadline=30, max_retries=0)
    except ConfigurationError as error:
        yield Check("base URL", False, str(error))
        return
    with client:
        yield Check("base URL", True, client.base_url)
        yield from _round_trip(client)


def _round_trip(client: Emby) -> Iterator[Check]:
    try:
        cards = client.models()
    except EmbyError as error:
        yield Check("gateway", False, str(error))
        return
    yield Check("gateway", True, f"answers, and lists {len(cards)} models")
    try:
        # A model that can't exist: the gateway looks at the key first, and charges nothing.
        client.chat("Hello", model="no-such-model-doctor", max_tokens=1)
    except MissingKeyError:
        finding = "none; 'llm keys set emby' keeps one. 'llm -m emby-mock' works without"
        yield Check("key", False, finding)
    except EmbyError as error:
        refused = getattr(error, "status", None) in {401, 402, 403}
        yield Check("key", not refused, str(error) if refused else "accepted")


def _list(name: str, path: Path, without: str) -> Check:
    try:
        return Check(name, True, f"{len(load_cards(path))} models in {path}")
    except FileNotFoundError:
        return Check(name, True, without)
    except (ConfigurationError, OSError) as error:
        return Check(name, False, str(error))


def _folder(path: Path) -> Check:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".doctor"
        probe.touch()
        probe.unlink()
    except OSError as error:
        hint = "give images another place with -o output"
        return Check("images", False, f"{path} can't be written: {error.strerror}; {hint}")
    count = sum(1 for _ in path.iterdir())
    return Check("images", True, f"{count} in {path}")
