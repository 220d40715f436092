"""`%load_ext emby_plugins`: what IPython then displays for lists."""

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
    """As much of a shell as an extension gets."""
    return SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": formatter}))


@pytest.mark.parametrize("kind", [list, tuple])
def test_images_become_a_contact_sheet(html: HTMLFormatter, kind: type) -> None:
    """Each image of a list or a tuple is in the HTML, until the extension is unloaded."""
    images = kind(Image.from_bytes(picture(color)) for color in ("red", "blue"))
    assert html(images).count("<img ") == 2
    emby_plugins.unload_ipython_extension(shell(html))
    assert html(images) is None


@pytest.mark.parametrize("items", [[], [1, 2], ["<b>"], [Image.from_bytes(picture()), 1]])
def test_other_lists_are_displayed_as_before(html: HTMLFormatter, items: list[Any]) -> None:
    """What is not only images is left to IPython."""
    assert html(items) is None
