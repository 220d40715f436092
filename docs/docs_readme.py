"""Generate the README's quotes from the programs themselves, for `make docs`.

`session` runs commands as a reader without a key would, in an empty folder. `troubles` provokes
each error of the troubleshooting table, so that it quotes the actual messages.
"""

import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

# Read when `llm` is imported; loads only our plugin.
os.environ["LLM_LOAD_PLUGINS"] = "emby-plugins"

from click.testing import CliRunner

from emby_plugins import BackendResponse, Emby, EmbyError, Image, hookimpl
from emby_plugins.mock import Fault, MockBackend, activate

HOME = "/Users/you"
SESSION = (
    'llm -m emby-mock "Generate an image of a puppy in a meadow" -o output puppy.png',
    'llm -c "make it grayscale" -o output gray.png',
    'llm -m emby-mock "What is shown in this image?" -a gray.png',
)


def session() -> str:
    """A block with the first commands and their output."""
    with _reader() as folder:
        lines = [line for command in SESSION for line in ("$ " + command, _run(command), "")]
    text = "\n".join(lines).strip().replace(str(folder), HOME)
    return f"\n```text\n{text}\n```\n"


def troubles() -> str:
    """The rows of the troubleshooting table: each message and its solution."""
    with _reader():
        rows = [f"| `{message}` | {advice} |" for message, advice in _troubles()]
    return "\n".join(["", "| message | what to do |", "|---|---|", *rows, "", ""])


@contextmanager
def _reader() -> Iterator[Path]:
    """Run in an empty folder, without a key."""
    names = ("EMBY_API_KEY", "EMBY_BASE_URL", "LLM_USER_PATH")
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as user:
        os.environ["LLM_USER_PATH"] = user
        try:
            with chdir(name):
                yield Path(name).resolve()
        finally:
            del os.environ["LLM_USER_PATH"]
            os.environ.update(kept)


def _run(command: str) -> str:
    from llm.cli import cli

    program, *arguments = shlex.split(command)
    assert program == "llm", command
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    return done.output.strip()


def _troubles() -> Iterator[tuple[str, str]]:
    yield (
        _first(_run("llm -m emby/qwen2.5-vision Hi")),
        "`llm keys set emby`, or use the model `emby-mock`.",
    )
    yield (
        _first(_raised(lambda: Emby().chat("Hi"))),
        "Set `EMBY_API_KEY`, or `EMBY_BASE_URL=mock:`.",
    )
    with activate(MockBackend(faults=[Fault(status=401)])), Emby(base_url="mock:") as emby:
        yield (
            _last(_raised(lambda: emby.chat("Hi"))),
            "The key belongs to another gateway, or was revoked.",
        )
    yield (
        _last(_raised(lambda: Emby("k", "gone:", plugins=[_NotFound()]).chat("Hi"))),
        "Add `/v1` to the end of `EMBY_BASE_URL`.",
    )
    yield (
        _run("llm -m emby/new-model Hi"),
        "`llm emby refresh` fetches the list of models; `llm emby add` adds one by hand.",
    )
    mock = Emby(base_url="mock:")
    yield (
        _first(_raised(lambda: mock.chat("Hi").image)),
        'Say "Generate an image of ..." and use a model from `llm emby models --images`.',
    )
    yield (
        _last(_raised(lambda: mock.chat("Look", images=[Image.from_bytes(b"BM")]))),
        "Export it in one of these formats, or open it with Pillow and use `Image.from_pil()`.",
    )
    unfinished = MockBackend(faults=[Fault(no_finish=True)])
    with activate(unfinished), Emby(base_url="mock:") as emby, emby.stream("Hi") as stream:
        yield (
            _first(_raised(lambda: list(stream))),
            "`error.partial` has everything that arrived. Trying again is a new, paid request.",
        )


class _NotFound:
    @hookimpl
    def emby_backend(self) -> object:
        return lambda _: BackendResponse(404, {"content-type": "text/plain"}, iter([b"Not found"]))


def _raised(provoke: Callable[[], object]) -> str:
    try:
        provoke()
    except EmbyError as error:
        return str(error)
    raise AssertionError("no error")


def _first(message: str) -> str:
    """The first sentence of a message."""
    sentence, stop, _ = message.partition(". ")
    return sentence + stop.strip()


def _last(message: str) -> str:
    """The last sentence of a message, without the request id."""
    return re.sub(r" \(request [\w-]+\)$", "", message).rpartition(". ")[2]
