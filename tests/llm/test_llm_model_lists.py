"""The models that `llm` offers: `llm emby models`, `refresh`, `add` and `remove`."""

import json
from collections.abc import Callable
from pathlib import Path

import llm
import pytest
from llm_help import LLM, Recorder
from recordings.recordings import STATES, recording
from support import photo

from emby_plugins import (
    BackendRequest,
    BackendResponse,
    ModelCard,
    load_cards,
    save_cards,
    stored_path,
)
from emby_plugins.mock import MockBackend, MockServer

Lists = Callable[..., None]


@pytest.fixture
def lists(wire: Recorder, monkeypatch: pytest.MonkeyPatch) -> Lists:
    """Makes the gateway list these entries."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")

    def respond(*entries: object) -> None:
        body = json.dumps({"data": entries}).encode()
        wire.answer = lambda _: BackendResponse(200, {}, iter([body]))

    return respond


def offered(run: LLM) -> dict[str, dict[str, object]]:
    """Return the output of `llm emby models --json`, by model."""
    cards = json.loads(run("emby", "models", "--json").stdout)
    return {card["model"]: card for card in cards}


def test_models_lists_capabilities(run: LLM) -> None:
    """The table and the JSON have every model, and the filters select by capability."""
    table = run("emby", "models").stdout.splitlines()
    assert table[0].split("  ")[0] == "emby/qwen2.5-vision"
    everything = json.loads(run("emby", "models", "--json").stdout)
    assert [line.split(" ")[0] for line in table] == [entry["model"] for entry in everything]
    for option in ("vision", "images", "tools"):
        found = json.loads(run("emby", "models", f"--{option}", "--json").stdout)
        assert found == [entry for entry in everything if entry[option]]
        assert 0 < len(found) < len(everything)


def test_refresh_keeps_the_gateways_list(run: LLM, lists: Lists) -> None:
    """`refresh` saves the list and prints additions and removals."""
    lists({"id": "qwen2.5-vision"}, {"id": "brand-new", "vision": True})
    first = run("emby", "refresh").stdout.splitlines()
    assert first[0] == "2 models at mock:"
    assert "+ emby/brand-new" in first
    assert "- emby/glm-vision" in first
    assert run("emby", "refresh").stdout.splitlines()[1:] == ["No changes"]
    listed = run("models").stdout
    assert "emby/brand-new" in listed
    assert "emby/glm-vision" not in listed


def test_a_sparse_list_keeps_capabilities(run: LLM, lists: Lists) -> None:
    """A list with ids only does not remove known capabilities."""
    before = offered(run)["emby/qwen2.5-vision"]
    rich = {"vision": False, "providers": [{"tools": False}], "structured_outputs": False}
    lists({"id": "qwen2.5-vision"}, {"id": "plain", **rich})
    run("emby", "refresh")
    lists({"id": "qwen2.5-vision"}, {"id": "plain"}, {"id": "unheard-of"})
    run("emby", "refresh")
    after = offered(run)
    assert after["emby/qwen2.5-vision"] == before
    plain = after["emby/plain"]
    assert [plain[name] for name in ("vision", "tools", "schemas")] == [False, False, False]
    assert after["emby/unheard-of"]["vision"] is None
    assert "emby/unheard-of" in run("emby", "models").stdout


def test_unknown_capabilities_are_tried(run: LLM, lists: Lists, wire: Recorder) -> None:
    """A model with unknown capabilities accepts images and tools, and the gateway decides."""
    lists({"id": "unheard-of"}, {"id": "blind", "vision": False})
    run("emby", "refresh")
    wire.answer = None
    rocket = photo("rocket.jpg")
    result = run("-m", "emby/unheard-of", "What?", "-a", rocket, "-T", "llm_version")
    assert "does not support" not in result.output
    body = wire.requests[-1]
    assert body["tools"]
    assert body["messages"][-1]["content"][-1]["type"] == "image_url"  # type: ignore[index]
    assert "does not support" in run("-m", "emby/blind", "What?", "-a", rocket).output


def test_an_empty_list_changes_nothing(run: LLM, lists: Lists) -> None:
    """A list without chat models leaves the saved one unchanged."""
    lists({"id": "kept"})
    run("emby", "refresh")
    before = offered(run)
    embeddings = {"id": "e", "architecture": {"output_modalities": ["embedding"]}}
    for entries in ((), (embeddings,)):
        lists(*entries)
        result = run("emby", "refresh")
        assert result.exit_code == 0
        assert "lists no chat models. The list was not changed" in result.output
        assert offered(run) == before


def test_models_without_chat_are_left_out(run: LLM, lists: Lists) -> None:
    """Models without text or image output are reported by `refresh` and not offered."""
    for_chat = {"id": "talks", "architecture": {"output_modalities": ["text"]}}
    silent = [
        {"id": f"only-{kind}", "architecture": {"output_modalities": [kind]}}
        for kind in ("embedding", "audio", "video")
    ]
    lists(for_chat, *silent)
    out = run("emby", "refresh").stdout.splitlines()
    assert out[0] == "1 model at mock:"
    assert out[-1].endswith("only-embedding, only-audio, only-video")
    assert "only-" not in run("models").stdout
    assert "only-" not in run("emby", "models").stdout


def test_each_base_url_has_its_own_list(
    run: LLM, lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each base URL has its own saved list."""
    lists({"id": "of-the-mock"})
    run("emby", "refresh")
    with MockServer(MockBackend()) as server:
        monkeypatch.setenv("EMBY_BASE_URL", server.base_url)
        assert "emby/of-the-mock" not in offered(run)
        assert run("emby", "refresh").exit_code == 0
        assert "emby/emby-mock" in offered(run)
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    assert "emby/of-the-mock" in offered(run)
    monkeypatch.delenv("EMBY_BASE_URL")
    assert not {"emby/of-the-mock", "emby/emby-mock"} & set(offered(run))
    assert "emby/glm-vision" in offered(run)


def test_a_list_of_an_older_version_is_used(run: LLM, user_path: Path) -> None:
    """A list saved by an older version is used as Emby's, except for the mock's."""
    path = user_path / "emby" / "models.json"
    path.parent.mkdir()
    path.write_text('{"models": [{"id": "old", "tools": true}, {"id": "qwen2.5-vl"}]}')
    assert offered(run)["emby/old"]["tools"] is True
    assert offered(run)["emby/old"]["vision"] is None
    assert offered(run)["emby/qwen2.5-vl"]["vision"] is True
    path.write_text('{"models": [{"id": "emby-mock"}, {"id": "old"}]}')
    assert "emby/old" not in offered(run)
    assert "emby/glm-vision" in offered(run)


@pytest.mark.parametrize("state", STATES)
def test_a_recorded_list(
    run: LLM, wire: Recorder, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """The recorded list of each state is offered with its capabilities."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    content = recording(state, "models-exclude-deprecated").content
    wire.answer = lambda _: BackendResponse(200, {}, iter([content]))
    assert run("emby", "refresh").stdout.startswith("3 models at mock:\n")
    card = offered(run)["emby/gpt-4o-mini"]
    fields = [card[name] for name in ("vision", "images", "tools", "reasoning", "context_length")]
    assert fields == [state == "2026-08", False, True, False, 128_000]


def test_a_gateway_that_refuses_the_query(
    run: LLM, wire: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the gateway refuses the query, `refresh` repeats the request without it."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    answers = [(400, {"error": {"message": "what?"}}), (200, {"data": [{"id": "a"}]})]

    def refuses(_: BackendRequest) -> BackendResponse:
        status, body = answers[len(wire.requests) - 1]
        return BackendResponse(status, {}, iter([json.dumps(body).encode()]))

    wire.answer = refuses
    assert run("emby", "refresh").stdout.startswith("1 model at mock:\n")
    answers[:] = [(401, {"error": {"message": "no"}})] * 2
    wire.requests.clear()
    assert run("emby", "refresh").exit_code == 1
    assert len(wire.requests) == 1


def test_a_list_can_not_inject_terminal_escapes(run: LLM, lists: Lists) -> None:
    """Control and bidi characters of a model list are never printed."""
    hostile = "\x1b]0;owned\x07\x1b[2J\u202egpt\x9b"
    silent = {"id": hostile + "e", "architecture": {"output_modalities": ["embedding"]}}
    lists({"id": hostile, "name": hostile, "aliases": [hostile + "a"]}, silent)
    for words in (["refresh"], ["models"], ["doctor"]):
        output = run("emby", *words).output
        assert not [c for c in output if not c.isprintable() and c != "\n"]
    assert not [c for c in run("models").output if not c.isprintable() and c != "\n"]
    assert "gpt" in run("models").output


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"EMBY_BASE_URL": "http://127.0.0.1:9"}, "Check the network, and the base URL"),
        ({"EMBY_BASE_URL": "nonsense"}, "Invalid base URL"),
        ({"EMBY_API_KEY": "a b"}, "API key"),
    ],
)
def test_a_failed_refresh_keeps_the_list(
    run: LLM,
    user_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    expected: str,
) -> None:
    """A failed `refresh` prints one line and keeps the saved list."""
    path = user_path / "emby" / "models.json"
    save_cards(path, [ModelCard(id="kept")])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = run("emby", "refresh")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert expected in result.output
    assert [card.id for card in load_cards(path)] == ["kept"]


def test_add_and_remove(run: LLM, wire: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of a custom provider can be added, used and removed."""
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
    assert "is not a model you added" in again.output


def test_a_missing_capability_is_refused(run: LLM) -> None:
    """An added model without a capability refuses attachments and tools."""
    run("emby", "add", "plain")
    result = run("-m", "emby/plain", "What?", "-a", photo("rocket.jpg"))
    assert "does not support attachments" in result.output
    result = run("-m", "emby/plain", "Hi", "-T", "llm_version")
    assert "does not support tools" in result.output


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"models": [{}]}', b"\xff\xfe", b"null"])
@pytest.mark.parametrize("name", ["models.json", "added.json"])
def test_a_corrupt_list_causes_a_warning(
    run: LLM, user_path: Path, name: str, content: bytes
) -> None:
    """A corrupt list file causes a warning with its name, and llm works."""
    (user_path / "emby").mkdir()
    (user_path / "emby" / name).write_bytes(content)
    result = run("models")
    assert result.exit_code == 0
    assert "emby/qwen2.5-vision" in result.stdout
    assert name in result.stderr


@pytest.mark.parametrize("named", [True, False])
def test_the_stored_lists_are_in_llms_folder(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core finds `llm`'s user folder as `llm` does."""
    monkeypatch.delenv("LLM_USER_PATH")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    if named:
        monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "own"))
    assert stored_path().parent == Path(llm.user_dir()) / "emby"
