"""`llm emby ...`: the commands, and what they print: results to standard output, talk to stderr."""

import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
import llm

from emby_plugins import MOCK_MODELS, APIError, EmbyError, ModelCard
from llm_emby import _model_list as catalogue
from llm_emby._models import AsyncEmbyModel, named

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emby_plugins import Emby, Image

_DEFAULT_MODEL = "emby/qwen2.5-vision"


emby = click.Group()


@emby.command()
@click.argument("prompt")
@click.option("-m", "--model", "model_id", default=_DEFAULT_MODEL, show_default=True)
@click.option(
    "-a", "--attachment", "images", multiple=True, help="Image to start from: a path or https URL"
)
@click.option("--out", metavar="FILE|DIR|-", help="Where the images go; - is standard output")
@click.option("-n", "count", default=1, type=click.IntRange(1, 64), help="How many to ask for")
@click.option("--aspect-ratio", help="Such as 16:9")
@click.option("--size", help="1K, 2K or 4K")
@click.option("--open", "open_", is_flag=True, help="Open the images")
@click.option("--preview", is_flag=True, help="Show the images in the terminal")
@click.option("--json", "as_json", is_flag=True, help="Print facts about the images as JSON")
@click.option("--key", help="API key to use")
def image(
    prompt: str,
    model_id: str,
    images: tuple[str, ...],
    out: str | None,
    count: int,
    aspect_ratio: str | None,
    size: str | None,
    open_: bool,
    preview: bool,
    as_json: bool,
    key: str | None,
) -> None:
    """Generate images, or edit those given with -a

    Prints the path of each. Several are asked for at once.

    \b
        llm emby image "a lighthouse at dusk" --out lighthouse.png
        llm emby image "make it a watercolour" -a lighthouse.png
        llm emby image "a fox" -n 4 --out foxes
    """  # noqa: D301 - click wants the control character
    from llm_emby._delivery import Delivery
    from llm_emby._generation import ImageJob, generate_images

    if out == "-" and (count > 1 or as_json):
        raise click.UsageError("--out - gives one image: it goes neither with -n nor with --json.")
    order = ImageJob(
        model=_async_model(model_id),
        prompt=prompt,
        images=images,
        options={
            "output": None if out == "-" else out,
            "aspect_ratio": aspect_ratio,
            "image_size": size,
        },
        key=key,
        count=count,
    )
    show: list[Callable[[Path, Image], object]] = []
    if preview:
        show.append(_Preview())
    if open_:
        show.append(lambda path, _: click.launch(str(path)))
    delivery = Delivery("bytes" if out == "-" else "json" if as_json else "paths", count, show)
    generate_images(order, delivery)
    if delivery.has_failed:
        sys.exit(1)


@emby.command()
@click.option("--vision", is_flag=True, help="Only models known to accept images")
@click.option("--images", is_flag=True, help="Only models known to generate images")
@click.option("--tools", is_flag=True, help="Only models known to call tools")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON; null means not known")
def models(vision: bool, images: bool, tools: bool, as_json: bool) -> None:
    """List the models and what they can do

    Reads the saved list; 'llm emby refresh' fetches the gateway's. "?" means that nothing is
    known about a model: llm then allows everything, and the gateway decides.
    """
    cards = [
        card
        for card in [*catalogue.models_to_offer(), *MOCK_MODELS]
        if (card.vision or not vision)
        and (card.image_output or not images)
        and (card.tools or not tools)
    ]
    if as_json:
        click.echo(json.dumps([_as_dict(card) for card in cards], indent=2))
        return
    rows = [(_name(card), _abilities(card), _context(card)) for card in cards]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for name, abilities, context in rows:
        click.echo(f"{name:<{widths[0]}}  {abilities:<{widths[1]}}  {context}".rstrip())


@emby.command()
@click.option("--key", help="API key to use")
def refresh(key: str | None) -> None:
    """Fetch the gateway's list of models and keep it

    One list is kept for each base URL. What a list does not say about a model stays as known.
    """
    from emby_plugins import Emby

    try:
        with Emby(api_key=_key(key), deadline=60) as client:
            base_url, cards = client.base_url, _fetch_models(client)
    except EmbyError as error:
        raise click.ClickException(str(error)) from None
    left_out = [card.id for card in cards if not card.is_chat_model]
    count = len(cards) - len(left_out)
    if not count:
        click.echo(f"The gateway at {base_url} lists no chat models; the known models are kept.")
        return
    came, went = catalogue.replace_listed(base_url, cards)
    click.echo(f"{count} model{'s' * (count != 1)} at {base_url}")
    for sign, ids in (("+", came), ("-", went)):
        for model_id in ids:
            click.echo(f"{sign} {named(model_id)}")
    if not came and not went:
        click.echo("No changes")
    if left_out:
        click.echo(f"Left out, as they generate neither text nor images: {', '.join(left_out)}")


@emby.command()
@click.argument("model_id", metavar="MODEL")
@click.option("--vision", is_flag=True, help="Accepts images")
@click.option("--images", is_flag=True, help="Generates images")
@click.option("--tools", is_flag=True, help="Calls tools")
@click.option("--schema", is_flag=True, help="Follows a JSON schema")
def add(model_id: str, vision: bool, images: bool, tools: bool, schema: bool) -> None:
    """Add a model that the gateway's list lacks, such as a custom provider's

    Name everything it can do: llm refuses images, tools and schemas for it otherwise.

    \b
        llm emby add mycompany/custom-gpt-4 --vision
    """  # noqa: D301
    card = ModelCard(
        id=model_id.removeprefix("emby/"),
        vision=vision,
        image_output=images,
        tools=tools,
        structured_output=schema,
    )
    is_new = catalogue.add(card)
    click.echo(f"{'Added' if is_new else 'Changed'} {named(card.id)}")


@emby.command()
@click.argument("model_id", metavar="MODEL")
def remove(model_id: str) -> None:
    """Remove a model that was added"""
    if not catalogue.remove(model_id.removeprefix("emby/")):
        msg = f"{model_id!r} was never added. Run 'llm emby models' to list all models."
        raise click.ClickException(msg)
    click.echo(f"Removed {named(model_id)}")


@emby.command()
@click.option("--out", metavar="FILE|DIR", help="Where to write the page")
@click.option("--open", "open_", is_flag=True, help="Open the page")
def gallery(out: str | None, open_: bool) -> None:
    """Create a page of all generated images and print its path

    It is made from the log and the image files, without network access.
    """
    from llm_emby._gallery import make_gallery

    path = make_gallery(out)
    click.echo(path)
    if open_:
        click.launch(str(path))


@emby.command()
@click.option("--key", help="API key to use")
def doctor(key: str | None) -> None:
    """Check the key, the gateway and the files, and say how to fix what is wrong

    "ok" is fine, "!!" is wrong and "??" could not be checked. The exit status is 1 if anything
    is wrong. Nothing is charged: the key is checked with a model that does not exist.
    """
    from llm_emby._doctor import run_checks

    marks = {True: ("ok", "green"), False: ("!!", "red"), None: ("??", "yellow")}
    ok = True
    for check in run_checks(key):
        ok = ok and check.ok is not False
        mark, color = marks[check.ok]
        click.echo(f"{click.style(mark, fg=color)}  {check.name}: {check.finding}")
    if not ok:
        sys.exit(1)


@emby.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def mock(context: click.Context, options: tuple[str, ...]) -> None:
    """Serve the mock backend over HTTP, on this machine only"""
    sys.argv = [context.command_path, *options]
    import_module("emby_plugins.mock.__main__").main()


class _Preview:
    """Shows pictures in the terminal, on stderr: standard output holds the paths."""

    def __init__(self) -> None:
        try:
            from rich.console import Console
            from textual_image import renderable
        except ImportError:
            msg = "--preview needs an extra: pip install 'emby-plugins[preview]'"
            raise click.ClickException(msg) from None
        self._console = Console(stderr=True)
        self._render: Any = renderable.Image  # it chooses by terminal, and types itself object

    def __call__(self, _: "Path", picture: "Image") -> None:
        self._console.print(self._render(picture.to_pil(), width="auto", height="auto"))


def _fetch_models(client: "Emby") -> list[ModelCard]:
    try:
        return client.models(exclude_deprecated=True)
    except APIError as error:
        if error.status not in {400, 404, 422}:
            raise
        return client.models()  # another gateway may refuse the option


def _async_model(model_id: str) -> AsyncEmbyModel:
    try:
        model = llm.get_async_model(model_id)
    except llm.UnknownModelError:
        raise click.ClickException(
            f"There is no model {model_id!r}: see 'llm emby models'."
        ) from None
    if not isinstance(model, AsyncEmbyModel):
        raise click.ClickException(f"{model_id!r} is no model of Emby: see 'llm emby models'.")
    return model


def _key(given: str | None) -> str:
    """The key by `llm`'s rules, or an empty one."""
    found = llm.get_key(explicit_key=given, key_alias="emby", env_var="EMBY_API_KEY")
    return str(found or "")


def _name(card: ModelCard) -> str:
    return card.id if card in MOCK_MODELS else named(card.id)


def _abilities(card: ModelCard) -> str:
    abilities = {
        "vision": card.vision,
        "images": card.image_output,
        "tools": card.tools,
        "schemas": card.structured_output,
        "reasoning": card.reasoning,
    }
    is_unknown = all(has is None for has in abilities.values())
    return "?" if is_unknown else ", ".join(name for name, has in abilities.items() if has)


def _context(card: ModelCard) -> str:
    return f"{card.context_length:,} tokens" if card.context_length else ""


def _as_dict(card: ModelCard) -> dict[str, object]:
    return {
        "model": _name(card),
        "vision": card.vision,
        "images": card.image_output,
        "tools": card.tools,
        "schemas": card.structured_output,
        "reasoning": card.reasoning,
        "context_length": card.context_length,
        "pricing": dict(card.pricing),
        "deprecated_at": card.deprecated_at or None,
        "deactivated_at": card.deactivated_at or None,
    }
