"""Images from strangers, sent and received, on three hosts."""

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
from stress.ways import WAYS, Heard, Way, ask

LOOK = "What is shown in this image?"


def in_turn(*tables: dict[str, bytes]) -> list[Any]:
    """Every image in every way; or, quickly, each image in one of them."""
    names = [(name, data) for table in tables for name, data in table.items()]
    return [
        pytest.param(data, way, id=f"{name}-{way}")
        for number, (name, data) in enumerate(names)
        for at, way in enumerate(WAYS)
        if EVERYTHING or at == number * 5 % len(WAYS)
    ]


def sent(way: Way, data: bytes) -> tuple[Heard, MockBackend]:
    """The result of sending that image to the mock, which describes it."""
    backend = MockBackend()
    with activate(backend):
        return ask(way, {"base_url": "mock:"}, LOOK, (Image(content=data),)), backend


@pytest.mark.parametrize(("data", "way"), in_turn(whole()))
def test_a_good_image_goes_as_it_is(data: bytes, way: Way) -> None:
    """The gateway gets the very bytes, with any mode, frames or tags, and describes them."""
    heard, backend = sent(way, data)
    assert heard.error is None
    assert heard.text
    assert [image.data for image in backend.requests[-1].images] == [data]


@pytest.mark.parametrize(("data", "way"), in_turn(damaged()))
def test_a_damaged_image_is_the_gateways_to_judge(data: bytes, way: Way) -> None:
    """It begins like an image, so it is sent as it is; what the gateway says of it is typed."""
    heard, backend = sent(way, data)
    assert [image.data for image in backend.requests[-1].images] == [data]
    assert isinstance(heard.cause, UnreadableInputImageError)


@pytest.mark.parametrize(("data", "way"), in_turn(STRANGE))
def test_what_is_no_image_is_not_sent(data: bytes, way: Way) -> None:
    """Refused here, before anything is sent, as an error of the host's own kind."""
    backend = MockBackend()
    with activate(backend):
        try:
            heard = ask(way, {"base_url": "mock:"}, LOOK, (Image(content=data),))
        except (EmbyError, llm.ModelError, ValueError) as refused:
            heard = Heard(error=refused)
    assert heard.error is not None
    assert not backend.requests


def received(way: Way, data: bytes, **on: Any) -> Heard:
    """What that way makes of a reply with that image."""
    stream = sse(chunk("Here:"), chunk(None, data), chunk(finish="stop"))
    answer = as_asked(completion("Here:", data), stream)
    with activate(_Scripted(answer)):
        return ask(way, {"base_url": "mock:", **on})


class _Scripted(MockBackend):
    """A mock that says what it is told."""

    def __init__(self, by: Callable[[BackendRequest], BackendResponse]) -> None:
        super().__init__()
        self._by = by

    def __call__(self, request: BackendRequest, *_: object) -> Any:
        return self._by(request)


@pytest.mark.parametrize(
    ("data", "way"), in_turn(whole(), damaged(), {k: v for k, v in STRANGE.items() if v})
)
def test_what_comes_is_kept_to_the_byte(data: bytes, way: Way) -> None:
    """It is paid for in any case. Opening it gives pixels, or `InvalidImageError`."""
    heard = received(way, data)
    assert heard.error is None, repr(heard.error)
    (image,) = heard.images
    assert image.data == data
    if data in whole().values():
        assert image.to_pil().size == image.size
    else:
        with pytest.raises(InvalidImageError):
            image.to_pil()


@pytest.mark.parametrize("way", [way for way in WAYS if way.host == "core"], ids=str)
def test_what_comes_into_a_folder_is_kept_to_the_byte(way: Way, tmp_path: Path) -> None:
    """Straight into a file, with the suffix of what it is and not of what it was called."""
    for data in (*whole().values(), *damaged().values(), STRANGE["html"]):
        (image,) = received(way, data, image_folder=tmp_path / "kept").images
        assert image.path is not None
        assert image.path.read_bytes() == data
        assert image.path.suffix == image.suffix != ".html"


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_image_without_a_byte_is_an_error(way: Way) -> None:
    """There is nothing in it to keep, and what came before is in the error."""
    assert isinstance(received(way, b"").cause, InvalidImageError)


def damage() -> Iterator[bytes]:
    """Every image with bits turned over, and cut short."""
    for data in whole().values():
        yield from flips(data, 3 if EVERYTHING else 41)
        yield from (data[:end] for end in range(1, len(data), 23 if EVERYTHING else 97))


def test_damage_anywhere_opens_or_is_one_typed_error() -> None:
    """A bit turned over or the end missing: pixels or `InvalidImageError`, nothing else."""
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


def test_the_json_of_these_tests_is_about_something() -> None:
    """An image in a scripted reply is sent as base64."""
    assert b";base64," in as_json(completion("", whole()["png"]))
