"""`%load_ext emby_plugins`: IPython's display of lists of images."""

from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.formatters import HTMLFormatter
from support import picture

import emby_plugins
from emby_plugins import Image


@pytest.fixture
def html() -> HTMLFormatter:
    """IPython's own HTML formatter, with the extension loaded."""
    formatter = HTMLFormatter()
    emby_plugins.load_ipython_extension(shell(formatter))
    return formatter


def shell(formatter: HTMLFormatter) -> Any:
    """Return a shell with the attributes that the extension uses."""
    return SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": formatter}))


@pytest.mark.parametrize("kind", [list, tuple])
def test_images_become_a_contact_sheet(html: HTMLFormatter, kind: type) -> None:
    """A list or tuple of images is shown as HTML until the extension is unloaded."""
    images = kind(Image.from_bytes(picture(color)) for color in ("red", "blue"))
    assert html(images).count("<img ") == 2
    emby_plugins.unload_ipython_extension(shell(html))
    assert html(images) is None


@pytest.mark.parametrize("items", [[], [1, 2], ["<b>"], [Image.from_bytes(picture()), 1]])
def test_other_lists_are_displayed_by_default(html: HTMLFormatter, items: list[Any]) -> None:
    """Lists of other values are displayed by IPython's default."""
    assert html(items) is None
