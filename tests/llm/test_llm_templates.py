"""`llm -t emby:NAME`: prompts for images, with or without additional text."""

import pytest
from llm_help import LLM, Recorder
from support import photo

from llm_emby._templates import TEMPLATES

ROCKET = ("-a", photo("rocket.jpg"))


def sent(wire: Recorder) -> str:
    """Return the text of the only request."""
    (body,) = wire.requests
    (message,) = body["messages"]  # type: ignore[misc]
    (text,) = [part["text"] for part in message["content"] if part["type"] == "text"]
    return str(text)


@pytest.mark.parametrize("name", sorted(TEMPLATES.keys() - {"edit"}))
def test_a_template_needs_no_text(run: LLM, wire: Recorder, name: str) -> None:
    """A template without text is sent without its placeholder."""
    result = run("-t", f"emby:{name}", "-m", "emby-mock", *ROCKET)
    assert result.exit_code == 0
    assert sent(wire) == TEMPLATES[name].replace("$input", "").strip()


def test_text_is_added(run: LLM, wire: Recorder) -> None:
    """The text is appended to the edit template, and an image is returned."""
    result = run("-t", "emby:edit", "make it grayscale", "-m", "emby-mock", *ROCKET)
    assert sent(wire).endswith("make it grayscale")
    assert result.output.endswith(".png\n")


def test_an_edit_without_text_is_refused(run: LLM, wire: Recorder) -> None:
    """The edit template without text is refused before anything is sent."""
    result = run("-t", "emby:edit", "-m", "emby-mock", *ROCKET)
    assert result.exit_code == 1
    assert "Nothing to change." in result.output
    assert wire.requests == []


@pytest.mark.parametrize(
    ("default", "used"), [("emby/glm-vision", "glm-vision"), ("gpt-4o-mini", "qwen2.5-vision")]
)
def test_the_model(
    run: LLM, wire: Recorder, monkeypatch: pytest.MonkeyPatch, default: str, used: str
) -> None:
    """A template uses the default model if provided by Emby."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    run("models", "default", default)
    run("-t", "emby:describe", *ROCKET)
    assert wire.requests[0]["model"] == used


def test_a_typo_gets_a_suggestion(run: LLM) -> None:
    """A misspelt template gets a suggestion and the list of all."""
    result = run("-t", "emby:descirbe", "x")
    assert "Did you mean emby:describe? Available: emby:describe, " in result.output
