"""Which tools to call, and with which arguments.

The rule for `tool_choice: "auto"`. Every tool is called that the last user text names (its name,
with `_` and `-` read as spaces). If none, the first with all words of its name in the text. If
none, the tool that shares most main words with it: at least one of its name, or two of its
description; main words have three letters or more and are not verbs that every tool has (`get`,
`make`, `find`); ties go to the tool given first. A tool is called once for each value when it takes
a single argument and the text joins several with "and". Arguments that have a default are left out.
If no tool is found and the text refers back (`Now make it blue`), the tool called last is called
again, with the ids of the images that it returned.

The rule for `required`: the first tool, and after each round of results the next; the last again.
"""

import json
import re
from collections.abc import Mapping, Sequence

from emby_plugins.mock import intent
from emby_plugins.mock.errors import ProviderFailure
from emby_plugins.mock.requests import ChatRequest, Tool
from emby_plugins.mock.schema_instance import instance
from emby_plugins.mock.schema_validation import JsonObject
from emby_plugins.mock.values import Values

_MAX_CALLS = 8
_MAX_TEXT = 10_000
_IMAGE_ID = re.compile(r"\bimage_[0-9a-f]{8,64}\b")
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


def calls(
    request: ChatRequest, text: str, measured: Sequence[Mapping[str, Sequence[object]]] = ()
) -> list[tuple[str, str]]:
    """The calls to make, as names and JSON arguments; empty when none is called for.

    What was `measured` of the images is for calls that are demanded: they are often not calls, but
    the form of an answer.
    """
    measured = measured if request.demands_tool else ()
    return [
        (tool.name, json.dumps(arguments, ensure_ascii=False))
        for tool in _chosen(request, text[:_MAX_TEXT])
        for arguments in _arguments(tool, text, _image_ids(request), measured)
    ][:_MAX_CALLS]


def _chosen(request: ChatRequest, text: str) -> list[Tool]:
    choice = request.tool_choice
    if choice == "none":
        return []
    if choice == "named":
        found = [tool for tool in request.tools if tool.name == request.tool_name]
        if not found:
            message = f"tool_choice {request.tool_name!r} is not one of the tools"
            raise ProviderFailure.of(400, message)
        return found[:1]
    if request.demands_tool:
        if request.tools:
            return [request.tools[min(_rounds(request), len(request.tools) - 1)]]
        if choice == "required":
            raise ProviderFailure.of(400, "tool_choice needs tools")
    return _plausible(request.tools, text) or _continued(request, text)


def _continued(request: ChatRequest, text: str) -> list[Tool]:
    """The tool called last, when the text changes what it made: `Now make it blue`."""
    if intent.is_question(text) or not intent.refers_back(text):
        return []
    names = [call["function"]["name"] for m in request.messages for call in m.tool_calls]
    return [tool for tool in request.tools if names and tool.name == names[-1]]


def _image_ids(request: ChatRequest) -> list[object]:
    """The ids of images in the last result that has some."""
    for message in reversed(request.messages):
        ids = _IMAGE_ID.findall(message.text) if message.role in ("tool", "function") else []
        if ids:
            return list(dict.fromkeys(ids))
    return []


def _rounds(request: ChatRequest) -> int:
    """How many messages the assistant has sent since the user's last text."""
    rounds = 0
    for message in reversed(request.messages):
        if message.role == "user" and message.text.strip():
            break
        rounds += message.role == "assistant"
    return rounds


def _plausible(tools: Sequence[Tool], text: str) -> list[Tool]:
    flat = f" {_spaced(text)} "
    named = {f" {_spaced(tool.name)} ": tool for tool in tools}
    named = {name: tool for name, tool in named.items() if name in flat}
    if named:
        # `magic_function_no_args` is not also a mention of `magic_function`.
        return [
            tool
            for name, tool in named.items()
            if not any(name != other and name in other for other in named)
        ]
    words = set(flat.split())
    whole = [tool for tool in tools if words.issuperset(_spaced(tool.name).split() or [""])]
    if whole:
        return whole[:1]
    main_words = _main_words(text)
    scores = [_score(tool, main_words) for tool in tools]
    best = max(scores, default=0)
    return [tools[scores.index(best)]] if best else []


def _score(tool: Tool, words: frozenset[str]) -> int:
    in_name = len(_main_words(tool.name) & words)
    in_description = len(_main_words(tool.description[:_MAX_TEXT]) & words)
    return in_name * 100 + in_description if in_name or in_description >= 2 else 0


def _spaced(text: str) -> str:
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return " ".join(re.findall(r"[^\W_]+", parts.lower()))


def _main_words(text: str) -> frozenset[str]:
    words = (word.removesuffix("s") for word in _WORD.findall(_spaced(text)))
    return frozenset(word for word in words if word not in _COMMON and f"{word}s" not in _COMMON)


def _arguments(
    tool: Tool,
    text: str,
    image_ids: list[object],
    measured: Sequence[Mapping[str, Sequence[object]]],
) -> list[object]:
    values = Values.of(text, measured=measured)
    if image_ids and intent.refers_back(text) and not intent.wants_new_image(text):
        ids = {"images": [image_ids], "imageids": [image_ids]}
        values.measured = [{**image, **ids} for image in measured or [{}]]
    schema = {**_without_defaults(tool.parameters, values), "type": "object"}
    count = _joined_values(schema, values) if " and " in text else 1
    # Each call takes up the values that the one before left.
    return [instance(schema, values) for _ in range(min(count, _MAX_CALLS))]


def _without_defaults(schema: JsonObject, values: Values) -> JsonObject:
    """The schema without optional properties that have a default and were not measured."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list):
        return schema
    kept = {
        name: inner
        for name, inner in properties.items()
        if name in required
        or not (isinstance(inner, dict) and "default" in inner)
        or values.measurement(name, lambda _: True) is not None
    }
    return {**schema, "properties": kept}


def _joined_values(schema: JsonObject, values: Values) -> int:
    """How many calls the prompt has values for, when one takes exactly one argument."""
    properties = schema.get("properties")
    only = list(properties.values()) if isinstance(properties, dict) else []
    if len(only) != 1 or not isinstance(only[0], dict) or "enum" in only[0]:
        return 1
    counts = {"string": len(values.strings), "integer": len(values.numbers)}
    counts["number"] = counts["integer"]
    return max(1, counts.get(str(only[0].get("type")), 1))
