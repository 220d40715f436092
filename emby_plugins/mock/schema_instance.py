"""Generate an instance of a JSON schema, from the request's values if they fit.

Bounded for every schema: depth, number of values, lengths. Past the first bounds only what is
required is generated. A schema that nothing satisfies gets the nearest thing to an instance.
"""

import math
import re
from collections.abc import Mapping

from emby_plugins.mock.patterns import example_of
from emby_plugins.mock.schema_algebra import merge, names_of, unlike, usable, without
from emby_plugins.mock.schema_validation import JsonObject, Schema
from emby_plugins.mock.values import Values

_MAX_DEPTH = 100
_MAX_REFERENCES = 32
_GENEROUS_DEPTH = 6
_MAX_VALUES = 2_000
_MAX_REQUIRED = 20_000
_MAX_ITEMS = 50
_MAX_LENGTH = 10_000
_FORMATS = {
    "date": "2026-01-31", "time": "12:30:00Z", "date-time": "2026-01-31T12:30:00Z",
    "duration": "PT5M", "email": "mock@example.com", "idn-email": "mock@example.com",
    "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
    "uri": "https://example.com/", "url": "https://example.com/",
    "uri-reference": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000000",
    "regex": "^.*$", "json-pointer": "/a", "binary": "mock", "byte": "bW9jaw==",
    "base64": "bW9jaw==", "base64url": "bW9jaw==", "json-string": "{}",
    "ipvanyaddress": "192.0.2.1", "ipvanynetwork": "192.0.2.0/24",
}  # fmt: skip
_KINDS = ("string", "integer", "number", "boolean", "array", "object")
# What an object of any names has if an image was measured.
_FACTS = {"integer": ("width", "height"), "number": ("width", "height"),
          "string": ("format", "orientation")}  # fmt: skip
_ORDINALS = {"first": 1, "before": 1, "second": 2, "after": 2, "third": 3, "fourth": 4}
_ORDINAL = re.compile(rf"(?:^|_)({'|'.join(_ORDINALS)})(?:_|$)|([1-9])$")


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
        if depth > _MAX_DEPTH or self._left < -_MAX_REQUIRED:
            return None
        if not isinstance(schema, Mapping):
            return self._values.next_string(key)
        schema = self._resolve(schema)
        if "not" in schema:
            return self._not(usable(schema["not"]), without(schema, "not"), key, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._option_of(schema["enum"], key)
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                option = self._choose(schema[keyword], key, depth)
                return self.value(merge(without(schema, keyword), option), key, depth + 1)
        return self._typed(schema, key, depth)

    def _not(self, refused: Schema, schema: Schema, key: str, depth: int) -> object:
        """A value that is none of the values, or not of the type, that are refused."""
        values = [*refused.get("enum", ()), *([refused["const"]] if "const" in refused else [])]
        if not values and "type" not in schema:
            schema = {**schema, "type": [k for k in _KINDS if k != refused.get("type")]}
        return unlike(values, self.value(schema, key, depth + 1), schema)

    def _option_of(self, enum: list[object], key: str) -> object:
        """The option that was measured, or that the prompt mentions; else the first."""
        names = {option.lower(): option for option in enum if isinstance(option, str)}
        measured = self._values.measurement(key, lambda value: str(value).lower() in names)
        if measured is not None:
            return names[str(measured).lower()]
        return next((option for option in enum if self._values.mentions(option)), enum[0])

    def _choose(self, options: list[object], key: str, depth: int) -> Schema:
        """The option that the prompt names, else the first that is not null.

        Null at depth, or for a number that was not measured.
        """
        schemas = [self._resolve(option) for option in options if isinstance(option, Mapping)]
        nulls = [schema for schema in schemas if schema.get("type") == "null"]
        others = [schema for schema in schemas if schema.get("type") != "null"]
        if not self._is_generous(depth):
            # Leaves before branches: how a recursive schema ends.
            others.sort(key=lambda schema: schema.get("type") in ("object", "array", None))
            others = nulls + others
        elif nulls and others and self._is_unmeasured(others[0].get("type"), key):
            others = nulls
        else:
            others.sort(key=lambda schema: not any(map(self._values.mentions, names_of(schema))))
        return (others or nulls or [{}])[0]

    def _is_unmeasured(self, kind: object, key: str) -> bool:
        return (
            bool(self._values.measured)
            and kind in ("integer", "number", "boolean")
            and self._values.measurement(key, lambda value: isinstance(value, int | float)) is None
        )

    def _is_generous(self, depth: int) -> bool:
        return depth < _GENEROUS_DEPTH and self._left > 0

    def _resolve(self, schema: object, depth: int = 0) -> Schema:
        """The schema with `$ref` followed, and `allOf` and `if` with `then` merged into it."""
        schema = usable(schema)
        for _ in range(_MAX_REFERENCES):
            self._left -= depth > 0
            if "$ref" in schema:
                schema = merge(self._lookup(schema["$ref"]), without(schema, "$ref"))
            elif schema.get("allOf") or "if" in schema:
                parts = [*schema.get("allOf", ()), schema.get("if"), schema.get("then")]
                schema = without(schema, "allOf", "if", "then", "else")
                if depth < _MAX_REFERENCES and self._left > -_MAX_REQUIRED:
                    for part in (part for part in parts if isinstance(part, Mapping)):
                        schema = merge(schema, self._resolve(part, depth + 1))
            else:
                break
        return schema

    def _lookup(self, reference: str) -> object:
        """The target of `#/$defs/Name`, or None."""
        here: object = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(here, Mapping):
                here = here.get(name)
            elif isinstance(here, list) and name.isdecimal() and int(name) < len(here):
                here = here[int(name)]
        return here

    def _typed(self, schema: Schema, key: str, depth: int) -> object:
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [name for name in kind if name != "null"]
            is_null = not kinds or ("null" in kind and self._is_unmeasured(kinds[0], key))
            kind = "null" if is_null else kinds[0]
        if kind == "object" or (kind is None and {"properties", "required"} & schema.keys()):
            return self._object(schema, key, depth)
        if kind == "array" or (kind is None and {"items", "prefixItems"} & schema.keys()):
            return self._array(schema, key, depth)
        if kind in ("integer", "number"):
            return self._number(schema, key, whole=kind == "integer")
        if kind == "boolean":
            measured = self._values.measurement(key, lambda value: isinstance(value, bool))
            return measured if measured is not None else not self._values.measured
        return None if kind == "null" else self._string(schema, key)

    def _object(self, schema: Schema, key: str, depth: int) -> dict[str, object]:
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
        required = [name for name in schema.get("required", ()) if isinstance(name, str)]
        outer = self._values.part
        part = self._values.measurement(key, lambda value: isinstance(value, Mapping))
        self._values.part = part if isinstance(part, Mapping) else outer
        result: dict[str, object] = {}
        for name, inner in properties.items():
            if name in required or self._is_generous(depth):
                result[name] = self._member(inner, name, depth)
        for name, others in schema.get("dependentRequired", {}).items():
            if name in result and isinstance(others, list):
                required += [other for other in others if isinstance(other, str)]
        for name in required:
            if name not in result:
                inner = properties.get(name, extra if isinstance(extra, Mapping) else {})
                result[name] = self._member(inner, name, depth)
        self._add_names(result, schema, depth)
        self._values.part = outer
        return result

    def _add_names(self, result: dict[str, object], schema: Schema, depth: int) -> None:
        """Properties of any name, if they are demanded, or are all that there is."""
        inner, name_schema = schema.get("additionalProperties"), schema.get("propertyNames")
        if schema.get("patternProperties"):
            pattern, inner = next(iter(schema["patternProperties"].items()))
            name_schema = {"pattern": pattern}
        inner = self._resolve(inner) if isinstance(inner, Mapping) else None
        least, generous = int(schema.get("minProperties", 0)), self._is_generous(depth)
        if not schema.get("properties") and inner is not None and generous:
            least = max(least, 1)
        names: list[str] = []
        if name_schema is None and least:
            facts = _FACTS.get(str((inner or {}).get("type")), ())
            names = [n for n in facts if self._values.measurement(n, lambda _: True) is not None]
            names = names[: int(schema.get("maxProperties", _MAX_ITEMS))]
        for number in range(1, min(_MAX_ITEMS, max(least, len(names))) - len(result) + 1):
            name = names[number - 1] if number <= len(names) else f"key{number}"
            if name_schema is not None:
                made = self.value({"type": "string", **name_schema}, name, depth + 1)
                name = str(unlike([*result], made, self._resolve(name_schema)))
            result[name] = self._member(inner or {"type": "string"}, name, depth)

    def _member(self, schema: object, name: str, depth: int) -> object:
        """The value of a property, about the image that its name counts: `image_2`, `second`."""
        before, match = self._values.image, _ORDINAL.search(name.lower())
        if match and len(self._values.measured) > 1:
            number = _ORDINALS.get(match[1]) or int(match[2])
            self._values.image = min(number, len(self._values.measured)) - 1
        value = self.value(schema, name, depth + 1)
        self._values.image = before
        return value

    def _array(self, schema: Schema, key: str, depth: int) -> list[object]:
        items = schema.get("items", {})
        first = items if isinstance(items, list) else schema.get("prefixItems", [])
        first, items = first[:_MAX_ITEMS], {} if isinstance(items, list) else items
        items = self._resolve(items) if isinstance(items, Mapping) else items
        generous = self._is_generous(depth)
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems", _MAX_ITEMS)
        most = min(most, len(first)) if items is False else most
        measured = self._measured_items(first or [items], key)
        if measured and (not first or len(measured) == len(first)):
            measured += measured[-1:] * (min(least, _MAX_ITEMS) - len(measured))
            return measured[: int(min(most, len(measured)))]
        count = max(least, len(first) or 1) if generous else least
        if "contains" in schema:
            first, count = [merge(items, schema["contains"])], max(count, 1)
        parts = self._values.measurement(key, _is_list_of_parts) or []
        assert isinstance(parts, list)
        if generous and usable(items).get("type") in ("object", None):
            # An item for each image, or for each part of one.
            count = max(count, len(parts) or len(self._values.measured))
        values: list[object] = []
        image, part = self._values.image, self._values.part
        for index in range(int(min(count, most, _MAX_ITEMS))):
            if not parts and len(self._values.measured) > 1:
                self._values.image = index
            self._values.part = parts[index] if index < len(parts) else part
            inner = first[index] if index < len(first) else items
            value = self.value(inner, "" if parts else key, depth + 1)
            values.append(unlike(values, value, inner) if schema.get("uniqueItems") else value)
        self._values.image, self._values.part = image, part
        return values

    def _measured_items(self, schemas: list[object], key: str) -> list[object]:
        """The items of a measured list that schemas of one kind accept."""
        kinds = {str(usable(schema).get("type")) for schema in schemas}
        options = usable(schemas[0]).get("enum")
        type_ = str if kinds == {"string"} else int if kinds <= {"integer", "number"} else ()
        found = self._values.measurement(
            key,
            lambda value: isinstance(value, list) and all(isinstance(v, type_) for v in value),
        )
        items = found if isinstance(found, list) else []
        return [item for item in items if item in (options or items)]

    def _number(self, schema: Schema, key: str, *, whole: bool) -> float:
        step = 1 if whole else 0.5
        least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        above = schema.get("exclusiveMinimum", -math.inf)
        below = schema.get("exclusiveMaximum", math.inf)
        low, high = max(least, above + step), min(most, below - step)
        if low > high:
            # The step is too large for the space between exclusive bounds: take its middle.
            low = high = (max(least, above) + min(most, below)) / 2
        multiple = schema.get("multipleOf", 0)
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

    def _string(self, schema: Schema, key: str) -> str:
        pattern, name = schema.get("pattern"), str(schema.get("format"))
        least = min(int(schema.get("minLength", 0)), _MAX_LENGTH)
        most = max(0, int(schema.get("maxLength", _MAX_LENGTH)))
        text = None if pattern is None else example_of(pattern, least)
        if pattern is None:
            name = "uuid" if name.startswith("uuid") else name
            text = self._values.typed(name) or _FORMATS.get(name)
        if text is None:
            measured = self._values.measurement(key, lambda value: isinstance(value, str))
            text = str(measured) if measured is not None else self._values.next_string(key)
        return text.ljust(least, ".")[:most]


def _is_list_of_parts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _is_within(value: object, low: float, high: float, whole: bool) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and low <= value <= high and (not whole or value == int(value))  # type: ignore[operator,call-overload]
