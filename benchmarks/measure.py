"""Run one kind of work in its own process, once for every line on standard input.

`python -m benchmarks.measure CLIENT BASE_URL MODEL STREAM` answers each line with a line of JSON:
seconds, seconds of CPU, the growth of peak memory in bytes, and the bytes of images or the number
of replies received. For work that starts processes, the CPU time includes theirs, and the memory
is the whole memory of the largest one.
"""

import contextlib
import ctypes
import gc
import json
import resource
import sys
import time
from pathlib import Path

from benchmarks import hosts, many, peers, sending
from benchmarks.peers import Make

_STATUS = Path("/proc/self/status")


def _memory(name: str) -> int:
    """A memory figure of this process in bytes, or 0 on systems other than Linux."""
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def _reset_peak(*, is_first: bool) -> None:
    if is_first:
        # Memory freed in glibc's heap while creating the client would hide the work's memory.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _make(client: str) -> Make:
    (found,) = {
        getattr(module, client)
        for module in (peers, many, sending, hosts)
        if hasattr(module, client)
    }
    make: Make = found
    return make


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _peak(before: int) -> int:
    return max(hosts.peaks, default=0) or max(0, _memory("VmHWM") - before)


def main(client: str, base: str, model: str, stream: str) -> None:
    """Create the client, warm it up with a short call, then measure once per line of input."""
    make = _make(client)
    if client != "chat_nothing" and make.__module__ != hosts.__name__:
        make(base, "short-0", stream == "stream")()
    work = make(base, model, stream == "stream")
    print("ready", flush=True)
    for number, _ in enumerate(sys.stdin):
        gc.collect()
        hosts.peaks.clear()
        _reset_peak(is_first=not number)
        before, cpu, wall = _memory("VmRSS"), _cpu(), time.perf_counter()
        arrived = work()
        result = {
            "seconds": time.perf_counter() - wall,
            "cpu": _cpu() - cpu,
            "peak": _peak(before),
            "arrived": arrived,
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
