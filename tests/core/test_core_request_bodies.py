"""Request bodies encoded while they are sent: exact, repeatable and small in memory."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import httpx2
import msgspec
import pytest
from hypothesis import given, strategies as st
from support import (
    JSON,
    MODES,
    ChatCaller,
    Loopback,
    ReceivedRequest,
    ScriptedBackend,
    Wire,
    as_json,
    completion,
)

from emby_plugins import AsyncEmby, Emby, Image, InvalidImageError, _base_client
from emby_plugins._base_client import chat_body
from emby_plugins._protocol import request_body
from emby_plugins._protocol.images_request import ImagesRequest
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.request_body import PIECE, DataURL, StreamedBody, json_body

PNG = b"\x89PNG\r\n\x1a\n"
REPLY = as_json(completion("Seen"))


def png(size: int, seed: int = 0) -> bytes:
    """Return bytes of this size that begin like a PNG and contain all values."""
    return (PNG + bytes((at * 31 + seed) % 256 for at in range(4099)) * (size // 4099 + 1))[:size]


def plain(value: Any) -> bytes:
    """Return the JSON of a value, encoded at once."""
    if isinstance(value, DataURL):
        image = value.image
        assert isinstance(image, Image)
        return msgspec.json.encode(image.data_url)
    return msgspec.json.encode(value, enc_hook=lambda found: msgspec.Raw(plain(found)))


def lazy(path: Path, data: bytes) -> Image:
    """Return an image in a file, of which only the head has been read."""
    path.write_bytes(data)
    return Image.from_path(path, lazy=True)


def kept_as(kind: str, path: Path, data: bytes) -> Image:
    """Return the image in memory, in a file, or as base64."""
    if kind == "file":
        return lazy(path, data)
    image = Image.from_bytes(data)
    return image if kind == "memory" else Image.from_base64(image.base64)


@pytest.mark.parametrize("kind", ["memory", "file", "base64"])
@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_pieces_join_to_the_plain_encoding(pieces: int, kind: str, tmp_path: Path) -> None:
    """The pieces of a streamed body join to the plain encoding, with a correct length."""
    for more in range(-3, 4):
        data = png(pieces * PIECE + more)
        image = kept_as(kind, tmp_path / "a.png", data)
        value = {"text": 'é\0\n"', "url": DataURL("image/png", image), "last": [1]}
        body = json_body(value)
        assert isinstance(body, StreamedBody)
        sent = list(body)
        assert b"".join(sent) == plain(value) == b"".join(body)
        assert len(body) == sum(map(len, sent))
        assert max(map(len, sent)) <= PIECE // 3 * 4


_IMAGES = st.binary(min_size=64, max_size=200).map(lambda data: Image(PNG + data))
_SOURCES = (_IMAGES | _IMAGES.map(lambda image: Image.from_base64(image.base64))).map(
    lambda image: DataURL("image/png", image)
)
_VALUES = st.recursive(
    st.text() | st.integers(-9, 9) | st.none() | st.booleans() | _SOURCES,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=6),
    max_leaves=25,
)


@given(value=_VALUES, piece=st.sampled_from([3, 12, 48, 99, PIECE]))
def test_any_json_with_any_images_is_exact(value: object, piece: int) -> None:
    """Any JSON with any images, in pieces of any size, is encoded exactly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_body, "PIECE", piece)
        body = json_body(value)
        assert b"".join([body] if isinstance(body, bytes) else body) == plain(value)
        assert len(body) == len(plain(value))


@given(data=st.binary(min_size=100, max_size=300), piece=st.sampled_from([3, 48, 99]))
def test_a_streamed_form_is_the_same_form(data: bytes, piece: int) -> None:
    """A multipart form is the same with small pieces and in one."""
    image = Image(PNG + data)
    request = ImagesRequest("A hat", "m", (image,), image, {"n": 1})
    kind, whole = request.encode(Limits())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_body, "PIECE", piece)
        streamed_kind, streamed = request.encode(Limits())
        assert isinstance(whole, bytes)
        assert isinstance(streamed, StreamedBody)
        assert (streamed_kind, b"".join(streamed)) == (kind, whole)
    boundary = kind.partition("boundary=")[2].encode()
    assert whole.count(b"--" + boundary) == 6
    assert whole.count(PNG + data + b"\r\n--" + boundary) == 2


def test_base64_of_a_message_is_sent_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was verified when given, so there is no need to decode or encode it again."""
    image = Image.from_base64(Image.from_bytes(png(2 * PIECE + 1)).base64)
    expected = plain(DataURL("image/png", image))
    monkeypatch.delattr(Image, "pieces")
    assert b"".join(json_body(DataURL("image/png", image))) == expected


def test_a_small_request_is_one_bytes_object() -> None:
    """A request without images, or with small ones, is a single bytes object."""
    assert isinstance(json_body({"text": "x" * 10**6}), bytes)
    assert isinstance(json_body([DataURL("image/png", Image.from_bytes(png(9000)))]), bytes)


def answer(received: ReceivedRequest, wire: Wire) -> None:
    """Answer with the same reply, streamed or not."""
    if b'"stream":true' in received.body:
        choices = [{"index": 0, "delta": {"content": "Seen"}, "finish_reason": "stop"}]
        wire.stream(b"data: " + as_json({"choices": choices}) + b"\n\n", b"data: [DONE]\n\n")
    else:
        wire.whole(REPLY, "content-type: application/json")


@pytest.mark.parametrize("mode", MODES)
def test_each_attempt_sends_the_same_bytes(mode: str, tmp_path: Path) -> None:
    """A retry sends the same bytes as the first attempt, from memory and from a file."""
    data = png(2 * PIECE + 1)

    def by(received: ReceivedRequest, wire: Wire) -> None:
        if len(server.requests) == 1:
            wire.whole(b"{}", status="503 Service Unavailable")
        else:
            answer(received, wire)

    images = [Image.from_bytes(data), lazy(tmp_path / "a.png", data)]
    with Loopback(by) as server:
        on = {"api_key": "k", "base_url": server.url}
        assert ChatCaller(mode)("Look", on=on, model="m", images=images).text == "Seen"
    first, second = server.requests
    assert first.body == second.body
    assert "transfer-encoding" not in first.headers
    sent = msgspec.json.decode(first.body)["messages"][0]["content"]
    assert [part["image_url"]["url"] for part in sent[1:]] == [images[0].data_url] * 2


@pytest.mark.parametrize("change", ["replaced", "grown", "cut", "gone"])
@pytest.mark.parametrize("mode", MODES)
def test_a_file_that_changes_between_attempts_is_not_sent(
    mode: str, change: str, tmp_path: Path
) -> None:
    """A file that changes between attempts raises an error, and no second request is completed."""
    path, data = tmp_path / "a.png", png(2 * PIECE)
    image = lazy(path, data)

    def by(_: ReceivedRequest, wire: Wire) -> None:
        if change == "gone":
            path.unlink()
        elif change == "replaced":
            other = tmp_path / "b.png"
            other.write_bytes(data[::-1])
            other.replace(path)
        else:
            os.truncate(path, len(data) + (1 if change == "grown" else -1))
        wire.whole(b"{}", status="503 Service Unavailable")

    with Loopback(by) as server:
        on = {"api_key": "k", "base_url": server.url}
        with pytest.raises(InvalidImageError) as caught:
            ChatCaller(mode)("Look", on=on, model="m", images=[image])
    assert str(path) in str(caught.value)
    assert ("No such file" if change == "gone" else "has changed") in str(caught.value)
    assert all(len(r.body) < int(r.headers["content-length"]) for r in server.requests[1:])


def test_a_file_that_changes_while_it_is_sent_raises(tmp_path: Path) -> None:
    """A file that changes while being sent raises before the promised length has been sent."""
    path, data = tmp_path / "a.png", png(3 * PIECE)
    body = json_body(DataURL("image/png", lazy(path, data)))
    assert isinstance(body, StreamedBody)
    sent: list[bytes] = []
    pieces = iter(body)
    sent.append(next(pieces))
    path.write_bytes(data[:PIECE] + bytes(2 * PIECE))
    os.utime(path, ns=(1, 1))
    with pytest.raises(InvalidImageError, match="has changed"):
        sent.extend(pieces)
    assert sum(map(len, sent)) < len(body)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
async def test_hooks_and_transports_of_given_clients_read_the_body(library: Any) -> None:
    """Hooks and transports of a given client of either library can read the body."""
    seen: list[bytes] = []
    image = Image.from_bytes(png(PIECE + 5))

    def respond(request: Any) -> Any:
        seen.append(request.content)
        assert request.headers["content-length"] == str(len(request.content))
        return library.Response(200, headers=JSON, content=REPLY)

    async def hook(request: Any) -> None:
        seen.append(await request.aread())

    network = library.MockTransport(respond)
    on: dict[str, Any] = {"api_key": "k", "base_url": "https://emby.test/v1"}
    read = {"request": [lambda request: seen.append(request.read())]}
    with library.Client(transport=network, event_hooks=read) as http:
        Emby(**on, http_client=http).chat("Look", model="m", images=[image])
    async with library.AsyncClient(transport=network, event_hooks={"request": [hook]}) as http:
        await AsyncEmby(**on, http_client=http).chat("Look", model="m", images=[image])
    assert len(seen) == 4
    assert len(set(seen)) == 1
    assert image.data_url.encode() in seen[0]


def test_a_backend_in_this_process_gets_the_whole_body(tmp_path: Path) -> None:
    """An in-process backend gets the complete body of a file image."""
    backend = ScriptedBackend(completion())
    image = lazy(tmp_path / "a.png", png(2 * PIECE))
    with Emby(**backend.on) as emby:
        emby.chat("Look", model="m", images=[image])
    assert backend.body["messages"][0]["content"][1]["image_url"]["url"] == image.data_url


def test_a_history_of_images_takes_the_memory_of_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending thirty images of 2 MB from files takes the memory of a few pieces, not 60 MB."""
    path = tmp_path / "a.png"
    lazy(path, png(2_000_000))
    images = [Image.from_path(path, lazy=True) for _ in range(30)]
    received = 0
    # Skip the check that all other tests use, since it reads the complete body.
    monkeypatch.setattr(_base_client, "chat_body", chat_body.__self__.unchecked)  # type: ignore[attr-defined]

    class Counting(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal received
            assert isinstance(request.stream, httpx.SyncByteStream)
            received = sum(map(len, request.stream))
            return httpx.Response(200, headers=JSON, content=REPLY)

    with httpx.Client(transport=Counting()) as http:
        emby = Emby("k", "https://emby.test/v1", http_client=http)
        emby.chat("Hi", model="m")
        tracemalloc.start()
        emby.chat("Look", model="m", images=images)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert received > 80_000_000
    assert peak < 8 * PIECE
