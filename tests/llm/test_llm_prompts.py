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

PAINT = "Generate two images of a red boat on the sea"


def painted(prompt: str, **options: object) -> tuple[Image, ...]:
    """What the core is given for the same prompt."""
    with Emby(base_url="mock:") as emby:
        return emby.chat(prompt, model="emby-mock", **options).images  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_a_photograph_is_described(run: LLM, wire: Recorder, mode: tuple[str, ...]) -> None:
    """A real photograph goes out as it is, and what the model says of it is printed."""
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
def test_every_image_becomes_a_file_of_the_very_bytes(
    run: LLM, user_path: Path, mode: tuple[str, ...]
) -> None:
    """Two images arrive as two files with the bytes that were sent, and their paths are printed."""
    result = run("-m", "emby-mock", PAINT, mode=mode)
    assert result.exit_code == 0, result.output
    files = paths(result.output)
    assert [file.read_bytes() for file in files] == [image.data for image in painted(PAINT)]
    assert all(file.parent == user_path / "emby" / "images" for file in files)
    assert result.output.startswith("Here are your 2 generated images:\n/")


@pytest.mark.parametrize("mode", MODES)
def test_a_reply_of_one_image_is_the_bare_path(run: LLM, mode: tuple[str, ...]) -> None:
    """An image without words prints its path and nothing else, for `open "$(llm ...)"`."""
    result = run("-m", "emby-mock-image", "a red boat", mode=mode)
    assert result.exit_code == 0, result.output
    (path,) = paths(result.output)
    assert path.is_file()


@pytest.mark.parametrize("mode", MODES)
def test_a_conversation_goes_on_from_its_picture(
    run: LLM, wire: Recorder, mode: tuple[str, ...]
) -> None:
    """`llm -c` sends the generated picture back, so that it can be edited, and edited again."""
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
def test_three_processes_carry_one_conversation(user_path: Path) -> None:
    """A new process edits the image of another; with the file gone, a third warns and goes on."""

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


def test_a_changed_file_is_not_sent_as_the_models_own(run: LLM, wire: Recorder) -> None:
    """A picture that was changed behind our back is left out, with a warning."""
    path = paths(run("-m", "emby-mock", "Draw a red boat").output)[0]
    path.write_bytes(photo("rocket.jpg").read_bytes())
    result = run("-c", "describe it")
    assert "has changed" in result.stderr
    assert "data:" not in str(wire.requests[1])


def test_a_file_that_is_too_large_is_not_called_missing(run: LLM, wire: Recorder) -> None:
    """The warning has the real reason."""
    path = paths(run("-m", "emby-mock", "Draw a red boat").output)[0]
    os.truncate(path, 200 * 1024 * 1024)
    result = run("-c", "describe it")
    assert "the limit is" in result.stderr
    assert "no longer exists" not in result.stderr
    assert "data:" not in str(wire.requests[1])


def test_no_image_gets_into_the_log(run: LLM, user_path: Path) -> None:
    """logs.db keeps the prompt, the text and the path; no data URL and no base64."""
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
    """Tokens, their details and the model that answered are in the log."""
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
    """The model's reasoning goes to llm's reasoning output, not into the answer."""
    result = run("-m", "emby-mock", "Hello", "-o", "reasoning_effort", "low")
    assert "At low effort" in result.stderr
    assert "At low effort" not in result.stdout


@pytest.mark.parametrize("mode", MODES)
def test_tools_run_and_their_results_go_back(
    run: LLM, wire: Recorder, mode: tuple[str, ...]
) -> None:
    """A tool the model asks for is run, and the model answers from its result."""
    code = "def multiply(x: int, y: int) -> int:\n    'Multiply two numbers.'\n    return x * y"
    result = run(
        "-m", "emby-mock", "Use multiply on 6 and 7", "--functions", code, "--td", mode=mode
    )
    assert result.exit_code == 0, result.output
    assert "42" in result.stdout
    asked, answered = wire.requests[1]["messages"][-2:]  # type: ignore[index]
    assert asked["tool_calls"][0]["function"]["name"] == "multiply"
    assert answered["tool_call_id"] == asked["tool_calls"][0]["id"]
    assert answered["content"] == "42"


@pytest.mark.parametrize("mode", MODES)
def test_a_schema_shapes_the_reply(run: LLM, wire: Recorder, mode: tuple[str, ...]) -> None:
    """`--schema` is sent as a JSON schema, and the reply is of its shape."""
    result = run("-m", "emby-mock", "A dog", "--schema", "name, age int", mode=mode)
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)) == {"name", "age"}
    assert wire.requests[0]["response_format"]["type"] == "json_schema"  # type: ignore[index]


def test_an_address_is_passed_on_and_never_fetched(run: LLM, wire: Recorder) -> None:
    """`--at URL TYPE` sends the address itself: the test network would refuse a fetch."""
    result = run("-m", "emby-mock", "What?", "--at", "https://example.com/dog.jpg", "image/jpeg")
    assert result.exit_code == 0, result.output
    content = wire.requests[0]["messages"][0]["content"]  # type: ignore[index]
    assert content[1]["image_url"] == {"url": "https://example.com/dog.jpg"}


def test_a_pdf_goes_as_a_file(run: LLM, wire: Recorder, tmp_path: Path) -> None:
    """What is not an image travels as a file part, under its own name."""
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(b"%PDF-1.4\n%%EOF\n")
    result = run("-m", "emby-mock", "Read this", "-a", paper)
    assert result.exit_code == 0, result.output
    part = wire.requests[0]["messages"][0]["content"][1]  # type: ignore[index]
    assert part["file"]["filename"] == "paper.pdf"


def test_an_image_from_standard_input(run: LLM, wire: Recorder) -> None:
    """`-a -` takes the picture from standard input."""
    from click.testing import CliRunner
    from llm.cli import cli

    picture = photo("chelsea.png").read_bytes()
    result = CliRunner().invoke(cli, ["-m", "emby-mock", "What?", "-a", "-"], input=picture)
    assert result.exit_code == 0, result.output
    content = wire.requests[0]["messages"][0]["content"]  # type: ignore[index]
    assert Image.from_data_url(content[-1]["image_url"]["url"]).data == picture


def sse(*frames: str) -> Callable[[BackendRequest], BackendResponse]:
    """A backend that answers with these frames."""
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


@pytest.mark.parametrize(("words", "said"), ERRORS)
@pytest.mark.parametrize("mode", MODES)
def test_bad_input_is_one_clear_line(
    run: LLM,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
    mode: tuple[str, ...],
) -> None:
    """An impossible request gets one line that names the culprit, and a non-zero exit code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.png").touch()
    (tmp_path / "fake.png").write_text("I am text.")
    result = run(*words, mode=mode)
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_cut_short_says_so_and_keeps_what_came(
    run: LLM, wire: Recorder, mode: tuple[str, ...]
) -> None:
    """A truncated reply fails with a sentence; its image was saved and is named."""
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


def test_a_full_disk_finds_another_place(
    run: LLM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If the target can't be written the image is saved elsewhere, and both are reported."""
    blocked = tmp_path / "file"
    blocked.touch()
    result = run("-m", "emby-mock", "Draw a boat", "-o", "output", blocked / "sub" / "boat.png")
    assert result.exit_code == 0, result.output
    assert "Warning: Could not save the image to" in result.stderr
    (path,) = paths(result.stdout)
    assert path.is_file()


def test_output_names_files_and_numbers_them(run: LLM, tmp_path: Path) -> None:
    """Several images get a number each, and a line says what the suffix was corrected to."""
    result = run("-m", "emby-mock", PAINT, "-o", "output", tmp_path / "boat.jpg")
    assert result.exit_code == 0, result.output
    assert [path.name for path in paths(result.stdout)] == ["boat.png", "boat-2.png"]
    assert "Note: Saved as boat.png, since the image is not .jpg." in result.stderr


@pytest.mark.parametrize("mode", MODES)
def test_an_output_that_exists_is_refused_or_replaced(
    run: LLM, wire: Recorder, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    """It is refused before anything is paid for; `-o overwrite true` replaces it."""
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


def test_a_name_that_is_taken_after_all_is_told(run: LLM, tmp_path: Path) -> None:
    """The image is paid for, so it gets a number, and a warning says so."""
    (tmp_path / "boat.png").write_text("Yesterday's")
    result = run("-m", "emby-mock", "Draw a boat", "-o", "output", tmp_path / "boat.jpg")
    assert result.exit_code == 0, result.output
    assert [path.name for path in paths(result.stdout)] == ["boat-2.png"]
    assert "Warning: Saved as boat-2.png, because the file name was taken." in result.stderr
    assert (tmp_path / "boat.png").read_text() == "Yesterday's"


def test_output_may_be_a_folder(run: LLM, tmp_path: Path) -> None:
    """A missing folder is created, and images in it are named by their digest."""
    result = run("-m", "emby-mock", "Draw a boat", "-o", "output", tmp_path / "new")
    (path,) = paths(result.output)
    assert path.parent == tmp_path / "new"
    assert path.name == f"emby-{Image.from_path(path).sha256[:16]}.png"
