"""The measured work: one short function per client and kind of work.

Each is created by its factory, which is not measured, and then called repeatedly. It returns the
number of image bytes that reached its user, so that losing them can't look fast.
"""

# ruff: noqa: D103 - the names are clear, and there are two dozen

import base64
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

Work = Callable[[], int]
Make = Callable[[str, str, bool], Work]
KEY = "bench-key"


def _decoded(images: list[dict[str, dict[str, str]]] | None) -> int:
    urls = [image["image_url"]["url"] for image in images or ()]
    return sum(len(base64.b64decode(url.partition(",")[2])) for url in urls)


def httpx_bare(base: str, model: str, stream: bool) -> Work:
    import httpx

    client = httpx.Client(headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    url = f"{base}/chat/completions"

    def whole() -> int:
        return _decoded(client.post(url, json=body).json()["choices"][0]["message"].get("images"))

    def streamed() -> int:
        text, size = [], 0
        with client.stream("POST", url, json=body) as response:
            for line in response.iter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    delta = json.loads(line[6:])["choices"][0]["delta"]
                    if delta.get("content"):
                        text.append(delta["content"])
                    size += _decoded(delta.get("images"))
        "".join(text)
        return size

    return streamed if stream else whole


def emby_core(base: str, model: str, stream: bool) -> Work:
    from emby_plugins import Emby

    emby = Emby(KEY, base)

    def whole() -> int:
        return sum(len(image.data) for image in emby.chat("Hi", model=model).images)

    def streamed() -> int:
        with emby.stream("Hi", model=model) as events:
            for _ in events:
                pass
        return sum(len(image.data) for image in events.reply.images)

    return streamed if stream else whole


def emby_core_unobserved(base: str, model: str, stream: bool) -> Work:
    """The core without its check for telemetry, to measure the overhead of disabled telemetry."""
    from contextlib import nullcontext

    from emby_plugins._base_client import BaseClient

    BaseClient._observed = lambda self, exchange: nullcontext()  # type: ignore  # noqa: SLF001
    return emby_core(base, model, stream)


def emby_core_telemetry(base: str, model: str, stream: bool) -> Work:
    """The core with telemetry, using the no-op tracer."""
    from emby_plugins import Emby
    from emby_plugins._telemetry import EmbyTelemetry

    emby = Emby(KEY, base, plugins=[EmbyTelemetry()])
    return lambda: len(emby.chat("Hi", model=model).images)


def emby_core_to_file(base: str, model: str, stream: bool) -> Work:
    from emby_plugins import Emby

    folder = tempfile.TemporaryDirectory()
    emby = Emby(KEY, base, image_folder=folder.name)

    def run() -> int:
        if stream:
            with emby.stream("Hi", model=model) as events:
                for _ in events:
                    pass
            reply = events.reply
        else:
            reply = emby.chat("Hi", model=model)
        size = sum(image.path.stat().st_size for image in reply.images if image.path)
        for image in reply.images:
            if image.path:
                image.path.unlink()
        return size

    return run


def openai_sdk(base: str, model: str, stream: bool) -> Work:
    import openai

    client = openai.OpenAI(api_key=KEY, base_url=base)
    messages = [{"role": "user", "content": "Hi"}]

    def size(message: object) -> int:
        # The SDK has no field for them, but keeps unknown fields.
        urls = [image["image_url"]["url"] for image in getattr(message, "images", None) or ()]
        return sum(len(base64.b64decode(url.partition(",")[2])) for url in urls)

    def whole() -> int:
        reply = client.chat.completions.create(model=model, messages=messages)  # type: ignore
        return size(reply.choices[0].message)

    def streamed() -> int:
        chunks = client.chat.completions.create(model=model, messages=messages, stream=True)  # type: ignore
        return sum(size(chunk.choices[0].delta) for chunk in chunks if chunk.choices)

    return streamed if stream else whole


def _langchain(chat: object, stream: bool) -> Work:
    def size(message: object) -> int:
        content = getattr(message, "content", ())
        blocks = [block for block in content if isinstance(block, dict)]
        # A message has the verified base64 text; bytes are decoded on request.
        return sum(len(block.get("base64", "")) * 3 // 4 for block in blocks)

    def streamed() -> int:
        return sum(size(chunk) for chunk in chat.stream("Hi"))  # type: ignore[attr-defined]

    return streamed if stream else lambda: size(chat.invoke("Hi"))  # type: ignore[attr-defined]


def chat_emby(base: str, model: str, stream: bool) -> Work:
    from langchain_emby import ChatEmby

    return _langchain(ChatEmby(model=model, base_url=base, api_key=KEY), stream)


def chat_emby_to_bytes(base: str, model: str, stream: bool) -> Work:
    """Like `chat_emby`, plus decoding the image's bytes."""
    from langchain_emby import ChatEmby, images_of

    chat = ChatEmby(model=model, base_url=base, api_key=KEY)
    return lambda: sum(len(image.data) for image in images_of(chat.invoke("Hi")))


def nothing_model(texts: list[str]) -> object:
    """A chat model that only yields deltas, to measure the overhead of LangChain itself."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    class Nothing(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "nothing"

        def _generate(self, *_: object, **__: object) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage("Hello."))])

        def _stream(self, *_: object, **__: object):  # type: ignore[no-untyped-def]
            for text in texts:
                yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    return Nothing()


def chat_nothing(base: str, model: str, stream: bool) -> Work:
    texts = [f"word{i} " for i in range(int(model.partition("-")[2]))]
    return _langchain(nothing_model(texts), stream)


def chat_openai(base: str, model: str, stream: bool) -> Work:
    from langchain_openai import ChatOpenAI

    return _langchain(ChatOpenAI(model=model, base_url=base, api_key=KEY), stream)  # type: ignore


def chat_openrouter(base: str, model: str, stream: bool) -> Work:
    from langchain_openrouter import ChatOpenRouter

    chat = ChatOpenRouter(model=model, base_url=base, api_key=KEY)  # type: ignore[call-arg]
    return _langchain(chat, stream)


def llm_emby(base: str, model: str, stream: bool) -> Work:

    from emby_plugins import ModelCard
    from llm_emby._models import EmbyModel

    emby = EmbyModel("bench", ModelCard(id=model, image_output=True), base)
    emby.needs_key, emby.key = "emby", KEY
    folder = tempfile.TemporaryDirectory()
    os.environ["LLM_USER_PATH"] = folder.name

    def run() -> int:
        text = emby.prompt("Hi", stream=stream).text()
        paths = [Path(line) for line in text.splitlines() if line.startswith(folder.name)]
        size = sum(path.stat().st_size for path in paths)
        for path in paths:
            path.unlink()
        return size

    return run


def llm_openrouter(base: str, model: str, stream: bool) -> Work:
    from llm_openrouter import OpenRouterChat

    chat = OpenRouterChat(model_id="bench", model_name=model, api_base=base)
    chat.key = KEY

    def run() -> int:
        chat.prompt("Hi", stream=stream).text()
        return 0

    return run


def llm_openai(base: str, model: str, stream: bool) -> Work:
    from llm.default_plugins.openai_models import Chat

    chat = Chat(model_id="bench", model_name=model, api_base=base)
    chat.key = KEY

    def run() -> int:
        chat.prompt("Hi", stream=stream).text()
        return 0

    return run
