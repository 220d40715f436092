"""The content of a JSON reply: a schema's instance, or an object with the prompt's keys."""

import json
import re

from emby_plugins.mock.requests import SYSTEM_ROLES, ChatRequest
from emby_plugins.mock.schema_instance import instance
from emby_plugins.mock.schema_validation import JsonObject
from emby_plugins.mock.values import Values

_MAX_TEXT = 50_000
_MAX_BRACES = 50
_MAX_KEYS = 50
_SENTENCE = re.compile(r"[^.!?\n]+")
_WANTS_JSON = re.compile(r"\bJSON\b[^.]{0,40}\bschema\b", re.IGNORECASE)
_MENTIONS_KEYS = re.compile(r"\b(?:keys?|fields?|propert(?:y|ies))\b", re.IGNORECASE)
_QUOTED_KEY = re.compile(r"(?<!\w)['\"`]([\w-]{1,60})['\"`](?!\w)")
_LISTED_KEYS = re.compile(
    r"\b(?:keys?|fields?|properties)\b(?:\s+(?:are|named|called))?\s*:?\s*"
    r"([\w-]+(?:(?:,\s*and\s+|\s+and\s+|,\s*)[\w-]+)*)",
    re.IGNORECASE,
)


def json_reply(request: ChatRequest, values: Values) -> str:
    """The JSON text that `response_format` requests."""
    schema = request.schema if request.response_format == "json_schema" else None
    if schema is None:
        schema = _schema_in_prompts(request, values)
    return json.dumps(instance(schema, values), ensure_ascii=False)


def wants_json(request: ChatRequest) -> bool:
    """Whether JSON is requested: by `response_format`, or in a prompt that contains the schema."""
    return request.response_format != "text" or any(
        _WANTS_JSON.search(text) and _embedded_schema(text)[1] for text in _prompts(request)
    )


def _prompts(request: ChatRequest) -> list[str]:
    roles = ("user", *SYSTEM_ROLES)
    return [m.text[:_MAX_TEXT] for m in reversed(request.messages) if m.role in roles]


def _schema_in_prompts(request: ChatRequest, values: Values) -> JsonObject:
    texts = _prompts(request)
    for text in texts:
        schema, source = _embedded_schema(text)
        if schema is not None:
            # The schema itself has no values to copy.
            values.strings[:] = [v for v in values.strings if f'"{v}"' not in source]
            values.prompt = values.prompt.replace(source, "")
            return schema if "$ref" in schema else {"type": "object", **schema}
    for text in texts:
        keys = _keys(text)
        if keys:
            # The keys themselves are quoted in the prompt: they are not values to copy.
            values.strings[:] = [value for value in values.strings if value not in keys]
            return {"properties": {key: _value_of(key, values) for key in keys}}
    return {"properties": {"reply": {"const": values.next_string("")}}}


def _value_of(key: str, values: Values) -> JsonObject:
    """Measured unchanged, else a string."""
    measured = values.measurement(key, lambda _: True)
    return {"type": "string"} if measured is None else {"const": measured}


def _embedded_schema(text: str) -> tuple[JsonObject | None, str]:
    """The last JSON schema in a text, and its source: instructions put examples before it."""
    decoder = json.JSONDecoder()
    found: JsonObject | None = None
    source = ""
    at = text.find("{")
    for _ in range(_MAX_BRACES):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            schema = _schema_of(value)
            found, source = (schema, text[at:end]) if schema is not None else (found, source)
        at = text.find("{", end)
    return found, source


def _schema_of(value: object) -> JsonObject | None:
    """The schema that an object in a prompt is, or has in it, as OpenAI's dicts do."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("properties"), dict) or {"$ref", "$defs"} <= value.keys():
        return value
    return _schema_of(value.get("json_schema") or value.get("schema"))


def _keys(text: str) -> list[str]:
    for sentence in filter(_MENTIONS_KEYS.search, _SENTENCE.findall(text)):
        keys = _QUOTED_KEY.findall(sentence)
        listed = _LISTED_KEYS.search(sentence)
        if not keys and listed:
            keys = re.split(r",\s*and\s+|\s+and\s+|,\s*", listed[1])
        if keys:
            return list(dict.fromkeys(keys))[:_MAX_KEYS]
    return []
