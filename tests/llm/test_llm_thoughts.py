"""Reasoning sent back, refusals and server-side tools through `llm`."""

import json
from typing import Any

import pytest
from llm_help import LLM, MODES, Recorder
from support import answer, as_asked, chunk, completion, sse

DETAILS = [{"type": "reasoning.encrypted", "data": "c2VjcmV0", "index": 0}]
FINISH = chunk(finish="stop")


def thought(text: str = "Four.", **fields: Any) -> Any:
    """Return a backend that answers with reasoning."""
    fields = {"reasoning": "Hm.", "reasoning_details": DETAILS, **fields}
    whole = completion(text)
    whole["choices"][0]["message"] |= fields
    return as_asked(whole, sse(chunk(delta=fields), chunk(text), FINISH))


@pytest.mark.parametrize("mode", MODES)
def test_reasoning_is_sent_back_to_its_model_only(run: LLM, wire: Recorder, mode: Any) -> None:
    """`llm -c` sends reasoning back unchanged, but not to another model."""
    wire.answer = thought()
    assert run("2 + 2?", "-m", "emby-mock", *mode).exit_code == 0
    run("Sure?", "-c", "-m", "emby-mock", *mode)
    sent = wire.requests[-1]["messages"][1]  # type: ignore[index]
    assert sent == {"role": "assistant", "content": "Four.", "reasoning_details": DETAILS}
    run("Sure?", "-c", "-m", "emby-mock-text", *mode)
    assert wire.requests[-1]["messages"][1] == {  # type: ignore[index]
        "role": "assistant",
        "content": "Four.",
    }


def test_reasoning_is_sent_back_with_tool_results(run: LLM, wire: Recorder) -> None:
    """Reasoning and the call's signature are sent back with the results of tools."""
    call = {"id": "c1", "type": "function", "function": {"name": "llm_version", "arguments": "{}"}}
    call["extra_content"] = {"google": {"thought_signature": "abc"}}
    deltas = [chunk(delta={"reasoning_details": DETAILS, "tool_calls": [{**call, "index": 0}]})]
    first = answer(sse(*deltas, chunk(finish="tool_calls")))
    replies = iter([first, answer(sse(chunk("0.36"), FINISH))])
    wire.answer = lambda _: next(replies)
    assert run("Version?", "-m", "emby-mock", "-T", "llm_version").output.strip() == "0.36"
    sent = wire.requests[-1]["messages"][1]  # type: ignore[index]
    assert sent["reasoning_details"] == DETAILS
    assert sent["tool_calls"] == [call]


@pytest.mark.parametrize("mode", MODES)
def test_a_refusal_is_reported(run: LLM, wire: Recorder, mode: Any) -> None:
    """A refusal is printed and logged, and marked on stderr."""
    whole = completion(None)
    whole["choices"][0]["message"]["refusal"] = "I can't."
    wire.answer = as_asked(whole, sse(chunk(delta={"refusal": "I can't."}), FINISH))
    result = run("Hi", "-m", "emby-mock", *mode)
    assert result.stdout.strip() == "I can't."
    assert "The model refused to answer" in result.stderr
    logged = json.loads(run("logs", "-n", "1", "--json").output)[0]
    assert logged["response"] == "I can't."


def test_web_search_is_a_server_side_tool(run: LLM, wire: Recorder) -> None:
    """`WebSearch` is sent as a server-side tool with its settings, beside functions."""
    wire.answer = lambda _: answer(sse(chunk("News."), FINISH))
    result = run("News?", "-m", "emby-mock", "-T", 'WebSearch({"max_uses": 2})', "-T", "llm_time")
    assert result.exit_code == 0, result.output
    tools: Any = wire.requests[-1]["tools"]
    assert {"type": "web_search", "max_uses": 2} in tools
    assert [t["function"]["name"] for t in tools if t["type"] == "function"] == ["llm_time"]
    assert "WebSearch" in run("tools", "-m", "emby-mock").output
