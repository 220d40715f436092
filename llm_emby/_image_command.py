"""`llm emby image`: its arguments become a job, checked before anything is paid for."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import llm

from emby_plugins import Image, InvalidImageError
from llm_emby._delivery import Delivery, Form
from llm_emby._errors import ending_signals, interrupted_status
from llm_emby._generation import ImageJob, generate_images
from llm_emby._image_files import find_obstacle, full_path
from llm_emby._model_choice import (
    TIMEOUT,
    find_model,
    model_options,
    timeout_option,
    validated_options,
)
from llm_emby._request import read_attachment

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.argument("prompt", required=False)
@click.option("-m", "--model", "model_id", help="Model to use, with or without emby/")
@click.option(
    "-a",
    "--attachment",
    "images",
    multiple=True,
    metavar="PATH|URL|-",
    help="Image to start from; - is standard input",
)
@click.option("--out", metavar="FILE|DIR|-", help="Where to save the images; - is standard output")
@click.option("--force", is_flag=True, help="Replace existing files")
@click.option(
    "-n", "count", default=1, type=click.IntRange(1, 64), help="Number of images to request"
)
@click.option(
    "--fresh/--no-fresh",
    default=None,
    help="Request a new image, or allow one from a cache  [default: fresh]",
)
@click.option("--aspect-ratio", help="Aspect ratio, such as 16:9")
@click.option("--size", help="1K, 2K or 4K")
@click.option(
    "--mask",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Image whose transparent pixels mark what to edit",
)
@click.option(
    "--endpoint",
    type=click.Choice(["auto", "chat", "images"]),
    help="Endpoint of the gateway  [default: auto]",
)
@model_options
@timeout_option
@click.option("--open", "open_", is_flag=True, help="Open the images")
@click.option("--preview", is_flag=True, help="Show the images in the terminal")
@click.option("--json", "as_json", is_flag=True, help="Print facts about the images as JSON")
@click.option("--key", help="API key to use")
def image(
    prompt: str | None,
    model_id: str | None,
    images: tuple[str, ...],
    out: str | None,
    force: bool,
    count: int,
    fresh: bool | None,
    aspect_ratio: str | None,
    size: str | None,
    mask: str | None,
    endpoint: str | None,
    options: tuple[tuple[str, str], ...],
    timeout: float | None,
    open_: bool,
    preview: bool,
    as_json: bool,
    key: str | None,
) -> None:
    """Generate images, or edit those given with -a

    Prints the path of each. Without PROMPT, or with -, the prompt is read from standard input.
    Default options set with 'llm models options set' apply, and the default model if it is an
    Emby model that generates images.

    \b
        llm emby image "a lighthouse at dusk" --out lighthouse.png
        llm emby image "make it a watercolor" -a lighthouse.png
        llm emby image "a fox" -n 4 --out foxes
        cat idea.txt | llm emby image --out idea.png
    """  # noqa: D301 - click wants the control character
    _check_output(out, count, as_json=as_json)
    model = find_model(model_id, "generates_images")
    flags = {
        "output": out if out != "-" else None,
        "overwrite": force or None,
        "fresh": fresh,
        "aspect_ratio": aspect_ratio,
        "image_size": size,
        "mask": mask,
        "endpoint": endpoint,
        "timeout": timeout,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    chosen = validated_options(model, {"timeout": TIMEOUT}, dict(options) | given)
    if out == "-":
        chosen.pop("output", None)
    job = ImageJob(
        model=model,
        prompt=_read_prompt(prompt, stdin_is_image="-" in images),
        attachments=tuple(map(_read_attachment, images)),
        options=chosen,
        key=key,
        count=count,
    )
    if "output" in chosen:
        _check_files(chosen["output"], count, overwrite=bool(chosen.get("overwrite")))
    form: Form = "bytes" if out == "-" else "json" if as_json else "paths"
    _generate(job, Delivery(form, count, _viewers(count, preview=preview, open_=open_)))


def _viewers(count: int, *, preview: bool, open_: bool) -> list[Callable[[Path, Image], object]]:
    """Functions that show each delivered image."""
    viewers: list[Callable[[Path, Image], object]] = []
    if preview:
        viewers.append(_Preview(count))
    if open_:
        viewers.append(lambda path, _: click.launch(str(path)))
    return viewers


def _generate(job: ImageJob, delivery: Delivery) -> None:
    """Run the job, and exit with a status other than 0 if an image is missing."""
    try:
        with ending_signals():
            generate_images(job, delivery)
    except KeyboardInterrupt:
        sys.exit(interrupted_status())
    if delivery.has_failed:
        sys.exit(1)


def _read_prompt(prompt: str | None, *, stdin_is_image: bool) -> str:
    is_piped = prompt in {None, "-"}
    if is_piped and (stdin_is_image or sys.stdin is None or (not prompt and sys.stdin.isatty())):
        raise click.UsageError("Missing argument 'PROMPT'.")
    text = sys.stdin.read().strip() if prompt is None or is_piped else prompt
    if not text.strip():
        raise click.UsageError(f"The prompt{' on standard input' if is_piped else ''} is empty.")
    return text


def _read_attachment(argument: str) -> llm.Attachment:
    try:
        return read_attachment(argument)
    except InvalidImageError as error:
        if argument == "-":
            raise click.ClickException("Standard input is not an image.") from None
        raise click.ClickException(str(error)) from None


def _check_output(out: str | None, count: int, *, as_json: bool) -> None:
    if out == "-" and (count > 1 or as_json):
        msg = "--out - writes a single image and can't be combined with -n or --json."
        raise click.UsageError(msg)
    if out == "-" and sys.stdout.isatty():
        msg = "An image can't be written to a terminal. Redirect it, or use --out FILE."
        raise click.UsageError(msg)


def _check_files(output: str, count: int, *, overwrite: bool) -> None:
    """Check that the files can be written. Raises `click.ClickException`."""
    target = full_path(output)
    taken, problem = find_obstacle(target, count)
    if problem:
        raise click.ClickException(f"Images can't be saved as {str(target)!r}: {problem}.")
    if taken is not None and not overwrite:
        msg = f"{str(taken)!r} already exists. Replace it with --force, or choose another --out."
        raise click.ClickException(msg)


class _Preview:
    """Shows images on stderr, as standard output has the paths.

    An image and its path fit on the screen; of several images, two and their paths.
    """

    def __init__(self, count: int) -> None:
        try:
            from rich.console import Console

            self._console = Console(stderr=True)
            self._render = _renderer(self._console)
        except ImportError:
            msg = "--preview needs an extra: pip install 'emby-plugins[preview]'"
            raise click.ClickException(msg) from None
        lines = self._console.height
        self._height = max(4, lines // 2 - 1 if count > 1 else lines - 3)

    def __call__(self, _: Path, picture: Image) -> None:
        with _terminal_on_stderr():
            drawn = self._render(picture.to_pil(), width="auto", height="auto")
            self._console.print(drawn, height=self._height)


def _renderer(console: "Console") -> Any:  # the package types its choice as object
    with _terminal_on_stderr():
        from textual_image import renderable

    # Its own choice is for a terminal that it could ask, or plain characters without one.
    is_unasked = sys.stderr.isatty() and not sys.stdin.isatty()
    chosen = renderable.HalfcellImage if is_unasked else renderable.Image
    has_color = console.color_system is not None and not console.no_color
    # Half cells are nothing but color.
    is_blank = chosen is renderable.HalfcellImage and not has_color
    return renderable.UnicodeImage if is_blank else chosen


@contextmanager
def _terminal_on_stderr() -> Iterator[None]:
    """Have textual_image look for the terminal on stderr, as stdout may be a pipe.

    It asks the terminal what it can draw and reads the answer from stdin, so if that is a pipe
    it must not find the terminal.
    """
    stdout = sys.__stdout__
    can_ask = sys.stderr.isatty() and sys.stdin.isatty()
    stream = sys.__stderr__ if can_ask else StringIO()
    sys.__stdout__ = stream  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        sys.__stdout__ = stdout  # type: ignore[misc]
