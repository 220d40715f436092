"""`llm emby ...`: every command and option, through `llm`'s own command line."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llm_help import LLM, Recorder, paths, terminal
from support import photo

from emby_plugins import BackendRequest, BackendResponse, Image
from emby_plugins.mock import MockBackend


def test_image_prints_the_path_and_nothing_else(run: LLM, user_path: Path) -> None:
    """Standard output is the path of a valid image and nothing else."""
    result = run("emby", "image", "a red boat", "-m", "emby-mock")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    path = Path(result.stdout.strip())
    assert path.parent == user_path / "emby" / "images"
    assert Image.from_path(path).media_type == "image/png"


def test_image_options_reach_the_wire(run: LLM, wire: Recorder) -> None:
    """Prompt, aspect ratio, size and source image are in the request."""
    rocket = photo("rocket.jpg")
    words = ["make it sepia", "-a", rocket, "--aspect-ratio", "16:9", "--size", "1K"]
    result = run("emby", "image", *words, "-m", "emby-mock")
    assert result.exit_code == 0, result.output
    (body,) = wire.requests
    assert body["image_config"] == {"aspect_ratio": "16:9", "image_size": "1K"}
    system, user = body["messages"]  # type: ignore[misc]
    assert "image" in system["content"]
    text, image = user["content"]
    assert text["text"].rstrip() == "make it sepia"
    assert Image.from_data_url(image["image_url"]["url"]).data == rocket.read_bytes()


def test_image_edits_a_url_without_fetching_it(run: LLM, wire: Recorder) -> None:
    """`-a https://...` sends the URL without fetching it."""
    url = "https://example.com/dog.png"
    result = run("emby", "image", "make it grey", "-a", url, "-m", "emby-mock")
    assert result.exit_code == 0, result.output
    user = wire.requests[0]["messages"][-1]  # type: ignore[index]
    assert user["content"][-1]["image_url"] == {"url": url}


def test_several_images_are_generated_concurrently(
    run: LLM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`-n 3` sends three concurrent requests and saves three different files."""
    import asyncio

    from llm_emby._models import AsyncEmbyModel

    under_way = 0
    together = asyncio.Event()
    execute = AsyncEmbyModel.execute

    async def counted(self: AsyncEmbyModel, *words: Any, **named: Any) -> Any:
        nonlocal under_way
        under_way += 1
        if under_way == 3:
            together.set()
        await asyncio.wait_for(together.wait(), timeout=10)
        async for event in execute(self, *words, **named):
            yield event

    monkeypatch.setattr(AsyncEmbyModel, "execute", counted)
    result = run("emby", "image", "a fox", "-n", "3", "--out", tmp_path / "x", "-m", "emby-mock")
    assert result.exit_code == 0, result.output
    assert len({path.read_bytes() for path in paths(result.stdout)}) == 3


def test_a_file_name_for_several_images_gets_numbers(run: LLM, tmp_path: Path) -> None:
    """`--out fox.png -n 2` writes fox.png and fox-2.png."""
    target = tmp_path / "fox.png"
    result = run("emby", "image", "a fox", "-n", "2", "--out", target, "-m", "emby-mock")
    assert sorted(path.name for path in paths(result.stdout)) == ["fox-2.png", "fox.png"]


def test_out_dash_writes_the_bytes(run: LLM) -> None:
    """`--out -` writes the exact bytes of the image to standard output."""
    path = Path(run("emby", "image", "a fox", "-m", "emby-mock").stdout.strip())
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--out", "-")
    assert result.stdout_bytes == path.read_bytes()


@pytest.mark.parametrize("more", [["-n", "2"], ["--json"]])
def test_out_dash_refuses_several_results(run: LLM, more: list[str]) -> None:
    """`--out -` can't be combined with several images or `--json`."""
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--out", "-", *more)
    assert result.exit_code == 2
    assert "--out - writes a single image" in result.output


def test_json_describes_the_image(run: LLM) -> None:
    """`--json` prints path, media type, size, digest, model and prompt."""
    (fact,) = json.loads(run("emby", "image", "a fox", "-m", "emby-mock", "--json").stdout)
    image = Image.from_path(fact["path"])
    assert (fact["width"], fact["height"]) == image.size
    assert (fact["sha256"], fact["bytes"]) == (image.sha256, len(image.data))
    assert (fact["media_type"], fact["model"]) == ("image/png", "emby-mock")
    assert fact["prompt"] == "a fox"
    assert fact["output_tokens"] == 1290


def test_images_are_logged_and_can_be_continued(
    run: LLM, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    """Images of `llm emby image` are logged like prompts, and `llm -c` edits them."""
    path = paths(run("emby", "image", "a fox", "-m", "emby-mock").stdout)[0]
    (row,) = logged()
    assert row["prompt"] == "a fox"
    assert str(path) in row["response"]
    edited = paths(run("-c", "make it grayscale").stdout)[0]
    assert edited.read_bytes() != path.read_bytes()


def test_the_group_shows_examples(run: LLM) -> None:
    """`llm emby` alone lists the commands and three examples that need no extra."""
    output = run("emby").output
    assert 'llm emby image "a lighthouse at dusk" -m emby-mock\n' in output
    assert not re.search(r"\w\.\.\.$", output, re.MULTILINE)  # a summary that was cut
    assert "Commands:" in output


def test_a_misspelt_command_gets_a_suggestion(run: LLM) -> None:
    """A misspelt command gets the nearest name as a suggestion."""
    result = run("emby", "imge", "a fox")
    assert result.exit_code == 2
    assert "No such command 'imge'. Did you mean image?" in result.output


def test_open(run: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--open` opens the file at the printed path."""
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--open")
    assert result.exit_code == 0, result.output
    assert opened == [result.stdout.strip()]


@pytest.mark.slow
@pytest.mark.parametrize("stdin", ["terminal", "pipe", "colorless"])
def test_the_preview_is_drawn_on_stderr(stdin: str) -> None:
    """If stderr is a terminal, the preview is drawn there, regardless of stdout and stdin.

    Half blocks are blank without colors, so with `NO_COLOR` it is drawn in shades of gray.
    """
    with terminal() as (slave, read):
        done = subprocess.run(
            [sys.executable, "-m", "llm", "emby", "image", "-m", "emby-mock-image", "--preview"]
            + (["a fox"] if stdin == "terminal" else []),
            env=os.environ | {"TERM": "xterm", "NO_COLOR": "1" if stdin == "colorless" else ""},
            stdin=slave if stdin == "terminal" else None,
            input=None if stdin == "terminal" else b"a fox",
            stdout=subprocess.PIPE,
            stderr=slave,
            timeout=60,
            check=False,
        )
        screen = read()
    assert done.returncode == 0, screen
    assert Path(done.stdout.decode().strip()).is_file()
    blocks = screen.count("\N{LOWER HALF BLOCK}") + screen.count("\N{UPPER HALF BLOCK}")
    shades = screen.count("\N{MEDIUM SHADE}") + screen.count("\N{DARK SHADE}")
    assert (shades if stdin == "colorless" else blocks) > 100
    assert min(shades, blocks) == 0
    # The terminal has 40 lines.
    assert 10 < screen.count("\n") < 40


@pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning")
@pytest.mark.parametrize("count", [1, 3])
def test_the_path_is_below_the_preview(
    count: int, run: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each preview is above its path, and is small enough for the screen."""
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("COLUMNS", "80")
    words = ("emby", "image", "a fox", "-m", "emby-mock", "--preview", "-n", count)
    lines = run(*words).output.splitlines()
    at = [number for number, line in enumerate(lines) if line.startswith("/")]
    assert (len(at), at[-1]) == (count, len(lines) - 1)
    heights = [below - above for above, below in itertools.pairwise([-1, *at])]
    assert 10 < max(heights) <= (22 if count == 1 else 12)


@pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning")
def test_the_preview_without_a_terminal(run: LLM) -> None:
    """Without a terminal the preview is made of characters on stderr, and stdout has the path
    only.
    """
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--preview")
    assert result.exit_code == 0, result.output
    assert paths(result.stdout)[0].is_file()
    assert len(result.stderr.splitlines()) > 5
    assert "\x1b_G" not in result.stderr


def test_text_instead_of_an_image_is_an_error(run: LLM) -> None:
    """A model without image output fails the command with an error that quotes its text."""
    result = run("emby", "image", "a fox", "-m", "emby-mock-text")
    assert result.exit_code == 1
    assert (
        "emby-mock-text: Expected one image, but the reply has none. "
        "The model answered: 'This is emby-mock" in result.stderr
    )
    assert result.stdout == ""


def test_one_failure_keeps_the_other_images(run: LLM, wire: Recorder) -> None:
    """If one of two requests fails, the other's image is printed and the exit code is 1."""
    mock = MockBackend()
    refusal = b'{"error":{"message":"The prompt was blocked","type":"content_filter"}}'

    def answer(request: BackendRequest) -> BackendResponse:
        if len(wire.requests) == 1:
            headers = {"content-type": "application/json"}
            return BackendResponse(400, headers, iter([refusal]))
        return mock(request)

    wire.answer = answer
    result = run("emby", "image", "a fox", "-n", "2", "-m", "emby-mock")
    assert result.exit_code == 1
    assert len(paths(result.stdout)) == 1
    assert "Error: The prompt was blocked." in result.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-m", "nobody"], "'nobody' is not an Emby model."),
        (["-m", "emby-mock", "-a", "gone.png"], "'gone.png' can't be read"),
        ([], "No API key for Emby"),
    ],
)
def test_image_reports_mistakes(run: LLM, words: list[str], expected: str) -> None:
    """An unknown model, a missing file and a missing key each cause a one-sentence error."""
    result = run("emby", "image", "a fox", *words)
    assert result.exit_code == 1
    assert expected in result.output


@pytest.mark.slow
def test_ctrl_c_leaves_no_partial_file(tmp_path: Path, user_path: Path) -> None:
    """An interrupted command exits with 130 and leaves complete files only."""
    script = (
        "import os, signal\n"
        # A child may inherit that the signal is ignored, as after `trap '' INT`.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from emby_plugins import _images as images\n"
        "def stop(draft, path):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "images.link_file = stop\n"
        "from llm.cli import cli\n"
        "cli(['emby', 'image', 'a fox', '-n', '2', '-m', 'emby-mock', '--out', 'made'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert "Interrupted." in done.stderr
    for path in (tmp_path / "made").iterdir():
        assert not path.name.startswith(".")
        assert Image.from_path(path).to_pil().width


def test_a_picture_as_a_fragment(run: LLM, wire: Recorder) -> None:
    """`-f emby-image:PATH` attaches an image, which also works in `llm chat`."""
    rocket = photo("rocket.jpg")
    result = run("-m", "emby-mock", "What?", "-f", f"emby-image:{rocket}")
    assert result.exit_code == 0, result.output
    content = wire.requests[0]["messages"][0]["content"]  # type: ignore[index]
    assert Image.from_data_url(content[-1]["image_url"]["url"]).data == rocket.read_bytes()


def test_an_empty_prompt_is_not_sent(run: LLM, wire: Recorder) -> None:
    """`!multi` and `!end` without words send nothing, neither first nor later in `llm chat`."""
    turns = ["!multi", "!end", "Hello", "!multi", "!end", "And now?", "quit"]
    result = run("chat", "-m", "emby-mock", text="\n".join(turns))
    assert result.exit_code == 0, result.output
    assert result.stderr == "Nothing has been sent.\n" * 2
    roles = [[message["role"] for message in body["messages"]] for body in wire.requests]  # type: ignore[attr-defined]
    assert roles == [["user"], ["user", "assistant", "user"]]


def test_a_picture_in_a_chat_is_sent_with_the_next_message(run: LLM, wire: Recorder) -> None:
    """`!fragment` in `llm chat` sends nothing itself; its image is sent with the next message."""
    names = [photo(name) for name in ("rocket.jpg", "moon.png")]
    turns = [*(f"!fragment emby-image:{name}" for name in names), "What?", "And now?", "quit"]
    result = run("chat", "-m", "emby-mock", text="\n".join(turns))
    assert result.exit_code == 0, result.output
    assert result.output.count("Nothing has been sent.") == 2
    first, second = (body["messages"] for body in wire.requests)
    (question,) = first  # type: ignore[misc]
    assert [part["type"] for part in question["content"]] == ["image_url", "image_url", "text"]
    assert [message["role"] for message in second] == ["user", "assistant", "user"]  # type: ignore[attr-defined]
    assert json.loads(run("emby", "spend", "--json").output)["total"]["calls"] == 2
    run("-c", "And then?")
    assert wire.requests[-1]["messages"][:3] == second  # type: ignore[index]


def test_a_chat_accepts_and_edits_images(run: LLM, wire: Recorder) -> None:
    """`llm chat` accepts images as fragments, and edits the images that it generated."""
    rocket = photo("rocket.jpg")
    turns = [f"!fragment emby-image:{rocket}", "What is it?", "Draw a boat", "make it grey", "quit"]
    result = run("chat", "-m", "emby-mock", text="\n".join(turns))
    assert result.exit_code == 0, result.output
    assert "JPEG of 640x427" in result.output
    assert len(paths(result.output)) == 2


def test_an_error_in_a_chat_is_a_sentence(run: LLM) -> None:
    """An error in `llm chat` is a sentence instead of a traceback."""
    result = run("chat", "-m", "emby/qwen2.5-vision", text="hi\nquit\n")
    assert result.exit_code == 1
    assert "Error: No API key for Emby" in result.output


def test_every_command_works_without_network(run: LLM) -> None:
    """Listing models, plugins and help works without a network."""
    for words in (["models"], ["emby", "models"], ["plugins"], ["--help"], ["emby", "--help"]):
        assert run(*words).exit_code == 0


def test_the_plugin_is_cheap_to_load() -> None:
    """Loading the plugin imports no heavy dependency beyond llm's own."""
    script = (
        "import sys, llm.plugins, llm\n"
        "before = set(sys.modules)\n"
        "import llm_emby\n"
        "llm_emby.register_models(lambda *a, **k: None)\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    environment = {**os.environ, "LLM_LOAD_PLUGINS": ""}
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    ).stdout
    loaded = set(out.split())
    assert "llm_emby._models" in loaded
    heavy = {"httpx", "PIL", "openai", "langchain_core", "msgspec", "stamina"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
    # Their dozens of value classes alone would take half of the budget of 15 ms.
    assert not {"emby_plugins._chat", "emby_plugins._images"} & loaded
