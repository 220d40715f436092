"""Display messages with images in IPython: the last line of a cell shows them, not their base64.

IPython is used only if already running. Messages without images are displayed as before.
"""

import sys
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage

from emby_plugins import ChatReply, EmbyError
from langchain_emby._blocks import image_blocks


def register() -> None:
    """Register the formatters with the running IPython, if any. Idempotent."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    formatters = getattr(getattr(shell, "display_formatter", None), "formatters", None)
    if formatters is not None:
        formatters["text/html"].for_type(BaseMessage, to_html)
        formatters["text/plain"].for_type(BaseMessage, print_plain)


def to_html(message: BaseMessage) -> str | None:
    """The message with its images as HTML; None without images, which leaves it to IPython."""
    return _bundle(message).get("text/html")


def print_plain(message: BaseMessage, printer: Any, cycle: bool) -> None:  # noqa: ARG001
    """Print the message with a line for each image, also inside of lists and dicts."""
    printer.text(_bundle(message).get("text/plain") or repr(message))


def _bundle(message: BaseMessage) -> dict[str, str]:
    from langchain_emby._display import to_reply

    if not image_blocks(message) and not isinstance(message, ToolMessage):
        return {}
    try:
        reply: ChatReply = to_reply(message)
        return reply._repr_mimebundle_() if reply.images else {}
    except EmbyError as error:
        return {"text/plain": f"{type(message).__name__} with images that can't be read: {error}"}
