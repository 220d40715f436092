"""Helpers for the gallery's tests: the page as a browser reads it, and rows of a log."""

import base64
import hashlib
import json
import re
import sqlite3
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from support import picture


@dataclass
class Card:
    """An image on the page: its link, its image and all of its text."""

    id: str
    href: str = ""
    image: str = ""
    text: str = ""
    links: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """The page as a browser reads it: cards, tags, and attributes that could run code."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.code = re.findall(r"<(?:style|script)>(.*?)</", self.html, re.DOTALL)
        self.text = ""
        self.feed(self.html)
        self.cards = []
        for packed in re.findall(r"<script id=[^>]*>([^<]*)</script>", self.html):
            data = zlib.decompress(base64.b64decode(packed, validate=True)).decode()
            self.cards += [_card(json.loads(line)) for line in data.split("\n")[:-1]]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += ((name, value or "") for name, value in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def _card(record: list[Any]) -> Card:
    number, source, href, problem, *texts, rows, made_from, used_for = record
    families = {"Made from": made_from, "Used for": used_for}
    members = [member for family in families.values() for member in family]
    named = [member for member in members if isinstance(member, list)]
    titles = [title for title, family in families.items() if family]
    words = [problem, *texts, *titles, *(row[1] for row in rows), *(name for name, _ in named)]
    links = [f"#p{member}" if isinstance(member, int) else member[1] for member in members]
    links += [row[2] for row in rows if len(row) == 3]
    return Card(f"p{number}", href or f"#p{number}", source, "\n".join(words), links)


def made(
    log: sqlite3.Connection,
    number: int,
    prompt: str,
    files: Iterable[tuple[str, str]],
    details: dict[str, Any] | None = None,
) -> None:
    """Log a turn that generated these images, given as paths and digests."""
    question, answered = f"asked-{number}", f"answered-{number}"
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    log.executemany(
        "insert into messages (hash, parent_hash, role) values (?, ?, ?)",
        [(question, None, "user"), (answered, question, "assistant")],
    )
    noted = [
        (answered, at, "text", path, json.dumps({"provider_metadata": {"emby": {"image": note}}}))
        for at, (path, digest) in enumerate(files)
        for note in [{"path": path, "sha256": digest, "media_type": "image/png"}]
    ]
    log.executemany(
        "insert into parts (message_hash, position, type, text, payload) values (?, ?, ?, ?, ?)",
        [(question, 0, "text", prompt, None), *noted],
    )
    log.execute(
        "insert into turns (id, thread_id, parent_message_hash, tip_message_hash, model,"
        " input_tokens, output_tokens, token_details, datetime_utc)"
        " values (?, 'thread', ?, ?, 'emby/some-model', 12, 1290, ?, ?)",
        [
            f"turn-{number:05}",
            question,
            answered,
            details and json.dumps(details),
            when.isoformat(),
        ],
    )
    log.commit()


def stored(path: Path, data: bytes) -> tuple[str, str]:
    """Write a file with these bytes, and return its path and digest."""
    path.write_bytes(data)
    return str(path), hashlib.sha256(data).hexdigest()


def huge() -> bytes:
    """Return a small PNG that claims a size of 20,000 pixels in both directions."""
    data = picture()
    header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def many(log: sqlite3.Connection, folder: Path, count: int, files: int) -> None:
    """Log `count` images in `files` different files."""
    drawn = [
        stored(folder / f"{n}.png", picture(f"rgb({n},{n * 5 % 256},99)")) for n in range(files)
    ]
    for number in range(count):
        made(log, number, f"picture {number}", [drawn[number % files]])
