"""Fills a JSON schema with a valid instance, from the prompt's strings and numbers where they fit.

Bounded whatever the schema: depth, number of values, lengths. Past a bound only what is required
is filled in. Schemas that nothing satisfies get the nearest thing to an instance.
"""

import math
from collections.abc import Mapping
from itertools import islice

from emby_plugins.mock.patterns import example_of
from emby_plugins.mock.validation import JsonObject
from emby_plugins.mock.words import Words

_MAX_DEPTH = 32
_GENEROUS_DEPTH = 6
_MAX_VALUES = 2_000
_MAX_ITEMS = 50
_MAX_LENGTH = 10_000
_LARGEST = 1e300
_FORMATS = {
    "date": "2026-01-31",
    "time": "12:30:00Z",
    "date-time": "2026-01-31T12:30:00Z",
    "duration": "PT5M",
    "email": "mock@example.com",
    "idn-email": "mock@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uri-reference": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "regex": "^.*$",
    "json-pointer": "/a",
    "binary": "mock",
    "byte": "bW9jaw==",
}
_MERGED = ("properties", "$defs", "definitions")


def instance(schema: JsonObject, words: Words) -> object:
    """A JSON value that `schema` accepts."""
    return _Filler(schema, words).value(schema, "", 0)


def parameters_instance(schema: JsonObject, words: Words) -> dict[str, object]:
    """Arguments of a call: an object, whatever the schema says of itself."""
    value = instance({**schema, "type": "object"}, words)
    return value if isinstance(value, dict) else {}


class _Filler:
    def __init__(self, root: JsonObject, words: Words) -> None:
        self._root = root
        self._words = words
        self._left = _MAX_VALUES

    def value(self, schema: object, key: str, depth: int) -> object:
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return None if depth > _MAX_DEPTH else self._words.next_string(key)
        merged = self._resolved(schema)
        if "const" in merged:
            return merged["const"]
        enum = merged.get("enum")
        if isinstance(enum, list) and enum:
            return next((value for value in enum if self._words.mentions(value)), enum[0])
        for keyword in ("anyOf", "oneOf"):
            options = merged.get(keyword)
            if isinstance(options, list) and options:
                rest = {name: value for name, value in merged.items() if name != keyword}
                return self.value(_merge(rest, self._option(options, depth)), key, depth + 1)
        return self._typed(merged, key, depth)

    def _option(self, options: list[object], depth: int) -> JsonObject:
        """The first option that is not null; null where the depth asks for an end."""
        schemas = [self._resolved(option) for option in options if isinstance(option, Mapping)]
        nulls = [schema for schema in schemas if schema.get("type") == "null"]
        others = [schema for schema in schemas if schema.get("type") != "null"]
        if self._generous(depth):
            choices = others or nulls
        else:
            # Leaves before branches: how a recursive schema comes to its end.
            others.sort(key=lambda schema: schema.get("type") in ("object", "array", None))
            choices = nulls or others
        return choices[0] if choices else {}

    def _generous(self, depth: int) -> bool:
        return depth < _GENEROUS_DEPTH and self._left > 0

    def _resolved(self, schema: JsonObject) -> JsonObject:
        """The schema with `$ref` followed and `allOf` merged into it."""
        for _ in range(_MAX_DEPTH):
            if isinstance(schema.get("$ref"), str):
                target = self._lookup(str(schema["$ref"]))
                rest = {name: value for name, value in schema.items() if name != "$ref"}
                schema = _merge(target, rest)
            elif isinstance(schema.get("allOf"), list):
                parts = schema["allOf"]
                schema = {name: value for name, value in schema.items() if name != "allOf"}
                for part in parts if isinstance(parts, list) else []:
                    if isinstance(part, Mapping):
                        schema = _merge(schema, self._followed(part))
            else:
                break
        return schema

    def _followed(self, schema: JsonObject) -> JsonObject:
        reference = schema.get("$ref")
        return self._lookup(reference) if isinstance(reference, str) else schema

    def _lookup(self, reference: str) -> JsonObject:
        """What `#/$defs/Name` points at; an empty schema when it points at nothing."""
        here: object = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(here, Mapping) and name:
                here = here.get(name)
            elif isinstance(here, list) and name.isdecimal() and int(name) < len(here):
                here = here[int(name)]
        return here if isinstance(here, Mapping) else {}

    def _typed(self, schema: JsonObject, key: str, depth: int) -> object:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((name for name in kind if name != "null"), "null")
        if kind == "object" or (kind is None and "properties" in schema):
            return self._object(schema, depth)
        if kind == "array" or (kind is None and "items" in schema):
            return self._array(schema, key, depth)
        if kind in ("integer", "number"):
            return self._number(schema, whole=kind == "integer")
        if kind == "boolean":
            return True
        return None if kind == "null" else self._string(schema, key)

    def _object(self, schema: JsonObject, depth: int) -> dict[str, object]:
        properties = schema.get("properties")
        required = schema.get("required")
        names = (
            [name for name in required if isinstance(name, str)]
            if isinstance(required, list)
            else []
        )
        known = properties if isinstance(properties, Mapping) else {}
        filled: dict[str, object] = {}
        for name, inner in known.items():
            if name in names or self._generous(depth):
                filled[str(name)] = self.value(inner, str(name), depth + 1)
        extra = schema.get("additionalProperties")
        extra_schema = extra if isinstance(extra, Mapping) else {"type": "string"}
        for name in names:
            if name not in filled:
                filled[name] = self.value(extra_schema, name, depth + 1)
        least = _bound(schema, "minProperties", 0)
        if not known and isinstance(extra, Mapping) and self._generous(depth):
            least = max(1, least)
        for number in range(min(_MAX_ITEMS, int(least)) - len(filled)):
            filled[f"key{number + 1}"] = self.value(extra_schema, "", depth + 1)
        return filled

    def _array(self, schema: JsonObject, key: str, depth: int) -> list[object]:
        least = int(_bound(schema, "minItems", 0))
        most = int(_bound(schema, "maxItems", _MAX_ITEMS))
        wanted = max(least, 1) if self._generous(depth) else least
        wanted = min(wanted, most, _MAX_ITEMS)
        prefix = schema.get("prefixItems")
        firsts = list(islice(prefix, _MAX_ITEMS)) if isinstance(prefix, list) else []
        if firsts and self._generous(depth):
            wanted = min(max(wanted, len(firsts)), most)
        items = schema.get("items", {})
        values: list[object] = []
        for index in range(wanted):
            inner = firsts[index] if index < len(firsts) else items
            made = self.value(inner, key, depth + 1)
            if schema.get("uniqueItems") is True:
                made = _other_than(values, made, inner)
            values.append(made)
        return values

    def _number(self, schema: JsonObject, *, whole: bool) -> float:
        step = 1 if whole else 0.5
        least, over = (
            _bound(schema, "minimum", -math.inf),
            _bound(schema, "exclusiveMinimum", -math.inf),
        )
        most, under = (
            _bound(schema, "maximum", math.inf),
            _bound(schema, "exclusiveMaximum", math.inf),
        )
        low, high = max(least, over + step), min(most, under - step)
        if low > high:
            # A step was too much for the space between exclusive bounds: take its middle.
            low = high = (max(least, over) + min(most, under)) / 2
        multiple = _bound(schema, "multipleOf", 0)
        number = self._words.next_number(low, high, whole=whole)
        if number is None or (multiple and number % multiple):
            number = min(max(1.0, low), high)
            if whole:
                number = math.ceil(number)
            if multiple and math.isfinite(number / multiple):
                number = math.ceil(number / multiple) * multiple
        return int(number) if whole or number == int(number) else number

    def _string(self, schema: JsonObject, key: str) -> str:
        text = self._formatted(schema) or self._words.next_string(key)
        least, most = (
            int(_bound(schema, "minLength", 0)),
            int(_bound(schema, "maxLength", _MAX_LENGTH)),
        )
        least = min(least, _MAX_LENGTH)
        if len(text) < least:
            text += "." * (least - len(text))
        return text[: max(0, most)]

    def _formatted(self, schema: JsonObject) -> str | None:
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            return example_of(pattern)
        name = schema.get("format")
        if not isinstance(name, str) or name not in _FORMATS:
            return None
        found = self._words.typed(name) if name in ("email", "uri", "date", "uuid") else None
        return found or _FORMATS[name]


def _bound(schema: JsonObject, key: str, default: float) -> float:
    value = schema.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    return value if abs(value) < _LARGEST else default


def _merge(first: JsonObject, second: JsonObject) -> JsonObject:
    """Both schemas at once: properties and requirements united, the second's other words first."""
    merged: dict[str, object] = {**first, **second}
    for key in _MERGED:
        a, b = first.get(key), second.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            merged[key] = {**a, **b}
    a, b = first.get("required"), second.get("required")
    if isinstance(a, list) and isinstance(b, list):
        merged["required"] = [*a, *b]
    return merged


def _other_than(values: list[object], made: object, schema: object) -> object:
    """`made`, changed until it is not among `values`."""
    enum = schema.get("enum") if isinstance(schema, Mapping) else None
    if isinstance(enum, list):
        return next((value for value in enum if value not in values), made)
    for number in range(2, _MAX_ITEMS + 2):
        if made not in values:
            break
        if isinstance(made, str):
            made = f"{made} {number}"
        elif isinstance(made, int | float):
            made = made + 1
    return made
