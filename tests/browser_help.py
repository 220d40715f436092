"""A headless Chromium for the tests marked `browser`, which are skipped without it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Chromium contacts Google's servers at startup, and tests must not leave this machine.
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
    """Yield a Playwright browser with a fresh profile."""
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
    """Errors, console warnings and dialogs of a page; tests expect none."""

    def watch(self, page: Any) -> Any:
        """Record the errors of a page, and return the page."""
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
