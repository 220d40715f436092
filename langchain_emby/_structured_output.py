"""`with_structured_output`: the schema as sent, and the parser of the reply.

LangChain's own conversion drops `$defs` and mistakes OpenAI's `{"name", "schema"}` for a schema;
its parsers complete JSON that was cut off, and return None if there is none.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import is_dataclass
from operator import itemgetter
from typing import Any, Literal, cast

from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.json import parse_json_markdown
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import TypeAdapter

from langchain_emby._options import to_response_format

Method = Literal["function_calling", "json_schema", "json_mode"]
Schema = dict[str, Any] | type

_MAX_QUOTED = 500


class StructuredOutputParser(BaseTransformOutputParser[Any]):
    """Parses a reply into an instance of a pydantic class or dataclass, or else into a dict.

    Reads the arguments of the call to `tool_name`, or the text as JSON if empty. A stream of
    dicts grows with each chunk. Raises `OutputParserException` for a reply without the call, with
    incomplete JSON, or with data that the class rejects, and LangChain's `ModelRefusalError` for a
    refusal. With `has_tools`, a reply that calls one of the other tools instead is None.
    """

    target: Any = None
    tool_name: str = ""
    has_tools: bool = False

    @property
    def _type(self) -> str:
        return "emby_structured_output"

    def parse_result(
        self,
        result: list[Generation],
        *,
        partial: bool = False,  # noqa: ARG002 - LangChain's signature
    ) -> Any:
        """The parsed reply."""
        generation = result[0]
        if isinstance(generation, ChatGeneration):
            return self._parse(generation.message)
        return self.parse(generation.text)

    def parse(self, text: str) -> Any:
        """The parsed text."""
        return self._parse(AIMessage(text))

    def _parse(self, message: BaseMessage) -> Any:
        raise_if_refused(message)
        if (
            self.has_tools
            and not message.text
            and isinstance(message, AIMessage)
            and message.tool_calls
        ):
            return None
        data = self._read(message)
        if not _has_instances(self.target):
            return data
        validate = getattr(self.target, "model_validate", None)
        validate = validate or getattr(self.target, "parse_obj", None)
        try:
            return (validate or TypeAdapter(self.target).validate_python)(data)
        except ValueError as error:
            raise self._error(f"The reply does not match the schema: {error}", message) from error

    def _read(self, message: BaseMessage) -> Any:
        if not self.tool_name:
            try:
                return parse_json_markdown(message.text, parser=json.loads)
            except ValueError as error:
                what = f"The reply is not valid JSON: {error}." if message.text else "No text."
                raise self._error(what, message) from None
        for call in getattr(message, "tool_calls", ()):
            if call["name"] == self.tool_name:
                return call["args"]
        for call in getattr(message, "invalid_tool_calls", ()):
            if call["name"] == self.tool_name:
                what = f"The arguments of the call to {self.tool_name!r} are not complete JSON."
                raise self._error(what, message)
        raise self._error(f"The model did not call {self.tool_name!r}.", message)

    def _error(self, problem: str, message: BaseMessage) -> OutputParserException:
        text = message.text
        quote = f"The model said: {text[:_MAX_QUOTED]!r}." if text else ""
        notice = message.response_metadata.get("notice", "")
        sentences = " ".join(filter(None, (problem, notice, quote)))
        return OutputParserException(sentences, llm_output=text)

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:  # noqa: A002
        merged: Any = None
        last: Any = None
        for item in input:
            merged, grown = self._grow(merged, item)
            if grown is not None and grown != last:
                last = grown
                yield grown
        if merged is not None and (final := self._parse(merged)) != last:
            yield final

    async def _atransform(
        self,
        input: AsyncIterator[str | BaseMessage],  # noqa: A002
    ) -> AsyncIterator[Any]:
        merged: Any = None
        last: Any = None
        async for item in input:
            merged, grown = self._grow(merged, item)
            if grown is not None and grown != last:
                last = grown
                yield grown
        if merged is not None and (final := self._parse(merged)) != last:
            yield final

    def _grow(self, merged: Any, item: str | BaseMessage) -> tuple[Any, dict[str, Any] | None]:
        """The chunks so far, merged, and the dict that they contain so far."""
        chunk = AIMessageChunk(content=item) if isinstance(item, str) else item
        merged = chunk if merged is None else merged + chunk
        if _has_instances(self.target):
            return merged, None
        if self.tool_name:
            calls = (c for c in merged.tool_calls if c["name"] == self.tool_name)
            return merged, next((call["args"] for call in calls), None)
        try:
            found = parse_json_markdown(merged.text) if merged.text else None
        except ValueError:
            found = None
        return merged, found if isinstance(found, dict) else None


def raise_if_refused(message: BaseMessage) -> None:
    """Raise `ModelRefusalError` for a reply that its provider marks as a refusal."""
    # Since langchain-core 1.7.5; before, a refusal is an OutputParserException that quotes it.
    refusal_error = getattr(exceptions, "ModelRefusalError", None)
    if refusal_error is None or not isinstance(message, AIMessage):
        return
    for block in cast("list[dict[str, Any]]", message.content_blocks):
        if block["type"] == "refusal":
            raise refusal_error.from_refusal(block, raw_message=message)


def _has_instances(schema: object) -> bool:
    """Whether a reply becomes an instance of the schema: of a pydantic class or a dataclass."""
    return isinstance(schema, type) and (is_basemodel_subclass(schema) or is_dataclass(schema))


def choose_method(profile: ModelProfile | None) -> Method:
    """The method that a model supports: tools, unless its profile excludes them."""
    if profile is None or profile.get("tool_calling", True):
        return "function_calling"
    return "json_schema" if profile.get("structured_output", True) else "json_mode"


def to_schema_tool(schema: Schema, *, strict: bool | None = None) -> dict[str, Any]:
    """A tool in OpenAI's form, with an instance of the schema as its arguments.

    Raises `ValueError` for a schema of anything but objects.
    """
    response_format = cast("dict[str, Any]", to_response_format(schema, strict=strict))
    named: Mapping[str, Any] = response_format["json_schema"]
    kind = named["schema"].get("type", "object")
    if kind != "object":
        msg = f"A tool takes an object, but {named['name']!r} is of type {kind!r}. Use"
        raise ValueError(f"{msg} method='json_schema', or a class with a field for it.")
    function = {name: value for name, value in named.items() if name != "schema"}
    return {"type": "function", "function": {**function, "parameters": named["schema"]}}


def with_raw(
    model: Runnable[LanguageModelInput, Any], parser: StructuredOutputParser
) -> Runnable[LanguageModelInput, Any]:
    """A chain that returns `{"raw", "parsed", "parsing_error"}` and raises no parsing error."""
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")
