"""Emby's errors become `llm.ModelError`s, which `llm` prints as one line instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
import llm

from emby_plugins import (
    AuthenticationError,
    EmbyError,
    EmbyTimeoutError,
    MissingKeyError,
    ModelCard,
    ModelNotFoundError,
    hookimpl,
)
from llm_emby._response import ResponseWriter

_NO_KEY = (
    "There is no key for Emby. Once you have one (docs.emby.ai tells how), 'llm keys set emby' "
    "keeps it, or set EMBY_API_KEY. 'llm -m emby-mock' needs none."
)


class Hints:
    """Advice in `llm`'s words, for clients that are made here."""

    @hookimpl(trylast=True)  # after the plugins that the user installed
    def emby_error_hint(self, error: EmbyError) -> str | None:
        """What to type, where that differs from what a program would do."""
        match error:
            case ModelNotFoundError():
                return "'llm emby models' lists what there is, 'llm emby refresh' asks the gateway."
            case AuthenticationError():
                return "'llm emby doctor' tells where the key is from, 'llm keys set emby' sets it."
            case EmbyTimeoutError():
                return "Give it longer: -o timeout 600 (seconds)."
            case _:
                return None


class KnownModel:
    """Tells a client what is known of the model, its prices among it, without asking."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card

    @hookimpl(trylast=True)
    def emby_models(self) -> list[ModelCard]:
        """The one model."""
        return [self._card]


class EmbyModelError(llm.ModelError, click.ClickException):
    """An error of Emby's. click prints it as a line where llm catches nothing, as in `llm chat`."""


class MissingKeyModelError(llm.NeedsKeyException, EmbyModelError):
    """A key is needed and there is none."""


@contextmanager
def translate_errors(outgoing: ResponseWriter) -> Iterator[None]:
    """Raise `llm.ModelError`, saying the same, in place of an `EmbyError`.

    Images that had arrived, but were not shown yet, are saved and named: they are paid for.
    """
    try:
        yield
    except MissingKeyError:
        raise MissingKeyModelError(_NO_KEY) from None
    except EmbyError as error:
        rescued = outgoing.rescue(error.partial) if error.partial else []
        saved = f" What had arrived is saved: {', '.join(map(str, rescued))}." if rescued else ""
        unsaved = "".join(f" {lost}" for lost in outgoing.unsaved)
        raise EmbyModelError(f"{error}{saved}{unsaved}") from error
