"""Validate a request body against a schema, with issues in the form of the gateway's validator.

The schemas are data (`request_schemas.json`, one for each gateway state and endpoint). The
validator is Zod 3: a union that nothing matches has the issues of each of its options.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

Path = tuple[str | int, ...]
JsonObject = Mapping[str, object]
Issue = dict[str, object]
# A schema is read as data of a known shape: the files are ours.
Schema = dict[str, Any]

_MISSING = object()
# Zod picks an option of a union with only issues of these kinds as the one that was meant.
_REFINEMENTS = ("too_small", "too_big", "invalid_string", "custom")
_BOUNDS = (
    ("exclusiveMinimum", "too_small", "minimum", "greater than"),
    ("minimum", "too_small", "minimum", "greater than or equal to"),
    ("maximum", "too_big", "maximum", "less than or equal to"),
)
_KINDS = {bool: "boolean", int: "number", float: "number", str: "string", list: "array",
          dict: "object", type(None): "null", object: "undefined"}  # fmt: skip


@cache
def request_schema(name: str) -> Schema:
    """The schema of the chat bodies of a gateway state, or of an endpoint's bodies."""
    text = files(__package__).joinpath("request_schemas.json").read_bytes()
    schema: Schema = msgspec.json.decode(text)[name]
    return schema


def validate(body: object, schema: Schema) -> list[Issue]:
    """Everything that is wrong with a body; empty when accepted."""
    return list(_Validator(schema.get("$defs", {})).check(body, schema, ()))


class _Validator:
    def __init__(self, definitions: Schema) -> None:
        self._definitions = definitions

    def check(self, value: object, schema: Schema, path: Path) -> Iterator[Issue]:
        if "$ref" in schema:
            schema = self._definitions[schema["$ref"].rpartition("/")[2]]
        kinds = schema.get("type", ())
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if value is None and ("null" in kinds or None in schema.get("enum", ())):
            return
        if "anyOf" in schema and not kinds:
            yield from self._check_union(value, schema["anyOf"], path)
        elif "const" in schema:
            if value != schema["const"]:
                received = {} if value is _MISSING else {"received": value}
                message = f'Invalid literal value, expected "{schema["const"]}"'
                more = received | {"expected": schema["const"]}
                yield _issue("invalid_literal", message, path, **more)
        elif "enum" in schema:
            options = [option for option in schema["enum"] if option is not None]
            if value not in options:
                yield _wrong_option(value, options, path)
        elif not _is_a(value, kinds[0]):
            yield _wrong_type(value, kinds[0], path)
        elif isinstance(value, dict):
            yield from self._check_object(value, schema, path)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.check(item, schema.get("items", {"type": "any"}), (*path, index))
        else:
            yield from _check_range(value, schema, path)

    def _check_object(
        self, value: dict[str, object], schema: Schema, path: Path
    ) -> Iterator[Issue]:
        issues: list[Issue] = []
        for name, inner in schema.get("properties", {}).items():
            if name in value or name in schema.get("required", ()):
                issues += self.check(value.get(name, _MISSING), inner, (*path, name))
        yield from issues
        # `anyOf` beside `type` is what an object must have besides: a refinement of Zod's.
        variants = schema.get("anyOf", ())
        fails = (any(self._check_object(value, variant, path)) for variant in variants)
        if not issues and variants and all(fails):
            names = " or ".join(name for v in variants for name in v.get("required", ()))
            yield _issue("custom", f"Required: {names}", path)

    def _check_union(self, value: object, options: list[Schema], path: Path) -> Iterator[Issue]:
        if value is None and {"type": "null"} in options:
            return
        # The validator reports literals one by one; the schema joins them into an `enum`.
        split: list[Schema] = []
        for option in options:
            if option != {"type": "null"}:
                split += [{"const": name} for name in option.get("enum", ())] or [option]
        failures = [list(self.check(value, option, path)) for option in split]
        if not all(failures):
            return
        for issues in failures:
            if all(issue["code"] in _REFINEMENTS for issue in issues):
                yield from issues
                return
        errors = [{"issues": issues, "name": "ZodError"} for issues in failures]
        yield _issue("invalid_union", "Invalid input", path, unionErrors=errors)


def _issue(code: str, message: str, path: Path, **more: object) -> Issue:
    return {"code": code, **more, "path": list(path), "message": message}


def _is_a(value: object, kind: str) -> bool:
    if kind == "integer":
        return _kind(value) == "number" and float(value).is_integer()  # type: ignore[arg-type]
    return kind == "any" or _kind(value) == kind


def _kind(value: object) -> str:
    """The JSON name of a value's type; `undefined` for none."""
    return _KINDS[type(value)]


def _wrong_type(value: object, expected: str, path: Path) -> Issue:
    received = _kind(value)
    if expected == "integer":
        expected, received = ("integer", "float") if received == "number" else ("number", received)
    message = "Required" if value is _MISSING else f"Expected {expected}, received {received}"
    return _issue("invalid_type", message, path, expected=expected, received=received)


def _wrong_option(value: object, options: list[str], path: Path) -> Issue:
    expected = " | ".join(f"'{option}'" for option in options)
    if not isinstance(value, str):
        return _wrong_type(value, expected, path)
    message = f"Invalid enum value. Expected {expected}, received '{value}'"
    return _issue("invalid_enum_value", message, path, received=value, options=options)


def _check_range(value: object, schema: Schema, path: Path) -> Iterator[Issue]:
    if isinstance(value, str):
        least = schema.get("minLength", 0)
        if len(value) < least:
            message = f"String must contain at least {least} character(s)"
            about = {"type": "string", "inclusive": True, "exact": False}
            yield _issue("too_small", message, path, minimum=least, **about)
        if not re.search(schema.get("pattern", ""), value):
            yield _issue("invalid_string", "Invalid", path, validation="regex")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        for keyword, code, bound, words in _BOUNDS:
            limit = schema.get(keyword, value)
            is_below = value <= limit if keyword == "exclusiveMinimum" else value < limit
            is_outside = value > limit if code == "too_big" else is_below
            if keyword in schema and is_outside:
                about = {"type": "number", "inclusive": "equal" in words, "exact": False}
                message = f"Number must be {words} {limit}"
                yield _issue(code, message, path, **{bound: limit}, **about)
