"""Convert LangChain's call arguments, tools and response formats to the core's."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, cast

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import TypeAdapter

from emby_plugins import JSONSchema, RequestError, ServerTool, Tool
from langchain_emby._arguments import CALL_SETTINGS, CONVERTED, CORE_OPTIONS, TRACED, is_key_name
from langchain_emby._tool_names import ToolNames, legal_name

ToolLike = Mapping[str, Any] | type | Callable[..., Any] | BaseTool

_NAMES = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "model_name": "model",
}
# Those of the 2026-08 request schema; no state takes others.
_SERVER_TOOLS = ("web_search", "tool_search")
_MODES = {"auto": "auto", "none": "none", "any": "required", "required": "required"}


def to_core_arguments(
    arguments: Mapping[str, Any], stop: Sequence[str], names: ToolNames
) -> dict[str, Any]:
    """The arguments of the core's `chat` and `stream`, but for the prompt and the model.

    `arguments` are those of the constructor merged with those of the call. Unknown names, which
    only the constructor's `model_kwargs` can have here, go into the request body.
    """
    options: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None:
            continue
        if name in CORE_OPTIONS:
            options[name] = value
        elif name in CALL_SETTINGS:
            _add_setting(options, CALL_SETTINGS[name], value)
        elif name == "n":
            _check_count(value)
        elif name not in CONVERTED and name not in TRACED:
            body[name] = value
    if stop:
        options["stop"] = [*stop]
    body |= arguments.get("extra_body") or {}
    for name in body:
        if is_key_name(name):
            msg = f"{name!r} looks like a credential and can't be sent in the request body."
            hint = "Pass the API key to the constructor as api_key, or set EMBY_API_KEY."
            raise RequestError(msg, hint=hint)
    return {**options, **_tool_options(arguments, names), **({"extra_body": body} if body else {})}


def rename(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the names that other chat models use by those of ChatEmby."""
    return {_NAMES.get(name, name): value for name, value in arguments.items()}


def _add_setting(options: dict[str, Any], name: str, value: Any) -> None:
    if name in {"headers", "metadata"}:
        options[name] = {**options.get(name, {}), **value}
    else:
        options[name] = value


def _check_count(n: object) -> None:
    if n != 1:
        hint = "Call the model several times, for example with batch()."
        raise RequestError(f"n must be 1, got {n!r}: a call returns one message.", hint=hint)


def tool_names(arguments: Mapping[str, Any]) -> ToolNames:
    """The names under which the tools are sent."""
    return ToolNames(map(_tool_name, arguments.get("tools") or ()))


def _tool_options(arguments: Mapping[str, Any], names: ToolNames) -> dict[str, Any]:
    options: dict[str, Any] = {}
    tools = arguments.get("tools") or ()
    if tools:
        options["tools"] = [to_core_tool(tool, names) for tool in tools]
        choice = to_tool_choice(arguments.get("tool_choice"), tools)
        options["tool_choice"] = choice and names.legal(choice)
    if arguments.get("response_format") is not None:
        options["response_format"] = to_core_response_format(arguments["response_format"])
    return options


def to_openai_tool(tool: ToolLike, *, strict: bool | None = None) -> dict[str, Any]:
    """Convert any of LangChain's tool types to OpenAI's form, with `strict` if given.

    Tools that the gateway runs itself, such as `{"type": "web_search"}`, stay as they are. Raises
    `RequestError` for server-side tools of other providers.
    """
    if isinstance(tool, Mapping) and tool.get("type") in _SERVER_TOOLS:
        return dict(tool)
    form = convert_to_openai_tool(cast("Any", tool), strict=strict)
    if form.get("type") != "function":
        names = " and ".join(f'{{"type": "{name}"}}' for name in _SERVER_TOOLS)
        hint = f"Use function tools, or {names} if your gateway has them (2026)."
        raise RequestError(f"Tools of type {form.get('type')!r} are not supported.", hint=hint)
    mark = tool.get("cache_control") if isinstance(tool, Mapping) else None
    return {**form, "cache_control": mark} if mark else form


def to_core_tool(tool: ToolLike, names: ToolNames) -> Tool | ServerTool:
    """Convert any of LangChain's tool types to the core's, under its legal name."""
    form = to_openai_tool(tool)
    if form["type"] != "function":
        return ServerTool(form["type"], {k: v for k, v in form.items() if k != "type"})
    function = form["function"]
    return Tool(
        name=names.legal(function["name"]),
        description=function.get("description") or "",
        parameters=function.get("parameters") or {},
        strict=function.get("strict"),
        cache_control=form.get("cache_control"),
    )


def _tool_name(tool: ToolLike) -> str:
    form = to_openai_tool(tool)
    return str(form["function"]["name"] if form["type"] == "function" else form["type"])


def to_tool_choice(choice: object, tools: Sequence[ToolLike]) -> str | None:
    """Convert any form of `tool_choice`: to a mode, the name of a tool, or None.

    If a call is required and there is only one tool, that tool is named, because not every gateway
    supports `required`. Raises `RequestError` for an unknown tool.
    """
    if choice is None or choice is False:
        return None
    if choice is True:
        choice = "required"
    if isinstance(choice, Mapping):
        function = choice.get("function")
        named = function.get("name") if isinstance(function, Mapping) else choice.get("name")
        choice = named or choice.get("type")
    names = [_tool_name(tool) for tool in tools]
    if choice in names:
        return choice
    mode = _MODES.get(choice) if isinstance(choice, str) else None
    if mode is None:
        hint = f"Use auto, none, any, or one of: {', '.join(names)}."
        raise RequestError(f"tool_choice {choice!r} does not match any of the tools.", hint=hint)
    return names[0] if mode == "required" and len(names) == 1 else mode


def to_core_response_format(response_format: object, *, strict: bool | None = None) -> Any:
    """Convert a `response_format` to the core's: a `JSONSchema`, a mode, or None.

    Accepts OpenAI's dicts, a JSON schema, a pydantic class or a TypedDict.
    """
    if response_format is None or isinstance(response_format, str | JSONSchema):
        return response_format
    if isinstance(response_format, Mapping):
        kind = response_format.get("type")
        if kind in {"text", "json_object"}:
            return kind
    return _to_json_schema(response_format, strict)


def _to_json_schema(source: object, strict: bool | None) -> JSONSchema:
    if isinstance(source, Mapping):
        named = _named_schema(source)
        strict = named.get("strict") if strict is None else strict
    elif isinstance(source, type) and (is_basemodel_subclass(source) or is_dataclass(source)):
        schema = _inline_root(_schema_of_class(source))
        description = inspect.cleandoc(source.__doc__ or "")
        named = {"schema": schema, "name": source.__name__, "description": description}
    else:
        schema = convert_to_json_schema(cast("Any", source))
        named = {**schema, "schema": schema, "name": schema.get("title")}
    schema = named.get("schema") or {}
    return JSONSchema(
        schema=_close_objects(schema) if strict and not isinstance(source, Mapping) else schema,
        name=legal_name(str(named.get("name") or "reply")),
        description=str(named.get("description") or ""),
        strict=strict,
    )


def _named_schema(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema as `{"name", "schema", ...}`, from the dicts of OpenAI and Anthropic, or itself."""
    inner = source.get("json_schema") or source.get("function")
    named: Mapping[str, Any] = inner if isinstance(inner, Mapping) else source
    for name in ("schema", "parameters", "input_schema"):
        if isinstance(named.get(name), Mapping):
            return {**named, "schema": named[name]}
    if "name" in source and "properties" not in source:
        return {**source, "schema": {"type": "object", "properties": {}}}
    return {
        "schema": source,
        "name": source.get("title"),
        "description": source.get("description"),
    }


def _schema_of_class(model: Any) -> dict[str, Any]:
    if is_dataclass(model):
        return TypeAdapter(model).json_schema()
    is_v1 = not hasattr(model, "model_json_schema")
    return cast("dict[str, Any]", model.schema() if is_v1 else model.model_json_schema())


def _inline_root(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a recursive class with an object at its root, as tools require it."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    definitions = schema.get("$defs", {})
    return {**definitions[name], "$defs": definitions} if name in definitions else schema


def _close_objects(schema: Any) -> Any:
    """What strict mode demands of every object: all properties required, and no others."""
    if isinstance(schema, list):
        return [_close_objects(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _close_objects(value) for name, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed |= {"additionalProperties": False, "required": [*closed["properties"]]}
    return closed


def to_response_format(
    response_format: object, *, strict: bool | None = None
) -> dict[str, Any] | None:
    """Convert a `response_format` to OpenAI's dict, which can be traced, cached and stored."""
    converted = to_core_response_format(response_format, strict=strict)
    if converted is None or isinstance(converted, str):
        return None if converted is None else {"type": converted}
    fields = {
        "name": converted.name,
        "schema": converted.schema,
        "description": converted.description,
    }
    if converted.strict is not None:
        fields["strict"] = converted.strict
    return {"type": "json_schema", "json_schema": fields}
