"""How replies end in `llm`: interleaved images, finish reasons and missing images."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import llm
import pytest
from llm_help import LLM, MODES, Recorder
from recordings.recordings import recording
from support import answer, as_asked, chunk, completion, image_item, picture, sse

from emby_plugins import BackendRequest, BackendResponse, Image

RED, BLUE = picture("red"), picture("blue")
USAGE = {"prompt_tokens": 9, "completion_tokens": 1290, "total_tokens": 1299}
DROPPED = sse(chunk("Here is "), chunk("your image:"), chunk(finish="stop", usage=USAGE))

Answer = Callable[[BackendRequest], BackendResponse]


def by(text: str | None, *images: bytes, finish: str = "stop", **top: Any) -> Answer:
    """Return a backend that gives the same reply streamed and not."""
    whole = completion(text, *images, **top)
    whole["choices"][0]["finish_reason"] = finish
    return as_asked(whole, sse(chunk(text, *images), chunk(finish=finish, **top)))


def interleaved() -> Answer:
    """Return a backend with a reply of text and images in turn; each text has two pieces."""
    parts: list[Any] = ["One:", RED, "Two\nlines:", BLUE, "Done."]
    content = [{"type": "text", "text": p} if isinstance(p, str) else image_item(p) for p in parts]
    chunks: list[Any] = []
    for part in parts:
        pieces = [part[:2], part[2:]] if isinstance(part, str) else [part]
        chunks += [chunk(p) if isinstance(p, str) else chunk(None, p) for p in pieces]
    whole = completion()
    whole["choices"][0]["message"]["content"] = content
    return as_asked(whole, sse(*chunks, chunk(finish="stop")))


@pytest.mark.parametrize("mode", MODES)
def test_interleaved_text_and_images_are_separate_lines(
    run: LLM,
    wire: Recorder,
    logged: Callable[[], list[dict[str, Any]]],
    mode: tuple[str, ...],
) -> None:
    """Each text and image of a reply is a line of its own, and is sent back in the next turn."""
    wire.answer = interleaved()
    result = run("-m", "emby-mock", "Two, please", mode=mode)
    lines = result.stdout.splitlines()
    assert [lines[0], *lines[2:4], lines[5:]] == ["One:", "Two", "lines:", ["Done."]]
    assert [Path(line).read_bytes() for line in (lines[1], lines[4])] == [RED, BLUE]
    assert logged()[0]["response"] == result.stdout.removesuffix("\n")
    run("-c", "Go on", mode=mode)
    text, user = wire.requests[1]["messages"][-2:]  # type: ignore[index]
    assert text["content"] == "One:\nTwo\nlines:\nDone."
    *images, question = user["content"]
    urls = [image["image_url"]["url"] for image in images]
    assert [Image.from_data_url(url).data for url in urls] == [RED, BLUE]
    assert question["text"] == "Go on"


@pytest.mark.parametrize("mode", MODES)
def test_reasoning_and_tool_calls_between_images_are_separate(
    run: LLM, wire: Recorder, mode: tuple[str, ...]
) -> None:
    """Reasoning, text, images and tool calls become separate parts, and the tools run."""
    calls = [
        {
            "index": n,
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": "add", "arguments": f'{{"x": {n}}}'},
        }
        for n in (0, 1)
    ]
    first = completion(None)
    parts = [{"type": "text", "text": "Here:"}, image_item(RED)]
    message = {"reasoning": "Plan.", "content": parts, "tool_calls": calls}
    first["choices"][0] |= {"message": message, "finish_reason": "tool_calls"}
    stream = sse(
        chunk(delta={"reasoning": "Pl"}),
        chunk("Here:"),
        chunk(None, RED),
        chunk(delta={"reasoning": "an."}),
        chunk(delta={"tool_calls": calls}),
        chunk(finish="tool_calls"),
    )
    turns: Iterator[Answer] = iter([as_asked(first, stream), by("Both done.")])

    def answer_in_turn(request: BackendRequest) -> BackendResponse:
        return next(turns)(request)

    wire.answer = answer_in_turn
    code = "def add(x: int) -> int:\n    'Add one.'\n    return x + 1"
    result = run("-m", "emby-mock", "Use add", "--functions", code, mode=mode)
    assert result.exit_code == 0, result.output
    assert "".join(result.stderr.split()) in {"", "Plan."}
    messages = wire.requests[1]["messages"]
    assert [m["content"] for m in messages if m["role"] == "tool"] == ["1", "2"]  # type: ignore[attr-defined]
    here, path, done = result.stdout.splitlines()
    assert (here, done) == ("Here:", "Both done.")
    assert Path(path).read_bytes() == RED


def test_text_after_an_image_and_reasoning_starts_a_line(run: LLM, wire: Recorder) -> None:
    """Text after an image and reasoning starts a new line on stdout."""
    chunks = [chunk(None, RED), chunk(delta={"reasoning": "Hm."}), chunk("Done.", finish="stop")]
    wire.answer = lambda _: answer(sse(*chunks))
    path, text = run("-m", "emby-mock", "Draw").stdout.splitlines()
    assert Path(path).read_bytes() == RED
    assert text == "Done."


NOTICES = [
    pytest.param(by("Par", finish="content_filter"), "content filter", id="content_filter"),
    pytest.param(by("Par", finish="length"), "token limit", id="length"),
    pytest.param(by("Par", finish="error"), "'error'", id="error"),
    pytest.param(by("Par", finish="\x1b[2J"), r"'\x1b[2J'", id="escape"),
    pytest.param(by(None), "The reply is empty (finish reason: stop).", id="empty"),
    pytest.param(by("Here:", usage=USAGE), "1,285 output tokens", id="dropped"),
]


@pytest.mark.parametrize(("given", "expected"), NOTICES)
@pytest.mark.parametrize("mode", [MODES[0], MODES[3]])
def test_an_abnormal_end_is_a_line_on_stderr(
    run: LLM,
    wire: Recorder,
    logged: Callable[[], list[dict[str, Any]]],
    given: Answer,
    expected: str,
    mode: tuple[str, ...],
) -> None:
    """An abnormal end is a warning on stderr and in the log, and the text stays on stdout."""
    wire.answer = given
    result = run("-m", "emby-mock", "Hello", mode=mode)
    assert result.exit_code == 0, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Warning: ")
    assert expected in line
    assert "Warning" not in result.stdout
    (row,) = logged()
    assert expected in row["response_json"]["notice"]


@pytest.mark.parametrize("mode", MODES)
def test_a_normal_end_prints_no_warning(run: LLM, wire: Recorder, mode: tuple[str, ...]) -> None:
    """A reply with a normal end prints nothing on stderr."""
    wire.answer = by("Hello.")
    result = run("-m", "emby-mock", "Hello", mode=mode)
    assert (result.stdout, result.stderr) == ("Hello.\n", "")


def test_a_missing_image_of_a_stream_has_a_hint(run: LLM, wire: Recorder) -> None:
    """The warning about a missing image suggests `--no-stream` only if the reply was streamed."""
    wire.answer = as_asked(completion("Here:", usage=USAGE), DROPPED)
    streamed = run("-m", "emby-mock", "Draw")
    assert "Ask again with --no-stream or -o output FILE" in streamed.stderr
    assert "--no-stream" not in run("-m", "emby-mock", "Draw", "--no-stream").stderr


@pytest.mark.parametrize("mode", MODES)
def test_output_requests_no_stream(
    run: LLM, wire: Recorder, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    """With `-o output` no stream is requested, since some gateways drop images from streams."""
    wire.answer = as_asked(completion("Here:", RED, usage=USAGE), DROPPED)
    target = tmp_path / "x.png"
    result = run("-m", "emby-mock", "Draw", "-o", "output", target, mode=mode)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"Here:\n{target}\n"
    assert target.read_bytes() == RED
    assert wire.requests[0]["stream"] is False


@pytest.mark.parametrize("mode", MODES)
def test_output_without_an_image_fails(
    run: LLM, wire: Recorder, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    """With `-o output` a reply without an image fails with its text and tokens."""
    wire.answer = lambda _: answer(DROPPED)
    result = run("-m", "emby-mock", "Draw", "-o", "output", tmp_path / "x.png", mode=mode)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: Expected one image, but the reply has none. The model answered:")
    assert "'Here is your image:'" in line
    assert "1,271 output tokens" in line
    assert result.stdout == ("" if "--no-stream" in mode else "Here is your image:\n")


def test_a_default_output_requires_no_image(run: LLM, wire: Recorder, tmp_path: Path) -> None:
    """A default `output`, or one of `llm chat`, does not require an image."""
    wire.answer = by("Hello.")
    run("models", "options", "set", "emby-mock", "output", tmp_path)
    result = run("-m", "emby-mock", "Hello")
    assert (result.exit_code, result.stderr) == (0, "")
    other = run("-m", "emby-mock", "Hello", "-o", "output", tmp_path / "x.png")
    assert other.exit_code == 1
    chat = run("chat", "-m", "emby-mock", "-o", "output", tmp_path / "y", text="Hi\nHo\nquit\n")
    assert chat.exit_code == 0, chat.output
    assert chat.stdout.count("Hello.") == 2


def test_an_image_may_precede_a_tool_call(run: LLM, wire: Recorder, tmp_path: Path) -> None:
    """With `-o output` an image before a tool call is enough for the chain of replies."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    first = completion("Here:", RED)
    first["choices"][0]["message"]["tool_calls"] = [call]
    first["choices"][0]["finish_reason"] = "tool_calls"
    turns = iter([first, completion("Done.")])
    wire.answer = lambda _: answer(next(turns))
    code = "def f() -> str:\n    'Say ok.'\n    return 'ok'"
    words = ["-m", "emby-mock", "Draw", "--functions", code, "-o", "output", tmp_path / "x.png"]
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x.png").read_bytes() == RED


NO_IMAGE = {
    "image-safety": "1,290 output tokens were billed",
    "prompt-blocked": "content filter",
    "prohibited-content": "content filter",
    "no-image-reason": "empty",
    "image-model-refuses-in-text": "I will not draw that.",
}


@pytest.mark.parametrize("case", NO_IMAGE)
def test_the_image_command_quotes_the_reason(
    run: LLM,
    wire: Recorder,
    logged: Callable[[], list[dict[str, Any]]],
    case: str,
) -> None:
    """Each recorded reply without an image fails once with its reason, and is logged."""
    body = recording("2025-11", case).body
    wire.answer = lambda _: answer(body)
    result = run("emby", "image", "a fox", "-m", "emby-mock")
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: emby-mock: Expected one image, but the reply has none.")
    assert NO_IMAGE[case] in line
    assert len(logged()) == 1


def test_the_image_command_warns_of_an_abnormal_end(run: LLM, wire: Recorder) -> None:
    """An image is delivered with a warning if its reply ended abnormally."""
    wire.answer = by("Here:", RED, finish="content_filter")
    result = run("emby", "image", "a fox", "-m", "emby-mock")
    assert result.exit_code == 0
    assert Path(result.stdout.strip()).read_bytes() == RED
    assert "Warning: A content filter ended the reply" in result.stderr


def test_nothing_is_printed_for_a_library_user(
    wire: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that uses llm as a library gets notices in `response_json`, and nothing is
    printed.
    """
    wire.answer = by("Par", finish="length", usage=USAGE)
    response = llm.get_model("emby-mock").prompt("Hello", stream=False)
    assert response.text() == "Par"
    assert "token limit" in response.response_json["notice"]  # type: ignore[index]

    async def call() -> Any:
        later = llm.get_async_model("emby-mock").prompt("Hello")
        assert await later.text() == "Par"
        return later.response_json

    assert "token limit" in asyncio.run(call())["notice"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("logger", "lines"), [("emby_plugins._endings", 0), ("emby_plugins._plugins", 1)]
)
def test_other_log_messages_reach_stderr(logger: str, lines: int) -> None:
    """The plugin suppresses only the log messages that it prints itself."""
    code = f"import llm_emby._response, logging; logging.getLogger({logger!r}).warning('Told.')"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stderr.count("Told.") == lines


@pytest.mark.parametrize("words", [("emby", "image"), ("-m", "emby/qwen2.5-vision")])
def test_a_refused_connection_has_a_readable_message(
    words: tuple[str, ...], run: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Async and sync report a refused connection with the same readable message."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    monkeypatch.setenv("EMBY_BASE_URL", url)
    monkeypatch.setenv("EMBY_API_KEY", "sk-0123456789")
    result = run(*words, "a fox", "-o", "max_retries", "0")
    assert result.exit_code == 1
    assert f"The connection to {url}/chat/completions failed: " in result.stderr
    assert "Connection refused. Check the network" in result.stderr


def test_a_consumer_that_stops_early_is_not_an_interruption(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A consumer that stops early, as when `head` closes the pipe, causes no message."""
    with click.Context(click.Command("prompt")):
        events = llm.get_model("emby-mock").prompt("Hello").stream_events()  # type: ignore[no-untyped-call]
        next(events)
        events.close()
    assert capsys.readouterr() == ("", "")
