"""Files that appear whole or not at all, and never in place of another."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def draft(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file in `folder` to write to, and where it is; gone afterwards, unless published."""
    path = folder / f".{secrets.token_hex(8)}.part"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags, 0o666), "w+b") as file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def publish(draft: Path, path: Path) -> None:
    """Give a finished draft its name. Raises `FileExistsError` when the name is taken."""
    # A hard link fails when the name is taken, symlinks included; a rename would replace it.
    try:
        os.link(draft, path)
    except FileExistsError:
        raise FileExistsError(f"{str(path)!r} exists already; it was left as it is.") from None
    except OSError:
        # A file system without hard links: claim the name, then move the draft over the claim.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            draft.replace(path)
        except OSError:
            path.unlink()
            raise
