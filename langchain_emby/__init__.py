"""Emby for LangChain: a chat model whose generated images survive.

    from langchain_emby import ChatEmby, images_of

    chat = ChatEmby()                       # EMBY_API_KEY; ChatEmby(base_url="mock:") needs none
    message = chat.invoke("Generate an image of a puppy in a meadow")
    images_of(message)[0].save("puppy")

These are all the public names. They are resolved when first used: importing costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_emby.blocks import block_image, image_block, images_of
    from langchain_emby.chat_models import ChatEmby
    from langchain_emby.display import show
    from langchain_emby.image_ids import image_id
    from langchain_emby.image_tool import EmbyImageTool
    from langchain_emby.parsers import ImagesOutputParser

__all__ = [
    "ChatEmby",
    "EmbyImageTool",
    "ImagesOutputParser",
    "block_image",
    "image_block",
    "image_id",
    "images_of",
    "show",
]

_HOME = {
    "ChatEmby": "chat_models",
    "EmbyImageTool": "image_tool",
    "ImagesOutputParser": "parsers",
    "block_image": "blocks",
    "image_block": "blocks",
    "image_id": "image_ids",
    "images_of": "blocks",
    "show": "display",
}


def __getattr__(name: str) -> object:
    room = _HOME.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
