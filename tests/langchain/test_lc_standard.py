"""LangChain's own standard suites, against the mock, offline."""

import importlib
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import httpx
import pytest
import yaml
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from lc_support import CASSETTES, PDF, PNG, Script, merged

from langchain_emby import ChatEmby

# The package exports a function of this name, which hides the module.
load = importlib.import_module("langchain_core.load.load")

_KEY = "sk-of-the-environment"


class TestUnit(ChatModelUnitTests):
    """The unit suite."""

    @pytest.fixture(autouse=True)
    def _trusted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The suite loads classes on LangChain's own list of trusted ones only.
        path = ("langchain_emby", "chat_models", "ChatEmby")
        monkeypatch.setitem(load.ALL_SERIALIZABLE_MAPPINGS, path, path)
        monkeypatch.setattr(load, "_default_class_paths_cache", {})

    @property
    def chat_model_class(self) -> type[ChatEmby]:
        return ChatEmby

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": "mock:", "model": "qwen2.5-vision"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"EMBY_API_KEY": _KEY, "EMBY_BASE_URL": "mock:"}
        expected = {"emby_api_key": _KEY, "emby_api_base": "mock:"}
        return environment, {"model": "qwen2.5-vision"}, expected


# The benchmark fixture is not used when recording.
@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")
class TestIntegration(ChatModelIntegrationTests):
    """The integration suite with every capability enabled."""

    supports_image_inputs: ClassVar[bool] = True
    supports_image_urls: ClassVar[bool] = True
    supports_pdf_inputs: ClassVar[bool] = True
    supports_anthropic_inputs: ClassVar[bool] = True
    supports_image_tool_message: ClassVar[bool] = True
    supports_pdf_tool_message: ClassVar[bool] = True
    supports_json_mode: ClassVar[bool] = True
    has_tool_choice: ClassVar[bool] = True
    has_structured_output: ClassVar[bool] = True
    supports_model_override: ClassVar[bool] = True
    model_override_value: ClassVar[str] = "glm-vision"
    enable_vcr_tests: ClassVar[bool] = True

    @pytest.fixture(autouse=True)
    def _assets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def get(url: str, **_: Any) -> httpx.Response:
            return httpx.Response(200, content=PDF if url.endswith(".pdf") else PNG)

        monkeypatch.setattr(httpx, "get", get)

    @property
    def chat_model_class(self) -> type[ChatEmby]:
        return ChatEmby

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": "mock:", "model": "qwen2.5-vision"}

    @pytest.fixture
    def model(self, request: pytest.FixtureRequest, record_mode: str) -> Iterator[ChatEmby]:
        """The mock in this process, or an unused address if HTTP is replayed."""
        address = "http://127.0.0.1:9/v1"
        if request.node.get_closest_marker("vcr") is None:
            yield ChatEmby(**self.chat_model_params)
        elif record_mode == "none":
            yield ChatEmby(base_url=address, api_key=_KEY)
        else:
            # To re-record: pytest tests/langchain -k test_stream_time --record-mode=rewrite
            from emby_plugins.mock.server import MockServer

            with MockServer() as server:
                yield ChatEmby(base_url=server.base_url, api_key=_KEY)

    @property
    def supported_usage_metadata_details(self) -> dict[Literal["invoke", "stream"], list[Any]]:
        details = ["reasoning_output", "cache_read_input"]
        return {"invoke": details, "stream": details}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return _answer(Script("Six.", reasoning="Two threes"), stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return _answer(Script("Again."), stream=stream)


def test_the_recording_is_of_the_mock_and_has_no_key() -> None:
    """The replayed recording is marked as the mock's, with the allowed headers only and no key."""
    (recording,) = (CASSETTES / "test_lc_standard").glob("*.yaml")
    text = recording.read_text("utf-8")
    assert "emby-mock" in text
    assert _KEY not in text
    (exchange,) = yaml.safe_load(text)["interactions"]
    assert {name.lower() for name in exchange["request"]["headers"]} <= {"accept", "content-type"}
    assert {name.lower() for name in exchange["response"]["headers"]} == {"content-type"}


def _answer(script: Script, *, stream: bool) -> AIMessage:
    chat = script.chat()
    return merged(chat.stream("Hello")) if stream else chat.invoke("Hello")
