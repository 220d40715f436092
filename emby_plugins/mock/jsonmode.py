"""The content of a reply that must be JSON: a schema's instance, or an object of asked keys."""

import json
import re

from emby_plugins.mock.requests import ChatRequest
from emby_plugins.mock.schema import instance
from emby_plugins.mock.validation import JsonObject
from emby_plugins.mock.words import Words

_MAX_TEXT = 50_000
_MAX_BRACES = 50
_MAX_KEYS = 50
_SENTENCE = re.compile(r"[^.!?\n]+")
_SPEAKS_OF_KEYS = re.compile(r"\b(?:keys?|fields?|propert(?:y|ies))\b", re.IGNORECASE)
_QUOTED_KEY = re.compile(r"(?<!\w)['\"`]([\w-]{1,60})['\"`](?!\w)")
_LISTED_KEYS = re.compile(
    r"\b(?:keys?|fields?|properties)\b(?:\s+(?:are|named|called))?\s*:?\s*"
    r"([\w-]+(?:(?:,\s*and\s+|\s+and\s+|,\s*)[\w-]+)*)",
    re.IGNORECASE,
)


def json_reply(request: ChatRequest, words: Words) -> str:
    """The JSON text that `response_format` asks for."""
    if request.response_format == "json_schema" and request.schema is not None:
        value = instance(request.schema, words)
    else:
        value = _object(request, words)
    return json.dumps(value, ensure_ascii=False)


def _object(request: ChatRequest, words: Words) -> object:
    texts = [message.text[:_MAX_TEXT] for message in reversed(request.messages)
             if message.role in ("user", "system", "developer")]  # fmt: skip
    for text in texts:
        schema = _embedded_schema(text)
        if schema is not None:
            return instance({"type": "object", **schema}, words)
    for text in texts:
        keys = _keys(text)
        if keys:
            # The keys themselves are quoted in the prompt: they are not values to copy.
            words.strings[:] = [value for value in words.strings if value not in keys]
            return {key: words.next_string(key) for key in keys}
    return {"reply": words.next_string("")}


def _embedded_schema(text: str) -> JsonObject | None:
    """The last JSON schema written out in a text: instructions put examples before it."""
    decoder = json.JSONDecoder()
    found: JsonObject | None = None
    at = text.find("{")
    for _ in range(_MAX_BRACES):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(value, dict) and isinstance(value.get("properties"), dict):
                found = value
        at = text.find("{", end)
    return found


def _keys(text: str) -> list[str]:
    for match in _SENTENCE.finditer(text):
        sentence = match[0]
        if not _SPEAKS_OF_KEYS.search(sentence):
            continue
        keys = _QUOTED_KEY.findall(sentence)
        listed = _LISTED_KEYS.search(sentence)
        if not keys and listed:
            keys = re.split(r",\s*and\s+|\s+and\s+|,\s*", listed[1])
        if keys:
            return list(dict.fromkeys(keys))[:_MAX_KEYS]
    return []
