"""Renders the page, as text. Everything from outside goes through `_text`."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import groupby
from string import Template

from emby_plugins import clean_lines
from llm_emby._gallery.log import GeneratedImage, Source, Turn
from llm_emby._gallery.thumbnails import Thumbnail

GENERATOR = '<meta name="generator" content="emby-plugins gallery">'
"""Found near the start of every gallery and of no other file."""

# Control characters, and those that change the direction of the text around them.
_MAX_ALT = 200
_MONTHS = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]


def render(images: list[GeneratedImage], thumbnails: Mapping[int, Thumbnail]) -> str:
    """The page: the latest images first, by month. It loads nothing but the images' files."""
    style, script = _asset("page.css"), _asset("page.js")
    return Template(_asset("page.html")).substitute(
        generator=GENERATOR,
        policy=_text(_policy(style, script)),
        style=style,
        script=script,
        totals=_text(_totals(images)),
        state="" if images else "empty",
        months="".join(_months(images[::-1], thumbnails)),
    )


def _policy(style: str, script: str) -> str:
    """A Content Security Policy: nothing is loaded but images, no other style or script runs."""
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


def _months(images: list[GeneratedImage], thumbnails: Mapping[int, Thumbnail]) -> Iterator[str]:
    for month, members in groupby(images, key=lambda image: _month(image.created)):
        cards = "".join(_card(image, thumbnails[image.number]) for image in members)
        heading = f"<h2>{_text(month)}</h2>"
        yield f'<section class="month">{heading}<ul class="grid">{cards}</ul></section>\n'


def _card(image: GeneratedImage, thumbnail: Thumbnail) -> str:
    number, prompt = image.number, _prompt(image.turn)
    model = _text(image.turn.model) if image.turn else "not in the log"
    is_there = thumbnail.data_url is not None and not thumbnail.problem
    href = image.path.as_uri() if image.path and is_there else f"#p{number}"
    name, problem = _text(f"{prompt[:_MAX_ALT]} (image {number})"), _text(thumbnail.problem)
    if thumbnail.data_url:
        inside = f'<img src="{_text(thumbnail.data_url)}" alt="{name}" decoding="async">'
        inside += f'<span class="warn">{problem}</span>' if problem else ""
    else:
        inside = f'<span class="gap" role="img" aria-label="{name}">{problem}</span>'
    edit = '<span class="badge">edit</span>' if image.parents or image.sources else ""
    return (
        f'<li class="card" id="p{number}"><a class="tile" href="{_text(href)}">{inside}</a>'
        f'<p class="prompt" dir="auto">{_text(prompt)}</p>'
        f'<p class="facts">{edit}<span class="model">{model}</span>{_time(image.created)}</p>'
        f'<div class="more" hidden>{_more(image, problem)}</div></li>\n'
    )


def _more(image: GeneratedImage, problem: str) -> str:
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{value}</dd>" for name, value in _rows(image))
    return (
        (f'<p class="problem">{problem}.</p>' if problem else "")
        + _family("Made from", "from", image.parents, image.sources)
        + _family("Used for", "into", image.children)
        + f"<dl>{rows}</dl>"
    )


def _rows(image: GeneratedImage) -> Iterator[tuple[str, str]]:
    turn = image.turn
    if image.created:
        yield "Created", _text(f"{_day(image.created)}, {image.created.astimezone():%H:%M}")
    if turn:
        yield "Model", _text(turn.model)
        together = f" for {image.siblings} images" if image.siblings > 1 else ""
        if turn.cost is not None:
            yield "Cost", _text(_money(turn.cost) + together)
        if turn.input_tokens or turn.output_tokens:
            tokens = f"{turn.input_tokens or 0:,} in, {turn.output_tokens or 0:,} out"
            yield "Tokens", _text(tokens + together)
        command = f'llm --cid {turn.thread} "make it ..."'
        yield "Continue", f"<code>{_text(command)}</code>"
    if image.path:
        yield "File", _link(image.path.as_uri(), str(image.path))
    elif image.url:
        # Only followed when someone clicks.
        yield (
            "URL",
            f'<a href="{_text(image.url)}" rel="noreferrer noopener">{_text(image.url)}</a>',
        )


def _family(
    title: str, kind: str, members: Iterable[GeneratedImage], sources: Iterable[Source] = ()
) -> str:
    links = [
        f'<a class="kin" href="#p{member.number}">{_text(_prompt(member.turn))}</a>'
        for member in members
    ]
    links += [_link(source.path.as_uri() if source.path else "", source.name) for source in sources]
    if not links:
        return ""
    items = "".join(f"<li>{link}</li>" for link in links)
    return f'<h3>{title}</h3><ul class="family {kind}">{items}</ul>'


def _link(href: str, text: str) -> str:
    return f'<a href="{_text(href)}">{_text(text)}</a>' if href else _text(text)


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


def _time(created: datetime | None) -> str:
    if created is None:
        return ""
    here = created.astimezone()
    day = f"{here.day} {_MONTHS[here.month - 1][:3]}"
    exact = created.isoformat(timespec="seconds")
    return f'<time datetime="{exact}" title="{_day(created)}, {here:%H:%M}">{day}</time>'


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
