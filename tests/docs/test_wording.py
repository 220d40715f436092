"""The packages, tests and tools are written in plain English, as measured by `wording.py`."""

from pathlib import Path

import pytest
from wording import GROUPS, PACKAGES, ROOT, dialect, documentation, group, overused, rates


@pytest.mark.parametrize("package", PACKAGES)
def test_visible_strings_are_plain_english(package: str) -> None:
    """No message, hint or help text contains a phrase of the old private dialect."""
    assert not [str(piece) for piece in dialect([ROOT / package])]


@pytest.mark.parametrize("name", GROUPS)
def test_docstrings_and_test_names_use_common_words(name: str) -> None:
    """No word is more than twice as frequent as in well-known projects."""
    over = overused(group(name))
    assert not {word: [str(piece) for piece in pieces] for word, pieces in over.items()}


def test_the_check_finds_overused_words_and_phrases(tmp_path: Path) -> None:
    """Docstrings, comments, plain strings and f-strings are searched; regular expressions not."""
    source = tmp_path / "module.py"
    source.write_text(
        '"""What is said stands here."""\n'
        "# It was asked whatever\n"
        'A = "This is no valid URL."\n'
        'B = f"{A} is no image at all"\n'
        'C = r"it \\\\b is no pattern"\n'
        'D = "This is not a valid URL, and it is no longer one."\n',
        encoding="utf-8",
    )
    assert [piece.line for piece in dialect([source])] == [3, 4]
    assert rates(documentation(source))[r"stands?(?!-in)"] == 10_000 / 9


def test_names_of_tests_are_measured(tmp_path: Path) -> None:
    """A word is overused if two docstrings or test names contain it, but not if one does."""
    source = tmp_path / "test_module.py"
    source.write_text('def test_nobody_is_told() -> None:\n    """Nobody."""\n', encoding="utf-8")
    over = overused([*documentation(source)])
    assert {word: [piece.line for piece in pieces] for word, pieces in over.items()} == {
        "nobody": [2, 1]
    }
