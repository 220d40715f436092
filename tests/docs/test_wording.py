"""The packages are written in plain English, as measured by `wording.py`."""

from pathlib import Path

import pytest
from wording import LIMITS, OTHERS, PACKAGES, ROOT, dialect, documentation, python_files, rates


@pytest.mark.parametrize("package", PACKAGES)
def test_visible_strings_are_plain_english(package: str) -> None:
    """No message, hint or help text contains a phrase of the old private dialect."""
    assert not [str(piece) for piece in dialect([ROOT / package])]


@pytest.mark.parametrize("folders", [PACKAGES, OTHERS], ids=["packages", "others"])
def test_docstrings_use_common_words(folders: tuple[str, ...]) -> None:
    """Docstrings and comments overuse no word more than twice as much as well-known projects."""
    files = python_files(ROOT / folder for folder in folders)
    measured = rates(piece for path in files for piece in documentation(path))
    assert not {word: rate for word, rate in measured.items() if rate > LIMITS[word]}


def test_the_check_finds_what_it_is_for(tmp_path: Path) -> None:
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
