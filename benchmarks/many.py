"""Concurrent calls: the last number in the model's name is the number of calls or streams.

Each function returns the number of complete replies, so that losing some can't look fast.
"""

# ruff: noqa: D103 - the names are clear

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.peers import KEY, Work

_SHORT_TIMEOUT = 1.0
"""Shorter than one of the slow streams takes, but longer than any of its pauses."""


def count(model: str) -> int:
    return int(model.rpartition("-")[2])


def _gather(model: str, opened: Callable[[], Any], call: Callable[[Any], Awaitable[int]]) -> Work:
    """Make all calls with one client in one event loop."""

    async def run() -> int:
        async with opened() as client:
            calls = (call(client) for _ in range(count(model)))
            found = await asyncio.gather(*calls, return_exceptions=True)
            return sum(reply for reply in found if isinstance(reply, int))

    return lambda: asyncio.run(run())


def _emby(base: str, model: str, stream: bool, **settings: Any) -> Work:
    from emby_plugins import AsyncEmby

    async def whole(emby: AsyncEmby) -> int:
        return bool((await emby.chat("Hi", model=model)).text)

    async def streamed(emby: AsyncEmby) -> int:
        async with emby.stream("Hi", model=model) as events:
            async for _ in events:
                pass
        return events.reply.finish_reason == "stop"

    return _gather(model, lambda: AsyncEmby(KEY, base, **settings), streamed if stream else whole)


def emby_gather(base: str, model: str, stream: bool) -> Work:
    return _emby(base, model, stream)


def emby_aiohttp_gather(base: str, model: str, stream: bool) -> Work:
    """The core with an httpx client that uses aiohttp as its transport."""
    import httpx
    from httpx_aiohttp import AiohttpTransport

    from emby_plugins import AsyncEmby

    def opened() -> Any:
        return httpx.AsyncClient(transport=AiohttpTransport(), timeout=60)

    async def one(client: httpx.AsyncClient, emby: AsyncEmby) -> int:
        async with emby.stream("Hi", model=model) as events:
            async for _ in events:
                pass
        return events.reply.finish_reason == "stop"

    async def run() -> int:
        async with opened() as client, AsyncEmby(KEY, base, http_client=client) as emby:
            calls = (one(client, emby) for _ in range(count(model)))
            return sum(await asyncio.gather(*calls))

    return lambda: asyncio.run(run())


def emby_patient(base: str, model: str, stream: bool) -> Work:
    """Streams that each last longer than the timeout, so the last ones wait for a long time."""
    return _emby(base, model, stream, timeout=_SHORT_TIMEOUT)


def emby_patient_threads(base: str, model: str, stream: bool) -> Work:
    """Like `emby_patient`, but with one thread per stream."""
    from emby_plugins import Emby, EmbyError

    def one(emby: Emby) -> int:
        try:
            with emby.stream("Hi", model=model) as events:
                for _ in events:
                    pass
        except EmbyError:
            return 0
        return events.reply.finish_reason == "stop"

    def run() -> int:
        threads = max(1, count(model))
        with (
            Emby(KEY, base, timeout=_SHORT_TIMEOUT) as emby,
            ThreadPoolExecutor(threads) as pool,
        ):
            return sum(pool.map(one, [emby] * count(model)))

    return run


def _text(line: str) -> str:
    if not line.startswith("data: ") or line == "data: [DONE]":
        return ""
    return json.loads(line[6:])["choices"][0]["delta"].get("content") or ""


def _httpx(library: Any, base: str, model: str, stream: bool) -> Work:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    url = f"{base}/chat/completions"
    # One connection per stream, so that none waits, as a program with many streams would.
    size = library.Limits(max_connections=None if stream else 100)

    def opened() -> Any:
        headers = {"Authorization": f"Bearer {KEY}"}
        return library.AsyncClient(headers=headers, timeout=None, limits=size)

    async def whole(client: Any) -> int:
        response = await client.post(url, json=body)
        return bool(response.json()["choices"][0]["message"]["content"])

    async def streamed(client: Any) -> int:
        async with client.stream("POST", url, json=body) as response:
            text = [_text(line) async for line in response.aiter_lines()]
        return bool("".join(text))

    return _gather(model, opened, streamed if stream else whole)


def httpx_gather(base: str, model: str, stream: bool) -> Work:
    import httpx

    return _httpx(httpx, base, model, stream)


def httpx2_gather(base: str, model: str, stream: bool) -> Work:
    import httpx2

    return _httpx(httpx2, base, model, stream)


def aiohttp_gather(base: str, model: str, stream: bool) -> Work:
    import aiohttp

    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}

    def opened() -> Any:
        connections = aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"Bearer {KEY}"}
        return aiohttp.ClientSession(connector=connections, headers=headers)

    async def one(session: Any) -> int:
        async with session.post(f"{base}/chat/completions", json=body) as response:
            text = [_text(line.decode().strip()) async for line in response.content]
        return bool("".join(text))

    return _gather(model, opened, one)


def openai_gather(base: str, model: str, stream: bool) -> Work:
    import openai

    async def one(client: Any) -> int:
        messages = [{"role": "user", "content": "Hi"}]
        reply = await client.chat.completions.create(model=model, messages=messages)
        return bool(reply.choices[0].message.content)

    return _gather(model, lambda: openai.AsyncOpenAI(api_key=KEY, base_url=base), one)


def _abatch(chat: Any, model: str) -> Work:
    async def run() -> int:
        found = await chat.abatch(["Hi"] * count(model), return_exceptions=True)
        return sum(bool(getattr(reply, "content", "")) for reply in found)

    return lambda: asyncio.run(run())


def chat_emby_abatch(base: str, model: str, stream: bool) -> Work:
    from langchain_emby import ChatEmby

    return _abatch(ChatEmby(model=model, base_url=base, api_key=KEY), model)


def chat_openai_abatch(base: str, model: str, stream: bool) -> Work:
    from langchain_openai import ChatOpenAI

    return _abatch(ChatOpenAI(model=model, base_url=base, api_key=KEY), model)  # type: ignore


def _one_after_another(model: str, client: Any, call: Callable[[], Awaitable[int]]) -> Work:
    """Make sequential calls with one open client, to measure a single call."""
    runner = asyncio.Runner()

    async def run() -> int:
        return sum([await call() for _ in range(count(model))])

    return lambda: runner.run(run())


def emby_async(base: str, model: str, stream: bool) -> Work:
    from emby_plugins import AsyncEmby

    emby = AsyncEmby(KEY, base)

    async def one() -> int:
        return bool((await emby.chat("Hi", model=model)).text)

    return _one_after_another(model, emby, one)


def httpx_async(base: str, model: str, stream: bool) -> Work:
    from emby_plugins._http import LIBRARY

    # The library that the core runs on, so that the ratio is what the core adds.
    client = LIBRARY.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}

    async def one() -> int:
        response = await client.post(f"{base}/chat/completions", json=body)
        return bool(response.json()["choices"][0]["message"]["content"])

    return _one_after_another(model, client, one)


def openai_async(base: str, model: str, stream: bool) -> Work:
    import openai

    client = openai.AsyncOpenAI(api_key=KEY, base_url=base)
    messages: Any = [{"role": "user", "content": "Hi"}]

    async def one() -> int:
        reply = await client.chat.completions.create(model=model, messages=messages)
        return bool(reply.choices[0].message.content)

    return _one_after_another(model, client, one)
