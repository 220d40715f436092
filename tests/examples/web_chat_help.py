"""Helpers for the web chat's tests: requests of its page, and a real server for the app."""

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
    """Return bytes as a data URL of any type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def turn(text: str, *images: str, role: str = "user") -> dict[str, Any]:
    """Return a message in the page's form."""
    return {"role": role, "text": text, "images": list(images)}


def conversation(*turns: dict[str, Any]) -> dict[str, Any]:
    """Return a request in the page's form."""
    return {"model": "emby-mock", "messages": list(turns)}


@contextmanager
def serving(app: Any) -> Iterator[httpx.Client]:
    """Yield a client for the app on a real server."""
    # Connections wait in the backlog until the server has started.
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


def send_turns(client: httpx.Client, *turns: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all lines of the reply to a conversation."""
    response = client.post("/api/chat", json=conversation(*turns))
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]
