"""Make ten thousand calls to one mock server, from threads and tasks, with faults and cancelling.

    python -m stress.soak [CALLS]

The resources held after a warm-up are compared with those at the end. The server is another
process, so that only the clients are measured.
"""

import asyncio
import gc
import logging
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emby_plugins import AsyncEmby, Emby, EmbyError, Image

THREADS = TASKS = 4
MODEL = "qwen2.5-vision"
FAULTS = (
    *("",) * 12,
    "status=429; retry-after=0",
    "status=500",
    "upstream=503",
    "garbage",
    "error",
    "no-finish; no-done",
    "cut=200",
    "cut=2000",
    "gzip=2",
    "empty",
    "drip=50",
    "image=truncated",
    "status=502; retry-after=0; times=1",
    "images=3",
)
MORE_FILES = 8
MORE_MEMORY = 16 * 1024 * 1024
"""The permitted growth since the warm-up, in descriptors and bytes."""


@dataclass(frozen=True)
class Held:
    """The resources held by a process."""

    files: int
    memory: int
    threads: int
    tasks: int

    @classmethod
    def now(cls) -> "Held":
        """Count the resources after a garbage collection."""
        gc.collect()
        return cls(
            files=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - a count of names
            memory=int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize(),
            # asyncio keeps the threads of its own pool.
            threads=sum(not t.name.startswith("asyncio_") for t in threading.enumerate()),
            tasks=len(asyncio.all_tasks()),
        )


class Soak:
    """The calls, distributed among threads and tasks."""

    def __init__(self, base_url: str, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._on = {"base_url": base_url, "max_retries": 1, "timeout": 20, "deadline": 60}
        self._folder = folder
        self._lock = threading.Lock()

    def in_thread(self, seed: int, calls: int) -> None:
        """Make that many calls with the sync client."""
        chance = random.Random(seed)
        with Emby(**self._settings(chance)) as emby:
            for _ in range(calls):
                with self._counted():
                    self._call(emby, chance)

    def _call(self, emby: Emby, chance: random.Random) -> None:
        how = chance.random()
        if how < 0.05:
            emby.models()
        elif how < 0.5:
            emby.chat(_prompt(chance), model=MODEL)
        else:
            with emby.stream(_prompt(chance), model=MODEL) as stream:
                for number, _ in enumerate(stream):
                    if how > 0.9 and number == 1:
                        self.counts["left"] += 1
                        break

    async def in_task(self, seed: int, calls: int) -> None:
        """Make that many calls with the async client, cancelling some of them."""
        chance = random.Random(seed)
        async with AsyncEmby(**self._settings(chance)) as emby:
            for _ in range(calls):
                with self._counted():
                    call = asyncio.create_task(self._acall(emby, chance))
                    if chance.random() < 0.1:
                        await asyncio.sleep(chance.random() * 0.02)
                        call.cancel()
                    await call

    async def _acall(self, emby: AsyncEmby, chance: random.Random) -> None:
        how = chance.random()
        if how < 0.05:
            await emby.models()
        elif how < 0.5:
            await emby.chat(_prompt(chance), model=MODEL)
        else:
            async with emby.stream(_prompt(chance), model=MODEL) as stream:
                number = 0
                async for _ in stream:
                    number += 1
                    if how > 0.9 and number == 2:
                        self.counts["left"] += 1
                        break

    def _settings(self, chance: random.Random) -> dict[str, object]:
        fault = chance.choice(FAULTS)
        given = {"metadata": {"mock_fault": fault}} if fault else {}
        kept = {"image_folder": self._folder} if chance.random() < 0.5 else {}
        return {**self._on, **given, **kept}

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
            outcome = "answered"
        except EmbyError as error:
            outcome = type(error).__name__
        except asyncio.CancelledError:
            outcome = "cancelled"
        with self._lock:
            self.counts[outcome] += 1
            self.counts["calls"] += 1


def _prompt(chance: random.Random) -> str:
    prompt = "Generate an image of a boat" if chance.random() < 0.05 else "Hello"
    return f"{prompt} {chance.randrange(8)}"


async def soak(base_url: str, folder: Path, calls: int) -> tuple[Counter[str], Held, Held]:
    """Make the calls; return the outcomes, and the resources held after warm-up and at the end."""
    running = Soak(base_url, folder)
    await _round(running, 0, 40)
    before = Held.now()
    batch, seed = 50, 1
    while running.counts["calls"] < calls:
        await _round(running, seed, batch)
        seed += THREADS + TASKS
    return running.counts, before, Held.now()


async def _round(running: Soak, seed: int, batch: int) -> None:
    """Make a batch of calls in every thread and task concurrently, each with its own client."""
    threads = [
        threading.Thread(target=running.in_thread, args=(seed + n, batch)) for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    await asyncio.gather(*(running.in_task(seed + THREADS + n, batch) for n in range(TASKS)))
    for thread in threads:
        await asyncio.to_thread(thread.join)


@contextmanager
def served() -> Iterator[str]:
    """Run a mock server in its own process, and yield its base URL."""
    command = [sys.executable, "-m", "emby_plugins.mock"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        line = next(line for line in server.stdout if "EMBY_BASE_URL=" in line)
        yield line.partition("=")[2].strip()
        server.terminate()


def unfinished(folder: Path) -> list[Path]:
    """Incomplete image files, and those with a name that does not match their bytes."""
    return [p for p in folder.iterdir() if p.stem != f"emby-{Image(path=p).sha256[:16]}"]


def main(arguments: list[str]) -> int:
    """Run the soak, print the counts, and return whether anything leaked."""
    calls = int(arguments[0]) if arguments else 10_000
    logging.getLogger("stamina").setLevel(logging.ERROR)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, served() as base_url:
        counts, before, after = asyncio.run(soak(base_url, Path(name), calls))
        halves, kept = unfinished(Path(name)), len(list(Path(name).iterdir()))
    for outcome, count in counts.most_common():
        print(f"  {outcome:24} {count:>7,}")
    grown = (after.memory - before.memory) / 1024**2
    print(f"  descriptors {before.files} -> {after.files}, threads {before.threads} -> ", end="")
    print(f"{after.threads}, tasks {before.tasks} -> {after.tasks}, memory {grown:+.1f} MiB")
    print(f"  {kept} image files, {len(halves)} of them unfinished")
    is_leaky = (
        after.files > before.files + MORE_FILES
        or after.memory > before.memory + MORE_MEMORY
        or after.threads > before.threads
        or after.tasks > before.tasks
    )
    print(f"soak: {counts['calls']:,} calls, {time.monotonic() - began:.0f} s")
    return bool(is_leaky or halves)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
