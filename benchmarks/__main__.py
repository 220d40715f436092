"""`make bench`: measure all clients, print the figures, write the table and the plot.

`make bench-quick` measures the most relevant jobs in under a minute, for use while developing.
"""

import argparse
import json
import math
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import report
from benchmarks.jobs import JOBS, Job, Row

OUTPUT = Path("docs/performance")
LIMIT = 180
"""The time limit of one run in seconds; a stopped client is marked in its row."""
ENOUGH = 12
"""The total seconds of a client per job; later rounds are skipped, as noise is small by then."""


@contextmanager
def server() -> Iterator[str]:
    """Run the stub gateway in its own process, and yield its base URL."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        process.terminate()


class Worker:
    """One client at one job, in its own process."""

    def __init__(self, client: str, base: str, job: Job) -> None:
        stream = "stream" if job.stream else "whole"
        command = [sys.executable, "-m", "benchmarks.measure", client, base, job.model, stream]
        pipe = subprocess.PIPE
        self.client = client
        self.rows: list[Row] = []
        self.is_late = False
        self._is_ready = False
        self._spent = 0.0
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )

    def wait(self) -> None:
        """Wait until the client is created; several start concurrently, since imports are slow."""
        self._is_ready = self._read() == "ready"

    def once(self) -> None:
        """Measure once more, unless the client failed or used up its time."""
        if not self._is_ready or self._spent > ENOUGH:
            return
        assert self._process.stdin is not None
        started = time.monotonic()
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            self.rows.append(Row(**json.loads(self._read())))
        except (ValueError, OSError):
            self._is_ready = False
        self._spent += time.monotonic() - started

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        # One line is read per request, so none remains in a buffer.
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], LIMIT)[0]:
            self.is_late = True
            return ""
        return self._process.stdout.readline().strip()


def run(job: Job, base: str, *, is_quick: bool = False) -> dict[tuple[str, str], Row]:
    """The medians of every client at a job, in interleaved rounds so that noise affects all."""
    clients = [client for client in job.clients if not (is_quick and _is_peer(client))]
    with ExitStack() as stack:
        workers = [Worker(client, base, job) for client in clients]
        for worker in workers:
            stack.callback(worker.close)
        for worker in workers:
            worker.wait()
        for _ in range((job.rounds // 2 if is_quick else job.rounds) + 1):
            for worker in workers:
                worker.once()
    rows = {(job.name, worker.client): _summary(worker) for worker in workers}
    return {key: row for key, row in rows.items() if row is not None}


def _is_peer(client: str) -> bool:
    return any(name in client for name in ("openai", "openrouter"))


def _summary(worker: Worker) -> Row | None:
    if worker.is_late:
        return Row(math.inf, math.inf, 0, 0)
    if not worker.rows:
        return None
    # The first round still loads and compiles; its memory is the most accurate, since no allocator
    # has retained memory yet.
    rows, later = worker.rows, worker.rows[1:] or worker.rows
    # Replies missing in any round count as missing.
    return Row(
        seconds=statistics.median(row.seconds for row in later),
        cpu=statistics.median(row.cpu for row in later),
        peak=rows[0].peak,
        arrived=min(row.arrived for row in rows),
    )


def main() -> None:
    """Run the jobs, print the results, and write them if requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", help="only the jobs whose name holds this")
    parser.add_argument("--quick", action="store_true", help="the main jobs, without peers")
    parser.add_argument("--write", action="store_true", help="write the table and the plot")
    arguments = parser.parse_args()
    rows: dict[tuple[str, str], Row] = {}
    with server() as base, TemporaryDirectory(prefix="emby-bench-") as folder:
        os.environ["TMPDIR"] = folder  # of the workers: gigabytes that would be left behind
        for job in JOBS:
            if (arguments.job or "") not in job.name or (arguments.quick and not job.is_quick):
                continue
            print(f"{job.name} ...", file=sys.stderr, flush=True)
            rows |= run(job, base, is_quick=arguments.quick)
    is_whole = not arguments.job and not arguments.quick
    starts = report.start_up() if is_whole else {}
    print(report.tables(rows, starts, is_whole=is_whole))
    if arguments.write:
        OUTPUT.mkdir(exist_ok=True)
        (OUTPUT / "figures.md").write_text(report.page(rows, starts), encoding="utf-8")
        report.plot(rows, OUTPUT / "figures.png")


if __name__ == "__main__":
    main()
