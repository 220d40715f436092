"""Thumbnails: made once, kept on disk by the image's digest, returned as data URLs."""

import os
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from emby_plugins import Image, InvalidImageError
from llm_emby._gallery.log import GeneratedImage

_SIDE = 320
_MAX_FILE_BYTES = 100 * 1024 * 1024

_MISSING = "File not found"
_CHANGED = "The file has changed since"
_URL_ONLY = "Only a URL, never downloaded"
_DAMAGED = "The file can't be displayed"


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small image as a data URL, or None; `problem` says what is wrong with the file."""

    data_url: str | None
    problem: str = ""


def make_thumbnails(
    images: Iterable[GeneratedImage], folder: Path, done: Callable[[], object]
) -> dict[int, Thumbnail]:
    """The thumbnail of each image, by its number. `done` is called once for each image.

    `folder` keeps them from run to run.
    """
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    # Several images may be the same file, which is decoded once.
    files: dict[tuple[str, Path | None], list[GeneratedImage]] = {}
    for image in images:
        files.setdefault((image.digest, image.path), []).append(image)
    found: dict[int, Thumbnail] = {}
    # Pillow releases the GIL while it decodes.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        try:
            answers = pool.map(lambda file: _thumbnail(file[0], file[1], folder), files)
            for same, thumbnail in zip(files.values(), answers, strict=True):
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
        return Thumbnail(_read(kept), _MISSING)
    if kept is not None and _is_newer(kept, status.st_mtime) and (url := _read(kept)):
        return Thumbnail(url)
    if status.st_size > _MAX_FILE_BYTES:
        return Thumbnail(None, f"{_DAMAGED}: it is too large")
    try:
        image = Image.from_path(path)
        if digest and not image.sha256.startswith(digest):
            return Thumbnail(_read(kept), _CHANGED)
        small = _small(image)
    except InvalidImageError:
        return Thumbnail(None, _DAMAGED)
    if kept is not None:
        _write(kept, small.data)
    return Thumbnail(small.data_url)


def _small(image: Image) -> Image:
    from PIL import ImageOps

    picture = image.to_pil()
    try:
        picture = ImageOps.exif_transpose(picture)
        if picture.mode == "P":
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        picture.thumbnail((_SIDE, _SIDE))
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidImageError(f"The image is damaged: {error}.") from error
    return Image.from_pil(picture, "WEBP")


def _status(path: Path) -> os.stat_result | None:
    """The status of a regular file; None if there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status if S_ISREG(status.st_mode) else None


def _is_newer(kept: Path, changed: float) -> bool:
    try:
        return kept.stat().st_mtime >= changed
    except OSError:
        return False


def _read(kept: Path | None) -> str | None:
    try:
        image = Image.from_path(kept) if kept else None
    except InvalidImageError:
        return None
    return image.data_url if image and image.media_type == "image/webp" else None


def _write(kept: Path, data: bytes) -> None:
    draft = kept.with_name(f".{kept.name}.{secrets.token_hex(4)}.part")
    # Without room for thumbnails there is still a gallery.
    with suppress(OSError):
        try:
            draft.write_bytes(data)
            draft.replace(kept)
        finally:
            draft.unlink(missing_ok=True)
