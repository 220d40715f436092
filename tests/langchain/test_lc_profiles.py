"""The profiles of models in the stored list of a gateway, without a network."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from emby_plugins import Emby, ModelCard, store_models, stored_path
from emby_plugins.mock import PROFILES, MockBackend, activate
from langchain_emby import ChatEmby

GATEWAY = "https://gateway.example/v1"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))


def test_every_listed_model_has_a_profile() -> None:
    """After `store_models` each model has a profile, for its own gateway only."""
    with activate(MockBackend(profile=PROFILES["2026-08"])), Emby(base_url="mock:") as emby:
        cards = emby.models()
    store_models(cards, GATEWAY)
    for card in cards:
        profile: Any = ChatEmby(model=card.id, base_url=f"{GATEWAY}/").profile
        assert profile.get("max_input_tokens") == card.context_length
        assert profile["image_inputs"] == card.vision
    profile = ChatEmby(model="anthropic/claude-haiku-4-5", base_url=GATEWAY).profile
    assert profile == {
        "name": "claude-haiku-4-5",
        "text_inputs": True,
        "text_outputs": True,
        "image_inputs": True,
        "image_url_inputs": True,
        "image_tool_message": True,
        "image_outputs": False,
        "reasoning_output": True,
        "reasoning_effort_levels": [*PROFILES["2026-08"].efforts],
        "tool_calling": True,
        "tool_choice": True,
        "tool_call_streaming": True,
        "structured_output": True,
        "max_input_tokens": 131_072,
        "max_output_tokens": 65_536,
        "audio_inputs": False,
        "pdf_inputs": False,
        "video_inputs": False,
        "audio_outputs": False,
        "video_outputs": False,
    }
    assert ChatEmby(model="claude-haiku-4-5", base_url="mock:").profile is None


def test_a_newer_list_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list refreshed by another program is read, and keeps fields that it omits."""
    monkeypatch.setenv("EMBY_BASE_URL", GATEWAY)
    store_models([ModelCard("m", context_length=1000)])
    assert ChatEmby(model="m").profile["max_input_tokens"] == 1000
    store_models([ModelCard("m", input_modalities=("audio", "file")), ModelCard("n")])
    profile = ChatEmby(model="m").profile
    assert (profile["max_input_tokens"], profile["audio_inputs"]) == (1000, True)
    assert (profile["pdf_inputs"], profile["video_inputs"]) == (True, False)
    assert ChatEmby(model="n").profile is not None
    assert ChatEmby(model="n", profile={"max_input_tokens": 5}).profile == {"max_input_tokens": 5}


def test_a_broken_list_causes_a_warning() -> None:
    """An unreadable list causes a warning and no profile, until the next refresh."""
    stored_path(GATEWAY).parent.mkdir()
    stored_path(GATEWAY).write_text("{")
    with pytest.warns(UserWarning, match="llm emby refresh"):
        assert ChatEmby(model="m", base_url=GATEWAY).profile is None
    store_models([ModelCard("m")], GATEWAY)
    assert ChatEmby(model="m", base_url=GATEWAY).profile is not None


def test_summaries_by_a_fraction_of_the_context() -> None:
    """LangChain's summarization middleware uses the context length of a stored model."""
    agents = pytest.importorskip("langchain.agents")
    middleware = pytest.importorskip("langchain.agents.middleware")
    store_models([ModelCard("qwen2.5-vision", context_length=400)], "mock:")
    chat = ChatEmby(base_url="mock:")
    summarize = middleware.SummarizationMiddleware(
        chat, trigger=("fraction", 0.8), keep=("messages", 1)
    )
    agent = agents.create_agent(chat, [], middleware=[summarize])
    state = agent.invoke({"messages": [HumanMessage("word " * 100)]})
    assert len(state["messages"]) == 2
    state = agent.invoke({"messages": [*state["messages"], HumanMessage("word " * 300)]})
    assert "summary" in state["messages"][0].text
