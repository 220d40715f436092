"""Names of tools as gateways take them, and back.

LangChain allows any name, such as `Resp[int]` of a generic class or `my tool`; gateways take 64
letters, digits, underscores and hyphens (`^[a-zA-Z0-9_-]{1,64}$`, OpenAI's rule).
"""

from collections.abc import Iterable
from dataclasses import replace

from emby_plugins import Message, ToolCall

_LONGEST = 64


def legal_name(name: str) -> str:
    """The name with the characters replaced that gateways refuse, and cut if too long."""
    legal = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)
    return legal[:_LONGEST] or "_"


class ToolNames:
    """The legal names of the tools of one request, each of which is unique."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        names = dict.fromkeys(names)
        self._legal = {name: name for name in names if name == legal_name(name)}
        self._originals = dict(self._legal)
        for name in names:
            if name not in self._legal:
                legal = self._unused(legal_name(name))
                self._legal[name], self._originals[legal] = legal, name

    def legal(self, name: str) -> str:
        """The name that is sent for a tool's; that of a tool of an earlier request is legal too."""
        return self._legal.get(name) or legal_name(name)

    def original(self, name: str) -> str:
        """The tool's name for one that was received."""
        return self._originals.get(name, name)

    def legalize(self, message: Message) -> Message:
        """The message with legal names of tools."""
        if message.role == "tool" and message.name:
            return replace(message, name=self.legal(message.name))
        calls = tuple(replace(call, name=self.legal(call.name)) for call in message.tool_calls)
        return replace(message, tool_calls=calls) if calls else message

    def restore(self, call: ToolCall) -> ToolCall:
        """The call that was received, to the tool as the user knows it."""
        return replace(call, name=self.original(call.name))

    def _unused(self, name: str) -> str:
        number, unused = 1, name
        while unused in self._originals:
            number += 1
            end = f"_{number}"
            unused = name[: _LONGEST - len(end)] + end
        return unused
