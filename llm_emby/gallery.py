"""`llm emby gallery`: one page of all the pictures made, from the log and the files."""

import secrets
import sys
from pathlib import Path
from typing import Any

import click
from llm.cli import logs_db_path

from llm_emby import catalogue
from llm_emby.gallery_log import read_pictures
from llm_emby.gallery_page import GENERATOR, render
from llm_emby.gallery_thumbnails import thumbnails


def make_gallery(out: str | None) -> Path:
    """Write the page and return where: `out`, a file or a folder, else `gallery.html` of ours.

    An older gallery is replaced, whole or not at all; any other file is left alone. Raises
    `click.ClickException`.
    """
    target = _target(out)
    ours = catalogue.folder()
    log = Path(logs_db_path())  # type: ignore[no-untyped-call]
    found = read_pictures(log, ours / "images")
    with _progress(len(found)) as bar:
        small = thumbnails(found, ours / "thumbnails", lambda: bar.update(1))
    try:
        _replace(target, render(found, small))
    except OSError as error:
        reason = error.strerror or error
        raise click.ClickException(f"The gallery can't be written to {target}: {reason}.") from None
    return target


def _target(out: str | None) -> Path:
    target = Path(out).expanduser() if out else catalogue.folder() / "gallery.html"
    if target.is_dir():
        target /= "gallery.html"
    if target.exists() and not _is_gallery(target):
        msg = f"{target} exists and is no gallery; it was left as it is. Choose another --out."
        raise click.ClickException(msg)
    return target.absolute()


def _is_gallery(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return not head or GENERATOR.encode() in head


def _replace(target: Path, page: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        draft.write_text(page, encoding="utf-8", errors="replace", newline="\n")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _progress(count: int) -> Any:
    hidden = not sys.stderr.isatty()
    return click.progressbar(
        length=count, label="Looking at pictures", file=sys.stderr, show_pos=True, hidden=hidden
    )
