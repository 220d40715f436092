"""Tool calls over several rounds: the mock's replies after a tool's result."""

import base64
import io
import json

import pytest
from mock_help import chat, image_part, message, send
from PIL import Image

NAMES = ("weather", "report")
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in NAMES
]
RED = io.BytesIO()
Image.new("RGB", (4, 4), "red").save(RED, format="PNG")
PICTURE = image_part("data:image/png;base64," + base64.b64encode(RED.getvalue()).decode())


def rounds(count: int, *more: dict) -> list[dict]:
    """Return a question, and this many calls with their results."""
    call = {"id": "1", "type": "function", "function": {"name": NAMES[0], "arguments": "{}"}}
    answer = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "1", "content": "sunny"}
    return [{"role": "user", "content": "What is the weather?"}, *[answer, result] * count, *more]


@pytest.mark.parametrize(("count", "name"), [(0, "weather"), (1, "report"), (2, "report")])
def test_required_calls_the_next_tool(count, name):
    """With `required`, each round calls the next tool, and finally the last one again."""
    answer = message(rounds(count), tools=TOOLS, tool_choice="required", profile="2025-12")
    assert answer["tool_calls"][0]["function"]["name"] == name


def test_a_named_tool_is_called_after_results_too():
    """A tool chosen by name is called after any history."""
    choice = {"type": "function", "function": {"name": "report"}}
    answer = message(rounds(1), tools=TOOLS, tool_choice=choice)
    assert answer["tool_calls"][0]["function"]["name"] == "report"


def test_a_new_question_starts_again():
    """Rounds are counted from the user's last message."""
    question = {"role": "user", "content": "And tomorrow?"}
    answer = message(rounds(1, question), tools=TOOLS, tool_choice="required", profile="2025-12")
    assert answer["tool_calls"][0]["function"]["name"] == "weather"


def test_images_after_a_result_are_described():
    """A user's message with images only, after a result, is described as part of the result."""
    body = chat(rounds(1, {"role": "user", "content": [PICTURE]}), tools=TOOLS)
    answer = json.loads(b"".join(send(body).body))["choices"][0]["message"]
    assert not answer.get("tool_calls")
    assert answer["content"].startswith("The tool returned: sunny The image is a PNG of 4x4")
    assert not answer.get("images")


def test_arguments_with_a_default_are_left_out():
    """Arguments with a default are left out, unless no other one is required."""
    properties = {"city": {"type": "string"}, "unit": {"type": "string", "default": "c"}}
    for required, names in ((["city"], ["city"]), (["unit"], ["city", "unit"])):
        parameters = {"type": "object", "properties": properties, "required": required}
        tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
        call = message("What is the weather?", tools=[tool])["tool_calls"][0]
        assert list(json.loads(call["function"]["arguments"])) == names


DRAW = {
    "type": "function",
    "function": {
        "name": "generate_image",
        "parameters": {
            "type": "object",
            "properties": {
                "prompt": {"type": "string"},
                "images": {"type": "array", "items": {"type": "string"}, "default": []},
            },
            "required": ["prompt"],
        },
    },
}


@pytest.mark.parametrize(
    ("prompt", "arguments"),
    [
        ("Now make it grayscale", {"images": ["image_0badcafe"]}),
        ("What is it?", None),
        ("Generate an image of a boat", {}),
    ],
)
def test_an_edit_of_a_tools_image_calls_the_tool(prompt, arguments):
    """An edit calls the tool again with the ids of its images, but a question does not."""
    call = {"id": "1", "type": "function", "function": {"name": "generate_image", "arguments": ""}}
    past = [
        {"role": "user", "content": "Generate an image of a robin"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "image_0badcafe: image/png"},
        {"role": "assistant", "content": "Here it is."},
        {"role": "user", "content": prompt},
    ]
    made = message(past, tools=[DRAW]).get("tool_calls")
    found = json.loads(made[0]["function"]["arguments"]) if made else None
    assert found == (None if arguments is None else {"prompt": prompt, **arguments})
