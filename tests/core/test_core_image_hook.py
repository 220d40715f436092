"""`emby_image_received`: called once for each complete image, and isolated from faulty plugins."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from emby_plugins import (
    AsyncEmby,
    ChatReply,
    Emby,
    EmbyError,
    Image,
    ImageSidecars,
    hookimpl,
)
from emby_plugins.mock import Fault, MockBackend, activate

PROMPT = "Generate an image of a puppy"


class Collector:
    """Keeps the images and replies that it receives."""

    def __init__(self) -> None:
        self.seen: list[tuple[Image, ChatReply]] = []

    @hookimpl
    def emby_image_received(self, image: Image, reply: ChatReply) -> None:
        self.seen.append((image, reply))


class Broken:
    """A plugin that raises."""

    @hookimpl
    def emby_image_received(self, image: Image) -> None:
        raise OSError(f"no place for {image.path}")


def ran(kind: str, *plugins: object, **settings: Any) -> ChatReply:
    """Return a reply with an image."""
    settings = {"base_url": "mock:", "plugins": plugins, **settings}

    async def run() -> ChatReply:
        async with AsyncEmby(**settings) as emby:
            return await emby.chat(PROMPT)

    if kind == "async":
        return asyncio.run(run())
    with Emby(**settings) as emby:
        return emby.chat(PROMPT)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_image_is_received_once(kind: str, tmp_path: Path) -> None:
    """A plugin receives each image once, with its reply, when the file is complete."""
    collector = Collector()
    reply = ran(kind, collector, image_folder=tmp_path)
    ((image, of),) = collector.seen
    assert image == reply.image
    assert of == reply
    assert image.path
    assert image.path.is_file()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_faulty_plugin_affects_nothing_else(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A plugin that raises is named in a warning and affects neither the image nor other
    plugins.
    """
    collector = Collector()
    reply = ran(kind, collector, Broken())
    assert reply.image == collector.seen[0][0]
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "emby_image_received of the plugin 'Broken'" in record.getMessage()


def test_an_image_before_an_error_is_received() -> None:
    """A plugin receives an image that arrived before an error."""
    collector = Collector()
    backend = MockBackend(faults=[Fault(no_finish=True, no_done=True)])
    with activate(backend), pytest.raises(EmbyError) as caught:  # noqa: SIM117
        with Emby(base_url="mock:", plugins=[collector]) as emby, emby.stream(PROMPT) as stream:
            list(stream)
    assert caught.value.partial
    assert [image for image, _ in collector.seen] == list(caught.value.partial.images)


def test_sidecars(tmp_path: Path) -> None:
    """`ImageSidecars` writes the provenance beside an image file, and nothing for one in memory."""
    image = ran("sync", ImageSidecars(), image_folder=tmp_path).image
    assert image.path
    facts = json.loads(Path(f"{image.path}.json").read_text("utf-8"))
    assert (facts["prompt"], facts["sha256"]) == (PROMPT, image.sha256)
    assert ran("sync", ImageSidecars()).image.path is None
