"""Composes the hooks. One `Plugins` a client: nothing here is global but the list of entry points.

pluggy calls the plugin registered last first, and one exception silences the rest; here each is
called on its own, so that a faulty one costs only itself.
"""

import logging
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from emby_plugins import _default_plugin as hints, _hookspecs as hookspecs
from emby_plugins._call_record import CallRecord
from emby_plugins._catalog import ModelCard
from emby_plugins._chat import ChatReply, ChatRequest
from emby_plugins._errors import EmbyError
from emby_plugins._protocol.backend import Backend
from emby_plugins.mock import plugin as mock_plugin

_log = logging.getLogger("emby_plugins")


class Plugins:
    """The built-in plugins, the installed ones (entry point group `emby`), and `extra`."""

    def __init__(self, extra: Iterable[object] = ()) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        built_in: tuple[object, ...] = (hints, mock_plugin.MockPlugin(self._manager.hook))
        for plugin in built_in:
            self._manager.register(plugin)
        for entry in _installed():
            try:
                self._manager.register(entry.load(), entry.name)
            except Exception as error:  # noqa: BLE001 - a broken plugin must not break the client
                warnings.warn(f"The plugin {entry.name!r} did not load: {error!r}", stacklevel=2)
        for plugin in extra:
            self._manager.register(plugin)
        self._manager.check_pending()
        hook = self._manager.hook
        self.observe_calls = bool(
            hook.emby_call_started.get_hookimpls() or hook.emby_call_finished.get_hookimpls()
        )
        """Whether any plugin wants to be told of calls: no record is made otherwise."""

    def backend(self, url: str) -> Backend | None:
        """The backend in this process for that base URL, if a plugin has one."""
        backend: Backend | None = self._manager.hook.emby_backend(url=url)
        return backend

    def models(self) -> list[ModelCard]:
        """The models known without asking the gateway, each once."""
        cards: dict[str, ModelCard] = {}
        for plugin, answer in reversed(list(self._each("emby_models"))):
            try:
                cards |= {card.id: card for card in answer}
            except Exception as error:  # noqa: BLE001 - see the class
                _log.warning("emby_models of %r failed: %r", plugin, error)
        return list(cards.values())

    def add_hint(self, error: EmbyError) -> None:
        """Give the error a hint where it has none."""
        if not error.hint:
            hints = self._each("emby_error_hint", error=error, models=self.models())
            error.hint = next((hint for _, hint in hints if hint), "")

    def call_started(self, record: CallRecord, request: ChatRequest | None) -> None:
        """Tell the plugins that a call begins."""
        for _ in self._each("emby_call_started", record=record, request=request):
            pass

    def call_finished(
        self, record: CallRecord, request: ChatRequest | None, reply: ChatReply
    ) -> None:
        """Tell the plugins that a call is over."""
        arguments = {"record": record, "request": request, "reply": reply}
        for _ in self._each("emby_call_finished", **arguments):
            pass

    def _each(self, name: str, **arguments: object) -> Iterator[tuple[str, Any]]:
        """What each plugin answers to a hook, the last registered first; failures are logged."""
        for impl in reversed(getattr(self._manager.hook, name).get_hookimpls()):
            try:
                given = [arguments[argument] for argument in impl.argnames]
                yield impl.plugin_name, impl.function(*given)
            except Exception as error:  # noqa: BLE001 - see the class
                _log.warning("%s of %r failed: %r", name, impl.plugin_name, error)


@cache
def _installed() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=hookspecs.PROJECT))
