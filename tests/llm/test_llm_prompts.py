"""Prompts through `llm`'s own command line, against the mock."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llm_help import LLM, MODES, Recorder, paths
from support import photo

from emby_plugins import BackendRequest, BackendResponse, Emby, Image
from llm_emby._status_line import StatusLine

PAINT = "Generate two images of a red boat on the sea"


def painted(prompt: str, **options: object) -> tuple[Image, ...]:
    """Return the images that the core gets for the same prompt."""
    with Emby(base_url="mock:") as emby:
        return emby.chat(prompt, model="emby-mock", **options).images  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_a_photograph_is_described(run: LLM, wire: Recorder, mode: tuple[str, ...]) -> None:
    """A photograph is sent unchanged, and its description is printed."""
    rocket = photo("rocket.jpg")
    result = run("-m", "emby-mock", "What is shown here?", "-a", rocket, mode=mode)
    assert result.exit_code == 0, result.output
    assert "JPEG of 640x427 pixels" in result.output
    (message,) = wire.requests[0]["messages"]  # type: ignore[misc]
    question, image = message["content"]
    assert question == {"type": "text", "text": "What is shown here?"}
    assert Image.from_data_url(image["image_url"]["url"]).data == rocket.read_bytes()
    assert wire.requests[0].get("stream", False) is ("--no-stream" not in mode)


@pytest.mark.parametrize("mode", MODES)
def test_every_image_becomes_a_file_with_the_same_bytes(
    run: LLM, user_path: Path, mode: tuple[str, ...]
) -> None:
    """Each image of a reply is saved with its exact bytes, and its path printed."""
    result = run("-m", "emby-mock", PAINT, mode=mode)
    assert result.exit_code == 0, result.output
    files = paths(result.output)
    assert [file.read_bytes() for file in files] == [image.data for image in painted(PAINT)]
    assert all(file.parent == user_path / "emby" / "images" for file in files)
    assert result.output.startswith("Here are your 2 generated images:\n/")


@pytest.mark.parametrize("mode", MODES)
def test_a_reply_of_one_image_is_the_bare_path(run: LLM, mode: tuple[str, ...]) -> None:
    """A reply of one image without text prints only its path, for `open "$(llm ...)"`."""
    result = run("-m", "emby-mock-image", "a red boat", mode=mode)
    assert result.exit_code == 0, result.output
    (path,) = paths(result.output)
    assert path.is_file()


@pytest.mark.parametrize("mode", MODES)
def test_a_conversation_continues_with_its_image(
    run: LLM, wire: Recorder, mode: tuple[str, ...]
) -> None:
    """`llm -c` sends the generated image back for editing, repeatedly."""
    first = paths(run("-m", "emby-mock", "Draw a red boat", mode=mode).output)[0]
    second = paths(run("-c", "make it grayscale", mode=mode).output)[0]
    run("-c", "rotate it left", mode=mode)
    sent = wire.requests[1]["messages"][-1]["content"]  # type: ignore[index]
    assert Image.from_data_url(sent[0]["image_url"]["url"]).data == first.read_bytes()
    assert sent[1]["text"] == "make it grayscale"
    picture = Image.from_path(second).to_pil().convert("RGB")
    assert all(r == g == b for _, (r, g, b) in picture.getcolors(2**24) or [])
    sent = wire.requests[2]["messages"][-1]["content"]  # type: ignore[index]
    assert Image.from_data_url(sent[0]["image_url"]["url"]).data == second.read_bytes()


@pytest.mark.slow
def test_a_conversation_across_processes(user_path: Path) -> None:
    """A new process edits the image of another one, or warns if its file no longer exists."""

    def llm(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "llm", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, input="")

    first = paths(llm("-m", "emby-mock", "Draw a red boat").stdout)[0]
    second = paths(llm("-c", "now in grayscale").stdout)[0]
    assert Image.from_path(second).size == Image.from_path(first).size
    for path in (first, second):
        path.unlink()
    third = llm("-c", "What did you draw?")
    assert third.returncode == 0, third.stderr
    assert f"Warning: {second} no longer exists" in third.stderr
    assert "What did you draw?" in third.stdout


def test_a_changed_file_is_left_out(run: LLM, wire: Recorder) -> None:
    """A changed image file is left out of a conversation with a warning."""
    path = paths(run("-m", "emby-mock", "Draw a red boat").output)[0]
    path.write_bytes(photo("rocket.jpg").read_bytes())
    result = run("-c", "describe it")
    assert "has changed" in result.stderr
    assert "data:" not in str(wire.requests[1])


def test_a_file_that_is_too_large_is_left_out(run: LLM, wire: Recorder) -> None:
    """An image file that is too large is left out with that reason."""
    path = paths(run("-m", "emby-mock", "Draw a red boat").output)[0]
    os.truncate(path, 200 * 1024 * 1024)
    result = run("-c", "describe it")
    assert "the limit is" in result.stderr
    assert "no longer exists" not in result.stderr
    assert "data:" not in str(wire.requests[1])


def test_the_log_has_no_image_data(run: LLM, user_path: Path) -> None:
    """logs.db has the prompt, the text and the path, but no image data."""
    path = paths(run("-m", "emby-mock", "Draw a red boat").output)[0]
    run("-c", "make it grayscale", "--no-stream")
    kept = (user_path / "logs.db").read_bytes()
    assert b"base64" not in kept
    assert Image.from_path(path).data_url[22:80].encode() not in kept
    for words in (["logs", "-n", "0"], ["logs", "-n", "0", "--json"]):
        shown = run(*words).output
        assert "Draw a red boat" in shown
        assert str(path) in shown


def test_usage_and_the_answering_model_are_logged(
    run: LLM, wire: Recorder, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    """Tokens, their details and the model that answered are logged."""
    message = {"role": "assistant", "content": "Hi", "reasoning": "Hm"}
    reply = {
        "model": "other-model",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 12,
            "reasoning_tokens": 5,
            "cost": 0.25,
        },
    }
    body = json.dumps(reply).encode()
    headers = {"content-type": "application/json"}
    wire.answer = lambda _: BackendResponse(200, headers, iter([body]))
    run("-m", "emby-mock", "Hello", "--no-stream")
    (row,) = logged()
    assert (row["input_tokens"], row["output_tokens"]) == (9, 12)
    assert row["token_details"] == '{"reasoning_tokens": 5, "cost": 0.25}'
    assert row["resolved_model"] == "other-model"


@pytest.mark.parametrize("mode", MODES)
def test_options_reach_the_wire(run: LLM, wire: Recorder, mode: tuple[str, ...]) -> None:
    """Each option is in the request, or in its headers, under the contract's name."""
    options = {
        "temperature": "0.5",
        "max_tokens": "99",
        "top_p": "0.9",
        "reasoning_effort": "low",
        "aspect_ratio": "16:9",
        "image_size": "1K",
        "metadata": '{"tenant_id": "acme"}',
        "source": "example.com",
    }
    words = [word for name, value in options.items() for word in ("-o", name, value)]
    result = run("-m", "emby-mock", "-s", "Be brief.", "Hello", *words, mode=mode)
    assert result.exit_code == 0, result.output
    body = wire.requests[0]
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    assert (body["temperature"], body["max_tokens"], body["top_p"]) == (0.5, 99, 0.9)
    assert body["reasoning_effort"] == "low"
    assert body["image_config"] == {"aspect_ratio": "16:9", "image_size": "1K"}
    assert wire.headers[0]["x-emby-tenant-id"] == "acme"
    assert wire.headers[0]["x-source"] == "example.com"


def test_reasoning_is_shown_as_reasoning(run: LLM) -> None:
    """Reasoning is printed on stderr and not as part of the answer."""
    result = run("-m", "emby-mock", "Hello", "-o", "reasoning_effort", "low")
    assert "At low effort" in result.stderr
    assert "At low effort" not in result.stdout


@pytest.mark.parametrize("mode", MODES)
def test_tools_run_and_their_results_are_sent_back(
    run: LLM, wire: Recorder, mode: tuple[str, ...]
) -> None:
    """A tool that the model calls is run, and its result is sent back."""
    code = "def multiply(x: int, y: int) -> int:\n    'Multiply two numbers.'\n    return x * y"
    result = run(
        "-m", "emby-mock", "Use multiply on 6 and 7", "--functions", code, "--td", mode=mode
    )
    assert result.exit_code == 0, result.output
    assert "42" in result.stdout
    call, answered = wire.requests[1]["messages"][-2:]  # type: ignore[index]
    assert call["tool_calls"][0]["function"]["name"] == "multiply"
    assert answered["tool_call_id"] == call["tool_calls"][0]["id"]
    assert answered["content"] == "42"


@pytest.mark.parametrize("mode", MODES)
def test_a_schema_shapes_the_reply(run: LLM, wire: Recorder, mode: tuple[str, ...]) -> None:
    """`--schema` is sent as a JSON schema, and the reply matches it."""
    result = run("-m", "emby-mock", "A dog", "--schema", "name, age int", mode=mode)
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)) == {"name", "age"}
    assert wire.requests[0]["response_format"]["type"] == "json_schema"  # type: ignore[index]


def test_a_url_is_sent_and_never_fetched(run: LLM, wire: Recorder) -> None:
    """`--at URL TYPE` sends the URL without fetching it."""
    result = run("-m", "emby-mock", "What?", "--at", "https://example.com/dog.jpg", "image/jpeg")
    assert result.exit_code == 0, result.output
    content = wire.requests[0]["messages"][0]["content"]  # type: ignore[index]
    assert content[1]["image_url"] == {"url": "https://example.com/dog.jpg"}


def test_a_pdf_is_sent_as_a_named_file(run: LLM, wire: Recorder, tmp_path: Path) -> None:
    """An attachment that is not an image is sent as a file with its name."""
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(b"%PDF-1.4\n%%EOF\n")
    result = run("-m", "emby-mock", "Read this", "-a", paper)
    assert result.exit_code == 0, result.output
    part = wire.requests[0]["messages"][0]["content"][1]  # type: ignore[index]
    assert part["file"]["filename"] == "paper.pdf"


def test_an_image_from_standard_input(run: LLM, wire: Recorder) -> None:
    """`-a -` reads the image from standard input."""
    from click.testing import CliRunner
    from llm.cli import cli

    picture = photo("chelsea.png").read_bytes()
    result = CliRunner().invoke(cli, ["-m", "emby-mock", "What?", "-a", "-"], input=picture)
    assert result.exit_code == 0, result.output
    content = wire.requests[0]["messages"][0]["content"]  # type: ignore[index]
    assert Image.from_data_url(content[-1]["image_url"]["url"]).data == picture


def sse(*frames: str) -> Callable[[BackendRequest], BackendResponse]:
    """Return a backend that answers with these frames."""
    body = [f"data: {frame}\n\n".encode() for frame in frames]
    return lambda _: BackendResponse(200, {"content-type": "text/event-stream"}, iter(body))


ERRORS = [
    pytest.param(["-m", "emby/qwen2.5-vision", "hi"], "No API key for Emby", id="no key"),
    pytest.param(["-m", "emby-mock", "hi", "-a", "gone.jpg"], "gone.jpg", id="missing file"),
    pytest.param(["-m", "emby-mock", "x", "--at", "empty.png", "image/png"], "empty", id="empty"),
    pytest.param(
        ["-m", "emby-mock", "x", "--at", "fake.png", "image/png"],
        "Not a supported image",
        id="fake",
    ),
    pytest.param(["-m", "emby-mock", "x", "-o", "timeout", "-1"], "timeout", id="bad option"),
]


@pytest.mark.parametrize(("words", "expected"), ERRORS)
@pytest.mark.parametrize("mode", MODES)
def test_bad_input_is_one_clear_line(
    run: LLM,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    expected: str,
    mode: tuple[str, ...],
) -> None:
    """Invalid input causes a one-line error that names the cause, and a non-zero exit code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.png").touch()
    (tmp_path / "fake.png").write_text("I am text.")
    result = run(*words, mode=mode)
    assert result.exit_code != 0
    assert expected in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("mode", MODES)
def test_a_truncated_stream_keeps_its_image(
    run: LLM, wire: Recorder, mode: tuple[str, ...]
) -> None:
    """A truncated stream fails with a sentence that has the path of its saved image."""
    image = Image.from_path(photo("no_time_for_that_tiny.gif"))
    wire.answer = sse(
        '{"choices":[{"index":0,"delta":{"content":"Here"}}]}',
        '{"choices":[{"index":0,"delta":{"images":[{"type":"image_url","image_url":'
        f'{{"url":"{image.data_url}"}}}}]}}}}]}}',
    )
    result = run("-m", "emby-mock", "Draw", mode=mode)
    assert result.exit_code == 1
    assert "ended before it was finished" in result.output
    (path,) = Path(result.output[result.output.index("/") :].split(".gif")[0] + ".gif").parent.glob(
        "*.gif"
    )
    assert str(path) in result.output
    assert path.read_bytes() == image.data


def test_an_unwritable_target_has_a_fallback(
    run: LLM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If the target can't be written, the image is saved elsewhere and both are reported."""
    blocked = tmp_path / "file"
    blocked.touch()
    run("models", "options", "set", "emby-mock", "output", blocked / "sub" / "boat.png")
    result = run("-m", "emby-mock", "Draw a boat")
    assert result.exit_code == 0, result.output
    assert "Warning: Could not save the image to" in result.stderr
    (path,) = paths(result.stdout)
    assert path.is_file()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("-m", "emby-mock"), "generated image:\nWarning: Saved as"),
        (("-m", "emby-mock", "--no-stream"), "Warning: Saved as"),
        (("emby", "image", "-m", "emby-mock"), "Warning: Saved as"),
    ],
    ids=["stream", "whole", "command"],
)
def test_a_warning_has_a_line_of_its_own(
    run: LLM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], shown: str
) -> None:
    """On a terminal a warning starts a new line if text is printed before it, and only then."""
    monkeypatch.setattr("llm_emby._response._shares_output", lambda: True)
    monkeypatch.setattr("llm_emby._image_files._exists", lambda _: False)
    target = tmp_path / "boat.png"
    target.touch()
    option = ("--out", target) if "emby" in words else ("-o", "output", target)
    result = run(*words, "Draw a boat", *option)
    assert result.exit_code == 0, result.output
    assert shown in result.output
    assert not result.output.startswith("\n")


def test_a_note_replaces_the_progress(
    run: LLM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a terminal, the progress of `llm emby image` is removed before a note is printed."""
    monkeypatch.setattr(StatusLine, "__init__", lambda self: setattr(self, "is_shown", True))
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--out", tmp_path / "fox.jpg")
    assert "Generating" in result.stderr
    assert "\rNote: Saved as fox.png" in result.stderr  # click drops the code that clears a line


def test_output_names_files_and_numbers_them(run: LLM, tmp_path: Path) -> None:
    """`-o output` numbers several images and reports a corrected suffix."""
    result = run("-m", "emby-mock", PAINT, "-o", "output", tmp_path / "boat.jpg")
    assert result.exit_code == 0, result.output
    assert [path.name for path in paths(result.stdout)] == ["boat.png", "boat-2.png"]
    assert "Note: Saved as boat.png, since the image is not .jpg." in result.stderr


@pytest.mark.parametrize("mode", MODES)
def test_an_output_that_exists_is_refused_or_replaced(
    run: LLM, wire: Recorder, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    """An existing output is refused before sending, unless `-o overwrite true` is given."""
    target = tmp_path / "boat.png"
    target.write_text("Yesterday's")
    words = ("-m", "emby-mock", "Draw a boat", "-o", "output", target)
    refused = run(*words, mode=mode)
    assert refused.exit_code == 1
    assert "already exists. Replace it with -o overwrite true" in refused.output
    assert (target.read_text(), wire.requests) == ("Yesterday's", [])
    replaced = run(*words, "-o", "overwrite", "true", mode=mode)
    assert (replaced.exit_code, replaced.stderr) == (0, "")
    assert Image.from_path(target).media_type == "image/png"
    assert [path.name for path in tmp_path.glob("*.*")] == ["boat.png"]


def test_a_name_taken_in_the_meantime_gets_a_number(run: LLM, tmp_path: Path) -> None:
    """A name that is taken when the image arrives gets a number and a warning."""
    (tmp_path / "boat.png").write_text("Yesterday's")
    result = run("-m", "emby-mock", "Draw a boat", "-o", "output", tmp_path / "boat.jpg")
    assert result.exit_code == 0, result.output
    assert [path.name for path in paths(result.stdout)] == ["boat-2.png"]
    assert "Warning: Saved as boat-2.png, because the file name was taken." in result.stderr
    assert (tmp_path / "boat.png").read_text() == "Yesterday's"


def test_output_may_be_a_folder(run: LLM, tmp_path: Path) -> None:
    """`-o output` creates a missing folder, and names images in it by digest."""
    result = run("-m", "emby-mock", "Draw a boat", "-o", "output", tmp_path / "new")
    (path,) = paths(result.output)
    assert path.parent == tmp_path / "new"
    assert path.name == f"emby-{Image.from_path(path).sha256[:16]}.png"
