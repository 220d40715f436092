"""Which tools to call, and with what.

The rule for `tool_choice: "auto"`. Every tool is called that the last user text names (its name,
with `_` and `-` read as spaces). If none, the first whose name's words all occur in the text. If
none, the tool that shares most main words with it: at least one of its name, or two of its
description; main words have three letters or more and are not verbs that every tool has (`get`,
`make`, `find`); ties go to the tool given first. A tool is called once for each value when it takes
a single argument and the text joins several with "and". Arguments that have a default are left out.

The rule for `required`: the first tool, and after each round of results the next; the last again.
"""

import json
import re
from collections.abc import Sequence

from emby_plugins.mock.errors import ProviderFailure
from emby_plugins.mock.requests import ChatRequest, Tool
from emby_plugins.mock.schema import parameters_instance
from emby_plugins.mock.validation import JsonObject
from emby_plugins.mock.words import Words, read_words

_MAX_CALLS = 8
_MAX_TEXT = 10_000
_WORD = re.compile(r"[^\W_]{3,40}")
_COMMON = frozenset(
    _WORD.findall(
        "get set put add run use make find fetch call create update delete search list look show "
        "tell give take return returns tool tools function functions the and for are was with "
        "from that this into your you what which when where how who can has have his her its not "
        "any all one two new given value values input output result results takes please about "
        "number string name data user text write read generate image picture random"
    )
)


def calls(request: ChatRequest, text: str) -> list[tuple[str, str]]:
    """The calls to make, as names and JSON arguments; empty when none is called for."""
    return [
        (tool.name, json.dumps(arguments, ensure_ascii=False))
        for tool in _chosen(request, text[:_MAX_TEXT])
        for arguments in _arguments(tool, text)
    ][:_MAX_CALLS]


def _chosen(request: ChatRequest, text: str) -> list[Tool]:
    choice = request.tool_choice
    if choice.mode == "none":
        return []
    if choice.mode == "named":
        found = [tool for tool in request.tools if tool.name == choice.name]
        if not found:
            message = f"tool_choice names {choice.name!r}, which is not among the tools"
            raise ProviderFailure.saying(400, message)
        return found[:1]
    if request.demands_tool:
        if not request.tools and choice.mode == "auto":
            return []
        if not request.tools:
            raise ProviderFailure.saying(400, "tool_choice needs tools")
        return [request.tools[min(_rounds(request), len(request.tools) - 1)]]
    return _plausible(request.tools, text)


def _rounds(request: ChatRequest) -> int:
    """How often the assistant has spoken since the user said something."""
    rounds = 0
    for message in reversed(request.messages):
        if message.role == "user" and message.text.strip():
            break
        rounds += message.role == "assistant"
    return rounds


def _plausible(tools: Sequence[Tool], text: str) -> list[Tool]:
    flat = f" {_spaced(text)} "
    named = [tool for tool in tools if f" {_spaced(tool.name)} " in flat]
    if named:
        names = [_spaced(tool.name) for tool in named]
        # `magic_function_no_args` is not also a mention of `magic_function`.
        return [
            tool
            for tool, name in zip(named, names, strict=True)
            if not any(name != other and f" {name} " in f" {other} " for other in names)
        ]
    heard = set(flat.split())
    whole = [
        tool for tool in tools if heard.issuperset(words := _spaced(tool.name).split()) and words
    ]
    if whole:
        return whole[:1]
    said = _main_words(text)
    scores = [_score(tool, said) for tool in tools]
    best = max(scores, default=0)
    return [tools[scores.index(best)]] if best else []


def _score(tool: Tool, said: frozenset[str]) -> int:
    in_name = len(_main_words(tool.name) & said)
    in_description = len(_main_words(tool.description[:_MAX_TEXT]) & said)
    return in_name * 100 + in_description if in_name or in_description >= 2 else 0


def _spaced(text: str) -> str:
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return " ".join(re.findall(r"[^\W_]+", parts.lower()))


def _main_words(text: str) -> frozenset[str]:
    words = (word.removesuffix("s") for word in _WORD.findall(_spaced(text)))
    return frozenset(word for word in words if word not in _COMMON and f"{word}s" not in _COMMON)


def _arguments(tool: Tool, text: str) -> list[dict[str, object]]:
    words = read_words(text)
    parameters = _without_defaults(tool.parameters)
    values = _joined_values(parameters, words) if " and " in text else 1
    made = []
    for index in range(values):
        # Each call reads on where the one before stopped.
        made.append(parameters_instance(parameters, words))
        if index + 1 >= _MAX_CALLS:
            break
    return made


def _without_defaults(schema: JsonObject) -> JsonObject:
    """The schema without what a caller may leave out because it has a default."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list):
        return schema
    asked = {
        name: inner
        for name, inner in properties.items()
        if name in required or not (isinstance(inner, dict) and "default" in inner)
    }
    return {**schema, "properties": asked}


def _joined_values(schema: JsonObject, words: Words) -> int:
    """How many calls the prompt has values for, when one takes exactly one argument."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or len(properties) != 1:
        return 1
    only = next(iter(properties.values()))
    kind = only.get("type") if isinstance(only, dict) else None
    if isinstance(only, dict) and "enum" in only:
        return 1
    if kind == "string":
        return max(1, len(words.strings))
    return max(1, len(words.numbers)) if kind in ("integer", "number") else 1
