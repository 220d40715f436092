"""Generate a string that a regular expression accepts.

The pattern is parsed and never run, so a hostile one costs no time.
"""

import re
from re import _parser  # type: ignore[attr-defined]  # as rstr and hypothesis do: no public parser
from typing import Any

_MAX_LENGTH = 256
_CANDIDATES = "aA0-_ .:/@#xyz"
_CLASSES = {"DIGIT": "0", "WORD": "a", "SPACE": " ", "NOT_DIGIT": "a", "NOT_WORD": "-",
            "NOT_SPACE": "a"}  # fmt: skip
_TESTS = {"DIGIT": str.isdigit, "WORD": lambda c: c.isalnum() or c == "_", "SPACE": str.isspace}


def example_of(pattern: str) -> str | None:
    """A short string that `pattern` accepts; None for look-around, back references and errors."""
    try:
        return _example(_parser.parse(pattern[:_MAX_LENGTH]))
    except (re.error, ValueError, OverflowError, RecursionError, StopIteration):
        return None


def _example(tokens: object) -> str:
    text = ""
    for kind, value in tokens:  # type: ignore[attr-defined]
        match str(kind):
            case "LITERAL":
                text += chr(value)
            case "ANY":
                text += "a"
            case "NOT_LITERAL":
                text += _outside([("LITERAL", value)])
            case "IN":
                text += _outside(value[1:]) if str(value[0][0]) == "NEGATE" else _member(*value[0])
            case "BRANCH":
                text += _example(value[1][0])
            case "SUBPATTERN":
                text += _example(value[-1])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = value
                once = _example(inner)
                # One of an optional thing reads better than none.
                count = least or int(most > 1)
                if count * len(once) > _MAX_LENGTH:
                    raise ValueError("the example would be too long")
                text += once * count if once else ""
            case "AT":
                pass
            case _:
                raise ValueError(f"{kind} is not supported")
        if len(text) > _MAX_LENGTH:
            raise ValueError("the example would be too long")
    return text


def _member(kind: object, value: Any) -> str:
    """A character of one item of a set."""
    if str(kind) == "CATEGORY":
        return _CLASSES[str(value).removeprefix("CATEGORY_")]
    return chr(value[0] if isinstance(value, tuple) else value)


def _outside(members: list[tuple[object, object]]) -> str:
    """A character that is in none of the items of a set."""
    return next(c for c in _CANDIDATES if not any(_matches(c, *member) for member in members))


def _matches(char: str, kind: object, value: object) -> bool:
    if isinstance(value, tuple):
        return value[0] <= ord(char) <= value[1]  # type: ignore[no-any-return]
    if str(kind) == "LITERAL":
        return ord(char) == value
    name = str(value).removeprefix("CATEGORY_")
    return _TESTS[name.removeprefix("NOT_")](char) is not name.startswith("NOT_")
