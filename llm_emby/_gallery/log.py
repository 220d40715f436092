"""Generated images, read from llm's logs.db, which is opened read-only and may be missing.

A turn of `llm`'s log runs from its `parent_message_hash` (what was sent) to its
`tip_message_hash` (what came back); messages are shared between turns, turns are not.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from emby_plugins import Image, InvalidImageError
from llm_emby import _image_files as image_files

_DIGEST = re.compile(r"[0-9a-f]{16,64}")
_OUR_NAME = re.compile(r"emby-([0-9a-f]{16})\.\w+")
_MAX_PROMPT = 4000
# Distinguishes images; the name of a file holds no more of the digest.
_DIGEST_PREFIX = 16


@dataclass(frozen=True, slots=True)
class Source:
    """A file or URL that was attached to a prompt and not generated here."""

    name: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One call of a model, as logged; its tokens and cost are for all of its images."""

    id: str
    thread: str
    model: str
    prompt: str
    created: datetime | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None


@dataclass(slots=True)
class GeneratedImage:
    """An image that was generated; `number` counts from 1, the oldest.

    `digest` is its SHA-256 in hexadecimal, a prefix of it, or empty. `path` is None for an image
    that was delivered as a `url`. `turn` is None for a file that is not in the log. `siblings` is
    how many images its turn generated.
    """

    number: int
    digest: str
    path: Path | None
    url: str | None
    turn: Turn | None
    created: datetime | None
    siblings: int = 1
    parents: list["GeneratedImage"] = field(default_factory=list)
    children: list["GeneratedImage"] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)


def read_images(database: Path, folder: Path) -> list[GeneratedImage]:
    """Every image in the log, and every other one in `folder`, oldest first.

    Raises `click.ClickException` if the log can't be read.
    """
    with open_log(database) as db:
        found = _Log(db).images() if db is not None else []
    return _with_unlogged(found, folder)


@contextmanager
def open_log(database: Path) -> Iterator[sqlite3.Connection | None]:
    """The log, or None if there is none yet. Raises `click.ClickException` if it can't be read."""
    if not database.is_file():
        yield None
        return
    try:
        # Read-only: no lock, and no migration by llm.
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            yield db if _has_turns(db) else None
    except sqlite3.Error as error:
        raise click.ClickException(
            f"The log {database} can't be read: {error}. It must be from llm 0.36 or newer."
        ) from None


def _has_turns(db: sqlite3.Connection) -> bool:
    query = "select count(*) from sqlite_master where name in ('turns', 'messages', 'parts')"
    return bool(db.execute(query).fetchone()[0] == 3)


class _Log:
    """The tables of one log that images are found in."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._messages: dict[str, tuple[str | None, str]] = {
            row["hash"]: (row["parent_hash"], row["role"])
            for row in db.execute("select hash, parent_hash, role from messages")
        }
        self._metadata: dict[str, list[dict[str, Any]]] = {}
        for row in db.execute(
            "select message_hash, payload from parts"
            " where type = 'text' and payload like '%\"emby\"%' order by message_hash, position"
        ):
            metadata = image_files.from_metadata(as_object(row["payload"]).get("provider_metadata"))
            if metadata:
                self._metadata.setdefault(row["message_hash"], []).append(metadata)
        self._images: list[GeneratedImage] = []
        self._latest: dict[tuple[str, str | None], list[GeneratedImage]] = {}

    def images(self) -> list[GeneratedImage]:
        """The images, oldest first, with their lineage."""
        for row in self._db.execute("select * from turns order by datetime_utc, id"):
            own = list(self._ancestors(row["tip_message_hash"], until=row["parent_message_hash"]))
            if any(message in self._metadata for message in own):
                self._add(row, own[::-1])
        return self._images

    def _add(self, row: sqlite3.Row, own: list[str]) -> None:
        prompt, attached = self._request(row["parent_message_hash"])
        turn = _turn(row, prompt)
        parents, sources = self._lineage(turn, row["parent_message_hash"], attached)
        new = [
            (message, _generated(metadata, len(self._images) + number, turn))
            for number, (message, metadata) in enumerate(
                ((message, found) for message in own for found in self._metadata.get(message, ())),
                1,
            )
        ]
        for message, image in new:
            image.siblings = len(new)
            image.parents, image.sources = parents, sources
            for parent in parents:
                parent.children.append(image)
            self._images.append(image)
            self._note(message, image)
            if image.digest:
                self._note(image.digest[:_DIGEST_PREFIX], image)

    def _note(self, origin: str, image: GeneratedImage) -> None:
        """Make `image` one of the latest that a message or a digest refers to."""
        assert image.turn is not None
        for thread in (image.turn.thread, None):
            same = self._latest.setdefault((origin, thread), [])
            if same and same[0].turn is not image.turn:
                same.clear()
            same.append(image)

    def _find(self, origin: str, turn: Turn) -> list[GeneratedImage]:
        """Of identical images, the latest of this conversation, else the latest of all."""
        return self._latest.get((origin, turn.thread)) or self._latest.get((origin, None), [])

    def _lineage(
        self, turn: Turn, request: str | None, attached: list[sqlite3.Row]
    ) -> tuple[list[GeneratedImage], list[Source]]:
        """What the images of a turn were made from: its attachments, else the images before it."""
        parents: list[GeneratedImage] = []
        sources: list[Source] = []
        for attachment in attached:
            same = self._find(str(attachment["id"])[:_DIGEST_PREFIX], turn)
            if same:
                parents.append(same[-1])
            else:
                sources.append(_source(attachment))
        if not attached:
            for message in self._ancestors(request):
                if parents := self._find(message, turn).copy():
                    break
        return parents, sources

    def _request(self, message: str | None) -> tuple[str, list[sqlite3.Row]]:
        """The user's last text, and what was attached to it or after it."""
        attached: list[sqlite3.Row] = []
        for ancestor in self._ancestors(message):
            if self._messages[ancestor][1] not in {"user", "tool"}:
                continue
            attached[:0] = self._attached(ancestor)
            text = self._text(ancestor)
            if text:
                return text, attached
        return "", attached

    def _attached(self, message: str) -> list[sqlite3.Row]:
        query = (
            "select a.id, a.path, a.url from parts p"
            " join part_attachments pa on pa.part_id = p.id"
            " join attachments a on a.id = pa.attachment_id"
            ' where p.message_hash = ? order by p.position, pa."order"'
        )
        return self._db.execute(query, [message]).fetchall()

    def _text(self, message: str) -> str:
        query = (
            "select substr(text, 1, ?) as text, payload from parts"
            " where message_hash = ? and type = 'text' order by position"
        )
        rows = self._db.execute(query, [_MAX_PROMPT, message])
        texts = [row["text"] or self._with_fragments(as_object(row["payload"])) for row in rows]
        return "\n".join(filter(None, texts))[:_MAX_PROMPT].strip()

    def _with_fragments(self, payload: dict[str, Any]) -> str:
        """A text that refers to fragments, in full."""
        pieces = payload.get("text_ref")
        return "".join(map(self._piece, pieces if isinstance(pieces, list) else ()))

    def _piece(self, piece: Any) -> str:
        if not isinstance(piece, dict):
            return ""
        if "literal" in piece:
            return str(piece["literal"])
        query = "select substr(content, 1, ?) from fragments where id = ?"
        row = self._db.execute(query, [_MAX_PROMPT, piece.get("fragment")]).fetchone()
        return str(row[0]) if row else ""

    def _ancestors(self, message: str | None, until: str | None = None) -> Iterator[str]:
        seen: set[str] = set()
        while message is not None and message != until and message not in seen:
            if message not in self._messages:
                return
            seen.add(message)
            yield message
            message = self._messages[message][0]


def _turn(row: sqlite3.Row, prompt: str) -> Turn:
    details = as_object(row["token_details"])
    cost = details.get("cost")
    return Turn(
        id=str(row["id"]),
        thread=str(row["thread_id"] or ""),
        model=str(row["resolved_model"] or row["model"] or ""),
        prompt=prompt,
        created=as_date(row["datetime_utc"]),
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost=float(cost) if isinstance(cost, int | float) else None,
    )


def _generated(metadata: dict[str, Any], number: int, turn: Turn) -> GeneratedImage:
    digest = str(metadata.get("sha256") or "")
    path, url = metadata.get("path"), metadata.get("url")
    return GeneratedImage(
        number=number,
        # It becomes the name of a file.
        digest=digest if _DIGEST.fullmatch(digest) else "",
        path=Path(str(path)).absolute() if path else None,
        url=_safe_url(url),
        turn=turn,
        created=turn.created,
    )


def _safe_url(url: object) -> str | None:
    try:
        return Image.from_url(str(url)).url if url else None
    except InvalidImageError:
        return None


def _source(attachment: sqlite3.Row) -> Source:
    if attachment["path"]:
        path = Path(attachment["path"]).absolute()
        return Source(path.name, path)
    return Source(str(attachment["url"] or "an unnamed image"))


def _with_unlogged(logged: list[GeneratedImage], folder: Path) -> list[GeneratedImage]:
    known = {str(image.path) for image in logged}
    unlogged = []
    for path in sorted(folder.absolute().glob("emby-*")):
        name = _OUR_NAME.fullmatch(path.name)
        if name and str(path) not in known and path.is_file():
            modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            unlogged.append(GeneratedImage(0, name[1], path, None, None, modified))
    oldest = datetime.min.replace(tzinfo=UTC)
    images = sorted([*logged, *unlogged], key=lambda image: image.created or oldest)
    for number, image in enumerate(images, 1):
        image.number = number
    return images


def as_date(text: object) -> datetime | None:
    """A time of the log, in UTC by default; None for anything else."""
    try:
        date = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def as_object(text: str | None) -> dict[str, Any]:
    """A JSON object of the log; empty for anything else."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
