"""What was paid for comes out: saving, printing and logging may fail, in any order."""

import base64
import errno
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from llm.models import Response
from llm_help import LLM, MODES, Recorder, paths
from support import (
    JSON,
    STREAM,
    Asked,
    Loopback,
    Wire,
    answer,
    as_json,
    chunk,
    completion,
    interruptible,
    picture,
    sse,
)

from emby_plugins import BackendRequest, BackendResponse, Image
from emby_plugins.mock import MockBackend
from llm_emby import _generation as generation, _image_files as image_files
from llm_emby._delivery import Delivery, Form

PNG, OTHER = picture(), picture("blue", size=(40, 40))


def llm(*words: object, **more: Any) -> "subprocess.CompletedProcess[bytes]":
    """`llm` in a process of its own."""
    environment = {**os.environ, **more.pop("env", {})}
    command = [sys.executable, "-m", "llm", *map(str, words)]
    output: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(command, env=environment, check=False, timeout=60, **{**output, **more})


# ---- the log


def broken(path: Path) -> None:
    """A log that is not a database."""
    path.write_bytes(b"garbage " * 500)


def folder(path: Path) -> None:
    """A log that can't be opened."""
    path.mkdir()


def refusing(path: Path) -> None:
    """A log that can be opened and read, but takes no row, as one on a read-only disk."""
    from llm.migrations import migrate
    from sqlite_utils import Database

    database = Database(path)
    migrate(database)
    database.conn.execute(
        "create trigger no before insert on turns begin select raise(fail, 'readonly'); end"
    )
    database.close()


def locked(path: Path) -> sqlite3.Connection:
    """A log that another process keeps to itself."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("begin exclusive")
    return connection


@pytest.mark.parametrize("form", ["paths", "bytes", "json"])
@pytest.mark.parametrize("trouble", [broken, folder, refusing, locked])
def test_trouble_with_the_log_is_a_warning(
    trouble: Callable[[Path], Any],
    form: str,
    run: LLM,
    user_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However the log fails, the images come out in every form, with one warning."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0))
    held = trouble(user_path / "logs.db")
    more = {"paths": ["-n", "3"], "bytes": ["--out", "-"], "json": ["--json", "-n", "3"]}[form]
    result = run("emby", "image", "a fox", "-m", "emby-mock", *more)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("Warning: llm's log can't be written (") == 1
    saved = sorted((user_path / "emby" / "images").iterdir())
    if form == "bytes":
        assert [result.stdout_bytes] == [path.read_bytes() for path in saved]
    elif form == "paths":
        assert sorted(paths(result.stdout)) == saved
    else:
        assert sorted(fact["path"] for fact in json.loads(result.stdout)) == [*map(str, saved)]
    if held is not None:
        held.close()


def test_the_log_is_opened_before_paying_and_written_after_delivery(
    run: LLM, wire: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order: log opened, request sent, path printed, row written."""
    told: list[str] = []

    def noting(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*words: Any, **named: Any) -> Any:
            told.append(what)
            return function(*words, **named)

        return noted

    wire.answer = noting("paid", MockBackend())
    monkeypatch.setattr(generation, "migrate", noting("opened", generation.migrate))
    monkeypatch.setattr(Delivery, "deliver", noting("delivered", Delivery.deliver))
    monkeypatch.setattr(Response, "log_to_db", noting("logged", Response.log_to_db))
    run("emby", "image", "a fox", "-m", "emby-mock")
    assert told == ["opened", "paid", "delivered", "logged"]


# ---- standard output


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        (b"b\xc3\xbccher", "ascii"),
        (b"\xe6\x97\xa5", "latin-1"),
        (b"\xff", "utf-8"),
        (b"\xff", "ascii"),
    ],
)
def test_a_path_that_can_not_be_encoded_is_written_anyway(
    name: bytes, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the file system spells it, so that a shell finds the file."""
    from llm.cli import cli

    monkeypatch.setenv("LLM_USER_PATH", os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    words = ["emby", "image", "a fox", "-m", "emby-mock"]
    result = CliRunner(charset=encoding).invoke(cli, words, catch_exceptions=False)
    assert (result.exit_code, result.stderr) == (0, "")
    (path,) = result.stdout_bytes.splitlines()
    assert path.startswith(os.fsencode(tmp_path) + b"/" + name)
    assert Path(os.fsdecode(path)).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_process_with_an_output_of_ascii(tmp_path: Path) -> None:
    """With PYTHONIOENCODING=ascii the bytes of the path come out as they are."""
    place = tmp_path / "b\u00fccher"
    environment = {"PYTHONIOENCODING": "ascii", "LLM_USER_PATH": str(place)}
    done = llm("emby", "image", "a fox", "-m", "emby-mock", env=environment)
    (path,) = (place / "emby" / "images").iterdir()
    assert (done.returncode, done.stdout, done.stderr) == (0, os.fsencode(path) + b"\n", b"")


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_whose_name_is_not_text(
    mode: tuple[str, ...], run: LLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: Recorder
) -> None:
    """The path is printed and logged with its bytes escaped, and the next turn finds the image."""
    place = tmp_path / os.fsdecode(b"\xff")
    monkeypatch.setenv("LLM_USER_PATH", str(place))
    first = run("-m", "emby-mock", "Draw a boat", mode=mode)
    assert first.exit_code == 0, first.output
    (path,) = (place / "emby" / "images").iterdir()
    assert first.stdout.splitlines()[-1] == f"{tmp_path}/\\xff/emby/images/{path.name}"
    again = run("-c", "make it grey", mode=mode)
    assert again.exit_code == 0, again.output
    assert "data:image/png" in str(wire.requests[1]["messages"])


@pytest.mark.slow
def test_llm_itself_with_an_output_that_lacks_the_letters(tmp_path: Path) -> None:
    """`llm --no-stream` fails when it prints the path; standard error has it all the same."""
    place = tmp_path / "bücher"
    environment = {"PYTHONIOENCODING": "ascii", "LLM_USER_PATH": str(place)}
    done = llm("-m", "emby-mock", "Draw a boat", "--no-stream", env=environment)
    (path,) = (place / "emby" / "images").iterdir()
    assert f"can't encode the path of the image: {path}" in done.stderr.decode()


@pytest.mark.slow
def test_a_reader_that_has_left_stops_nothing(user_path: Path) -> None:
    """As with `| head -n 1`: no complaint, and every image is saved and logged."""
    read, write = os.pipe()
    os.close(read)
    done = llm("emby", "image", "a fox", "-m", "emby-mock", "-n", "3", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
    assert len(list((user_path / "emby" / "images").iterdir())) == 3
    assert _rows(user_path) == 3


@pytest.mark.slow
def test_an_output_on_a_full_disk_is_an_error_that_names_the_files(user_path: Path) -> None:
    """With `> file` on a full disk, standard error lists the paths of the images."""
    with Path("/dev/full").open("wb") as full:
        done = llm("emby", "image", "a fox", "-m", "emby-mock", "-n", "2", stdout=full)
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    why = "Error: Standard output can't be written: No space left on device."
    files = (user_path / "emby" / "images").iterdir()
    assert sorted(lines) == sorted(f"{why} The image is saved at {path}." for path in files)


class BadOutput(io.RawIOBase):
    """A standard output that fails at the first byte, or when it is flushed."""

    encoding = "utf-8"

    def __init__(self, error: int, *, when: str) -> None:
        self.error = error
        self.when = when
        self.buffer = self

    def write(self, data: Any) -> int:
        return len(data) if self.when == "flush" else self._fail()

    def flush(self) -> None:
        if self.when == "flush":
            self._fail()

    def _fail(self) -> int:
        raise OSError(self.error, os.strerror(self.error))


def result(path: Path) -> Any:
    """An image that is saved at `path`."""
    found = {"path": str(path), "sha256": "0" * 64}
    return SimpleNamespace(path=path, metadata=found, facts=lambda: {"path": str(path)})


@pytest.mark.parametrize("when", ["write", "flush", "closed"])
@pytest.mark.parametrize("error", [errno.EPIPE, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("form", get_args(Form))
def test_no_output_is_worth_an_image(
    form: Form,
    error: int,
    when: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In every form: a closed pipe is not reported, any other failure lists the paths."""
    path = Image(PNG).save(tmp_path)
    output = None if when == "closed" else BadOutput(error, when=when)
    monkeypatch.setattr(sys, "stdout", output)
    with Delivery(form, 1) as delivery:
        delivery.deliver(result(path))
    if output is not None:
        output.when = "never"  # it is flushed once more when it is thrown away
    monkeypatch.undo()
    assert delivery.has_failed
    told = capsys.readouterr().err
    if error == errno.EPIPE and when != "closed":
        assert told == ""
    else:
        assert told.count(str(path)) == 1
        assert "Standard output can't be written: " in told


# ---- the disk


@pytest.mark.parametrize("mode", MODES)
def test_a_full_images_folder_finds_another_place(
    mode: tuple[str, ...], run: LLM, user_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image goes to the folder for temporary files, a new one that only the user can read."""
    _fill(monkeypatch, user_path, user_path)
    result = run("-m", "emby-mock", "Draw a boat", mode=mode)
    assert result.exit_code == 0, result.output
    (path,) = paths(result.stdout)
    assert Image.from_path(path).media_type == "image/png"
    assert path.parent.name.startswith("emby-images-")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    images = user_path / "emby" / "images"
    assert f"Could not save the image to {images}: No space left on device." in result.stderr
    assert f"Saved to {path}." in result.stderr
    assert list(images.iterdir()) == []


@pytest.mark.parametrize("mode", MODES)
def test_when_no_disk_takes_an_image_the_error_says_so(
    mode: tuple[str, ...], run: LLM, user_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every place and its reason are named, and the exit status is 1."""
    _fill(monkeypatch, user_path, Path("/"))
    result = run("-m", "emby-mock", "Draw a boat", mode=mode)
    assert result.exit_code == 1
    told = " ".join(result.output.split())
    assert "Could not save the image anywhere:" in told
    assert f"{user_path / 'emby' / 'images'}: No space left on device" in told


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_cut", [False, True])
def test_an_image_that_no_disk_takes_does_not_cost_the_others(
    is_cut: bool,
    mode: tuple[str, ...],
    run: LLM,
    wire: Recorder,
    user_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others of the reply are saved and named, whether the reply ends well or not."""
    big, small = (picture(size=(size, size)) for size in (900, 3))
    monkeypatch.setattr(image_files.ImageSaver, "_save_at", _only_small)
    monkeypatch.setattr(tempfile, "tempdir", str(user_path.parent))

    def by(request: BackendRequest) -> BackendResponse:
        streamed = json.loads(request.body).get("stream")
        if streamed:
            end = [] if is_cut else [chunk(finish="stop")]
            return answer(sse(chunk("", big), chunk(None, small), *end, done=not is_cut))
        body = as_json(completion("", big, small))
        return _json(body[:-2] if is_cut else body)

    wire.answer = by
    result = run("-m", "emby-mock", "Draw", "-o", "output", user_path.parent / "out", mode=mode)
    assert result.exit_code == 1
    assert "Could not save the image anywhere: " in result.output
    (path,) = (user_path.parent / "out").iterdir()
    assert path.read_bytes() == small
    assert str(path) in result.output


def _json(body: bytes) -> BackendResponse:
    return BackendResponse(200, {"content-type": "application/json"}, iter([body]))


_save_at = image_files.ImageSaver._save_at


def _only_small(saver: image_files.ImageSaver, image: Image, place: Path) -> Path:
    if image.byte_size > 1000:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return _save_at(saver, image, place)


def test_standard_output_takes_what_no_disk_takes(
    run: LLM, wire: Recorder, user_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `--out -` the bytes come out though nothing can be saved; without it, an error."""
    wire.answer = lambda _: answer(completion("", PNG))
    _fill(monkeypatch, user_path, Path("/"))
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--out", "-")
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes == PNG
    result = run("emby", "image", "a fox", "-m", "emby-mock")
    assert result.exit_code == 1
    assert "Error: Could not save the image anywhere:" in result.stderr


def _fill(monkeypatch: pytest.MonkeyPatch, user_path: Path, below: Path) -> None:
    """Make the disk full for every new image file below a folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(user_path.parent))
    real = os.open

    def full(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        drafted = Path(os.fsdecode(path)).name.startswith(".emby-") if path else False
        if drafted and Path(path).is_relative_to(below):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return real(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", full)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("emby", "image", "Draw", "--out", "made/big.png"), "big.png"),
        (("Draw", "-o", "output", "made"), "emby-*.png"),
        (("Draw", "-o", "output", "made/big.jpg", "--async"), "big.png"),
        (("emby", "image", "Draw", "--out", "-"), None),
    ],
)
def test_a_large_image_is_not_held_in_memory(
    words: tuple[str, ...],
    name: str | None,
    run: LLM,
    wire: Recorder,
    user_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It arrives in a file beside its target, which is then given its name; nothing else stays."""
    size, zeros = 3 * 2**22, b"A" * 2**20
    before, _, after = as_json(completion("", PNG)).partition(base64.b64encode(PNG))

    def pieces() -> Iterator[bytes]:
        yield before + base64.b64encode(PNG[:60])
        assert name is None or not (tmp_path / "made" / name).exists()
        for _ in range(size * 4 // 3 // len(zeros)):
            yield zeros
        yield after

    wire.answer = lambda _: BackendResponse(200, JSON, pieces())
    monkeypatch.chdir(tmp_path)
    if name is None:  # the test itself holds what is written there
        monkeypatch.setattr(Delivery, "_write", lambda *_: True)
    run("-m", "emby-mock", "hi")  # imports
    tracemalloc.start()
    try:
        result = run(*words, "-m", "emby-mock", "-o", "endpoint", "chat")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.exit_code == 0, result.output
    assert peak < size // 2
    folder = user_path / "emby" / "images" if name is None else tmp_path / "made"
    (path,) = folder.iterdir()
    assert path.match(name or "*.png")
    assert path.stat().st_size == size + 60


# ---- results that come one by one


def one_at_once(asked: Asked, wire: Wire) -> None:
    """Answers the job of seed 0 with an image, and every other when the test is over."""
    if b'"seed":0' not in asked.body:
        wire.is_over(30)
    wire.whole(as_json(completion("", PNG)), "content-type: application/json")


@pytest.mark.slow
def test_ctrl_c_names_what_was_saved(user_path: Path) -> None:
    """A path is printed before the other jobs end; interrupted, the command lists what there is."""
    with Loopback(one_at_once) as server:
        settings = {"EMBY_BASE_URL": server.url, "EMBY_API_KEY": "sk-0123456789"}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            interruptible("llm", "emby", "image", "a fox", "-n", "2"),
            env={**os.environ, **settings},
            stdout=pipe,
            stderr=pipe,
            text=True,
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=20)
    (path,) = (user_path / "emby" / "images").iterdir()
    assert path.read_bytes() == PNG
    assert first == f"{path}\n"
    assert told == f"Interrupted. 1 image was saved:\n  {path}\n"
    assert process.returncode == 130


def test_interrupted_json_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The facts of what was saved are printed, and are JSON."""

    def interrupted() -> None:
        with Delivery("json", 2) as delivery:
            delivery.deliver(result(tmp_path / "a.png"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    out, told = capsys.readouterr()
    assert json.loads(out) == [{"path": str(tmp_path / "a.png")}]
    assert "Interrupted. 1 image was saved:" in told


INTERRUPTED = {
    "prompt": ("-m", "emby-mock", "Draw"),
    "output": ("-m", "emby-mock", "Draw", "-o", "output", "fox.png"),
    "chat": ("chat", "-m", "emby-mock"),
    "command": ("emby", "image", "Draw", "-m", "emby-mock", "--out", "fox.png"),
}


@pytest.mark.parametrize("command", INTERRUPTED)
@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_saves_and_names_what_has_arrived_of_a_reply(
    command: str,
    mode: tuple[str, ...],
    run: LLM,
    wire: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first image is whole, the second is not: one file, named on stderr, and status 130."""
    if (command == "command" and mode) or (command == "chat" and "--async" in mode):
        pytest.skip("no such option")
    monkeypatch.chdir(tmp_path)

    def by(request: BackendRequest) -> BackendResponse:
        streamed = bool(json.loads(request.body).get("stream"))
        whole = as_json(completion("", PNG, OTHER))
        body = sse(chunk("", PNG), chunk(None, OTHER)) if streamed else whole
        return BackendResponse(200, STREAM if streamed else JSON, interrupted(body[:-80]))

    wire.answer = by
    result = run(*INTERRUPTED[command], mode=mode, text="Draw\n")
    (path,) = [file for file in tmp_path.rglob("*") if file.suffix in {".png", ".part"}]
    assert path.read_bytes() == PNG
    assert (path.name == "fox.png") is (command in {"output", "command"})
    assert result.stderr.endswith(f"Interrupted. 1 image was saved:\n  {path}\n")
    assert result.exit_code == 130


def interrupted(data: bytes) -> Iterator[bytes]:
    """The beginning of a reply, and then Ctrl-C."""
    yield data
    raise KeyboardInterrupt


def _rows(user_path: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{user_path / 'logs.db'}?mode=ro", uri=True)) as db:
            return int(db.execute("select count(*) from turns").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_an_odd_image_and_a_failure_leave_the_others_alone(run: LLM, wire: Recorder) -> None:
    """Of three jobs one brings bytes of no known type and one fails: all that came is told."""
    replies = iter([completion("", b"<html>"), {"error": {"message": "No credit"}}])

    def by(_: BackendRequest) -> BackendResponse:
        return answer(next(replies, completion("", PNG)))

    wire.answer = by
    result = run("emby", "image", "a fox", "-n", "3", "-m", "emby-mock", "--json")
    assert result.exit_code == 1
    facts = {fact["media_type"]: fact for fact in json.loads(result.stdout)}
    assert facts["image/png"]["width"] == 3
    odd = facts["application/octet-stream"]
    assert (odd["width"], odd["bytes"]) == (None, 6)
    assert Path(odd["path"]).read_bytes() == b"<html>"
    assert "Error: No credit" in result.stderr


def test_an_image_that_comes_as_an_address_is_told(run: LLM, wire: Recorder) -> None:
    """Nothing is fetched: the address is the result, and it has no bytes to give."""
    url = "https://example.com/a.png"
    wire.answer = lambda _: answer(completion("", url))
    words = ("emby", "image", "a fox", "-m", "emby-mock")
    assert run(*words).stdout == f"{url}\n"
    assert json.loads(run(*words, "--json").stdout)[0]["url"] == url
    result = run(*words, "--out", "-")
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert url in result.stderr


def test_of_several_images_the_first_goes_to_standard_output(run: LLM, wire: Recorder) -> None:
    """`--out -` has room for one; the paths of the others are listed."""
    other = picture("blue")
    wire.answer = lambda _: answer(completion("", PNG, other))
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--out", "-")
    assert (result.exit_code, result.stdout_bytes) == (0, PNG)
    named = result.stderr.split("saved at ")[1].strip().removesuffix(".")
    assert Path(named).read_bytes() == other


# ---- images to start from


@pytest.mark.parametrize("kind", ["pipe", "device", "huge"])
def test_what_is_not_a_file_to_start_from_is_refused(
    kind: str, run: LLM, wire: Recorder, tmp_path: Path
) -> None:
    """Neither `-a` of `llm emby image` nor a fragment waits for a pipe or fills the memory."""
    path = tmp_path / "a.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "huge":
        with path.open("wb") as file:
            file.write(PNG)
            file.truncate(1 << 30)
    else:
        path = Path("/dev/zero")
    for words in (
        ["emby", "image", "edit it", "-a", path, "-m", "emby-mock"],
        ["-m", "emby-mock", "What?", "-f", f"emby-image:{path}"],
    ):
        result = run(*words)
        assert result.exit_code == 1
        assert f"'{path}' can't be read: " in result.output
    assert wire.requests == []
