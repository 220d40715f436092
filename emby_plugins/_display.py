"""How a reply looks: HTML for notebooks, text everywhere else, whole or while it grows.

What a model said is escaped here, and nothing but text to the page: no script, no style sheet,
and no address is fetched. IPython is used where it runs already, and never imported otherwise.
"""

import re
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from importlib import import_module
from io import BytesIO
from threading import RLock, Timer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from emby_plugins._errors import EmbyError

if TYPE_CHECKING:
    from emby_plugins._chat import ChatReply
    from emby_plugins._images import Image

INTERVAL = 0.1
"""The least number of seconds between two looks at a growing reply."""

_PER_SECOND = 4_000_000
_AS_IT_IS = 256 * 1024
_PREVIEW = 768
_ALONE, _AMONG = 384, 224
_IN_BROWSERS = {"image/png", "image/jpeg", "image/webp", "image/gif"}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# Neither dark nor light: text has the page's own colour, and lines are grey on both.
_BOX = "max-width:60em;line-height:1.5;text-align:left"
_SAID = "white-space:pre-wrap;overflow-wrap:anywhere"
_FAINT = "opacity:.65;font-size:85%"
_TITLE = "opacity:.8;font-size:85%;font-weight:600;margin-top:8px"
_SHEET = "display:flex;flex-wrap:wrap;gap:12px;margin:8px 0"
_PICTURE = "max-width:100%;height:auto;margin:0;border-radius:6px"
_CALL = (
    "margin:6px 0;padding:6px 10px;border-left:3px solid rgba(128,128,128,.5);"
    "white-space:pre-wrap;overflow-wrap:anywhere;font-family:monospace"
)

_Figure = tuple[str, str, int]
"""A picture's source (none, where it can't be shown), its caption, and its width in pixels."""


def bundle(reply: "ChatReply", title: str = "") -> dict[str, str]:
    """The reply in the forms that a notebook picks from."""
    figures = [_figure(image) for image in reply.images]
    return {"text/html": _html(reply, figures, title), "text/plain": plain(reply, title)}


def plain(reply: "ChatReply", title: str = "") -> str:
    """The reply as text, with a line for each image and each call of a tool."""
    lines = [title, reply.text, *_after_the_text(reply)]
    return _clean("\n".join(line for line in lines if line)) or "(an empty reply)"


def show(reply: "ChatReply", title: str = "") -> None:
    """Show a reply below the cell of a notebook; print it elsewhere."""
    display = _notebook()
    if display is None:
        sys.stdout.write(f"{plain(reply, title)}\n")
    else:
        display(bundle(reply, title), raw=True)


@contextmanager
def growing(so_far: "Callable[[], ChatReply]") -> Iterator[Callable[[], None]]:
    """Show what `so_far` returns, anew whenever the yielded function says there is more.

    However it ends, what had come by then stands there. It is looked at ten times a second at
    most; the last piece before a silence is shown no later than that.
    """
    display = _notebook()
    reply = _Growing(so_far, _Printed() if display is None else _Displayed(display))
    try:
        yield reply.more
    finally:
        reply.end()


class _Growing:
    """When to look: at once, or by a timer as soon as the last look is `INTERVAL` old."""

    def __init__(self, so_far: "Callable[[], ChatReply]", place: "_Printed | _Displayed") -> None:
        self._so_far = so_far
        self._place = place
        self._due = 0.0
        self._timer: Timer | None = None
        self._lock = RLock()

    def more(self) -> None:
        if self._timer is not None:
            return
        with self._lock:
            wait = self._due - time.monotonic()
            if wait <= 0:
                self._look()
            else:
                self._timer = Timer(wait, self._late)
                self._timer.daemon = True
                self._timer.start()

    def end(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._place.draw(self._so_far(), is_whole=True)

    def _late(self) -> None:
        with self._lock:
            # It may have waited for the lock while the reply came to its end.
            if self._timer is not None:
                self._timer = None
                self._look()

    def _look(self) -> None:
        size = self._place.draw(self._so_far())
        # A page full of pictures is not sent over and over.
        self._due = time.monotonic() + max(INTERVAL, size / _PER_SECOND)


class _Displayed:
    """A place in a notebook, drawn over each time."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._figures: list[_Figure] = []
        self._handle: Any = None

    def draw(self, reply: "ChatReply", *, is_whole: bool = False) -> int:
        self._figures += map(_figure, reply.images[len(self._figures) :])
        html = _html(reply, self._figures, is_whole=is_whole)
        shown = {"text/html": html, "text/plain": plain(reply)}
        if self._handle is None:
            self._handle = self._display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
        return len(html)


class _Printed:
    """Standard output, which only ever gets longer."""

    def __init__(self) -> None:
        self._text = 0

    def draw(self, reply: "ChatReply", *, is_whole: bool = False) -> int:
        news = _clean(reply.text[self._text :])
        self._text = len(reply.text)
        if is_whole:
            news += "".join(f"\n{_clean(line)}" for line in _after_the_text(reply)) + "\n"
        sys.stdout.write(news)
        sys.stdout.flush()
        return 0


def _after_the_text(reply: "ChatReply") -> Iterator[str]:
    yield from map(repr, reply.images)
    yield from (f"{call.name}({call.arguments})" for call in reply.tool_calls)


def _notebook() -> Callable[..., Any] | None:
    """IPython's `display`, where a notebook is there to show what it is given."""
    running = sys.modules.get("IPython")
    shell = running.get_ipython() if running is not None else None
    if getattr(shell, "kernel", None) is None:
        return None
    found: Callable[..., Any] = import_module("IPython.display").display
    return found


def _html(
    reply: "ChatReply", figures: Sequence[_Figure], title: str = "", *, is_whole: bool = True
) -> str:
    pieces = [f'<div style="{_TITLE}">{_text(title)}</div>'] if title else []
    if reply.reasoning:
        thought = f'<div style="{_SAID};{_FAINT};margin:4px 0 8px">{_text(reply.reasoning)}</div>'
        unfolded = "" if is_whole or reply.text else " open"
        summary = f'<summary style="{_FAINT};cursor:pointer">Reasoning</summary>'
        pieces.append(f"<details{unfolded}>{summary}{thought}</details>")
    cursor = "" if is_whole else '<span style="opacity:.5">&#9613;</span>'
    if reply.text or cursor:
        pieces.append(f'<div dir="auto" style="{_SAID}">{_text(reply.text)}{cursor}</div>')
    if figures:
        most = _ALONE if len(figures) == 1 else _AMONG
        shown = "".join(
            _shown(figure, image, most)
            for figure, image in zip(figures, reply.images, strict=False)
        )
        pieces.append(f'<div style="{_SHEET}">{shown}</div>')
    pieces += (
        f'<div style="{_CALL}">{_text(call.name)}({_text(call.arguments)})</div>'
        for call in reply.tool_calls
    )
    links = [_link(cited.url, cited.title or cited.url) for cited in reply.citations]
    facts = [*map(escape, _facts(reply)), *links] if is_whole else []
    if facts:
        pieces.append(f'<div style="{_FAINT}">{" &middot; ".join(facts)}</div>')
    # Without these classes JupyterLab takes what stands between two dollar signs for a formula.
    classes = "emby-reply tex2jax_ignore mathjax_ignore"
    return f'<div class="{classes}" style="{_BOX}">{"".join(pieces)}</div>'


def _facts(reply: "ChatReply") -> Iterator[str]:
    if reply.model:
        yield _clean(reply.model)
    if reply.usage is not None:
        yield f"{reply.usage.total_tokens:,} tokens"
        if reply.usage.cost is not None:
            yield f"${reply.usage.cost:.4g}"
    if reply.finish_reason in {"length", "content_filter"}:
        yield f"ended by {reply.finish_reason}"


def _shown(figure: _Figure, image: "Image", most: int) -> str:
    source, caption, width = figure
    if not source:
        told = caption if image.url is None else _link(image.url, caption)
        return f'<div style="{_SAID}">{told}</div>'
    prompt = image.provenance.prompt if image.provenance else ""
    alt = _text(prompt[:300]) or "image"
    return (
        f'<figure style="margin:0;max-width:100%">'
        f'<img src="{source}" alt="{alt}" width="{min(width, most)}" style="{_PICTURE}">'
        f'<figcaption style="{_FAINT}">{caption}</figcaption></figure>'
    )


def _figure(image: "Image") -> _Figure:
    """What stands for an image: its own bytes, or a smaller picture of a large one."""
    told = _text(repr(image))
    try:
        if image.media_type not in _IN_BROWSERS:
            return "", told, 0
        width, height = image.size
        data = image.data
        source = image.data_url if len(data) <= _AS_IT_IS else _preview(image)
    except EmbyError:
        return "", f"{told} can't be shown: it is damaged, or gone.", 0
    kind = str(image.media_type).removeprefix("image/").upper()
    return source, f"{width} &times; {height} {kind}, {_amount(len(data))}", width


def _preview(image: "Image") -> str:
    picture = image.to_pil()
    if picture.mode not in {"RGB", "RGBA"}:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    picture.thumbnail((_PREVIEW, _PREVIEW))
    out = BytesIO()
    picture.save(out, format="WEBP", quality=80)
    return f"data:image/webp;base64,{b64encode(out.getvalue()).decode()}"


def _amount(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"


def _link(url: str, said: str) -> str:
    try:
        leads_somewhere = urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        leads_somewhere = False
    if not leads_somewhere:
        return _text(said)
    return f'<a href="{_text(url)}" rel="noopener noreferrer" target="_blank">{_text(said)}</a>'


def _text(said: str) -> str:
    return escape(_clean(said))


def _clean(said: str) -> str:
    """Without what would move a cursor, colour a terminal, or turn the reading direction."""
    return _UNPRINTABLE.sub("", said)
