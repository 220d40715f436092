"""Text from outside made safe to print: the one table of characters that are never shown.

A terminal obeys escape sequences, and bidi characters turn the reading direction. What only
informs (messages of errors, ids, names of models) is cleaned when it enters, with `clean_text`.
The content of a reply is kept as received, and cleaned for display, with `clean_lines`.
"""

import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# The joiners are invisible, but emoji and several scripts are written with them.
_KEPT_IN_LINES = frozenset("\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")


def clean_text(text: str, most: int | None = None) -> str:
    """Return one printable line of at most `most` characters, an ellipsis not counted.

    White space becomes a space, and every other unprintable character U+FFFD, so that no two
    different ids become the same.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _REPLACEMENT for c in " ".join(text.split()))
    return text if most is None or len(text) <= most else f"{text[:most]}..."


def clean_lines(text: str) -> str:
    """Return text that keeps its lines, tabs and spaces, with U+FFFD for the unprintable."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return "".join(c if _is_shown(c) else _REPLACEMENT for c in text)


def _is_shown(character: str) -> bool:
    return (
        character.isprintable()
        or character in _KEPT_IN_LINES
        or unicodedata.category(character) == "Zs"
    )
