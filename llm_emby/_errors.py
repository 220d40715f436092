"""Emby's errors as `llm.ModelError`s, which `llm` prints as one line instead of a traceback."""

import asyncio
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

import click
import llm

from emby_plugins import (
    AuthenticationError,
    BillingError,
    ConfigurationError,
    EmbyError,
    EmbyTimeoutError,
    MissingKeyError,
    ModelCard,
    ModelNotFoundError,
    PermissionDeniedError,
    TruncatedReplyError,
    hookimpl,
)
from llm_emby._keys import key_source
from llm_emby._response import ResponseWriter

_KEY_HINT = (
    "Run 'llm keys set emby' or set EMBY_API_KEY (get a key: docs.emby.ai). "
    "To try without one: llm -m emby-mock."
)
_NO_KEY = f"No API key for Emby. {_KEY_HINT}"


FATAL_ERRORS = (
    ConfigurationError,
    AuthenticationError,
    BillingError,
    PermissionDeniedError,
    ModelNotFoundError,
)
"""Every further request would fail in the same way."""

SIGNALED = 128
"""The exit status of a command ended by a signal, less the signal's number."""

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_received = [int(signal.SIGINT)]

# A hint for a program, such as "Increase timeout=" or "Message.user() takes them".
_PYTHON = re.compile(r"\w\(|[a-z]=|\berror\.")


@contextmanager
def ending_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, so that what has arrived is kept.

    `timeout` sends them, and a terminal that is closed. Handlers of others are left alone.
    """
    handled = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        handled = []
    for number in handled:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def interrupted_status() -> int:
    """The exit status after Ctrl-C, or the signal that came instead."""
    return SIGNALED + _received[-1]


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    on_ctrl_c = signal.getsignal(signal.SIGINT)  # asyncio has one of its own
    if callable(on_ctrl_c):
        on_ctrl_c(number, frame)
    else:  # Ctrl-C is ignored in background jobs
        raise KeyboardInterrupt


class Hints:
    """Hints in terms of the command line, for a client that uses `key`."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    @hookimpl(trylast=True)  # after the plugins that the user installed
    def emby_error_hint(self, error: EmbyError) -> str | None:
        """What to type, if that differs from what a program would do."""
        match error:
            case ModelNotFoundError():
                return "'llm emby models' lists the models, 'llm emby refresh' updates the list."
            case MissingKeyError():
                return _KEY_HINT
            case AuthenticationError():
                source = f"The key came from {key_source(self._key)}." if self._key else ""
                return f"{source} Run 'llm keys set emby' to store another key.".strip()
            case EmbyTimeoutError():
                return "Increase -o timeout or -o deadline (in seconds)."
            case TruncatedReplyError():
                return "Sending it again is a new, paid request."
            case _:
                return None


class KnownModel:
    """Gives a client what is known about the model, such as its prices, without a request."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card

    @hookimpl(trylast=True)
    def emby_models(self) -> list[ModelCard]:
        """The one model."""
        return [self._card]


def shell_message(error: EmbyError) -> str:
    """The message of an error, without a hint that only a program can follow."""
    if _PYTHON.search(error.hint):
        error.hint = ""
    return str(error)


class EmbyModelError(llm.ModelError, click.ClickException):
    """An error of Emby's. click prints it as a line if llm doesn't, as in `llm chat`."""


class MissingKeyModelError(llm.NeedsKeyException, EmbyModelError):
    """A key is required and there is none."""


@contextmanager
def translate_errors(writer: ResponseWriter) -> Iterator[None]:
    """Raise `llm.ModelError` with the same message in place of an `EmbyError`.

    Images that arrived but were not delivered yet are saved and named, also after Ctrl-C: they have
    been paid for.
    """
    try:
        with ending_signals() if writer.is_command else nullcontext():
            yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        writer.interrupt()
        if writer.is_command:
            raise SystemExit(interrupted_status()) from None
        raise
    except GeneratorExit:  # Ctrl-C or a closed pipe, while llm was printing
        writer.interrupt(is_silent=True)
        raise
    except MissingKeyError as error:
        raise MissingKeyModelError(_NO_KEY) from error
    except EmbyError as error:
        rescued = writer.rescue(error.partial) if error.partial else []
        saved = f" Images received so far: {', '.join(map(str, rescued))}." if rescued else ""
        unsaved = "".join(f" {lost}" for lost in writer.unsaved)
        raise EmbyModelError(f"{shell_message(error)}{saved}{unsaved}") from error
