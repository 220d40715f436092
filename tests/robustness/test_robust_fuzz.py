"""The fuzz targets, driven by hypothesis, and what fuzzing once found, replayed."""

import pytest
from hypothesis import given, settings, strategies as st

from stress import EVERYTHING
from stress.fuzz import CORPUS, TARGETS, replay
from stress.seeds import WORDS, seeds

EXAMPLES = 800 if EVERYTHING else 25


def test_what_was_once_found_stays_mended() -> None:
    """Every file of the corpus passes; and there are some."""
    assert replay() > 0
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_what_really_comes_is_taken(name: str) -> None:
    """What fuzzing begins with passes every target: the targets are about something."""
    for seed in seeds(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_is_taken_or_a_typed_error(name: str) -> None:
    """Pieces of real replies, spliced with words of the contract and with noise."""
    real = seeds(name)
    piece = (
        st.sampled_from(WORDS)
        | st.binary(max_size=12)
        | st.builds(
            lambda seed, start, size: seed[start : start + size],
            st.sampled_from(real),
            st.integers(0, 2_000),
            st.integers(0, 400),
        )
    )

    @settings(max_examples=EXAMPLES)
    @given(st.lists(piece, max_size=12).map(b"".join))
    def run(data: bytes) -> None:
        TARGETS[name](data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_damage_to_what_really_comes(name: str) -> None:
    """A byte changed, or the end cut off, anywhere in a real reply, error, list or image."""

    @settings(max_examples=EXAMPLES)
    @given(st.sampled_from(seeds(name)), st.integers(0, 4_000), st.integers(0, 255), st.booleans())
    def run(seed: bytes, at: int, byte: int, cut: bool) -> None:
        at %= max(1, len(seed))
        TARGETS[name](seed[:at] if cut else seed[:at] + bytes([byte]) + seed[at + 1 :])

    run()
