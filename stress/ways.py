"""The twelve ways to request one reply: three hosts, sync and async, streamed and not."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import llm
import PIL.Image
import sqlite_utils
from langchain_core.messages import AIMessage, HumanMessage
from llm.migrations import migrate
from support import Loopback

from emby_plugins import AsyncEmby, BackendRequest, Emby, EmbyError, Image, ModelCard
from emby_plugins.mock import MockBackend, MockReply, MockServer, activate
from emby_plugins.mock.responses import MockResponse
from langchain_emby import ChatEmby, image_block, images_of
from llm_emby._models import AsyncEmbyModel, EmbyModel
from stress.rows import Row

MODEL = "qwen2.5-vision"
PROMPT = "Generate an image of a red boat"


class Way(NamedTuple):
    """A host and the way to call it."""

    host: str
    is_async: bool
    streamed: bool

    def __str__(self) -> str:
        return "-".join(
            (
                self.host,
                "async" if self.is_async else "sync",
                "stream" if self.streamed else "whole",
            )
        )


WAYS = [
    Way(host, is_async, streamed)
    for host in ("core", "llm", "langchain")
    for is_async in (False, True)
    for streamed in (True, False)
]


@dataclass
class Outcome:
    """The result of a call: text and images, or the error."""

    text: str = ""
    images: list[Image] = field(default_factory=list)
    error: BaseException | None = None
    values: list[Any] = field(default_factory=list)
    logged: str = ""

    @property
    def cause(self) -> EmbyError | None:
        """The core's error, which is the error itself or its cause."""
        found = self.error
        while found is not None and not isinstance(found, EmbyError):
            found = found.__cause__
        return found

    @property
    def partial_text(self) -> str:
        """The partial text of the error."""
        cause = self.cause
        return cause.partial.text if cause is not None and cause.partial is not None else ""

    @property
    def partial_images(self) -> tuple[Image, ...]:
        """The partial images of the error."""
        cause = self.cause
        return cause.partial.images if cause is not None and cause.partial is not None else ()


def call(
    way: Way,
    on: Mapping[str, Any],
    prompt: str = PROMPT,
    images: tuple[Image, ...] = (),
) -> Outcome:
    """Call the host in that way, with the given client settings.

    The key is read from the environment, so no frame of a test contains it.
    """
    outcome = Outcome()
    functions = _FUNCTIONS[way.host]
    try:
        if way.is_async:
            asyncio.run(functions[1](way, on, prompt, images, outcome))
        else:
            functions[0](way, on, prompt, images, outcome)
    except (EmbyError, llm.ModelError) as error:
        outcome.error = error
    return outcome


def _call_core(way: Way, on: Any, prompt: str, images: tuple[Image, ...], outcome: Outcome) -> None:
    with Emby(**on) as emby:
        if way.streamed:
            with emby.stream(prompt, model=MODEL, images=images) as stream:
                for event in stream:
                    outcome.values.append(event)
                reply = stream.reply
        else:
            reply = emby.chat(prompt, model=MODEL, images=images)
    outcome.values.append(reply)
    outcome.text, outcome.images = reply.text, list(reply.images)


async def _acall_core(
    way: Way, on: Any, prompt: str, images: tuple[Image, ...], outcome: Outcome
) -> None:
    async with AsyncEmby(**on) as emby:
        if way.streamed:
            async with emby.stream(prompt, model=MODEL, images=images) as stream:
                async for event in stream:
                    outcome.values.append(event)
                reply = stream.reply
        else:
            reply = await emby.chat(prompt, model=MODEL, images=images)
    outcome.values.append(reply)
    outcome.text, outcome.images = reply.text, list(reply.images)


def _chat_emby(on: Mapping[str, Any]) -> ChatEmby:
    renamed = {"metadata": "emby_metadata"}
    return ChatEmby(model=MODEL, **{renamed.get(name, name): value for name, value in on.items()})


def _human(prompt: str, images: tuple[Image, ...]) -> list[HumanMessage]:
    return [HumanMessage([prompt, *map(image_block, images)] if images else prompt)]


def _take(message: AIMessage | None, outcome: Outcome) -> None:
    assert message is not None
    outcome.values.append(message)
    outcome.text, outcome.images = str(message.text), images_of(message)


def _call_langchain(
    way: Way, on: Any, prompt: str, images: tuple[Image, ...], outcome: Outcome
) -> None:
    chat, full = _chat_emby(on), None
    if not way.streamed:
        _take(chat.invoke(_human(prompt, images)), outcome)
        return
    for chunk in chat.stream(_human(prompt, images)):
        full = chunk if full is None else full + chunk
    _take(full, outcome)


async def _acall_langchain(
    way: Way, on: Any, prompt: str, images: tuple[Image, ...], outcome: Outcome
) -> None:
    chat, full = _chat_emby(on), None
    if not way.streamed:
        _take(await chat.ainvoke(_human(prompt, images)), outcome)
        return
    async for chunk in chat.astream(_human(prompt, images)):
        full = chunk if full is None else full + chunk
    _take(full, outcome)


def _model_of(kind: type[Any], on: Mapping[str, Any]) -> Any:
    """A model of `llm` with client settings that have no `llm` option."""

    class Model(kind):  # type: ignore[misc]
        def client_settings(self, *arguments: Any) -> dict[str, Any]:
            return {**super().client_settings(*arguments), **on}

    card = ModelCard(id=MODEL, vision=True, tools=True)
    return Model("emby/stress", card)


def _attachments(images: tuple[Image, ...]) -> list[llm.Attachment]:
    return [llm.Attachment(type=image.media_type, content=image.data) for image in images]


def _call_llm(way: Way, on: Any, prompt: str, images: tuple[Image, ...], outcome: Outcome) -> None:
    model = _model_of(EmbyModel, on)
    response = model.prompt(prompt, attachments=_attachments(images), stream=way.streamed)
    for chunk in response:
        outcome.values.append(chunk)
    _keep(response.text(), outcome)
    _log(response, outcome)


async def _acall_llm(
    way: Way, on: Any, prompt: str, images: tuple[Image, ...], outcome: Outcome
) -> None:
    model = _model_of(AsyncEmbyModel, on)
    response = model.prompt(prompt, attachments=_attachments(images), stream=way.streamed)
    async for chunk in response:
        outcome.values.append(chunk)
    _keep(await response.text(), outcome)
    _log(await response.to_sync_response(), outcome)


def _log(response: Any, outcome: Outcome) -> None:
    database = sqlite_utils.Database(memory=True)
    _empty().conn.backup(database.conn)
    response.log_to_db(database)
    outcome.logged = "\n".join(database.conn.iterdump())
    database.close()


@cache
def _empty() -> sqlite_utils.Database:
    database = sqlite_utils.Database(memory=True)
    migrate(database)
    return database


def _keep(printed: str, outcome: Outcome) -> None:
    """Split the printed output into the text and the images at the printed paths."""
    text, pictures = list[str](), list[Image]()
    for line in printed.splitlines():
        if line.startswith("/") and Path(line).is_file():
            pictures.append(Image(content=Path(line).read_bytes()))
        elif line.startswith("https://"):
            pictures.append(Image.from_url(line))
        else:
            text.append(line)
    outcome.text, outcome.images = "\n".join(text), pictures


_FUNCTIONS: dict[str, Any] = {
    "core": (_call_core, _acall_core),
    "llm": (_call_llm, _acall_llm),
    "langchain": (_call_langchain, _acall_langchain),
}


class Painter(MockBackend):
    """A mock that always returns the same prepared picture."""

    def __call__(self, request: BackendRequest, _: object = None) -> MockResponse:
        """Answer one request."""
        return super().__call__(request, lambda _: MockReply("Here is your image:", (picture(),)))


@cache
def picture() -> Image:
    """A picture of a few kilobytes, large enough to be cut."""
    noise = random.Random(1).randbytes(60 * 40 * 3)
    return Image.from_pil(PIL.Image.frombytes("RGB", (60, 40), noise))


@contextmanager
def answering(row: Row, over: str, server: MockServer) -> Iterator[dict[str, Any]]:
    """Run the server of the row's fault, and yield the settings of a client that meets it."""
    if row.by is not None:
        with Loopback(row.by) as stranger:
            yield {"base_url": stranger.url, **row.on}
    else:
        base_url = server.base_url if over == "socket" else "mock:"
        with activate(Painter()):
            yield {"base_url": base_url, "metadata": {"mock_fault": row.name}, **row.on}
