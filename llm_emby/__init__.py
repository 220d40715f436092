"""Emby for the `llm` command line: its models, with images in and out.

`llm` imports every plugin at every command, so this module imports nothing but the hooks; what
a hook needs is imported when it is called.

    models      the two model classes, sync and async, and which models there are
    options     what `-o` takes
    incoming    llm's messages become Emby's
    outgoing    Emby's replies become llm's events
    pictures    generated images: saved, noted in the log, found again
    catalogue   which models are known, and the files that list them
    commands    `llm emby ...`
    gallery/    `llm emby gallery`: one page of all generated images
    painting    several images at once, for `llm emby image`
    complaints  Emby's errors become `llm.ModelError`s
"""

from collections.abc import Callable

import click
import llm


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register the models known without asking; the network is never touched here."""
    from llm_emby._models import all_models

    for model, async_model, aliases in all_models():
        register(model, async_model, aliases=aliases)


@llm.hookimpl
def register_commands(cli: click.Group) -> None:
    """Register `llm emby ...`."""
    cli.add_command(_Commands("emby", help="Images and models of Emby, the model gateway"))


class _Commands(click.Group):
    """The group of our commands, which are imported when one of them is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from llm_emby._commands import emby

        return emby.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from llm_emby._commands import emby

        return emby.get_command(ctx, cmd_name)


@llm.hookimpl
def register_fragment_loaders(register: Callable[..., None]) -> None:
    """Register `-f emby-image:PATH`, by which `llm chat` takes pictures."""
    register("emby-image", _load_image)


def _load_image(argument: str) -> llm.Attachment:
    """Attach a picture: a path, or an https address, such as emby-image:photo.png"""
    from llm_emby._request import attachment_of

    return attachment_of(argument)
