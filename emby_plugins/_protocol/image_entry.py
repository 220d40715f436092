"""Find the image in an entry of `images` or `content`, in any known format.

Emby sends `{"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}}`. Others send
the URL itself, `b64_json`, Anthropic's `source`, Google's `inlineData`, base64 without a data URL,
without padding or in the URL-safe alphabet, and so on. Any decodable data is returned as an image,
even with an unknown media type: it was paid for.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote_to_bytes

from emby_plugins._errors import EmbyError, InvalidImageError, MalformedReplyError
from emby_plugins._images import Image
from emby_plugins._media_types import UNKNOWN_MEDIA_TYPE, decode_base64, sniff
from emby_plugins._protocol.image_decoder import ImageDecoder
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.loose_json import Document, Value

_DATA_URL = re.compile(rb"\s*+data(?::|%3a)([^,]{0,1000}?)(,|%2c)", re.IGNORECASE)
_SCHEME = re.compile(rb"\s*+[a-z][a-z0-9.+-]{1,20}:", re.IGNORECASE)
_MEDIA_TYPE_KEYS = {"type", "mime_type", "mimeType", "media_type", "mediaType"}
_BASE64_KEYS = {"b64_json", "b64", "base64", "data", "image_base64", "image_b64", "image_bytes"}
_OTHER_KEYS = {*_MEDIA_TYPE_KEYS, "detail", "id", "text", "alt", "revised_prompt", "filename"}
_MAX_DEPTH = 4
_MAX_STRINGS = 64
HINT = "What was received is in error.partial.unread."


class ImageReader:
    """Turns entries of a reply into images, using the image decoder of that reply."""

    def __init__(self, decoder: ImageDecoder, limits: Limits) -> None:
        self._decoder = decoder
        self._limits = limits

    def read(self, raw: bytes, *, is_image: bool = True) -> Image:
        """Return the image of an entry, given as JSON.

        `is_image` means that the entry is in a place for images, so that base64 of an unknown
        media type counts as well. Raises `InvalidImageError` if there is an image that
        can't be decoded, `MalformedReplyError` if there is none, and `ReplyTooLargeError`.
        """
        problem: EmbyError = MalformedReplyError("An entry of the reply holds no image.", hint=HINT)
        root = Document(raw).root
        is_image = is_image or _is_meant_as_image(root)
        for key, value in _strings(root):
            try:
                image = self._from_string(key, value, is_image=is_image)
            except InvalidImageError as error:
                problem = problem if isinstance(problem, InvalidImageError) else error
            else:
                if image is not None:
                    return image
        raise problem

    def _from_string(self, key: str, value: Value, *, is_image: bool) -> Image | None:
        raw = value.raw
        image = self._decoder.take(raw)
        if image is not None:
            return image
        text = raw[1:-1] if b"\\" not in raw else value.text().encode("utf-8", "replace")
        head = _DATA_URL.match(text[:2048])
        if head:
            return self._from_data_url(head, text, is_image=is_image)
        if _SCHEME.match(text[:32]):
            if not is_image:
                return None
            # The gateway passes the URL on if its own download failed.
            try:
                return Image.from_url(value.text().strip())
            except InvalidImageError:
                raise _not_a_url(text) from None
        self._limits.check("image", _decoded_size(len(text)))
        with suppress(ValueError):
            data = decode_base64(text, lenient=True)
            if data and (sniff(data) != UNKNOWN_MEDIA_TYPE or (is_image and key in _BASE64_KEYS)):
                return self._stored(data)
        if is_image and "url" in key:
            raise _not_a_url(text)
        return None

    def _from_data_url(
        self, head: "re.Match[bytes]", text: bytes, *, is_image: bool
    ) -> Image | None:
        media_type = unquote_to_bytes(head[1]).lower().strip()
        payload = text[head.end() :]
        self._limits.check("image", _decoded_size(len(payload)))
        is_base64 = media_type.replace(b" ", b"").endswith(b";base64")
        if not is_base64 and not media_type.startswith(b"image/svg"):
            raise InvalidImageError("A data URL of the reply is not base64.", hint=HINT)
        try:
            data = decode_base64(payload, lenient=True) if is_base64 else unquote_to_bytes(payload)
        except ValueError as error:
            msg = f"An image of the reply can't be decoded: {error}."
            raise InvalidImageError(msg, hint=HINT) from None
        if not data:
            raise InvalidImageError("An image of the reply is empty.", hint=HINT)
        is_meant = is_image or media_type.startswith((b"image/", b";"))
        return self._stored(data) if is_meant or sniff(data) != UNKNOWN_MEDIA_TYPE else None

    def _stored(self, data: bytes) -> Image:
        self._limits.check("image", len(data))
        return self._decoder.store(data)


def _not_a_url(text: bytes) -> InvalidImageError:
    shown = text[:60].decode("utf-8", "replace")
    return InvalidImageError(f"{shown!r} is not the URL of an image.", hint=HINT)


def _strings(value: Value, key: str = "", depth: int = 0) -> Iterator[tuple[str, Value]]:
    """Yield the strings of an entry that may be an image, with their key or their list's key."""
    count = 0
    if value.kind == '"' and key not in _OTHER_KEYS:
        if value.is_whole:
            yield key, value
    elif depth < _MAX_DEPTH:
        inner = (
            value.all_members() if value.kind == "{" else ((key, item) for item in value.items())
        )
        for name, member in inner:
            for found in _strings(member, name, depth + 1):
                yield found
                count += 1
                if count >= _MAX_STRINGS:
                    return


def _is_meant_as_image(value: Value, depth: int = 0) -> bool:
    """Whether a key, type or media type of a content part identifies it as an image."""
    return any(
        "image" in name
        or (name in _MEDIA_TYPE_KEYS and member.kind == '"' and "image" in member.text()[:200])
        or (depth < _MAX_DEPTH and _is_meant_as_image(member, depth + 1))
        for name, member in value.all_members()
    )


def _decoded_size(encoded: int) -> int:
    return encoded * 3 // 4 - 32
