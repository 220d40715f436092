"""Installs the wheel of `dist/` into clean environments, and tests it there, for `make test-wheel`.

    python tests/wheel/check_wheel.py

First each extra alone: what it brings, what it must not bring, and a first use as on the package
page. Then the documentation, command by command, in an empty folder. Then the test suite with all
extras, from a folder without the packages' source.

    python tests/wheel/check_wheel.py pages     # the documentation alone
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from walk_pages import walk_all

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("emby_plugins", "llm_emby", "langchain_emby")
# The suite reads cassettes, examples and its own settings, but no other repository files.
NEEDED = ("tests", "cassettes", "docs", "examples", "pyproject.toml", "README.md")
SUITE = ("core", "mock", "llm", "langchain", "cassettes")

CORE = """
from emby_plugins import Emby, __version__
with Emby(base_url="mock:") as emby:
    image = emby.chat("Generate an image of a puppy in a meadow").image
    print(__version__, image.save("puppy").stat().st_size)
"""
SERVER = """
import os, re, subprocess, sys, urllib.request
command = [sys.executable, "-m", "emby_plugins.mock", "--port", "0"]
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
    address = re.search(r"http://[\\d.:]+/v1", server.stdout.readline())[0]
    print(urllib.request.urlopen(address + "/models", timeout=10).status, address)
    server.terminate()
    print(server.stdout.read())
"""
LANGCHAIN = """
from langchain_emby import ChatEmby, images_of
message = ChatEmby(base_url="mock:").invoke("Generate an image of a puppy in a meadow")
print(images_of(message)[0].save("langchain"))
"""
TELEMETRY = """
from emby_plugins import Emby, EmbyTelemetry
with Emby(base_url="mock:", plugins=[EmbyTelemetry()]) as emby:
    print(emby.chat("Hello").text)
"""


@dataclass(frozen=True)
class Case:
    """An extra, the programs to run with it, and the modules that must be absent."""

    extra: str
    scripts: tuple[str, ...]
    absent: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...] = ()


CASES = (
    Case(
        "",
        (CORE, SERVER),
        ("llm", "langchain_core", "openai"),
        (("python", "-m", "emby_plugins.examples"),),
    ),
    Case(
        "llm",
        (CORE,),
        ("langchain_core",),
        (
            ("llm", "-m", "emby-mock", "Generate an image of a puppy", "-o", "output", "llm.png"),
            ("llm", "emby", "models"),
            ("llm", "emby", "image", "a fox", "-m", "emby-mock"),
        ),
    ),
    Case("langchain", (CORE, LANGCHAIN), ("llm",)),
    Case("otel", (CORE, TELEMETRY), ("llm", "langchain_core", "opentelemetry.sdk")),
    *(Case(extra, (CORE,), ("llm", "langchain_core")) for extra in ("heic", "httpx2", "preview")),
)


class Environment:
    """A clean virtual environment and a working folder for its programs."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "venv", with_pip=True)
        self.programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        self.folder = folder / "work"
        self.folder.mkdir()
        kept = {"PATH", "HOME", "SYSTEMROOT", "TMPDIR", "TEMP"}
        self._variables = {
            name: value
            for name, value in os.environ.items()
            if name in kept or name.startswith(("PIP_", "SSL_"))
        }
        self._variables |= {"LLM_USER_PATH": str(folder / "llm"), "PYTHONUTF8": "1"}
        self._variables["PIP_NO_COMPILE"] = "1"  # halves the installation time
        # Dependency groups need it; older ones find no extra of a package constrained to a file.
        self.install("pip>=25.1")

    def run(self, program: str, *arguments: str, timeout: float = 300) -> None:
        """Run a program of the environment. Raises `CalledProcessError` when it fails."""
        command = [str(self.programs / program), *arguments]
        subprocess.run(
            command,
            cwd=self.folder,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            check=True,
            timeout=timeout,
        )

    def install(self, *arguments: str) -> None:
        """Install with pip."""
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        self.run("python", *pip, *arguments, timeout=900)


def check(case: Case, wheel: Path, folder: Path) -> None:
    """Test one extra in its own environment."""
    environment = Environment(folder)
    environment.install(f"{wheel}[{case.extra}]" if case.extra else str(wheel))
    for name in case.absent:
        found = f"import importlib.util as u, sys; sys.exit(u.find_spec({name!r}) is not None)"
        environment.run("python", "-c", found)
    for script in case.scripts:
        environment.run("python", "-c", script)
    for program, *arguments in case.commands:
        environment.run(program, *arguments)


def make_programs(folder: Path, wanted: list[str]) -> Path:
    """Install `wanted` in a new environment, and return the folder of its programs."""
    environment = Environment(folder)
    if wanted:
        environment.install(*wanted)
    return environment.programs


def run_suite(wheel: Path, folder: Path) -> None:
    """Run the packages' test suite against the installed wheel."""
    environment = Environment(folder)
    environment.install(
        f"{wheel}[heic,httpx2,langchain,llm,otel,preview]",
        "--group",
        f"{ROOT / 'pyproject.toml'}:test",
    )
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, environment.folder / name)
    where = "import emby_plugins as e, sys; sys.exit('site-packages' not in e.__file__)"
    environment.run("python", "-c", where)
    tests = [f"tests/{name}" for name in SUITE]
    environment.run("python", "-m", "pytest", "-n", "auto", *tests, timeout=900)


def main() -> int:
    """Check every extra, the documentation and the suite, stopping at the first failure."""
    (wheel,) = (ROOT / "dist").glob("*.whl")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as base:
        if sys.argv[1:] != ["pages"]:
            for case in CASES:
                print(f"--- {wheel.name}[{case.extra}]", flush=True)
                check(case, wheel, Path(base, case.extra or "core"))
        if os.name == "posix":  # the documentation's commands are for a Unix shell
            print(f"--- the documentation on {wheel.name}", flush=True)
            walk_all(wheel, Path(base, "pages"), make_programs)
        if sys.argv[1:] != ["pages"]:
            print(f"--- the suite on {wheel.name}", flush=True)
            run_suite(wheel, Path(base, "suite"))
    print(f"Done in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
