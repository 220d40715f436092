"""Thumbnails: small files, named by the image's digest, made once and kept."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from stat import S_ISREG

from emby_plugins import Image, InvalidImageError
from llm_emby._gallery.log import GeneratedImage

_SIDE = 320
_MAX_FILE_BYTES = 100 * 1024 * 1024
_BATCH = 256

_MISSING = "File not found"
_CHANGED = "The file has changed since"
_URL_ONLY = "Only a URL, never downloaded"
_DAMAGED = "The file can't be displayed"


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small image, or None; `problem` describes what is wrong with the image's file.

    `image` is a file, or in memory if the folder of thumbnails can't be written.
    """

    image: Image | None
    problem: str = ""


def make_thumbnails(
    images: Iterable[GeneratedImage], folder: Path, done: Callable[[], object]
) -> dict[int, Thumbnail]:
    """The thumbnail of each image, by its number. `done` is called once for each image.

    `folder` keeps them from run to run; only new ones are made.
    """
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    # Several images may be the same file, which is decoded once.
    files: dict[tuple[str, Path | None], list[GeneratedImage]] = {}
    for image in images:
        files.setdefault((image.digest, image.path), []).append(image)
    found: dict[int, Thumbnail] = {}
    todo = iter(files.items())
    # Pillow releases the GIL while it decodes and encodes.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        while batch := list(islice(todo, _BATCH)):
            thumbnails = pool.map(lambda file: _thumbnail(file[0][0], file[0][1], folder), batch)
            try:
                for (_, same), thumbnail in zip(batch, thumbnails, strict=True):
                    for image in same:
                        found[image.number] = thumbnail
                        done()
            except BaseException:
                # Ctrl-C: what is done stays on disk, and nothing new is started.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return found


def _thumbnail(digest: str, path: Path | None, folder: Path) -> Thumbnail:
    if path is None:
        return Thumbnail(None, _URL_ONLY)
    kept = folder / f"{digest}.webp" if digest else None
    status = _status(path)
    if status is None:
        return Thumbnail(_kept(kept), _MISSING)
    if (thumbnail := _kept(kept, newer_than=status.st_mtime)) is not None:
        return Thumbnail(thumbnail)
    if status.st_size > _MAX_FILE_BYTES:
        return Thumbnail(None, f"{_DAMAGED}: it is too large")
    try:
        image = Image.from_path(path)
        if digest and not image.sha256.startswith(digest):
            return Thumbnail(_kept(kept), _CHANGED)
        small = image.thumbnail(_SIDE)
    except InvalidImageError:
        return Thumbnail(None, _DAMAGED)
    place = kept or folder / f"{image.sha256}.webp"
    with suppress(OSError):
        small = Image(path=small.save(place, overwrite=True))
    return Thumbnail(small)


def _kept(kept: Path | None, newer_than: float = 0) -> Image | None:
    status = _status(kept) if kept else None
    if status is None or not status.st_size or status.st_mtime < newer_than:
        return None
    return Image(path=kept)


def _status(path: Path) -> os.stat_result | None:
    """The status of a regular file; None if there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status if S_ISREG(status.st_mode) else None
