"""`llm emby ...`: every command and option, through `llm`'s own command line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llm_help import LLM, Recorder, paths
from support import photo

from emby_plugins import BackendRequest, BackendResponse, Image, ModelCard, load_cards, save_cards
from emby_plugins.mock import MockBackend


def test_image_prints_the_path_and_nothing_else(run: LLM, user_path: Path) -> None:
    """Standard output holds the path alone, and the picture is there."""
    result = run("emby", "image", "a red boat", "-m", "emby-mock")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    path = Path(result.stdout.strip())
    assert path.parent == user_path / "emby" / "images"
    assert Image.from_path(path).media_type == "image/png"


def test_image_options_reach_the_wire(run: LLM, wire: Recorder) -> None:
    """Prompt, shape, size and the image to start from stand in the request."""
    rocket = photo("rocket.jpg")
    words = ["make it sepia", "-a", rocket, "--aspect-ratio", "16:9", "--size", "1K"]
    result = run("emby", "image", *words, "-m", "emby-mock")
    assert result.exit_code == 0, result.output
    (body,) = wire.requests
    assert body["image_config"] == {"aspect_ratio": "16:9", "image_size": "1K"}
    system, user = body["messages"]  # type: ignore[misc]
    assert "image" in system["content"]
    text, image = user["content"]
    assert text["text"] == "make it sepia"
    assert Image.from_data_url(image["image_url"]["url"]).data == rocket.read_bytes()


def test_image_starts_from_an_address_without_fetching_it(run: LLM, wire: Recorder) -> None:
    """`-a https://...` forwards the address: the blocked network would refuse a fetch."""
    url = "https://example.com/dog.png"
    result = run("emby", "image", "make it grey", "-a", url, "-m", "emby-mock")
    assert result.exit_code == 0, result.output
    user = wire.requests[0]["messages"][-1]  # type: ignore[index]
    assert user["content"][-1]["image_url"] == {"url": url}


def test_several_images_are_asked_for_at_once(
    run: LLM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`-n 3` has three requests under way together, and gives three different files."""
    import asyncio

    from llm_emby.models import AsyncEmbyModel

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


def test_out_dash_gives_the_bytes(run: LLM) -> None:
    """`--out -` writes the image itself, byte for byte, to standard output."""
    path = Path(run("emby", "image", "a fox", "-m", "emby-mock").stdout.strip())
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--out", "-")
    assert result.stdout_bytes == path.read_bytes()


@pytest.mark.parametrize("more", [["-n", "2"], ["--json"]])
def test_out_dash_refuses_what_it_cannot_give(run: LLM, more: list[str]) -> None:
    """Several images, or facts beside one, have no place on one standard output."""
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--out", "-", *more)
    assert result.exit_code == 2
    assert "--out - gives one image" in result.output


def test_json_says_all_about_the_image(run: LLM) -> None:
    """`--json` gives path, type, size in pixels and bytes, digest, model and prompt."""
    (fact,) = json.loads(run("emby", "image", "a fox", "-m", "emby-mock", "--json").stdout)
    image = Image.from_path(fact["path"])
    assert (fact["width"], fact["height"]) == image.size
    assert (fact["sha256"], fact["bytes"]) == (image.sha256, len(image.data))
    assert (fact["media_type"], fact["model"]) == ("image/png", "emby-mock")
    assert fact["prompt"] == "a fox"
    assert fact["output_tokens"] == 1290


def test_images_are_logged_and_can_be_gone_on_from(
    run: LLM, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    """What `llm emby image` makes stands in the log like any prompt, and `llm -c` edits it."""
    path = paths(run("emby", "image", "a fox", "-m", "emby-mock").stdout)[0]
    (row,) = logged()
    assert row["prompt"] == "a fox"
    assert str(path) in row["response"]
    edited = paths(run("-c", "make it greyscale").stdout)[0]
    assert edited.read_bytes() != path.read_bytes()


@pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning")
def test_open_and_preview(run: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--open` opens the file, `--preview` draws on stderr; standard output keeps to the path."""
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    result = run("emby", "image", "a fox", "-m", "emby-mock", "--open", "--preview")
    assert result.exit_code == 0, result.output
    assert opened == [result.stdout.strip()]
    assert len(result.stderr.splitlines()) > 5


def test_words_instead_of_an_image_are_an_error_that_quotes_them(run: LLM) -> None:
    """A model that only talks fails the command, and what it said is shown."""
    result = run("emby", "image", "a fox", "-m", "emby-mock-text")
    assert result.exit_code == 1
    assert "emby-mock-text made no image. It said: This is emby-mock" in result.stderr
    assert result.stdout == ""


def test_one_failure_keeps_the_other_images(run: LLM, wire: Recorder) -> None:
    """Of two prompts one fails: the other's image is printed, the error said, the exit code 1."""
    mock = MockBackend()
    refusal = b'{"error":{"message":"No credit","type":"billing_error"}}'

    def answer(request: BackendRequest) -> BackendResponse:
        if len(wire.requests) == 1:
            headers = {"content-type": "application/json"}
            return BackendResponse(402, headers, iter([refusal]))
        return mock(request)

    wire.answer = answer
    result = run("emby", "image", "a fox", "-n", "2", "-m", "emby-mock")
    assert result.exit_code == 1
    assert len(paths(result.stdout)) == 1
    assert "Error: No credit. Add credit" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-m", "nobody"], "There is no model 'nobody': see 'llm emby models'."),
        (["-m", "emby-mock", "-a", "gone.png"], "'gone.png' can't be read"),
        ([], "There is no key for Emby"),
    ],
)
def test_image_says_what_is_wrong(run: LLM, words: list[str], said: str) -> None:
    """An unknown model, a missing file and a missing key are one clear sentence each."""
    result = run("emby", "image", "a fox", *words)
    assert result.exit_code == 1
    assert said in result.output


def test_ctrl_c_leaves_no_half_written_file(tmp_path: Path, user_path: Path) -> None:
    """Interrupted in the middle of its work, the command stops and leaves only whole files."""
    script = (
        "import os, signal\n"
        "from emby_plugins import images\n"
        "def stop(draft, path):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "images.publish = stop\n"
        "from llm.cli import cli\n"
        "cli(['emby', 'image', 'a fox', '-n', '2', '-m', 'emby-mock', '--out', 'made'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode in {1, 130, -signal.SIGINT}, done.stderr
    assert "Aborted!" in done.stderr
    assert list((tmp_path / "made").iterdir()) == []


def test_models_lists_what_each_can_do(run: LLM) -> None:
    """The table and the JSON name every model, and the filters leave only the fitting ones."""
    table = run("emby", "models").stdout.splitlines()
    assert table[0].split("  ")[0] == "emby/qwen2.5-vision"
    everything = json.loads(run("emby", "models", "--json").stdout)
    assert [line.split(" ")[0] for line in table] == [entry["model"] for entry in everything]
    for option in ("vision", "images", "tools"):
        found = json.loads(run("emby", "models", f"--{option}", "--json").stdout)
        assert found == [entry for entry in everything if entry[option]]
        assert 0 < len(found) < len(everything)


def test_refresh_keeps_the_gateways_list(
    run: LLM, user_path: Path, monkeypatch: pytest.MonkeyPatch, wire: Recorder
) -> None:
    """The list is kept, what came and went is said, and a second time nothing has changed."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    listing = {"data": [{"id": "qwen2.5-vision"}, {"id": "brand-new", "vision": True}]}
    wire.answer = lambda _: BackendResponse(200, {}, iter([json.dumps(listing).encode()]))
    first = run("emby", "refresh").stdout.splitlines()
    assert first[0] == "2 models at mock:"
    assert "+ emby/brand-new" in first
    assert "- emby/glm-vision" in first
    assert run("emby", "refresh").stdout.splitlines()[1:] == ["No changes"]
    assert [card.id for card in load_cards(user_path / "emby" / "models.json")] == [
        "qwen2.5-vision",
        "brand-new",
    ]
    listed = run("models").stdout
    assert "emby/brand-new" in listed
    assert "emby/glm-vision" not in listed


def test_a_failed_refresh_leaves_the_list_alone(
    run: LLM, user_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the gateway the command says so in a line, and what was known stays known."""
    path = user_path / "emby" / "models.json"
    save_cards(path, [ModelCard(id="kept")])
    monkeypatch.setenv("EMBY_BASE_URL", "http://127.0.0.1:9")
    result = run("emby", "refresh")
    assert result.exit_code == 1
    assert "Check the network, and the base URL" in result.output
    assert [card.id for card in load_cards(path)] == ["kept"]


def test_add_and_remove(run: LLM, wire: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A custom provider's model is added, takes part like any other, and is forgotten again."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    name = "mycompany/custom-gpt-4"
    assert run("emby", "add", name, "--vision").stdout == f"Added emby/{name}\n"
    assert run("emby", "add", name, "--vision").stdout == f"Changed emby/{name}\n"
    result = run("-m", f"emby/{name}", "What?", "-a", photo("rocket.jpg"))
    assert result.exit_code == 0, result.output
    assert wire.requests[-1]["model"] == name
    assert run("emby", "remove", f"emby/{name}").stdout == f"Removed emby/{name}\n"
    assert name not in run("models").stdout
    again = run("emby", "remove", name)
    assert again.exit_code == 1
    assert "was never added" in again.output


def test_what_a_card_lacks_the_model_refuses(run: LLM) -> None:
    """An added model without vision takes no image, and without tools calls none."""
    run("emby", "add", "plain")
    result = run("-m", "emby/plain", "What?", "-a", photo("rocket.jpg"))
    assert "does not support attachments" in result.output
    result = run("-m", "emby/plain", "Hi", "-T", "llm_version")
    assert "does not support tools" in result.output


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"models": [{}]}', b"\xff\xfe", b"null"])
@pytest.mark.parametrize("name", ["models.json", "added.json"])
def test_a_corrupt_list_costs_a_warning(
    run: LLM, user_path: Path, name: str, content: bytes
) -> None:
    """Whatever stands in the files of ours, llm works, and says how to mend it."""
    (user_path / "emby").mkdir()
    (user_path / "emby" / name).write_bytes(content)
    result = run("models")
    assert result.exit_code == 0
    assert "emby/qwen2.5-vision" in result.stdout
    assert name in result.stderr


def test_doctor_on_the_mock_is_well(run: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the mock as gateway every finding is good and the exit code 0."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    result = run("emby", "doctor")
    assert result.exit_code == 0, result.output
    assert all(line.startswith("ok") for line in result.stdout.splitlines())
    assert "lists 8 models" in result.stdout


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"EMBY_BASE_URL": "http://127.0.0.1:9"}, "!!  gateway: The connection to"),
        ({"EMBY_BASE_URL": "nonsense"}, "!!  base URL: 'nonsense' is no base URL"),
        (
            {"EMBY_BASE_URL": "http://gateway.example", "EMBY_API_KEY": "k"},
            "!!  base URL: The key is not sent",
        ),
    ],
)
def test_doctor_names_what_is_ill(
    run: LLM, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    """A bad finding is marked, says what to do, and makes the exit code 1."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = run("emby", "doctor")
    assert result.exit_code == 1
    assert said in result.output


def test_doctor_finds_a_refused_key(
    run: LLM, monkeypatch: pytest.MonkeyPatch, wire: Recorder
) -> None:
    """A key that the gateway does not take is found by the round trip, and never shown."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    wire.answer = MockBackend(key="right")
    result = run("emby", "doctor", "--key", "wrong-secret")
    assert "!!  key:" in result.output
    assert "wrong-secret" not in result.output


def test_a_picture_as_a_fragment(run: LLM, wire: Recorder) -> None:
    """`-f emby-image:PATH` attaches a picture, which is how `llm chat` takes one."""
    rocket = photo("rocket.jpg")
    result = run("-m", "emby-mock", "What?", "-f", f"emby-image:{rocket}")
    assert result.exit_code == 0, result.output
    content = wire.requests[0]["messages"][0]["content"]  # type: ignore[index]
    assert Image.from_data_url(content[-1]["image_url"]["url"]).data == rocket.read_bytes()


def test_a_chat_takes_pictures_and_goes_on_from_its_own(run: LLM, wire: Recorder) -> None:
    """In `llm chat`, a fragment shows a picture, a painting can be edited, and errors are lines."""
    rocket = photo("rocket.jpg")
    turns = [f"!fragment emby-image:{rocket}", "What is it?", "Draw a boat", "make it grey", "quit"]
    result = run("chat", "-m", "emby-mock", text="\n".join(turns))
    assert result.exit_code == 0, result.output
    assert "JPEG of 640x427" in result.output
    assert len(paths(result.output)) == 2


def test_an_error_in_a_chat_is_no_traceback(run: LLM) -> None:
    """An error of ours reaches the user of `llm chat` as a sentence."""
    result = run("chat", "-m", "emby/qwen2.5-vision", text="hi\nquit\n")
    assert result.exit_code == 1
    assert "Error: There is no key for Emby" in result.output


def test_every_command_works_without_network(run: LLM) -> None:
    """Nothing but a prompt and `refresh` reaches out: the blocked network would fail these."""
    for words in (["models"], ["emby", "models"], ["plugins"], ["--help"], ["emby", "--help"]):
        assert run(*words).exit_code == 0


def test_the_plugin_is_cheap_to_load() -> None:
    """Loading the plugin and its models imports nothing heavy beyond what llm has."""
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
    assert "llm_emby.models" in loaded
    heavy = {"httpx", "PIL", "openai", "langchain_core", "msgspec", "stamina"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
    # Their dozens of value classes alone would take half of the 15 ms there are.
    assert not {"emby_plugins.chat", "emby_plugins.images"} & loaded
