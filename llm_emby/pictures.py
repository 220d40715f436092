"""Generated images in `llm`: saved as files, noted in the log, found again in the next turn.

`llm` has no part for an image that a model made. So the path of the file is a text part of its
own, which `llm` prints, logs and replays, and its `provider_metadata` says which image it is. No
base64 gets near the log.
"""

import tempfile
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

import click
import llm

from emby_plugins import Image, InvalidImageError
from llm_emby import catalogue


def save(image: Image, target: str | None) -> Path:
    """Save a generated image, and return where.

    At `target`, a file if it has a suffix and else a folder, or under
    `<llm's folder>/emby/images`. Nothing is overwritten: a taken name gets a number. Where the
    place can't be written, another is found and a warning says why, for the image is paid for.
    """
    if target is None and image.path is not None:
        return image.path
    for folder in _places(target):
        try:
            return _save_at(image, folder)
        except OSError as error:
            reason = error.strerror or str(error)
            click.echo(f"Warning: no image could be saved at {folder}: {reason}.", err=True)
    raise llm.ModelError("The image could not be saved anywhere: every place refused it.")


def note(image: Image, path: Path) -> dict[str, Any]:
    """What the log keeps of an image: enough to find it again, and to know it is the same."""
    found = {"path": str(path), "sha256": image.sha256, "media_type": image.media_type}
    return {"emby": {"image": found}}


def noted(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    """What `note` wrote on a part, or None for a part that is no image."""
    ours = (metadata or {}).get("emby")
    found = ours.get("image") if isinstance(ours, dict) else None
    return found if isinstance(found, dict) else None


def load(found: dict[str, Any]) -> Image | None:
    """The image that was noted, or None with a warning when its file is gone or has changed."""
    if "url" in found:
        return Image.from_url(found["url"])
    path = found.get("path", "")
    try:
        image = Image.from_path(path)
    except InvalidImageError:
        click.echo(f"Warning: the image {path} is gone; going on without it.", err=True)
        return None
    if image.sha256 != found.get("sha256"):
        click.echo(f"Warning: the image {path} has changed; going on without it.", err=True)
        return None
    return image


def _places(target: str | None) -> Iterator[Path]:
    if target is not None:
        # Absolute, for the log is read from other folders too.
        yield Path(target).expanduser().absolute()
    yield catalogue.images_folder()
    yield Path(tempfile.gettempdir()) / "emby-images"


def _save_at(image: Image, place: Path) -> Path:
    if place.suffix and not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        for candidate in chain([place], (_numbered(place, n) for n in count(2))):
            try:
                return image.save(candidate)
            except FileExistsError:
                continue
    place.mkdir(parents=True, exist_ok=True)
    return image.save(place)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")
