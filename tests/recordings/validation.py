"""Validate a value with a JSON schema, limited to the keywords of the recorded request schemas.

A library would be used for these 20 keywords only.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
}
_ANNOTATIONS = {"$schema", "$defs", "title", "description"}


class Violation(NamedTuple):
    """The path of an invalid value, such as `messages.0.content`, the reason, and the value."""

    path: str
    reason: str
    value: Any = None


def violations(value: Any, schema: dict[str, Any]) -> list[Violation]:
    """Return the violations of a value; for an `anyOf`, those of the closest form."""
    return list(_check(value, schema, schema, ()))


def _check(
    value: Any, schema: dict[str, Any], root: Any, path: tuple[Any, ...]
) -> Iterator[Violation]:
    for keyword, rule in schema.items():
        if keyword in _ANNOTATIONS:
            continue
        if keyword == "$ref":
            name = rule.removeprefix("#/$defs/")
            yield from _check(value, root["$defs"][name], root, path)
        elif keyword == "anyOf":
            yield from _closest(value, rule, root, path)
        elif keyword == "properties":
            for name, inner in rule.items() if isinstance(value, dict) else ():
                if name in value:
                    yield from _check(value[name], inner, root, (*path, name))
        elif keyword == "items":
            for index, item in enumerate(value if isinstance(value, list) else ()):
                yield from _check(item, rule, root, (*path, index))
        elif keyword == "required":
            for name in rule if isinstance(value, dict) else ():
                if name not in value:
                    yield Violation(".".join(map(str, (*path, name))), "required")
        elif not _holds(keyword, rule, value):
            yield Violation(".".join(map(str, path)), f"{keyword} {rule}", value)


def _holds(keyword: str, rule: Any, value: Any) -> bool:
    if keyword == "type":
        return any(_KINDS[kind](value) for kind in ([rule] if isinstance(rule, str) else rule))
    if keyword == "enum":
        return value in rule
    if keyword == "const":
        return bool(value == rule)
    if keyword in _BOUNDS:
        return not _is_number(value) or _BOUNDS[keyword](value, rule)
    if keyword == "minLength":
        return not isinstance(value, str) or len(value) >= rule
    if keyword == "pattern":
        return not isinstance(value, str) or re.search(rule, value) is not None
    raise NotImplementedError(f"The schema has {keyword}, which is not checked yet.")


def _closest(value: Any, forms: list[Any], root: Any, path: tuple[Any, ...]) -> list[Violation]:
    tried = [list(_check(value, form, root, path)) for form in forms]
    # The form that accepted most of the value is the intended one.
    closest = min(tried, key=lambda found: (bool(found), -max(map(_depth, found), default=0)))
    # A wrong tag is the reason, and missing fields of the other form are not.
    return [found for found in closest if found.reason.startswith("const")] or closest


def _depth(violation: Violation) -> int:
    return violation.path.count(".")
