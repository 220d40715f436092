"""Describe a folder of pictures, or paint a file of prompts, with Ray Data and `AsyncEmby`.

    python pictures.py describe PHOTOS OUT
    python pictures.py paint PROMPTS.txt OUT

Nothing that was paid for is lost: each answer is saved to its own file as soon as it arrives, named
by the digest of its request. Another run sends only the requests that have no answer. A failed
request is recorded with its error, and sent again by the next run.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emby_plugins import (
    DEFAULT_MODEL,
    AsyncEmby,
    BatchItem,
    BatchRecord,
    Image,
    InvalidImageError,
    batch_record,
    run_batch_item,
)

QUESTION = "What is shown in this image?"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif"}

Item = dict[str, str]
"""A request: a `key`, a `prompt`, a `model`, and the `path` of a picture, or none."""


class Store:
    """The folder of answers: `results/KEY.json`, `failures/KEY.json`, and the pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures = folder / "pictures"
        for room in ("results", "failures", "pictures"):
            (folder / room).mkdir(parents=True, exist_ok=True)

    def has(self, key: str) -> bool:
        return self._file("results", key).exists()

    def keep(self, record: BatchRecord) -> bool:
        """Store a record, and return whether it is an answer. Its pictures were saved before."""
        key = record["key"]
        if record["error"]:
            known = self.read("failures", key) or {}
            self._write("failures", key, {**record, "failures": known.get("failures", 0) + 1})
            return False
        self._write("results", key, record)
        self._file("failures", key).unlink(missing_ok=True)
        return True

    def save(self, image: Image) -> str:
        return f"pictures/{image.save(self.pictures).name}"

    def read(self, room: str, key: str) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(self._file(room, key).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return record

    def _file(self, room: str, key: str) -> Path:
        return self.folder / room / f"{key}.json"

    def _write(self, room: str, key: str, record: Mapping[str, Any]) -> None:
        put(self._file(room, key), json.dumps(record, ensure_ascii=False, indent=1))


def put(path: Path, text: str) -> None:
    """Write a file atomically, so that a power failure leaves it complete or absent."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=".", suffix=".tmp", delete=False
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)


def question(item: Item) -> BatchItem:
    return BatchItem(item["prompt"], item["path"], item["model"])


def to_item(prompt: str, model: str, path: Path | None = None) -> Item:
    """An item with its key, the digest of the prompt, the model and the picture's bytes."""
    request = BatchItem(prompt, str(path.resolve()) if path else "", model)
    key = request.key(Image(path=path) if path else None)
    return {"key": key, "prompt": prompt, "model": model, "path": request.input}


def pictures_to_describe(folder: Path, model: str, question: str) -> Iterator[Item]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            yield to_item(question, model, path)


def prompts_to_paint(file: Path, model: str) -> Iterator[Item]:
    for line in file.read_text("utf-8").splitlines():
        if prompt := line.strip():
            yield to_item(prompt, model)


def missing(items: Iterable[Item], store: Store) -> list[Item]:
    """The items without an answer, without duplicates."""
    return [*{item["key"]: item for item in items if not store.has(item["key"])}.values()]


class Worker:
    """An actor with one client, which sends the requests of a batch concurrently.

    The client is created in the worker, since it can't be pickled. It retries after a 429 or a
    broken connection; if a worker dies, Ray gives its batch to another one.
    """

    def __init__(self, folder: str, base_url: str | None, max_retries: int) -> None:
        self._store = Store(Path(folder))
        self._emby = AsyncEmby(base_url=base_url, max_retries=max_retries)

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, list[Any]]]:
        rows = zip(*batch.values(), strict=True)
        items = [dict(zip(batch, map(str, row), strict=True)) for row in rows]
        sent = await asyncio.gather(*map(self.send, items))
        yield {"key": [item["key"] for item in items], "ok": sent}

    async def send(self, item: Item) -> bool:
        """Whether there is an answer; a gateway error is recorded and affects no other item."""
        if self._store.has(item["key"]):
            return True
        request = question(item)
        try:
            image = await asyncio.to_thread(request.image)
        except InvalidImageError as error:
            return self._store.keep(batch_record(request, item["key"], error))
        return self._store.keep(await run_batch_item(self._emby, request, image, self._store.save))


def send_all(items: list[Item], arguments: argparse.Namespace) -> None:
    """Send the missing requests through a pool of actors."""
    import ray

    ray.init(address=arguments.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    results = ray.data.from_items(items).map_batches(
        Worker,
        fn_constructor_args=(str(arguments.out.resolve()), arguments.base_url, arguments.retries),
        batch_size=arguments.at_once,
        concurrency=arguments.actors,
        num_cpus=0.25,  # they wait for the network; whole CPUs would leave none to read the data
        max_restarts=-1,
        max_task_retries=-1,
    )
    done = good = 0
    for batch in results.iter_batches(batch_size=None):
        done += len(batch["ok"])
        good += int(sum(batch["ok"]))
        print(f"{done} of {len(items)}, {done - good} failed", flush=True)
    ray.shutdown()


def summary(items: Iterable[Item], store: Store) -> int:
    """Write `results.jsonl`, with a line per input in order, and count the missing answers."""
    items = list(items)
    found = [(item, store.read("results", item["key"])) for item in items]
    answered = ({**record, "input": item["path"]} for item, record in found if record)
    lines = [json.dumps(record, ensure_ascii=False) for record in answered]
    put(store.folder / "results.jsonl", "".join(f"{line}\n" for line in lines))
    return len(items) - len(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("task", choices=["describe", "paint"])
    parser.add_argument("source", type=Path, help="a folder of pictures, or a file of prompts")
    parser.add_argument("out", type=Path, help="the folder of answers; the same to go on")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--base-url", help="such as mock: (default: EMBY_BASE_URL, or Emby)")
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=8, help="questions at a time, per actor")
    parser.add_argument("--retries", type=int, default=2, help="further tries within a run")
    parser.add_argument("--address", help="of a Ray cluster (default: one on this machine)")
    arguments = parser.parse_args(argv)

    store = Store(arguments.out)
    if arguments.task == "describe":
        items = [*pictures_to_describe(arguments.source, arguments.model, arguments.question)]
    else:
        items = [*prompts_to_paint(arguments.source, arguments.model)]
    todo = missing(items, store)
    print(f"{len(items)} in all, {len(items) - len(todo)} done before or the same.", flush=True)
    if todo:
        send_all(todo, arguments)
    left = summary(items, store)
    print(f"{len(items) - left} answered, {left} left: run again to ask for those.", flush=True)
    return int(left > 0)


if __name__ == "__main__":
    sys.exit(main())
