"""Outgoing images: the numbers in the model's name are the megabytes of each, and how many.

Returns the number of image bytes sent.
"""

# ruff: noqa: D103 - the names are clear

import asyncio
import base64
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.peers import KEY, Work
from benchmarks.server import picture


@cache
def _files(model: str) -> list[Path]:
    folder = Path(tempfile.mkdtemp(prefix="emby-bench-"))
    size, number, *_ = [*map(int, model.split("-")[1:]), 0]
    paths = [folder / f"{variant}.png" for variant in range(number)]
    for variant, path in enumerate(paths):
        path.write_bytes(picture(size, variant))
    picture.cache_clear()
    return paths


def _size(model: str) -> int:
    return sum(path.stat().st_size for path in _files(model))


def _data_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _messages(paths: list[Path]) -> list[Any]:
    images = [{"type": "image_url", "image_url": {"url": _data_url(path)}} for path in paths]
    return [{"role": "user", "content": [{"type": "text", "text": "Hi"}, *images]}]


def httpx_sends(base: str, model: str, stream: bool) -> Work:
    """Handwritten code: read, encode, and let httpx serialize the JSON."""
    import httpx

    client = httpx.Client(headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
    paths = _files(model)

    def run() -> int:
        body = {"model": model, "messages": _messages(paths)}
        client.post(f"{base}/chat/completions", json=body).raise_for_status()
        return _size(model)

    return run


def _sync(base: str, model: str, load: Callable[[Path], Any]) -> Work:
    from emby_plugins import Emby

    emby, images = Emby(KEY, base), [load(path) for path in _files(model)]

    def run() -> int:
        emby.chat("Hi", model=model, images=images)
        return _size(model)

    return run


def emby_sends_bytes(base: str, model: str, stream: bool) -> Work:
    from emby_plugins import Image

    return _sync(base, model, lambda path: Image.from_bytes(path.read_bytes()))


def emby_sends_path(base: str, model: str, stream: bool) -> Work:
    from emby_plugins import Emby, Image

    emby, paths = Emby(KEY, base), _files(model)

    def run() -> int:
        images = [Image.from_path(path, lazy=True) for path in paths]
        emby.chat("Hi", model=model, images=images)
        return _size(model)

    return run


def emby_sends_data_url(base: str, model: str, stream: bool) -> Work:
    from emby_plugins import Image

    return _sync(base, model, lambda path: Image.from_data_url(_data_url(path)))


def emby_async_sends_path(base: str, model: str, stream: bool) -> Work:
    from emby_plugins import AsyncEmby, Image

    emby, paths, runner = AsyncEmby(KEY, base), _files(model), asyncio.Runner()

    async def call() -> int:
        images = [Image.from_path(path, lazy=True) for path in paths]
        await emby.chat("Hi", model=model, images=images)
        return _size(model)

    return lambda: runner.run(call())


def emby_sends_history(base: str, model: str, stream: bool) -> Work:
    """One image per turn, in a conversation with all turns answered."""
    from emby_plugins import Emby, Image, Message

    emby, paths = Emby(KEY, base), _files(model)

    def run() -> int:
        images = [Image.from_path(path, lazy=True) for path in paths]
        turns = [(Message.user("Hi", image), Message.assistant("Hello.")) for image in images]
        emby.chat([*(message for turn in turns for message in turn), "And now?"], model=model)
        return _size(model)

    return run


def openai_sends(base: str, model: str, stream: bool) -> Work:
    import openai

    client, paths = openai.OpenAI(api_key=KEY, base_url=base), _files(model)

    def run() -> int:
        client.chat.completions.create(model=model, messages=_messages(paths))  # type: ignore
        return _size(model)

    return run


def chat_nothing_sends(base: str, model: str, stream: bool) -> Work:
    """A chat model that does nothing, to measure the overhead of LangChain itself."""
    from langchain_core.messages import HumanMessage

    from benchmarks.peers import nothing_model

    return _langchain(nothing_model([]), model, HumanMessage)


def chat_emby_sends(base: str, model: str, stream: bool) -> Work:
    from langchain_core.messages import HumanMessage

    from langchain_emby import ChatEmby

    chat = ChatEmby(model=model, base_url=base, api_key=KEY)
    return _langchain(chat, model, HumanMessage)


def chat_openai_sends(base: str, model: str, stream: bool) -> Work:
    from langchain_core.messages import HumanMessage
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(model=model, base_url=base, api_key=KEY)  # type: ignore
    return _langchain(chat, model, HumanMessage)


def _langchain(chat: Any, model: str, message: Any) -> Work:
    text = [base64.b64encode(path.read_bytes()).decode() for path in _files(model)]
    images = [{"type": "image", "base64": data, "mime_type": "image/png"} for data in text]

    def run() -> int:
        chat.invoke([message(content=[{"type": "text", "text": "Hi"}, *images])])
        return _size(model)

    return run


def llm_emby_sends(base: str, model: str, stream: bool) -> Work:
    import llm

    from emby_plugins import ModelCard
    from llm_emby._models import EmbyModel

    emby = EmbyModel("bench", ModelCard(id=model), base)
    emby.needs_key, emby.key = "emby", KEY
    paths = _files(model)

    def run() -> int:
        attachments = [llm.Attachment(path=str(path)) for path in paths]
        emby.prompt("Hi", attachments=attachments, stream=False).text()
        return _size(model)

    return run


@cache
def _photo() -> Path:
    """A 12-megapixel photo as taken by a phone, rotated by EXIF data, with a location."""
    import numpy as np
    import PIL.Image

    rows, columns = np.mgrid[0:3024, 0:4032]
    noise = np.random.default_rng(1).integers(0, 24, rows.shape)
    pixels = [((rows * r + columns * c) // 40 % 200 + noise) for r, c in ((1, 2), (3, 1), (1, 1))]
    photo = PIL.Image.fromarray(np.stack(pixels, 2).astype("uint8"))
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A phone"
    exif.get_ifd(0x8825)[1] = "N"
    path = Path(tempfile.mkdtemp(prefix="emby-bench-")) / "photo.jpg"
    photo.save(path, quality=92, exif=exif)
    return path


def pillow_photo(base: str, model: str, stream: bool) -> Work:
    """Handwritten code with Pillow: upright, at most 2 megapixels, encoded."""
    from io import BytesIO

    import PIL.Image
    import PIL.ImageOps

    def run() -> int:
        out = BytesIO()
        with PIL.Image.open(_photo()) as photo:
            upright = PIL.ImageOps.exif_transpose(photo)
            upright.resize((1224, 1632), PIL.Image.Resampling.LANCZOS).save(out, "JPEG", quality=90)
        return len(out.getvalue())

    _photo()
    return run


def emby_photo(base: str, model: str, stream: bool) -> Work:
    """A photo that is decoded, shrunk and encoded for a model that takes 2 megapixels."""
    return _prepared(2_000_000)


def emby_photo_untouched(base: str, model: str, stream: bool) -> Work:
    """A photo for a model that takes it unchanged."""
    return _prepared(None)


def _prepared(most: int | None) -> Work:
    from emby_plugins import Image, ModelCard
    from emby_plugins._chat import ChatRequest
    from emby_plugins._messages import Message
    from emby_plugins._preparation import ImagePreparation, prepare_request

    card = ModelCard("bench", max_image_pixels=most)
    path = _photo()

    def run() -> int:
        message = Message.user("Hi", Image.from_path(path))
        request = ChatRequest(model="bench", messages=(message,))
        filters = ImagePreparation().emby_image_filters(card)
        return prepare_request(request, filters)[0].messages[0].images[0].byte_size

    return run


def _pixels() -> Any:
    import PIL.Image

    with PIL.Image.open(_photo()) as photo:
        return photo.convert("RGB")


def emby_from_pil(base: str, model: str, stream: bool) -> Work:
    from emby_plugins import Image

    pixels = _pixels()
    return lambda: Image.from_pil(pixels).byte_size


def pillow_save(base: str, model: str, stream: bool) -> Work:
    from io import BytesIO

    pixels = _pixels()

    def run() -> int:
        out = BytesIO()
        pixels.save(out, "PNG")
        return len(out.getvalue())

    return run
