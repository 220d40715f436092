"""`llm emby map`: one line per input, saved as it arrives, and resumable."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import click
import pytest
from llm_help import LLM, Gate, Recorder
from support import photo

from emby_plugins import BatchItem, ChatReply, batch_record
from emby_plugins.mock import Fault, MockBackend, MockServer
from llm_emby._map_file import MapFile

NAMES = ("camera.png", "chelsea.png", "coffee.png", "coins.png", "moon.png", "rocket.jpg")
MOCK = ("-m", "emby-mock")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(photo(name), folder)
    return folder


def lines(out: Path) -> list[dict[str, Any]]:
    """Return the records of a file."""
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def inputs(out: Path) -> list[str]:
    """Return the names of the inputs, in the order of the lines."""
    return [Path(record["input"]).name for record in lines(out)]


def started(server: MockServer, user_path: Path, *words: object) -> "subprocess.Popen[str]":
    """Start the real program, with two concurrent requests."""
    settings = {"LLM_USER_PATH": str(user_path), "EMBY_BASE_URL": server.base_url}
    return subprocess.Popen(
        [sys.executable, "-m", "llm", "emby", "map", *map(str, words), "--jobs", "2"],
        env={**os.environ, **settings, "EMBY_API_KEY": "sk-secret-of-the-test"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# ---- the output file


def test_a_line_for_each_input_in_order(run: LLM, photos: Path, tmp_path: Path) -> None:
    """Each input is one line in order, and a second run sends nothing."""
    out = tmp_path / "out.jsonl"
    url = "https://example.com/cat.png"
    words = ("emby", "map", "Describe it", url, photos / "moon.png", photos, *MOCK, "--out", out)
    result = run(*words)
    assert (result.exit_code, result.stdout) == (0, "")
    assert inputs(out) == ["cat.png", "moon.png", *(name for name in NAMES if name != "moon.png")]
    for record in lines(out):
        assert record["text"]
        assert record["error"] is None
        assert record["usage"]["total_tokens"] > 0
    before = out.read_bytes()
    assert run(*words).exit_code == 0
    assert out.read_bytes() == before


def test_generated_images_are_beside_the_file(run: LLM, photos: Path, tmp_path: Path) -> None:
    """Generated images are saved beside the file, with relative paths in the records."""
    out = tmp_path / "art.jsonl"
    run("emby", "map", "Make it grayscale", photos, *MOCK, "--out", out, "--limit", "2")
    assert len(lines(out)) == 2
    for record in lines(out):
        (image,) = record["images"]
        assert image.startswith("art-images/emby-")
        assert (tmp_path / image).is_file()


def test_options_are_sent(run: LLM, wire: Recorder, photos: Path, tmp_path: Path) -> None:
    """System prompt, options and image detail are in the request."""
    words = ("-s", "Be brief.", "-o", "temperature", "0.5", "-o", "image_detail", "low")
    run("emby", "map", "Describe", photos / "moon.png", *MOCK, *words, "--out", tmp_path / "o")
    (body,) = wire.requests
    system, user = body["messages"]  # type: ignore[misc]
    assert (system["content"], body["temperature"]) == ("Be brief.", 0.5)
    kinds = {part["type"]: part for part in user["content"]}
    assert kinds["image_url"]["image_url"]["detail"] == "low"


def test_identical_files_are_sent_once(
    run: LLM, wire: Recorder, photos: Path, tmp_path: Path
) -> None:
    """Identical files are sent once, and the copy's record has the text but no usage."""
    shutil.copy(photos / "moon.png", photos / "sun.png")
    out = tmp_path / "o.jsonl"
    result = run(
        "emby", "map", "Describe", photos / "moon.png", photos / "sun.png", *MOCK, "--out", out
    )
    assert result.exit_code == 0
    assert len(wire.requests) == 1
    moon, sun = sorted(lines(out), key=lambda record: record["usage"] is None)
    assert moon["text"] == sun["text"]
    assert sun["usage"] is None


# ---- interrupted and failed runs


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_run_is_resumed(user_path: Path, photos: Path, tmp_path: Path) -> None:
    """A killed run is resumed without resending its results, even if its last line is
    incomplete.
    """
    out = tmp_path / "out.jsonl"
    words = ("Describe it", photos, "--out", out)
    backend = Gate(free=3)
    with MockServer(backend) as server:
        process = started(server, user_path, *words)
        assert backend.is_stuck.wait(60)
        wait_for_lines(out, 3)
        process.kill()
        process.communicate()
        backend.opened.set()
    kept = lines(out)
    with out.open("a") as file:
        file.write('{"input": "torn')

    healthy = MockBackend()
    with MockServer(healthy) as server:
        process = started(server, user_path, *words)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, ""), errors
    assert "6 of 6 in out.jsonl." in errors
    assert len(healthy.requests) == len(NAMES) - len(kept)
    assert inputs(out) == sorted(NAMES)
    assert all(record in lines(out) for record in kept)
    assert "sk-secret" not in out.read_text() + errors


def wait_for_lines(out: Path, count: int) -> None:
    """Wait until the file has this many lines."""
    tick = threading.Event()
    for _ in range(600):
        if out.exists() and out.read_bytes().count(b"\n") >= count:
            return
        tick.wait(0.05)
    raise TimeoutError(out)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no signal handlers in an event loop")
def test_ctrl_c_waits_for_requests_in_progress(
    user_path: Path, photos: Path, tmp_path: Path
) -> None:
    """Ctrl-C sends no further request, and keeps the results of those in progress."""
    out = tmp_path / "out.jsonl"
    backend = Gate(free=1)
    with MockServer(backend) as server:
        process = started(server, user_path, "Describe it", photos, "--out", out)
        assert backend.is_stuck.wait(60)
        wait_for_lines(out, 1)
        assert process.stderr
        process.send_signal(signal.SIGINT)
        assert "under way" in process.stderr.readline()
        backend.opened.set()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(backend.requests) == len(lines(out)) <= 3
    assert f"{len(NAMES) - len(lines(out))} left" in errors
    assert "Traceback" not in errors


def test_errors_are_recorded_and_retried(
    run: LLM, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed request is recorded, and only the failed ones are sent again by the next run."""
    (photos / "broken.jpg").write_text("not an image")
    out = tmp_path / "out.jsonl"
    backend = MockBackend(faults=[Fault(status=500)])
    monkeypatch.setattr("emby_plugins.mock.MockBackend", lambda: backend)
    words = ("emby", "map", "Describe it", photos, *MOCK, "--out", out)
    result = run(*words, "-o", "max_retries", "0")
    assert result.exit_code == 1
    assert "5 of 7 in out.jsonl, 2 failed." in result.stderr
    failed = {r["error"]["type"] for r in lines(out) if r["error"]}
    assert failed == {"ServerError", "InvalidImageError"}
    (photos / "broken.jpg").unlink()
    sent = len(backend.requests)
    assert run(*words, "-o", "max_retries", "0").exit_code == 0
    assert len(backend.requests) == sent + 1
    assert [r["input"] for r in lines(out) if r["error"]] == [str(photos / "broken.jpg")]


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("", "No API key"),
        ("http://127.0.0.1:1", "connection to http://127.0.0.1:1"),
        ("ftp://x", "'ftp://x'"),
    ],
)
def test_an_error_that_affects_all_requests_stops_the_run(
    run: LLM,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    base_url: str,
    message: str,
) -> None:
    """An error that affects all requests is reported once and stops the run."""
    if base_url:
        monkeypatch.setenv("EMBY_BASE_URL", base_url)
    words = ("--out", tmp_path / "o.jsonl", "-o", "max_retries", "0")
    result = run("emby", "map", "Describe it", photos, *words)
    assert result.exit_code == 1
    assert result.stderr.count(message) == 1
    assert "o.jsonl" not in result.stderr
    assert not (tmp_path / "o.jsonl").exists()


def test_a_full_disk_loses_nothing(
    run: LLM, photos: Path, tmp_path: Path, user_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the results are saved elsewhere, and the file keeps complete lines only."""
    from llm_emby import _map_file

    out = tmp_path / "out.jsonl"
    write = _map_file._write

    def full(file: Any, data: bytes) -> None:
        if Path(str(file.name)) == out and file.tell() > 0:
            file.write(data[:10])
            raise OSError(28, "No space left on device")
        write(file, data)

    monkeypatch.setattr(_map_file, "_write", full)
    words = ("emby", "map", "Describe it", photos, *MOCK, "--jobs", "1", "--out", out)
    result = run(*words)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    (rescued,) = (user_path / "emby").glob("map-*.jsonl")
    assert str(rescued) in result.stderr
    assert result.stderr.endswith("1 of 6 in out.jsonl, 5 left.\n")
    assert inputs(out) + inputs(rescued) == sorted(NAMES)[:2]

    monkeypatch.undo()
    monkeypatch.setenv("LLM_USER_PATH", str(user_path))
    with out.open("a") as file:
        file.write(rescued.read_text())
    assert run(*words).exit_code == 0
    assert inputs(out) == sorted(NAMES)


def test_a_replaced_results_file_is_not_written(tmp_path: Path) -> None:
    """A file that another run replaced after it was opened is refused, as results would be lost."""
    out = tmp_path / "out.jsonl"
    out.touch()

    class Slow(type(out)):  # type: ignore[misc]
        def open(self, *arguments: Any, **more: Any) -> Any:
            file = super().open(*arguments, **more)
            (tmp_path / "new").touch()
            (tmp_path / "new").replace(out)
            return file

    with pytest.raises(click.ClickException, match="Another 'llm emby map' is writing"):
        MapFile(Slow(out), "task")


# ---- validation before sending


def test_a_file_with_other_contents_is_refused(
    run: LLM, wire: Recorder, photos: Path, tmp_path: Path
) -> None:
    """A file with other contents, or of another prompt, is refused before sending."""
    other = batch_record(BatchItem("Another prompt", model="emby-mock"), "k", ChatReply("Hi"))
    for name, text in (("notes", "hello\nworld\n"), ("other", json.dumps(other) + "\n")):
        out = tmp_path / name
        out.write_text(text)
        result = run("emby", "map", "Describe it", photos, *MOCK, "--out", out)
        assert result.exit_code == 1
        assert "Choose another --out." in result.stderr
        assert out.read_text() == text
    assert wire.requests == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nosuch/*.jpg",), "'nosuch/*.jpg' does not exist."),
        (("photos", "-m", "emby-mokc"), "Did you mean emby-mock?"),
        (("photos", "-o", "temprature", "1"), "Did you mean temperature?"),
        (("photos", "-m", "emby-mock-text"), "emby-mock-text does not accept images."),
        (("photos", "--out", "/dev/null"), "is not a regular file"),
        (("photos", "--out", "-"), "--out needs the name of a file"),
        (("photos", "--out", ""), "--out needs the name of a file"),
        (("",), "'' does not exist."),
        (("n" * 300,), "does not exist."),
    ],
)
def test_mistakes_send_no_request(
    run: LLM,
    wire: Recorder,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    """Invalid arguments cause a one-sentence error and no request."""
    monkeypatch.chdir(photos.parent)
    result = run("emby", "map", "Describe it", *MOCK, "--out", "o.jsonl", *words)
    assert result.exit_code in {1, 2}
    assert message in result.stderr
    assert wire.requests == []
