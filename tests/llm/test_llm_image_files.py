"""Photos of every kind as attachments: converted and reported, or refused in one line."""

from pathlib import Path
from typing import Any

import pytest
from image_files import FILES, SIZE, assert_sent, assert_upright, heic
from llm_help import LLM, Recorder

from emby_plugins import Image

SENT = [
    ("photo.heic", heic(6), "image/jpeg"),
    ("photo.jpg", heic(6), "image/jpeg"),
    ("photo.avif", FILES["avif-6"].make(), "image/jpeg"),
    ("scan.tif", FILES["tiff-cmyk"].make(), "image/png"),
    ("screen.bmp", FILES["bmp"].make(), "image/png"),
    ("photo6.jpg", FILES["jpeg-6"].make(), ""),
]


def sent(wire: Recorder) -> Image:
    """Return the only image of the last request."""
    body: dict[str, Any] = wire.requests[-1]
    blocks = [b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
    (url,) = [block["image_url"]["url"] for block in blocks if "image_url" in block]
    return Image.from_data_url(url)


@pytest.mark.parametrize(("name", "data", "kind"), SENT, ids=[name for name, *_ in SENT])
@pytest.mark.parametrize("command", [["prompt"], ["emby", "image"]], ids=["prompt", "image"])
def test_photos_are_sent_in_a_type_that_emby_accepts(
    command: list[str], name: str, data: bytes, kind: str, run: LLM, wire: Recorder, tmp_path: Path
) -> None:
    """A conversion is reported on stderr, and an accepted file is sent unchanged."""
    path = tmp_path / name
    path.write_bytes(data)
    result = run(*command, "make it gray", "-m", "emby-mock", "-a", path)
    assert result.exit_code == 0, result.output
    image = sent(wire)
    assert image.size == SIZE
    assert_upright(image.to_pil())
    conversions = result.stderr.count("Image prepared for sending: converted from ")
    if kind:
        assert (image.media_type, conversions) == (kind, 1)
    else:
        assert (image.data, conversions) == (data, 0)


@pytest.mark.parametrize("command", [["prompt"], ["emby", "image"]], ids=["prompt", "image"])
def test_every_file_of_the_table_is_sent_correctly(
    command: list[str], run: LLM, wire: Recorder, tmp_path: Path
) -> None:
    """All files of the table can be attached at once, in an accepted type."""
    words: list[object] = [*command, "make it gray", "-m", "emby-mock"]
    files = sorted(FILES.values(), key=lambda file: file.name == "tiff-bigtiff")
    made = {file.name: file.make() for file in files}
    for name, data in made.items():
        path = tmp_path / f"{name}.{name.partition('-')[0]}"
        path.write_bytes(data)
        # llm itself does not know BigTIFF, and moves attachments given by type to the end.
        is_named = name == "tiff-bigtiff" and command == ["prompt"]
        words += ["--at", path, "image/tiff"] if is_named else ["-a", path]
    result = run(*words)
    assert result.exit_code == 0, result.output
    blocks = wire.requests[-1]["messages"][-1]["content"]
    images = [Image.from_data_url(b["image_url"]["url"]) for b in blocks if "image_url" in b]
    for file, image in zip(files, images, strict=True):
        assert_sent(file, made[file.name], image.data)


@pytest.mark.parametrize(("setting", "has_place"), [("keep", True), ("remove", False)])
def test_the_metadata_of_photos_is_an_option(
    setting: str, has_place: bool, run: LLM, wire: Recorder, tmp_path: Path
) -> None:
    """`image_metadata` keeps or removes the location of a photo."""
    for name, data in (("a.heic", heic()), ("b.jpg", FILES["jpeg-6"].make())):
        (tmp_path / name).write_bytes(data)
        words = ("-m", "emby-mock", "What?", "-a", tmp_path / name)
        assert run(*words, "-o", "image_metadata", setting).exit_code == 0
        assert bool(sent(wire).to_pil().getexif().get_ifd(0x8825)) == has_place


@pytest.mark.parametrize(
    "data", [heic()[:300], b"\0\0\0\x18ftypmp42" + bytes(60)], ids=["cut", "mp4"]
)
def test_an_unconvertible_file_is_refused(
    data: bytes, run: LLM, wire: Recorder, tmp_path: Path
) -> None:
    """A file that can't be converted causes a one-line error, and nothing is sent."""
    path = tmp_path / "photo.heic"
    path.write_bytes(data)
    result = run("-m", "emby-mock", "What is it?", "-a", path)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert wire.requests == []
