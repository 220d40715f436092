"""Telemetry in `llm`: a plugin installed in the group `emby` records every prompt."""

import pytest
from llm_help import LLM, MODES
from telemetry_help import Telemetry


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_is_a_span(
    run: LLM, mode: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt is a span of the installed plugin, below the current span, with facts on its
    image.
    """
    telemetry = Telemetry()

    class Entry:
        name = "telemetry"

        def load(self) -> object:
            return telemetry.plugin

    monkeypatch.setattr("emby_plugins._plugins._installed", lambda: (Entry(),))
    with telemetry.tracer.start_as_current_span("script") as script:
        result = run("-m", "emby-mock", "Generate an image of a fox", mode=mode)
    assert result.exit_code == 0, result.output
    span, _ = telemetry.spans
    assert span.name == "chat emby-mock"
    assert span.attributes is not None
    assert span.attributes["emby.response.images.count"] == 1
    assert span.attributes["emby.response.images.media_types"] == ("image/png",)
    assert span.parent is not None
    assert span.parent.span_id == script.get_span_context().span_id
