"""Several images at once, for `llm emby image`.

Runs `llm`'s own models, so that the results are logged like those of any prompt.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llm
import sqlite_utils
from llm.cli import logs_db_path, logs_on
from llm.migrations import migrate

from emby_plugins import IMAGE_INSTRUCTION, Image, InvalidImageError
from llm_emby import _image_files as image_files
from llm_emby._delivery import Delivery
from llm_emby._errors import FATAL_ERRORS
from llm_emby._models import AsyncEmbyModel
from llm_emby._request import variant
from llm_emby._status_line import tick_every_second

_CONCURRENT = 8


@dataclass(frozen=True, slots=True)
class ImageJob:
    """A request for images, to be sent `count` times."""

    model: AsyncEmbyModel
    prompt: str
    attachments: tuple[llm.Attachment, ...]
    options: dict[str, Any]
    key: str | None
    count: int


@dataclass(frozen=True, slots=True)
class ImageResult:
    """An image of a reply: its file or URL, and the response that contains it."""

    metadata: dict[str, Any]
    response: llm.AsyncResponse

    @property
    def path(self) -> Path | None:
        """The file; None for an image that is only a URL."""
        return Path(self.metadata["path"]) if "path" in self.metadata else None

    @property
    def url(self) -> str:
        """The URL of an image that was not delivered as data."""
        return str(self.metadata.get("url", ""))

    def facts(self) -> dict[str, Any]:
        """Facts about the image; those about the response are missing until it has ended."""
        response = self.response
        return {
            **self.metadata,
            **self._measures(),
            "model": response.model.model_id,
            "prompt": response.prompt.prompt,
            "response_id": response.id,
            "input_tokens": response.input_tokens,
            "output_tokens": response.output_tokens,
            "details": response.token_details,
        }

    def _measures(self) -> dict[str, int | None]:
        width = height = size = None
        try:
            if self.path is not None:
                image = Image(path=self.path)
                size = image.byte_size
                width, height = image.size
        except InvalidImageError:
            # Damaged, or of a type that is not decoded; saved anyway.
            pass
        return {"width": width, "height": height, "bytes": size}


def generate_images(job: ImageJob, delivery: Delivery) -> None:
    """Run a job, and deliver each image as soon as it is saved.

    A failure does not stop the other requests, unless they would fail in the same way. Each
    response is logged after its images are delivered; problems with the log are warnings. Raises
    `KeyboardInterrupt` when what was saved is printed.
    """
    with _Log(delivery) as log, delivery:
        asyncio.run(_Run(job, delivery, log).all())


class _Run:
    def __init__(self, job: ImageJob, delivery: Delivery, log: "_Log") -> None:
        self._job = job
        self._delivery = delivery
        self._log = log
        self._slots = asyncio.Semaphore(_CONCURRENT)
        self._is_hopeless = False

    async def all(self) -> None:
        # Shared by all requests, which may save to the same name.
        image_files.names_used.set(set())
        ticker = asyncio.create_task(tick_every_second(self._delivery.tick))
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._job.count):
                    group.create_task(self._one(number))
        finally:
            ticker.cancel()

    async def _one(self, number: int) -> None:
        async with self._slots:
            if self._is_hopeless:
                return
            try:
                await self._request(number)
            except image_files.UnsavedImageError as error:
                self._delivery.unsaved(error.image, str(error))
            except llm.ModelError as error:
                self._is_hopeless = self._is_hopeless or isinstance(error.__cause__, FATAL_ERRORS)
                self._delivery.fail(str(error), getattr(error.__cause__, "request_id", None))
            except Exception as error:  # noqa: BLE001 - the others have been paid for
                self._delivery.fail(f"{type(error).__name__}: {error}")

    async def _request(self, number: int) -> None:
        job = self._job
        # Each request is a task, with a context of its own.
        variant.set(number if job.count > 1 else None)
        response = job.model.prompt(
            job.prompt,
            system=IMAGE_INSTRUCTION,
            attachments=list(job.attachments),
            options=job.options,
            key=job.key,
            stream=False,
        )
        has_image = False
        try:
            async for event in response.astream_events():  # type: ignore[no-untyped-call]
                metadata = image_files.from_metadata(event.provider_metadata)
                if metadata is not None:
                    has_image = True
                    self._delivery.deliver(ImageResult(metadata, response))
        except (asyncio.CancelledError, KeyboardInterrupt):
            # The model has saved the images of a reply that has not ended.
            rescued = (response.response_json or {}).get("rescued", [])
            self._delivery.saved += (path for path in rescued if path not in self._delivery.saved)
            raise
        if has_image:
            self._delivery.advance()
        else:
            reason = (response.response_json or {}).get("missing_image", "")
            self._delivery.fail(f"{response.model.model_id}: {reason}")
        self._log.add(await response.to_sync_response())


class _Log:
    """`llm`'s log, opened before anything is paid for. Problems with it are one warning."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._db: sqlite_utils.Database | None = None
        with self._warning():
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
            with self._warning():
                response.log_to_db(self._db)  # type: ignore[no-untyped-call]

    @contextmanager
    def _warning(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - from SQLite, sqlite-utils or llm
            self._delivery.warn(
                f"llm's log can't be written ({error}). "
                "Images are saved all the same, but 'llm logs' and 'llm -c' won't know them."
            )
            # Each attempt to use a locked log takes five seconds.
            self._close()

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
