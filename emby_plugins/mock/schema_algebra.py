"""Combine JSON schemas, and read their keywords, of which any may be malformed."""

import math
from collections.abc import Iterator, Mapping

from emby_plugins.mock.schema_validation import JsonObject

_LARGEST = 1e300
_TRIES = 52
_UNITED = ("properties", "patternProperties", "$defs", "definitions", "dependentRequired")


def merge(first: JsonObject, second: JsonObject) -> JsonObject:
    """Both schemas at once: properties, requirements and bounds united, else the second wins."""
    merged: dict[str, object] = {**first, **second}
    for key in _UNITED:
        a, b = first.get(key), second.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            merged[key] = {**a, **b}
            for name in a.keys() & b.keys() if key == "properties" else ():
                if isinstance(a[name], Mapping) and isinstance(b[name], Mapping):
                    merged[key][name] = {"allOf": [a[name], b[name]]}  # type: ignore[index]
    for key in first.keys() & second.keys():
        if key.startswith(("min", "exclusiveMin")):
            merged[key] = max(bound(first, key, 0), bound(second, key, 0))
        elif key.startswith(("max", "exclusiveMax")):
            merged[key] = min(bound(first, key, math.inf), bound(second, key, math.inf))
    required = [*list_of(first, "required"), *list_of(second, "required")]
    return merged | ({"required": required} if required else {})


def without(schema: JsonObject, *keys: str) -> JsonObject:
    """The schema without some of its keywords."""
    return {name: value for name, value in schema.items() if name not in keys}


def kind_of(schema: object) -> object:
    """The type that a schema states."""
    return schema.get("type") if isinstance(schema, Mapping) else None


def list_of(schema: object, key: str) -> list[object]:
    """A keyword's list; empty without one."""
    value = schema.get(key) if isinstance(schema, Mapping) else None
    return value if isinstance(value, list) else []


def bound(schema: JsonObject, key: str, default: float) -> float:
    """A keyword's number; a huge one does not count."""
    value = schema.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default if default < math.inf or not key.startswith("max") else _LARGEST
    return value if abs(value) < _LARGEST else default


def names_of(schema: JsonObject) -> Iterator[object]:
    """What tells an option from others: its title, its constants."""
    yield schema.get("title")
    properties = schema.get("properties")
    for inner in (schema, *(properties.values() if isinstance(properties, Mapping) else ())):
        if isinstance(inner, Mapping):
            yield inner.get("const")


def unlike(values: list[object], value: object, schema: object) -> object:
    """`value`, changed until it is not among `values`."""
    enum = list_of(schema, "enum")
    if enum:
        return next((option for option in enum if option not in values), value)
    changed = value
    for number in range(2, _TRIES):
        if changed not in values:
            break
        if isinstance(value, str):
            changed = f"{value} {number}"
        elif isinstance(value, int | float):
            changed = value + number - 1
    return changed
