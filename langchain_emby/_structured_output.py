"""`with_structured_output`: the output parser for each method."""

from operator import itemgetter
from typing import Any, Literal, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.base import OutputParserLike
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_emby._options import to_openai_tool

Method = Literal["function_calling", "json_schema", "json_mode"]
Schema = dict[str, Any] | type


def is_pydantic(schema: Schema | None) -> bool:
    """Whether the schema is a pydantic class."""
    return isinstance(schema, type) and is_basemodel_subclass(schema)


def parser_for(schema: Schema | None, method: Method) -> OutputParserLike[Any]:
    """A parser of the model's message: to an instance for a pydantic class, else to a dict."""
    if method == "function_calling" and schema is not None:
        if is_pydantic(schema):
            return PydanticToolsParser(tools=[cast("Any", schema)], first_tool_only=True)
        name = to_openai_tool(schema)["function"]["name"]
        return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
    if is_pydantic(schema):
        return PydanticOutputParser(pydantic_object=cast("Any", schema))
    return JsonOutputParser()


def with_raw(
    model: Runnable[LanguageModelInput, Any], parser: OutputParserLike[Any]
) -> Runnable[LanguageModelInput, Any]:
    """A chain that returns `{"raw", "parsed", "parsing_error"}` and raises no parsing error."""
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")
