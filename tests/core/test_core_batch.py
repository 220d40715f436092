"""`run_batch_item`: one request of a batch, and its record."""

import asyncio
import json
from pathlib import Path

import pytest
from support import photo, picture

from emby_plugins import (
    AsyncEmby,
    BatchItem,
    BatchRecord,
    ChatReply,
    Image,
    InvalidImageError,
    RateLimitError,
    batch_record,
    run_batch_item,
)
from emby_plugins.mock import Fault, MockBackend, activate

ROCKET = str(photo("rocket.jpg"))


def ran(item: BatchItem, backend: MockBackend, folder: Path) -> BatchRecord:
    """Run one item and return its record."""

    async def run() -> BatchRecord:
        async with AsyncEmby(base_url="mock:", max_retries=0) as emby:
            return await run_batch_item(emby, item, item.image(), lambda i: str(i.save(folder)))

    with activate(backend):
        return asyncio.run(run())


def test_a_reply_becomes_a_record(tmp_path: Path) -> None:
    """The record of a reply has its text, usage and image files, and can be stored as JSON."""
    item = BatchItem("make it grayscale", ROCKET, "emby-mock", options={"temperature": 0.5})
    backend = MockBackend()
    record = ran(item, backend, tmp_path)
    assert json.loads(json.dumps(record)) == record
    assert record["error"] is None
    assert Image.from_path(record["images"][0]).size == (640, 427)
    assert (record["input"], record["task"]) == (ROCKET, item.task)
    assert record["usage"]
    assert record["key"] == item.key(item.image())


def test_an_error_becomes_a_record(tmp_path: Path) -> None:
    """A failed request gives a record with the error's type and status, and raises nothing."""
    record = ran(BatchItem("Hello"), MockBackend(faults=[Fault(status=429)]), tmp_path)
    assert record["error"]
    assert (record["error"]["type"], record["error"]["status"]) == ("RateLimitError", 429)


def test_a_partial_reply_is_recorded(tmp_path: Path) -> None:
    """The record of a failed request has the text and images that arrived before the error."""
    error = RateLimitError("Too fast.", status=429)
    error.partial = ChatReply("He", (Image.from_bytes(picture()),))
    record = batch_record(BatchItem("x"), "k", error, lambda image: str(image.save(tmp_path)))
    assert record["text"] == "He"
    assert Path(record["images"][0]).read_bytes() == picture()


def test_the_key_depends_on_everything_sent() -> None:
    """The key of an item depends on its model, prompt, options and image data, but not on file
    names.
    """
    image = Image.from_bytes(picture())
    items = [
        BatchItem("a"),
        BatchItem("a", model="m"),
        BatchItem("b"),
        BatchItem("a", detail="low"),
        BatchItem("a", options={"seed": 1}),
    ]
    keys = {item.key(shown) for item in items for shown in (None, image)}
    assert len(keys) == 10
    assert BatchItem("a", "one.png").key(image) == BatchItem("a", "two.png").key(image)


def test_an_input_that_is_not_an_image_is_refused(tmp_path: Path) -> None:
    """An input file that is not an image raises InvalidImageError before anything is sent."""
    (tmp_path / "notes.jpg").write_text("hello")
    with pytest.raises(InvalidImageError):
        BatchItem("a", str(tmp_path / "notes.jpg")).image()
