"""Preparing images for sending: the bytes sent for each kind of image, and the reported changes."""

import asyncio
import gc
import io
import json
import logging
import random
import re
import warnings
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import image_files
import numpy as np
import PIL.Image
import pytest
from image_files import FILES, ImageFile, assert_upright, encoded, heic, photo, quarters
from support import ScriptedBackend, completion

from emby_plugins import (
    AsyncEmby,
    Emby,
    FilePart,
    Image,
    ImageFilter,
    InvalidImageError,
    Limits,
    Message,
    ModelCard,
    OutgoingImage,
    PreparedImage,
    hookimpl,
)
from emby_plugins._chat import ChatRequest
from emby_plugins._errors import ConfigurationError
from emby_plugins._preparation import ImageMetadata, ImagePreparation, prepare_request

CARD = ModelCard("m", max_image_bytes=20_000_000)


def prepare(
    data: bytes, card: ModelCard = CARD, metadata: ImageMetadata = "reduce"
) -> tuple[Image, str]:
    """Return the image that is sent, and its changes as one text."""
    request = ChatRequest("m", (Message.user(Image.from_bytes(data)),))
    filters = ImagePreparation(metadata).emby_image_filters(card)
    sent, prepared = prepare_request(request, filters)
    changes = "; ".join(prepared[0].changes) if prepared else ""
    assert (sent is request) == (not prepared)
    return sent.messages[0].images[0], changes


def exif_of(image: Image) -> PIL.Image.Exif:
    """Return the EXIF data of the sent file."""
    return PIL.Image.open(io.BytesIO(image.data)).getexif()


# ---- the table


@pytest.mark.parametrize("file", FILES.values(), ids=FILES.keys())
def test_every_file_is_sent_in_an_accepted_type_and_the_right_way_up(file: ImageFile) -> None:
    """Accepted files are sent unchanged, and others converted, upright and without the location."""
    data = file.make()
    image, changes = prepare(data)
    if file.is_untouched:
        assert image.data == data
        assert changes == ""
        return
    assert image.media_type == file.sent
    assert image.size == image_files.SIZE
    assert file.says in changes
    assert changes.startswith("converted from ")
    assert_upright(image.to_pil(), gray=file.gray, tolerance=file.tolerance)
    assert not exif_of(image).get_ifd(0x8825)
    assert prepare(data)[0].data == image.data


@pytest.mark.parametrize("file", FILES.values(), ids=FILES.keys())
def test_every_file_is_upright_in_pillow(file: ImageFile) -> None:
    """`size` is the displayed size, and `to_pil` and `from_pil` keep the image upright."""
    image = Image.from_bytes(file.make())
    assert image.size == image.to_pil().size == image_files.SIZE
    if not file.gray:
        assert_upright(image.to_pil())
        assert_upright(Image.from_pil(image.to_pil()).to_pil())


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_pillow_image_with_an_orientation_is_sent_upright(turn: int) -> None:
    """`from_pil` applies the orientation of a photo opened with Pillow."""
    opened = PIL.Image.open(io.BytesIO(photo("JPEG", turn)))
    assert_upright(Image.from_pil(opened).to_pil())
    assert Image.from_pil(opened, "JPEG").size == image_files.SIZE


@pytest.mark.parametrize(
    "name",
    ["jpeg-1", "jpeg-5", "jpeg-6", "jpeg-cmyk", "webp-6", "webp-alpha", "png-6", "gif", "mpo"],
)
def test_a_large_image_is_scaled_down(name: str) -> None:
    """An image over the pixel limit is scaled down, upright and without its location."""
    data = FILES[name].make()
    image, changes = prepare(data, ModelCard("m", max_image_bytes=10**6, max_image_pixels=1000))
    width, height = image.size
    assert 700 < width * height <= 1000
    assert image.byte_size <= max(len(data), 1_500)
    assert "scaled from 96x64 to 38x25" in changes
    assert_upright(image.to_pil())
    exif = exif_of(image)
    assert not exif.get_ifd(0x8825)
    assert 0x0112 not in exif
    if name == "jpeg-6":
        assert "rotated upright" in changes
        assert "location and serial numbers removed" in changes
        assert (exif[0x010F], exif[0x0132]) == ("Phone Inc.", "2026:11:25 10:00:00")
        assert 0xA431 not in exif.get_ifd(0x8769)
        assert exif.get_ifd(0x8769)[0x829A] == pytest.approx(0.01)


@pytest.mark.parametrize("name", ["gif-frames", "apng", "webp-frames"])
def test_an_animation_is_kept_or_reported_as_lost(name: str) -> None:
    """An animation is sent unchanged if it fits, or else reported as reduced to its first frame."""
    data = FILES[name].make()
    assert prepare(data)[0].data == data
    image, changes = prepare(data, ModelCard("m", max_image_pixels=1000, max_image_bytes=10**6))
    assert re.search("only the first frame of [23] sent", changes)
    assert_upright(image.to_pil())


# ---- large images


def noise(width: int, height: int) -> PIL.Image.Image:
    """Return an image that is hard to compress."""
    return PIL.Image.frombytes(
        "RGB", (width, height), random.Random(7).randbytes(3 * width * height)
    )


def test_quality_is_reduced_before_size() -> None:
    """An image slightly over the byte limit keeps its size, and one far over it is scaled down."""
    data = encoded(noise(400, 300), "JPEG", quality=98)
    image, changes = prepare(data, ModelCard("m", max_image_bytes=len(data) * 2 // 3))
    assert image.size == (400, 300)
    assert "compressed from 0.2 MB to 0.1 MB" in changes
    image, changes = prepare(data, ModelCard("m", max_image_bytes=10_000))
    assert image.byte_size <= 10_000
    assert "scaled from 400x300 to" in changes
    assert image.size[0] / image.size[1] == pytest.approx(4 / 3, rel=0.05)


def test_a_png_of_30_megabytes_becomes_a_jpeg() -> None:
    """A PNG of 30 MB is sent as a JPEG below the 20 MB that every model accepts."""
    data = encoded(noise(3400, 3000), "PNG", compress_level=0)
    assert len(data) > 30_000_000
    image, changes = prepare(data)
    assert image.media_type == "image/jpeg"
    assert image.size == (3400, 3000)
    assert image.byte_size <= 20_000_000
    assert changes.startswith("converted from PNG to JPEG; compressed from 30.6 MB to ")


def test_transparency_is_kept_when_shrunk() -> None:
    """A large PNG with transparency is sent as a WebP with transparency."""
    cutout = noise(200, 200).convert("RGBA")
    cutout.paste((0, 0, 0, 0), (0, 0, 100, 100))
    image, _ = prepare(encoded(cutout, "PNG"), ModelCard("m", max_image_bytes=60_000))
    assert image.media_type == "image/webp"
    corner = image.to_pil().getpixel((10, 10))
    assert isinstance(corner, tuple)
    assert corner[3] == 0


def test_a_jpeg_of_100_megapixels_is_sent_unchanged_or_at_half_its_size() -> None:
    """A JPEG of 100 megapixels is sent unchanged or at half its size, without a full decode."""
    data = encoded(
        PIL.Image.new("L", (10_000, 10_000), 200), "JPEG", exif=image_files.camera_exif(6)
    )
    assert prepare(data)[0].data == data
    image, changes = prepare(data, ModelCard("m", max_image_bytes=len(data) // 2))
    assert image.size == (5_000, 5_000)
    assert "scaled from 10000x10000 to 5000x5000" in changes


def test_an_image_that_stays_too_large_is_refused() -> None:
    """An image that can't be reduced enough is refused with the limit and a hint."""
    with pytest.raises(InvalidImageError, match=r"limit of 10 bytes\. Send a smaller one"):
        prepare(FILES["png"].make(), ModelCard("m", max_image_bytes=10))


def test_pixel_bombs_are_refused() -> None:
    """A small file that claims a billion pixels is refused without decoding it."""
    header = b"BM" + (54).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    size = (30_000).to_bytes(4, "little")
    bomb = header + (40).to_bytes(4, "little") + size + size + b"\1\0\x18\0" + bytes(24)
    with pytest.raises(InvalidImageError, match=r"30000 x 30000|exceeds limit"):
        prepare(bomb)
    tiff = bytearray(encoded(PIL.Image.new("1", (9_000, 9_000)), "TIFF", compression="group4"))
    with pytest.raises(InvalidImageError, match=r"9000 x 9000"):
        prepare(bytes(tiff))


@pytest.mark.parametrize("name", ["heic-1", "avif", "bmp", "tiff", "tiff-lzw"])
def test_truncated_files_are_refused_in_one_sentence(name: str) -> None:
    """A truncated file that needs conversion is refused with a one-sentence error."""
    data = FILES[name].make()
    with pytest.raises(InvalidImageError, match=r"The image (is damaged|can't be opened): .*\.$"):
        prepare(data[: len(data) // 2])


def test_a_truncated_file_of_an_accepted_type_is_sent_unchanged() -> None:
    """A truncated file of an accepted type is sent unchanged, for the gateway to judge."""
    data = FILES["jpeg-1"].make()[:-500]
    assert prepare(data)[0].data == data


def test_suffixes_are_ignored(tmp_path: Path) -> None:
    """The bytes of a file, not its suffix, determine whether to convert it."""
    (tmp_path / "photo.jpg").write_bytes(heic())
    (tmp_path / "photo.heic").write_bytes(photo("JPEG"))
    assert Image.from_path(tmp_path / "photo.jpg").media_type == "image/heic"
    assert Image.from_path(tmp_path / "photo.heic").media_type == "image/jpeg"
    (tmp_path / "text.heic").write_text("Dear diary")
    with pytest.raises(InvalidImageError, match="Not a supported image"):
        Image.from_path(tmp_path / "text.heic")


# ---- metadata and color


def test_metadata_is_reduced_kept_or_removed() -> None:
    """`image_metadata` keeps, reduces or removes metadata, also of files otherwise sent
    unchanged.
    """
    data = heic(6)
    kept, _ = prepare(data, metadata="keep")
    assert exif_of(kept).get_ifd(0x8825)
    assert exif_of(kept).get(0x0112, 1) == 1
    removed, changes = prepare(data, metadata="remove")
    assert "metadata removed" in changes
    assert not exif_of(removed)
    for name in ("jpeg-6", "png-6", "webp-6"):
        bare, changes = prepare(FILES[name].make(), metadata="remove")
        assert "metadata removed" in changes
        assert not exif_of(bare)
        assert_upright(bare.to_pil())
    plain = FILES["png"].make()
    assert prepare(plain, metadata="remove")[0].data == plain
    with pytest.raises(ConfigurationError, match="Use one of reduce, keep, remove"):
        Emby(base_url="mock:", image_metadata="erase")  # type: ignore[arg-type]


def test_damaged_exif_data_causes_no_error() -> None:
    """Damaged EXIF data causes no error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about the data that it writes
        data = encoded(quarters(), "AVIF", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40)
    image, _ = prepare(data)
    assert image.size == Image(data).size == image_files.SIZE
    broken = encoded(quarters(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12")
    assert Image(broken).size == image_files.SIZE
    assert_upright(Image(broken).to_pil())


def test_a_color_profile_is_kept() -> None:
    """The color profile of an RGB image is kept, and that of a CMYK image is applied."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image, _ = prepare(encoded(quarters(), "TIFF", icc_profile=profile))
    assert image.to_pil().info["icc_profile"] == profile
    image, _ = prepare(encoded(quarters().convert("CMYK"), "TIFF", icc_profile=profile))
    assert "icc_profile" not in image.to_pil().info
    assert_upright(image.to_pil())


def test_heic_without_its_package_has_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pillow-heif, a HEIC image raises an error with the pip command."""
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(InvalidImageError, match=r"pip install 'emby-plugins\[heic\]'"):
        prepare(heic())


# ---- in a call


class Stamp:
    """A plugin that masks a corner, like one for badges or number plates."""

    def __init__(self, name: str = "mask", order: int = 300) -> None:
        self.name, self.order = name, order
        self.models: list[str] = []

    @hookimpl
    def emby_image_filters(self, model: ModelCard) -> Iterable[ImageFilter]:
        """Return one filter."""
        self.models.append(model.id)
        return [ImageFilter(self.name, self.order, self.apply)]

    def apply(self, outgoing: OutgoingImage) -> OutgoingImage:
        """Draw a black corner."""

        def mask(pixels: PIL.Image.Image) -> PIL.Image.Image:
            masked = pixels.convert("RGB")
            masked.paste((0, 0, 0), (0, 0, 20, 20))
            return masked

        return outgoing.edit(mask, "corner masked")


def sent_images(backend: ScriptedBackend) -> list[Image]:
    """Return the images of the last request."""
    body = json.loads(backend.requests[-1].body)
    blocks = [b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
    return [Image.from_data_url(b["image_url"]["url"]) for b in blocks if "image_url" in b]


@pytest.mark.parametrize("mode", ["sync", "async", "stream"])
def test_the_reply_lists_the_changes(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """The reply has original, sent image and changes of each prepared image, which are also
    logged.
    """
    backend = ScriptedBackend(completion())
    caplog.set_level(logging.DEBUG, "emby_plugins")
    images = [Image(FILES["png"].make()), Image(heic(6))]
    options: dict[str, Any] = {"plugins": [backend], "base_url": "scripted:"}
    options |= backend.on if isinstance(backend.on, dict) else {}
    if mode == "async":

        async def call_chat() -> Any:
            async with AsyncEmby("k", **options) as emby:
                return await emby.chat("What?", images=images)

        reply = asyncio.run(call_chat())
    else:
        with Emby("k", **options) as emby:
            if mode == "sync":
                reply = emby.chat("What?", images=images)
            else:
                with emby.stream("What?", images=images) as stream:
                    reply = [*stream] and stream.reply
    (prepared,) = reply.prepared_images
    assert isinstance(prepared, PreparedImage)
    assert prepared.original == images[1]
    first, second = sent_images(backend)
    assert first == images[0]
    assert second == prepared.sent
    text = "converted from HEIC to JPEG; location and serial numbers removed"
    assert str(prepared) == f"Image prepared for sending: {text}."
    assert [text in record.message for record in caplog.records] == [True]


def test_a_plugin_adds_and_replaces_filters() -> None:
    """Filters of plugins run in order on upright pixels, and can replace a built-in one by name."""
    backend, stamp = ScriptedBackend(completion()), Stamp()
    options = dict(backend.on)
    options["plugins"] = [*options.get("plugins", []), stamp]
    with Emby(**options) as emby:
        reply = emby.chat("What?", images=[Image(photo("JPEG", 6))], model="qwen2.5-vl")
    assert stamp.models == ["qwen2.5-vl"]
    (image,) = sent_images(backend)
    corner = image.to_pil().getpixel((5, 5))
    assert isinstance(corner, tuple)
    assert max(corner) < 30
    assert image.size == image_files.SIZE
    assert reply.prepared_images[0].changes == (
        "rotated upright",
        "corner masked",
        "location and serial numbers removed",
    )
    options["plugins"] = [*backend.on["plugins"], Stamp("convert", 100)]
    with Emby(**options) as emby:
        emby.chat("What?", images=[Image(FILES["png"].make())])
    assert sent_images(backend)[0] != Image(FILES["png"].make())


def test_a_filter_that_fails_sends_nothing() -> None:
    """If a filter raises, nothing is sent."""
    backend = ScriptedBackend(completion())
    options = dict(backend.on)
    stamp = Stamp()
    stamp.apply = lambda outgoing: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    options["plugins"] = [*options["plugins"], stamp]
    with Emby(**options) as emby, pytest.raises(ZeroDivisionError):
        emby.chat("What?", images=[Image(FILES["png"].make())])
    assert backend.requests == []


def test_images_of_tools_and_files_are_prepared_too() -> None:
    """Images returned by tools and attached as files are prepared too."""
    backend = ScriptedBackend(completion())
    history = [
        Message.user("Fetch it"),
        Message.tool(Image(heic()), tool_call_id="1", name="camera"),
        Message.user(FilePart.from_bytes(FILES["tiff"].make(), filename="scan.tif")),
    ]
    with Emby(**backend.on) as emby:
        emby.chat(history)
    assert [image.media_type for image in sent_images(backend)] == ["image/jpeg", "image/png"]


def test_the_byte_limit_is_the_cards_or_20_megabytes(caplog: pytest.LogCaptureFixture) -> None:
    """The byte limit is that of the model's card, or 20 MB, and never above the client's."""

    class Models:
        @hookimpl
        def emby_models(self) -> list[ModelCard]:
            return [ModelCard("small", max_image_bytes=3_000)]

    backend = ScriptedBackend(completion())
    data = encoded(noise(60, 40), "PNG")
    options = dict(backend.on)
    options["plugins"] = [*options["plugins"], Models()]
    with Emby(**options) as emby:
        emby.chat("?", images=[Image(data)], model="small")
        assert sent_images(backend)[0].byte_size <= 3_000
        emby.chat("?", images=[Image(data)], model="qwen2.5-vl")
        assert sent_images(backend)[0].data == data
    with Emby(**backend.on, limits=Limits(request_image=3_000)) as emby:
        emby.chat("?", images=[Image(data)])
        assert sent_images(backend)[0].byte_size <= 3_000


@pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])
def test_an_image_is_prepared_once_as_long_as_it_exists(in_file: bool, tmp_path: Path) -> None:
    """An image is prepared once per limit and then sent again in later turns."""
    backend, stamp = ScriptedBackend(completion()), Stamp()
    runs: list[OutgoingImage] = []
    apply = stamp.apply
    stamp.apply = lambda outgoing: runs.append(outgoing) or apply(outgoing)  # type: ignore[method-assign,func-returns-value]
    (tmp_path / "a.heic").write_bytes(heic(6))
    image = Image.from_path(tmp_path / "a.heic", lazy=in_file)
    with Emby(**backend.on | {"plugins": [backend, stamp]}) as emby:
        replies = [emby.chat("What?", images=[image]) for _ in range(3)]
        assert len(runs) == 1
        assert len({request.body for request in backend.requests}) == 1
        assert [reply.prepared_images for reply in replies] == [replies[0].prepared_images] * 3
        emby.chat("What?", images=[image], model="another")
        assert len(runs) == 2
        kept = weakref.ref(image)
        del image, replies, runs[:]
        gc.collect()
        assert kept() is None
        assert not any(known._results for known in emby._prepared.values())


def test_a_file_that_may_change_is_prepared_again(tmp_path: Path) -> None:
    """An image file that changes is prepared again."""
    backend, path = ScriptedBackend(completion()), tmp_path / "a.heic"
    image = Image(path=path)
    with Emby(**backend.on) as emby:
        for data in (heic(), FILES["bmp"].make()):
            path.write_bytes(data)
            emby.chat("What?", images=[image])
    first, second = (json.loads(request.body) for request in backend.requests)
    assert first != second


def test_unchanged_images_are_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images sent unchanged are not opened with Pillow."""
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("opened"))
    data = FILES["jpeg-6"].make()
    assert prepare(data)[0].data == data


# ---- arrays


def test_matplotlib_shows_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """`plt.imshow(image)` works for rotated and transparent images."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    figure, axes = plt.subplots()
    for name, shape in (("jpeg-6", (64, 96, 3)), ("webp-alpha", (64, 96, 4))):
        shown = axes.imshow(Image(FILES[name].make()))
        figure.savefig(io.BytesIO())
        assert shown.get_array().shape == shape
    plt.close(figure)


def test_arrays_in_and_out() -> None:
    """`numpy.asarray(image)` is upright, and `from_array` accepts its result."""
    pixels = np.asarray(Image(photo("JPEG", 6)))
    assert pixels.shape == (64, 96, 3)
    assert_upright(PIL.Image.fromarray(pixels))
    assert np.array_equal(np.asarray(Image.from_array(pixels)), pixels)
    assert np.asarray(Image(FILES["png-palette-alpha"].make())).shape == (64, 96, 4)
    assert np.asarray(Image(FILES["jpeg-cmyk"].make())).shape == (64, 96, 3)
    assert np.asarray(Image(FILES["jpeg-gray"].make())).shape == (64, 96)
    assert np.asarray(Image(FILES["png-16"].make())).max() > 255
    floats = np.asarray(Image(FILES["png"].make()), dtype=np.float64)
    assert floats.dtype == np.float64
    assert np.array_equal(np.asarray(Image.from_array(floats / 255)), pixels_of("png"))


def pixels_of(name: str) -> Any:
    """Return the pixels of a file of the table."""
    return np.asarray(Image(FILES[name].make()))


@pytest.mark.parametrize(
    ("array", "mode"),
    [
        (np.zeros((4, 5), np.uint8), "L"),
        (np.zeros((4, 5, 1), np.uint8), "L"),
        (np.zeros((4, 5, 2), np.uint8), "LA"),
        (np.zeros((4, 5, 3), np.int64), "RGB"),
        (np.ones((4, 5, 4), np.float32), "RGBA"),
        (np.zeros((4, 5), np.uint16), "I;16"),
        (np.zeros((4, 5), bool), "1"),
        ([[0, 255], [255, 0]], "L"),
    ],
)
def test_arrays_of_many_kinds(array: Any, mode: str) -> None:
    """`from_array` accepts gray, RGB and RGBA arrays of integers, floats from 0 to 1 and
    booleans.
    """
    made = Image.from_array(array)
    assert made.size == (np.shape(array)[1], np.shape(array)[0])
    assert made.to_pil().mode == mode


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4,), np.uint8), r"shape \(4,\)"),
        (np.zeros((3, 4, 5), np.uint8), r"shape \(3, 4, 5\)"),
        (np.zeros((0, 5), np.uint8), r"shape \(0, 5\)"),
        (np.full((4, 5), 300), "Integers must be 0 to 255 and floats 0 to 1"),
        (np.full((4, 5), 1.5), "out of range"),
        (np.full((4, 5), np.nan), "out of range"),
        (np.array([["a"]]), "out of range"),
    ],
)
def test_arrays_that_are_not_images(array: Any, message: str) -> None:
    """`from_array` refuses other shapes, types and values, and the error has them."""
    with pytest.raises(InvalidImageError, match=message):
        Image.from_array(array)
