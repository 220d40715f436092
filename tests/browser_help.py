"""A headless Chromium for the tests marked `browser`; without one they are skipped."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# A browser asks its maker for much at every start, and no test may reach past this machine.
_QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright's, with a profile of its own."""
    why = "Playwright is not installed: pip install --group browser"
    api = pytest.importorskip("playwright.sync_api", reason=why)
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_QUIET)
        yield browser
        browser.close()


class PageErrors(list[str]):
    """What a page should never do: raise, open a dialog, or load what it was not given."""

    def watch(self, page: Any) -> Any:
        """The page, with its errors kept."""
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("console", self._console)
        page.on("dialog", self._dialog)
        return page

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.append(f"console: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.append(f"dialog: {dialog.message}")
        dialog.dismiss()
