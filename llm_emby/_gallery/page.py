"""Renders the page: HTML with the data of all images, which its script displays as one scrolls.

All outside data passes through `_text` into the HTML, or through `clean_lines` into the data,
of which the script makes text and never HTML.
"""

import base64
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import islice
from pathlib import Path
from string import Template
from typing import Any
from urllib.request import pathname2url

from emby_plugins import EmbyError, clean_lines
from llm_emby._gallery.log import GeneratedImage, Source, Turn
from llm_emby._gallery.thumbnails import Thumbnail

GENERATOR = '<meta name="generator" content="emby-plugins gallery">'
"""Found near the start of every gallery and of no other file."""

MAX_INLINE = 500
"""A page of at most so many images contains their thumbnails; a larger one loads them as files."""

_MAX_WITHOUT_SCRIPT = 100
_FIRST = 120  # what is on the page before the rest is unpacked
_MAX_ALT = 200
_MONTHS = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]


def render(
    images: list[GeneratedImage], thumbnails: Mapping[int, Thumbnail], folder: Path
) -> bytes:
    """The page for `folder`, the latest images first. It loads nothing but the images' files."""
    style, script = _asset("page.css"), _asset("page.js")
    is_inline = len(images) <= MAX_INLINE
    records = (
        _record(image, thumbnails[image.number], None if is_inline else folder)
        for image in reversed(images)
    )
    page = Template(_asset("page.html")).substitute(
        generator=GENERATOR,
        policy=_text(_policy(style, script)),
        style=style,
        script=script,
        totals=_text(_totals(images)),
        state="" if images else "empty",
        links="".join(_plain_links(images)),
        latest=_packed(islice(records, _FIRST)),
        older=_packed(records),
    )
    return page.encode("utf-8", "replace")


def _policy(style: str, script: str) -> str:
    """A Content Security Policy: nothing is loaded but images, no other style or script runs."""
    rules = (
        "default-src 'none'",
        "img-src 'self' data: file:",
        f"style-src {_hash(style)}",
        f"script-src {_hash(script)}",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    )
    return "; ".join(rules)


def _hash(code: str) -> str:
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _asset(name: str) -> str:
    return files("llm_emby._gallery").joinpath(name).read_text(encoding="utf-8")


def _totals(images: list[GeneratedImage]) -> str:
    if not images:
        return "No images yet"
    turns = {image.turn.id: image.turn for image in images if image.turn}
    models = len({turn.model for turn in turns.values()})
    totals = [_count(len(images), "image")]
    if models:
        totals.append(_count(models, "model"))
    costs = [turn.cost for turn in turns.values() if turn.cost is not None]
    if costs:
        totals.append(_money(sum(costs)))
    return " · ".join(totals)


def _packed(records: Iterable[list[Any]]) -> str:
    """The records as lines of JSON, deflated, in base64: a tenth of their size as HTML."""
    deflate = zlib.compressobj()
    packed = bytearray()
    for record in records:
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        packed += deflate.compress(line.encode("utf-8", "replace") + b"\n")
    return base64.b64encode(packed + deflate.flush()).decode()


def _record(image: GeneratedImage, thumbnail: Thumbnail, folder: Path | None) -> list[Any]:
    """One image as page.js reads it."""
    source = _source(thumbnail, folder)
    is_there = image.path is not None and source and not thumbnail.problem
    created = image.created
    return [
        image.number,
        source,
        image.path.as_uri() if image.path and is_there else "",
        thumbnail.problem,
        clean_lines(_prompt(image.turn)),
        clean_lines(image.turn.model) if image.turn else "not in the log",
        _month(created),
        *([created.isoformat(timespec="seconds"), _short_day(created)] if created else ["", ""]),
        list(_rows(image)),
        _family(image.parents, image.sources),
        _family(image.children),
    ]


def _source(thumbnail: Thumbnail, folder: Path | None) -> str:
    """The address of a thumbnail: its data if there is no folder or no file, else its file."""
    small = thumbnail.image
    if small is None:
        return ""
    if folder is None or small.path is None:
        try:
            return small.data_url
        except EmbyError:  # it disappeared
            return ""
    try:
        return pathname2url(os.path.relpath(small.path, folder))
    except ValueError:  # on another drive of Windows
        return small.path.as_uri()


def _rows(image: GeneratedImage) -> Iterator[tuple[str, ...]]:
    """Name, text and perhaps the address of each detail."""
    turn = image.turn
    if image.created:
        yield "Created", f"{_day(image.created)}, {image.created.astimezone():%H:%M}"
    if turn:
        yield "Model", clean_lines(turn.model)
        together = f" for {image.siblings} images" if image.siblings > 1 else ""
        if turn.cost is not None:
            yield "Cost", _money(turn.cost) + together
        if turn.input_tokens or turn.output_tokens:
            yield (
                "Tokens",
                f"{turn.input_tokens or 0:,} in, {turn.output_tokens or 0:,} out{together}",
            )
        yield "Continue", clean_lines(f'llm --cid {turn.thread} "make it ..."')
    if image.path:
        yield "File", clean_lines(str(image.path)), image.path.as_uri()
    elif image.url:
        # Only followed when someone clicks.
        yield "URL", clean_lines(image.url), image.url


def _family(members: Iterable[GeneratedImage], sources: Iterable[Source] = ()) -> list[Any]:
    """The numbers of images, and the name and address of each other source."""
    return [
        *(member.number for member in members),
        *([clean_lines(s.name), s.path.as_uri() if s.path else ""] for s in sources),
    ]


def _plain_links(images: list[GeneratedImage]) -> Iterator[str]:
    """Links to the latest images, for a browser without JavaScript."""
    for image in images[: -_MAX_WITHOUT_SCRIPT - 1 : -1]:
        if image.path:
            name = _text(_prompt(image.turn)[:_MAX_ALT])
            yield f'<li><a href="{_text(image.path.as_uri())}">{name}</a></li>\n'


def _prompt(turn: Turn | None) -> str:
    return (turn.prompt if turn else "") or "No prompt"


# strftime's names follow the locale, while the rest of the page is English.
def _month(created: datetime | None) -> str:
    if created is None:
        return "Unknown date"
    here = created.astimezone()
    return f"{_MONTHS[here.month - 1]} {here.year}"


def _day(created: datetime) -> str:
    return f"{created.astimezone().day} {_month(created)}"


def _short_day(created: datetime) -> str:
    here = created.astimezone()
    return f"{here.day} {_MONTHS[here.month - 1][:3]}"


def _money(dollars: float) -> str:
    if 0 < dollars < 0.0001:
        return "under $0.0001"
    if dollars >= 1:
        return f"${dollars:,.2f}"
    whole, _, cents = f"{dollars:.4f}".partition(".")
    return f"${whole}.{cents[:2]}{cents[2:].rstrip('0')}"


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _text(value: str) -> str:
    return escape(clean_lines(value))
