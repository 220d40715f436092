"""Untrusted images, sent and received, through three hosts."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import llm
import pytest
from support import as_asked, as_json, chunk, completion, sse

from emby_plugins import (
    BackendRequest,
    BackendResponse,
    EmbyError,
    Image,
    InvalidImageError,
    UnreadableInputImageError,
)
from emby_plugins.mock import MockBackend, activate
from stress import EVERYTHING
from stress.pictures import STRANGE, damaged, flips, whole
from stress.ways import WAYS, Outcome, Way, call

LOOK = "What is shown in this image?"


def in_turn(*tables: dict[str, bytes]) -> list[Any]:
    """Return every image with every way, or each image with one way."""
    names = [(name, data) for table in tables for name, data in table.items()]
    return [
        pytest.param(data, way, id=f"{name}-{way}")
        for number, (name, data) in enumerate(names)
        for at, way in enumerate(WAYS)
        if EVERYTHING or at == number * 5 % len(WAYS)
    ]


def sent(way: Way, data: bytes) -> tuple[Outcome, MockBackend]:
    """Send an image to the mock for a description; return the result and the backend."""
    backend = MockBackend()
    with activate(backend):
        return call(way, {"base_url": "mock:"}, LOOK, (Image(content=data),)), backend


@pytest.mark.parametrize(("data", "way"), in_turn(whole()))
def test_a_valid_image_is_sent_unchanged(data: bytes, way: Way) -> None:
    """An image of any mode, frames or tags is sent unchanged and described."""
    outcome, backend = sent(way, data)
    assert outcome.error is None
    assert outcome.text
    assert [image.data for image in backend.requests[-1].images] == [data]


@pytest.mark.parametrize(("data", "way"), in_turn(damaged()))
def test_a_damaged_image_is_sent_unchanged(data: bytes, way: Way) -> None:
    """A damaged image is sent unchanged, and the gateway's refusal raises a specific error."""
    outcome, backend = sent(way, data)
    assert [image.data for image in backend.requests[-1].images] == [data]
    assert isinstance(outcome.cause, UnreadableInputImageError)


@pytest.mark.parametrize(("data", "way"), in_turn(STRANGE))
def test_bytes_that_are_not_an_image_are_not_sent(data: bytes, way: Way) -> None:
    """Bytes that are not an image are refused before anything is sent."""
    backend = MockBackend()
    with activate(backend):
        try:
            outcome = call(way, {"base_url": "mock:"}, LOOK, (Image(content=data),))
        except (EmbyError, llm.ModelError, ValueError) as refused:
            outcome = Outcome(error=refused)
    assert outcome.error is not None
    assert not backend.requests


def received(way: Way, data: bytes, **on: Any) -> Outcome:
    """Return the result of a reply with this image."""
    stream = sse(chunk("Here:"), chunk(None, data), chunk(finish="stop"))
    answer = as_asked(completion("Here:", data), stream)
    with activate(_Scripted(answer)):
        return call(way, {"base_url": "mock:", **on})


class _Scripted(MockBackend):
    """A mock with a scripted answer."""

    def __init__(self, by: Callable[[BackendRequest], BackendResponse]) -> None:
        super().__init__()
        self._by = by

    def __call__(self, request: BackendRequest, *_: object) -> Any:
        return self._by(request)


@pytest.mark.parametrize(
    ("data", "way"), in_turn(whole(), damaged(), {k: v for k, v in STRANGE.items() if v})
)
def test_a_received_image_is_kept_exactly(data: bytes, way: Way) -> None:
    """A received image is kept exactly, and opens or raises InvalidImageError."""
    outcome = received(way, data)
    assert outcome.error is None, repr(outcome.error)
    (image,) = outcome.images
    assert image.data == data
    if data in whole().values():
        assert image.to_pil().size == image.size
    else:
        with pytest.raises(InvalidImageError):
            image.to_pil()


@pytest.mark.parametrize("way", [way for way in WAYS if way.host == "core"], ids=str)
def test_a_received_image_is_saved_exactly(way: Way, tmp_path: Path) -> None:
    """A received image is saved exactly, with the suffix of its detected type."""
    for data in (*whole().values(), *damaged().values(), STRANGE["html"]):
        (image,) = received(way, data, image_folder=tmp_path / "kept").images
        assert image.path is not None
        assert image.path.read_bytes() == data
        assert image.path.suffix == image.suffix != ".html"


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_empty_image_is_an_error(way: Way) -> None:
    """An image without data raises InvalidImageError."""
    assert isinstance(received(way, b"").cause, InvalidImageError)


def damage() -> Iterator[bytes]:
    """Yield every image with flipped bits or truncated."""
    for data in whole().values():
        yield from flips(data, 3 if EVERYTHING else 41)
        yield from (data[:end] for end in range(1, len(data), 23 if EVERYTHING else 97))


def test_damage_anywhere_opens_or_is_a_typed_error() -> None:
    """An image with flipped bits or truncated anywhere opens or raises InvalidImageError."""
    count = opened = 0
    for data in damage():
        count += 1
        image = Image(content=data)
        with suppress(InvalidImageError):
            image.to_pil()
            opened += 1
        with suppress(InvalidImageError):
            assert image.size
        assert image.media_type
        assert repr(image)
    assert 0 < opened < count


def test_scripted_images_are_sent_as_base64() -> None:
    """An image in a scripted reply is sent as base64."""
    assert b";base64," in as_json(completion("", whole()["png"]))
