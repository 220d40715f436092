"""Images decoded directly into files of a folder, completely or not at all."""

import asyncio
import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import MODES

from emby_plugins import (
    AsyncEmby,
    BackendResponse,
    ChatReply,
    Emby,
    EmbyError,
    Image,
    InvalidImageError,
    Provenance,
    TruncatedReplyError,
    _files as files,
    hookimpl,
)
from emby_plugins._sinks import FileSink

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


@pytest.mark.parametrize("call_chat", [_sync, _streamed, _async])
def test_images_are_files_with_the_same_bytes(
    call_chat: Callable[[Path], ChatReply], tmp_path: Path
) -> None:
    """Each image is a file named by its digest, equal to the one returned in memory."""
    with Emby(base_url="mock:") as emby:
        expected = emby.chat(PROMPT).images
    images = call_chat(tmp_path / "made").images
    assert images == expected
    assert [image.content for image in images] == [None, None]
    names = [f"emby-{image.sha256[:16]}.png" for image in expected]
    assert [image.path for image in images] == [tmp_path / "made" / name for name in names]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == sorted(names)


def test_an_image_in_a_file_is_as_good_as_one_in_memory(tmp_path: Path) -> None:
    """An image in a file has the same properties as one in memory, and a deleted file raises."""
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


def test_the_same_image_is_stored_once(tmp_path: Path) -> None:
    """A second reply with the same bytes reuses the file and leaves no other."""
    assert _sync(tmp_path).images == _sync(tmp_path).images
    assert len(list(tmp_path.iterdir())) == 2


def test_another_file_under_the_name_is_left_alone(tmp_path: Path) -> None:
    """If another file has the image's name, that file is kept and the image stays in memory."""
    (first, _) = _sync(tmp_path).images
    assert first.path is not None
    first.path.write_bytes(b"mine")
    (again, _) = _sync(tmp_path).images
    assert again.content is not None
    assert first.path.read_bytes() == b"mine"


def truncated_image(_: object) -> BackendResponse:
    """A stream that ends in mid-image."""
    head = b'data: {"choices":[{"index":0,"delta":{"images":[{"type":"image_url","image_url":'
    body = [head + b'{"url":"data:image/png;base64,iVBORw0KGgo', b"A" * 40_000]
    return BackendResponse(200, {"content-type": "text/event-stream"}, iter(body))


class BrokenOff:
    @hookimpl
    def emby_backend(self, url: str) -> object:
        return truncated_image


def test_a_truncated_image_leaves_no_file(tmp_path: Path) -> None:
    """A stream that ends in mid-image raises, and the partial file is removed."""
    with (
        Emby(base_url="x:", image_folder=tmp_path, plugins=[BrokenOff()]) as emby,
        pytest.raises(TruncatedReplyError),
        emby.stream("Draw") as stream,
    ):
        for _ in stream:
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_discarded_image_leaves_no_file(tmp_path: Path) -> None:
    """Discarding a sink in mid-image removes its file."""
    sink = FileSink(tmp_path)
    sink.write(b"half")
    assert len(list(tmp_path.iterdir())) == 1
    sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_images_stay_in_memory(tmp_path: Path) -> None:
    """If the folder can't be created, the images are returned in memory."""
    (tmp_path / "file").touch()
    images = _sync(tmp_path / "file" / "below").images
    assert [image.path for image in images] == [None, None]
    assert all(image.data for image in images)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300
ROOM = 10_000


class Disk(io.FileIO):
    """A file on a disk that fills up and writes a part of the data before it fails."""

    room = ROOM
    error = errno.ENOSPC

    def write(self, data: Any) -> int:
        left = self.room - self.tell()
        if left <= 0 < len(data):
            raise OSError(self.error, os.strerror(self.error))
        return super().write(bytes(data)[:left])


class UnclosableDisk(Disk):
    """A disk that fails when a file is closed, although it has room for all of it."""

    room = len(PNG)

    def close(self) -> None:
        was_open = not self.closed
        super().close()
        if was_open:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class UnreadableDisk(Disk):
    """A disk that neither takes all data nor returns the data it took."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def failing(error: int) -> Callable[..., Any]:
    """Return a function like those of `os` that fails with this error."""

    def fail(path: object, *_: object, **__: object) -> Any:
        raise OSError(error, os.strerror(error), path)

    return fail


ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EFBIG)


def write_fails(patch: pytest.MonkeyPatch, error: int) -> None:
    """The disk becomes full in mid-image."""
    patch.setattr(Disk, "error", error)
    patch.setattr(os, "fdopen", lambda fd, mode, **_: Disk(fd, "w+"))


def link_fails(patch: pytest.MonkeyPatch, error: int) -> None:
    """Neither a link nor an empty file of the final name can be created."""
    real = os.open
    patch.setattr(os, "link", failing(error))
    patch.setattr(
        os,
        "open",
        lambda path, *words: (
            failing(error)(path) if Path(path).name.startswith("emby-") else real(path, *words)
        ),
    )


def move_fails(patch: pytest.MonkeyPatch, error: int) -> None:
    """Links are not available, and the temporary file can't be moved to its final name."""
    patch.setattr(os, "link", failing(errno.EPERM))
    patch.setattr(Path, "replace", failing(error))


POINTS: dict[str, Callable[[pytest.MonkeyPatch, int], None]] = {
    "mkdir": lambda patch, error: patch.setattr(Path, "mkdir", failing(error)),
    "open": lambda patch, error: patch.setattr(os, "open", failing(error)),
    "write": write_fails,
    "delayed write": lambda patch, error: patch.setattr(os, "dup", failing(error)),
    "link": link_fails,
    "move": move_fails,
}


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("point", POINTS)
def test_a_disk_error_loses_no_image(
    point: str,
    error: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Any disk error at any point leaves the image in memory, and the log has the reason."""
    POINTS[point](monkeypatch, error)
    for size in (1, 100, 8191, 8192, 65536):
        caplog.clear()
        sink = FileSink(tmp_path)
        for at in range(0, len(PNG), size):
            sink.write(PNG[at : at + size])
        image = sink.finish()
        assert (image.data, image.path) == (PNG, None)
        assert image.sha256 == hashlib.sha256(PNG).hexdigest()
        (message,) = caplog.messages
        assert f"could not be saved in {tmp_path} ({os.strerror(error)})" in message
        assert "image.save()" in message
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room", [0, 1, 99, 8191, 8192, 8193, 65536, len(PNG) - 1])
def test_a_disk_may_fill_up_at_any_byte(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up at any byte, after a partial write, loses and repeats no data."""
    write_fails(monkeypatch, errno.ENOSPC)
    monkeypatch.setattr(Disk, "room", room)
    for size in (7, 8192, len(PNG)):
        sink = FileSink(tmp_path)
        for at in range(0, len(PNG), size):
            sink.write(PNG[at : at + size])
        assert sink.read_back() == PNG
        assert sink.finish().data == PNG
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["unlink", "close"])
def test_a_failed_cleanup_keeps_the_image(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary file that can't be closed or removed does not affect the saved image."""
    if name == "unlink":
        monkeypatch.setattr(Path, "unlink", failing(errno.EROFS))
    else:
        monkeypatch.setattr(os, "fdopen", lambda fd, mode, **_: UnclosableDisk(fd, "w+"))
    sink = FileSink(tmp_path)
    sink.write(PNG)
    image = sink.finish()
    monkeypatch.undo()
    assert image.path is not None
    assert image.path.read_bytes() == PNG


def test_an_unreadable_disk_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that can't be read back raises an EmbyError with both reasons."""
    monkeypatch.setattr(os, "fdopen", lambda fd, mode, **_: UnreadableDisk(fd, "w+"))
    sink = FileSink(tmp_path)
    with pytest.raises(EmbyError, match=r"No space left.*can't be read back.*Input/output") as lost:
        sink.write(PNG)
    assert not isinstance(lost.value, ValueError)
    sink.discard()
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, sys
from support import MODES, ChatCaller
from emby_plugins import Emby
folder, prompt = sys.argv[1:]
whole = Emby(base_url="mock:").chat(prompt).images
# As a full disk, to every file of this process.
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
for mode in MODES:
    images = ChatCaller(mode)(prompt, on={"base_url": "mock:", "image_folder": folder}).images
    assert [image.path for image in images] == [None, None]
    assert images == whole
"""


def test_a_full_disk_through_the_client(tmp_path: Path) -> None:
    """With a real size limit of the system, replies keep their images and stderr has the reason."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "made"), PROMPT]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    warning = f"could not be saved in {tmp_path / 'made'} (File too large)"
    assert run.stderr.count(warning) == 2 * len(MODES)
    assert list((tmp_path / "made").iterdir()) == []


HALF = """
import os, signal, sys
from pathlib import Path
from emby_plugins import _files as files
from emby_plugins._sinks import FileSink
sink = FileSink(Path(sys.argv[1]))
sink.write(b"half an image")
if sys.argv[2] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
print("ready", flush=True)
sys.stdin.read()
"""


def half(folder: Path, then: str) -> "subprocess.Popen[str]":
    """Start a process that is in the middle of an image."""
    command = [sys.executable, "-c", HALF, str(folder), then]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def test_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """The next client removes temporary files of killed processes, and no other files."""
    with half(tmp_path, "dies") as killed:
        assert killed.wait(20) == -signal.SIGKILL
    (stale,) = tmp_path.iterdir()
    others = [tmp_path / name for name in ("a.part", ".emby-1.part", ".0123456789abcdef.part")]
    for path in others:
        path.write_bytes(b"not ours")
    folder = tmp_path / ".emby-0123456789abcdef.part"
    folder.mkdir()
    with half(tmp_path, "lives") as living:
        assert living.stdout is not None
        assert living.stdout.readline() == "ready\n"
        (used,) = {*tmp_path.iterdir()} - {stale, folder, *others}
        images = _sync(tmp_path).images
        assert used.read_bytes() == b"half an image"
        assert not stale.exists()
        assert all(path.exists() for path in others)
        made = {image.path for image in images}
        assert {*tmp_path.iterdir()} == {*others, folder, used, *made}
        living.communicate("")


def test_a_temporary_file_removed_early_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary file removed by another process before locking is created again."""
    real, times = files.fcntl.flock, iter([True, False])

    def swept_first(file: Any, how: int) -> None:
        if next(times):
            for path in tmp_path.iterdir():
                path.unlink()
        real(file, how)

    monkeypatch.setattr(files.fcntl, "flock", swept_first)
    sink = FileSink(tmp_path)
    sink.write(PNG)
    assert sink.finish().path is not None


def test_an_image_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest is computed while the image arrives, and is reused afterwards."""
    sink = FileSink(tmp_path)
    sink.write(PNG)
    image = sink.finish().with_provenance(Provenance("m", "p"))
    plain = Image.from_bytes(PNG)
    assert plain.sha256 == image.sha256
    monkeypatch.setattr(hashlib, "sha256", None)
    assert image.sha256 == plain.sha256
    copy = Image(content=PNG, _sha256=plain.sha256).save(tmp_path / "copies.png")
    assert copy.read_bytes() == PNG


def test_errors_carry_images_in_files(tmp_path: Path) -> None:
    """The images in `error.partial` are files too."""
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
