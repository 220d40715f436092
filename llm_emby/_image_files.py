"""Generated images in `llm`: saved as files, recorded in the log, loaded again in the next turn.

`llm` has no part type for generated images. The path of the file is a text part of its own,
which `llm` prints, logs and replays, and its `provider_metadata` identifies the image. No base64
gets into the log.
"""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain, count, islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import click
import llm

from emby_plugins import Image, InvalidImageError
from llm_emby import _model_list as model_list

_FILE_URL = "file://"

names_used: ContextVar[set[Path] | None] = ContextVar("names_used", default=None)
"""The file names used so far by concurrent replies that share an output, if there are any."""


class UnsavedImageError(llm.ModelError, click.ClickException):
    """No location accepted an image; `image` has its bytes."""

    def __init__(self, message: str, image: Image) -> None:
        super().__init__(message)
        self.image = image


@contextmanager
def image_drafts(target: str | None) -> Iterator[Path]:
    """The folder for images while they arrive, so that they are not held in memory.

    Without a target, they stay in the images folder. Otherwise they are in a new folder beside the
    target, where the saver only has to rename them; the folder is removed in the end. Nothing is
    created before an image arrives.
    """
    place = _place(target)
    if place is None:
        yield model_list.images_folder()
        return
    folder = (place.parent if is_file_name(place) else place) / f".emby-{secrets.token_hex(8)}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place(target: str | None) -> Path | None:
    try:
        # Absolute, because the log is read from other folders too.
        return None if target is None else Path(target).expanduser().absolute()
    except (OSError, RuntimeError):
        return None  # without a home or a current folder


class ImageSaver:
    """Saves the images of one reply.

    `target` is a file if it has a suffix, otherwise a folder; None is the images folder. A file
    that exists is only replaced with `overwrite`, and never one of the same reply or run: those
    are numbered. `say` is called with a line when an image was not saved as requested.
    """

    def __init__(
        self, target: str | None, say: Callable[[str], object], *, overwrite: bool = False
    ) -> None:
        self._target = target
        self._say = say
        self._overwrite = overwrite
        shared = names_used.get()
        self._used: set[Path] = set() if shared is None else shared

    def save(self, image: Image) -> Path:
        """Save an image and return its path.

        If the location can't be written, another one is used, with a warning, because the
        image has been paid for. Raises `UnsavedImageError` if every location fails.
        """
        if self._target is None and image.path is not None:
            return image.path
        failed: list[str] = []
        for location in _locations(self._target):
            place: Path | None = None
            try:
                place = location()
                path = self._save_at(image, place)
            except (OSError, ValueError, RuntimeError) as error:
                failed.append(f"{place}: {reason(error)}" if place else reason(error))
            else:
                if failed:
                    reasons = "; ".join(failed)
                    self._say(f"Warning: Could not save the image to {reasons}. Saved to {path}.")
                return path
        msg = f"Could not save the image anywhere: {'; '.join(failed)}."
        raise UnsavedImageError(msg, image)

    def _save_at(self, image: Image, place: Path) -> Path:
        if not is_file_name(place):
            place.mkdir(parents=True, exist_ok=True)
            return image.save(place, link=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        names = (name for name in numbered_names(place) if name not in self._used)
        requested = next(names)
        for name in chain([requested], names):
            self._used.add(name)
            try:
                overwrite = self._overwrite and name == requested
                path = image.save(name, overwrite=overwrite, link=True)
            except FileExistsError:
                continue
            self._compare(requested, path)
            return path
        raise AssertionError("the names never end")

    def _compare(self, requested: Path, path: Path) -> None:
        if path == requested:
            return
        # The suffix is corrected, or added to a name such as v1.2
        fitting = (requested.with_suffix(path.suffix), Path(f"{requested}{path.suffix}"))
        if path in fitting:
            self._say(f"Note: Saved as {path.name}, since the image is not {requested.suffix}.")
        else:
            self._say(f"Warning: Saved as {path.name}, because the file name was taken.")


def is_file_name(place: Path) -> bool:
    """Whether images are saved as this file, and not in it as a folder."""
    return bool(place.suffix) and not os.path.isdir(place)  # noqa: PTH112 - it never raises


def find_obstacle(target: Path, number: int = 1) -> tuple[Path | None, str]:
    """The first of the names to be written that is taken, and why nothing can be saved there.

    A link that leads nowhere takes its name too. The folder is created.
    """
    is_file = is_file_name(target)
    names = islice(numbered_names(target), number) if is_file else ()
    folder = target.parent if is_file else target
    try:
        taken = next((name for name in names if _exists(name)), None)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return None, reason(error)
    return taken, "" if os.access(folder, os.W_OK) else "Permission denied"


def _exists(place: Path) -> bool:
    try:
        place.lstat()  # other than Path.exists(), raises for a name that is too long
    except FileNotFoundError:
        return False
    return True


def full_path(given: str) -> Path:
    """The absolute path, with `~` expanded. Raises `click.ClickException` if that is impossible."""
    try:
        return Path(given).expanduser().absolute()
    except (OSError, RuntimeError) as error:
        raise click.ClickException(f"{given!r} is not a usable path: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Why a file can't be read or written."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "A part of the path is a file, not a folder"
    return str(getattr(error, "strerror", None) or error)


def numbered_names(place: Path) -> Iterator[Path]:
    """`fox.png`, `fox-2.png`, `fox-3.png` and so on."""
    yield place
    for number in count(2):
        yield place.with_name(f"{place.stem}-{number}{place.suffix}")


def printable_path(path: Path) -> str:
    """Return the path of an image as text for `llm` to print and log.

    Bytes that are not valid text are escaped. A path that standard output can't encode is printed
    to stderr as well, because `llm --no-stream` fails with such an output.
    """
    text = _as_text(path)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeError, LookupError):
        context = click.get_current_context(silent=True)
        if context is not None and context.command.name != "image":  # that one writes bytes
            msg = f"Warning: Standard output can't encode the path of the image: {text}"
            click.echo(msg, err=True)
    return text


def interruption(saved: Sequence[Path]) -> str:
    """What Ctrl-C is answered with: the images that are saved nevertheless."""
    if not saved:
        return "Interrupted. No image was saved."
    count = "1 image was" if len(saved) == 1 else f"{len(saved)} images were"
    return "\n  ".join([f"Interrupted. {count} saved:", *map(_as_text, saved)])


def to_metadata(image: Image, path: Path) -> dict[str, Any]:
    """Describe an image for the log: enough to find it again and to verify it."""
    text = str(path)
    if _as_text(path) != text:
        # The log only takes valid text, and the path must be restored exactly.
        text = path.absolute().as_uri()
    found = {"path": text, "sha256": image.sha256, "media_type": image.media_type}
    return {"emby": {"image": found}}


def from_metadata(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what `to_metadata` recorded, or None for a part that is not an image."""
    ours = (metadata or {}).get("emby")
    found = ours.get("image") if isinstance(ours, dict) else None
    if not isinstance(found, dict):
        return None
    path = str(found.get("path", ""))
    if path.startswith(_FILE_URL):
        found = found | {"path": os.fsdecode(unquote_to_bytes(path.removeprefix(_FILE_URL)))}
    return found


def load(found: dict[str, Any]) -> Image | None:
    """Load a recorded image; None, with a warning, if its file is missing or has changed."""
    if "url" in found:
        return Image.from_url(found["url"])
    path = found.get("path", "")
    try:
        image = Image.from_path(path, lazy=True)
    except InvalidImageError as error:
        reason = error.message if os.path.lexists(path) else f"{path} no longer exists."
        click.echo(f"Warning: {reason} Continuing without it.", err=True)
        return None
    if image.sha256 != found.get("sha256"):
        click.echo(f"Warning: {path} has changed; continuing without it.", err=True)
        return None
    return image


def _as_text(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _locations(target: str | None) -> Iterator[Callable[[], Path]]:
    if target is not None:
        yield lambda: Path(target).expanduser().absolute()
    yield model_list.images_folder
    # New and private, because other users may write to the folder that contains it.
    yield lambda: Path(tempfile.mkdtemp(prefix="emby-images-"))
    yield Path.cwd
