"""`Image`: where a picture comes from, what it is, how it is saved and shown.

Bytes stay as they came. The media type is read off the bytes, never off a name or a header;
pixels are decoded only when someone asks for them. Knows nothing of the wire but the data URL.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self
from urllib.parse import urlsplit

from emby_plugins._errors import InvalidImageError
from emby_plugins._files import (
    check_close,
    commit,
    open_regular,
    read_file,
    temporary_file,
    write_all,
)

if TYPE_CHECKING:
    import PIL.Image

ACCEPTED_MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
"""What Emby's models take: Vision Support page, "Supported Image Types"."""

MAX_PIXELS = 64_000_000
"""The largest picture that is ever decoded, in pixels: a 17 KB file can claim many more."""

_UNKNOWN = "application/octet-stream"
_PIECE = 1 << 20
_SUFFIXES = {
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
    "image/webp": (".webp",),
    "image/gif": (".gif",),
    "image/bmp": (".bmp",),
    "image/tiff": (".tiff", ".tif"),
    "image/heic": (".heic", ".heif"),
    "image/avif": (".avif",),
    _UNKNOWN: (".bin",),
}
_MODES = {
    "JPEG": ("L", "RGB"),
    "PNG": ("1", "L", "LA", "I;16", "P", "RGB", "RGBA"),
    "WEBP": ("L", "P", "RGB", "RGBA"),
    "GIF": ("L", "P", "RGB", "RGBA"),
}
_TAKES = "Emby takes JPEG, PNG, WebP and GIF."


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a generated image came from: the model, the prompt, the request and the time."""

    model: str
    prompt: str
    request_id: str | None = None
    created: datetime | None = None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Image:
    """A picture: its bytes, a file that holds them, or the address of one the gateway fetches.

    Made by the `from_*` methods, which say what they are given and never guess. Equal when the
    bytes (or the addresses) are equal. A generated image carries its `provenance`; it is in
    `path` instead of in memory when the client was made with an `image_folder`.
    """

    content: bytes | None = None
    url: str | None = None
    path: Path | None = None
    provenance: Provenance | None = field(default=None, compare=False)
    _sha256: str = field(default="", compare=False)
    """The digest, where it is known already: an image is hashed once."""

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """An image from an image file's bytes. Raises `InvalidImageError` for anything else."""
        return cls(content=_checked(bytes(data), "These bytes"))

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Self:
        """An image from a file, read now.

        Raises `InvalidImageError` when it is not an image file, and before reading it when it is
        a folder, a pipe, a socket or a device, or has more than 100 MiB. `Image.from_bytes` takes
        what was read in another way.
        """
        try:
            path = Path(path).expanduser()
            data = read_file(path)
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            msg = f"The image file {str(path)!r} can't be read: {reason}."
            raise InvalidImageError(msg, hint="Check the path.") from error
        return cls(content=_checked(data, f"The file {str(path)!r}"))

    @classmethod
    def from_pil(cls, picture: "PIL.Image.Image", format: str = "PNG") -> Self:  # noqa: A002
        """An image from a Pillow one, encoded as `format`: PNG, JPEG, WEBP or GIF."""
        if f"image/{format.lower()}" not in ACCEPTED_MEDIA_TYPES:
            raise InvalidImageError(f"A picture can't be sent as {format!r}.", hint=_TAKES)
        out = BytesIO()
        try:
            _in_mode_of(picture, format.upper()).save(out, format=format)
        except (OSError, ValueError) as error:
            raise InvalidImageError(f"Pillow could not write the picture: {error}.") from error
        return cls(content=out.getvalue())

    @classmethod
    def from_url(cls, url: str) -> Self:
        """An image by its https address, which the gateway fetches; we never do.

        Emby, Vision Support page, "Using HTTPS URLs".
        """
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            usable = False
        if not usable:
            msg = f"{_shown(url)} is not the https address of an image."
            hint = "Image.from_path() reads a file, Image.from_data_url() a data URL."
            raise InvalidImageError(msg, hint=hint)
        return cls(url=url)

    @classmethod
    def from_data_url(cls, url: str) -> Self:
        """An image from a `data:image/...;base64,` URL.

        Emby, Vision Support page, "Using Base64 Inline Data".
        """
        return cls(content=_checked(decode_data_url(url), "The data URL"))

    @property
    def data(self) -> bytes:
        """The bytes, as they came.

        Raises `InvalidImageError` for an image that is an address, or whose file is gone.
        """
        return b"".join(self._pieces()) if self.content is None else self.content

    @property
    def media_type(self) -> str | None:
        """Such as `image/png`, read off the bytes; None for an address, which is never fetched."""
        return None if self.url is not None else sniff(self._head())

    @property
    def suffix(self) -> str:
        """The file name suffix that fits the bytes, such as `.png`."""
        return self._suffixes()[0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the header alone."""
        width, height = _open(self.data).size
        return width, height

    @property
    def sha256(self) -> str:
        """The digest of the bytes, in hexadecimal; of a generated image, as they arrived."""
        if self._sha256:
            return self._sha256
        digest = hashlib.sha256()
        for piece in self._pieces():
            digest.update(piece)
        if self.content is not None:  # a file may change, bytes can't
            object.__setattr__(self, "_sha256", digest.hexdigest())
        return digest.hexdigest()

    @property
    def byte_size(self) -> int:
        """How many bytes there are, without reading them. Raises as `data` does."""
        if self.content is not None:
            return len(self.content)
        with self._open_file() as file:
            return os.fstat(file.fileno()).st_size

    @property
    def data_url(self) -> str:
        """The image as a `data:` URL."""
        import pybase64

        return f"data:{self.media_type};base64,{pybase64.b64encode_as_string(self.data)}"

    def with_provenance(self, provenance: Provenance) -> Self:
        """The same image, with `provenance`."""
        return replace(self, provenance=provenance)

    def to_pil(self) -> "PIL.Image.Image":
        """A Pillow image, fully decoded.

        Raises `InvalidImageError` for damaged bytes, and for more than `MAX_PIXELS` pixels.
        """
        picture = _open(self.data)
        try:
            picture.load()
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise InvalidImageError(f"The image is damaged: {error}.") from error
        return picture

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the bytes as they are, and return the path of the file.

        The right suffix is added, or put in place of a wrong one. In a folder the file is named
        by its digest. Raises `FileExistsError` rather than overwrite; the file appears whole or
        not at all.
        """
        path = Path(path).expanduser()
        if path.is_dir():
            path = path / f"emby-{self.sha256[:16]}{self.suffix}"
            if path.is_file() and Image(path=path).sha256 == self.sha256:
                return path
        else:
            path = self._with_suffix(path)
        with temporary_file(path.parent) as (file, written):
            for piece in self._pieces():
                write_all(file, piece)
            check_close(file)
            commit(written, path)
        return path

    def _with_suffix(self, path: Path) -> Path:
        right = self._suffixes()
        if path.suffix.lower() in right:
            return path
        wrong = path.suffix.lower() in {s for suffixes in _SUFFIXES.values() for s in suffixes}
        return path.with_suffix(right[0]) if wrong else path.with_name(path.name + right[0])

    def _suffixes(self) -> tuple[str, ...]:
        return _SUFFIXES[sniff(self._head())]

    def _head(self) -> bytes:
        return next(self._pieces(), b"")[:64] if self.content is None else self.content[:64]

    def _pieces(self) -> Iterator[bytes]:
        """The bytes in pieces, so that a file need not be in memory as a whole."""
        if self.content is not None:
            yield self.content
            return
        with self._open_file() as file:
            while piece := file.read(_PIECE):
                yield piece

    @contextmanager
    def _open_file(self) -> Iterator[BinaryIO]:
        if self.path is None:
            msg = f"The image at {_shown(self.url or '')} is only an address here."
            raise InvalidImageError(msg, hint="Fetch it and use Image.from_bytes().")
        try:
            with open_regular(self.path) as file:
                yield file
        except OSError as error:
            msg = f"The image file {str(self.path)!r} can't be read: {error.strerror}."
            raise InvalidImageError(msg, hint="Was it moved?") from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Image):
            return NotImplemented
        if self.url is not None or other.url is not None:
            return self.url == other.url
        return self.data == other.data

    def __hash__(self) -> int:
        return hash(self.url or self._head())

    def __repr__(self) -> str:
        if self.url is not None:
            return f"<Image {_shown(self.url)}>"
        if self.content is None:
            return f"<Image {str(self.path)!r}>"
        return f"<Image {self.media_type}, {len(self.content):,} bytes>"

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.media_type not in ACCEPTED_MEDIA_TYPES:
            return {"text/plain": repr(self)}, {}
        encoded = self.data_url.partition(",")[2]
        return {self.media_type: encoded, "text/plain": repr(self)}, {}


def sniff(data: bytes) -> str:
    """The media type these bytes begin like; `application/octet-stream` for no image we know."""
    head = data[:32]
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith((b"II*\0", b"MM\0*")):
        return "image/tiff"
    if head.startswith(b"BM") and len(data) > 26:
        return "image/bmp"
    if head[4:8] == b"ftyp":
        if head[8:12] in {b"avif", b"avis"}:
            return "image/avif"
        if head[8:12] in {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}:
            return "image/heic"
    return _UNKNOWN


def decode_data_url(url: str | bytes | memoryview) -> bytes:
    """The bytes inside a base64 data URL; extra parameters and line breaks are tolerated.

    Raises `InvalidImageError` for anything else.
    """
    import pybase64

    raw = memoryview(url.encode("utf-8", "replace") if isinstance(url, str) else url)
    head, comma, _ = bytes(raw[:512]).partition(b",")
    if not comma or head[:5].lower() != b"data:" or not head.lower().endswith(b";base64"):
        msg = f"{_shown(bytes(raw[:64]).decode('utf-8', 'replace'))} is not a base64 data URL."
        raise InvalidImageError(msg, hint="It begins with data:image/png;base64, or the like.")
    payload = raw[len(head) + 1 :]
    try:
        try:
            data = pybase64.b64decode(payload, validate=True)
        except ValueError:
            data = pybase64.b64decode(b"".join(bytes(payload).split()), validate=True)
    except ValueError as error:
        raise InvalidImageError(f"The data URL's base64 is broken: {error}.") from None
    return data


def _checked(data: bytes, what: str) -> bytes:
    if not data:
        raise InvalidImageError(f"{what} can't be used: there are no bytes in it.")
    if sniff(data) == _UNKNOWN:
        begins = f"it begins with {data[:12]!r}"
        msg = f"{what} can't be used: it is no image, whatever its name; {begins}."
        raise InvalidImageError(msg, hint=_TAKES)
    return data


def _open(data: bytes) -> "PIL.Image.Image":
    import warnings

    import PIL.Image

    try:
        with warnings.catch_warnings():
            # Of a large size, where our own, lower limit follows, and of damaged EXIF data.
            warnings.simplefilter("ignore")
            picture = PIL.Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF"))
    except PIL.UnidentifiedImageError:
        msg = f"The image can't be opened: it is {sniff(data)}, or damaged."
        raise InvalidImageError(msg, hint=_TAKES) from None
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise InvalidImageError(f"The image can't be opened: {error}.") from error
    if picture.width * picture.height > MAX_PIXELS:
        claimed = f"{picture.width} x {picture.height}"
        msg = f"The image claims {claimed} pixels; {MAX_PIXELS:,} is the most."
        raise InvalidImageError(msg)
    return picture


def _in_mode_of(picture: "PIL.Image.Image", format: str) -> "PIL.Image.Image":  # noqa: A002
    """The picture in a mode that `format` can hold, its transparency kept where that can be."""
    if picture.mode in _MODES[format]:
        return picture
    if picture.mode == "I" and format == "PNG":
        return picture.convert("I;16")
    if picture.mode.startswith("I;16"):
        # Pillow's own conversion makes all white what is brighter than 255.
        return picture.convert("I").point(lambda level: level / 256).convert("L")
    keeps = picture.has_transparency_data and format != "JPEG"
    return picture.convert("RGBA" if keeps else "RGB")


def _shown(url: str) -> str:
    short = url if len(url) <= 100 else f"{url[:60]}... ({len(url):,} characters)"
    return repr(short)
