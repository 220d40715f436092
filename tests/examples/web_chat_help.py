"""What the tests of the web chat share: what its page sends, and a real server for the app."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn


def data_url(data: bytes, kind: str = "image/png") -> str:
    """Bytes as a data URL of any kind."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def turn(text: str, *images: str, role: str = "user") -> dict[str, Any]:
    """A message as the page sends it."""
    return {"role": role, "text": text, "images": list(images)}


def conversation(*turns: dict[str, Any]) -> dict[str, Any]:
    """What the page sends."""
    return {"model": "emby-mock", "messages": list(turns)}


@contextmanager
def serving(app: Any) -> Iterator[httpx.Client]:
    """The app on a real server, and a client for it."""
    # Connections wait in the backlog until the server has started, so nobody has to.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx.Client(base_url=address, timeout=20) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def ask(client: httpx.Client, *turns: dict[str, Any]) -> list[dict[str, Any]]:
    """All lines of the reply to a conversation."""
    response = client.post("/api/chat", json=conversation(*turns))
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]
