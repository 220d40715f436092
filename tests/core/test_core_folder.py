"""Images kept in a folder: decoded straight into files, whole or not at all."""

import asyncio
import errno
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from emby_plugins import (
    AsyncEmby,
    BackendResponse,
    ChatReply,
    Emby,
    EmbyError,
    Image,
    InvalidImageError,
    TruncatedReplyError,
    hookimpl,
)
from emby_plugins.folder import FileSink

PROMPT = "Generate two images of a red boat"


def _sync(folder: Path) -> ChatReply:
    with Emby(base_url="mock:", image_folder=folder) as emby:
        return emby.chat(PROMPT)


def _streamed(folder: Path) -> ChatReply:
    with Emby(base_url="mock:", image_folder=folder) as emby, emby.stream(PROMPT) as stream:
        for _ in stream:
            pass
        return stream.reply


async def _whole(folder: Path) -> ChatReply:
    async with AsyncEmby(base_url="mock:", image_folder=folder) as emby:
        return await emby.chat(PROMPT)


def _async(folder: Path) -> ChatReply:
    return asyncio.run(_whole(folder))


@pytest.mark.parametrize("ask", [_sync, _streamed, _async])
def test_images_are_files_with_the_very_bytes(
    ask: Callable[[Path], ChatReply], tmp_path: Path
) -> None:
    """Each image is a file named by its digest, equal to the one that comes in memory."""
    with Emby(base_url="mock:") as emby:
        expected = emby.chat(PROMPT).images
    images = ask(tmp_path / "made").images
    assert images == expected
    assert [image.content for image in images] == [None, None]
    names = [f"emby-{image.sha256[:16]}.png" for image in expected]
    assert [image.path for image in images] == [tmp_path / "made" / name for name in names]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == sorted(names)


def test_an_image_in_a_file_is_as_good_as_one_in_memory(tmp_path: Path) -> None:
    """It has a size, a type, a hash; it is saved, shown, sent back, and says when it is gone."""
    (image, other) = _sync(tmp_path / "made").images
    same = Image.from_bytes(image.data)
    assert image == same
    assert hash(image) == hash(same)
    assert image != other
    assert (image.size, image.media_type) == (same.size, "image/png")
    assert image.to_pil().tobytes() == same.to_pil().tobytes()
    assert image.save(tmp_path / "copy").read_bytes() == image.data
    assert image._repr_mimebundle_()[0]["image/png"] == same._repr_mimebundle_()[0]["image/png"]
    with Emby(base_url="mock:") as emby:
        assert emby.chat("make it grey", images=[image]).images
    assert image.path is not None
    image.path.unlink()
    with pytest.raises(InvalidImageError, match="can't be read: No such file"):
        _ = image.data


def test_the_same_image_twice_is_one_file(tmp_path: Path) -> None:
    """A second reply with the same bytes finds its file there and leaves nothing beside it."""
    assert _sync(tmp_path).images == _sync(tmp_path).images
    assert len(list(tmp_path.iterdir())) == 2


def test_another_file_under_the_name_is_left_alone(tmp_path: Path) -> None:
    """What has the name of an image, and is not it, stays; the image comes in memory."""
    (first, _) = _sync(tmp_path).images
    assert first.path is not None
    first.path.write_bytes(b"mine")
    (again, _) = _sync(tmp_path).images
    assert again.content is not None
    assert first.path.read_bytes() == b"mine"


def broken_off(_: object) -> BackendResponse:
    """A stream that ends in the middle of an image."""
    head = b'data: {"choices":[{"index":0,"delta":{"images":[{"type":"image_url","image_url":'
    body = [head + b'{"url":"data:image/png;base64,iVBORw0KGgo', b"A" * 40_000]
    return BackendResponse(200, {"content-type": "text/event-stream"}, iter(body))


class BrokenOff:
    @hookimpl
    def emby_backend(self, url: str) -> object:
        return broken_off


def test_an_image_that_broke_off_leaves_no_file(tmp_path: Path) -> None:
    """A stream that ends in mid-image raises, and the half of a file is gone."""
    with (
        Emby(base_url="x:", image_folder=tmp_path, plugins=[BrokenOff()]) as emby,
        pytest.raises(TruncatedReplyError),
        emby.stream("Draw") as stream,
    ):
        for _ in stream:
            pass
    assert list(tmp_path.iterdir()) == []


def test_leaving_in_mid_image_leaves_no_file(tmp_path: Path) -> None:
    """Who leaves the stream before the image has ended leaves nothing on the disk."""
    sink = FileSink(tmp_path)
    sink.write(b"half")
    assert len(list(tmp_path.iterdir())) == 1
    sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_loses_nothing(tmp_path: Path) -> None:
    """Where no folder can be made, the images come in memory."""
    (tmp_path / "file").touch()
    images = _sync(tmp_path / "file" / "below").images
    assert [image.path for image in images] == [None, None]
    assert all(image.data for image in images)


class FullDisk(BytesIO):
    """A file on a disk with room for ten bytes."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path) -> None:
    """When the disk is full in mid-image, what was written and what follows come in memory."""
    sink = FileSink(tmp_path)
    sink._file.close()
    sink._file = FullDisk()
    sink.write(b"\x89PNG\r\n\x1a\n")
    sink.write(b"and more than fits")
    assert sink.finish().data == b"\x89PNG\r\n\x1a\nand more than fits"
    assert list(tmp_path.iterdir()) == []


def test_errors_carry_images_in_files(tmp_path: Path) -> None:
    """The images of a reply that broke off later are files too, and in `error.partial`."""
    whole = Emby(base_url="mock:").chat(PROMPT)

    def then_nothing(_: object) -> BackendResponse:
        url = whole.images[0].data_url
        entry = f'{{"type":"image_url","image_url":{{"url":"{url}"}}}}'
        frame = f'data: {{"choices":[{{"index":0,"delta":{{"images":[{entry}]}}}}]}}\n\n'
        return BackendResponse(200, {"content-type": "text/event-stream"}, iter([frame.encode()]))

    class Plugin:
        @hookimpl
        def emby_backend(self, url: str) -> object:
            return then_nothing

    with pytest.raises(EmbyError) as caught:
        Emby(base_url="x:", image_folder=tmp_path, plugins=[Plugin()]).chat("Draw")
    assert caught.value.partial is not None
    (image,) = caught.value.partial.images
    assert image.path is not None
    assert image == whole.images[0]
