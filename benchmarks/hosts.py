"""Complete programs and the data hosts store: processes of `llm`, checkpoints and galleries.

`peaks` has the memory of processes. Returns bytes, on disk or of images.
"""

# ruff: noqa: D103 - the names are clear

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers import KEY, Work
from benchmarks.server import picture

peaks: list[int] = []
"""The peak memory of each process run so far."""

_PAGE = Path(tempfile.gettempdir()) / "gallery.txt"
"""Has the address of the gallery, for the browser in another process."""


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="emby-bench-"))


def _run(arguments: list[str], **environment: str) -> None:
    own = {"EMBY_API_KEY": KEY, "OPENAI_API_KEY": KEY, **environment}
    command, environment = [sys.executable, *arguments], {**os.environ, **own}
    # llm reads standard input, and would wait for the end of ours.
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdin=nothing, stdout=nothing)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert not process.returncode, command
    peaks.append(usage.ru_maxrss * 1024)


class _LLM:
    """`llm` with its own folder, in which both plugins have the model."""

    def __init__(self, base: str, model: str) -> None:
        self.folder = _folder()
        self.base = base
        models = f"- model_id: openai-bench\n  model_name: {model}\n  api_base: {base}\n"
        (self.folder / "extra-openai-models.yaml").write_text(models)
        self("emby", "add", model, "--vision")

    def __call__(self, *arguments: str) -> None:
        _run(
            ["-m", "llm", *arguments],
            LLM_USER_PATH=str(self.folder),
            LLM_LOAD_PLUGINS="emby-plugins",
            EMBY_BASE_URL=self.base,
        )


def _process(base: str, model: str, *arguments: str) -> Work:
    llm = _LLM(base, model)

    def run() -> int:
        llm(*arguments)
        return 0

    return run


def llm_alone_process(base: str, model: str, stream: bool) -> Work:
    return _process(base, model, "logs", "path")


def llm_emby_process(base: str, model: str, stream: bool) -> Work:
    return _process(base, model, "-m", f"emby/{model}", "Hi")


def llm_openai_process(base: str, model: str, stream: bool) -> Work:
    return _process(base, model, "-m", "openai-bench", "Hi")


def llm_conversation(base: str, model: str, stream: bool) -> Work:
    """`llm -c` in a conversation with two-megabyte images; the model's name has their number."""
    llm, number = _LLM(base, model), int(model.rpartition("-")[2])
    for first in range(0, number, 5):
        paths = [llm.folder / f"{variant}.png" for variant in range(first, first + 5)]
        for variant, path in enumerate(paths, first):
            path.write_bytes(picture(2, variant))
        attached = [word for path in paths for word in ("-a", str(path))]
        llm("-m", f"emby/{model}", *(["-c"] if first else []), "Hi", *attached)
    picture.cache_clear()  # Linux counts the memory of the parent before exec as the child's, too
    if not number:
        llm("-m", f"emby/{model}", "Hi")

    def run() -> int:
        llm("-c", "And now?")
        return number * 2_000_000

    return run


def _cold(code: str) -> Work:
    def run() -> int:
        _run(["-c", code])
        return 0

    return run


def python_process(base: str, model: str, stream: bool) -> Work:
    return _cold("pass")


def emby_cold(base: str, model: str, stream: bool) -> Work:
    """A process that makes one call, with certificates loaded as for https."""
    return _cold(
        "import emby_plugins, emby_plugins._transport as t; t._certificates();"
        f"emby_plugins.Emby('{KEY}', '{base}').chat('Hi', model='{model}')"
    )


def httpx_cold(base: str, model: str, stream: bool) -> Work:
    return _cold(
        f"import httpx; httpx.Client().post('{base}/chat/completions', json="
        f"{{'model': '{model}', 'messages': [{{'role': 'user', 'content': 'Hi'}}]}}).json()"
    )


def openai_cold(base: str, model: str, stream: bool) -> Work:
    return _cold(
        f"import openai; openai.OpenAI(api_key='{KEY}', base_url='{base}').chat.completions.create("
        f"model='{model}', messages=[{{'role': 'user', 'content': 'Hi'}}])"
    )


def emby_clients(base: str, model: str, stream: bool) -> Work:
    """Create 1,000 clients, use one in ten once and drop them, with the garbage collector off."""
    import gc

    from emby_plugins import Emby

    def run() -> int:
        gc.disable()
        for number in range(1000):
            emby = Emby(KEY, base)
            if not number % 10:
                emby.chat("Hi", model="short-0")
        gc.enable()
        return 0

    return run


def chat_emby_checkpoints(base: str, model: str, stream: bool) -> Work:
    return _checkpoints(base, model, lambda folder: {})


def chat_emby_checkpoints_by_reference(base: str, model: str, stream: bool) -> Work:
    return _checkpoints(base, model, lambda folder: {"image_dir": str(folder / "images")})


def _checkpoints(base: str, model: str, settings: Callable[[Path], Any]) -> Work:
    """Turns of a graph that generate an image each, stored in SQLite; returns bytes on disk."""
    from langchain_emby import ChatEmby

    kind, size, turns, *_ = [*model.split("-"), "0"]

    def run() -> int:
        from langgraph.checkpoint.sqlite import SqliteSaver
        from langgraph.graph import START, MessagesState, StateGraph

        folder = _folder()
        chat = ChatEmby(model=model, base_url=base, api_key=KEY, **settings(folder))

        def answer(state: MessagesState) -> Any:
            turn = len(state["messages"]) // 2
            return {"messages": chat.invoke(state["messages"], model=f"{kind}-{size}-{turn}")}

        graph: Any = StateGraph(MessagesState).add_node("answer", answer)
        with SqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:
            app = graph.add_edge(START, "answer").compile(checkpointer=saver)
            for _ in range(int(turns)):
                app.invoke({"messages": [("user", "Hi")]}, {"configurable": {"thread_id": "1"}})
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    return run


def llm_gallery(base: str, model: str, stream: bool) -> Work:
    """Build the gallery of as many images as the model's name has; returns the page's size."""
    llm = _LLM(base, "short-0")
    llm("-m", "emby/short-0", "Hi")
    _log_images(llm.folder, int(model.rpartition("-")[2]))

    def run() -> int:
        llm("emby", "gallery")
        page = llm.folder / "emby" / "gallery.html"
        _PAGE.write_text(page.as_uri())
        return page.stat().st_size

    return run


def gallery_in_chromium(base: str, model: str, stream: bool) -> Work:
    """Open that page, until its first thumbnail is on the screen."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    flags = ["--no-sandbox", "--disable-gpu"]
    browser = sync_playwright().start().chromium.launch(executable_path=program, args=flags)

    def run() -> int:
        page = browser.new_page(bypass_csp=True)  # the page lets nobody evaluate what follows
        page.goto(_PAGE.read_text(), wait_until="commit")
        page.wait_for_function("[...document.images].some(image => image.naturalWidth)")
        page.close()
        return 0

    return run


def _log_images(folder: Path, number: int) -> None:
    """Log small images in the format of `llm`."""
    import hashlib
    import json

    import PIL.Image

    log = sqlite3.connect(folder / "logs.db")
    images = folder / "emby" / "images"
    images.mkdir(parents=True, exist_ok=True)
    for n in range(number):
        path = images / f"{n}.png"
        PIL.Image.new("RGB", (8, 8), (n % 256, n // 256 % 256, 9)).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        image = {"path": str(path), "sha256": digest, "media_type": "image/png"}
        payload = json.dumps({"provider_metadata": {"emby": {"image": image}}})
        log.executemany(
            "insert into messages (hash, parent_hash, role) values (?, ?, ?)",
            [(f"asked-{n}", None, "user"), (f"answered-{n}", f"asked-{n}", "assistant")],
        )
        log.executemany(
            "insert into parts (message_hash, position, type, text, payload)"
            " values (?, 0, 'text', ?, ?)",
            [(f"asked-{n}", f"picture {n}", None), (f"answered-{n}", str(path), payload)],
        )
        log.execute(
            "insert into turns (id, thread_id, parent_message_hash, tip_message_hash, model,"
            " datetime_utc) values (?, 'thread', ?, ?, 'emby/short-0', '2026-01-01T00:00:00')",
            [f"turn-{n:06}", f"asked-{n}", f"answered-{n}"],
        )
    log.commit()
    log.close()
