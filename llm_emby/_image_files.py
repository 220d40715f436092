"""Generated images in `llm`: saved as files, noted in the log, found again in the next turn.

`llm` has no part for an image that a model made. So the path of the file is a text part of its
own, which `llm` prints, logs and replays, and its `provider_metadata` says which image it is. No
base64 gets near the log.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import click
import llm

from emby_plugins import Image, InvalidImageError
from llm_emby import _model_list as catalogue

_FILE_URL = "file://"


class UnsavedImageError(llm.ModelError, click.ClickException):
    """Every place refused an image; `image` has its bytes."""

    def __init__(self, message: str, image: Image) -> None:
        super().__init__(message)
        self.image = image


def save(image: Image, target: str | None) -> Path:
    """Save a generated image, and return where.

    At `target`, a file if it has a suffix and else a folder, or under
    `<llm's folder>/emby/images`. Nothing is overwritten: a taken name gets a number. Where the
    place can't be written, another is found and a warning says why, for the image is paid for.
    Raises `UnsavedImageError` when there is none.
    """
    if target is None and image.path is not None:
        return image.path
    refused: list[str] = []
    for find in _places(target):
        place: Path | None = None
        try:
            place = find()
            path = _save_at(image, place)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(getattr(error, "strerror", None) or error)
            refused.append(f"{place}: {reason}" if place else reason)
        else:
            if refused:
                why = "; ".join(refused)
                msg = f"Warning: no image could be saved at {why}. Saved at {path} instead."
                click.echo(msg, err=True)
            return path
    raise UnsavedImageError(f"The image could not be saved anywhere: {'; '.join(refused)}.", image)


def shown(path: Path) -> str:
    """Return the path of an image as text for `llm` to print and log.

    A name that is not text has its odd bytes escaped. Where standard output can't encode the
    rest, the path is on standard error as well: `llm --no-stream` fails with such an output.
    """
    text = _as_text(path)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeError, LookupError):
        context = click.get_current_context(silent=True)
        if context is not None and context.command.name != "image":  # that one writes bytes
            msg = f"Warning: standard output can't show the path of the image: {text}"
            click.echo(msg, err=True)
    return text


def note(image: Image, path: Path) -> dict[str, Any]:
    """What the log keeps of an image: enough to find it again, and to know it is the same."""
    text = str(path)
    if _as_text(path) != text:
        # The log takes no bytes that are not text, and the path must come back as it is.
        text = path.absolute().as_uri()
    found = {"path": text, "sha256": image.sha256, "media_type": image.media_type}
    return {"emby": {"image": found}}


def noted(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    """What `note` wrote on a part, or None for a part that is no image."""
    ours = (metadata or {}).get("emby")
    found = ours.get("image") if isinstance(ours, dict) else None
    if not isinstance(found, dict):
        return None
    path = str(found.get("path", ""))
    if path.startswith(_FILE_URL):
        found = found | {"path": os.fsdecode(unquote_to_bytes(path.removeprefix(_FILE_URL)))}
    return found


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


def _as_text(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _places(target: str | None) -> Iterator[Callable[[], Path]]:
    if target is not None:
        # Absolute, for the log is read from other folders too.
        yield lambda: Path(target).expanduser().absolute()
    yield catalogue.images_folder
    # New and the user's own, for others may write to the folder it is in.
    yield lambda: Path(tempfile.mkdtemp(prefix="emby-images-"))
    yield Path.cwd


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
