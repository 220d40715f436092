"""Messages as the last line of a cell, in a minimal IPython."""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from lc_support import PNG, Script, b64

from emby_plugins import Image
from langchain_emby import ChatEmby, EmbyImageTool, _notebooks as notebooks, image_block

RED = Image.from_bytes(PNG)


class Formatter:
    """An IPython formatter: a function for each type, looked up in the MRO."""

    def __init__(self) -> None:
        self.functions: dict[type, Callable[..., Any]] = {}

    def for_type(self, kind: type, function: Callable[..., Any]) -> None:
        self.functions[kind] = function

    def __call__(self, shown: object, *args: Any) -> Any:
        found = (self.functions[kind] for kind in type(shown).__mro__ if kind in self.functions)
        return next(found)(shown, *args)


@pytest.fixture
def formatters(monkeypatch: pytest.MonkeyPatch) -> dict[str, Formatter]:
    """The formatters of a running IPython in which the package was imported."""
    found = {"text/html": Formatter(), "text/plain": Formatter()}
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters=found))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    notebooks.register()
    return found


def printed(formatters: dict[str, Formatter], message: BaseMessage) -> str:
    """Return IPython's text for a message."""
    lines: list[str] = []
    formatters["text/plain"](message, SimpleNamespace(text=lines.append), False)
    return "".join(lines)


def drawn_by_tool() -> ToolMessage:
    """Return a tool message with an image only in its artifact."""
    script = Script("", (PNG,))
    tool = EmbyImageTool(base_url="script:", plugins=[script], show_images=False)
    call = {"type": "tool_call", "id": "1", "name": tool.name, "args": {"prompt": "a fox"}}
    return tool.invoke(call)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Script("Here:", (PNG,)).chat().invoke("Draw."),
        lambda: next(iter(Script("", (PNG,)).chat().stream("Draw."))),
        lambda: HumanMessage(["Look:", image_block(RED)]),
        drawn_by_tool,
    ],
    ids=["reply", "chunk", "question", "tool"],
)
def test_a_message_with_images_shows_them(
    make: Callable[[], BaseMessage], formatters: dict[str, Formatter]
) -> None:
    """A message's images are shown as HTML, and its text has a line for each without base64."""
    message = make()
    assert "<img" in formatters["text/html"](message)
    text = printed(formatters, message)
    assert repr(RED) in text
    assert b64(PNG)[:40] not in text


def test_a_message_without_images_is_shown_by_default(formatters: dict[str, Formatter]) -> None:
    """A message without images is shown by IPython's default."""
    for message in (AIMessage("Hello"), HumanMessage("Hi"), ToolMessage("Done", tool_call_id="1")):
        assert formatters["text/html"](message) is None
        assert printed(formatters, message) == repr(message)


def test_an_unreadable_image_does_not_break_the_cell(formatters: dict[str, Formatter]) -> None:
    """An unreadable image is described in the text instead of raising."""
    message = HumanMessage([{"type": "image", "base64": "?", "mime_type": "image/png"}])
    assert formatters["text/html"](message) is None
    assert "can't be read" in printed(formatters, message)


def test_without_ipython_nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a running IPython nothing is registered."""
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    notebooks.register()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    notebooks.register()


def test_the_docs_check_of_a_stored_model_keeps_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented check refuses to load a stored model for another host with the key."""
    monkeypatch.setenv("EMBY_API_KEY", "sk-very-secret-indeed")

    def check_host(path: tuple[str, ...], fields: dict[str, Any]) -> None:
        if fields.get("emby_api_base") not in (None, "https://api.emby.dev/v1", "mock:"):
            raise ValueError(f"Refusing to send the key to {fields['emby_api_base']!r}.")

    options: dict[str, Any] = {
        "allowed_objects": [ChatEmby],
        "valid_namespaces": ["langchain_emby"],
        "secrets_from_env": True,
        "init_validator": check_host,
    }
    for base_url in (None, "https://api.emby.dev/v1", "mock:"):
        again = loads(dumps(ChatEmby(base_url=base_url)), **options)
        assert again.emby_api_key.get_secret_value() == "sk-very-secret-indeed"
    stolen = dumps(ChatEmby(base_url="https://evil.example/v1"))
    with pytest.raises(ValueError, match=r"evil\.example"):
        loads(stolen, **options)
