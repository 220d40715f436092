"""`make bench`: measure all clients, print the figures, write the table and the plot.

`make bench-quick` measures the most relevant jobs in under a minute, for use while developing.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import report
from benchmarks.jobs import JOBS, Job, Row

OUTPUT = Path("docs/performance")


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
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.is_ready = self._read() == "ready"

    def once(self) -> Row | None:
        """Measure once; return None if the client failed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            return Row(**json.loads(self._read()))
        except (ValueError, OSError):
            return None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def run(job: Job, base: str, *, is_quick: bool = False) -> dict[tuple[str, str], Row]:
    """The medians of every client at a job, in interleaved rounds so that noise affects all."""
    found: dict[str, list[Row]] = {}
    clients = [client for client in job.clients if not (is_quick and _is_peer(client))]
    with ExitStack() as stack:
        workers = [Worker(client, base, job) for client in clients]
        for worker in workers:
            stack.callback(worker.close)
        for _ in range((job.rounds // 2 if is_quick else job.rounds) + 1):
            for worker in workers:
                row = worker.once() if worker.is_ready else None
                if row is not None:
                    found.setdefault(worker.client, []).append(row)
    return {(job.name, client): _median(rows) for client, rows in found.items()}


def _is_peer(client: str) -> bool:
    return any(name in client for name in ("openai", "openrouter"))


def _median(rows: list[Row]) -> Row:
    # The first round still loads and compiles; its memory is the truest, for no allocator has
    # kept anything back yet.
    later = rows[1:]
    # Replies that are missing in any round are missing.
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
    with server() as base:
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
