"""`emby_image_received`: each image once it is complete, and nothing a plugin does harms it."""

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
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.seen: list[tuple[Image, ChatReply]] = []

    @hookimpl
    def emby_image_received(self, image: Image, reply: ChatReply) -> None:
        self.seen.append((image, reply))


class Broken:
    """A faulty plugin."""

    @hookimpl
    def emby_image_received(self, image: Image) -> None:
        raise OSError(f"no place for {image.path}")


def ran(kind: str, *plugins: object, **settings: Any) -> ChatReply:
    """A reply with an image."""
    settings = {"base_url": "mock:", "plugins": plugins, **settings}

    async def run() -> ChatReply:
        async with AsyncEmby(**settings) as emby:
            return await emby.chat(PROMPT)

    if kind == "async":
        return asyncio.run(run())
    with Emby(**settings) as emby:
        return emby.chat(PROMPT)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_image_is_handed_over_once(kind: str, tmp_path: Path) -> None:
    """With its reply, and already in its file."""
    collector = Collector()
    reply = ran(kind, collector, image_folder=tmp_path)
    ((image, of),) = collector.seen
    assert image == reply.image
    assert of == reply
    assert image.path
    assert image.path.is_file()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_faulty_plugin_costs_only_itself(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A warning names it; the image and the other plugins are not affected."""
    collector = Collector()
    reply = ran(kind, collector, Broken())
    assert reply.image == collector.seen[0][0]
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "emby_image_received of the plugin 'Broken'" in record.getMessage()


def test_an_image_before_an_error_counts() -> None:
    """It is paid for; the error follows."""
    collector = Collector()
    backend = MockBackend(faults=[Fault(no_finish=True, no_done=True)])
    with activate(backend), pytest.raises(EmbyError) as caught:  # noqa: SIM117
        with Emby(base_url="mock:", plugins=[collector]) as emby, emby.stream(PROMPT) as stream:
            list(stream)
    assert caught.value.partial
    assert [image for image, _ in collector.seen] == list(caught.value.partial.images)


def test_sidecars(tmp_path: Path) -> None:
    """The origin of an image, beside its file; nothing for an image in memory."""
    image = ran("sync", ImageSidecars(), image_folder=tmp_path).image
    assert image.path
    facts = json.loads(Path(f"{image.path}.json").read_text("utf-8"))
    assert (facts["prompt"], facts["sha256"]) == (PROMPT, image.sha256)
    assert ran("sync", ImageSidecars()).image.path is None
