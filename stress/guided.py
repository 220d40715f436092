"""`make fuzz`: coverage-guided fuzzing with atheris, with the time shared among the targets.

    python -m stress.guided SECONDS [TARGET ...]

Failures of a target are written to `stress/corpus/TARGET/`, and replayed by `make test`.
"""

import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stress.fuzz import CORPUS, TARGETS
from stress.seeds import WORDS, seeds

_LONGEST = 1024


def fuzz(name: str, seconds: int, folder: Path) -> None:
    """Fuzz one target in this process, which atheris terminates."""
    import atheris

    # Only these modules matter; instrumenting every import would take longer than the fuzzing.
    for module in [m for m in sys.modules if m.startswith("emby_plugins.")]:
        if module.startswith(("emby_plugins._protocol", "emby_plugins._images")):
            _instrument(atheris, sys.modules[module])
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS))
    begin = folder / "begin"
    begin.mkdir()
    for number, seed in enumerate(seeds(name)):
        (begin / str(number)).write_bytes(seed[:_LONGEST])
    options = [f"-max_total_time={seconds}", f"-max_len={_LONGEST}", f"-dict={words}"]
    quiet = ["-print_final_stats=1", "-verbosity=0", "-timeout=10", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, *quiet, str(begin)], TARGETS[name])
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _instrument(atheris: object, module: object) -> None:
    for value in list(vars(module).values()):
        if getattr(value, "__module__", "") != module.__name__:  # type: ignore[attr-defined]
            continue
        members = vars(value).items() if isinstance(value, type) else [("", value)]
        for _, member in list(members):
            code = getattr(member, "__code__", None)
            if code is not None:
                member.__code__ = atheris.patch_code(code, True)  # type: ignore[attr-defined]


def run(seconds: int, names: list[str]) -> tuple[int, list[str]]:
    """Fuzz each target in its own process; return the number of cases and the failed targets."""
    cases, failures = 0, []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            share = str(max(1, seconds // len(names)))
            command = [sys.executable, "-m", "stress.guided", "--one", name, share, folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            counted = _counted(done.stderr)
            cases += counted
            print(f"  {name:10} {counted:>9,} cases")
            if done.returncode:
                failures.append(name)
                print(done.stderr[-3000:])
                _keep(name, Path(folder))
    return cases, failures


def _counted(output: str) -> int:
    found = [line.split()[-1] for line in output.splitlines() if "number_of_executed_units" in line]
    return int(found[-1]) if found else 0


def _keep(name: str, folder: Path) -> None:
    for path in [*folder.glob("crash-*"), *folder.glob("timeout-*"), *folder.glob("oom-*")]:
        data = path.read_bytes()
        kept = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(data)
        print(f"  kept as {kept.name}")


def main(arguments: list[str]) -> int:
    """Fuzz, print the counts, and return whether anything failed."""
    if arguments[:1] == ["--one"]:
        fuzz(arguments[1], int(arguments[2]), Path(arguments[3]))
        return 0
    began = time.monotonic()
    seconds = int(arguments[0]) if arguments else 120
    cases, failures = run(seconds, arguments[1:] or list(TARGETS))
    took = time.monotonic() - began
    print(f"coverage-guided: {cases:,} cases, {len(failures)} failures, {took:.0f} s")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
