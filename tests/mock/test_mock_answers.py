import json
import re
import time

import pytest
from mock_help import PUPPY, body_of, chat, flat, image_part, message, mock, reply, send

from emby_plugins import Emby, Message, ServerTool
from emby_plugins.mock import activate
from emby_plugins.mock.patterns import example_of
from emby_plugins.mock.schema_instance import instance
from emby_plugins.mock.values import Values


def tool(name, about="", **properties):
    """Return a tool with only required arguments."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": about, "parameters": parameters}
    return {"type": "function", "function": function}


WEATHER = tool("get_weather", "Get the weather at a location.", location={"type": "string"})
MAGIC = tool(
    "magic_function", input={"type": "integer", "exclusiveMinimum": -1000, "exclusiveMaximum": 1000}
)
NO_ARGS = {"type": "function", "function": {"name": "magic_function_no_args"}}
CUSTOMER = tool(
    "unicode_customer", customer_name={"type": "string"}, description={"type": "string"}
)


def calls(prompt, *tools, **more):
    """Return names and arguments of the calls that a prompt causes."""
    result = reply(prompt, tools=list(tools), **more)["choices"][0]
    made = result["message"].get("tool_calls", [])
    assert result["finish_reason"] == ("tool_calls" if made else "stop")
    assert not made or result["message"]["content"] is None
    return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in made]


def test_answers_quote_the_request():
    """An answer names the model and quotes the prompt, the system prompt and the history's
    length.
    """
    content = message(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": [{"type": "text", "text": "what now"}]},
        ]
    )["content"]
    assert "emby-mock" in content
    assert '"what now"' in content
    assert '"Be brief."' in content
    assert "2 messages" in content


def test_talk_lists_the_models():
    """The documented question about models is answered with their names."""
    assert "qwen2.5-vision" in message("Hello! What models do you support?")["content"]


def test_long_prompts_are_cut():
    """Only 200 characters of a long prompt are quoted."""
    assert ("x" * 200 + "…") in message("x" * 5000)["content"]


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high"])
def test_reasoning(effort):
    """With a reasoning effort the reply has reasoning, counted in both places of the usage."""
    result = reply("Why?", reasoning_effort=effort)
    usage = result["usage"]
    assert effort in result["choices"][0]["message"]["reasoning"]
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < thought == usage["reasoning_tokens"] < usage["completion_tokens"]


def test_no_reasoning():
    """Without an effort, or with `none`, the message has no `reasoning` key."""
    assert "reasoning" not in message("Why?")
    result = body_of(send(chat("Why?", reasoning_effort="none"), mock("2026-08")))
    assert "reasoning" not in result["choices"][0]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_rare_replies_by_prompt(stream):
    """Prompts can cause a refusal, a refused image or a citation, and a script opaque reasoning."""
    backend = mock("2026-08")
    with activate(backend), Emby(base_url="mock:") as emby:

        def request(prompt, **more):
            if not stream:
                return emby.chat(prompt, **more)
            with emby.stream(prompt, **more) as events:
                list(events)
            return events.reply

        assert request("Please refuse to answer.").refusal
        unsafe = request("Refuse to paint it.", model="emby-mock-image")
        assert (unsafe.images, unsafe.finish_reason) == ((), "content_filter")
        found = request("Who won?", model="emby-mock", tools=[ServerTool("web_search")])
        (page,) = found.citations
        assert found.text[page.start_index : page.end_index].startswith("A search for")
        details = [{"type": "reasoning.encrypted", "data": "abc", "index": 0}]
        backend.reply("Hi", reasoning="Hm.", fields={"reasoning_details": details})
        thoughtful = request("Hello")
        request([Message.user("Hello"), thoughtful.message, Message.user("Go on")])
        assert backend.requests[-1].body["messages"][1]["reasoning_details"] == details


def test_usage_adds_up():
    """The total of tokens is the sum, and an input image costs 258."""
    plain, seen = reply("What is this?")["usage"], reply("What is this?", flat("red"))["usage"]
    assert seen["prompt_tokens"] - plain["prompt_tokens"] == 258
    assert seen["total_tokens"] == seen["prompt_tokens"] + seen["completion_tokens"]


def test_max_tokens():
    """A word is a token, and `max_tokens` ends the text with the finish reason `length`."""
    result = reply("Hello there", max_tokens=3)
    assert result["choices"][0]["message"]["content"] == "This is emby-mock"
    assert result["choices"][0]["finish_reason"] == "length"
    assert result["usage"]["completion_tokens"] == 3
    assert reply("Hello", max_tokens=1000)["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("prompt", "tools", "more", "expected"),
    [
        (
            "What is the value of magic_function(3)? Use the tool.",
            [MAGIC],
            {},
            [("magic_function", {"input": 3})],
        ),
        ("Use the magic function on 3", [WEATHER, MAGIC], {}, [("magic_function", {"input": 3})]),
        (
            "What is the value of magic_function_no_args()?",
            [MAGIC, NO_ARGS],
            {},
            [("magic_function_no_args", {})],
        ),
        (
            "What is the weather in San Francisco, CA?",
            [MAGIC, WEATHER],
            {},
            [("get_weather", {"location": "San Francisco, CA"})],
        ),
        (
            "What is the weather in Paris and London?",
            [WEATHER],
            {},
            [("get_weather", {"location": "Paris"}), ("get_weather", {"location": "London"})],
        ),
        ("Hello!", [MAGIC, WEATHER], {}, []),
        ("What is the weather?", [WEATHER], {"tool_choice": "none"}, []),
    ],
)
def test_auto_tool_choice(prompt, tools, more, expected):
    """A tool is called if the prompt mentions it, with values from the prompt."""
    assert calls(prompt, *tools, **more) == expected


def test_forced_tool_choice():
    """`required` calls the first tool and a named choice that tool; others are refused."""
    demand = {"tool_choice": "required", "profile": "2025-12"}
    assert calls("Hello!", MAGIC, WEATHER, **demand)[0][0] == "magic_function"
    choice = {"type": "function", "function": {"name": "get_weather"}}
    assert calls("Hello!", MAGIC, WEATHER, tool_choice=choice)[0][0] == "get_weather"
    response = send(chat("Hello!", tools=[MAGIC], tool_choice=choice))
    assert response.status == 500
    assert "400 Bad Request" in body_of(response)["error"]["message"]


def test_quoted_names_are_copied():
    """A quoted name in any script is copied to the arguments unchanged."""
    prompt = "Create a customer named '你好啊集团' (Hello Group) - a Chinese technology company"
    ((_, arguments),) = calls(prompt, CUSTOMER, tool_choice="required", profile="2025-12")
    assert arguments["customer_name"] == "你好啊集团"
    assert arguments["description"]
    assert (
        "你好"
        in reply(prompt, tools=[CUSTOMER])["choices"][0]["message"]["tool_calls"][0]["function"][
            "arguments"
        ]
    )


def test_arguments_fit_their_schema():
    """Enums, nested objects and arrays of arguments are filled."""
    schema = tool(
        "paint_wall",
        colour={"enum": ["green", "red"]},
        size={
            "type": "object",
            "properties": {"wide": {"type": "number"}, "tall": {"type": "number"}},
        },
        tags={"type": "array", "items": {"type": "string"}, "minItems": 2},
    )
    ((_, arguments),) = calls("paint the wall red, 3 by 4.5", schema)
    assert arguments["colour"] == "red"
    assert arguments["size"] == {"wide": 3, "tall": 4.5}
    assert len(arguments["tags"]) == 2


def test_tool_ids_differ():
    """Parallel calls have different ids."""
    made = message("weather in Paris and London", tools=[WEATHER])["tool_calls"]
    assert len({call["id"] for call in made}) == 2


def test_tool_result_is_reported():
    """A tool's result is reported in text, even if tools are still given."""
    past = [
        {"role": "user", "content": "What is the weather?"},
        {"role": "assistant", "content": ""},
        {"role": "tool", "tool_call_id": "1", "content": "It's sunny."},
    ]
    assert "It's sunny." in message(past, tools=[WEATHER])["content"]
    past[2]["content"] = [image_part(flat("red"))]
    assert "mostly red" in message(past, tools=[WEATHER])["content"]


JOKE = {
    "type": "object",
    "properties": {"setup": {"type": "string"}, "punchline": {"type": "string"}},
    "required": ["setup"],
}


def as_json(prompt, response_format, *images):
    """Return the parsed content of a reply."""
    return json.loads(message(prompt, *images, response_format=response_format)["content"])


def json_schema(schema):
    """Return a response format with this schema."""
    return {"type": "json_schema", "json_schema": {"name": "wanted", "schema": schema}}


def test_json_schema():
    """With a response format, content is an instance of its schema, with optional properties."""
    result = as_json("Tell me a joke about cats.", json_schema(JOKE))
    assert set(result) == {"setup", "punchline"}
    assert "cats" in result["setup"]


def test_json_schema_of_an_image():
    """Strings of JSON about an image describe the image."""
    result = as_json("Describe", json_schema(JOKE), flat("red"))
    assert "mostly red" in result["setup"]


@pytest.mark.parametrize(
    ("prompt", "keys"),
    [
        (
            "A joke. Return a JSON with 'setup' and 'punchline' keys. Nothing else.",
            {"setup", "punchline"},
        ),
        ("Reply in JSON with keys: name, age and city", {"name", "age", "city"}),
        (
            'Follow the JSON schema {"properties": {"a": {"type": "integer"}, "b": {}}} exactly',
            {"a", "b"},
        ),
        ("Just JSON please", {"reply"}),
    ],
)
def test_json_object(prompt, keys):
    """A JSON object has exactly the keys that the prompt names."""
    assert set(as_json(prompt, {"type": "json_object"})) == keys


def test_tools_come_before_json():
    """With tools and a response format, a tool is called first, and JSON follows its result."""
    schema = json_schema(JOKE)
    past = [{"role": "user", "content": "What is the weather?"}]
    assert message(past, tools=[WEATHER], response_format=schema)["tool_calls"]
    past += [{"role": "assistant", "content": ""}]
    past += [{"role": "tool", "tool_call_id": "1", "content": "sunny"}]
    result = json.loads(message(past, tools=[WEATHER], response_format=schema)["content"])
    assert result["setup"] == "sunny"


@pytest.mark.parametrize(
    ("schema", "prompt", "expected"),
    [
        ({"const": 5}, "", 5),
        ({"enum": ["a", "bee"]}, "the bee", "bee"),
        ({"type": "integer", "minimum": 10}, "3 and 12", 12),
        ({"type": "integer", "exclusiveMinimum": 4}, "", 5),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.1}, "", 0.05),
        ({"type": "integer", "multipleOf": 7, "minimum": 8}, "", 14),
        ({"type": ["null", "boolean"]}, "", True),
        ({"type": "null"}, "", None),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "4", 4),
        (
            {
                "allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {"const": 2}}}],
                "$defs": {"A": {"properties": {"a": {"const": 1}}}},
            },
            "",
            {"a": 1, "b": 2},
        ),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "3", {"key1": 3}),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
            "1 1 1",
            [1, 2, 3],
        ),
        ({"type": "array", "maxItems": 0}, "", []),
        ({"type": "array", "items": {"type": ["string", "null"]}}, '"a"', ["a"]),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]}, "", [1, 2]),
        ({"type": "string", "maxLength": 3}, "abcdef", "abc"),
        ({"type": "string", "minLength": 5}, "abc", "abc.."),
        ({"type": "string", "format": "email"}, "write to a.b@c.org now", "a.b@c.org"),
        ({"type": "string", "format": "date"}, "", "2026-01-31"),
        ({"type": "string", "pattern": "^[A-Z]{3}-\\d{2}$"}, "", "AAA-00"),
    ],
)
def test_instances(schema, prompt, expected):
    """Each keyword of a schema is followed, with values from the prompt if they fit."""
    assert instance(schema, Values.of(prompt)) == expected


def test_recursive_schemas_end():
    """A recursive schema is filled to a bounded depth."""
    node = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]},
            "kids": {"type": "array", "items": {"$ref": "#/$defs/N"}},
        },
        "required": ["name", "next", "kids"],
    }
    result = as_json("go", json_schema({"$ref": "#/$defs/N", "$defs": {"N": node}}))
    assert result["next"]["kids"][0]["name"]
    assert 50 < len(json.dumps(result)) < 1_000_000


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}},
        {"type": "string", "minLength": 10**12},
        {"type": "string", "pattern": "(((((a{9}){9}){9}){9}){9}){9}"},
        {"type": "string", "pattern": "(a+)+$(?=b)["},
        {"type": "object", "minProperties": 10**9},
        {"type": "number", "exclusiveMinimum": 10**307, "maximum": 10**306},
        {"type": "integer", "multipleOf": 1e-300, "minimum": 1e299},
        {"type": "integer", "multipleOf": -3, "minimum": 5, "maximum": 2},
        {"allOf": [{"$ref": "#"}]},
        {"not": {"const": "a"}, "$ref": "#"},
        {"type": "array", "items": False, "contains": {"type": "string"}},
        {"enum": [], "type": 3, "properties": 4, "required": "x", "anyOf": []},
    ],
)
def test_hostile_schemas_are_survived(schema):
    """No schema makes the mock fail or run for long."""
    began = time.monotonic()
    assert send(chat("go", response_format=json_schema(schema))).status == 200
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{3}-\d{4}$",
        r"[a-z]+@[a-z]+\.com",
        r"^(?:yes|no)$",
        r"[^abc]x?",
        r"\w*\s\S",
        r"^#[0-9a-fA-F]{6}$",
        r"[\d.]+",
        r"a{2,}b{0}",
    ],
)
def test_patterns(pattern):
    """The example generated for a pattern matches it."""
    assert re.search(pattern, example_of(pattern))


@pytest.mark.parametrize(
    "prompt",
    ["rotate " + "1." * 5000, "a " * 5000, "°" * 9000, "please " * 1400, "Xx " * 3000, "{" * 9000],
)
def test_hostile_prompts_cost_little(prompt):
    """No prompt takes long to parse."""
    began = time.monotonic()
    send(chat(prompt, flat("red"), tools=[WEATHER]))
    send(chat(prompt, response_format={"type": "json_object"}))
    send(chat(prompt))
    assert time.monotonic() - began < 5


def test_only_models_with_image_output_return_images():
    """An edit by a model without image output is answered with a description."""
    answer = message("Make it red", flat("grey"), model="emby-mock-vision")
    assert "images" not in answer
    assert "mostly gray" in answer["content"]
    assert "images" in message(PUPPY, model="emby-mock")


FACTS = {
    "width": {"type": "integer"},
    "imageHeight": {"type": "integer"},
    "format": {"enum": ["png", "jpeg"]},
    "dominant_color": {"type": "string"},
    "colors": {"type": "array", "items": {"type": "string"}},
    "brightness": {"type": "number", "minimum": 0, "maximum": 1},
    "is_animated": {"type": "boolean"},
    "orientation": {"enum": ["portrait", "landscape"]},
    "person_count": {"type": "integer"},
    "score": {"type": ["number", "null"]},
}
PHOTO = {
    "width": 451,
    "imageHeight": 300,
    "format": "png",
    "dominant_color": "red",
    "colors": ["red"],
    "brightness": 0.3,
    "is_animated": False,
    "orientation": "landscape",
    "person_count": 0,
    "score": None,
}


def test_json_about_an_image_is_measured():
    """Properties named like a measurement have its value, and others 0 or null."""
    schema = json_schema({"type": "object", "properties": FACTS, "required": list(FACTS)})
    assert as_json("Measure it", schema, flat("red", (451, 300))) == PHOTO
    keys = as_json("JSON with keys: width, color", {"type": "json_object"}, flat("red", (451, 300)))
    assert keys == {"width": 451, "color": "red"}


def test_json_about_several_images_has_an_item_for_each():
    """An array of objects has one item per image, with its own measurements."""
    item = {"type": "object", "properties": {"width": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"photos": {"type": "array", "items": item}}}
    result = as_json("Measure", json_schema(schema), flat("red", (10, 5)), flat("red", (20, 5)))
    assert result == {"photos": [{"width": 10}, {"width": 20}]}
