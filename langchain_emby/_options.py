"""What LangChain's users write for tools, tool choice and output form, as the core takes it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from emby_plugins import ChatOptions, JSONSchema, RequestError, Tool

ToolLike = Mapping[str, Any] | type | Callable[..., Any] | BaseTool

PLAIN = (
    "temperature",
    "max_tokens",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "image_config",
)
"""The options that are called and spelled the same on both sides."""

_NOT_SENT = {"stream", "ls_structured_output_format", "structured_output_format"}
_KEY_NAME = re.compile(
    "api[_-]?key|(access|auth|secret|emby|openai)[_-]?key|authorization|bearer|secret|password"
    "|credential|(?<!max)[_-]token$|^(key|token|accesstoken|authtoken)$",
    re.IGNORECASE,
)
_WORDS = {"auto": "auto", "none": "none", "any": "required", "required": "required"}


def options_of(settings: Mapping[str, Any]) -> ChatOptions:
    """The core's options from constructor settings and call arguments together.

    Names that the core does not know go into `extra_body`, as LangChain's users expect.
    """
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in settings.items():
        if name in PLAIN:
            options[name] = value
        elif name == "tools":
            options["tools"] = [to_openai_tool(tool) for tool in value or ()]
        elif name == "tool_choice":
            options["tool_choice"] = to_tool_choice(value, settings.get("tools") or ())
        elif name == "response_format":
            options["response_format"] = to_json_schema(value)
        elif name == "extra_body":
            extra |= value or {}
        elif name not in _NOT_SENT and value is not None:
            extra[name] = value
    if not options.get("tools"):
        options.pop("tools", None)
        options.pop("tool_choice", None)
    for name in extra:
        if is_key_name(name):
            hint = "Give the key as api_key when ChatEmby is made, or set EMBY_API_KEY."
            raise RequestError(f"{name!r} would be sent in the body of the request.", hint=hint)
    if extra:
        options["extra_body"] = extra
    return cast("ChatOptions", options)


def is_key_name(name: str) -> bool:
    """Whether that is how people spell the argument for a key."""
    return bool(_KEY_NAME.search(name))


def to_openai_tools(tool: ToolLike, *, strict: bool | None = None) -> dict[str, Any]:
    """A tool in OpenAI's form, from any of LangChain's forms; `strict` where it is said."""
    form = convert_to_openai_tool(cast("Any", tool), strict=strict)
    if form.get("type") != "function":
        hint = "Give functions: Emby runs no tools of its own."
        raise RequestError(f"A tool of the type {form.get('type')!r} can't be sent.", hint=hint)
    return form


def to_openai_tool(tool: ToolLike) -> Tool:
    """A tool as the core takes it, from any of LangChain's forms."""
    function = to_openai_tools(tool)["function"]
    return Tool(
        name=function["name"],
        description=function.get("description") or "",
        parameters=function.get("parameters") or {},
        strict=function.get("strict"),
    )


def to_tool_choice(choice: object, tools: Sequence[ToolLike]) -> str | None:
    """Any form of `tool_choice` as the core takes it: a word, the name of a tool, or None.

    Where a call is demanded and there is one tool, it is named: not every gateway knows
    `required`. Raises `RequestError` for a tool that is not there.
    """
    if choice is None or choice is False:
        return None
    if choice is True:
        choice = "required"
    if isinstance(choice, Mapping):
        function = choice.get("function")
        named = function.get("name") if isinstance(function, Mapping) else choice.get("name")
        choice = named or choice.get("type")
    names = [to_openai_tools(tool)["function"]["name"] for tool in tools]
    if choice in names:
        return cast("str", choice)
    word = _WORDS.get(choice) if isinstance(choice, str) else None
    if word is None:
        hint = f"Use auto, none, any, or one of: {', '.join(names)}."
        raise RequestError(f"The tool choice {choice!r} is no tool that was given.", hint=hint)
    return names[0] if word == "required" and len(names) == 1 else word


def to_json_schema(form: object, *, strict: bool | None = None) -> Any:
    """A `response_format` as the core takes it.

    Takes OpenAI's dicts, a JSON schema, a pydantic class or a TypedDict; gives a `JSONSchema`,
    a word, or None.
    """
    if form is None or isinstance(form, str | JSONSchema):
        return form
    if isinstance(form, Mapping) and form.get("type") in {"text", "json_object"}:
        return form["type"]
    if isinstance(form, Mapping) and form.get("type") == "json_schema":
        named = form.get("json_schema") or form
        return JSONSchema(
            schema=named.get("schema") or {},
            name=named.get("name") or "reply",
            description=named.get("description") or "",
            strict=named.get("strict") if strict is None else strict,
        )
    schema = convert_to_json_schema(cast("Any", form), strict=strict)
    return JSONSchema(
        schema={name: value for name, value in schema.items() if name != "title"},
        name=_plain_name(str(schema.get("title") or "reply")),
        description=str(schema.get("description") or ""),
        strict=strict,
    )


def to_response_format(form: object, *, strict: bool | None = None) -> dict[str, Any] | None:
    """A `response_format` as plain data, which can be traced, cached and stored."""
    shape = to_json_schema(form, strict=strict)
    if shape is None or isinstance(shape, str):
        return None if shape is None else {"type": shape}
    said = {"name": shape.name, "schema": shape.schema, "description": shape.description}
    if shape.strict is not None:
        said["strict"] = shape.strict
    return {"type": "json_schema", "json_schema": said}


def _plain_name(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)[:64]
