"""A gateway's list of models becomes cards with capabilities that are present, absent or
unknown.
"""

import json
from typing import Any

import pytest
from recordings.recordings import STATES, recording

from emby_plugins import DOCUMENTED_MODELS, ModelCard, find_model, known_models
from emby_plugins._protocol.models import parse_models

ABILITIES = ("vision", "text_output", "image_output", "tools", "reasoning", "structured_output")

RECORDED: dict[str, dict[str, tuple[bool | None, ...]]] = {
    "2025-11": {
        "custom": (True, True, False, True, False, None),
        "auto": (True, True, False, True, False, None),
        "gpt-4o-mini": (False, True, False, True, False, None),
    },
    "2025-12": {
        "custom": (True, True, False, True, False, False),
        "auto": (True, True, False, True, False, False),
        "gpt-4o-mini": (False, True, False, True, False, True),
    },
    "2026-08": {
        "custom": (True, True, False, True, False, False),
        "auto": (True, True, False, True, False, False),
        "gpt-4o-mini": (True, True, False, True, False, True),
    },
}
SIZES = {
    "2025-11": (128_000, None),
    "2025-12": (128_000, None),
    "2026-08": (128_000, 16_384),
}


def parsed(*entries: object) -> list[ModelCard]:
    """Return the cards of a list with these entries."""
    return parse_models(json.dumps({"data": entries}).encode())


def abilities(card: ModelCard) -> tuple[bool | None, ...]:
    """Return a card's capabilities, in the order of `ABILITIES`."""
    return tuple(getattr(card, name) for name in ABILITIES)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "case", ["models", "models-exclude-deprecated", "models-include-deactivated", "models-bad-key"]
)
def test_recorded_lists(state: str, case: str) -> None:
    """The capabilities of each recorded model are read, or unknown if the list omits them."""
    cards = {card.id: card for card in parse_models(recording(state, case).content)}
    assert {name: abilities(card) for name, card in cards.items()} == RECORDED[state]
    sizes = cards["gpt-4o-mini"].context_length, cards["gpt-4o-mini"].max_output
    assert sizes == SIZES[state]
    assert cards["auto"].context_length is None
    assert float(cards["gpt-4o-mini"].pricing["prompt"]) == pytest.approx(1.5e-7)
    assert all(card.is_chat_model for card in cards.values())


YES, NO = {"vision": True}, {"vision": False}
TOOLS = {"supported_parameters": ["temperature", "tools"]}


@pytest.mark.parametrize(
    ("entry", "ability", "answer"),
    [
        ({}, "vision", None),
        (NO, "vision", False),
        ({**NO, "providers": [YES]}, "vision", True),
        ({"providers": [NO, YES]}, "vision", True),
        ({"providers": [NO, NO]}, "vision", False),
        ({"providers": [NO, {}]}, "vision", None),
        ({"providers": []}, "vision", None),
        ({"architecture": {"input_modalities": ["text"]}}, "vision", False),
        ({"architecture": {"input_modalities": ["text", "image"]}}, "vision", True),
        ({"architecture": {"input_modalities": []}}, "vision", None),
        ({"vision": "yes"}, "vision", None),
        ({"architecture": {"output_modalities": ["image"]}}, "text_output", False),
        ({"architecture": {"output_modalities": ["image"]}}, "image_output", True),
        (TOOLS, "tools", True),
        ({"supported_parameters": ["temperature"]}, "tools", None),
        ({**TOOLS, "providers": [{"tools": False}]}, "tools", False),
        ({"supported_parameters": [], "providers": [{"tools": True}]}, "tools", True),
        ({"supported_parameters": ["reasoning"]}, "reasoning", True),
        ({"supported_parameters": ["structured_outputs"]}, "structured_output", True),
        ({"json_output": True}, "structured_output", None),
    ],
)
def test_capabilities_are_true_false_or_unknown(
    entry: dict[str, Any], ability: str, answer: bool | None
) -> None:
    """A capability is true if one provider has it, and unknown if not listed.

    Gateways list the parameter `tools` for models without tools.
    """
    (card,) = parsed({"id": "m", **entry})
    assert getattr(card, ability) is answer


@pytest.mark.parametrize(
    ("outputs", "answers"),
    [
        (["text"], True),
        (["image"], True),
        (["text", "audio"], True),
        (None, True),
        ([], True),
        (["embedding"], False),
        (["audio"], False),
        (["video"], False),
    ],
)
def test_is_chat_model(outputs: list[str] | None, answers: bool) -> None:
    """A model with neither text nor image output is not a chat model."""
    (card,) = parsed({"id": "m", "architecture": {"output_modalities": outputs}})
    assert card.is_chat_model is answers


HOSTILE = "\x1b]0;gone\x07\x9b2J\u202egpt\u2066\u200b\n\tx\x00"


def test_texts_of_a_list_are_printable() -> None:
    """Control, escape and bidi characters are removed from all texts of a card."""
    names = ("id", "name", "family", "description", "deprecated_at", "deactivated_at")
    (card,) = parsed({**dict.fromkeys(names, HOSTILE), "aliases": [HOSTILE]})
    for text in (*(getattr(card, name) for name in names), *card.aliases):
        assert text.isprintable()
        assert "gpt" in text


def test_a_hidden_character_changes_the_id() -> None:
    """A model id with an invisible character differs from the id without it."""
    genuine, other = parsed({"id": "gpt-4o"}, {"id": "gpt-4o\u200b"})
    assert genuine.id != other.id
    assert parsed({"id": "modèle 4 → 5"})[0].id == "modèle 4 → 5"


def test_a_sparse_list_keeps_the_catalog() -> None:
    """A sparse list does not override the built-in catalog, but an explicit false does."""
    poor, denied, new = known_models(
        parsed({"id": "emby/qwen2.5-vl"}, {"id": "glm-vision", "vision": False}, {"id": "new"})
    )
    assert abilities(poor) == abilities(DOCUMENTED_MODELS[1])
    assert denied.vision is False
    assert denied.tools is True
    assert new == ModelCard("new")
    assert known_models() == list(DOCUMENTED_MODELS)


def test_a_model_listed_twice_is_one() -> None:
    """A model listed with and without Emby's prefix is one model, and the later entry is used."""
    (card,) = known_models(parsed({"id": "m", "vision": True}, {"id": "emby/m", "vision": False}))
    assert card.vision is False


def test_cards_are_found_by_every_name() -> None:
    """Cards are found by id, alias or prefixed id, and an id takes precedence over an alias."""
    one, two = ModelCard("one", aliases=("uno", "two")), ModelCard("two")
    assert find_model("emby/one", [one, two]) is one
    assert find_model("uno", [one, two]) is one
    assert find_model("two", [one, two]) is two
    assert find_model("three", [one, two]) is None
