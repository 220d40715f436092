"""Display replies: HTML in notebooks, plain text elsewhere, complete or while streaming.

Everything a model wrote is escaped, so the page treats it as text: no scripts, no style sheets, and
no URL is fetched. IPython is used if already running and never imported otherwise.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from importlib import import_module
from threading import RLock, Timer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from emby_plugins._errors import EmbyError
from emby_plugins._media_types import ACCEPTED_MEDIA_TYPES
from emby_plugins._text import clean_lines

if TYPE_CHECKING:
    from emby_plugins._chat import ChatReply
    from emby_plugins._images import Image

INTERVAL = 0.1
"""Minimum number of seconds between two updates of a streaming reply."""

_BYTES_PER_SECOND = 4_000_000
_MAX_INLINE = 256 * 1024
_PREVIEW = 768
_SINGLE_WIDTH, _GRID_WIDTH = 384, 224

# Works in light and dark themes: text inherits the page's color, borders are a neutral gray.
_BOX = "max-width:60em;line-height:1.5;text-align:left"
_BODY = "white-space:pre-wrap;overflow-wrap:anywhere"
_FAINT = "opacity:.65;font-size:85%"
_TITLE = "opacity:.8;font-size:85%;font-weight:600;margin-top:8px"
_GRID = "display:flex;flex-wrap:wrap;gap:12px;margin:8px 0"
_IMAGE = "max-width:100%;height:auto;margin:0;border-radius:6px"
_CALL = (
    "margin:6px 0;padding:6px 10px;border-left:3px solid rgba(128,128,128,.5);"
    "white-space:pre-wrap;overflow-wrap:anywhere;font-family:monospace"
)

_Figure = tuple[str, str, int]
"""An image's `src` (empty if it can't be shown), its caption, and its width in pixels."""


def bundle(reply: "ChatReply", title: str = "") -> dict[str, str]:
    """Return the reply as a MIME bundle, of which a notebook picks a format."""
    figures = [_figure(image) for image in reply.images]
    return {"text/html": _html(reply, figures, title), "text/plain": plain(reply, title)}


def plain(reply: "ChatReply", title: str = "") -> str:
    """Return the reply as text, with one line for each image and tool call."""
    lines = [title, reply.text, *_after_the_text(reply)]
    return clean_lines("\n".join(line for line in lines if line)) or "(an empty reply)"


def show(reply: "ChatReply", title: str = "") -> None:
    """Display a reply below a notebook's cell, or print it."""
    display = _notebook()
    if display is None:
        sys.stdout.write(f"{plain(reply, title)}\n")
    else:
        display(bundle(reply, title), raw=True)


@contextmanager
def growing(so_far: "Callable[[], ChatReply]") -> Iterator[Callable[[], None]]:
    """Display what `so_far` returns, updated when the yielded function is called.

    Updates happen at most ten times a second. A pause in the stream never hides text for longer
    than that, and when the stream ends or fails, everything received is shown.
    """
    display = _notebook()
    reply = _LiveReply(so_far, _Printed() if display is None else _Displayed(display))
    try:
        yield reply.more
    finally:
        reply.end()


class _LiveReply:
    """Schedules updates: now or, if the last one is too recent, by a timer."""

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
                self._update()
            else:
                self._timer = Timer(wait, self._update_late)
                self._timer.daemon = True
                self._timer.start()

    def end(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._place.draw(self._so_far(), is_whole=True)

    def _update_late(self) -> None:
        with self._lock:
            # `end` may have run while this thread was waiting for the lock.
            if self._timer is not None:
                self._timer = None
                self._update()

    def _update(self) -> None:
        size = self._place.draw(self._so_far())
        # Each update sends all images again, so large pages are updated less often.
        self._due = time.monotonic() + max(INTERVAL, size / _BYTES_PER_SECOND)


class _Displayed:
    """An output of a notebook, replaced on each update."""

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
    """Standard output, to which new text is appended."""

    def __init__(self) -> None:
        self._text = 0

    def draw(self, reply: "ChatReply", *, is_whole: bool = False) -> int:
        news = clean_lines(reply.text[self._text :])
        self._text = len(reply.text)
        if is_whole:
            news += "".join(f"\n{clean_lines(line)}" for line in _after_the_text(reply)) + "\n"
        sys.stdout.write(news)
        sys.stdout.flush()
        return 0


def _after_the_text(reply: "ChatReply") -> Iterator[str]:
    yield from map(repr, reply.images)
    yield from (f"{call.name}({call.arguments})" for call in reply.tool_calls)


def _notebook() -> Callable[..., Any] | None:
    """Return IPython's `display`, or None outside of a notebook."""
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
        thought = f'<div style="{_BODY};{_FAINT};margin:4px 0 8px">{_text(reply.reasoning)}</div>'
        unfolded = "" if is_whole or reply.text else " open"
        summary = f'<summary style="{_FAINT};cursor:pointer">Reasoning</summary>'
        pieces.append(f"<details{unfolded}>{summary}{thought}</details>")
    cursor = "" if is_whole else '<span style="opacity:.5">&#9613;</span>'
    if reply.text or cursor:
        pieces.append(f'<div dir="auto" style="{_BODY}">{_text(reply.text)}{cursor}</div>')
    if figures:
        most = _SINGLE_WIDTH if len(figures) == 1 else _GRID_WIDTH
        shown = "".join(
            _shown(figure, image, most)
            for figure, image in zip(figures, reply.images, strict=False)
        )
        pieces.append(f'<div style="{_GRID}">{shown}</div>')
    pieces += (
        f'<div style="{_CALL}">{_text(call.name)}({_text(call.arguments)})</div>'
        for call in reply.tool_calls
    )
    links = [_link(cited.url, cited.title or cited.url) for cited in reply.citations]
    facts = [*map(escape, _facts(reply)), *links] if is_whole else []
    if facts:
        pieces.append(f'<div style="{_FAINT}">{" &middot; ".join(facts)}</div>')
    # Without these classes, JupyterLab typesets text between two dollar signs as a formula.
    classes = "emby-reply tex2jax_ignore mathjax_ignore"
    return f'<div class="{classes}" style="{_BOX}">{"".join(pieces)}</div>'


def _facts(reply: "ChatReply") -> Iterator[str]:
    if reply.model:
        yield clean_lines(reply.model)
    if reply.usage is not None:
        yield f"{reply.usage.total_tokens:,} tokens"
        if reply.usage.cost is not None:
            about = "about " if reply.usage.cost_is_estimate else ""
            yield f"{about}${reply.usage.cost:.4g}"
    if reply.finish_reason in {"length", "content_filter"}:
        yield f"ended by {reply.finish_reason}"


def _shown(figure: _Figure, image: "Image", most: int) -> str:
    source, caption, width = figure
    if not source:
        label = caption if image.url is None else _link(image.url, caption)
        return f'<div style="{_BODY}">{label}</div>'
    prompt = image.provenance.prompt if image.provenance else ""
    alt = _text(prompt[:300]) or "image"
    return (
        f'<figure style="margin:0;max-width:100%">'
        f'<img src="{source}" alt="{alt}" width="{min(width, most)}" style="{_IMAGE}">'
        f'<figcaption style="{_FAINT}">{caption}</figcaption></figure>'
    )


def _figure(image: "Image") -> _Figure:
    """Return how to show an image: by its own bytes or, if large, a preview."""
    label = _text(repr(image))
    try:
        if image.media_type not in ACCEPTED_MEDIA_TYPES:
            return "", label, 0
        width, height = image.size
        data = image.data
        source = image.data_url if len(data) <= _MAX_INLINE else image.thumbnail(_PREVIEW).data_url
    except EmbyError:
        return "", f"{label} can't be shown: it is damaged or no longer exists.", 0
    kind = str(image.media_type).removeprefix("image/").upper()
    return source, f"{width} &times; {height} {kind}, {_format_size(len(data))}", width


def _format_size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"


def _link(url: str, label: str) -> str:
    try:
        is_web = urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        is_web = False
    if not is_web:
        return _text(label)
    return f'<a href="{_text(url)}" rel="noopener noreferrer" target="_blank">{_text(label)}</a>'


def _text(text: str) -> str:
    return escape(clean_lines(text))
