"""Runs one kind of work in a process of its own, once for every line on its standard input.

`python -m benchmarks.measure CLIENT BASE_URL MODEL STREAM` answers each line with one of JSON:
seconds, seconds of CPU, the growth of peak memory in bytes, and the bytes of images that
arrived.
"""

import contextlib
import gc
import json
import sys
import time
from pathlib import Path

from benchmarks import peers

_STATUS = Path("/proc/self/status")


def _memory(name: str) -> int:
    """A figure of Linux's about this process, in bytes; 0 elsewhere."""
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def main(client: str, base: str, model: str, stream: str) -> None:
    """Make the client, warm it up on a short call, then measure once for each line of input."""
    make = getattr(peers, client)
    if client != "chat_nothing":
        make(base, "short-0", stream == "stream")()
    work = make(base, model, stream == "stream")
    print("ready", flush=True)
    for _ in sys.stdin:
        gc.collect()
        _reset_peak()
        before, cpu, wall = _memory("VmRSS"), time.process_time(), time.perf_counter()
        arrived = work()
        result = {
            "seconds": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "peak": max(0, _memory("VmHWM") - before),
            "arrived": arrived,
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
