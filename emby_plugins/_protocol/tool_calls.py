"""Put the fragments of tool calls together."""

from collections.abc import Iterator
from dataclasses import dataclass

from emby_plugins._chat import ToolCallDelta
from emby_plugins._messages import ToolCall
from emby_plugins._protocol.body import is_object
from emby_plugins._protocol.pieces import Pieces

# Some gateways send the name of a call, or nothing, before its arguments.
_FEW = 4


@dataclass(slots=True)
class Fragment:
    """A tool call, or a fragment of one, as received.

    `extra` is JSON that came with it. Calls of a reply that was not streamed are whole.
    """

    index: int | None
    id: str
    name: str
    arguments: str
    extra: bytes = b""
    is_whole: bool = False


class _Call:
    """A tool call that is still being received."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self, id: str) -> None:  # noqa: A002 - its name on the wire
        self.id = id
        self.name = ""
        self.arguments = Pieces()


class ToolCalls:
    """The tool calls of one reply."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}
        self._index_by_id: dict[str, int] = {}
        self._index_at: dict[int, int] = {}
        self._last_index = -1

    def add(self, fragment: Fragment) -> ToolCallDelta:
        """Add a fragment, and return it as an event; the first one of a call has its id."""
        index = self._index_of(fragment)
        call = self._calls.get(index)
        new = call is None
        if call is None:
            call = self._new_call(index, fragment.id or f"call_{index}")
        self._index_at[index if fragment.index is None else fragment.index] = index
        # Some gateways repeat the name in every fragment. Hosts concatenate names, so emit it once.
        name = "" if call.name else fragment.name
        call.name = call.name or name
        arguments = call.arguments.add(fragment.arguments)
        return ToolCallDelta(index, call.id if new else "", name, arguments)

    def finish(self) -> Iterator[ToolCallDelta]:
        """Add what is missing of each call's text; see `Pieces.finish`."""
        for index, call in self._calls.items():
            if rest := call.arguments.finish():
                yield ToolCallDelta(index, arguments=rest)

    def id_at(self, index: int) -> str:
        """The id of the call at an index that an event had."""
        return self._calls[index].id

    def value(self) -> tuple[ToolCall, ...]:
        """The calls so far, in order."""
        return tuple(
            ToolCall(call.id, call.name, "".join(call.arguments) or "{}")
            for _, call in sorted(self._calls.items())
        )

    def _index_of(self, fragment: Fragment) -> int:
        """Return the index of the call that a fragment belongs to, or that of a new call."""
        index = self._named_index(fragment)
        there = self._calls.get(index)
        return self._last_index + 1 if there and _is_another(fragment, there) else index

    def _named_index(self, fragment: Fragment) -> int:
        """Return the index that the fragment's own fields lead to.

        The fragment's own index counts: it is that of the call that was last begun or continued
        with it, since some gateways give all calls index 0. Another id that is known, or comes with
        a name, counts more. A fragment without an index belongs to the call with its id. Otherwise
        a named one starts a new call and an unnamed one continues the last.
        """
        unused = self._last_index + 1
        if fragment.index is not None:
            index = self._index_at.get(fragment.index)
            if index is None:
                return unused if fragment.index in self._calls else fragment.index
            is_known = fragment.id in self._index_by_id
            if fragment.id in ("", self._calls[index].id) or not (fragment.name or is_known):
                return index
        if fragment.id:
            return self._index_by_id.get(fragment.id, unused)
        return unused if fragment.name else max(self._last_index, 0)

    def _new_call(self, index: int, id: str) -> _Call:  # noqa: A002
        call = self._calls[index] = _Call(id)
        self._index_by_id[id] = index
        self._last_index = max(self._last_index, index)
        return call


def _is_another(fragment: Fragment, call: _Call) -> bool:
    """Whether a fragment is a call of its own, though it has the id or the index of one.

    Some gateways stream calls that all have index 0, or the same id, or an empty one.
    """
    if fragment.is_whole or (fragment.name and call.name not in ("", fragment.name)):
        return True
    pieces = [piece for piece in call.arguments if piece] if len(call.arguments) < _FEW else []
    return bool(
        fragment.name
        and len(pieces) == 1
        and _is_object(pieces[0])
        and _is_object(fragment.arguments)
    )


def _is_object(arguments: str) -> bool:
    return is_object(arguments.encode("utf-8", "surrogatepass"))
