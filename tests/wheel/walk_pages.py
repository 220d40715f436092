"""Run the commands of the documentation as a reader would, from an empty folder.

Each page with install commands gets an environment with only those packages; the others share one
with the tutorial's packages. Commands run in a real shell and Python through
`tests/docs/pages.py`; output shown on a page is compared with the real output. The gateway is the
mock.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "docs"))

from pages import Block, blocks  # noqa: E402 - a script's folder is the only one on its path

RUNNER = ROOT / "tests" / "docs" / "pages.py"
# For contributors, or generated from docstrings.
LEFT_OUT = {"changelog.md", "security.md"}
INSTALL = re.compile(r"^(?:llm|pip|uv tool) install ")
INLINE_INSTALL = re.compile(r"`(pip install [^`]+)`")
# Commands that run until stopped; each prints an address, which must answer.
SERVERS = ("python -m emby_plugins.mock", "llm emby mock", "python examples/", "jupyter lab")
TYPED = {"llm keys set": b"a-key\n", "llm chat": b"exit\n"}
# User folders in the documentation's examples.
FOLDERS = re.compile(r"/Users/you|/srv/art")


class Reader:
    """A reader at a terminal, with a folder, an environment and exported variables."""

    def __init__(self, programs: Path, folder: Path, wheel: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder.resolve()
        (self.folder.parent / "constraints").write_text(f"emby-plugins @ {wheel.as_uri()}\n")
        kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
        kept |= {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "SSL_"))}
        beside = self.folder.parent
        self.variables = kept | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "BROWSER": "true",
            "LANGSMITH_TRACING": "false",
            "LLM_USER_PATH": str(beside / "llm"),
            "PIP_CONSTRAINT": str(beside / "constraints"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_COMPILE": "1",
            "PIP_QUIET": "2",
            "UV_CONSTRAINT": str(beside / "constraints"),
            "UV_TOOL_BIN_DIR": str(beside / "uv-bin"),
            "UV_TOOL_DIR": str(beside / "uv"),
        }
        self._servers: list[subprocess.Popen[bytes]] = []

    def export(self, command: str) -> None:
        """Set a variable for later commands; the API key gets a dummy value."""
        name, _, value = shlex.split(command)[1].partition("=")
        self.variables[name] = "a-key" if name == "EMBY_API_KEY" else value

    def run(self, command: str, *, gateway: str | None = "mock:") -> str:
        """Run a command and return its output. Raises `AssertionError` if it fails."""
        done = self._shell(command, gateway)
        assert done.returncode == 0, f"$ {command}\n{done.stdout.decode()}"
        return done.stdout.decode()

    def check_session(self, command: str, shown: str) -> None:
        """Run a command. Raises `AssertionError` if its output differs from `shown`."""
        printed = self._shell(command, None).stdout.decode().strip()
        expected = FOLDERS.sub(str(self.folder), shown)
        assert printed == expected, f"$ {command}\n{printed}\n--- but the page shows\n{expected}"

    def serve(self, command: str) -> None:
        """Start a server and open the address it prints."""
        log = self.folder.parent / "server.log"
        options = " --no-browser --allow-root" if command.startswith("jupyter") else ""
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}{options}"],
                cwd=self.folder,
                env={"PYTHONUNBUFFERED": "1", **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._servers.append(process)
        until = time.monotonic() + 60
        while not (address := re.search(r"http://[\w.]+:\d+[\w/?=]*", log.read_text("utf-8"))):
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < until, f"{command}: no address in a minute"
            time.sleep(0.1)
        base = address[0] + ("/models" if address[0].endswith("/v1") else "")
        with urllib.request.urlopen(base, timeout=30) as response:
            assert response.status == 200

    def close(self) -> None:
        """Stop the servers."""
        for process in self._servers:
            process.terminate()
        for process in self._servers:
            process.wait(30)

    def _shell(self, command: str, gateway: str | None) -> subprocess.CompletedProcess[bytes]:
        variables = {"EMBY_BASE_URL": gateway} if gateway else {}
        typed = [text for words, text in TYPED.items() if command.startswith(words)]
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=variables | self.variables,
            input=typed[0] if typed else b"",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
            check=False,
        )


def pages() -> list[Path]:
    """The README and the user documentation, limited to pages with commands or Python."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    site = [page for page in found if page.name not in LEFT_OUT and page.parent.name != "reference"]
    return [page for page in (ROOT / "README.md", *site) if any(steps(page)) or python_of(page)]


def python_of(page: Path) -> list[Block]:
    """The Python blocks of a page."""
    return blocks(page, "python")


def installs(page: Path) -> list[str]:
    """The install commands of a page, including inline ones."""
    typed = [command for block in blocks(page, "sh") for command in block.commands()]
    inline = INLINE_INSTALL.findall(page.read_text("utf-8"))
    return [command for command in (*typed, *inline) if INSTALL.match(command)]


def steps(page: Path) -> Iterator[tuple[str, str | None]]:
    """The commands of a page in order, each with its expected output, if shown."""
    for block in blocks(page, "sh", "text"):
        if block.language == "sh":
            yield from ((command, None) for command in block.commands())
        else:
            yield from block.sessions()


def walk(page: Path, reader: Reader) -> None:
    """Run all commands and Python of a page. Raises `AssertionError` or `CalledProcessError`."""
    for command in installs(page):
        if shutil.which(command.split()[0], path=reader.variables["PATH"]):
            reader.run(command)
    for command, shown in steps(page):
        if INSTALL.match(command) or "^C" in (shown or ""):
            continue  # installed above, or needs Ctrl-C
        if command.startswith("export "):
            reader.export(command)
        elif command.startswith("cd "):
            reader.folder /= command.split()[1]
        elif command.startswith(SERVERS):
            reader.serve(command)
        elif shown is None:
            reader.run(command)
        else:
            reader.check_session(command, shown)
    if python_of(page):
        reader.run(f"python {shlex.quote(str(RUNNER))} {shlex.quote(str(page))}")


def start(page: Path, tutorial: str) -> list[str]:
    """The packages to install first: none if the page starts with an install command."""
    typed = [command for command, _ in steps(page) if INSTALL.match(command)]
    if typed and typed[0].startswith("llm "):
        return ["llm"]
    return [] if typed else [tutorial]


def walk_all(wheel: Path, base: Path, make_programs: Callable[[Path, list[str]], Path]) -> None:
    """Run all pages, each in an environment made by `make_programs(folder, wanted)`.

    Prints each failure. Raises `AssertionError` with the names of the failed pages.
    """
    tutorial = f"{wheel}[llm,langchain]"
    shared = make_programs(base / "shared", [tutorial])
    failed = []
    for page in pages():
        name = page.relative_to(ROOT).as_posix()
        own = base / name.replace("/", "-")
        began = time.monotonic()
        programs = make_programs(own, start(page, tutorial)) if installs(page) else shared
        reader = Reader(programs, own / "reader", wheel)
        try:
            walk(page, reader)
        except (AssertionError, subprocess.SubprocessError, OSError) as error:
            failed.append(name)
            print(f"FAILED {name}\n{error}", flush=True)
        else:
            print(f"walked {name}: {time.monotonic() - began:.0f} s", flush=True)
        finally:
            reader.close()
    assert not failed, failed
