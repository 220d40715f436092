"""`llm emby map`: its arguments become a job, checked before anything is paid for."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import llm

from emby_plugins import BatchItem
from llm_emby._errors import SIGNALED
from llm_emby._image_files import full_path, reason
from llm_emby._map import MapJob, MapRun
from llm_emby._map_file import MapFile
from llm_emby._map_progress import Progress
from llm_emby._model_choice import (
    TIMEOUT,
    find_model,
    model_options,
    timeout_option,
    validated_options,
)
from llm_emby._models import AsyncEmbyModel
from llm_emby._request import chat_arguments

_NOT_OURS = ("output", "overwrite", "mask")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".heic", ".heif", ".avif", ".tif", ".tiff")


@click.command("map")
@click.argument("prompt")
@click.argument("inputs", nargs=-1, required=True, metavar="FILE|FOLDER|URL...")
@click.option("--out", required=True, metavar="FILE", help="File for the results")
@click.option("-m", "--model", "model_id", help="Model to use, with or without emby/")
@click.option("-s", "--system", help="System prompt")
@model_options
@click.option(
    "--jobs", default=8, show_default=True, type=click.IntRange(1, 64), help="Requests at a time"
)
@click.option("--limit", type=click.IntRange(1), help="Send at most this many requests")
@timeout_option
@click.option("--key", help="API key to use")
def map_(
    prompt: str,
    inputs: tuple[str, ...],
    out: str,
    model_id: str | None,
    system: str | None,
    options: tuple[tuple[str, str], ...],
    jobs: int,
    limit: int | None,
    timeout: float | None,
    key: str | None,
) -> None:
    """Send a prompt with each of many images

    Writes a line of JSON for each image: its text, usage and cost, or the error. Generated images
    are saved beside the file. Run the same command again to continue: only images without a result
    are sent, and those that failed. --limit tries a prompt on a few of them.

    \b
        llm emby map "Describe it" photos/*.jpg --out captions.jsonl
        llm emby map "Make it a watercolor" photos --out art.jsonl --limit 3
    """  # noqa: D301 - click wants the control character
    if out in {"", "-"}:
        raise click.UsageError("--out needs the name of a file, from which a run is continued.")
    if not prompt.strip():
        raise click.UsageError("The prompt is empty.")
    model = find_model(model_id, "reads_images")
    if model.reads_images is False:
        raise click.ClickException(f"{model.model_id} does not accept images.")
    given = dict(options) | ({"timeout": timeout} if timeout is not None else {})
    chosen = validated_options(model, {"timeout": TIMEOUT}, given)
    asked = _prompt(model, prompt, system, chosen)
    names = tuple(dict.fromkeys(name for given in inputs for name in _expand(given)))
    target = full_path(out)
    folder = target.with_name(f"{target.stem}-images")
    client = model.client_settings(asked, model.get_key(key), folder)
    item = BatchItem(
        prompt,
        model=model.wire_name,
        detail=chosen.get("image_detail"),
        options=_chat_options(asked, system),
    )
    progress = Progress(len(names))
    with MapFile(target, item.task) as file:
        run = MapRun(MapJob(item, names, jobs, limit, client), file, progress)
        run.run()
    progress.finish(target.name, len(names) - progress.done)
    if run.signal:
        sys.exit(SIGNALED + run.signal)
    if run.is_stopped or progress.failed:
        sys.exit(1)


def _prompt(
    model: AsyncEmbyModel, prompt: str, system: str | None, options: dict[str, Any]
) -> llm.Prompt:
    kept = {name: value for name, value in options.items() if name not in _NOT_OURS}
    return llm.Prompt(  # type: ignore[no-untyped-call]
        prompt, model, system=system, options=model.Options(**kept)
    )


def _chat_options(prompt: llm.Prompt, system: str | None) -> dict[str, Any]:
    arguments = {"system": system, **chat_arguments(prompt, stream=False)}
    return {name: value for name, value in arguments.items() if value is not None}


def _expand(given: str) -> Iterator[str]:
    """A file or a URL itself, and the images of a folder. Raises `click.ClickException`."""
    if given.startswith(("https://", "http://")):
        yield given
        return
    path = os.path.expanduser(given)  # noqa: PTH111 - it never raises, and neither does exists()
    if not os.path.exists(path):  # noqa: PTH110
        raise click.ClickException(f"{given!r} does not exist.")
    if not Path(path).is_dir():
        yield str(Path(path))
        return
    try:
        files = sorted(Path(path).iterdir())
    except OSError as error:
        raise click.ClickException(f"{given!r} can't be read: {reason(error)}.") from None
    images = [file for file in files if file.suffix.lower() in _SUFFIXES]
    if not images:
        raise click.ClickException(f"The folder {given!r} has no images.")
    yield from map(str, images)
