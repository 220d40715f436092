"""`llm emby spend`: calls, images, tokens and cost in the log."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from llm_help import LLM, MODES, Recorder, paths
from support import answer, completion

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


@pytest.fixture
def prompt(run: LLM, wire: Recorder) -> Callable[..., None]:
    """Runs a prompt with a reply of this cost, or of unknown cost."""

    def call(*words: str, cost: float | None, text: str = "Hi") -> None:
        usage = USAGE if cost is None else {**USAGE, "cost": cost}
        wire.answer = lambda _: answer(completion(text, usage=usage))
        assert run("-m", "emby-mock", "--no-stream", *words).exit_code == 0
        wire.answer = None

    return call


def spent(run: LLM, *words: str) -> Any:
    """Return the JSON output."""
    result = run("emby", "spend", "--json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_calls_are_summed_up(run: LLM, prompt: Callable[..., None]) -> None:
    """Tokens and cost are summed per model and in total, and a cost of 0 is a known one."""
    prompt("Hello", cost=0.25)
    prompt("Hello again", cost=0)
    prompt("And again", cost=None)
    report = spent(run)
    assert report["total"] == {
        "calls": 3,
        "images": 0,
        "input_tokens": 3000,
        "output_tokens": 300,
        "cost": 0.25,
        "cost_is_estimate": False,
        "calls_without_cost": 1,
    }
    assert report["groups"] == [{"model": "emby-mock", **report["total"]}]
    header, row, note = run("emby", "spend").output.splitlines()
    assert header.split() == ["model", "calls", "images", "input", "output", "cost"]
    assert row.split() == ["emby-mock", "3", "0", "3,000", "300", "$0.250000", "+", "?"]
    assert note.startswith("? ")


@pytest.mark.parametrize("mode", MODES)
def test_images_are_counted(run: LLM, mode: tuple[str, ...]) -> None:
    """Each image is counted once, in its own turn, for every way to generate it."""
    shown = run("-m", "emby-mock", "Generate two images of a fox", mode=mode).output
    shown += run("-c", "make it grayscale", mode=mode).output
    run("emby", "image", "a lighthouse", "-m", "emby-mock-image")
    groups = {group["model"]: group for group in spent(run)["groups"]}
    assert {name: group["images"] for name, group in groups.items()} == {
        "emby-mock": len(paths(shown)),
        "emby-mock-image": 1,
    }
    assert len(paths(shown)) > 2
    assert groups["emby-mock"]["calls"] == 2


def test_a_conversation_is_a_group(run: LLM, prompt: Callable[..., None]) -> None:
    """`--by conversation` groups by the conversation's id and name."""
    prompt("About foxes", cost=0.5)
    prompt("-c", "And hens", cost=0.25)
    prompt("About geese", cost=1)
    groups = spent(run, "--by", "conversation")["groups"]
    assert [group["cost"] for group in groups] == [0.75, 1]
    assert groups[0]["conversation"].endswith(" About foxes")


def test_groups_by_day_and_since(run: LLM, prompt: Callable[..., None], user_path: Path) -> None:
    """`--by day` groups by day, and `--since` includes its day."""
    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        prompt("Hello", cost=1)
        with closing(sqlite3.connect(user_path / "logs.db")) as db:
            query = "update turns set datetime_utc = ? where datetime_utc > '2026-01-04'"
            db.execute(query, [f"{day}T12:00:00+00:00"])
            db.commit()
    groups = spent(run, "--by", "day")["groups"]
    assert [group["day"] for group in groups] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert spent(run, "--since", "2026-01-02")["total"]["calls"] == 2
    assert spent(run, "--since", "2026-01-04")["groups"] == []


def test_an_estimate_is_marked(
    run: LLM, logged: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the gateway reports no cost, it is estimated from the refreshed prices and marked."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    run("-m", "emby/qwen2.5-vision", "Hello")
    assert spent(run)["total"]["cost"] is None
    run("emby", "refresh")
    run("-m", "emby/qwen2.5-vision", "Hello")
    assert logged()[-1]["token_details"] == '{"cost": 1e-08, "cost_is_estimate": true}'
    total = spent(run)["total"]
    assert (total["cost"], total["cost_is_estimate"]) == (1e-08, True)
    _, row, *notes = run("emby", "spend").output.splitlines()
    assert row.split()[-3:] == ["~<$0.000001", "+", "?"]
    assert [note[0] for note in notes] == ["~", "?"]


def test_other_models_are_not_counted(
    run: LLM, prompt: Callable[..., None], user_path: Path
) -> None:
    """Calls of other plugins' models in the same log are not counted."""
    prompt("Hello", cost=1)
    with closing(sqlite3.connect(user_path / "logs.db")) as db:
        db.execute("update turns set model = 'gpt-9'")
        db.commit()
    assert run("emby", "spend").output == "The log has no calls of Emby's models.\n"


def test_without_a_log_the_result_is_empty(run: LLM, user_path: Path) -> None:
    """Without a log the result is empty, and none is created."""
    assert run("emby", "spend").output == "The log has no calls of Emby's models.\n"
    assert spent(run)["total"]["calls"] == 0
    assert not (user_path / "logs.db").exists()


def test_an_unreadable_log_is_a_one_line_error(run: LLM, user_path: Path) -> None:
    """A log that is not a database is a one-line error with its path."""
    (user_path / "logs.db").write_bytes(b"no database, but long enough to look like one" * 50)
    result = run("emby", "spend")
    assert result.exit_code == 1
    assert result.output.startswith("Error: The log ")
    assert str(user_path / "logs.db") in result.output
