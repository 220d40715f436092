"""Generate a string that a regular expression accepts.

The pattern is parsed and never run, so a hostile one costs no time.
"""

import re

# As rstr and hypothesis do: there is no public parser.
from re import _compiler, _parser  # type: ignore[attr-defined]
from typing import Any

_MAX_LENGTH = 256
_CANDIDATES = "aA0-_ .:/@#xyz"


def example_of(pattern: str, least: int = 0) -> str | None:
    """A short string that `pattern` accepts, of `least` characters if it can be that long.

    None for look-around, back references and errors.
    """
    try:
        tokens = _parser.parse(pattern[:_MAX_LENGTH])
        text = _example(tokens, 1)
        return text if len(text) >= least else _example(tokens, least)
    except (re.error, ValueError, OverflowError, RecursionError, StopIteration):
        return None


def _example(tokens: Any, times: int) -> str:
    """An example in which everything that may repeat does so `times`."""
    text = ""
    for kind, value in tokens:
        match str(kind):
            case "LITERAL":
                text += chr(value)
            case "ANY" | "NOT_LITERAL" | "IN":
                text += _character(kind, value)
            case "BRANCH":
                text += _example(value[1][0], times)
            case "SUBPATTERN":
                text += _example(value[-1], times)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = value
                once = _example(inner, times)
                # One of an optional thing reads better than none.
                count = max(least, min(most, times)) if most > 1 else least
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


def _character(kind: object, value: Any) -> str:
    """A character that one token accepts: a usual one, or else one that the token names."""
    one: re.Pattern[str] = _compiler.compile(_parser.SubPattern(_parser.State(), [(kind, value)]))
    members = [member for _, member in value] if isinstance(value, list) else []
    named = (m[0] if isinstance(m, tuple) else m for m in members)
    characters: list[str] = [*_CANDIDATES, *(chr(c) for c in named if type(c) is int)]
    return next(c for c in characters if one.match(c))
