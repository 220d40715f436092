"""`Image`: creating, saving and showing one, and what is refused."""

import base64
import copy
import os
import pickle
import stat
import struct
import zlib
from io import BytesIO
from pathlib import Path

import PIL.Image
import PIL.ImageChops
import pytest
from support import data_url, photo, picture

from emby_plugins import Image, InvalidImageError, Provenance
from emby_plugins._media_types import ACCEPTED_MEDIA_TYPES, sniff

PNG = picture()
PHOTOS = {
    "rocket.jpg": ("image/jpeg", ".jpg", (640, 427)),
    "chelsea.png": ("image/png", ".png", (451, 300)),
    "coffee.png": ("image/png", ".png", (600, 400)),
    "astronaut.png": ("image/png", ".png", (512, 512)),
    "no_time_for_that_tiny.gif": ("image/gif", ".gif", (14, 25)),
}


# ---- creation


@pytest.mark.parametrize("name", PHOTOS)
def test_a_real_photograph_has_its_properties(name: str) -> None:
    """An image has the exact bytes, type, suffix, size and pixels of its file."""
    path = photo(name)
    image = Image.from_path(path)
    assert image.data == path.read_bytes()
    assert (image.media_type, image.suffix) == PHOTOS[name][:2]
    with PIL.Image.open(path) as reference:
        assert image.size == reference.size == image.to_pil().size
        frame = image.to_pil().convert("RGB")
        assert PIL.ImageChops.difference(frame, reference.convert("RGB")).getbbox() is None
    assert Image.from_data_url(image.data_url) == image


def test_the_file_name_does_not_matter(tmp_path: Path) -> None:
    """The media type is detected from the bytes, not from the file name."""
    path = tmp_path / "a.png"
    path.write_bytes(picture(format="JPEG"))
    assert Image.from_path(path).media_type == "image/jpeg"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_bytes_of_every_accepted_format(format: str) -> None:  # noqa: A002
    """`from_bytes` keeps the bytes of each accepted format, given as bytes, bytearray or view."""
    data = picture(format=format)
    for given in (data, bytearray(data), memoryview(data)):
        image = Image.from_bytes(given)
        assert (image.data, type(image.data)) == (data, bytes)
        assert image.media_type == f"image/{format.lower()}"
        assert image.size == (3, 2)


def test_a_path_may_be_text_and_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path may be a string, and `~` is expanded to the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(PNG)
    assert Image.from_path("~/a.png").data == PNG


def test_files_that_are_not_images_are_refused(tmp_path: Path) -> None:
    """Missing, empty or non-image files are refused with their path and the reason."""
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("Dear diary")
    (tmp_path / "page.jpg").write_text("<html>")
    (tmp_path / "drawing.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "print.png").write_text("%!PS-Adobe-3.0 EPSF-3.0")
    for name, why in {
        "missing.png": "No such file or directory",
        "empty.png": "No data in",
        ".": "Is a directory",
        "text.png": "Not a supported image",
        "page.jpg": "Not a supported image",
        "drawing.png": "Not a supported image",
        "print.png": "Not a supported image",
        "a\0b": "null",  # the message varies with the Python version
    }.items():
        with pytest.raises(InvalidImageError) as caught:
            Image.from_path(tmp_path / name)
        assert why in caught.value.message
        assert repr(str(tmp_path / name)) in caught.value.message
        assert isinstance(caught.value, ValueError)


def test_a_home_that_does_not_exist_is_a_typed_error() -> None:
    """A path in the home of an unknown user raises InvalidImageError."""
    with pytest.raises(InvalidImageError, match="can't be read"):
        Image.from_path("~nobody-of-that-name/a.png")


@pytest.mark.parametrize("data", [b"", b"BM", b"text", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x18ftypmp42"])
def test_bytes_that_are_not_an_image_are_refused(data: bytes) -> None:
    """Bytes that are not an image, such as audio, video or text, are refused."""
    with pytest.raises(
        InvalidImageError, match=r"Not a supported image: these bytes|No data in these bytes"
    ):
        Image.from_bytes(data)


@pytest.mark.parametrize("url", ["https://example.com/a.png", "HTTPS://E.com", "http://[::1]/a"])
def test_a_url_is_kept_and_never_fetched(url: str) -> None:
    """A URL is never fetched, and asking for its bytes, size or hash raises an error."""
    image = Image.from_url(url)
    assert (image.url, image.media_type, image.content) == (url, None, None)
    for name in ("data", "size", "sha256", "data_url", "suffix"):
        with pytest.raises(InvalidImageError, match="its bytes were never downloaded"):
            getattr(image, name)
    with pytest.raises(InvalidImageError):
        image.save("x")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/a.png",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "example.com/a.png",
        "//example.com/a.png",
        "https:///a.png",
        "https://",
        "https://[broken",
        "/etc/passwd",
        "",
        " ",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    """URLs other than http and https with a host are refused, with a hint on other constructors."""
    with pytest.raises(InvalidImageError, match=r"Invalid image URL.*from_path\(\)"):
        Image.from_url(url)


def test_a_long_url_is_shortened() -> None:
    """A long URL is shortened in the repr and in errors."""
    long = "https://example.com/" + "x" * 10_000
    assert len(repr(Image.from_url(long))) < 120
    with pytest.raises(InvalidImageError) as caught:
        Image.from_url("file:" + long)
    assert len(str(caught.value)) < 250


GOOD_URLS = {
    "plain": data_url(PNG),
    "parameters": data_url(PNG).replace(";", ";charset=utf-8;name=a.png;", 1),
    "capitals": data_url(PNG).replace("data:image/png;base64", "DATA:IMAGE/PNG;BASE64"),
    "wrong-type": data_url(PNG, "text/plain"),
    "no-type": data_url(PNG, ""),
    "line-breaks": data_url(PNG)[:60] + "\r\n \t" + data_url(PNG)[60:] + "\n",
}


@pytest.mark.parametrize("url", GOOD_URLS.values(), ids=GOOD_URLS)
def test_every_spelling_of_a_data_url(url: str) -> None:
    """Parameters, capitals, line breaks and a wrong type in a data URL change no byte."""
    image = Image.from_data_url(url)
    assert (image.data, image.media_type) == (PNG, "image/png")


BROKEN_URLS = {
    "empty": "",
    "address": "https://example.com",
    "no-comma": "data:image/png;base64",
    "no-base64": "data:image/png,abc",
    "percent": "data:image/png;charset=utf-8,%89PNG",
    "no-data": "image/png;base64,AAAA",
    "no-bytes": "data:image/png;base64,",
    "spaces-only": "data:image/png;base64, \n",
    "cut": data_url(PNG)[:-1],
    "letters": data_url(PNG) + "!",
    "url-safe": "data:image/png;base64,__--",
    "between": data_url(PNG)[:60] + "=" + data_url(PNG)[60:],
    "no-ascii": "data:image/png;base64,ä\ud800",
    "twice": data_url(PNG) + data_url(PNG),
    "no-image": "data:image/png;base64,aGVsbG8=",
    "far-comma": "data:" + "x" * 600 + ";base64,AAAA",
}


@pytest.mark.parametrize("url", BROKEN_URLS.values(), ids=BROKEN_URLS)
def test_broken_data_urls_are_refused(url: str) -> None:
    """Invalid base64 and other malformed data URLs are refused with a short error."""
    with pytest.raises(InvalidImageError) as caught:
        Image.from_data_url(url)
    assert len(str(caught.value)) < 250


# ---- Pillow


MODES = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "I",
    "I;16",
    "F",
    "RGB",
    "RGBA",
    "RGBX",
    "CMYK",
    "YCbCr",
    "HSV",
    "LAB",
)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "png"])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow_in_every_format(mode: str, format: str) -> None:  # noqa: A002
    """A photograph in any mode of Pillow becomes an image of the same size that can be opened."""
    with PIL.Image.open(photo("chelsea.png")) as cat:
        small = cat.resize((24, 16))
    made = _as_mode(small.convert("RGB"), mode)
    image = Image.from_pil(made, format)
    assert image.media_type == f"image/{format.lower()}"
    again = image.to_pil()
    assert again.size == (24, 16)
    # Pillow's own conversion turns 16-bit images white.
    again = again if again.mode == "I;16" else again.convert("L")
    darkest, brightest = again.getextrema()
    assert brightest - darkest > 50


def _as_mode(made: PIL.Image.Image, mode: str) -> PIL.Image.Image:
    if mode == "LAB":
        from PIL import ImageCms

        lab = ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(made, ImageCms.createProfile("sRGB"), lab, outputMode=mode)
    if mode == "I;16":
        return made.convert("L").convert("I").point(lambda level: level * 257).convert(mode)
    if mode in {"I", "F"}:
        return made.convert("L").convert(mode)
    if mode == "PA":
        return made.convert("P").convert("PA")
    return made.convert(mode)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_transparency_is_kept_where_it_can_be(mode: str, format: str) -> None:  # noqa: A002
    """Transparency is kept in the formats that support it."""
    made = PIL.Image.new("RGBA", (8, 8), (200, 10, 10, 255))
    made.paste((0, 0, 0, 0), (0, 0, 4, 8))
    if mode != "RGBA":
        made = made.convert("LA") if mode == "LA" else _with_palette(made)
    alpha = Image.from_pil(made, format).to_pil().convert("RGBA").getchannel("A")
    assert (alpha.getpixel((1, 1)), alpha.getpixel((6, 6))) == (0, 255)


def _with_palette(made: PIL.Image.Image) -> PIL.Image.Image:
    paletted = made.convert("RGB").convert("P").convert("PA")
    paletted.putalpha(made.getchannel("A"))
    return paletted


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_sixteen_bits_do_not_turn_white(format: str) -> None:  # noqa: A002
    """A medium gray of 16 bits is a medium gray in every format."""
    grey = PIL.Image.new("I;16", (8, 8), 0x8000)
    made = Image.from_pil(grey, format).to_pil()
    value = (
        made.convert("I").getpixel((4, 4)) / 256 if made.mode == "I;16" else made.getpixel((4, 4))
    )
    level = value[0] if isinstance(value, tuple) else value
    assert 120 < level < 136


def test_sixteen_bits_stay_sixteen_in_png() -> None:
    """PNG keeps 16-bit pixels exactly, in either of Pillow's modes."""
    for mode in ("I;16", "I"):
        made = Image.from_pil(PIL.Image.new(mode, (1, 1), 12_345)).to_pil()
        assert made.getpixel((0, 0)) == 12_345


@pytest.mark.parametrize("format", ["BMP", "TIFF", "EPS", "", "jpg"])
def test_pillow_writes_only_accepted_formats(format: str) -> None:  # noqa: A002
    """Formats that Emby does not accept are refused, and the error lists those it accepts."""
    with pytest.raises(InvalidImageError, match="PNG, JPEG, WEBP or GIF"):
        Image.from_pil(PIL.Image.new("RGB", (1, 1)), format)


def test_what_pillow_can_not_write_is_a_typed_error() -> None:
    """An image that Pillow can't encode, such as a JPEG of 70,000 pixels, raises
    InvalidImageError.
    """
    with pytest.raises(InvalidImageError, match="Pillow can't encode the image"):
        Image.from_pil(PIL.Image.new("L", (70_000, 1)), "JPEG")


def png_of(width: int, height: int) -> bytes:
    """Return a tiny PNG with this size in its header."""

    def part(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1_000)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", pixels) + part(b"IEND", b"")


@pytest.mark.parametrize("side", [8_001, 12_000, 20_000, 2_000_000_000])
def test_a_pixel_bomb_is_refused_by_its_header(side: int) -> None:
    """An image with too many pixels is refused based on its header, without decoding it."""
    image = Image.from_bytes(png_of(side, side))
    with pytest.raises(InvalidImageError):
        image.to_pil()
    with pytest.raises(InvalidImageError):
        _ = image.size
    assert Image.from_bytes(png_of(8_000, 8_000)).size == (8_000, 8_000)


@pytest.mark.parametrize("name", ["rocket.jpg", "chelsea.png", "coffee.png"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.99])
def test_a_truncated_photograph_is_damaged(name: str, share: float) -> None:
    """A truncated photograph raises InvalidImageError when opened."""
    data = photo(name).read_bytes()
    cut = Image.from_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidImageError, match=r"damaged|can't be opened"):
        cut.to_pil()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_damage_anywhere_opens_or_is_a_typed_error(format: str) -> None:  # noqa: A002
    """A changed byte or truncation at any position opens or raises InvalidImageError."""
    data = picture(size=(20, 20), format=format)
    variants = [data[:at] for at in range(12, len(data))]
    for at in range(12, len(data)):
        others = (0, 0x7F, 0xFF, data[at] ^ 1)
        variants += (data[:at] + bytes([other]) + data[at + 1 :] for other in others)
    errors = [error for variant in variants if (error := damage(variant))]
    assert 0 < len(errors) < len(variants)
    # Pillow's own messages contain the address of an object.
    assert not [error for error in errors if " at 0x" in error]


def damage(data: bytes) -> str:
    """Return the message about an image that can't be opened, or an empty string."""
    try:
        Image(data).to_pil()
    except InvalidImageError as error:
        return str(error)
    return ""


def test_other_formats_are_not_opened() -> None:
    """Formats that Emby neither accepts nor converts are not opened with Pillow."""
    with pytest.raises(InvalidImageError, match="can't be opened"):
        Image(picture(format="PCX")).to_pil()
    assert Image.from_bytes(picture(format="BMP")).to_pil().format == "BMP"


# ---- saving and display


def names(folder: Path) -> list[str]:
    """Return the names of all files in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("puppy", "puppy.png"),
        ("puppy.png", "puppy.png"),
        ("puppy.PNG", "puppy.PNG"),
        ("puppy.jpg", "puppy.png"),
        ("puppy.v1.2", "puppy.v1.2.png"),
        ("puppy.bin", "puppy.png"),
        (".hidden", ".hidden.png"),
        ("a b", "a b.png"),
    ],
)
def test_saving_gives_the_right_suffix(given: str, written: str, tmp_path: Path) -> None:
    """A missing suffix is added, a wrong one replaced, and the path returned."""
    path = Image(PNG).save(tmp_path / given)
    assert path == tmp_path / written
    assert path.read_bytes() == PNG
    assert names(tmp_path) == [written]


def test_a_jpeg_may_have_either_of_its_suffixes(tmp_path: Path) -> None:
    """`.jpeg` is accepted for a JPEG, and unknown bytes get `.bin`."""
    assert Image(picture(format="JPEG")).save(tmp_path / "a.jpeg").name == "a.jpeg"
    assert Image(picture(format="JPEG")).save(tmp_path / "b").name == "b.jpg"
    assert Image(b"\0JXL").save(tmp_path / "c.png").name == "c.bin"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Saving over an existing file raises, and leaves it unchanged without a temporary file."""
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(FileExistsError, match="already exists and was not overwritten"):
        Image(PNG).save(tmp_path / "a")
    assert (tmp_path / "a.png").read_text() == "mine"
    assert names(tmp_path) == ["a.png"]


def test_overwriting_is_opt_in(tmp_path: Path) -> None:
    """`overwrite=True` replaces the file, or a link but not its target."""
    (tmp_path / "a.png").write_text("mine")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    assert Image(PNG).save(tmp_path / "b", overwrite=True) == tmp_path / "b.png"
    assert (tmp_path / "b.png").read_bytes() == PNG
    assert (tmp_path / "a.png").read_text() == "mine"
    Image(PNG).save(tmp_path / "a.jpg", overwrite=True)
    assert (tmp_path / "a.png").read_bytes() == PNG
    Image(path=tmp_path / "a.png").save(tmp_path / "a.png", overwrite=True)
    assert (tmp_path / "a.png").read_bytes() == PNG
    assert names(tmp_path) == ["a.png", "b.png"]


@pytest.mark.parametrize("target", ["there.png", "nowhere.png"])
def test_a_symlink_is_neither_followed_nor_replaced(target: str, tmp_path: Path) -> None:
    """A symlink with the name, even a dangling one, is neither followed nor replaced."""
    (tmp_path / "there.png").write_text("mine")
    (tmp_path / "a.png").symlink_to(tmp_path / target)
    with pytest.raises(FileExistsError):
        Image(PNG).save(tmp_path / "a.png")
    assert (tmp_path / "there.png").read_text() == "mine"
    assert names(tmp_path) == ["a.png", "there.png"]


def test_a_folder_gets_a_name_by_digest_once(tmp_path: Path) -> None:
    """Saving the same bytes to a folder twice gives one file, named by digest."""
    first = Image(PNG).save(tmp_path)
    assert first.name == f"emby-{Image(PNG).sha256[:16]}.png"
    before = first.stat()
    assert Image(PNG).save(tmp_path) == first
    assert first.stat().st_mtime_ns == before.st_mtime_ns
    assert len(names(tmp_path)) == 1
    assert Image(picture("blue")).save(tmp_path) != first


def test_a_folder_does_not_hide_another_file_of_that_name(tmp_path: Path) -> None:
    """Another file with the digest's name raises and is left unchanged."""
    taken = tmp_path / f"emby-{Image(PNG).sha256[:16]}.png"
    taken.write_text("mine")
    with pytest.raises(FileExistsError):
        Image(PNG).save(tmp_path)
    assert taken.read_text() == "mine"


def no_links(*_: object, **__: object) -> None:
    """Simulate `os.link` on a file system without hard links."""
    raise PermissionError("no links here")


def test_saving_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hard links, files are saved and nothing is overwritten either."""
    monkeypatch.setattr(os, "link", no_links)
    path = Image(PNG).save(tmp_path / "a")
    assert path.read_bytes() == PNG
    with pytest.raises(FileExistsError):
        Image(picture("blue")).save(tmp_path / "a")
    assert path.read_bytes() == PNG
    assert names(tmp_path) == ["a.png"]


def test_no_file_is_left_when_moving_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If moving fails, neither a temporary file nor an empty file remains."""

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        Image(PNG).save(tmp_path / "a")
    assert names(tmp_path) == []


def test_no_file_is_left_when_writing_fails(tmp_path: Path) -> None:
    """If reading the source fails, no file remains."""
    with pytest.raises(InvalidImageError):
        Image(path=tmp_path / "gone.png").save(tmp_path / "a.png")
    assert names(tmp_path) == []


def test_no_file_is_left_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk is full, neither a temporary nor a partial file remains."""
    real = os.open

    def full(path: str, flags: int, mode: int = 0o777) -> int:
        os.close(real(path, flags, mode))
        return real("/dev/full", os.O_RDWR)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="No space left"):
        Image(PNG).save(tmp_path / "a.png")
    monkeypatch.undo()
    assert names(tmp_path) == []


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A missing folder raises and is not created."""
    with pytest.raises(FileNotFoundError):
        Image(PNG).save(tmp_path / "no" / "a.png")


def test_the_file_has_the_users_own_mode(tmp_path: Path) -> None:
    """A saved file has the mode that the umask gives any other file."""
    old = os.umask(0o027)
    try:
        path = Image(PNG).save(tmp_path / "a")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_repr_never_shows_bytes() -> None:
    """The repr of an image shows its type and size, or its URL, and no base64."""
    image = Image(PNG, provenance=Provenance("m", "p"))
    assert repr(image) == f"<Image image/png, {len(PNG):,} bytes>"
    assert str([image]) == f"[{image!r}]"
    assert repr(Image.from_url("https://e.com/a.png")) == "<Image 'https://e.com/a.png'>"


@pytest.mark.parametrize("name", PHOTOS)
def test_a_notebook_shows_the_unchanged_bytes(name: str) -> None:
    """The MIME bundle for notebooks has the unchanged bytes under their type."""
    image = Image.from_path(photo(name))
    bundle, metadata = image._repr_mimebundle_(include=None, exclude=None)
    assert base64.b64decode(bundle[image.media_type]) == image.data
    assert bundle["text/plain"] == repr(image)
    assert metadata == {}


def test_a_notebook_shows_a_url_as_text() -> None:
    """In a notebook, URLs and unsupported formats are shown as text, and nothing is fetched."""
    for image in (
        Image.from_url("https://e.com/a.png"),
        Image(b"\0JXL"),
        Image(b"BM" + b"\0" * 99),
    ):
        assert image._repr_mimebundle_() == ({"text/plain": repr(image)}, {})


def test_images_are_values() -> None:
    """Images are immutable, hashable, copyable and compared by bytes or URL, not by provenance."""
    image = Image(PNG, provenance=Provenance("m", "p"))
    assert image == Image(PNG) != Image(picture("blue"))
    assert len({image, Image(PNG), Image.from_url("https://e.com")}) == 2
    for twin in (copy.copy(image), copy.deepcopy(image), pickle.loads(pickle.dumps(image))):
        assert twin == image
        assert twin.provenance == image.provenance
    with pytest.raises(AttributeError):
        image.content = b""  # type: ignore[misc]


def test_the_data_url_is_that_of_the_bytes() -> None:
    """The data URL has the detected media type."""
    assert Image(PNG).data_url == data_url(PNG)


SIGNS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff\xe0": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"RIFF....WEBP": "image/webp",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"BM" + b"\0" * 30: "image/bmp",
    b"....ftypavif": "image/avif",
    b"....ftypheic": "image/heic",
    b"....ftypmif1": "image/heic",
    b"....ftypisom": "application/octet-stream",
    b"<svg>": "application/octet-stream",
    b"": "application/octet-stream",
}


@pytest.mark.parametrize(("data", "kind"), SIGNS.items())
def test_the_type_is_detected_from_the_first_bytes(data: bytes, kind: str) -> None:
    """The media type is detected from the first bytes, for every known format."""
    assert sniff(data) == kind


def test_pillow_agrees_about_every_accepted_type() -> None:
    """Pillow detects the same type for each accepted format."""
    for kind in ACCEPTED_MEDIA_TYPES:
        data = picture(format=kind.removeprefix("image/"))
        with PIL.Image.open(BytesIO(data)) as opened:
            assert opened.get_format_mimetype() == kind == sniff(data)


def test_truncated_exif_data_rotates_without_a_warning() -> None:
    """The orientation in truncated EXIF data is applied, and Pillow's warnings are suppressed."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    broken = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entry + b"\0\1"
    file = BytesIO()
    PIL.Image.new("RGB", (30, 20)).save(file, "JPEG", exif=broken)
    assert Image.from_bytes(file.getvalue()).to_pil().size == (20, 30)


@pytest.mark.parametrize("size", [1, 2, 3, 1 << 20, 3_000_001])
def test_base64_is_kept_and_decoded_when_read(size: int, tmp_path: Path) -> None:
    """An image created from base64 equals that of its bytes, and is decoded only on access."""
    data = (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * (size // 256 + 1))[:size]
    plain = Image(content=data)
    kept = Image.from_base64(plain.base64)
    assert kept.content is None
    assert kept == plain
    assert hash(kept) == hash(plain)
    assert kept.data == data
    assert (kept.byte_size, kept.sha256) == (size, plain.sha256)
    assert (kept.media_type, kept.data_url, repr(kept)) == (
        plain.media_type,
        plain.data_url,
        repr(plain),
    )
    assert kept.save(tmp_path / "image").read_bytes() == data
    broken = "\n".join((plain.base64[:5], plain.base64[5:]))
    assert Image.from_base64(f"data:image/png;base64,{broken}") == plain


@pytest.mark.parametrize("text", ["", "%%%%", "AAA", "AA==AAAA", "A" * (1 << 20) + "A=", "\u00e9"])
def test_broken_base64_is_refused(text: str) -> None:
    """Empty or invalid base64 is refused."""
    with pytest.raises(InvalidImageError):
        Image.from_base64(text)


def test_pydantic_describes_and_dumps_an_image() -> None:
    """An image in a pydantic model has a JSON schema, and its dump contains the bytes once."""
    pydantic = pytest.importorskip("pydantic")
    adapter = pydantic.TypeAdapter(Image)
    assert {"content", "url", "path"} <= adapter.json_schema()["properties"].keys()
    dumped = adapter.dump_python(Image(PNG))
    assert list(dumped.values()).count(PNG) == str(dumped).count("IHDR") == 1
    assert adapter.validate_python(dumped) == Image(PNG)
