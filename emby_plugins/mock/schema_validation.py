"""Validate a request body against a schema, and report what is wrong as the gateway does.

The schemas are data (`request_schemas.json`, one a gateway state). The issues have the form of the
gateway's validator, Zod 3: a union that nothing matches holds the issues of each of its options.
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
# Zod takes an option of a union whose only issues are of these kinds for the one that was meant.
_REFINEMENTS = ("too_small", "too_big", "invalid_string", "custom")


@cache
def request_schema(state: str) -> Schema:
    """The schema of the chat bodies that a gateway state accepts."""
    text = files(__package__).joinpath("request_schemas.json").read_bytes()
    schema: Schema = msgspec.json.decode(text)[state]
    return schema


def validate(body: object, schema: Schema) -> list[Issue]:
    """Everything that is wrong with a body; empty when it is accepted."""
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
                yield _wrong_literal(value, schema["const"], path)
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
        # `anyOf` beside `type` tells what an object must have besides: a refinement of Zod's.
        variants = schema.get("anyOf", ())
        if not issues and variants and all(self._fails(value, v, path) for v in variants):
            wanted = " or ".join(name for v in variants for name in v.get("required", ()))
            yield {"code": "custom", "message": f"Required: {wanted}", "path": list(path)}

    def _fails(self, value: dict[str, object], schema: Schema, path: Path) -> bool:
        return any(True for _ in self._check_object(value, schema, path))

    def _check_union(self, value: object, options: list[Schema], path: Path) -> Iterator[Issue]:
        if value is None and {"type": "null"} in options:
            return
        # The validator knows literals one by one where the schema joins them into an `enum`.
        split: list[Schema] = []
        for option in options:
            if option != {"type": "null"}:
                split += [{"const": name} for name in option.get("enum", ())] or [option]
        failures = [list(self.check(value, option, path)) for option in split]
        if not all(failures):
            return
        refined = (f for f in failures if all(issue["code"] in _REFINEMENTS for issue in f))
        meant = next(refined, None)
        if meant is not None:
            yield from meant
            return
        errors = [{"issues": issues, "name": "ZodError"} for issues in failures]
        yield {
            "code": "invalid_union",
            "unionErrors": errors,
            "path": list(path),
            "message": "Invalid input",
        }


def _is_a(value: object, kind: str) -> bool:
    if kind == "integer":
        return _kind(value) == "number" and float(value).is_integer()  # type: ignore[arg-type]
    return kind == "any" or _kind(value) == kind


def _kind(value: object) -> str:
    """The JSON name of a value's type; `undefined` for none."""
    if value is _MISSING:
        return "undefined"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _wrong_type(value: object, expected: str, path: Path) -> Issue:
    received = _kind(value)
    if expected == "integer":
        expected, received = ("integer", "float") if received == "number" else ("number", received)
    message = "Required" if value is _MISSING else f"Expected {expected}, received {received}"
    return {
        "code": "invalid_type",
        "expected": expected,
        "received": received,
        "path": list(path),
        "message": message,
    }


def _wrong_literal(value: object, expected: str, path: Path) -> Issue:
    issue: Issue = {} if value is _MISSING else {"received": value}
    message = f'Invalid literal value, expected "{expected}"'
    return issue | {
        "code": "invalid_literal",
        "expected": expected,
        "path": list(path),
        "message": message,
    }


def _wrong_option(value: object, options: list[str], path: Path) -> Issue:
    wanted = " | ".join(f"'{option}'" for option in options)
    if not isinstance(value, str):
        return _wrong_type(value, wanted, path)
    return {
        "received": value,
        "code": "invalid_enum_value",
        "options": options,
        "path": list(path),
        "message": f"Invalid enum value. Expected {wanted}, received '{value}'",
    }


def _check_range(value: object, schema: Schema, path: Path) -> Iterator[Issue]:
    if isinstance(value, str):
        least = schema.get("minLength", 0)
        if len(value) < least:
            message = f"String must contain at least {least} character(s)"
            yield _out_of_range("too_small", "minimum", least, "string", message, path)
        if not re.search(schema.get("pattern", ""), value):
            yield {
                "validation": "regex",
                "code": "invalid_string",
                "message": "Invalid",
                "path": list(path),
            }
    elif isinstance(value, int | float) and not isinstance(value, bool):
        above, least = schema.get("exclusiveMinimum"), schema.get("minimum")
        most = schema.get("maximum")
        if above is not None and value <= above:
            message = f"Number must be greater than {above}"
            issue = _out_of_range("too_small", "minimum", above, "number", message, path)
            yield issue | {"inclusive": False}
        if least is not None and value < least:
            message = f"Number must be greater than or equal to {least}"
            yield _out_of_range("too_small", "minimum", least, "number", message, path)
        if most is not None and value > most:
            message = f"Number must be less than or equal to {most}"
            yield _out_of_range("too_big", "maximum", most, "number", message, path)


def _out_of_range(code: str, bound: str, limit: int, kind: str, message: str, path: Path) -> Issue:
    about = {"type": kind, "inclusive": True, "exact": False, "message": message}
    return {"code": code, bound: limit, **about, "path": list(path)}
