"""The hooks of one client, called through pluggy's own relay, wrappers included.

pluggy lets one exception end the call of a hook. For the hooks that promise to survive a faulty
plugin (`_CHECKS`), a plugin's functions are guarded at its registration.

Only the list of entry points is kept for the process; each client has a manager of its own.
"""

import logging
import warnings
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from emby_plugins import _default_plugin as default_plugin, _hookspecs as hookspecs
from emby_plugins._catalog import ModelCard
from emby_plugins._errors import EmbyError
from emby_plugins._preparation import ImageFilter
from emby_plugins._protocol.backend import Backend
from emby_plugins.mock import plugin as mock_plugin

_log = logging.getLogger("emby_plugins")

_T = TypeVar("_T")


class _PluginManager(pluggy.PluginManager):
    """Passes over the attributes that Python defines.

    They are most of a plugin's, and pluggy looks each up without running it, which takes most of
    the time in which a client is made.
    """

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> pluggy.HookspecOpts | None:
        return None if name.startswith("__") else super().parse_hookspec_opts(module_or_class, name)


class Plugins:
    """The built-in plugins, the installed ones (entry point group `emby`), and `extra`."""

    def __init__(self, extra: Iterable[object] = ()) -> None:
        self._manager = _PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._register(mock_plugin.MockPlugin(self._manager.hook))
        for entry in _installed():
            try:
                self._register(entry.load(), entry.name)
            except Exception as error:  # noqa: BLE001 - a broken plugin must not break the client
                warnings.warn(f"The plugin {entry.name!r} did not load: {error!r}", stacklevel=2)
        for plugin in extra:
            self._register(plugin)
        # Last, since of several `trylast` implementations the one registered last is called last.
        self._register(default_plugin)
        self._manager.check_pending()
        hook = self._manager.hook
        self.observe_calls = bool(
            hook.emby_call_started.get_hookimpls()
            or hook.emby_call_finished.get_hookimpls()
            or hook.emby_image_received.get_hookimpls()
        )
        """Whether any plugin records calls."""
        self.read_records = any(
            "record" in impl.argnames
            for caller in (hook.emby_call_started, hook.emby_call_finished)
            for impl in caller.get_hookimpls()
        )
        """Whether any reads the record of a call: for others none is made, and no image hashed."""
        models = hook.emby_models.get_hookimpls()
        self._has_models = any(impl.plugin is not default_plugin for impl in models)

    def backend(self, url: str) -> Backend | None:
        """The backend in this process for that base URL, if a plugin has one."""
        backend: Backend | None = self._manager.hook.emby_backend(url=url)
        return backend

    def models(self, *, built_in: bool = True) -> list[ModelCard]:
        """The models known without a request, each once; `built_in=False` leaves out the core's."""
        if not built_in and not self._has_models:
            return []
        hidden = () if built_in else (default_plugin,)
        return self._call("emby_models", _joined, hidden) or []

    def with_models(self, listed: Iterable[ModelCard]) -> list[ModelCard]:
        """The gateway's list, completed by what plugins know and followed by what they add."""
        cards = {card.id: card for card in listed}
        for card in self.models(built_in=False):
            known = cards.get(card.id)
            cards[card.id] = card if known is None else known.updated_by(card)
        return list(cards.values())

    def image_filters(self, model: ModelCard) -> list[ImageFilter]:
        """Return the image filters for a model, those of the plugin registered first in front."""
        by_plugin: list[Iterable[ImageFilter]] = self._manager.hook.emby_image_filters(model=model)
        return [step for filters in reversed(by_plugin) for step in filters]

    def add_hint(self, error: EmbyError) -> None:
        """Give the error the hint of a plugin; else it keeps its own, or gets a built-in one."""
        hint = self._call("emby_error_hint", str, error=error, models=self.models())
        error.hint = hint or error.hint

    def notify(self, name: str, **arguments: object) -> None:
        """Call a hook that returns nothing."""
        self._call(name, _nothing, (), **arguments)

    def _call(
        self,
        name: str,
        convert: Callable[[Any], _T],
        hidden: Iterable[object] = (),
        **arguments: object,
    ) -> _T | None:
        """The converted answer to a hook in which a faulty plugin costs only itself."""
        try:
            answer = self._manager.subset_hook_caller(name, hidden)(**arguments)
            return None if answer is None else convert(answer)
        except Exception as error:  # noqa: BLE001 - what a wrapper made of the answers
            _log.warning("The answers to %s can't be used: %r", name, error)
            return None

    def _register(self, plugin: object, name: str | None = None) -> None:
        self._manager.register(plugin, name)
        label = name or str(getattr(plugin, "__name__", type(plugin).__name__))
        for caller in self._manager.get_hookcallers(plugin) or ():
            check = _CHECKS.get(caller.name)
            for impl in caller.get_hookimpls():
                if check and impl.plugin is plugin:
                    is_wrapper = impl.wrapper or impl.hookwrapper
                    what = f"{caller.name} of the plugin {label!r}"
                    # pluggy offers no way to guard an implementation. The attribute is public and
                    # read at each call, so replacing it leaves the order and wrappers to pluggy.
                    impl.function = (  # type: ignore[misc]
                        _guarded_wrapper(impl.function, what)
                        if is_wrapper
                        else _guarded(impl.function, what, partial(check, label))
                    )


def _guarded(
    function: Callable[..., Any], what: str, check: Callable[[Any], Any]
) -> Callable[..., Any]:
    """The implementation of a hook; if it fails, a warning and no answer."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            answer = function(*args, **kwargs)
            return None if answer is None else check(answer)
        except Exception as error:  # noqa: BLE001 - see the module
            _log.warning("%s failed: %r", what, error)
            return None

    return call


def _guarded_wrapper(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The wrapper of a hook, in either of pluggy's forms; if it fails, it changes nothing."""

    def call(*args: Any, **kwargs: Any) -> Generator[None, Any, Any]:
        wrapper = None
        try:
            wrapper = function(*args, **kwargs)
            next(wrapper)
        except Exception as error:  # noqa: BLE001 - see the module
            _log.warning("%s failed: %r", what, error)
            wrapper = None
        answer = yield
        try:
            if wrapper is not None:
                wrapper.send(answer)
                wrapper.close()
                _log.warning("%s failed: it yields twice", what)
        except StopIteration as end:
            return end.value
        except Exception as error:  # noqa: BLE001 - see the module
            _log.warning("%s failed: %r", what, error)
        return answer

    return call


def _check_cards(label: str, answer: Iterable[ModelCard]) -> list[ModelCard]:
    """The cards, marked as the plugin's. Read here, since an iterator may fail as well."""
    return [replace(card, plugin=card.plugin or label) for card in answer]


def _nothing(*_: object) -> None:
    """No answer is expected."""


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "emby_models": _check_cards,
    "emby_error_hint": lambda _, answer: str(answer) or None,
    "emby_call_started": _nothing,
    "emby_call_finished": _nothing,
    "emby_image_received": _nothing,
}
"""The hooks in which a faulty plugin costs only itself, and what becomes of each answer."""


def _joined(answers: Iterable[Iterable[ModelCard]]) -> list[ModelCard]:
    # The plugin called first is put last, so that its cards replace those of the others.
    cards = [card for answer in reversed(list(answers)) for card in answer]
    return list({card.id: card for card in cards}.values())


def plugin_models() -> list[ModelCard]:
    """The models of the installed plugins, found once per process."""
    return list(_installed_models())


@cache
def _installed_models() -> tuple[ModelCard, ...]:
    return tuple(Plugins().models(built_in=False)) if _installed() else ()


@cache
def _installed() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=hookspecs.PROJECT))
