"""Images by reference: a block names a file of an image folder instead of carrying base64.

A reference is the name that an image's digest gives it, such as `emby-3f9a2c1b5d6e7f80.png`. Only
image folders are searched, so that no message can name another file.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from emby_plugins import Image, InvalidImageError, RequestError

ImageDir = str | os.PathLike[str] | None

_REFERENCE = re.compile(r"emby-([0-9a-f]{8})[0-9a-f]{8}\.[a-z]{3,4}")
_ID = re.compile(r"image_([0-9a-f]{8})")
_folders: dict[Path, None] = {}


def register_folder(image_dir: str) -> None:
    """Note the folder of a `ChatEmby`: `images_of` looks references up in those of this process."""
    _folders[Path(image_dir)] = None


def is_reference(name: object) -> bool:
    """Whether a block's `file_id` is a reference to a file of an image folder."""
    return isinstance(name, str) and _REFERENCE.fullmatch(name) is not None


def store_image(image: Image, image_dir: str | os.PathLike[str]) -> str | None:
    """Keep an image in the folder and return its reference; None if it can't be written."""
    folder = Path(image_dir)
    if image.path is None or image.path.parent != folder:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            return image.save(folder).name
        return None
    return image.path.name


def open_reference(name: object, image_dir: ImageDir = None) -> Image:
    """The image of a reference, from this folder, or from those that are registered.

    Raises `RequestError` for what is not a reference, and `InvalidImageError` for a missing file.
    """
    if not is_reference(name):
        hint = "Pass the image as base64 or as an https URL."
        raise RequestError("Images can't be sent by file_id.", hint=hint)
    folders = [*_folders] if image_dir is None else [Path(image_dir)]
    for folder in folders:
        path = folder / str(name)
        if path.is_file() and not path.is_symlink():
            return Image(path=path)
    searched = ", ".join(repr(str(folder)) for folder in folders) or "any image folder"
    raise InvalidImageError(
        f"The image file {name!r} is not in {searched}.",
        hint="Pass the folder that it was stored in as image_dir.",
    )


def find_by_id(image_id: str, image_dir: ImageDir) -> Image | None:
    """The image with this id in the folder, if there is one."""
    digits = _ID.fullmatch(image_id)
    if image_dir is None or digits is None:
        return None
    for path in sorted(Path(image_dir).glob(f"emby-{digits[1]}*")):
        if is_reference(path.name):
            return open_reference(path.name, image_dir)
    return None


def digest_start(image: Image) -> str:
    """The first 8 digits of an image's digest; of a file of an image folder, from its name."""
    named = _REFERENCE.fullmatch(image.path.name) if image.path is not None else None
    return named[1] if named else image.sha256[:8]
