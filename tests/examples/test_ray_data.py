"""`examples/ray_data`: the results of a run, and runs on a small Ray if installed."""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import photo

from emby_plugins import (
    BackendRequest,
    ChatReply,
    Image,
    RateLimitError,
    Usage,
    batch_record,
)
from emby_plugins.mock import Fault, MockBackend, MockServer

SCRIPT = Path(__file__).parents[2] / "examples" / "ray_data" / "pictures.py"
PHOTOS = ("chelsea.png", "coffee.png", "rocket.jpg", "coins.png", "camera.png", "moon.png")
needs_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="make ray installs it")


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("ray_pictures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of photographs, with one duplicate and one file that is not an image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in PHOTOS:
        shutil.copy(photo(name), folder)
    shutil.copy(photo(PHOTOS[0]), folder / "zz-the-same-cat.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def item(pictures: ModuleType, prompt: str = "Hello") -> dict[str, str]:
    """Return an item without an image."""
    made: dict[str, str] = pictures.to_item(prompt, "m")
    return made


def record_of(pictures: ModuleType, outcome: Any, store: Any = None) -> Any:
    """Return the record of a reply or an error for that item."""
    given = item(pictures)
    save = store.save if store else str
    return batch_record(pictures.question(given), given["key"], outcome, save)


def records(out: Path, room: str) -> list[dict[str, Any]]:
    """Return the contents of the files of a folder."""
    return [json.loads(path.read_text()) for path in sorted((out / room).glob("*.json"))]


# ---- without Ray


def test_identical_images_are_requested_once(
    pictures: ModuleType, photos: Path, tmp_path: Path
) -> None:
    """Identical images under any name are requested once, and answered ones not again."""
    store = pictures.Store(tmp_path / "out")
    items = [*pictures.pictures_to_describe(photos, "m", "What?")]
    assert len(items) == len(PHOTOS) + 1
    todo = pictures.missing(items, store)
    assert len(todo) == len(PHOTOS)
    store.keep(batch_record(pictures.question(todo[0]), todo[0]["key"], ChatReply("A thing.")))
    assert pictures.missing(items, store) == todo[1:]


def test_a_reply_replaces_a_failure(pictures: ModuleType, tmp_path: Path) -> None:
    """The record of a reply has the files of its exact images, and replaces a failure's."""
    store = pictures.Store(tmp_path)
    store.keep(record_of(pictures, RateLimitError("Too fast.", status=429)))
    image = Image.from_path(photo("rocket.jpg"))
    reply = ChatReply("Here.", (image,), usage=Usage(total_tokens=7))
    store.keep(record_of(pictures, reply, store))
    (record,) = records(tmp_path, "results")
    assert (record["text"], record["usage"]["total_tokens"]) == ("Here.", 7)
    (name,) = record["images"]
    assert Image.from_path(tmp_path / name) == image
    assert records(tmp_path, "failures") == []


def test_a_failure_is_counted(pictures: ModuleType, tmp_path: Path) -> None:
    """The record of a failure has the error, the number of failures and the partial reply."""
    store = pictures.Store(tmp_path)
    error = RateLimitError("Too fast.", status=429)
    error.partial = ChatReply("He", (Image.from_path(photo("rocket.jpg")),))
    store.keep(record_of(pictures, error, store))
    store.keep(record_of(pictures, error, store))
    (record,) = records(tmp_path, "failures")
    assert (record["error"]["type"], record["failures"]) == ("RateLimitError", 2)
    assert (tmp_path / record["images"][0]).exists()
    assert not store.has(item(pictures)["key"])


def test_a_record_is_complete_or_missing(
    pictures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed while writing leaves no partial record."""

    def dies(file: int) -> None:
        raise KeyboardInterrupt

    store = pictures.Store(tmp_path)
    monkeypatch.setattr(os, "fsync", dies)
    with pytest.raises(KeyboardInterrupt):
        store.keep(record_of(pictures, ChatReply("Long.")))
    assert not store.has(item(pictures)["key"])
    assert records(tmp_path, "results") == []


def test_a_failure_does_not_stop_a_batch(
    pictures: ModuleType, photos: Path, tmp_path: Path
) -> None:
    """A missing file in a batch is recorded as a failure, and the other items are answered."""
    items = [*pictures.pictures_to_describe(photos, "emby-mock", "What?")][:3]
    Path(items[1]["path"]).unlink()
    batch = {name: [each[name] for each in items] for name in items[0]}

    async def answered() -> list[Any]:
        worker = pictures.Worker(str(tmp_path / "out"), "mock:", 0)
        return [answer async for answer in worker(batch)]

    (answer,) = asyncio.run(answered())
    assert answer["ok"] == [True, False, True]
    assert len(records(tmp_path / "out", "results")) == 2
    (failure,) = records(tmp_path / "out", "failures")
    assert failure["input"] == items[1]["path"]
    assert failure["error"]["type"] == "InvalidImageError"


# ---- on a small Ray


class Gate(MockBackend):
    """Answers this many requests, and blocks all others until opened."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self._free = threading.Semaphore(free)
        self.is_stuck, self.opened = threading.Event(), threading.Event()
        self.images: list[tuple[Image, ...]] = []

    def __call__(self, request: BackendRequest, call_chat: Any = None) -> Any:
        response = super().__call__(request, call_chat)
        if not self._free.acquire(blocking=False) and not self.opened.is_set():
            self.is_stuck.set()
            self.opened.wait()
        self.images += [self.requests[-1].images]
        return response


def started(server: MockServer, *arguments: object) -> "subprocess.Popen[str]":
    """Start the script in a new process group."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments), "--base-url", server.base_url]
    return subprocess.Popen(
        [*command, "--actors", "1", "--at-once", "2"],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "EMBY_API_KEY": "k"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ran(server: MockServer, *arguments: object) -> tuple[int, str]:
    """Return the exit code and output of a run."""
    process = started(server, *arguments)
    output, _ = process.communicate()
    return process.returncode, output


def is_stuck(gate: Gate, process: "subprocess.Popen[str]") -> bool:
    """Wait until a request is blocked, and return False if the run ends before."""
    while process.poll() is None:
        if gate.is_stuck.wait(0.5):
            return True
    return False


@needs_ray
def test_a_killed_run_is_resumed_on_ray(photos: Path, tmp_path: Path) -> None:
    """A run after a killed one keeps its results and does not request them again."""
    out = tmp_path / "out"
    backend = Gate(free=3)
    with MockServer(backend) as server, contextlib.ExitStack() as end:
        end.callback(backend.opened.set)
        process = started(server, "describe", photos, out)
        assert is_stuck(backend, process), process.communicate()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kept = {path.name: path.stat().st_mtime_ns for path in (out / "results").glob("*.json")}
        assert 0 < len(kept) < len(PHOTOS)

    healthy = MockBackend()
    with MockServer(healthy) as server:
        code, output = ran(server, "describe", photos, out)
    assert code == 0, output
    assert len(healthy.requests) <= len(PHOTOS) - len(kept)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "results").glob("*.json")}
    assert len(after) == len(PHOTOS)
    assert {name: after[name] for name in kept} == kept
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [Path(line["input"]).name for line in lines] == sorted([*PHOTOS, "zz-the-same-cat.png"])
    assert all("pixels" in line["text"] for line in lines)


@needs_ray
def test_failures_are_retried_by_the_next_run(tmp_path: Path) -> None:
    """A run after one with failures requests only these."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"Generate an image of a {name}\n" for name in ("cat", "boat")))
    out = tmp_path / "out"
    backend = MockBackend(faults=[Fault(status=500)])
    with MockServer(backend) as server:
        code, output = ran(server, "paint", prompts, out, "--retries", "0")
        assert code == 1, output
        (failure,) = records(out, "failures")
        assert failure["error"]["type"] == "ServerError"
        assert len(records(out, "results")) == 1
        code, output = ran(server, "paint", prompts, out)
    assert code == 0, output
    assert [request.prompt for request in backend.requests[2:]] == [failure["prompt"]]
    assert records(out, "failures") == []
    for record in records(out, "results"):
        assert Image.from_path(out / record["images"][0]).size == (256, 256)
