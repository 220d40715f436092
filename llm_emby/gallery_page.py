"""The gallery's page, as text. Everything from outside goes through `_text` or `_attribute`."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from string import Template

from llm_emby.gallery_log import Picture, Source, Turn
from llm_emby.gallery_thumbnails import Thumbnail

GENERATOR = '<meta name="generator" content="emby-plugins gallery">'
"""Stands near the head of every gallery, and of nothing else."""

# Control characters, and those that turn the direction of the text around them.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_ALT = 200
_MONTHS = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]


def render(pictures: list[Picture], thumbnails: Mapping[int, Thumbnail]) -> str:
    """The page: newest pictures first, by month. It needs nothing from outside but the files."""
    style, script = _part("gallery.css"), _part("gallery.js")
    newest = list(reversed(pictures))
    return Template(_part("gallery.html")).substitute(
        generator=GENERATOR,
        policy=_attribute(_policy(style, script)),
        style=style,
        script=script,
        totals=_text(_totals(pictures)),
        state="" if pictures else "empty",
        months="".join(_months(newest, thumbnails)),
    )


def _policy(style: str, script: str) -> str:
    """Nothing is loaded from anywhere but the pictures; no style or script runs but these."""
    rules = (
        "default-src 'none'",
        "img-src data: file:",
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


def _part(name: str) -> str:
    return files("llm_emby").joinpath(name).read_text(encoding="utf-8")


def _totals(pictures: list[Picture]) -> str:
    if not pictures:
        return "Nothing here yet"
    turns = {picture.turn.id: picture.turn for picture in pictures if picture.turn}
    models = len({turn.model for turn in turns.values()})
    said = [_count(len(pictures), "picture")]
    if models:
        said.append(_count(models, "model"))
    costs = [turn.cost for turn in turns.values() if turn.cost is not None]
    if costs:
        said.append(_money(sum(costs)))
    return " · ".join(said)


def _months(pictures: list[Picture], thumbnails: Mapping[int, Thumbnail]) -> Iterator[str]:
    for month, of_it in groupby(pictures, key=lambda picture: _month(picture.made)):
        cards = "".join(_card(picture, thumbnails[picture.number]) for picture in of_it)
        heading = f"<h2>{_text(month)}</h2>"
        yield f'<section class="month">{heading}<ul class="grid">{cards}</ul></section>\n'


def _card(picture: Picture, thumbnail: Thumbnail) -> str:
    number, prompt = picture.number, _prompt(picture.turn)
    model = _text(picture.turn.model) if picture.turn else "not in the log"
    href = _href(picture.path) if picture.path and _is_there(thumbnail) else f"#p{number}"
    name = _attribute(f"{prompt[:_ALT]} (picture {number})")
    if thumbnail.data_url:
        inside = f'<img src="{_attribute(thumbnail.data_url)}" alt="{name}" decoding="async">'
        inside += f'<span class="warn">{_text(thumbnail.problem)}</span>' * bool(thumbnail.problem)
    else:
        inside = f'<span class="gap" role="img" aria-label="{name}">{_text(thumbnail.problem)}'
        inside += "</span>"
    edit = '<span class="badge">edit</span>' if picture.parents or picture.sources else ""
    return (
        f'<li class="card" id="p{number}"><a class="tile" href="{_attribute(href)}">{inside}</a>'
        f'<p class="prompt" dir="auto">{_text(prompt)}</p>'
        f'<p class="facts">{edit}<span class="model">{model}</span>{_time(picture.made)}</p>'
        f'<div class="more" hidden>{_more(picture, thumbnail)}</div></li>\n'
    )


def _more(picture: Picture, thumbnail: Thumbnail) -> str:
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{value}</dd>" for name, value in _rows(picture))
    problem = f'<p class="problem">{_text(thumbnail.problem)}.</p>' if thumbnail.problem else ""
    sources = "".join(map(_source, picture.sources))
    return (
        problem
        + _family("Made from", "from", picture.parents, sources)
        + _family("Made into", "into", picture.children)
        + f"<dl>{rows}</dl>"
    )


def _rows(picture: Picture) -> Iterator[tuple[str, str]]:
    turn = picture.turn
    if picture.made:
        yield "Made", _text(f"{_day(picture.made)}, {picture.made.astimezone():%H:%M}")
    if turn:
        yield "Model", _text(turn.model)
        of_all = f" for {picture.together} pictures" if picture.together > 1 else ""
        if turn.cost is not None:
            yield "Cost", _text(_money(turn.cost) + of_all)
        if turn.input_tokens or turn.output_tokens:
            tokens = f"{turn.input_tokens or 0:,} in, {turn.output_tokens or 0:,} out"
            yield "Tokens", _text(tokens + of_all)
        command = f'llm --cid {turn.thread} "make it ..."'
        yield "Go on", f"<code>{_text(command)}</code>"
    if picture.path:
        link = f'<a href="{_attribute(_href(picture.path))}">{_text(str(picture.path))}</a>'
        yield "File", link
    elif picture.url:
        # Its address is shown, and only followed when someone clicks.
        url = _attribute(picture.url)
        yield "Address", f'<a href="{url}" rel="noreferrer noopener">{_text(picture.url)}</a>'


def _family(title: str, kind: str, members: Iterable[Picture], others: str = "") -> str:
    links = "".join(
        f'<li><a class="kin" href="#p{kin.number}">{_text(_prompt(kin.turn))}</a></li>'
        for kin in members
    )
    if not links and not others:
        return ""
    return f'<h3>{title}</h3><ul class="family {kind}">{links}{others}</ul>'


def _source(source: Source) -> str:
    name = _text(source.name)
    if source.path is None:
        return f"<li>{name}</li>"
    return f'<li><a href="{_attribute(_href(source.path))}">{name}</a></li>'


def _prompt(turn: Turn | None) -> str:
    return (turn.prompt if turn else "") or "Without a prompt"


def _is_there(thumbnail: Thumbnail) -> bool:
    return thumbnail.data_url is not None and not thumbnail.problem


def _href(path: Path) -> str:
    return path.as_uri()


# strftime's names follow the locale, while the rest of the page is English.
def _month(made: datetime | None) -> str:
    if made is None:
        return "Some day"
    here = made.astimezone()
    return f"{_MONTHS[here.month - 1]} {here.year}"


def _day(made: datetime) -> str:
    return f"{made.astimezone().day} {_month(made)}"


def _time(made: datetime | None) -> str:
    if made is None:
        return ""
    here = made.astimezone()
    day = f"{here.day} {_MONTHS[here.month - 1][:3]}"
    exact = made.isoformat(timespec="seconds")
    return f'<time datetime="{exact}" title="{_day(made)}, {here:%H:%M}">{day}</time>'


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
    return escape(_UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value))


_attribute = _text
