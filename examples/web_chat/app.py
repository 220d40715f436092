"""A browser chat with pictures, the Python equivalent of the route on Emby's page.

`POST /api/chat` takes the conversation and streams the reply as lines of JSON: text as it arrives,
then images, then the usage. The server has no state but one client, and the browser never sees
the key.

    python examples/web_chat/app.py                 # http://127.0.0.1:8765, on the mock
    EMBY_API_KEY=... python examples/web_chat/app.py
"""

import argparse
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emby_plugins import (
    DEFAULT_MODEL,
    AsyncEmby,
    EmbyError,
    Finished,
    Image,
    ImageReceived,
    InvalidImageError,
    Message as ChatMessage,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
)

HERE = Path(__file__).parent
SHOWN = ("image/png", "image/jpeg", "image/webp", "image/gif")
MAX_BODY = 64 * 1024 * 1024
MAX_MESSAGES = 400
MAX_IMAGES = 8
MAX_TEXT = 100_000


class Turn(msgspec.Struct):
    """One message as sent by the page; `images` are data URLs."""

    role: Literal["user", "assistant"]
    text: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
    images: list[str] = []


class Conversation(msgspec.Struct):
    """The body of `POST /api/chat`: the complete conversation, every time."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    messages: Annotated[list[Turn], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]


def base_url() -> str | None:
    """The gateway: `EMBY_BASE_URL`, else Emby if there is a key, else the mock."""
    chosen = os.environ.get("EMBY_BASE_URL", "").strip()
    return chosen or (None if os.environ.get("EMBY_API_KEY", "").strip() else "mock:")


def create_app(
    client: AsyncEmby | None = None, hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
) -> Starlette:
    """Create the application. Only `hosts` are accepted as host names, to prevent DNS rebinding."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with client or AsyncEmby(base_url=base_url()) as emby:
            app.state.emby = emby
            yield

    return Starlette(
        routes=[
            Route("/", page),
            Route("/{name}", asset),
            Route("/api/about", about),
            Route("/api/chat", chat, methods=["POST"]),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(SafeHeaders),
        ],
        exception_handlers={HTTPException: refuse},
        lifespan=lifespan,
    )


async def page(_: Request) -> Response:
    """Serve the page."""
    return FileResponse(HERE / "index.html")


async def asset(request: Request) -> Response:
    """Serve the page's script, style and icon, and no other file."""
    name = request.path_params["name"]
    if name not in {"chat.js", "store.js", "chat.css", "icon.svg"}:
        raise HTTPException(404, "There is nothing here.")
    return FileResponse(HERE / name)


async def about(request: Request) -> Response:
    """Return the gateway, and its models that generate images."""
    emby: AsyncEmby = request.app.state.emby
    is_mock = emby.base_url == "mock:"
    default = "emby-mock" if is_mock else DEFAULT_MODEL
    try:
        models = [card.id for card in await emby.models() if card.image_output is not False]
    except EmbyError:
        models = []  # the gateway's error is shown with the first message
    names = [default, *(name for name in models if name != default)]
    return JSONResponse({"gateway": emby.base_url, "mock": is_mock, "models": names})


async def chat(request: Request) -> Response:
    """Stream the reply to a conversation as lines of JSON.

    An invalid request is a 4xx; later errors are a line of the stream.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        # A page of another origin can't send this type without a CORS preflight.
        raise HTTPException(415, "Send application/json.")
    conversation = read_conversation(await read_body(request))
    messages = [read_message(turn) for turn in conversation.messages]
    lines = reply_lines(request.app.state.emby, conversation.model, messages)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    # When the browser disconnects, Starlette cancels the generator, and so the gateway's stream.
    return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)


async def read_body(request: Request) -> bytes:
    """The body, refused as soon as too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, "The conversation is too large: send smaller pictures.")
    return bytes(body)


def read_conversation(body: bytes) -> Conversation:
    """The conversation in a request. Raises `HTTPException`."""
    try:
        given = msgspec.json.decode(body, type=Conversation)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"The request can't be used: {error}.") from None
    if given.messages[-1].role != "user":
        raise HTTPException(400, "The last message is not the user's.")
    if sum(len(turn.images) for turn in given.messages) > MAX_IMAGES:
        raise HTTPException(400, f"{MAX_IMAGES} pictures are the most.")
    return given


def read_message(turn: Turn) -> ChatMessage:
    """Convert a message, decoding and checking its pictures. Raises `HTTPException`."""
    try:
        images = [Image.from_data_url(url) for url in turn.images]
    except InvalidImageError as error:
        raise HTTPException(400, str(error)) from None
    for image in images:
        if image.media_type not in SHOWN:
            raise HTTPException(400, f"A picture is {image.media_type}. Send PNG, JPEG, WebP, GIF.")
    content = [turn.text, *images] if turn.text else images
    return ChatMessage.user(*content) if turn.role == "user" else ChatMessage.assistant(*content)


async def reply_lines(
    emby: AsyncEmby, model: str, messages: list[ChatMessage]
) -> AsyncIterator[bytes]:
    """Each event of the reply as a line of JSON, as it arrives; an error is the last line."""
    try:
        async with emby.stream(messages, model=model) as stream:
            async for event in stream:
                if isinstance(event, Finished) and event.reply.notice:
                    notice = {"type": "notice", "message": event.reply.notice}
                    yield json.dumps(notice, separators=(",", ":")).encode() + b"\n"
                if data := event_data(event):
                    yield json.dumps(data, separators=(",", ":")).encode() + b"\n"
    except EmbyError as error:
        yield json.dumps({"type": "error", "message": str(error)}).encode() + b"\n"


def event_data(event: StreamEvent) -> dict[str, Any] | None:
    """The page's representation of an event, if any."""
    match event:
        case TextDelta(text):
            return {"type": "text", "text": text}
        case ReasoningDelta(text):
            return {"type": "reasoning", "text": text}
        case ImageReceived(image):
            return image_data(image)
        case Finished(reply):
            used = reply.usage
            tokens = used.total_tokens if used else None
            cost = used.cost if used else None
            return {"type": "finished", "model": reply.model, "tokens": tokens, "cost": cost}
    return None


def image_data(image: Image) -> dict[str, Any]:
    """An image as a data URL with its size; for unsupported types, a notice with the type."""
    if image.content is None:
        return {"type": "address", "url": image.url}
    if image.media_type not in SHOWN:
        return {"type": "notice", "message": f"A picture came as {image.media_type}."}
    try:
        width, height = image.size
    except InvalidImageError as error:
        return {"type": "notice", "message": str(error)}
    return {"type": "image", "url": image.data_url, "width": width, "height": height}


async def refuse(_: Request, error: Exception) -> Response:
    """Return an error as JSON, as expected by the page."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code)


class SafeHeaders:
    """Sets headers that allow the browser to load and run only files from this server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = (
                    "default-src 'none'; script-src 'self'; style-src 'self'; "
                    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
                    "form-action 'none'; frame-ancestors 'none'; "
                    "require-trusted-types-for 'script'"
                )
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self.app(scope, receive, with_headers)


def main() -> None:
    """Serve the chat, on this machine only unless another host is given, and print the address."""
    parser = argparse.ArgumentParser(description="A chat with pictures in the browser")
    parser.add_argument("--host", default="127.0.0.1", help="listen elsewhere at your own risk")
    parser.add_argument("--port", default=8765, type=int)
    given = parser.parse_args()
    hosts = ("127.0.0.1", "localhost", "[::1]", given.host)
    family = socket.AF_INET6 if ":" in given.host else socket.AF_INET
    try:
        listening = socket.create_server((given.host, given.port), family=family)
    except OSError as error:
        parser.error(f"Can't listen on {given.host} port {given.port}: {error.strerror}.")
    with listening:
        name = f"[{given.host}]" if ":" in given.host else given.host
        gateway = base_url() or "Emby"
        answered_by = (
            "the mock backend; set EMBY_API_KEY to use Emby" if gateway == "mock:" else gateway
        )
        print(f"Open http://{name}:{listening.getsockname()[1]} (Ctrl-C stops it)")
        print(f"Answered by {answered_by}.", flush=True)
        config = uvicorn.Config(create_app(hosts=hosts), log_level="warning")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
