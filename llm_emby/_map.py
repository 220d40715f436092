"""Runs the requests of `llm emby map`, several at a time."""

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from emby_plugins import (
    AsyncEmby,
    BatchItem,
    BatchRecord,
    EmbyConnectionError,
    EmbyError,
    Image,
    InvalidImageError,
    batch_record,
    hookimpl,
    run_batch_item,
)
from llm_emby._errors import FATAL_ERRORS, shell_message
from llm_emby._image_files import ImageSaver, UnsavedImageError, interruption, reason
from llm_emby._map_file import MapFile
from llm_emby._map_progress import Progress
from llm_emby._status_line import tick_every_second

# A record has the name of its error.
_FATAL = {kind.__name__ for base in FATAL_ERRORS for kind in (base, *base.__subclasses__())}


@dataclass(frozen=True, slots=True)
class MapJob:
    """A request, to be sent with each of the `inputs`, `jobs` at a time, `limit` in all."""

    item: BatchItem
    inputs: tuple[str, ...]
    jobs: int
    limit: int | None
    client: dict[str, Any]
    """The arguments of `AsyncEmby`."""

    @property
    def image_folder(self) -> Path:
        """The folder of generated images."""
        return Path(self.client["image_folder"])


class MapRun:
    """One run: sends what has no result yet, and keeps each result before the next request.

    An error stops nothing but its own request, unless all others would fail in the same way. After
    a first Ctrl-C no further requests are sent, and those that were sent are waited for, since they
    are charged; a second one abandons them.
    """

    def __init__(self, job: MapJob, file: MapFile, progress: Progress) -> None:
        self.is_stopped = False
        self.signal = 0
        """The signal that stopped the run, or 0."""
        self._job = job
        self._file = file
        self._progress = progress
        self._started = 0
        self._has_answer = False
        self._under_way = 0
        self._todo = iter(job.inputs)
        self._locks: dict[str, asyncio.Lock] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._unrecorded: set[Path] = set()

    def run(self) -> None:
        """Run until everything has a result, or it makes no sense to continue.

        Raises `click.ClickException` if the client can't be made.
        """
        try:
            asyncio.run(self._all())
        except EmbyError as error:
            raise click.ClickException(shell_message(error)) from None
        except KeyboardInterrupt:
            self.is_stopped, self.signal = True, signal.SIGINT
        finally:
            self._arrange()
        if self.signal and self._unrecorded:
            self._progress.say(interruption(sorted(self._unrecorded)))

    async def _all(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError):  # Windows, or not the main thread
                loop.add_signal_handler(name, self._interrupt, name)
        settings = self._job.client
        async with AsyncEmby(**{**settings, "plugins": [*settings["plugins"], self]}) as emby:
            count = min(self._job.jobs, len(self._job.inputs))
            self._workers = [asyncio.create_task(self._work(emby)) for _ in range(count)]
            ticker = asyncio.create_task(tick_every_second(self._progress.tick))
            ended = await asyncio.gather(*self._workers, return_exceptions=True)
            ticker.cancel()
            for error in ended:
                if isinstance(error, Exception):
                    raise error

    @hookimpl
    def emby_image_received(self, image: Image) -> None:
        """Note an image until a record names it."""
        if image.path is not None:
            self._unrecorded.add(image.path)

    def _interrupt(self, number: int) -> None:
        self.signal = number
        if self.is_stopped:
            for worker in self._workers:
                worker.cancel()
            return
        self.is_stopped = True
        if self._under_way:
            requests = f"{self._under_way} request{'s' * (self._under_way != 1)}"
            self._progress.say(f"Stopping after {requests} under way. Ctrl-C again abandons them.")

    async def _work(self, emby: AsyncEmby) -> None:
        for name in self._todo:
            if self.is_stopped:
                return
            await self._one(emby, replace(self._job.item, input=name))

    async def _one(self, emby: AsyncEmby, item: BatchItem) -> None:
        try:
            image = await asyncio.to_thread(item.image)
            key = await asyncio.to_thread(item.key, image)
        except InvalidImageError as error:
            self._add(batch_record(item, item.key(None), error))
            return
        # A copy of a file waits for the result of the first, and is not paid for again.
        async with self._locks.setdefault(key, asyncio.Lock()):
            known = self._file.answer(key)
            if known is not None and known["input"] == item.input:
                self._progress.advance(known, is_new=False)
            elif known is not None:
                self._add({**known, "input": item.input, "usage": None, "cost": None}, is_new=False)
            elif self._may_start():
                self._add(await self._request(emby, item, image))

    def _may_start(self) -> bool:
        if self.is_stopped or self._started == self._job.limit:
            return False
        self._started += 1
        return True

    async def _request(self, emby: AsyncEmby, item: BatchItem, image: Image | None) -> BatchRecord:
        self._under_way += 1
        try:
            return await run_batch_item(emby, item, image, self._save)
        finally:
            self._under_way -= 1

    def _add(self, record: BatchRecord, *, is_new: bool = True) -> None:
        error = record["error"]
        if error and self._concerns_all(error["type"]):
            if not self.is_stopped:
                self.is_stopped = True
                self._progress.fail(error["message"])
            return
        self._has_answer = self._has_answer or not error
        try:
            self._file.add(record)
        except OSError as failure:
            self.is_stopped = True
            self._progress.fail(f"{str(self._file.path)!r} can't be written: {reason(failure)}.")
            return
        self._progress.advance(record, is_new=is_new)

    def _concerns_all(self, error: str) -> bool:
        # Without a network, or at a wrong address, there is no answer at all.
        return error in _FATAL or (error == EmbyConnectionError.__name__ and not self._has_answer)

    def _save(self, image: Image) -> str:
        folder = self._job.image_folder
        if image.path is not None:
            self._unrecorded.discard(image.path)
        try:
            path = image.path or ImageSaver(str(folder), self._progress.say).save(image)
        except UnsavedImageError:
            return image.data_url  # in the record, as no disk takes it
        beside = self._file.path.parent
        return path.relative_to(beside).as_posix() if path.is_relative_to(beside) else str(path)

    def _arrange(self) -> None:
        rescued = self._file.rescued
        if rescued is not None:
            self._progress.say(
                f"The results that it did not take are in {str(rescued)!r}. Append them to "
                f"{str(self._file.path)!r} before you run the command again."
            )
            return
        try:
            self._file.arrange(self._job.inputs)
        except OSError as error:
            self._progress.say(f"Warning: The lines are not in order: {reason(error)}.")
