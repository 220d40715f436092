"""Generate an instance of a JSON schema, from the request's values if they fit.

Bounded for every schema: depth, number of values, lengths. Past a bound only what is required is
generated. A schema that nothing satisfies gets the nearest thing to an instance.
"""

import math
from collections.abc import Mapping

from emby_plugins.mock.patterns import example_of
from emby_plugins.mock.schema_validation import JsonObject
from emby_plugins.mock.values import Values

_MAX_DEPTH = 32
_GENEROUS_DEPTH = 6
_MAX_VALUES = 2_000
_MAX_ITEMS = 50
_MAX_LENGTH = 10_000
_LARGEST = 1e300
_FORMATS = {
    "date": "2026-01-31", "time": "12:30:00Z", "date-time": "2026-01-31T12:30:00Z",
    "duration": "PT5M", "email": "mock@example.com", "idn-email": "mock@example.com",
    "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
    "uri": "https://example.com/", "url": "https://example.com/",
    "uri-reference": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000000",
    "regex": "^.*$", "json-pointer": "/a", "binary": "mock", "byte": "bW9jaw==",
}  # fmt: skip


def instance(schema: JsonObject, values: Values) -> object:
    """A JSON value that `schema` accepts."""
    return _Generator(schema, values).value(schema, "", 0)


class _Generator:
    def __init__(self, root: JsonObject, values: Values) -> None:
        self._root = root
        self._values = values
        self._left = _MAX_VALUES

    def value(self, schema: object, key: str, depth: int) -> object:
        self._left -= 1
        if depth > _MAX_DEPTH:
            return None
        if not isinstance(schema, Mapping):
            return self._values.next_string(key)
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        enum = _list(schema, "enum")
        if enum:
            return self._option_of(enum, key)
        for keyword in ("anyOf", "oneOf"):
            if _list(schema, keyword):
                rest = {name: value for name, value in schema.items() if name != keyword}
                option = self._choose(_list(schema, keyword), key, depth)
                return self.value(_merge(rest, option), key, depth + 1)
        return self._typed(schema, key, depth)

    def _option_of(self, enum: list[object], key: str) -> object:
        """The option that was measured, or that the prompt mentions; else the first."""
        names = {option.lower(): option for option in enum if isinstance(option, str)}
        measured = self._values.measurement(key, lambda value: str(value).lower() in names)
        if measured is not None:
            return names[str(measured).lower()]
        return next((option for option in enum if self._values.mentions(option)), enum[0])

    def _choose(self, options: list[object], key: str, depth: int) -> JsonObject:
        """The first option that is not null; null at depth, or for a number nobody measured."""
        schemas = [self._resolve(option) for option in options if isinstance(option, Mapping)]
        nulls = [schema for schema in schemas if schema.get("type") == "null"]
        others = [schema for schema in schemas if schema.get("type") != "null"]
        if not self._is_generous(depth):
            # Leaves before branches: how a recursive schema comes to its end.
            others.sort(key=lambda schema: schema.get("type") in ("object", "array", None))
            others = nulls + others
        elif nulls and others and self._is_unmeasured(others[0].get("type"), key):
            others = nulls
        return (others or nulls or [{}])[0]

    def _is_unmeasured(self, kind: object, key: str) -> bool:
        return (
            bool(self._values.measured)
            and kind in ("integer", "number", "boolean")
            and self._values.measurement(key, lambda value: isinstance(value, int | float)) is None
        )

    def _is_generous(self, depth: int) -> bool:
        return depth < _GENEROUS_DEPTH and self._left > 0

    def _resolve(self, schema: JsonObject) -> JsonObject:
        """The schema with `$ref` followed and `allOf` merged into it."""
        for _ in range(_MAX_DEPTH):
            reference, parts = schema.get("$ref"), schema.get("allOf")
            if isinstance(reference, str):
                rest = {name: value for name, value in schema.items() if name != "$ref"}
                schema = _merge(self._lookup(reference), rest)
            elif isinstance(parts, list):
                schema = {name: value for name, value in schema.items() if name != "allOf"}
                for part in (part for part in parts if isinstance(part, Mapping)):
                    target = part.get("$ref")
                    schema = _merge(
                        schema, self._lookup(target) if isinstance(target, str) else part
                    )
            else:
                break
        return schema

    def _lookup(self, reference: str) -> JsonObject:
        """The target of `#/$defs/Name`; an empty schema when there is none."""
        here: object = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(here, Mapping):
                here = here.get(name)
            elif isinstance(here, list) and name.isdecimal() and int(name) < len(here):
                here = here[int(name)]
        return here if isinstance(here, Mapping) else {}

    def _typed(self, schema: JsonObject, key: str, depth: int) -> object:
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [name for name in kind if name != "null"]
            is_null = not kinds or ("null" in kind and self._is_unmeasured(kinds[0], key))
            kind = "null" if is_null else kinds[0]
        if kind == "object" or (kind is None and "properties" in schema):
            return self._object(schema, depth)
        if kind == "array" or (kind is None and "items" in schema):
            return self._array(schema, key, depth)
        if kind in ("integer", "number"):
            return self._number(schema, key, whole=kind == "integer")
        if kind == "boolean":
            measured = self._values.measurement(key, lambda value: isinstance(value, bool))
            return measured if measured is not None else not self._values.measured
        return None if kind == "null" else self._string(schema, key)

    def _object(self, schema: JsonObject, depth: int) -> dict[str, object]:
        properties, extra = schema.get("properties"), schema.get("additionalProperties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = [name for name in _list(schema, "required") if isinstance(name, str)]
        extra_schema = extra if isinstance(extra, Mapping) else {"type": "string"}
        result: dict[str, object] = {}
        for name, inner in properties.items():
            if name in required or self._is_generous(depth):
                result[name] = self.value(inner, name, depth + 1)
        for name in required:
            if name not in result:
                result[name] = self.value(extra_schema, name, depth + 1)
        least = int(_bound(schema, "minProperties", 0))
        if not properties and isinstance(extra, Mapping) and self._is_generous(depth):
            least = max(1, least)
        for number in range(min(_MAX_ITEMS, least) - len(result)):
            result[f"key{number + 1}"] = self.value(extra_schema, "", depth + 1)
        return result

    def _array(self, schema: JsonObject, key: str, depth: int) -> list[object]:
        measured = self._values.measurement(key, lambda value: isinstance(value, list))
        first, items = _list(schema, "prefixItems")[:_MAX_ITEMS], schema.get("items", {})
        generous = self._is_generous(depth)
        least, most = int(_bound(schema, "minItems", 0)), int(_bound(schema, "maxItems", math.inf))
        count = max(least, len(first) or 1) if generous else least
        if isinstance(measured, list) and not first and _kind(items) == "string":
            return measured[: max(0, most)] + measured[-1:] * (min(least, 50) - len(measured))
        if generous and _kind(items) in ("object", None):
            count = max(count, len(self._values.measured))  # an item for each image
        values: list[object] = []
        for index in range(min(count, most, _MAX_ITEMS)):
            self._values.image = index if len(self._values.measured) > 1 else 0
            inner = first[index] if index < len(first) else items
            value = self.value(inner, key, depth + 1)
            values.append(_unlike(values, value, inner) if schema.get("uniqueItems") else value)
        return values

    def _number(self, schema: JsonObject, key: str, *, whole: bool) -> float:
        step = 1 if whole else 0.5
        least, most = _bound(schema, "minimum", -math.inf), _bound(schema, "maximum", math.inf)
        above = _bound(schema, "exclusiveMinimum", -math.inf)
        below = _bound(schema, "exclusiveMaximum", math.inf)
        low, high = max(least, above + step), min(most, below - step)
        if low > high:
            # The step is too large for the space between exclusive bounds: take its middle.
            low = high = (max(least, above) + min(most, below)) / 2
        multiple = _bound(schema, "multipleOf", 0)
        measured = self._values.measurement(key, lambda value: _is_within(value, low, high, whole))
        number: float | None = measured  # type: ignore[assignment]  # `_is_within` knows
        if number is None:
            number = self._values.next_number(low, high, whole=whole)
        if number is None or (multiple and number % multiple):
            # For an image, 0 means that nothing was measured.
            number = min(max(0.0 if self._values.measured else 1.0, low), high)
            number = math.ceil(number) if whole else number
            if multiple and math.isfinite(number / multiple):
                number = math.ceil(number / multiple) * multiple
        return int(number) if whole or number == int(number) else number

    def _string(self, schema: JsonObject, key: str) -> str:
        pattern, name = schema.get("pattern"), str(schema.get("format"))
        text = example_of(pattern) if isinstance(pattern, str) else None
        if text is None and not isinstance(pattern, str):
            text = self._values.typed(name) or _FORMATS.get(name)
        if text is None:
            measured = self._values.measurement(key, lambda value: isinstance(value, str))
            text = str(measured) if measured is not None else self._values.next_string(key)
        least = min(int(_bound(schema, "minLength", 0)), _MAX_LENGTH)
        most = int(_bound(schema, "maxLength", _MAX_LENGTH))
        return text.ljust(least, ".")[: max(0, most)]


def _kind(schema: object) -> object:
    return schema.get("type") if isinstance(schema, Mapping) else None


def _list(schema: JsonObject, key: str) -> list[object]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _bound(schema: JsonObject, key: str, default: float) -> float:
    value = schema.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default if default < math.inf or not key.startswith("max") else _LARGEST
    return value if abs(value) < _LARGEST else default


def _is_within(value: object, low: float, high: float, whole: bool) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and low <= value <= high and (not whole or value == int(value))  # type: ignore[operator,call-overload]


def _merge(first: JsonObject, second: JsonObject) -> JsonObject:
    """Both schemas at once: properties and requirements united, else the second wins."""
    merged: dict[str, object] = {**first, **second}
    for key in ("properties", "$defs", "definitions"):
        a, b = first.get(key), second.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            merged[key] = {**a, **b}
    required = [*_list(first, "required"), *_list(second, "required")]
    return merged | ({"required": required} if required else {})


def _unlike(values: list[object], value: object, schema: object) -> object:
    """`value`, changed until it is not among `values`."""
    enum = _list(schema, "enum") if isinstance(schema, Mapping) else []
    if enum:
        return next((option for option in enum if option not in values), value)
    for number in range(2, _MAX_ITEMS + 2):
        if value not in values:
            break
        if isinstance(value, str):
            value = f"{value} {number}"
        elif isinstance(value, int | float):
            value = value + 1
    return value
