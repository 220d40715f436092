"""Our clients with a LiteLLM proxy in front of the mock.

Slow, and LiteLLM needs a separate environment: `make conformance-servers` runs it, with LITELLM set
to the program. The file's name excludes it from the other tests.
"""

import json
import os

# Read when llm is imported: load only our plugin.
os.environ["LLM_LOAD_PLUGINS"] = "emby-plugins"

import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from foreign_help import PUPPY, user
from support import MODES, ChatCaller

from emby_plugins import (
    BadRequestError,
    Emby,
    Image,
    RateLimitError,
    Tool,
    UnreadableInputImageError,
)
from emby_plugins.mock import Fault, MockBackend, MockServer
from langchain_emby import ChatEmby

PROXY_KEY = "sk-of-the-proxy-0123456789abcdef0123456789abcdef"
MOCK_KEY = "k-behind-the-proxy"
PAIR = "Generate two images of a puppy"
MODELS = ["qwen2.5-vision", "as-openrouter"]
WEATHER = Tool(
    "get_weather", "Weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)


@pytest.fixture(scope="module")
def behind() -> Iterator[MockServer]:
    """The mock behind the proxy."""
    with MockServer(MockBackend(MOCK_KEY)) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(behind: MockServer) -> Iterator[str]:
    """The base URL of a running proxy."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = Path(__file__).with_name("litellm.yaml")
    process = subprocess.Popen(
        [os.environ["LITELLM"], "--config", config, "--host", "127.0.0.1", "--port", str(port)],
        env={
            **os.environ,
            "MOCK_URL": behind.base_url,
            "MOCK_KEY": MOCK_KEY,
            "LITELLM_MASTER_KEY": PROXY_KEY,
            # Avoids fetching a list of prices.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "startup complete" in line:
            break
    else:
        pytest.fail(f"The proxy did not start: {''.join(lines[-20:])}")
    # A full pipe would stop the proxy.
    drain = threading.Thread(target=process.stdout.read, daemon=True)
    drain.start()
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait(30)
    drain.join()
    process.stdout.close()


@pytest.fixture
def on(proxy: str) -> dict[str, Any]:
    """The settings of a client of the proxy."""
    return {"base_url": proxy, "api_key": PROXY_KEY, "max_retries": 0}


@pytest.fixture(scope="module")
def painted(behind: MockServer) -> tuple[Image, ...]:
    """The two images of the mock itself."""
    with Emby(MOCK_KEY, behind.base_url) as emby:
        return emby.chat(PAIR).images


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", MODELS)
def test_text_and_images(
    on: dict[str, Any], painted: tuple[Image, ...], mode: str, model: str
) -> None:
    """In all four modes and by both providers, images are the same as without the proxy."""
    reply = ChatCaller(mode)(PAIR, on=on, model=model)
    assert reply.text == "Here are your 2 generated images:"
    assert reply.images == painted
    assert reply.finish_reason == "stop"


@pytest.mark.parametrize("mode", MODES)
def test_an_image_only_model(on: dict[str, Any], mode: str) -> None:
    """An image-only model's images arrive."""
    reply = ChatCaller(mode)("two photos of a cat", on=on, model="emby-mock-image")
    assert len(set(reply.images)) == 2


@pytest.mark.parametrize("mode", MODES)
def test_reasoning(on: dict[str, Any], mode: str) -> None:
    """Reasoning, which LiteLLM calls `reasoning_content`, is read."""
    extra = {"allowed_openai_params": ["reasoning_effort"]}
    reply = ChatCaller(mode)("Why?", on=on, reasoning_effort="low", extra_body=extra)
    assert "low effort" in reply.reasoning


@pytest.mark.parametrize("mode", MODES)
def test_tools(on: dict[str, Any], mode: str) -> None:
    """Tool calls arrive."""
    reply = ChatCaller(mode)("What is the weather in Paris?", on=on, tools=[WEATHER])
    assert [call.name for call in reply.tool_calls] == ["get_weather"]
    assert reply.tool_calls[0].args.keys() == {"city"}


def test_an_edit(on: dict[str, Any], painted: tuple[Image, ...]) -> None:
    """An image from the proxy can be sent back and edited."""
    reply = ChatCaller("sync")("Make it grayscale", on=on, images=[painted[0]])
    assert reply.image not in painted


def test_the_index_of_images(proxy: str) -> None:
    """LiteLLM adds an index to images, but not in streams."""
    whole, streamed = (raw(proxy, stream=stream) for stream in (False, True))
    images = json.loads(whole)["choices"][0]["message"]["images"]
    assert [image["index"] for image in images] == [0, 1]
    chunks = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    images = [image for delta in deltas for image in delta.get("images", [])]
    assert ["index" in image for image in images] == [False, False]


def test_the_list_of_models(on: dict[str, Any]) -> None:
    """LiteLLM's list of models has only ids."""
    with Emby(**on) as emby:
        models = {model.id: model for model in emby.models()}
    assert models.keys() == {*MODELS, "emby-mock-image"}
    assert not any(model.vision or model.image_output for model in models.values())


def test_errors(on: dict[str, Any], behind: MockServer, painted: tuple[Image, ...]) -> None:
    """A wrong key, an unknown model, a bad image and a rate limit raise the matching errors."""
    call_chat = ChatCaller("sync")
    # Keys are looked up in a database, which is missing here.
    with pytest.raises(BadRequestError, match="No connected db"):
        call_chat("Hello", on={**on, "api_key": "sk-another"})
    with pytest.raises(BadRequestError):
        call_chat("Hello", on=on, model="no-such-model")
    with pytest.raises(UnreadableInputImageError):
        # The head of a PNG without the rest.
        call_chat("What?", on=on, images=[Image.from_bytes((painted[0].content or b"")[:40])])
    behind.backend.reply(fault=Fault(status=429))
    with pytest.raises(RateLimitError):
        call_chat("Hello", on=on)


def test_llm(proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`llm` prints the text and the path of the image."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.setenv("EMBY_BASE_URL", proxy)
    monkeypatch.setenv("EMBY_API_KEY", PROXY_KEY)
    from llm.cli import cli

    for how in ([], ["--no-stream"]):
        ran = CliRunner().invoke(cli, ["prompt", "-m", "emby/qwen2.5-vision", PUPPY, *how])
        text, path = ran.output.strip().splitlines()
        assert text == "Here is your generated image:"
        assert Image.from_path(path).media_type == "image/png"


def test_chat_emby(proxy: str, painted: tuple[Image, ...]) -> None:
    """ChatEmby gets both images, streamed or not."""
    chat = ChatEmby(model="qwen2.5-vision", base_url=proxy, api_key=PROXY_KEY)
    streamed = None
    for chunk in chat.stream(PAIR):
        streamed = chunk if streamed is None else streamed + chunk
    for reply in (chat.invoke(PAIR), streamed):
        kinds = [block["type"] for block in reply.content_blocks]
        assert kinds == ["text", "image", "image"]


def raw(proxy: str, *, stream: bool) -> str:
    """Return the body of a reply."""
    body = {"model": "qwen2.5-vision", "messages": user(PAIR), "stream": stream}
    headers = {"Authorization": f"Bearer {PROXY_KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{proxy}/chat/completions", json.dumps(body).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        text: str = response.read().decode()
    return text
