"""The model and the options of a command: what was given, and the user's and our defaults."""

from difflib import get_close_matches
from typing import Any, Literal

import click
import llm
from llm.cli import get_model_options, render_errors
from pydantic import ValidationError

from emby_plugins import DEFAULT_MODEL
from llm_emby._models import AsyncEmbyModel, llm_name

TIMEOUT = 300.0
"""Seconds. Images are requested unstreamed, so nothing arrives before the image is finished."""

model_options = click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    type=(str, str),
    metavar="NAME VALUE",
    help="Option of the model, as for 'llm -o'",
)
timeout_option = click.option(
    "--timeout", type=float, help=f"Seconds to wait for data  [default: {TIMEOUT:.0f}]"
)


def find_model(
    model_id: str | None, ability: Literal["generates_images", "reads_images"]
) -> AsyncEmbyModel:
    """The model with that name, with or without `emby/`, or the default if it has the ability.

    Raises `click.ClickException`, which suggests the nearest name.
    """
    if model_id is None:
        default = _find(llm.get_default_model())  # type: ignore[no-untyped-call]
        if default is not None and getattr(default, ability) is not False:
            return default
        model_id = llm_name(DEFAULT_MODEL)
    model = _find(llm_name(model_id)) or _find(model_id)
    if model is None:
        names = [
            name
            for known in llm.get_async_models()
            if isinstance(known, AsyncEmbyModel)
            for name in (known.model_id, known.model_id.removeprefix("emby/"))
        ]
        near = get_close_matches(model_id, names, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        msg = f"{model_id!r} is not an Emby model. {hint}Run 'llm emby models' to list them."
        raise click.ClickException(msg)
    return model


def _find(model_id: str) -> AsyncEmbyModel | None:
    try:
        model = llm.get_async_model(model_id)
    except llm.UnknownModelError:
        return None
    return model if isinstance(model, AsyncEmbyModel) else None


def validated_options(
    model: AsyncEmbyModel, defaults: dict[str, Any], given: dict[str, Any]
) -> dict[str, Any]:
    """The options of a request: those given, then the defaults of the user, then our own.

    Raises `click.ClickException`, which suggests the nearest name of a misspelt option.
    """
    options = {**defaults, **get_model_options(model.model_id), **given}
    try:
        return {name: value for name, value in model.Options(**options) if value is not None}
    except ValidationError as error:
        text = render_errors(error.errors())  # type: ignore[no-untyped-call]
        raise click.ClickException(text) from None
