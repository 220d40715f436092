"""Structured output against the mock: any schema, by each method, is sent and matched."""

import dataclasses
import io
import json
import re
import sys
import uuid
from datetime import date, datetime
from enum import Enum
from itertools import pairwise
from typing import Annotated, Any, Generic, Literal, TypeVar, cast

import jsonschema
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.utils.function_calling import convert_to_json_schema
from PIL import Image as Pillow
from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, create_model
from typing_extensions import TypedDict

from emby_plugins import Image
from emby_plugins.mock import MockBackend, activate
from langchain_emby import ChatEmby, image_block

T = TypeVar("T")
METHODS = ("function_calling", "json_schema", "json_mode")


class Color(Enum):
    """A color."""

    RED = "red"
    BLUE = "blue"


class Leg(BaseModel):
    """A leg."""

    color: Color
    length: int


class Nested(BaseModel):
    """A chair."""

    legs: list[Leg] = Field(min_length=2)
    best: Leg


class Node(BaseModel):
    """A tree."""

    name: str
    children: list["Node"]
    parent: "Node | None"


class Literals(BaseModel):
    """Choices."""

    size: Literal["s", "m", 3]
    one: Literal["only"]
    flag: Literal[True]


class Unions(BaseModel):
    """Unions."""

    leg_or_number: Leg | int
    either: int | str


class Cat(BaseModel):
    """A cat."""

    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    """A dog."""

    kind: Literal["dog"]
    tricks: list[str]


class Pet(BaseModel):
    """A pet."""

    animal: Annotated[Cat | Dog, Field(discriminator="kind")]
    others: list[Annotated[Cat | Dog, Field(discriminator="kind")]]


class Optionals(BaseModel):
    """Nothing required."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    leg: Leg | None = None
    count: int | None = None


class Defaults(BaseModel):
    """Defaults."""

    name: str = "Rex"
    legs: int = 4
    tags: list[str] = ["a"]


class Resp(BaseModel, Generic[T]):
    """A response."""

    value: T


class Lists(BaseModel):
    """Lists."""

    matrix: list[list[float]]
    pair: tuple[int, str]
    unique: set[int] = Field(min_length=3)
    legs: list[Leg]


class Dicts(BaseModel):
    """Dicts."""

    counts: dict[str, int]
    by_color: dict[Color, Leg]
    named: dict[Annotated[str, Field(pattern="^[a-z]{3}$")], int] = Field(min_length=1)


class Bounds(BaseModel):
    """Bounds."""

    share: float = Field(gt=0, lt=1)
    even: int = Field(ge=7, multiple_of=2)
    code: str = Field(pattern=r"^[A-Z]{2}-\d{4}$")
    short: str = Field(min_length=2, max_length=3)
    few: list[int] = Field(min_length=2, max_length=2)
    negative: int = Field(lt=-5)
    small: float = Field(gt=0.25, lt=0.2505, multiple_of=0.0001)


class Times(BaseModel):
    """Times."""

    day: date
    at: datetime
    id: uuid.UUID
    raw: bytes


class Aliased(BaseModel):
    """Aliases."""

    class_: str = Field(alias="class")
    from_: int = Field(alias="from-number")


class Empty(BaseModel):
    """Nothing."""


OldModel: Any = None
if sys.version_info < (3, 14):  # pydantic 1 does not support later Pythons
    from pydantic import v1

    OldModel = v1.create_model("OldModel", name=(str, ...), legs=(int, ...))


class Part(TypedDict):
    """A part."""

    name: str
    weight: float


class Machine(TypedDict):
    """A machine."""

    name: Annotated[str, ..., "Its name."]
    parts: list[Part]
    color: Literal["red", "blue"]


@dataclasses.dataclass
class Point:
    """A point."""

    x: int
    y: int = 0


@dataclasses.dataclass
class Line:
    """A line."""

    start: Point
    points: list[Point]


def deep(levels: int) -> Any:
    """Return a class nested this many levels deep."""
    inner: Any = int
    for level in range(levels):
        inner = create_model(f"Level{level}", value=(inner, ...))
    return inner


OBJECT = {
    "title": "Person",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": ["integer", "null"]}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
REFS = {
    "title": "Order",
    "type": "object",
    "properties": {"lines": {"$ref": "#/definitions/lines"}, "to": {"$ref": "#/$defs/a~1b"}},
    "required": ["lines", "to"],
    "definitions": {
        "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/line"}},
        "line": {"allOf": [{"$ref": "#/$defs/a~1b"}, {"required": ["n"]}]},
    },
    "$defs": {"a/b": {"type": "object", "properties": {"n": {"type": "integer"}}}},
}
ODD_NAMES = {
    "title": "Odd",
    "type": "object",
    "properties": {
        "first name": {"type": "string"},
        "größe-in-cm": {"type": "number", "exclusiveMinimum": 3},
        "$ref": {"type": "string"},
        "": {"type": "boolean"},
        "1st": {"const": "x"},
    },
    "required": ["first name", "größe-in-cm", "$ref", "", "1st"],
}
IF_THEN = {
    "title": "Logic",
    "type": "object",
    "properties": {
        "a": {"not": {"type": "string"}},
        "b": {"type": "string", "not": {"enum": ["x"]}},
        "c": {"enum": [1, "two", None]},
        "d": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "integer"}}]},
        "e": {
            "type": "object",
            "patternProperties": {"^x-": {"type": "integer"}},
            "minProperties": 1,
            "additionalProperties": False,
        },
        "f": {"type": "array", "contains": {"const": 5}, "items": {"type": "integer"}},
        "g": {
            "type": "object",
            "properties": {"k": {"type": "string"}},
            "dependentRequired": {"k": ["z"]},
        },
        "h": {
            "type": "array",
            "prefixItems": [{"type": "integer"}, {"type": "string"}],
            "items": False,
        },
        "i": True,
    },
    "required": ["a", "b", "c", "d", "e", "f", "g", "h", "i"],
}
DEEPEST: dict[str, Any] = {"type": "integer"}
for _ in range(60):
    DEEPEST = {"type": "object", "properties": {"a": DEEPEST}, "required": ["a"]}
DEEPEST = {"title": "Deepest", **DEEPEST}
SCHEMAS: dict[str, Any] = {
    "nested": Nested,
    "recursive": Node,
    "enum": Leg,
    "literal": Literals,
    "union": Unions,
    "discriminated union": Pet,
    "optional": Optionals,
    "defaults": Defaults,
    "generic": Resp[int],
    "nested generic": Resp[list[Resp[Leg]]],
    "typed dict": Machine,
    "dataclass": Line,
    "json schema": OBJECT,
    "openai's schema": {"name": "Person", "strict": True, "schema": OBJECT},
    "openai's response format": {
        "type": "json_schema",
        "json_schema": {"name": "Person", "schema": OBJECT},
    },
    "lists": Lists,
    "dicts": Dicts,
    "bounds": Bounds,
    "dates": Times,
    "aliases": Aliased,
    "refs": REFS,
    "odd names": ODD_NAMES,
    "empty": Empty,
    "deep": deep(25),
    "deepest": DEEPEST,
    **({"pydantic 1": OldModel} if OldModel else {}),
    "logic": IF_THEN,
}


NOT_AS_GIVEN = {"openai's schema": OBJECT, "openai's response format": OBJECT}
LEGAL = re.compile("[a-zA-Z0-9_-]{1,64}")


def schema_of(case: str) -> dict[str, Any]:
    """Return the JSON schema of a case by pydantic, or by LangChain for a TypedDict."""
    schema = SCHEMAS[case]
    if isinstance(schema, dict):
        return NOT_AS_GIVEN.get(case, schema)
    if schema is OldModel:
        return cast("dict[str, Any]", schema.schema())
    made = (
        convert_to_json_schema(schema) if schema is Machine else TypeAdapter(schema).json_schema()
    )
    if "$ref" not in made:
        return made
    return made["$defs"]["Node"] | {"$defs": made["$defs"]}


def is_kind(case: str, parsed: Any) -> bool:
    """Return whether an answer is an instance of the schema's class, or a dict."""
    schema = SCHEMAS[case]
    return isinstance(parsed, dict if isinstance(schema, dict) or schema is Machine else schema)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", SCHEMAS)
def test_any_schema(case: str, method: Any) -> None:
    """Each schema is sent unchanged under a legal name, and the answer is a valid instance."""
    expected, prompt = schema_of(case), "Tell me of 3 things."
    if method == "json_mode":
        prompt += f" Answer in JSON of this schema: {json.dumps(expected)}"
    with activate(MockBackend()) as backend:
        chain = ChatEmby(base_url="mock:").with_structured_output(SCHEMAS[case], method=method)
        parsed = chain.invoke(prompt)
        streamed = [*chain.stream(prompt)]
    assert is_kind(case, parsed)
    assert streamed[-1] == parsed
    for request in backend.requests:
        sent = request.body
        if method == "json_mode":
            assert sent["response_format"] == {"type": "json_object"}
        else:
            by_tool = method == "function_calling"
            form = (
                sent["tools"][0]["function"] if by_tool else sent["response_format"]["json_schema"]
            )
            assert form["parameters" if by_tool else "schema"] == expected
            assert LEGAL.fullmatch(form["name"])
    if isinstance(parsed, dict):
        jsonschema.validate(parsed, expected, jsonschema.Draft202012Validator)


class Size(BaseModel):
    """A size."""

    width: int
    height: int


class Share(BaseModel):
    """A color of a picture."""

    name: str
    percentage: float = Field(ge=0, le=100)


class Photo(BaseModel):
    """What can be measured, under the names that people use."""

    imageWidth: int  # noqa: N815
    height_px: int | None = None
    size: Size
    dimensions: tuple[int, int]
    resolution: str
    file_format: Literal["JPEG", "PNG"]
    mime_type: str
    orientation: Literal["portrait", "landscape"]
    main_colour: str
    colors: list[str]
    palette: list[Share]
    facts: dict[str, int]
    is_landscape: bool
    people: int | None = None


class Photos(BaseModel):
    """Several."""

    images: list[Size]
    second_image: Size
    image_count: int


def flat(color: str, size: tuple[int, int]) -> dict[str, Any]:
    """Return a block with an image of one color."""
    out = io.BytesIO()
    Pillow.new("RGB", size, color).save(out, "PNG")
    return image_block(Image.from_bytes(out.getvalue()))


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_an_answer_about_a_picture_is_measured(method: Any) -> None:
    """Width, height, colors and format of an image are measured, nested and under synonyms too."""
    chat = ChatEmby(base_url="mock:")
    blocks = [flat("red", (451, 300)), flat("blue", (20, 30))]
    chain = chat.with_structured_output(Photo, method=method)
    assert chain.invoke([HumanMessage(["What is it?", blocks[0]])]) == Photo(
        imageWidth=451,
        height_px=300,
        size=Size(width=451, height=300),
        dimensions=(451, 300),
        resolution="451x300",
        file_format="PNG",
        mime_type="image/png",
        orientation="landscape",
        main_colour="red",
        colors=["red"],
        palette=[Share(name="red", percentage=100)],
        facts={"width": 451, "height": 300},
        is_landscape=True,
    )
    chain = chat.with_structured_output(Photos, method=method)
    sizes = [Size(width=451, height=300), Size(width=20, height=30)]
    assert chain.invoke([HumanMessage(["What are they?", *blocks])]) == Photos(
        images=sizes, second_image=sizes[1], image_count=2
    )


@pytest.mark.parametrize("schema", [Machine, OBJECT], ids=["typed dict", "json schema"])
@pytest.mark.parametrize("method", METHODS[:2])
async def test_a_dict_grows_while_it_streams(method: Any, schema: Any) -> None:
    """Streaming a dict yields growing parts, the same sync and async."""
    chain = ChatEmby(base_url="mock:").with_structured_output(schema, method=method)
    parts = [*chain.stream('Tell me of "Rex", with 4 legs and a tail.')]
    assert len(parts) > 2
    assert all(set(before) <= set(after) for before, after in pairwise(parts))
    assert [p async for p in chain.astream('Tell me of "Rex", with 4 legs and a tail.')] == parts


@pytest.mark.parametrize(
    ("profile", "method"),
    [
        (None, "function_calling"),
        ({"tool_calling": False, "structured_output": True}, "json_schema"),
        ({"tool_calling": False, "structured_output": False}, "json_mode"),
    ],
)
def test_the_profile_chooses_the_method(profile: Any, method: str) -> None:
    """The default method depends on the model's profile."""
    chain: Any = ChatEmby(base_url="mock:", profile=profile).with_structured_output(Leg)
    sent = {"function_calling": "tools", "json_schema": "response_format"}
    assert sent.get(method, "response_format") in chain.first.kwargs
    form = chain.first.kwargs.get("response_format", {}).get("type", "tools")
    assert form == {"json_mode": "json_object", "function_calling": "tools"}.get(method, method)


def test_tools_beside_a_schema() -> None:
    """With tools beside a schema, a tool call is not a parsing error."""
    chat = ChatEmby(base_url="mock:")

    def weather(city: str) -> str:
        """The weather in a city."""
        return city

    chain = chat.with_structured_output(
        Leg, method="json_schema", tools=[weather], include_raw=True
    )
    answer = chain.invoke("What is the weather in Paris?")
    assert answer["raw"].tool_calls[0]["args"] == {"city": "Paris"}
    assert (answer["parsed"], answer["parsing_error"]) == (None, None)
    assert isinstance(chain.invoke("Tell me of a leg.")["parsed"], Leg)
    for more in ({"method": "function_calling", "include_raw": True}, {"method": "json_schema"}):
        with pytest.raises(ValueError, match="include_raw"):
            chat.with_structured_output(Leg, tools=[weather], **more)


def test_a_list_schema_is_refused_as_a_tool() -> None:
    """A list schema works with `json_schema` and is refused with `function_calling`."""
    chat, names = ChatEmby(base_url="mock:"), RootModel[list[str]]
    assert chat.with_structured_output(names, method="json_schema").invoke("Hi").root
    with pytest.raises(ValueError, match="method='json_schema'"):
        chat.with_structured_output(names)


@pytest.mark.parametrize("parser", [PydanticOutputParser(pydantic_object=Leg), JsonOutputParser()])
def test_output_parsers(parser: Any) -> None:
    """LangChain's output parsers can read answers to their own instructions."""
    instructions = PydanticOutputParser(pydantic_object=Leg).get_format_instructions()
    chain = ChatEmby(base_url="mock:") | parser
    expected = Leg(color=Color.BLUE, length=7)
    answer = chain.invoke(f"A blue leg of 7 cm.\n{instructions}")
    assert Leg.model_validate(answer) == expected
