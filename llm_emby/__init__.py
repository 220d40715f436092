"""Emby for the `llm` command line: its models, with images in and out.

`llm` imports every plugin at every command, so this module imports nothing but the hooks; what
a hook needs is imported when it is called.

    _models         the sync and the async model class, and the list of models
    _options        the options that `-o` takes
    _request        from llm's messages and options to Emby's
    _response       from Emby's replies to llm's events
    _image_files    generated images: saved, recorded in the log, loaded again
    _model_list     the known models, and the files that list them
    _commands       `llm emby ...`
    _image_command  `llm emby image`: its arguments, checked before anything is paid for
    _map_command    `llm emby map`: its arguments, checked before anything is paid for
    _map            runs the requests of `llm emby map`
    _map_file       its results: lines of JSON, from which a run is resumed
    _map_progress   its progress messages
    _status_line    the progress of a command, on a terminal; its colors
    _model_choice   the model and the options of a command
    _generation     runs the requests of `llm emby image`
    _delivery       what `llm emby image` prints
    _gallery        `llm emby gallery`: a page of all generated images
    _templates      the prompts of `llm -t emby:NAME`
    _doctor         `llm emby doctor`
    _keys           the API key and its source
    _errors         Emby's errors as `llm.ModelError`s
"""

from collections.abc import Callable

import click
import llm


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register the known models, without network access."""
    from llm_emby._models import all_models

    for model, async_model, aliases in all_models():
        register(model, async_model, aliases=aliases)


@llm.hookimpl
def register_commands(cli: click.Group) -> None:
    """Register `llm emby ...`."""
    text = "Generate images, list models, check the setup"
    cli.add_command(_Commands("emby", help=text, epilog=_EXAMPLES))


_EXAMPLES = """\b
Three things to try, the first without a key:
  llm emby image "a lighthouse at dusk" -m emby-mock
  llm -m emby/qwen2.5-vision "What is shown here?" -a photo.jpg
  llm emby doctor
"""


class _Commands(click.Group):
    """The group of commands, which are imported when one of them is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from llm_emby._commands import emby

        return emby.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from llm_emby._commands import emby

        return emby.get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near or "Did you mean" in error.message:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from None


@llm.hookimpl
def register_template_loaders(register: Callable[..., None]) -> None:
    """Register the prompts `llm -t emby:NAME`."""
    register("emby", _load_template)


def _load_template(name: str) -> llm.Template:
    """A prompt for images: describe, compare, ocr, variations or edit, such as emby:describe"""
    from llm_emby._templates import load_template

    return load_template(name)


@llm.hookimpl
def register_fragment_loaders(register: Callable[..., None]) -> None:
    """Register `-f emby-image:PATH`, which attaches an image in `llm chat`."""
    register("emby-image", _load_image)


def _load_image(argument: str) -> llm.Attachment:
    """Attach an image: a path or an https URL, such as emby-image:photo.png"""
    from llm_emby._request import read_attachment

    return read_attachment(argument)
