"""Takes the screenshots of docs/images in Chromium: the gallery, the web chat and the notebooks.

Run it from the root after `make browser notebooks`, then check each picture by eye:
`python docs/docs_pictures.py [FOLDER [gallery] [web_chat] [notebooks]]`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import PIL.Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
WIDE, PHONE = {"width": 1200, "height": 800}, {"width": 380, "height": 800}
PROMPTS = (
    ["emby", "image", "a hot air balloon at dusk", "-m", "emby-mock"],
    ["emby", "image", "a sailing boat at night", "-m", "emby-mock", "--aspect-ratio", "16:9"],
    ["-m", "emby-mock", "Generate an image of a robin in the snow"],
    ["-c", "make it grayscale"],
    ["emby", "image", "a cottage by a lake in autumn", "-m", "emby-mock"],
    ["emby", "image", "make it sepia", "-m", "emby-mock", "-a", "PHOTO"],
    ["-m", "emby-mock", "Generate an image of a golden retriever puppy in a sunny meadow"],
    ["-c", "remove the background"],
)


def main() -> None:
    """Take all screenshots, or those named on the command line."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    for name in ("EMBY_API_KEY", "EMBY_BASE_URL"):
        os.environ.pop(name, None)
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for take in (gallery, web_chat, notebooks):
            if not sys.argv[2:] or take.__name__ in sys.argv[2:]:
                take(browser, target)
        browser.close()


def gallery(browser: Browser, target: Path) -> None:
    """Capture the gallery's grid and a single image."""
    spec = find_spec("skimage")
    assert spec
    assert spec.origin
    photo = Path(spec.origin).parent / "data" / "rocket.jpg"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"LLM_USER_PATH": folder}
        for words in (*PROMPTS, ["emby", "gallery"]):
            command = [sys.executable, "-m", "llm", *words]
            command = [str(photo) if word == "PHOTO" else word for word in command]
            subprocess.run(command, check=True, env=environment, capture_output=True, cwd=folder)
        address = (Path(folder) / "emby" / "gallery.html").as_uri()
        page = browser.new_page(viewport=WIDE)
        page.goto(address)
        page.locator(".card img").first.wait_for()
        save(page, target / "gallery.png")
        page = browser.new_page(viewport=WIDE, color_scheme="dark")
        page.goto(address)
        page.locator("#p4 .tile").click()
        page.locator("#box dt", has_text="Size").wait_for()
        # Hide the name of the temporary folder.
        file = page.locator("#box-more a[href^=file]").last
        file.evaluate("it => it.textContent = it.textContent.replace(/.*.emby./, '~/emby/')")
        save(page, target / "gallery-picture-dark.png")


def web_chat(browser: Browser, target: Path) -> None:
    """Capture an image and its edit, on a wide screen and on a phone in dark mode."""
    command = [sys.executable, str(ROOT / "examples" / "web_chat" / "app.py"), "--port", "0"]
    with running(command, r"http://\S+") as address:
        for name, viewport, scheme in (
            ("web-chat.png", WIDE | {"height": 900}, "light"),
            ("web-chat-narrow-dark.png", PHONE, "dark"),
        ):
            page = browser.new_context(viewport=viewport, color_scheme=scheme).new_page()
            page.goto(address)
            page.locator("#send:enabled").wait_for()
            for number, words in enumerate(("Draw a sailing boat at night", "make it grayscale")):
                page.fill("#text", words)
                page.keyboard.press("Enter")
                page.locator(".theirs .facts").nth(number).wait_for()
            page.locator("#scroll").evaluate("it => it.scrollTo(0, it.scrollHeight)")
            save(page, target / name)


def notebooks(browser: Browser, target: Path) -> None:
    """Capture JupyterLab without its side bar, in light and dark mode."""
    python = ROOT / ".venv-notebooks" / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        for path in (ROOT / "examples").glob("*.ipynb"):
            shutil.copy(path, folder)
        words = ["--no-browser", "--port-retries=50", "--allow-root", f"--notebook-dir={folder}"]
        environment = os.environ | {"JUPYTER_CONFIG_DIR": f"{folder}/.config"}
        settings = Path(folder, ".config/lab/user-settings/@jupyterlab/apputils-extension")
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
        command = [str(python), "-m", "jupyter", "lab", *words]
        with running(command, r"http://127\.0\.0\.1\S+token=\w+", env=environment) as address:
            for name, heading, theme in (
                ("quickstart", "Describe an image", "JupyterLab Light"),
                ("agents", "An agent with an image tool", "JupyterLab Dark"),
            ):
                (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
                page = browser.new_context(viewport={"width": 1100, "height": 900}).new_page()
                page.goto(re.sub("/lab", f"/doc/tree/{name}.ipynb", address))
                title = page.locator("h2", has_text=heading)
                title.wait_for(timeout=90_000)
                page.wait_for_timeout(4000)
                title.evaluate("it => it.scrollIntoView()")
                page.wait_for_timeout(2000)
                save(page, target / f"notebook-{name}.png")


@contextmanager
def running(command: list[str], pattern: str, **options: Any) -> Iterator[str]:
    """Run a server, and yield the address it prints."""
    process = subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "")
        yield next(found[0] for line in lines if (found := re.search(pattern, line)))
    finally:
        process.terminate()
        process.wait()


def save(page: Page, path: Path) -> None:
    """Save a screenshot with few colors, a third of the usual size."""
    page.wait_for_timeout(500)
    page.screenshot(path=path)
    PIL.Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main()
