"""Helpers of the gallery's tests: its page as a browser reads it, and rows of a log."""

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
    """One image on the page: its link, its image, and all of its text."""

    id: str
    href: str = ""
    image: str = ""
    text: str = ""
    links: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """The page as a browser reads it: cards, tags, and attributes that could run something."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.cards: list[Card] = []
        self.code = re.findall(r"<(?:style|script)>(.*?)</", self.html, re.DOTALL)
        self.text = ""
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes += given.items()
        if tag == "li" and given.get("class") == "card":
            self.cards.append(Card(given["id"]))
        elif tag == "a" and given.get("class") == "tile":
            self.cards[-1].href = given["href"]
        elif tag == "a" and self.cards:
            self.cards[-1].links.append(given["href"])
        elif tag == "img" and given.get("src", "").startswith("data:"):
            self.cards[-1].image = given["src"]

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cards:
            self.cards[-1].text += data


def made(
    log: sqlite3.Connection,
    number: int,
    prompt: str,
    files: Iterable[tuple[str, str]],
    details: dict[str, Any] | None = None,
) -> None:
    """Log a turn that generated these images: paths and digests."""
    asked, answered = f"asked-{number}", f"answered-{number}"
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    log.executemany(
        "insert into messages (hash, parent_hash, role) values (?, ?, ?)",
        [(asked, None, "user"), (answered, asked, "assistant")],
    )
    noted = [
        (answered, at, "text", path, json.dumps({"provider_metadata": {"emby": {"image": note}}}))
        for at, (path, digest) in enumerate(files)
        for note in [{"path": path, "sha256": digest, "media_type": "image/png"}]
    ]
    log.executemany(
        "insert into parts (message_hash, position, type, text, payload) values (?, ?, ?, ?, ?)",
        [(asked, 0, "text", prompt, None), *noted],
    )
    log.execute(
        "insert into turns (id, thread_id, parent_message_hash, tip_message_hash, model,"
        " input_tokens, output_tokens, token_details, datetime_utc)"
        " values (?, 'thread', ?, ?, 'emby/some-model', 12, 1290, ?, ?)",
        [f"turn-{number:05}", asked, answered, details and json.dumps(details), when.isoformat()],
    )
    log.commit()


def stored(path: Path, data: bytes) -> tuple[str, str]:
    """A file with these bytes: its path and its digest."""
    path.write_bytes(data)
    return str(path), hashlib.sha256(data).hexdigest()


def huge() -> bytes:
    """A small PNG that claims to be 20,000 pixels wide and high."""
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
