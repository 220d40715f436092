"""`llm` with tools and schemas, against every gateway state of the mock."""

import json

import pytest
from llm_help import LLM, MODES
from recordings.recordings import STATES

from emby_plugins.mock import PROFILES, MockBackend, activate

CODE = """
def double(x: int) -> int:
    "Doubles a number."
    return 2 * x

def square(x: int) -> int:
    "Squares a number."
    return x * x
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("state", STATES)
def test_tools_run_and_the_model_answers(run: LLM, state: str, mode: tuple[str, ...]) -> None:
    """Tools of `--functions` and `-T` run, and the model answers."""
    with activate(MockBackend(profile=PROFILES[state])):
        prompt = "Use double and square on 7"
        result = run("-m", "emby-mock", prompt, "--functions", CODE, mode=mode)
        assert result.exit_code == 0, result.output
        assert "14" in result.stdout
        assert "49" in result.stdout
        timed = run("-m", "emby-mock", "Use llm_version", "-T", "llm_version", "--td", mode=mode)
    assert timed.exit_code == 0, timed.output
    assert "llm_version" in timed.stderr
    assert timed.stdout.strip()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("state", STATES)
def test_a_schema_is_filled(run: LLM, state: str, mode: tuple[str, ...]) -> None:
    """The reply with `--schema` is JSON that matches it."""
    with activate(MockBackend(profile=PROFILES[state])):
        result = run("-m", "emby-mock", "A dog of 3 years", "--schema", "name, age int", mode=mode)
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)) == {"name", "age"}
