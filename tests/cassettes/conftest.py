"""Replay cassettes, or re-record them when run by `record_cassettes.py`."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cassette_help import CASSETTES, USED, Gateway, Recording, Scrubber
from pytest_recording.plugin import get_default_cassette_name
from support import ChatCaller

_MODE = re.compile(r"\b(?:sync|async)(?:-stream)?-?|-(?:sync|async)(?:-stream)?\b")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note the cassettes that the tests use, before any are deselected."""
    named: dict[str, set[str]] = {}
    for item in items:
        name = get_default_cassette_name(getattr(item, "cls", None), item.name)
        used = named.setdefault(item.path.stem, set())
        if item.get_closest_marker("vcr"):
            is_ours = item.path.parent == Path(__file__).parent
            used.add(f"{item.path.stem}/{_shared(name) if is_ours else name}.yaml")
    config.stash[USED] = named


@pytest.fixture(params=["sync", "async"])
def call_chat(request: pytest.FixtureRequest) -> ChatCaller:
    """Makes a chat call, not streamed."""
    return ChatCaller(request.param)


@pytest.fixture(params=["sync-stream", "async-stream"])
def call_stream(request: pytest.FixtureRequest) -> ChatCaller:
    """Makes a streamed chat call."""
    return ChatCaller(request.param)


@pytest.fixture
def default_cassette_name(request: pytest.FixtureRequest) -> str:
    """The name of the test; sync and async send the same requests, and share it."""
    return _shared(request.node.name)


@pytest.fixture(scope="session")
def recording(record_mode: str) -> Recording | None:
    """The recording in progress, or None when replaying."""
    return None if record_mode == "none" else Recording.of(os.environ)


@pytest.fixture(scope="module")
def vcr_cassette_dir(request: pytest.FixtureRequest, recording: Recording | None) -> str:
    """The folder of the test module."""
    folder = CASSETTES if recording is None else recording.folder
    return str(Path(folder, request.path.stem))


@pytest.fixture(scope="session")
def vcr_config(recording: Recording | None) -> dict[str, Any]:
    """The fields to match and to keep."""
    if recording is None:
        return Scrubber().config
    return Scrubber(recording.key, keeps_host=bool(recording.base_url)).config


@pytest.fixture(autouse=True)
def _all_is_played(vcr: Any, recording: Recording | None) -> Iterator[None]:
    yield
    if vcr is not None and recording is None:
        assert vcr.all_played, "The test did not ask for all that its cassette holds."


@pytest.fixture
def gateway(vcr: Any, recording: Recording | None) -> Iterator[Gateway]:
    """The server that is called."""
    with ExitStack() as servers:
        yield Gateway(recording, servers)


def _shared(name: str) -> str:
    return _MODE.sub("", name).replace("[]", "")
