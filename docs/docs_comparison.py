"""Sends an image prompt with each client, and writes the table "Why" of the README.

`make comparison` runs it. The versions in the table are those that are installed.
"""

import base64
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emby_plugins import Emby
from emby_plugins.mock import MockBackend, MockServer

README = Path(__file__).resolve().parents[1] / "README.md"
PROMPT, MODEL, KEY = "Generate an image of a puppy in a meadow", "qwen2.5-vision", "a-key"
_DATA_URL = re.compile(rb"data:image/\w+;base64,([A-Za-z0-9+/=]+)")


class Gateway(MockBackend):
    """The mock backend, which remembers the base64 of its last image."""

    image = ""

    def __call__(self, *arguments: Any) -> Any:
        """Answer, and keep the image of the answer."""
        response = super().__call__(*arguments)
        body = b"".join(response.body)
        found = _DATA_URL.search(body)
        self.image = found[1].decode() if found else ""
        return replace(response, body=iter([body]))

    def verdict(self, result: Iterable[str | bytes], found: str, lost: str = "lost") -> str:
        """`found` if a result has the image, as bytes or as base64; otherwise `lost`."""
        data = base64.b64decode(self.image)
        has = (data in item if isinstance(item, bytes) else self.image in item for item in result)
        return found if any(has) else lost


def main() -> None:
    """Try all clients, print the table and write it into the README."""
    gateway = Gateway()
    with MockServer(gateway) as server:
        rows = [
            f"| {name} | {' | '.join(client(server.base_url, gateway, s) for s in (False, True))} |"
            for name, client in clients()
        ]
    table = "\n".join(["| client | whole reply | stream |", "|---|---|---|", *rows])
    text = README.read_text("utf-8")
    text = re.sub(r"\| client \| whole reply .*?(?=\n\n)", lambda _: table, text, flags=re.DOTALL)
    text = re.sub(r"result \([\d-]+\):", f"result ({datetime.now(UTC):%Y-%m-%d}):", text)
    README.write_text(text, "utf-8")
    print(table)


def clients() -> list[tuple[str, Callable[[str, Gateway, bool], str]]]:
    """The clients with their versions, ours first."""
    return [
        ("**this package**: `llm`, Python, LangChain", ours),
        (f"OpenAI SDK {version('openai')}", openai_sdk),
        (f"`llm` {version('llm')} with its own OpenAI models", llm_openai),
        (f"`langchain-openai` {version('langchain-openai')}", langchain_openai),
        (f"`langchain-openrouter` {version('langchain-openrouter')}", langchain_openrouter),
    ]


def ours(base_url: str, gateway: Gateway, stream: bool) -> str:
    """The bytes that each of our three hosts returns."""
    from langchain_emby import ChatEmby, images_of

    with Emby(KEY, base_url) as emby:
        if stream:
            with emby.stream(PROMPT) as events:
                list(events)
        reply = events.reply if stream else emby.chat(PROMPT)
    verdicts = {gateway.verdict([reply.image.data], "**image**")}
    chat = ChatEmby(model=MODEL, api_key=KEY, base_url=base_url)
    verdicts.add(gateway.verdict([images_of(message(chat, stream))[0].data], "**image**"))
    words = [f"emby/{MODEL}", PROMPT, *([] if stream else ["--no-stream"])]
    printed, _ = llm(words, EMBY_BASE_URL=base_url, EMBY_API_KEY=KEY)
    verdicts.add(gateway.verdict(printed, "**image**"))
    (verdict,) = verdicts
    return verdict


def openai_sdk(base_url: str, gateway: Gateway, stream: bool) -> str:
    """All fields of what the SDK returns, the untyped ones included."""
    from openai import OpenAI

    client = OpenAI(api_key=KEY, base_url=base_url)
    messages: Any = [{"role": "user", "content": PROMPT}]
    reply: Any = client.chat.completions.create(model=MODEL, messages=messages, stream=stream)
    if stream:
        return gateway.verdict([c.model_dump_json() for c in reply], "the same, on `delta`")
    found = "untyped extra field `message.images`: a dict with a data URL"
    return gateway.verdict([reply.model_dump_json()], found)


def llm_openai(base_url: str, gateway: Gateway, stream: bool) -> str:
    """What llm prints, the files it names, and its log."""
    models = f"- {{model_id: ours, model_name: {MODEL}, api_base: '{base_url}'}}\n"
    words = ["ours", PROMPT, "--key", KEY, *([] if stream else ["--no-stream"])]
    printed, log = llm(words, models=models)
    lost = gateway.verdict([log], "lost (kept only as raw JSON in `logs.db`)")
    return gateway.verdict(printed, "image", lost)


def langchain_openai(base_url: str, gateway: Gateway, stream: bool) -> str:
    """All fields of the message."""
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(model=MODEL, api_key=KEY, base_url=base_url)  # type: ignore[arg-type]
    return gateway.verdict([message(chat, stream).model_dump_json()], "image")


def langchain_openrouter(base_url: str, gateway: Gateway, stream: bool) -> str:
    """All fields of the message."""
    from langchain_openrouter import ChatOpenRouter

    chat = ChatOpenRouter(model=MODEL, api_key=KEY, base_url=base_url)  # type: ignore[arg-type]
    return gateway.verdict([message(chat, stream).model_dump_json()], "image")


def message(chat: Any, stream: bool) -> Any:
    """The reply of a chat model, added up if it is streamed."""
    if not stream:
        return chat.invoke(PROMPT)
    first, *others = chat.stream(PROMPT)
    for other in others:
        first += other
    return first


def llm(words: list[str], models: str = "[]", **variables: str) -> tuple[list[str | bytes], str]:
    """What llm prints and the files it names, and the text of its log."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "extra-openai-models.yaml").write_text(models)
        done = subprocess.run(
            [sys.executable, "-m", "llm", "-m", *words],
            env={**os.environ, **variables, "LLM_USER_PATH": folder},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        files = [Path(line) for line in done.stdout.splitlines() if line.startswith("/")]
        with closing(sqlite3.connect(Path(folder, "logs.db"))) as database:
            log = "".join(database.iterdump())
        return [done.stdout, *(file.read_bytes() for file in files)], log


if __name__ == "__main__":
    main()
