"""Images that were paid for are delivered even if saving, printing or logging fails."""

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
import threading
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
    Loopback,
    ReceivedRequest,
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
    """Run `llm` in a separate process."""
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
    """A log that can be read but not written, like one on a read-only disk."""
    from llm.migrations import migrate
    from sqlite_utils import Database

    database = Database(path)
    migrate(database)
    database.conn.execute(
        "create trigger no before insert on turns begin select raise(fail, 'readonly'); end"
    )
    database.close()


def locked(path: Path) -> sqlite3.Connection:
    """A log that another process has locked."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("begin exclusive")
    return connection


@pytest.mark.parametrize("form", ["paths", "bytes", "json"])
@pytest.mark.parametrize("trouble", [broken, folder, refusing, locked])
def test_a_failing_log_causes_a_warning(
    trouble: Callable[[Path], Any],
    form: str,
    run: LLM,
    user_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the log fails in any way, the images are delivered in every form, with one warning."""
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
    """The log is opened, the request sent, the path printed and the row written, in this order."""
    output: list[str] = []

    def noting(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*words: Any, **named: Any) -> Any:
            output.append(what)
            return function(*words, **named)

        return noted

    wire.answer = noting("paid", MockBackend())
    monkeypatch.setattr(generation, "migrate", noting("opened", generation.migrate))
    monkeypatch.setattr(Delivery, "deliver", noting("delivered", Delivery.deliver))
    monkeypatch.setattr(Response, "log_to_db", noting("logged", Response.log_to_db))
    run("emby", "image", "a fox", "-m", "emby-mock")
    assert output == ["opened", "paid", "delivered", "logged"]


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
def test_a_path_that_can_not_be_encoded_is_printed(
    name: bytes, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that can't be encoded is printed as the file system's bytes."""
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
    """With PYTHONIOENCODING=ascii a path is printed as the file system's bytes."""
    place = tmp_path / "b\u00fccher"
    environment = {"PYTHONIOENCODING": "ascii", "LLM_USER_PATH": str(place)}
    done = llm("emby", "image", "a fox", "-m", "emby-mock", env=environment)
    (path,) = (place / "emby" / "images").iterdir()
    assert (done.returncode, done.stdout, done.stderr) == (0, os.fsencode(path) + b"\n", b"")


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_with_a_name_that_is_not_text(
    mode: tuple[str, ...], run: LLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: Recorder
) -> None:
    """A path that is not text is printed and logged with escapes, and its image is found again."""
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
def test_llm_itself_with_an_output_that_can_not_encode_the_path(tmp_path: Path) -> None:
    """If `llm --no-stream` can't encode the path, stderr has it."""
    place = tmp_path / "bücher"
    environment = {"PYTHONIOENCODING": "ascii", "LLM_USER_PATH": str(place)}
    done = llm("-m", "emby-mock", "Draw a boat", "--no-stream", env=environment)
    (path,) = (place / "emby" / "images").iterdir()
    assert f"can't encode the path of the image: {path}" in done.stderr.decode()


@pytest.mark.slow
def test_a_closed_pipe_stops_nothing(user_path: Path) -> None:
    """With a closed pipe, as after `| head -n 1`, every image is saved and logged without an
    error.
    """
    read, write = os.pipe()
    os.close(read)
    done = llm("emby", "image", "a fox", "-m", "emby-mock", "-n", "3", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
    assert len(list((user_path / "emby" / "images").iterdir())) == 3
    assert _rows(user_path) == 3


@pytest.mark.slow
def test_an_output_on_a_full_disk_lists_the_files(user_path: Path) -> None:
    """If stdout is a file on a full disk, stderr has the paths of the images."""
    with Path("/dev/full").open("wb") as full:
        done = llm("emby", "image", "a fox", "-m", "emby-mock", "-n", "2", stdout=full)
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    why = "Error: Standard output can't be written: No space left on device."
    files = (user_path / "emby" / "images").iterdir()
    assert sorted(lines) == sorted(f"{why} The image is saved at {path}." for path in files)


class BadOutput(io.RawIOBase):
    """A standard output that fails at the first byte, or when flushed."""

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
    """Return the result of an image saved at `path`."""
    found = {"path": str(path), "sha256": "0" * 64}
    return SimpleNamespace(path=path, metadata=found, facts=lambda: {"path": str(path)})


@pytest.mark.parametrize("when", ["write", "flush", "closed"])
@pytest.mark.parametrize("error", [errno.EPIPE, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("form", get_args(Form))
def test_a_failing_output_loses_no_image(
    form: Form,
    error: int,
    when: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A closed pipe is not reported in any form, and any other failure lists the paths."""
    path = Image(PNG).save(tmp_path)
    output = None if when == "closed" else BadOutput(error, when=when)
    monkeypatch.setattr(sys, "stdout", output)
    with Delivery(form, 1) as delivery:
        delivery.deliver(result(path))
    if output is not None:
        output.when = "never"  # flushed once more when deleted
    monkeypatch.undo()
    assert delivery.has_failed
    printed = capsys.readouterr().err
    if error == errno.EPIPE and when != "closed":
        assert printed == ""
    else:
        assert printed.count(str(path)) == 1
        assert "Standard output can't be written: " in printed


# ---- the disk


@pytest.mark.parametrize("mode", MODES)
def test_a_full_images_folder_has_a_fallback(
    mode: tuple[str, ...], run: LLM, user_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the images folder is full, an image is saved to a new private temporary folder."""
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
def test_an_image_that_can_not_be_saved_anywhere_is_an_error(
    mode: tuple[str, ...], run: LLM, user_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an image can't be saved anywhere, the error has every place and its reason."""
    _fill(monkeypatch, user_path, Path("/"))
    result = run("-m", "emby-mock", "Draw a boat", mode=mode)
    assert result.exit_code == 1
    printed = " ".join(result.output.split())
    assert "Could not save the image anywhere:" in printed
    assert f"{user_path / 'emby' / 'images'}: No space left on device" in printed


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_cut", [False, True])
def test_an_image_that_can_not_be_saved_keeps_the_others(
    is_cut: bool,
    mode: tuple[str, ...],
    run: LLM,
    wire: Recorder,
    user_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If one image can't be saved, the others of the reply are, even if the reply is truncated."""
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


def test_standard_output_needs_no_disk(
    run: LLM, wire: Recorder, user_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--out -` prints the image even if nothing can be saved."""
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
    """A large image is written to a temporary file beside its target, not held in memory."""
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
    if name is None:  # the test itself would hold the output
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


def one_at_once(received: ReceivedRequest, wire: Wire) -> None:
    """Answer the job with seed 0 with an image, and all others when the test is over."""
    if b'"seed":0' not in received.body:
        wire.is_over(30)
    wire.whole(as_json(completion("", PNG)), "content-type: application/json")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_lists_the_saved_images(number: signal.Signals, tmp_path: Path) -> None:
    """An interrupted command lists the saved images, and paths were printed as they arrived.

    Other signals that end a process do the same, and no hidden folder is left.
    """
    with Loopback(one_at_once) as server:
        settings = {"EMBY_BASE_URL": server.url, "EMBY_API_KEY": "sk-0123456789"}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            interruptible("llm", "emby", "image", "a fox", "-n", "2", "--out", tmp_path / "made"),
            env={**os.environ, **settings},
            stdout=pipe,
            stderr=pipe,
            text=True,
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(number)
            _, output = process.communicate(timeout=20)
    (path,) = (tmp_path / "made").iterdir()
    assert path.read_bytes() == PNG
    assert first == f"{path}\n"
    assert output == f"Interrupted. 1 image was saved:\n  {path}\n"
    assert process.returncode == 128 + number


@pytest.mark.slow
@pytest.mark.parametrize("mode", [(), ("--async",)])
def test_a_signal_in_a_prompt_keeps_what_has_arrived(mode: tuple[str, ...], tmp_path: Path) -> None:
    """A prompt ended by SIGTERM saves the received image, and leaves no hidden folder."""

    def first_of_two(_: ReceivedRequest, wire: Wire) -> None:
        whole = as_json(completion("", PNG, OTHER))
        wire.head("content-type: application/json")
        wire.send(whole[:-80])
        wire.is_over(30)

    with Loopback(first_of_two) as server:
        settings = {"EMBY_BASE_URL": server.url, "EMBY_API_KEY": "sk-0123456789"}
        command = ("-m", "emby/qwen2.5-vision", "Draw", "-o", "output", tmp_path / "fox.png", *mode)
        with subprocess.Popen(
            interruptible("llm", *command), env={**os.environ, **settings}, stderr=subprocess.PIPE
        ) as process:
            for _ in range(400):
                if list(tmp_path.glob(".emby-*/*.png")):
                    break
                threading.Event().wait(0.05)
            process.send_signal(signal.SIGTERM)
            _, output = process.communicate(timeout=20)
    assert [path.name for path in tmp_path.iterdir() if path.name != "llm"] == ["fox.png"]
    assert (tmp_path / "fox.png").read_bytes() == PNG
    assert output.decode() == f"Interrupted. 1 image was saved:\n  {tmp_path / 'fox.png'}\n"
    assert process.returncode == 128 + signal.SIGTERM


def test_a_path_after_a_pipe_is_on_a_separate_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The progress is not shown right after a path, which `| tee` may print later."""
    with Delivery("paths", 2) as delivery:
        monkeypatch.setattr(delivery._status, "is_shown", True)
        delivery.deliver(result(tmp_path / "a.png"))
        delivery.advance()
        assert "Generating" not in capsys.readouterr().err
        delivery.tick()
        assert "Generating 1 of 2" in capsys.readouterr().err


def test_interrupted_json_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Interrupted `--json` output is valid JSON with the saved images."""

    def interrupted() -> None:
        with Delivery("json", 2) as delivery:
            delivery.deliver(result(tmp_path / "a.png"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    out, output = capsys.readouterr()
    assert json.loads(out) == [{"path": str(tmp_path / "a.png")}]
    assert "Interrupted. 1 image was saved:" in output


INTERRUPTED = {
    "prompt": ("-m", "emby-mock", "Draw"),
    "output": ("-m", "emby-mock", "Draw", "-o", "output", "fox.png"),
    "chat": ("chat", "-m", "emby-mock"),
    "command": ("emby", "image", "Draw", "-m", "emby-mock", "--out", "fox.png"),
}


@pytest.mark.parametrize("command", INTERRUPTED)
@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_saves_the_images_of_a_partial_reply(
    command: str,
    mode: tuple[str, ...],
    run: LLM,
    wire: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An interrupted reply has its complete images saved and listed on stderr, and status 130."""
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
    """Yield the beginning of a reply, and then interrupt."""
    yield data
    raise KeyboardInterrupt


def _rows(user_path: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{user_path / 'logs.db'}?mode=ro", uri=True)) as db:
            return int(db.execute("select count(*) from turns").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_an_unknown_image_type_and_a_failure_keep_the_others(run: LLM, wire: Recorder) -> None:
    """An image of an unknown type and a failed request do not affect the other images."""
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


def test_an_image_sent_as_a_url_is_printed(run: LLM, wire: Recorder) -> None:
    """An image sent as a URL is printed as the URL and not fetched."""
    url = "https://example.com/a.png"
    wire.answer = lambda _: answer(completion("", url))
    words = ("emby", "image", "a fox", "-m", "emby-mock")
    assert run(*words).stdout == f"{url}\n"
    assert json.loads(run(*words, "--json").stdout)[0]["url"] == url
    result = run(*words, "--out", "-")
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert url in result.stderr


def test_out_dash_prints_the_first_of_several_images(run: LLM, wire: Recorder) -> None:
    """`--out -` prints the first of several images and lists the paths of the others."""
    other = picture("blue")
    wire.answer = lambda _: answer(completion("", PNG, other))
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--out", "-")
    assert (result.exit_code, result.stdout_bytes) == (0, PNG)
    named = result.stderr.split("saved at ")[1].strip().removesuffix(".")
    assert Path(named).read_bytes() == other


# ---- source images


@pytest.mark.parametrize("kind", ["pipe", "device", "huge"])
def test_a_source_that_is_not_a_regular_file_is_refused(
    kind: str, run: LLM, wire: Recorder, tmp_path: Path
) -> None:
    """Pipes, devices and huge files as source images are refused at once."""
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
