"""The pytest plugin as users have it: the fixture, the setting and the examples in docs/mock.md."""

import asyncio
import itertools
import os
import re
import subprocess
import sys
import threading
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from emby_plugins import AsyncEmby, Emby, EmbyError
from emby_plugins._call import Call
from emby_plugins.mock import MockServer
from emby_plugins.pytest_plugin import BlockedNetworkError, block_network

pytest_plugins = ["pytester"]

DOCS = Path(__file__).parents[2] / "docs" / "mock.md"
ELSEWHERE = {"api_key": "k", "base_url": "https://emby.invalid/v1", "max_retries": 0}


@pytest.fixture
def suite(pytester, monkeypatch):
    """Runs a test suite in a separate process, with no plugin but ours."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(code, *options):
        pytester.makepyfile(code)
        plugins = ("-p", "emby_plugins.pytest_plugin", "-p", "no:cacheprovider")
        return pytester.runpytest_subprocess(*plugins, *options)

    return run


def examples():
    """Return the Python examples of the documentation: test suites, and others."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    tests = [block for block in blocks if "def test_" in block]
    return tests, [block for block in blocks if block not in tests]


def test_the_documented_test_passes(suite):
    """The ten-line example in docs/mock.md is a passing test."""
    (example,), _ = examples()
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    suite(example).assert_outcomes(passed=1)


@pytest.mark.parametrize("example", examples()[1], ids=itertools.count())
def test_documented_examples_run(example):
    """The other examples in docs/mock.md run."""
    exec(compile(example, str(DOCS), "exec"), {})


def test_the_plugin_is_installed():
    """Pytest finds the plugin by its entry point."""
    (found,) = (entry for entry in entry_points(group="pytest11") if entry.name == "emby")
    assert found.value == "emby_plugins.pytest_plugin"


def test_the_plugin_is_cheap_to_load():
    """The plugin, which pytest always loads, imports none of our other modules."""
    code = (
        "import sys, pytest; before = set(sys.modules); import emby_plugins.pytest_plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "['emby_plugins', 'emby_plugins.pytest_plugin', 'lazy_loader']"


def test_the_fixture_reaches_every_host(emby_mock, tmp_path, monkeypatch):
    """The fixture's backend answers the core, LangChain and llm, in threads and event loops."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    import llm

    from langchain_emby import ChatEmby
    from llm_emby._models import EmbyModel, all_models

    async def alone():
        async with AsyncEmby() as emby:
            return (await emby.chat("a")).text

    for _ in range(6):
        emby_mock.reply("scripted")
    result = []
    thread = threading.Thread(target=lambda: result.append(Emby().chat("a").text))
    thread.start()
    thread.join()
    result.append(Emby().chat("a").text)
    result.append(Emby(base_url=emby_mock.base_url).chat("a").text)
    result.append(asyncio.run(alone()))
    result.append(ChatEmby(model="any-model").invoke("a").text)
    model = next(model for model, _, _ in all_models() if model.model_id == "emby/qwen2.5-vision")
    assert isinstance(model, EmbyModel)
    assert isinstance(model, llm.KeyModel)
    result.append(model.prompt("a", stream=False).text())
    assert result == ["scripted"] * 6
    assert len(emby_mock.requests) == 6


@pytest.mark.parametrize("turn", [1, 2])
def test_tests_do_not_share_a_backend(emby_mock, turn):
    """Each test gets a new backend."""
    assert emby_mock.requests == []
    assert "This is emby-mock" in Emby().chat("a").text
    emby_mock.reply("left over")


def test_without_the_fixture():
    """Without the fixture, `mock:` and the environment are unchanged."""
    assert "EMBY_BASE_URL" not in os.environ
    assert "This is emby-mock" in Emby(base_url="mock:").chat("a").text


def test_the_fixture_blocks_the_network(emby_mock):
    """The fixture blocks other hosts with an error, but not this machine."""
    with pytest.raises(BlockedNetworkError, match=r"call https://emby\.invalid/v1/chat"):
        Emby(**ELSEWHERE).chat("a")
    with MockServer() as server, Emby(base_url=server.base_url) as emby:
        assert emby.models()


async def test_async_clients_are_blocked_too(emby_mock):
    """The fixture blocks async clients too."""
    with pytest.raises(BlockedNetworkError, match=r"call https://emby\.invalid/v1/models"):
        await AsyncEmby(**ELSEWHERE).models()


def test_clients_made_before_are_blocked_too():
    """The fixture blocks the requests of existing clients, and only while active."""
    emby = Emby(**ELSEWHERE)
    with block_network(), pytest.raises(BlockedNetworkError):
        emby.models()
    assert Call.request.__module__ == "emby_plugins._call"


def test_the_blocking_error_is_not_an_emby_error():
    """The error for blocked requests is not an EmbyError, so applications don't handle it."""
    assert not issubclass(BlockedNetworkError, EmbyError)


SWITCHED = """
    from emby_plugins import Emby

    try:
        Emby("k", "https://emby.invalid/v1", max_retries=0).models()
    except RuntimeError as error:
        blocked = str(error)

    def test_collection_is_blocked():
        assert "-o emby_block_network=false" in blocked

    def test_tests_are_blocked():
        Emby("k", "https://emby.invalid/v1", max_retries=0).models()
    """


@pytest.mark.slow
def test_the_switch(suite):
    """`emby_block_network` blocks other hosts from collection on."""
    outcome = suite(SWITCHED, "-o", "emby_block_network=true")
    outcome.assert_outcomes(passed=1, failed=1)
    outcome.stdout.fnmatch_lines(
        ["*BlockedNetworkError: The test tried to call https://emby.invalid/v1*"]
    )


def test_the_switch_is_off():
    """By default nothing is blocked."""
    assert Call.request.__module__ == "emby_plugins._call"
