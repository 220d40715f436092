"""The fault matrix: every row of the table, three hosts, sync and async, streamed and not."""

import gc
import logging
import pickle
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import llm
import pytest
from langchain_core.exceptions import ModelError

from emby_plugins import EmbyError, Image, InvalidImageError
from emby_plugins.mock import MockServer
from stress import EVERYTHING
from stress.keys import KEY, revealed
from stress.rows import SECTIONS, Row
from stress.ways import WAYS, Outcome, Way, answering, call

ROWS = list(chain.from_iterable(SECTIONS.values()))


def cases() -> Iterator[Any]:
    """Yield every row with every way, or with a sample of the ways."""
    for number, row in enumerate(ROWS):
        for at, way in enumerate(WAYS):
            turn = at == number * 5 % len(WAYS)
            if EVERYTHING or turn:
                for over in row.over if EVERYTHING else row.over[-1:]:
                    yield pytest.param(row, way, over, id=f"{row.name}-{over}-{way}")


@pytest.mark.parametrize(("row", "way", "over"), [*cases()])
def test_every_fault_in_every_way(
    row: Row, way: Way, over: str, server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Every fault gives the expected reply or error with the partial reply, and never shows the
    key.
    """
    caplog.set_level(logging.DEBUG)
    with answering(row, over, server) as on, bounded(row.megabytes):
        began = time.monotonic()
        outcome = call(way, on)
        took = time.monotonic() - began
    assert not EVERYTHING or took < row.seconds
    expected = row.expected(streamed=way.streamed)
    if expected is None:
        is_whole(outcome, row)
    else:
        is_named(outcome, expected, way)
        has_arrived(outcome, row, way)
    hides_the_key(outcome, caplog.text, row)


@contextmanager
def bounded(megabytes: int | None) -> Iterator[None]:
    """Fail if Python's memory grows by more than this at its peak."""
    if megabytes is None:
        yield
        return
    gc.collect()
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1024 * 1024


def is_whole(outcome: Outcome, row: Row) -> None:
    """Check that the reply is complete, and that invalid images are refused when opened."""
    assert outcome.error is None, repr(outcome.error)
    assert "image" in outcome.text
    wanted = 5 if "images=5" in row.name else 0 if "images=0" in row.name else 1
    assert len(outcome.images) == wanted
    for image in outcome.images:
        if "image=" not in row.name:
            assert image.to_pil().size == image.size
        else:
            with pytest.raises(InvalidImageError):
                image.to_pil()


def is_named(outcome: Outcome, expected: type[EmbyError], way: Way) -> None:
    """Check that the error is the expected one in our tree and in the host's."""
    assert isinstance(outcome.cause, expected), repr(outcome.cause)
    if way.host == "llm":
        assert isinstance(outcome.error, llm.ModelError)
    else:
        assert isinstance(outcome.error, expected)
        assert way.host == "core" or isinstance(outcome.error, ModelError)
    assert str(outcome.error).strip()
    assert str(outcome.error).isprintable()


def has_arrived(outcome: Outcome, row: Row, way: Way) -> None:
    """Check that the error has the text and the images that a stream sent before it."""
    if not way.streamed:
        return
    assert ("text" in row.arrived) == bool(outcome.partial_text)
    assert ("image" in row.arrived) == bool(outcome.partial_images)
    assert all(isinstance(image, Image) and image.size for image in outcome.partial_images)


def hides_the_key(outcome: Outcome, log: str, row: Row) -> None:
    """Check that the key is in no text, repr, traceback, pickle, log or database."""
    shown = ["" if row.echoes else log, outcome.logged, *map(repr, outcome.values)]
    if outcome.error is not None:
        shown.append(revealed(outcome.error, variables=not row.echoes))
    assert not any(KEY in text for text in shown)
    assert KEY.encode() not in pickle.dumps([s for s in outcome.values if not isinstance(s, str)])
