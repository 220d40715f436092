"""Helpers for the tests of other clients."""

from typing import Any

from emby_plugins import Image

KEY = "k-of-the-foreign"
PUPPY = "Generate an image of a puppy"

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def user(*content: Any) -> list[Any]:
    """Return a conversation of one message: text, or text and images."""
    if len(content) == 1:
        return [{"role": "user", "content": content[0]}]
    text, *images = content
    shown = [{"type": "image_url", "image_url": {"url": image}} for image in images]
    return [{"role": "user", "content": [{"type": "text", "text": text}, *shown]}]


def opened(items: Any) -> list[Image]:
    """Return the decoded images of an `images` array."""
    return [Image.from_data_url(item["image_url"]["url"]) for item in items]
