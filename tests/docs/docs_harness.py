"""Find the examples in the documentation, and run or check each like its reader."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from click.testing import CliRunner

from emby_plugins import Emby

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
_EXTRAS = PROJECT["optional-dependencies"]
_TEST_GROUP = PYPROJECT["dependency-groups"]["test"]


def name_of(page: Path) -> str:
    """Return a page's name for test ids and messages."""
    return page.relative_to(ROOT).as_posix()


def make_photographs(folder: Path) -> None:
    """Create the reader's images that the examples use."""
    with Emby(base_url="mock:") as emby:
        picture = emby.chat("Generate an image of a cat").image.to_pil().convert("RGB")
    for name in ("photo.jpg", "one.jpg", "two.jpg", "photo.png", "scan.bmp"):
        picture.save(folder / name)
        picture = picture.rotate(90)
    (folder / "photos").mkdir(exist_ok=True)
    picture.save(folder / "photos" / "three.jpg")
    (folder / "paper.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")


def make_targets() -> set[str]:
    """Return the targets of `make`."""
    text = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z][a-z0-9-]*):(?!=)", text, re.MULTILINE))


class Shell:
    """Runs `llm` in this process in a separate folder, and checks commands that need a network."""

    def __init__(self, folder: Path, set_variable: Callable[[str, str], None]) -> None:
        self._folder = folder
        self._set_variable = set_variable

    def run(self, command: str) -> None:
        """Run or check one command line. Raises `AssertionError` if it fails."""
        source, pipe, rest = command.partition(" | ")
        given = None
        if pipe:
            cat, name = shlex.split(source)
            assert cat == "cat", command
            given, command = (self._folder / name).read_bytes(), rest
        words = shlex.split(command, comments=True)
        program, *arguments = words
        check = getattr(self, f"_{program}", None)
        assert check, f"nobody knows how to check {command!r}"
        if given is None:
            check(arguments)
        else:
            self._llm(arguments, given)

    def _llm(self, arguments: list[str], given: bytes | None = None) -> None:
        from llm.cli import cli

        if arguments[0] == "install":
            return self._pip(arguments)
        if arguments[:2] == ["emby", "mock"]:
            return self._python(["-m", "emby_plugins.mock", *arguments[2:]])
        if arguments[0] == "chat":
            given = b"exit\n"
        if arguments[:2] == ["keys", "set"]:
            given = b"a-key\n"
        done = CliRunner().invoke(cli, arguments, input=given, catch_exceptions=False)
        assert done.exit_code == 0, f"{arguments}: {done.output}"
        return None

    def _pip(self, arguments: list[str]) -> None:
        assert arguments[0] == "install"
        for wanted in arguments[1:]:
            name, _, extra = re.split(r"[<>=]", wanted)[0].rstrip("]").partition("[")
            if name == PROJECT["name"]:
                assert set(filter(None, extra.split(","))) <= _EXTRAS.keys(), wanted
            elif not name.startswith("-"):
                known = (
                    *PROJECT["dependencies"],
                    *chain.from_iterable(_EXTRAS.values()),
                    *_TEST_GROUP,
                )
                assert any(re.match(re.escape(name) + r"\b", one) for one in known), wanted

    def _uv(self, arguments: list[str]) -> None:
        assert arguments[:3] == ["tool", "install", "llm"]
        self._pip(["install", *arguments[arguments.index("--with") + 1 :]])

    def _make(self, arguments: list[str]) -> None:
        assert set(arguments) <= make_targets(), arguments

    def _export(self, arguments: list[str]) -> None:
        name, _, value = arguments[0].partition("=")
        assert name in {"EMBY_API_KEY", "EMBY_BASE_URL"}, name
        # Examples for a real gateway run on the mock too.
        if value == "mock:":
            self._set_variable(name, value)

    def _python(self, arguments: list[str]) -> None:
        if arguments[0] != "-m":
            assert (self._folder / arguments[0]).is_file(), arguments
            return
        module, options = arguments[1], arguments[2:]
        if module == "emby_plugins.mock":
            text = (ROOT / "emby_plugins/mock/__main__.py").read_text("utf-8")
            assert all(f'"{option}"' in text for option in options if option.startswith("--"))
        elif module == "emby_plugins.examples":
            command = [sys.executable, *arguments]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            subprocess.run(
                command, cwd=self._folder, env=environment, stdout=subprocess.DEVNULL, check=True
            )
        else:
            assert module in {"pip", "build", "pytest"}, module

    def _pytest(self, arguments: list[str]) -> None:
        import emby_plugins.pytest_plugin

        text = Path(emby_plugins.pytest_plugin.__file__).read_text("utf-8")
        switches = [word.partition("=")[0] for word in arguments if word.startswith("emby_")]
        assert all(switch in text for switch in switches)

    def _curl(self, arguments: list[str]) -> None:
        assert any(word.endswith(("/chat/completions", "/models")) for word in arguments), arguments

    def _jupyter(self, arguments: list[str]) -> None:
        assert arguments[0] == "lab"
        assert all((self._folder / notebook).is_file() for notebook in arguments[1:]), arguments

    def _cd(self, arguments: list[str]) -> None:
        assert (self._folder / arguments[0]).is_dir(), arguments

    def _ls(self, arguments: list[str]) -> None:
        assert all((self._folder / name).exists() for name in arguments), arguments
