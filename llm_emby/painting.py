"""Several images at once, for `llm emby image`.

Runs `llm`'s own models, so that what is painted is logged like any prompt.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import llm
import sqlite_utils
from llm.cli import logs_db_path, logs_on
from llm.migrations import migrate

from emby_plugins import Image, InvalidImageError
from llm_emby import pictures
from llm_emby.incoming import attachment_of

_AT_ONCE = 8
# A chat model may answer a bare description with words.
_INSTRUCTION = "Generate an image of what is described, or edit the image that is given."


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be painted, `count` times."""

    model: llm.AsyncKeyModel
    prompt: str
    images: tuple[str, ...]
    options: dict[str, Any]
    key: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Painted:
    """What came of one prompt: the images and where they are, and the response."""

    response: llm.Response
    pictures: list[tuple[Path, Image]]

    @property
    def missing_image(self) -> str:
        """What is known of the reason why there is no image; empty if there is one."""
        return str((self.response.response_json or {}).get("missing_image", ""))

    def facts(self) -> Iterator[dict[str, Any]]:
        """What there is to say of each image."""
        for path, image in self.pictures:
            width, height = image.size
            yield {
                "path": str(path),
                "media_type": image.media_type,
                "width": width,
                "height": height,
                "bytes": len(image.data),
                "sha256": image.sha256,
                "model": self.response.model.model_id,
                "prompt": self.response.prompt.prompt,
                "response_id": self.response.id,
                "input_tokens": self.response.input_tokens,
                "output_tokens": self.response.output_tokens,
                "details": self.response.token_details,
            }


def paint_all(order: Order) -> tuple[list[Painted], list[str]]:
    """Carry out an order with progress on a terminal; what was painted and what went wrong.

    One failure does not stop the others. All that was painted is logged, even when Ctrl-C ends
    the rest. Raises `click.ClickException` for an image to start from that can't be used.
    """
    try:
        attachments = [attachment_of(image) for image in order.images]
    except InvalidImageError as error:
        raise click.ClickException(str(error)) from None
    painted: list[Painted] = []
    errors: list[str] = []

    async def collect() -> None:
        with _progress(order.count) as bar:
            async for result in _paint(order, attachments):
                if isinstance(result, Painted):
                    painted.append(result)
                else:
                    errors.append(str(result))
                bar.update(1)

    try:
        asyncio.run(collect())
    finally:
        _log(painted)
    return painted, errors


async def _paint(
    order: Order, attachments: list[llm.Attachment]
) -> AsyncIterator[Painted | llm.ModelError]:
    places = asyncio.Semaphore(_AT_ONCE)
    options = {name: value for name, value in order.options.items() if value is not None}

    async def once(number: int) -> Painted | llm.ModelError:
        # Without a seed each, a model that is the same every time gives the same image.
        chosen = options if order.count == 1 else {"seed": number, **options}
        async with places:
            response = order.model.prompt(
                order.prompt,
                system=_INSTRUCTION,
                attachments=attachments,
                options=chosen,
                key=order.key,
                stream=False,
            )
            try:
                return await _painted(response)
            except llm.ModelError as error:
                return error

    tasks = [asyncio.create_task(once(number)) for number in range(order.count)]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()


async def _painted(response: llm.AsyncResponse) -> Painted:
    found: list[tuple[Path, Image]] = []
    for message in await response.messages():
        for part in message.parts:
            noted = pictures.noted(part.provider_metadata)
            if noted and "path" in noted:
                path = Path(noted["path"])
                found.append((path, Image.from_path(path)))
    return Painted(await response.to_sync_response(), found)


def _progress(count: int) -> Any:
    # On a pipe click would print the label, which is no progress to anyone.
    hidden = not sys.stderr.isatty()
    return click.progressbar(
        length=count, label="Painting", file=sys.stderr, show_pos=True, hidden=hidden
    )


def _log(painted: list[Painted]) -> None:
    if not painted or not logs_on():  # type: ignore[no-untyped-call]
        return
    db = sqlite_utils.Database(logs_db_path())  # type: ignore[no-untyped-call]
    migrate(db)  # type: ignore[no-untyped-call]
    for result in painted:
        result.response.log_to_db(db)  # type: ignore[no-untyped-call]
    db.close()
