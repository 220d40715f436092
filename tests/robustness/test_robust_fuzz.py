"""The fuzz targets with hypothesis, and the corpus of inputs that once failed."""

import pytest
from hypothesis import given, settings, strategies as st

from stress import EVERYTHING
from stress.fuzz import CORPUS, TARGETS, replay
from stress.seeds import WORDS, seeds

EXAMPLES = 800 if EVERYTHING else 25


def test_the_corpus_is_handled() -> None:
    """Every input in the corpus, each once a bug, is handled."""
    assert replay() > 0
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_real_inputs_are_handled(name: str) -> None:
    """Every real input that fuzzing starts from passes its target."""
    for seed in seeds(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_mixed_inputs_are_handled(name: str) -> None:
    """Pieces of real inputs mixed with words of the contract and noise are handled."""
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
def test_damaged_inputs_are_handled(name: str) -> None:
    """Real inputs with a changed byte or a missing end are handled."""

    @settings(max_examples=EXAMPLES)
    @given(st.sampled_from(seeds(name)), st.integers(0, 4_000), st.integers(0, 255), st.booleans())
    def run(seed: bytes, at: int, byte: int, cut: bool) -> None:
        at %= max(1, len(seed))
        TARGETS[name](seed[:at] if cut else seed[:at] + bytes([byte]) + seed[at + 1 :])

    run()
