"""`llm emby image`: validation before sending, sources of arguments, and output."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from llm_help import LLM, Recorder, paths, terminal
from support import answer, chunk, completion, photo, picture, sse

from emby_plugins import BackendRequest, BackendResponse, Image

MOCK = ("-m", "emby-mock")


def user_text(body: dict[str, Any]) -> str:
    """Return the text of a request's last message, without the white space that makes it fresh."""
    content = body["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[0]["text"]).strip()


# ---- the model


@pytest.mark.parametrize("name", ["emby/qwen2.5-vision", "qwen2.5-vision"])
def test_a_model_is_named_with_or_without_the_prefix(
    run: LLM, wire: Recorder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A model may be given with or without the prefix `emby/`."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    assert run("emby", "image", "a fox", "-m", name).exit_code == 0
    assert wire.requests[0]["model"] == "qwen2.5-vision"


@pytest.mark.parametrize(
    ("default", "used"),
    [
        (None, "qwen2.5-vision"),
        ("emby-mock-image", "emby-mock-image"),
        ("emby-mock-text", "qwen2.5-vision"),  # generates no images
        ("gpt-4o-mini", "qwen2.5-vision"),  # not ours
    ],
)
def test_the_default_model(
    run: LLM,
    wire: Recorder,
    user_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    default: str | None,
    used: str,
) -> None:
    """The default model of `llm models default` is used if Emby's and able to generate images."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    if default:
        (user_path / "default_model.txt").write_text(default)
    run("emby", "image", "a fox")
    assert wire.requests[0]["model"] == used


def test_a_typo_gets_a_suggestion(run: LLM) -> None:
    """A misspelt model or option gets the nearest name as a suggestion."""
    result = run("emby", "image", "a fox", "-m", "qwen2.5-visoin")
    assert result.exit_code == 1
    assert "Did you mean qwen2.5-vision?" in result.output
    result = run("emby", "image", "a fox", *MOCK, "-o", "aspect_ration", "1:1")
    assert result.exit_code == 1
    assert "aspect_ration\n  There is no such option. Did you mean aspect_ratio?" in result.output
    assert run("a fox", *MOCK, "-o", "aspect_ration", "1:1").output == result.output


# ---- options


def test_options_by_precedence(run: LLM, wire: Recorder) -> None:
    """A flag overrides `-o`, which overrides `llm models options set`."""
    for name, value in (("image_size", "4K"), ("aspect_ratio", "1:1"), ("seed", "3")):
        run("models", "options", "set", "emby-mock", name, value)
    words = ("-o", "image_size", "2K", "-o", "aspect_ratio", "4:3", "--aspect-ratio", "16:9")
    result = run("emby", "image", "a fox", *MOCK, *words)
    assert result.exit_code == 0, result.output
    expected = {"aspect_ratio": "16:9", "image_size": "2K", "seed": 3}
    assert wire.requests[0]["image_config"] == expected


def test_a_default_output_is_used(run: LLM, tmp_path: Path) -> None:
    """`--out` overrides a default `output`."""
    run("models", "options", "set", "emby-mock", "output", tmp_path / "images")
    assert paths(run("emby", "image", "a fox", *MOCK).stdout)[0].parent == tmp_path / "images"
    other = tmp_path / "fox.png"
    assert paths(run("emby", "image", "a fox", *MOCK, "--out", other).stdout) == [other]
    assert run("emby", "image", "a fox", *MOCK, "--out", "-").stdout_bytes == other.read_bytes()


# ---- pipes


@pytest.mark.parametrize("words", [[], ["-"]])
def test_the_prompt_from_a_pipe(run: LLM, wire: Recorder, words: list[str]) -> None:
    """Without an argument, or with `-`, the prompt is read from standard input."""
    result = run("emby", "image", *MOCK, *words, text="a red fox\n")
    assert result.exit_code == 0, result.output
    assert user_text(wire.requests[0]) == "a red fox"


def test_an_argument_takes_precedence_over_a_pipe(run: LLM, wire: Recorder) -> None:
    """With a prompt as argument standard input is not read, as in a shell loop."""
    run("emby", "image", "a fox", *MOCK, text="another line")
    assert user_text(wire.requests[0]) == "a fox"


def test_an_image_from_a_pipe(run: LLM, wire: Recorder) -> None:
    """`-a -` reads the exact bytes of the image from standard input."""
    data = photo("rocket.jpg").read_bytes()
    result = run("emby", "image", "make it gray", *MOCK, "-a", "-", text=data)
    assert (result.exit_code, result.stderr) == (0, "")
    (text, sent) = wire.requests[0]["messages"][-1]["content"]  # type: ignore[index]
    assert text["type"] == "text"
    assert Image.from_data_url(sent["image_url"]["url"]).data == data
    assert Image.from_path(result.stdout.strip()).size == Image.from_bytes(data).size


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        ([], "", "The prompt on standard input is empty."),
        ([" "], "x", "The prompt is empty."),
        (["-a", "-"], "x", "Missing argument 'PROMPT'."),
        (["edit it", "-a", "-"], "x", "Standard input is not an image."),
    ],
)
def test_invalid_standard_input(
    run: LLM, wire: Recorder, words: list[str], text: str, expected: str
) -> None:
    """Missing or invalid standard input causes a one-sentence error, and nothing is sent."""
    result = run("emby", "image", *MOCK, *words, text=text)
    assert result.exit_code != 0
    assert expected in result.output
    assert wire.requests == []


# ---- files


@pytest.mark.parametrize("taken", ["fox.png", "fox-3.png"])
def test_an_existing_target_is_refused_before_sending(
    run: LLM, wire: Recorder, tmp_path: Path, taken: str
) -> None:
    """An existing target is refused before sending, and `--force` replaces it."""
    (tmp_path / taken).write_text("Yesterday's")
    words = ("emby", "image", "a fox", *MOCK, "-n", "3", "--out", tmp_path / "fox.png")
    result = run(*words)
    assert result.exit_code == 1
    assert f"{taken}' already exists. Replace it with --force" in result.output
    assert ((tmp_path / taken).read_text(), wire.requests) == ("Yesterday's", [])
    result = run(*words, "--force")
    assert result.exit_code == 0, result.output
    names = ["fox-2.png", "fox-3.png", "fox.png"]
    assert sorted(path.name for path in paths(result.stdout)) == names
    assert len({(tmp_path / name).read_bytes() for name in names}) == 3


def test_an_unwritable_folder_is_refused_before_sending(
    run: LLM, wire: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target folder that can't be created or written is refused before sending."""
    (tmp_path / "file").touch()
    result = run("emby", "image", "a fox", *MOCK, "--out", tmp_path / "file" / "fox.png")
    assert result.exit_code == 1
    assert "fox.png': A part of the path is a file, not a folder." in result.output
    monkeypatch.setattr("os.access", lambda *_: False)
    for words in (("emby", "image", "--out"), ("-o", "output")):
        result = run(*words, tmp_path / "fox.png", "a fox", *MOCK)
        assert result.exit_code == 1
        assert "fox.png': Permission denied." in result.output
    assert wire.requests == []


@pytest.mark.parametrize("name", ["~nobody-of-that-name/a.png", "n" * 300 + ".png", "link.png"])
@pytest.mark.parametrize(
    "words",
    [
        ("emby", "image", "a fox", *MOCK, "--out"),
        ("Draw a fox", *MOCK, "-o", "output"),
        ("emby", "map", "What?", "fox.png", *MOCK, "--out"),
        ("emby", "gallery", "--out"),
    ],
    ids=["image", "prompt", "map", "gallery"],
)
def test_a_name_that_can_not_be_used_is_refused_before_paying(
    run: LLM,
    wire: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    name: str,
) -> None:
    """An unknown home, a name that is too long and a dangling link are errors of one line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fox.png").write_bytes(picture())
    (tmp_path / "link.png").symlink_to("gone/link.png")
    if "map" in words and name == "link.png":
        pytest.skip("links are followed there")
    result = run(*words, name)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert name in result.output
    assert wire.requests == []


@pytest.mark.slow
def test_no_image_is_written_to_a_terminal(tmp_path: Path) -> None:
    """`--out -` refuses to write an image to a terminal."""
    with terminal() as (slave, read):
        command = [sys.executable, "-m", "llm", "emby", "image", "a fox", *MOCK, "--out", "-"]
        done = subprocess.run(command, stdout=slave, stderr=slave, check=False, timeout=60)
        screen = read()
    assert done.returncode == 2
    assert "An image can't be written to a terminal." in screen
    assert "PNG" not in screen


# ---- several at once


def test_a_missing_key_is_reported_once(run: LLM) -> None:
    """With `-n 8` a missing key is reported once, and nothing is sent."""
    result = run("emby", "image", "a fox", "-n", "8")
    assert result.exit_code == 1
    first, last = result.stderr.splitlines()
    assert first.startswith("Error: No API key for Emby.")
    assert last == "0 of 8 requests succeeded."


def refusing(status: int, message: str, request_id: str = "one") -> BackendResponse:
    """Return an error response."""
    body = json.dumps({"error": {"message": message}}).encode()
    headers = {"content-type": "application/json", "x-request-id": request_id}
    return BackendResponse(status, headers, iter([body]))


@pytest.mark.parametrize(("status", "sent"), [(401, 8), (500, 20)])
def test_a_refused_key_stops_further_requests(
    run: LLM, wire: Recorder, status: int, sent: int
) -> None:
    """After a refused key no further request is sent, but other errors stop nothing.

    An error is printed once, though each response has a request id of its own.
    """
    wire.answer = lambda _: refusing(status, "No", f"request-{len(wire.requests)}")
    result = run("emby", "image", "a fox", *MOCK, "-n", "20")
    assert len(wire.requests) <= sent
    assert result.stderr.count("Error: ") == 1
    assert result.stderr.endswith("0 of 20 requests succeeded.\n")


def test_progress_counts_images_only(
    run: LLM, wire: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The progress bar counts images and not failures."""
    from llm_emby._delivery import Delivery

    moved: list[int] = []
    monkeypatch.setattr(Delivery, "advance", lambda _: moved.append(1))

    def by(_: BackendRequest) -> BackendResponse:
        is_first = len(wire.requests) == 1
        return refusing(500, "No") if is_first else answer(completion("", picture()))

    wire.answer = by
    result = run("emby", "image", "a fox", *MOCK, "-n", "3")
    assert result.exit_code == 1
    assert len(moved) == 2


def test_several_images_are_fresh_and_duplicates_are_reported(
    run: LLM, wire: Recorder, user_path: Path
) -> None:
    """With `-n 3` all requests differ, and identical images cause a warning."""
    wire.answer = lambda _: answer(completion("", picture()))
    result = run("emby", "image", "a fox", *MOCK, "-n", "3", "--out", user_path / "x.png")
    assert result.exit_code == 0, result.output
    assert len({json.dumps(body["messages"]) for body in wire.requests}) == 3
    assert all(headers["x-no-cache"] == "true" for headers in wire.headers)
    assert result.stderr.count("has the same bytes as") == 2


ORDER = ("emby", "image", "a fox", *MOCK)
PROMPT = (*MOCK, "a fox")


@pytest.mark.parametrize(
    ("words", "is_fresh"),
    [
        (ORDER, True),
        ((*ORDER, "--no-fresh"), False),
        ((*ORDER, "-o", "fresh", "false"), False),
        ((*ORDER, "-o", "fresh", "false", "--fresh"), True),
        ((*ORDER, "-n", "2", "--no-fresh"), False),
        ((*PROMPT, "-o", "output", "images"), True),
        ((*PROMPT, "-o", "output", "images", "-o", "fresh", "0", "--async"), False),
        (PROMPT, False),
        ((*PROMPT, "-o", "fresh", "1", "--async"), True),
    ],
)
def test_a_repeated_request_is_fresh(
    run: LLM,
    wire: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    is_fresh: bool,
) -> None:
    """Requests for images bypass caches unless `fresh` is false, and plain prompts do so on
    request.
    """
    monkeypatch.chdir(tmp_path)
    cache: dict[str, bytes] = {}

    def by(request: BackendRequest) -> BackendResponse:
        key = json.dumps(json.loads(request.body)["messages"])
        data = cache.setdefault(key, picture(size=(len(cache) + 1, 1)))
        streamed = json.loads(request.body).get("stream")
        return answer(sse(chunk("", data, finish="stop")) if streamed else completion("", data))

    wire.answer = by
    first, second = (paths(run(*words, "-o", "seed", str(seed)).stdout) for seed in (1, 2))
    assert first
    assert second
    digests = [[Image.from_path(path).sha256 for path in found] for found in (first, second)]
    assert (digests[0] != digests[1]) is is_fresh
    assert all(("x-no-cache" in headers) is is_fresh for headers in wire.headers)


@pytest.mark.parametrize("source", ["stored", "environment", "flag"])
def test_a_wrong_key_is_reported_with_its_source(
    run: LLM, wire: Recorder, user_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """A refused key is reported with its source, but not shown."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    wire.answer = lambda _: refusing(401, "Unauthorized")
    expected = {
        "stored": "llm's stored key 'emby'",
        "environment": "the environment variable EMBY_API_KEY",
        "flag": "--key",
    }
    words: tuple[str, ...] = ()
    if source == "stored":
        (user_path / "keys.json").write_text('{"emby": "sk-secret-1"}')
    elif source == "environment":
        monkeypatch.setenv("EMBY_API_KEY", "sk-secret-1")
    else:
        words = ("--key", "sk-secret-1")
    for command in (("emby", "image"), ("-m", "emby/qwen2.5-vision")):
        result = run(*command, "a fox", *words)
        assert result.exit_code == 1
        assert f"The key came from {expected[source]}" in result.output
        assert "Check EMBY_API_KEY" not in result.output
        assert "secret" not in result.output


def test_without_standard_input_a_prompt_is_needed(
    run: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If standard input is closed, `sys.stdin` is None and the prompt must be an argument."""
    from llm_emby._image_command import _read_prompt

    monkeypatch.setattr(sys, "stdin", None)
    assert _read_prompt("a fox", stdin_is_image=False) == "a fox"
    for prompt in (None, "-"):
        with pytest.raises(click.UsageError, match="Missing argument 'PROMPT'"):
            _read_prompt(prompt, stdin_is_image=False)


@pytest.mark.slow
def test_an_environment_without_a_terminal(tmp_path: Path) -> None:
    """The prompt may be an argument if standard input is closed."""
    command = [sys.executable, "-m", "llm", "emby", "image", "a fox", *MOCK]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert Path(os.fsdecode(done.stdout.strip())).is_file()
