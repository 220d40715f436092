"""`llm emby gallery`: one page of all generated images, from llm's log and our files.

log         reads the images and their lineage from logs.db
thumbnails  makes them once, and keeps them as files
page        puts the page together, from page.html, page.css and page.js
"""

import os
import sys
from pathlib import Path
from typing import Any

import click
from llm.cli import logs_db_path

from emby_plugins import replace_file
from llm_emby import _model_list as model_list
from llm_emby._gallery.log import read_images
from llm_emby._gallery.page import GENERATOR, render
from llm_emby._gallery.thumbnails import make_thumbnails
from llm_emby._image_files import full_path, reason


def make_gallery(out: str | None) -> Path:
    """Write the page to `out`, a file or folder, and return its path; the default is in our folder.

    A page of few images contains their thumbnails, one of many refers to the kept files.

    An existing gallery is replaced atomically. Any other file is kept: raises
    `click.ClickException`, also if the page can't be written.
    """
    target = _target(out)
    folder = model_list.folder()
    log = Path(logs_db_path())  # type: ignore[no-untyped-call]
    found = read_images(log, folder / "images")
    with _progress(len(found)) as bar:
        small = make_thumbnails(found, folder / "thumbnails", lambda: bar.update(1))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, render(found, small, target.parent))
    except OSError as error:
        msg = f"Could not write the gallery to {target}: {reason(error)}."
        raise click.ClickException(msg) from None
    return target


def _target(out: str | None) -> Path:
    target = full_path(out) if out else model_list.folder() / "gallery.html"
    if os.path.isdir(target):  # noqa: PTH112 - it never raises
        target /= "gallery.html"
    if os.path.lexists(target) and not _is_gallery(target):
        msg = f"{target} already exists and is not a gallery. Choose another --out."
        raise click.ClickException(msg)
    return target


def _is_gallery(path: Path) -> bool:
    try:
        if not path.is_file():
            return False  # a named pipe would never end
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return not head or GENERATOR.encode() in head


def _progress(count: int) -> Any:
    hidden = not sys.stderr.isatty()
    return click.progressbar(
        length=count, label="Reading images", file=sys.stderr, show_pos=True, hidden=hidden
    )
