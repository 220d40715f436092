"""Saving and loading the list of models."""

from pathlib import Path

import pytest

from emby_plugins import (
    DOCUMENTED_MODELS,
    MOCK_MODELS,
    ConfigurationError,
    ModelCard,
    load_cards,
    save_cards,
)

FULL = ModelCard(
    id="m",
    name="M",
    family="f",
    description="Grüße",
    aliases=("a", "b"),
    vision=True,
    text_output=False,
    image_output=True,
    tools=False,
    reasoning=True,
    structured_output=None,
    context_length=8_192,
    max_output=9,
    pricing={"prompt": "3e-7"},
    created=1730000000,
    deprecated_at="2027-01-01",
    deactivated_at="2028-01-01",
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Saved cards are loaded with every field, and saving again replaces them."""
    path = tmp_path / "deep" / "models.json"
    cards = [FULL, ModelCard("plain"), *DOCUMENTED_MODELS, *MOCK_MODELS]
    save_cards(path, cards)
    assert load_cards(path) == cards
    save_cards(path, [])
    assert load_cards(path) == []
    assert [file.name for file in path.parent.iterdir()] == ["models.json"]


def test_a_failed_write_keeps_the_old_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If writing fails, the old list is kept and no temporary file remains."""

    def full(*_: object) -> None:
        raise OSError("disk full")

    path = tmp_path / "models.json"
    save_cards(path, [FULL])
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        save_cards(path, [])
    assert load_cards(path) == [FULL]
    assert [file.name for file in tmp_path.iterdir()] == ["models.json"]


BROKEN = {
    "empty": "",
    "text": "hello",
    "a-list": "[]",
    "no-models": "{}",
    "no-list": '{"models": 5}',
    "no-cards": '{"models": [5]}',
    "no-id": '{"models": [{"name": "x"}]}',
    "odd-id": '{"models": [{"id": 5}]}',
    "odd-aliases": '{"models": [{"id": "m", "aliases": null}]}',
    "deep": '{"models":' + "[" * 100_000,
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_malformed_file_is_a_typed_error(text: str, tmp_path: Path) -> None:
    """A file that is not a list of models raises a ConfigurationError with its path."""
    path = tmp_path / "models.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"models\.json' can't be read"):
        load_cards(path)


def test_an_unknown_field_is_ignored(tmp_path: Path) -> None:
    """Unknown fields, as a newer version may write them, are ignored."""
    path = tmp_path / "models.json"
    path.write_text('{"models": [{"id": "m", "smell": true}], "version": 9}')
    assert load_cards(path) == [ModelCard("m")]


def test_malformed_values_of_a_file_are_cleaned(tmp_path: Path) -> None:
    """A capability that is not a boolean becomes unknown, and control characters are replaced."""
    path = tmp_path / "models.json"
    path.write_text('{"models": [{"id": "a\\u001b[2J", "vision": "no", "tools": false}]}')
    (card,) = load_cards(path)
    assert card == ModelCard("a\ufffd[2J", tools=False)


def test_a_missing_file_raises(tmp_path: Path) -> None:
    """Loading raises FileNotFoundError if no list was saved."""
    with pytest.raises(FileNotFoundError):
        load_cards(tmp_path / "models.json")
