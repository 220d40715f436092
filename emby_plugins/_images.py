"""`Image`: an image's bytes, how it is read, saved, shown and converted to and from pixels.

Bytes are never changed. The media type is detected from the bytes, not from a name or a header, and
pixels are decoded on demand. The only wire format known here is the data URL.
"""

import hashlib
import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from emby_plugins._errors import InvalidImageError
from emby_plugins._files import (
    check_close,
    commit,
    link_file,
    read_file,
    replace_with,
    temporary_file,
    write_all,
)
from emby_plugins._image_sources import (
    PIECE,
    Base64Source,
    FileSource,
    MemorySource,
    Source,
    decode_data_url,
    require_image,
    shown,
)
from emby_plugins._media_types import (
    ACCEPTED_MEDIA_TYPES,
    SUFFIXES,
    encode_base64,
    sniff,
    with_suffix,
)
from emby_plugins._pixels import (
    as_array,
    as_uint8,
    in_mode_of,
    load_upright,
    open_image,
    orientation,
    thumbnail,
    upright,
)

if TYPE_CHECKING:
    import PIL.Image


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of a generated image: model, prompt, request id and time."""

    model: str
    prompt: str
    request_id: str | None = None
    created: datetime | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True, repr=False, eq=False)
class Image:
    """An image: its bytes, a file that contains them, or a URL that the gateway fetches.

    Created by the `from_*` methods, each for one kind of input. Images are equal if their bytes (or
    URLs) are equal. A generated image has a `provenance`; with the client's `image_folder`, its
    data is in the file `path` instead of in memory.
    """

    content: bytes | None = None
    url: str | None = None
    path: Path | None = None
    provenance: Provenance | None = field(default=None, compare=False)
    _sha256: str = field(default="", compare=False)
    """The digest, if already known: an image is hashed once."""
    _source: Source | None = field(default=None, compare=False)
    """What the bytes are read from, if that is neither `content` nor a `path` of any version."""

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """Create an image from the bytes of an image file.

        Raises `InvalidImageError` for anything else.
        """
        return cls(content=require_image(bytes(data), "these bytes"))

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, lazy: bool = False) -> Self:
        """Read an image file.

        With `lazy`, only its first bytes are read now, and the rest when needed: a request sends it
        piece by piece, without holding it all in memory. Until then the file must not change;
        one that has changed or is gone raises `InvalidImageError`.

        Besides JPEG, PNG, WebP and GIF, which Emby accepts, HEIC, AVIF, TIFF and BMP can be read; a
        client converts them when it sends them. Raises `InvalidImageError` if the file is not an
        image and, before reading it, for a folder, a pipe, a socket or a device, or if it has more
        than 100 MiB.
        """
        try:
            path = Path(path).expanduser()
            if lazy:
                source = FileSource.opened(path.absolute())
                return cls(path=source.path, _source=source)
            data = read_file(path)
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            msg = f"The image file {str(path)!r} can't be read: {reason}."
            raise InvalidImageError(msg, hint="Check the path.") from error
        return cls(content=require_image(data, f"the file {str(path)!r}"))

    @classmethod
    def from_pil(cls, image: "PIL.Image.Image", format: str = "PNG") -> Self:  # noqa: A002
        """Create an image from a Pillow image, encoded as `format`: PNG, JPEG, WEBP or GIF.

        Any mode is accepted and converted to one that the format supports. An EXIF orientation is
        applied to the pixels. Raises `InvalidImageError`.
        """
        if f"image/{format.lower()}" not in ACCEPTED_MEDIA_TYPES:
            msg = f"Images can't be encoded as {format!r}."
            raise InvalidImageError(msg, hint="Use PNG, JPEG, WEBP or GIF.")
        out = BytesIO()
        try:
            in_mode_of(upright(image), format.upper()).save(out, format=format)
        except (OSError, ValueError) as error:
            raise InvalidImageError(f"Pillow can't encode the image: {error}.") from error
        return cls(content=out.getvalue())

    @classmethod
    def from_array(cls, array: Any, format: str = "PNG") -> Self:  # noqa: A002
        """Create an image from a NumPy array, or anything that `numpy.asarray` accepts.

        The shape is (height, width) or (height, width, channels) with 1 (gray), 2 (gray, alpha),
        3 (RGB) or 4 (RGBA) channels. Integers are 0 to 255 (`uint8`), floats 0 to 1 as in
        matplotlib and scikit-image, `uint16` 0 to 65535, bool black and white. Raises
        `InvalidImageError` for any other shape, type or range.
        """
        import PIL.Image

        return cls.from_pil(PIL.Image.fromarray(as_uint8(array)), format)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Create an image from an https URL. The gateway fetches it, never this package.

        Emby, Vision Support page, "Using HTTPS URLs".
        """
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            usable = False
        if not usable:
            msg = f"Invalid image URL: {shown(url)}."
            hint = "Use Image.from_path() for a file and Image.from_data_url() for a data URL."
            raise InvalidImageError(msg, hint=hint)
        return cls(url=url)

    @classmethod
    def from_data_url(cls, url: str) -> Self:
        """Create an image from a `data:image/...;base64,` URL.

        Emby, Vision Support page, "Using Base64 Inline Data".
        """
        return cls(content=require_image(decode_data_url(url), "the data URL"))

    @classmethod
    def from_base64(cls, text: str | bytes) -> Self:
        """Create an image from base64 or a base64 data URL, as messages carry it.

        White space is accepted, and so is any media type: `media_type` has the detected one. The
        text is verified and kept; the bytes are decoded when they are read. Raises
        `InvalidImageError` for anything but base64, and for none.
        """
        return cls(_source=Base64Source.verified(text))

    @property
    def data(self) -> bytes:
        """The bytes, unchanged; of an image that is kept as base64, decoded at each access.

        Raises `InvalidImageError` if the image is a URL, or its file can't be read.
        """
        return self._bytes.read()

    @property
    def base64(self) -> str:
        """The bytes as base64, without line breaks. Raises like `data`."""
        source = self._bytes
        return source.text if isinstance(source, Base64Source) else encode_base64(source.read())

    @property
    def media_type(self) -> str | None:
        """The media type detected from the bytes, such as `image/png`; None for a URL."""
        return None if self.url is not None else sniff(self._bytes.head())

    @property
    def suffix(self) -> str:
        """The file name suffix for the bytes, such as `.png`."""
        return SUFFIXES[sniff(self._bytes.head())][0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels as displayed, from the header alone.

        A camera may store a portrait sideways, with an EXIF orientation: `size` and `to_pil` apply
        it, as viewers do.
        """
        opened = open_image(self.data)
        width, height = opened.size
        return (height, width) if orientation(opened) >= 5 else (width, height)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes in hexadecimal. For a generated image, of the received bytes."""
        if self._sha256:
            return self._sha256
        digest, source = hashlib.sha256(), self._bytes
        for piece in source.pieces(PIECE):
            digest.update(piece)
        if not isinstance(source, FileSource) or source.version is not None:
            object.__setattr__(self, "_sha256", digest.hexdigest())
        return digest.hexdigest()

    @property
    def byte_size(self) -> int:
        """The number of bytes, without reading a file. Raises like `data`."""
        return self._bytes.byte_size

    @property
    def data_url(self) -> str:
        """The image as a `data:` URL."""
        return f"data:{self.media_type};base64,{self.base64}"

    def pieces(self, size: int = PIECE) -> Iterator[bytes | memoryview]:
        """Yield the bytes in pieces of `size`, of which only the last one may be shorter.

        A file is never in memory as a whole. Raises like `data`.
        """
        return self._bytes.pieces(size)

    def base64_pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """Yield the base64 of pieces of `size`, a multiple of 3. Raises like `data`.

        The text of an image that is kept as base64 is neither decoded nor encoded.
        """
        import pybase64

        source = self._bytes
        if isinstance(source, Base64Source):
            return source.base64_pieces(size)
        return map(pybase64.b64encode, source.pieces(size))

    def pinned(self) -> Self:
        """Return the same image, with the current version of its file.

        Reading it raises `InvalidImageError` once the file has changed.
        """
        if self.url is not None or not isinstance(self._bytes, FileSource) or self._source:
            return self
        return replace(self, _source=self._bytes.pinned())

    def with_provenance(self, provenance: Provenance) -> Self:
        """Return the same image with `provenance`."""
        return replace(self, provenance=provenance)

    def to_pil(self) -> "PIL.Image.Image":
        """Decode the image into a Pillow image, upright: an EXIF orientation is applied.

        Raises `InvalidImageError` for damaged bytes and for more than `MAX_PIXELS` pixels. HEIC
        needs the extra `heic`.
        """
        return load_upright(open_image(self.data))

    def thumbnail(self, side: int = 320) -> Self:
        """Make a small copy for display: WebP, upright, at most `side` pixels wide and high.

        Several times as fast as `to_pil` for a large JPEG. Raises what `to_pil` raises.
        """
        return type(self)(content=thumbnail(self.data, side))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the pixels for NumPy: `numpy.asarray(image)`, `plt.imshow(image)`.

        The shape is (height, width) for grayscale, otherwise (height, width, 3 or 4).
        """
        if copy is False:
            raise ValueError("decoding an image always makes a copy")
        return as_array(self.to_pil(), dtype)

    def save(
        self, path: str | os.PathLike[str], *, overwrite: bool = False, link: bool = False
    ) -> Path:
        """Write the bytes to a file atomically and return its path.

        A missing or wrong suffix is corrected. If `path` is a folder, the file is named by the
        image's digest. Raises `FileExistsError` if the file exists, unless `overwrite` is true; a
        symbolic link is then replaced, and what it points to left alone. With `link`, a file that
        the image is kept in gets `path` as another name, instead of being copied, where the file
        system has hard links: for one that is about to be removed.
        """
        path = Path(path).expanduser()
        if path.is_dir():
            path = path / f"emby-{self.sha256[:16]}{self.suffix}"
            if path.is_file() and Image(path=path).sha256 == self.sha256:
                return path
        else:
            path = with_suffix(path, sniff(self._bytes.head()))
        if link and not overwrite and self.path and link_file(self.path, path):
            return path
        with temporary_file(path.parent) as (file, written):
            for piece in self.pieces():
                write_all(file, piece)
            check_close(file)
            if overwrite:
                replace_with(file, written, path)
            else:
                commit(written, path)
        return path

    @property
    def _bytes(self) -> Source:
        if self._source is not None:
            return self._source
        if self.content is not None:
            return MemorySource(self.content)
        if self.path is not None:
            return FileSource(self.path)
        msg = f"This image is a URL, its bytes were never downloaded: {shown(self.url or '')}."
        raise InvalidImageError(msg, hint="Download it and use Image.from_bytes().")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Image):
            return NotImplemented
        if self.url is not None or other.url is not None:
            return self.url == other.url
        if self.content is not None and other.content is not None:
            return self.content == other.content
        if self.byte_size != other.byte_size:
            return False
        return all(map(operator.eq, self.pieces(), other.pieces()))

    def __hash__(self) -> int:
        return hash(self.url or self._bytes.head())

    def __repr__(self) -> str:
        if self.url is not None:
            return f"<Image {shown(self.url)}>"
        if self.path is not None:
            return f"<Image {str(self.path)!r}>"
        return f"<Image {self.media_type}, {self.byte_size:,} bytes>"

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = {"text/plain": repr(self)}
        if self.media_type in ACCEPTED_MEDIA_TYPES:
            bundle[self.media_type] = self.base64
        return bundle, {}


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image that was changed before it was sent, and the changes in words."""

    original: Image
    sent: Image
    changes: tuple[str, ...]

    def __str__(self) -> str:
        return f"Image prepared for sending: {'; '.join(self.changes)}."
