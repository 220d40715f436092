"""`%load_ext emby_plugins`: lists of images display themselves in a notebook."""

from collections.abc import Sequence
from typing import Any

from emby_plugins._chat import ChatReply
from emby_plugins._images import Image


def load_ipython_extension(shell: Any) -> None:
    """Let lists and tuples of images be displayed as a contact sheet: `%load_ext emby_plugins`.

    Any other list is displayed as before. Messages of LangChain need no extension: importing
    `langchain_emby` is enough.
    """
    formatter = shell.display_formatter.formatters["text/html"]
    for kind in (list, tuple):
        formatter.for_type(kind, _to_html)


def unload_ipython_extension(shell: Any) -> None:
    """Display lists of images as text again: `%unload_ext emby_plugins`."""
    formatter = shell.display_formatter.formatters["text/html"]
    for kind in (list, tuple):
        formatter.pop(kind, None)


def _to_html(items: Sequence[Any]) -> str | None:
    """A contact sheet; None for anything but images, which leaves it to IPython."""
    images = [item for item in items if isinstance(item, Image)]
    if not images or len(images) < len(items):
        return None
    return ChatReply(images=tuple(images))._repr_mimebundle_()["text/html"]
