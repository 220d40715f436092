"""Several images at once, for `llm emby image`.

Runs `llm`'s own models, so that what is painted is logged like any prompt.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import llm
import sqlite_utils
from llm.cli import logs_db_path, logs_on
from llm.migrations import migrate
from llm.parts import StreamEvent

from emby_plugins import Image, InvalidImageError
from llm_emby import _image_files as pictures, _model_list as catalogue
from llm_emby._delivery import Delivery
from llm_emby._request import attachment_of

_AT_ONCE = 8
# A chat model may answer a bare description with words.
_INSTRUCTION = "Generate an image of what is described, or edit the image that is given."


@dataclass(frozen=True, slots=True)
class ImageJob:
    """What is to be painted, `count` times."""

    model: llm.AsyncKeyModel
    prompt: str
    images: tuple[str, ...]
    options: dict[str, Any]
    key: str | None
    count: int


def generate_images(order: ImageJob, delivery: Delivery) -> None:
    """Carry out an order, and deliver each image as soon as it is saved.

    One failure does not stop the others. Each response is logged after its images are delivered;
    trouble with the log is a warning. Raises `click.ClickException` for an image to start from
    that can't be used, before anything is paid for.
    """
    try:
        attachments = [attachment_of(image) for image in order.images]
    except InvalidImageError as error:
        raise click.ClickException(str(error)) from None
    folder = catalogue.images_folder()
    before = set(folder.glob("emby-*"))
    with _Log(delivery) as log, delivery:
        try:
            asyncio.run(_paint(order, attachments, delivery, log))
        except KeyboardInterrupt:
            # Images of replies that had not ended are in the folder too.
            delivery.saved += sorted(set(folder.glob("emby-*")) - before - set(delivery.saved))
            raise


async def _paint(
    order: ImageJob, attachments: list[llm.Attachment], delivery: Delivery, log: "_Log"
) -> None:
    places = asyncio.Semaphore(_AT_ONCE)
    options = {name: value for name, value in order.options.items() if value is not None}

    async def once(number: int) -> None:
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
                await _Job(response, delivery).run()
                log.add(await response.to_sync_response())
            except pictures.UnsavedImageError as error:
                delivery.unsaved(error.image, str(error))
            except llm.ModelError as error:
                delivery.error(str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are paid for
                delivery.error(f"{type(error).__name__}: {error}")
            delivery.advance()

    async with asyncio.TaskGroup() as group:
        for number in range(order.count):
            group.create_task(once(number))


class _Job:
    """One prompt, and what comes of it."""

    def __init__(self, response: llm.AsyncResponse, delivery: Delivery) -> None:
        self._response = response
        self._delivery = delivery
        self._has_image = False

    async def run(self) -> None:
        """Deliver the images of the reply. Raises `llm.ModelError`."""
        async for event in self._response.astream_events():  # type: ignore[no-untyped-call]
            self._take(event)
        if not self._has_image:
            known = (self._response.response_json or {}).get("missing_image", "")
            self._delivery.error(f"{self._response.model.model_id}: {known}")

    def _take(self, event: StreamEvent) -> None:
        noted = pictures.noted(event.provider_metadata)
        if noted is None:
            return
        self._has_image = True
        if "url" in noted:
            self._delivery.address(noted["url"], lambda: self._facts(noted))
        else:
            self._delivery.image(Path(noted["path"]), lambda: self._facts(noted))

    def _facts(self, noted: dict[str, Any]) -> dict[str, Any]:
        """What there is to say of an image; of the response nothing, when it did not end."""
        response = self._response
        return {
            **noted,
            **_measures(noted),
            "model": response.model.model_id,
            "prompt": response.prompt.prompt,
            "response_id": response.id,
            "input_tokens": response.input_tokens,
            "output_tokens": response.output_tokens,
            "details": response.token_details,
        }


def _measures(noted: dict[str, Any]) -> dict[str, int | None]:
    width = height = size = None
    try:
        if "path" in noted:
            image = Image(path=Path(noted["path"]))
            size = image.byte_size
            width, height = image.size
    except InvalidImageError:
        # Damaged, or of a type that is not opened; it is saved all the same.
        pass
    return {"width": width, "height": height, "bytes": size}


class _Log:
    """`llm`'s log, opened before anything is paid for. Trouble with it is one warning."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._db: sqlite_utils.Database | None = None
        with self._warned():
            if logs_on():  # type: ignore[no-untyped-call]
                self._db = sqlite_utils.Database(logs_db_path())  # type: ignore[no-untyped-call]
                migrate(self._db)  # type: ignore[no-untyped-call]

    def __enter__(self) -> "_Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def add(self, response: llm.Response) -> None:
        """Log a response."""
        if self._db is not None:
            with self._warned():
                response.log_to_db(self._db)  # type: ignore[no-untyped-call]

    @contextmanager
    def _warned(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - SQLite's, sqlite-utils' or llm's
            self._delivery.warn(
                f"llm's log can't be written ({error}). "
                "Images are saved all the same, but 'llm logs' and 'llm -c' will not know them."
            )
            # Once is enough: each attempt at a locked log takes five seconds.
            self._close()

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
