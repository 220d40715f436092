"""The list of models on disk."""

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
    """Every field of every card, in a folder that is made; and the next list replaces it."""
    path = tmp_path / "deep" / "models.json"
    cards = [FULL, ModelCard("plain"), *DOCUMENTED_MODELS, *MOCK_MODELS]
    save_cards(path, cards)
    assert load_cards(path) == cards
    save_cards(path, [])
    assert load_cards(path) == []
    assert [file.name for file in path.parent.iterdir()] == ["models.json"]


def test_a_list_that_can_not_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no draft beside it."""

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
def test_a_file_that_is_no_list_is_a_typed_error(text: str, tmp_path: Path) -> None:
    """Half a file, or another program's: the error says which file, and the way out."""
    path = tmp_path / "models.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"models\.json' can't be read"):
        load_cards(path)


def test_a_field_of_tomorrow_is_left_out(tmp_path: Path) -> None:
    """A newer version may have written the file."""
    path = tmp_path / "models.json"
    path.write_text('{"models": [{"id": "m", "smell": true}], "version": 9}')
    assert load_cards(path) == [ModelCard("m")]


def test_odd_and_hostile_values_of_a_file(tmp_path: Path) -> None:
    """An ability that is not a boolean is unknown, and texts are cleaned as those of a list."""
    path = tmp_path / "models.json"
    path.write_text('{"models": [{"id": "a\\u001b[2J", "vision": "no", "tools": false}]}')
    (card,) = load_cards(path)
    assert card == ModelCard("a\ufffd[2J", tools=False)


def test_no_file_is_no_list(tmp_path: Path) -> None:
    """Whoever asks knows that none was saved yet."""
    with pytest.raises(FileNotFoundError):
        load_cards(tmp_path / "models.json")
