"""The images endpoint: its requests and responses, and when `image` uses it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pybase64
import pytest
from core_help import BLUE, RED
from support import ScriptedBackend, answer, as_json

from emby_plugins import (
    AsyncEmby,
    BackendResponse,
    BadRequestError,
    CallRecord,
    ChatReply,
    Emby,
    EmbyError,
    Finished,
    Image,
    ImageReceived,
    InvalidImageError,
    Limits,
    MalformedReplyError,
    MissingImageError,
    NotFoundError,
    RateLimitError,
    ReplyTooLargeError,
    RequestError,
    TruncatedReplyError,
    hookimpl,
)
from emby_plugins._chat import ChatRequest
from emby_plugins._messages import Message
from emby_plugins._protocol.image_decoder import ImageDecoder
from emby_plugins._protocol.images_request import ImagesRequest
from emby_plugins._protocol.reader import ReplyReader

MODEL = "emby-mock-image"
RED_IMAGE, BLUE_IMAGE = Image.from_bytes(RED), Image.from_bytes(BLUE)
KINDS = ("sync", "async")


def entry(data: bytes, **more: object) -> dict[str, object]:
    """Return an entry of `data`."""
    return {"b64_json": pybase64.b64encode_as_string(data), **more}


ONE = {"created": 1730000000, "data": [entry(RED)]}
NO_ROUTE = BackendResponse(404, {"content-type": "text/plain"}, iter((b"404 Not Found",)))


def run(kind: str, backend: ScriptedBackend, call: Callable[[Any], Any], **settings: Any) -> Any:
    """Return the result of a call, sync or async."""
    settings = {"base_url": "test:", "plugins": [backend], "max_retries": 0, **settings}
    if kind == "sync":
        with Emby(**settings) as emby:
            return call(emby)

    async def main() -> Any:
        async with AsyncEmby(**settings) as emby:
            return await call(emby)

    return asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_generate(kind: str) -> None:
    """`generate` sends one request with the given options, and images have provenance."""
    backend = ScriptedBackend({**ONE, "usage": {"input_tokens": 3, "output_tokens": 9}})
    reply: ChatReply = run(
        kind,
        backend,
        lambda emby: emby.images.generate(
            "a boat", model=MODEL, n=2, size="1024x1536", background="opaque", fresh=False
        ),
    )
    (request,) = backend.requests
    assert (request.method, request.path) == ("POST", "/images/generations")
    assert json.loads(request.body) == {
        "model": MODEL,
        "prompt": "a boat",
        "n": 2,
        "size": "1024x1536",
        "background": "opaque",
    }
    assert reply.image == RED_IMAGE
    provenance = reply.image.provenance
    assert provenance is not None
    assert (provenance.model, provenance.prompt) == (MODEL, "a boat")
    assert provenance.created is not None
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (3, 12)


@pytest.mark.parametrize("kind", KINDS)
def test_edit(kind: str) -> None:
    """`edit` sends all images as data URLs in JSON."""
    backend = ScriptedBackend(ONE)
    images = [RED_IMAGE, Image.from_url("https://example.com/a.png")]
    run(kind, backend, lambda emby: emby.images.edit(images, "blur", model=MODEL, fresh=False))
    (request,) = backend.requests
    assert request.path == "/images/edits"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "model": MODEL,
        "prompt": "blur",
        "images": [{"image_url": image.url or image.data_url} for image in images],
    }


def test_edit_with_a_mask() -> None:
    """A mask is sent in a multipart form with the original bytes, identical for identical calls."""
    backend = ScriptedBackend(ONE, ONE)
    data = RED + b"\r\n--\r\n" + bytes(range(256))
    image = Image(content=data)
    for _ in range(2):
        run("sync", backend, lambda e: e.images.edit(image, "x", mask=BLUE_IMAGE, fresh=False))
    first, second = backend.requests
    assert first.body == second.body
    kind = first.headers["content-type"]
    form = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + first.body)
    parts = {p.get_param("name", header="content-disposition"): p for p in form.get_payload()}
    assert set(parts) == {"model", "prompt", "image", "mask"}
    assert parts["image"].get_payload(decode=True) == data
    assert parts["mask"].get_payload(decode=True) == BLUE
    assert parts["image"].get_filename() == "image.png"
    assert parts["mask"].get_content_type() == "image/png"


def test_requests_are_fresh() -> None:
    """Requests bypass caches and differ by white space, unless `fresh=False`."""
    backend = ScriptedBackend(ONE)
    for fresh in (True, True, False):
        run("sync", backend, lambda emby, f=fresh: emby.images.generate("a boat", fresh=f))
    sent = [json.loads(request.body)["prompt"] for request in backend.requests]
    assert len(set(sent)) == 3
    assert {prompt.strip() for prompt in sent} == {"a boat"}
    assert sent[2] == "a boat"
    assert ["x-no-cache" in r.headers for r in backend.requests] == [True, True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.generate(" "), "prompt"),
        (lambda i: i.generate("x", n=0), "1 to 10"),
        (lambda i: i.edit([], "x"), "images to edit"),
        (lambda i: i.edit(["a.png"], "x"), "images to edit"),
        (lambda i: i.edit([RED_IMAGE, RED_IMAGE], "x", mask=RED_IMAGE), "exactly one image"),
        (lambda i: i.edit(Image.from_url("https://a.b/c"), "x", mask=RED_IMAGE), "be data"),
    ],
)
def test_invalid_arguments(call: Callable[[Any], Any], message: str) -> None:
    """Invalid arguments are refused before anything is sent."""
    backend = ScriptedBackend(ONE)
    with pytest.raises(RequestError, match=message):
        run("sync", backend, lambda emby: call(emby.images))
    assert not backend.requests


def test_unsupported_images() -> None:
    """Images or masks of an unsupported type or over the limit are refused."""
    backend = ScriptedBackend(ONE)
    bmp = Image(content=b"BM" + bytes(40))
    for settings, given, mask in (
        ({}, bmp, None),
        ({}, RED_IMAGE, bmp),
        ({"limits": Limits(request_image=10)}, RED_IMAGE, None),
    ):
        with pytest.raises(InvalidImageError):
            run(
                "sync",
                backend,
                lambda e, g=given, m=mask: e.images.edit(g, "x", mask=m),
                **settings,
            )
    assert not backend.requests


def test_plugins_see_the_call() -> None:
    """Plugins get a record with the operation `generate_images` and an equivalent chat request."""
    seen: list[Any] = []

    class Observer:
        @hookimpl
        def emby_call_started(self, record: Any, request: Any) -> None:
            seen.append((record, request))

        @hookimpl
        def emby_call_finished(self, record: Any, reply: Any) -> None:
            seen.append((record, reply))

    settings = {"base_url": "test:", "plugins": [ScriptedBackend(ONE), Observer()]}
    with Emby(**settings) as emby:
        reply = emby.images.edit(BLUE_IMAGE, "blur", model=MODEL, fresh=False)
    (started, request), (finished, seen_reply) = seen
    assert (started.operation, started.model, len(started.images_in)) == (
        "generate_images",
        MODEL,
        1,
    )
    assert (request.prompt, request.messages[0].images) == ("blur", (BLUE_IMAGE,))
    assert (finished.id, finished.is_complete, len(finished.images_out)) == (started.id, True, 1)
    assert seen_reply == reply


# ---- responses


def read(*pieces: bytes, limits: Limits | None = None) -> ChatReply:
    """Read a response of the endpoint."""
    reader = ReplyReader(
        {"x-request-id": "r-1", "content-type": "application/json"},
        limits=limits or Limits(),
        model=MODEL,
        prompt="a boat",
        of_images=True,
    )
    with reader.error_context():
        for piece in pieces:
            list(reader.feed(piece))
        list(reader.close())
    return reader.reply


TWO = {"created": 1, "data": [entry(RED), entry(BLUE)], "usage": {"total_tokens": 5}}


@pytest.mark.parametrize("indent", [None, 2])
def test_images_are_decoded_wherever_the_body_is_cut(indent: int | None) -> None:
    """Images are decoded correctly for every position at which the body is cut."""
    body = json.dumps(TWO, indent=indent).encode()
    for at in range(len(body)):
        assert read(body[:at], body[at:]).images == (RED_IMAGE, BLUE_IMAGE)


def test_base64_is_not_kept_in_memory() -> None:
    """The base64 of a large image is replaced by a placeholder, however the body is cut."""
    data = RED + bytes(3_000_000)
    body = as_json({"data": [entry(data)]})
    decoder = ImageDecoder(Limits())
    held = [decoder.feed(body[start : start + 7001]) for start in range(0, len(body), 7001)]
    assert len(b"".join(held)) < 100
    (image,) = decoder.take_all()
    assert image.data == data


@pytest.mark.parametrize(
    ("item", "image"),
    [
        ({"url": "https://example.com/a.png"}, Image.from_url("https://example.com/a.png")),
        ({"b64_json": None, "url": RED_IMAGE.data_url}, RED_IMAGE),
        ({"b64_json": RED_IMAGE.data_url}, RED_IMAGE),
        ({"b64_json": pybase64.b64encode(RED).decode().rstrip("=")}, RED_IMAGE),
        ({"b64_json": pybase64.encodebytes(RED).decode()}, RED_IMAGE),
    ],
)
def test_other_forms_of_an_entry(item: object, image: Image) -> None:
    """URLs, data URLs and base64 with missing padding or line breaks are accepted."""
    assert read(as_json({"data": [item]})).images == (image,)


def test_fields_and_revised_prompts_are_metadata() -> None:
    """Other fields and changed prompts of the response are kept as metadata."""
    same = {"data": [entry(RED, revised_prompt="a boat\n ")], "size": "1024x1024"}
    assert read(as_json(same)).metadata == {"size": "1024x1024"}
    other = {"data": [entry(RED, revised_prompt="a red boat")], "output_format": "png"}
    assert read(as_json(other)).metadata == {
        "output_format": "png",
        "revised_prompts": ["a red boat"],
    }


def test_key_in_a_chat_is_text() -> None:
    """The text `"b64_json": "..."` within a chat message is not decoded as an image."""
    decoder = ImageDecoder(Limits())
    text = as_json({"content": '{"b64_json": "' + pybase64.b64encode(RED).decode() + '"}'})
    assert decoder.feed(text) == text


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (as_json(TWO)[:-30], TruncatedReplyError),
        (as_json({"data": [entry(RED), {"b64_json": "!!"}]}), MalformedReplyError),
        (as_json({"error": {"message": "No luck", "code": 503}}), EmbyError),
        (b"", TruncatedReplyError),
        (as_json({"object": "list"}), MalformedReplyError),
    ],
)
def test_what_arrived_is_kept(body: bytes, error: type[EmbyError]) -> None:
    """A broken response raises an error with the images that arrived before."""
    with pytest.raises(error) as caught:
        read(body)
    if b"b64_json" in body:
        assert caught.value.partial is not None
        assert caught.value.partial.images[0] == RED_IMAGE


@pytest.mark.parametrize("limits", [Limits(image=20), Limits(images=1), Limits(wire=200)])
def test_limits(limits: Limits) -> None:
    """The limits of a chat reply apply to the endpoint too."""
    with pytest.raises(ReplyTooLargeError):
        read(as_json(TWO), limits=limits)


@pytest.mark.parametrize("kind", KINDS)
def test_no_image(kind: str) -> None:
    """An empty list of images, the sign of a refused image, raises an error that explains it."""
    backend = ScriptedBackend({"created": 1, "data": []})
    with pytest.raises(MissingImageError, match="content filter"):
        run(kind, backend, lambda emby: emby.images.generate("a boat"))


def test_image_folder(tmp_path: Path) -> None:
    """With `image_folder`, images are files and not kept in memory."""
    reply = run(
        "sync", ScriptedBackend(TWO), lambda e: e.images.generate("x"), image_folder=tmp_path
    )
    assert [image.content for image in reply.images] == [None, None]
    assert [image.path.read_bytes() for image in reply.images] == [RED, BLUE]


def test_errors_of_the_gateway() -> None:
    """Errors are those of a chat, and a missing endpoint has a hint to use a chat."""
    for given, error in (
        (answer({"error": {"message": "Slow down"}}, status=429), RateLimitError),
        (answer({"error": True, "status": 400, "message": "No"}, status=400), BadRequestError),
    ):
        with pytest.raises(error):
            run("sync", ScriptedBackend(given), lambda emby: emby.images.generate("x"))
    with pytest.raises(NotFoundError) as caught:
        run("sync", ScriptedBackend(NO_ROUTE), lambda emby: emby.images.generate("x"))
    assert caught.value.hint == "This gateway has no images endpoint: generate the image by chat."


# ---- emby.image


def paths(backend: ScriptedBackend) -> list[str]:
    """Return the last segment of each request's path."""
    return [request.path.rpartition("/")[2] for request in backend.requests]


def chat_or_image(missing: bool) -> Callable[[Any], BackendResponse]:
    """A gateway that answers chats with a red image, and the endpoint with a blue one or a 404."""
    url = {"image_url": {"url": RED_IMAGE.data_url}}
    chat = {"choices": [{"message": {"content": "", "images": [url]}, "finish_reason": "stop"}]}

    def respond(request: Any) -> BackendResponse:
        if request.path == "/models":
            architecture = {"output_modalities": ["image"]}
            return answer({"data": [{"id": "painter", "architecture": architecture}]})
        if request.path == "/chat/completions":
            return answer(chat)
        no_route = answer(b"404 Not Found", status=404, headers={"content-type": "text/plain"})
        return no_route if missing else answer({"data": [entry(BLUE)]})

    return respond


def twice(kind: str, model: str, **arguments: Any) -> Callable[[Any], Any]:
    """Return a function that generates two images, one after the other."""
    if kind == "sync":
        return lambda emby: [emby.image("a boat", model=model, **arguments)[0] for _ in range(2)]

    async def call(emby: AsyncEmby) -> list[Image]:
        return [(await emby.image("a boat", model=model, **arguments))[0] for _ in range(2)]

    return call


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("model", "missing", "expected", "image"),
    [
        ("qwen2.5-vision", False, ["completions"] * 2, RED_IMAGE),
        (MODEL, False, ["generations"] * 2, BLUE_IMAGE),
        (MODEL, True, ["generations", "completions", "completions"], RED_IMAGE),
        ("painter", False, ["completions"] * 2, RED_IMAGE),
    ],
)
def test_image_uses_the_endpoint_for_image_only_models(
    kind: str, model: str, missing: bool, expected: list[str], image: Image
) -> None:
    """`image` uses the endpoint for image-only models, or a chat after one 404."""
    backend = ScriptedBackend(by=chat_or_image(missing))
    assert run(kind, backend, twice(kind, model)) == [image, image]
    assert paths(backend) == expected


def test_image_uses_the_endpoint_for_a_listed_model() -> None:
    """`image` also uses the endpoint if the gateway lists the model as image-only."""
    backend = ScriptedBackend(by=chat_or_image(missing=False))

    def call(emby: Emby) -> list[Image]:
        assert [card.text_output for card in emby.models()] == [False]
        return emby.image("a boat", model="painter", aspect_ratio="16:9", size="2K")

    assert run("sync", backend, call) == [BLUE_IMAGE]
    assert paths(backend) == ["models", "generations"]
    sent = json.loads(backend.requests[1].body)
    assert (sent["aspect_ratio"], sent["size"], sent["n"]) == ("16:9", "2K", 1)


def test_the_seeds_of_an_order_are_for_chats_alone() -> None:
    """An order with seeds uses the images endpoint without them; the chat instead has them."""
    backend = ScriptedBackend(by=chat_or_image(missing=True))
    run("sync", backend, lambda emby: emby.image("a boat", model=MODEL, n=2))
    bodies = {request.path: json.loads(request.body) for request in backend.requests}
    assert "seed" not in bodies["/images/generations"]
    assert "image_config" in bodies["/chat/completions"]


def test_images_to_edit_go_to_edits() -> None:
    """Images to edit are sent to `/images/edits`."""
    backend = ScriptedBackend(by=chat_or_image(missing=False))
    run("sync", backend, lambda emby: emby.image("blur", model=MODEL, images=[RED_IMAGE]))
    assert paths(backend) == ["edits"]


@pytest.mark.parametrize(
    "arguments", [{"system": "Be brief."}, {"temperature": 0.5}, {"image_config": {"seed": 3}}]
)
def test_unsupported_options_use_a_chat(arguments: dict[str, Any]) -> None:
    """Options that the endpoint does not have, such as a system prompt, cause a chat instead."""
    backend = ScriptedBackend(by=chat_or_image(missing=False))
    run("sync", backend, lambda emby: emby.image("a boat", model=MODEL, **arguments))
    assert paths(backend) == ["completions"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("missing", "arguments", "expected"),
    [
        (False, {}, ["completions"]),
        (False, {"endpoint": "chat"}, ["completions"]),
        (False, {"endpoint": "auto"}, ["generations"]),
        (True, {"endpoint": "auto"}, ["generations", "completions"]),
        (False, {"endpoint": "auto", "model": "qwen2.5-vision"}, ["completions"]),
        (False, {"endpoint": "images", "model": "qwen2.5-vision"}, ["generations"]),
        (False, {"mask": BLUE_IMAGE, "images": [RED_IMAGE]}, ["edits"]),
    ],
)
def test_a_chat_may_use_the_endpoint(
    kind: str, missing: bool, arguments: dict[str, Any], expected: list[str]
) -> None:
    """A chat uses the endpoint if `endpoint` or a mask requires it, with the usual events and
    records.
    """
    given: dict[str, Any] = {"model": MODEL, **arguments}
    backend, finished = ScriptedBackend(by=chat_or_image(missing)), []

    class Observer:
        @hookimpl
        def emby_call_finished(self, record: CallRecord) -> None:
            finished.append(record)

    events: list[Any] = []

    def call(emby: Emby) -> ChatReply:
        with emby.stream("a boat", **given) as stream:
            events.extend(stream)
        return emby.chat("a boat", **given)

    async def call_async(emby: AsyncEmby) -> ChatReply:
        async with emby.stream("a boat", **given) as stream:
            events.extend([event async for event in stream])
        return await emby.chat("a boat", **given)

    reply = run(
        kind,
        backend,
        call if kind == "sync" else call_async,
        plugins=[backend, Observer()],
    )
    image = RED_IMAGE if expected[-1] == "completions" else BLUE_IMAGE
    assert reply.images == (image,)
    assert paths(backend) == [*expected, expected[-1]]
    assert (b'name="mask"' in backend.requests[-1].body) == ("mask" in arguments)
    assert [type(event) for event in events] == [ImageReceived, Finished]
    assert events[0].image == image
    assert len(finished) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"endpoint": "images", "temperature": 0.5}, "does not take 'temperature'"),
        ({"endpoint": "images", "system": "Be brief."}, "one message"),
        ({"endpoint": "chat", "mask": BLUE_IMAGE}, "A mask needs the images endpoint"),
        ({"mask": BLUE_IMAGE}, "A mask needs exactly one image"),
        ({"endpoint": "image"}, "expected auto, chat or images"),
    ],
)
def test_an_inexpressible_request_is_an_error(arguments: dict[str, Any], message: str) -> None:
    """A required endpoint that can't express the request raises before anything is sent."""
    backend = ScriptedBackend(by=chat_or_image(missing=False))
    with pytest.raises(RequestError, match=message):
        run("sync", backend, lambda emby: emby.chat("a boat", model=MODEL, **arguments))
    assert not backend.requests


@pytest.mark.parametrize("status", [400, 402, 410, 500])
def test_other_errors_cause_no_second_request(status: int) -> None:
    """Errors other than a missing route do not cause a second request, which might be billed."""
    backend = ScriptedBackend(answer({"error": {"message": "No"}}, status=status))
    with pytest.raises(EmbyError):
        run("sync", backend, lambda emby: emby.image("a boat", model=MODEL))
    assert paths(backend) == ["generations"]


def test_a_history_is_not_an_images_request() -> None:
    """Several messages, or several text parts, can't be converted to an images request."""
    one = Message.user("a", RED_IMAGE)
    for messages, is_one in (
        ((one,), True),
        ((one, Message.assistant("b"), one), False),
        ((Message.user("a", "b"),), False),
        ((Message.user(RED_IMAGE),), False),
    ):
        with nullcontext() if is_one else pytest.raises(RequestError, match="one message"):
            ImagesRequest.from_chat(ChatRequest(MODEL, messages))


async def test_async_calls_are_awaited() -> None:
    """`AsyncEmby.images.generate` returns an awaitable."""
    async with AsyncEmby(base_url="test:", plugins=[ScriptedBackend(ONE)]) as emby:
        call: Awaitable[ChatReply] = emby.images.generate("a boat")
        assert (await call).image == RED_IMAGE
