"""Combine JSON schemas, and read their keywords, of which any may be malformed."""

from collections.abc import Iterator, Mapping
from typing import Any

from emby_plugins.mock.schema_validation import Schema

_LARGEST = 1e300
_TRIES = 52
_NUMBERS = ("min", "max", "exclusiveM", "multipleOf")
_UNITED = ("properties", "patternProperties", "$defs", "definitions", "dependentRequired")
_SHAPES: dict[str, type] = {
    **dict.fromkeys((*_UNITED, "not", "contains", "propertyNames"), Mapping),
    **dict.fromkeys(("enum", "required", "anyOf", "oneOf", "allOf", "prefixItems"), list),
    **dict.fromkeys(("$ref", "pattern"), str),
}


def usable(schema: object) -> Schema:
    """The keywords of a schema that have a usable value; a huge number is none."""
    keywords = schema.items() if isinstance(schema, Mapping) else ()
    return {key: value for key, value in keywords if _is_usable(key, value)}


def _is_usable(key: str, value: object) -> bool:
    if key.startswith(_NUMBERS):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) < _LARGEST  # type: ignore[arg-type]
    return isinstance(value, _SHAPES.get(key, object))


def merge(first: object, second: object) -> Schema:
    """Both schemas at once: properties, requirements and bounds united, else the second wins."""
    a, b = usable(first), usable(second)
    merged = {**a, **b}
    for key in a.keys() & b.keys():
        if key in _UNITED:
            merged[key] = {**a[key], **b[key]}
        elif key == "required":
            merged[key] = [*a[key], *b[key]]
        elif key.startswith(("min", "exclusiveMin")):
            merged[key] = max(a[key], b[key])
        elif key.startswith(("max", "exclusiveMax")):
            merged[key] = min(a[key], b[key])
    properties = merged.get("properties", {})
    for name in a.get("properties", {}).keys() & b.get("properties", {}).keys():
        both = [a["properties"][name], b["properties"][name]]
        if all(isinstance(inner, Mapping) for inner in both):
            properties[name] = {"allOf": both}
    return merged


def without(schema: Schema, *keys: str) -> Schema:
    """The schema without some of its keywords."""
    return {name: value for name, value in schema.items() if name not in keys}


def names_of(schema: Schema) -> Iterator[object]:
    """The distinguishing parts of an option: its title, its constants."""
    yield schema.get("title")
    for inner in (schema, *schema.get("properties", {}).values()):
        if isinstance(inner, Mapping):
            yield inner.get("const")


def unlike(values: list[Any], value: Any, schema: object) -> Any:
    """`value`, changed until not among `values`."""
    options = usable(schema).get("enum")
    if options:
        return next((option for option in options if option not in values), value)
    changed = value
    for number in range(2, _TRIES):
        if changed not in values:
            break
        if isinstance(value, str):
            changed = f"{value} {number}"
        elif isinstance(value, int | float):
            changed = value + number - 1
    return changed
