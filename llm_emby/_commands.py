"""`llm emby ...`: the commands. Results go to standard output, messages to standard error."""

import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from emby_plugins import MOCK_MODELS, APIError, EmbyError, ModelCard
from llm_emby import _model_list as model_list
from llm_emby._image_command import image
from llm_emby._keys import find_key
from llm_emby._map_command import map_
from llm_emby._models import llm_name
from llm_emby._status_line import color_wish

if TYPE_CHECKING:
    from datetime import datetime

    from emby_plugins import Emby


emby = click.Group()


emby.add_command(image)
emby.add_command(map_)


@emby.command()
@click.option("--vision", is_flag=True, help="Only models known to accept images")
@click.option("--images", is_flag=True, help="Only models known to generate images")
@click.option("--tools", is_flag=True, help="Only models known to call tools")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON; null means unknown")
def models(vision: bool, images: bool, tools: bool, as_json: bool) -> None:
    """List the models and what they can do

    Reads the saved list; 'llm emby refresh' fetches the gateway's. "?" marks a model with unknown
    abilities: llm allows everything, and the gateway decides.
    """
    cards = [
        card
        for card in [*model_list.known_chat_models(), *MOCK_MODELS]
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
    """Fetch and save the gateway's list of models

    There is one list per base URL. Abilities that a new list doesn't state are kept.
    """
    from emby_plugins import Emby
    from llm_emby._errors import Hints, shell_message

    value = find_key(key)
    try:
        with Emby(api_key=value, deadline=60, plugins=[Hints(value)]) as client:
            base_url, cards = client.base_url, _fetch_models(client)
    except EmbyError as error:
        raise click.ClickException(shell_message(error)) from None
    excluded = [card.id for card in cards if not card.is_chat_model]
    count = len(cards) - len(excluded)
    if not count:
        click.echo(f"The gateway at {base_url} lists no chat models. The list was not changed.")
        return
    added, removed = model_list.replace_listed(base_url, cards)
    click.echo(f"{count} model{'s' * (count != 1)} at {base_url}")
    for sign, ids in (("+", added), ("-", removed)):
        for model_id in ids:
            click.echo(f"{sign} {llm_name(model_id)}")
    if not added and not removed:
        click.echo("No changes")
    if excluded:
        click.echo(
            f"Excluded, because they generate neither text nor images: {', '.join(excluded)}"
        )


@emby.command()
@click.argument("model_id", metavar="MODEL")
@click.option("--vision", is_flag=True, help="Accepts images")
@click.option("--images", is_flag=True, help="Generates images")
@click.option("--tools", is_flag=True, help="Calls tools")
@click.option("--schema", is_flag=True, help="Follows a JSON schema")
def add(model_id: str, vision: bool, images: bool, tools: bool, schema: bool) -> None:
    """Add a model that the gateway does not list

    Such as a custom provider's. State all of its abilities: otherwise llm refuses images, tools
    and schemas for it.

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
    is_new = model_list.add(card)
    click.echo(f"{'Added' if is_new else 'Changed'} {llm_name(card.id)}")


@emby.command()
@click.argument("model_id", metavar="MODEL")
def remove(model_id: str) -> None:
    """Remove a model that was added"""
    if not model_list.remove(model_id.removeprefix("emby/")):
        msg = f"{model_id!r} is not a model you added. Run 'llm emby models' to list all models."
        raise click.ClickException(msg)
    click.echo(f"Removed {llm_name(model_id)}")


@emby.command()
@click.option("--out", metavar="FILE|DIR", help="Where to write the page")
@click.option("--open", "open_", is_flag=True, help="Open the page")
def gallery(out: str | None, open_: bool) -> None:
    """Create a page of all generated images and print its path

    It is created from llm's log and the image files, without network access.
    """
    from llm_emby._gallery import make_gallery

    path = make_gallery(out)
    click.echo(path)
    if open_:
        click.launch(str(path))


@emby.command()
@click.option(
    "--since", metavar="YYYY-MM-DD", type=click.DateTime(["%Y-%m-%d"]), help="Only from then on"
)
@click.option(
    "--by", type=click.Choice(["model", "day", "conversation"]), default="model", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON; null means not known")
def spend(since: "datetime | None", by: str, as_json: bool) -> None:
    """Sum up calls, images, tokens and cost from the log

    Costs are in US dollars, as the gateway gave them; "~" marks estimates by the model's prices
    and "?" what is not known. Calls that failed are not in the log.

    \b
        llm emby spend --since 2026-11-01 --by day
    """  # noqa: D301
    from llm_emby._spend import read_spend

    spent = read_spend(by, since)
    if as_json:
        click.echo(json.dumps(spent.as_json(), indent=2))
    else:
        click.echo("\n".join(spent.as_table()))


@emby.command()
@click.option("--key", help="API key to use")
def doctor(key: str | None) -> None:
    """Check the key, the gateway and the files

    Shows how to fix each problem. "ok" is fine, "!!" is a problem and "??" could not be checked.
    The exit status is 1 if there is a problem. Nothing is charged: the key is checked with a
    model that does not exist.
    """
    from llm_emby._doctor import run_checks

    marks = {True: ("ok", "green"), False: ("!!", "red"), None: ("??", "yellow")}
    ok = True
    for check in run_checks(key):
        ok = ok and check.ok is not False
        mark, color = marks[check.ok]
        line = f"{click.style(mark, fg=color)}  {check.name}: {check.detail}"
        click.echo(line, color=color_wish())
    if not ok:
        sys.exit(1)


@emby.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def mock(context: click.Context, options: tuple[str, ...]) -> None:
    """Serve the mock backend over HTTP on this machine"""
    sys.argv = [context.command_path, *options]
    import_module("emby_plugins.mock.__main__").main()


def _fetch_models(client: "Emby") -> list[ModelCard]:
    try:
        return client.models(exclude_deprecated=True)
    except APIError as error:
        if error.status not in {400, 404, 422}:
            raise
        return client.models()  # other gateways may refuse the option


def _name(card: ModelCard) -> str:
    return card.id if card in MOCK_MODELS else llm_name(card.id)


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
