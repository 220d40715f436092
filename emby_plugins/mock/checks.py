"""Reads JSON values of the expected type, and notes an issue where they are not."""

from collections.abc import Mapping, Sequence

from emby_plugins.mock.errors import Issue

Path = tuple[str | int, ...]
JsonObject = Mapping[str, object]

MISSING = object()
EMPTY: JsonObject = {}


def type_name(value: object) -> str:
    """The JSON name of a value's type, as schema validators report it."""
    if value is MISSING:
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


class Checker:
    """Collects issues, so that one reply can name everything that is wrong."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def note(self, path: Path, message: str, code: str = "custom") -> None:
        """Note an issue that is not about a type."""
        self.issues.append(Issue(path, message, code))

    def wrong_type(self, path: Path, expected: str, value: object) -> None:
        """Note that `value` is not what the schema expects."""
        received = type_name(value)
        message = "Required" if value is MISSING else f"Expected {expected}, received {received}"
        self.issues.append(Issue(path, message, "invalid_type", expected, received))

    def mapping(self, value: object, path: Path) -> JsonObject:
        """`value` as an object; an empty one after noting an issue."""
        if isinstance(value, dict):
            return value
        self.wrong_type(path, "object", value)
        return EMPTY

    def sequence(self, value: object, path: Path) -> Sequence[object]:
        """`value` as an array; an empty one after noting an issue."""
        if isinstance(value, list):
            return value
        self.wrong_type(path, "array", value)
        return ()

    def string(self, source: JsonObject, key: str, path: Path) -> str:
        """The required string `source[key]`; an empty one after noting an issue."""
        value = source.get(key, MISSING)
        if isinstance(value, str):
            return value
        self.wrong_type((*path, key), "string", value)
        return ""

    def optional_string(self, source: JsonObject, key: str, path: Path) -> str | None:
        """The string `source[key]`, or None when the key is absent."""
        return self.string(source, key, path) if key in source else None

    def number(self, source: JsonObject, key: str, path: Path) -> None:
        """Note an issue when `source[key]` is given and is not a number."""
        if key in source and type_name(source[key]) != "number":
            self.wrong_type((*path, key), "number", source[key])

    def boolean(self, source: JsonObject, key: str, path: Path, *, default: bool = False) -> bool:
        """The boolean `source[key]`, or `default`."""
        value = source.get(key, default)
        if isinstance(value, bool):
            return value
        self.wrong_type((*path, key), "boolean", value)
        return default

    def integer(self, source: JsonObject, key: str, path: Path) -> int | None:
        """The whole number at `key`; None where there is none."""
        value = source.get(key, MISSING)
        if value is MISSING:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong_type((*path, key), "number", value)
            return None
        return value

    def positive_integer(self, source: JsonObject, key: str, path: Path) -> int | None:
        """The integer `source[key]`, at least 1, or None when the key is absent."""
        if key not in source:
            return None
        value = source[key]
        if not isinstance(value, int) or isinstance(value, bool):
            self.wrong_type((*path, key), "integer", value)
            return None
        if value < 1:
            self.note((*path, key), "Number must be greater than or equal to 1", "too_small")
            return None
        return value

    def choice(
        self, source: JsonObject, key: str, path: Path, allowed: Sequence[str]
    ) -> str | None:
        """The string `source[key]`, one of `allowed`, or None when the key is absent."""
        if key not in source:
            return None
        value = source[key]
        if isinstance(value, str) and value in allowed:
            return value
        if value is MISSING:
            self.wrong_type((*path, key), "string", value)
            return None
        wanted = " | ".join(f"'{name}'" for name in allowed)
        message = f"Invalid enum value. Expected {wanted}, received {value!r:.80}"
        self.note((*path, key), message, "invalid_enum_value")
        return None
