"""`make stress`: the fault matrix, the fuzzers, the memory of replies and the soak.

python -m stress [--seconds-of-fuzzing N] [--calls N]
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from stress import amplify, guided, soak

SECTIONS = {
    "test_robust_faults": "fault matrix",
    "test_robust_images": "images from strangers",
    "test_robust_disk": "disks that fill up",
    "test_robust_cancel": "broken off, late, forked",
    "test_robust_fuzz": "fuzzing by hypothesis, and the corpus",
    "test_robust_memory": "memory of small replies",
    "test_robust_docs": "the table of faults",
}


def matrix() -> bool:
    """Run every row in every way with pytest, and return whether all tests passed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-n", "auto", "--dist", "worksteal"]
        command += ["-p", "no:cacheprovider", f"--junit-xml={report}", "tests/robustness"]
        environment = {**os.environ, "EMBY_STRESS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout[-8000:], done.stderr[-2000:])
        _print_counts(report)
    print(f"matrix: {time.monotonic() - began:.0f} s")
    return done.returncode == 0


def _print_counts(report: Path) -> None:
    counts: Counter[str] = Counter()
    faults: set[str] = set()
    # The file was just written by pytest itself, so it is trusted.
    for case in ET.parse(report).iter("testcase"):
        module = case.get("classname", "").rpartition(".")[2]
        counts[module] += 1
        fault = re.search(r"\[(.*)-(?:process|socket)-", case.get("name", ""))
        if module == "test_robust_faults" and fault:
            faults.add(fault[1])
    for module, count in counts.most_common():
        also = f" ({len(faults)} faults)" if module == "test_robust_faults" else ""
        print(f"  {SECTIONS.get(module, module):40} {count:>7,} cases{also}")


def main() -> int:
    """Run everything, print the counts, and return whether anything failed."""
    parser = argparse.ArgumentParser(prog="python -m stress", description=__doc__)
    parser.add_argument("--seconds-of-fuzzing", type=int, default=80)
    parser.add_argument("--calls", type=int, default=10_000)
    given = parser.parse_args()
    began = time.monotonic()
    failed = [] if matrix() else ["matrix"]
    if importlib.util.find_spec("atheris") is None:
        print("coverage-guided: left out, atheris is not installed (make fuzz)")
    elif guided.main([str(given.seconds_of_fuzzing)]):
        failed.append("coverage-guided")
    if amplify.main([]):
        failed.append("amplification")
    if soak.main([str(given.calls)]):
        failed.append("soak")
    print(f"stress: {time.monotonic() - began:.0f} s, failed: {', '.join(failed) or 'nothing'}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
