"""The arguments of `ChatEmby`, of its constructor and of each call, as closed lists.

`ChatEmby` and `EmbyImageTool` are pydantic models whose constructors accept more than their field
types say (`api_key` as a string, a chat model's settings on a tool). The `TypedDict`s here are for
type checkers; the sets determine the handling of each argument of a call.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from langchain_core.caches import BaseCache
from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.language_models import ModelProfile
from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import SecretStr

from emby_plugins import ChatOptions, ImageConfig, Limits, RequestError

if TYPE_CHECKING:
    from langchain_emby.chat_models import ChatEmby


class ChatSettings(TypedDict, total=False):
    """The settings that `ChatEmby` and `EmbyImageTool` have in common."""

    model: str
    model_name: str
    api_key: str | SecretStr | None
    emby_api_key: str | SecretStr | None
    base_url: str | None
    emby_api_base: str | None
    timeout: float | None
    deadline: float | None
    max_retries: int | None
    max_connections: int | None
    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    reasoning_effort: str | None
    image_config: ImageConfig | dict[str, Any] | None
    fresh: bool | None
    stop: Sequence[str] | str | None
    streaming: bool
    stream_usage: bool
    image_dir: str | os.PathLike[str] | None
    default_headers: Mapping[str, str] | None
    emby_metadata: Mapping[str, str] | None
    source: str | None
    extra_body: Mapping[str, Any] | None
    model_kwargs: dict[str, Any]
    image_metadata: Literal["reduce", "keep", "remove"]
    limits: Limits | None
    http_client: Any
    http_async_client: Any
    plugins: Sequence[Any]
    seed: int
    user: str
    service_tier: str
    parallel_tool_calls: bool
    logprobs: bool
    top_logprobs: int
    max_completion_tokens: int
    disable_streaming: Any
    output_version: str | None
    cache: BaseCache | bool | None
    rate_limiter: BaseRateLimiter | None
    profile: ModelProfile | None


class ChatEmbyArguments(ChatSettings, total=False):
    """What the constructor of `ChatEmby` accepts."""

    name: str | None
    verbose: bool
    callbacks: list[BaseCallbackHandler] | BaseCallbackManager | None
    tags: list[str] | None
    metadata: dict[str, Any] | None
    custom_get_token_ids: Any


class ImageToolArguments(ChatSettings, total=False):
    """What the constructor of `EmbyImageTool` accepts."""

    chat: "ChatEmby"
    show_images: bool
    max_calls: int | None
    max_cost: float | None
    name: str
    description: str
    return_direct: bool
    verbose: bool
    callbacks: list[BaseCallbackHandler] | BaseCallbackManager | None
    tags: list[str] | None
    metadata: dict[str, Any] | None
    handle_tool_error: Any
    handle_validation_error: Any
    extras: dict[str, Any] | None


CALL_SETTINGS = {
    "timeout": "timeout",
    "request_timeout": "timeout",
    "deadline": "deadline",
    "max_retries": "max_retries",
    "headers": "headers",
    "default_headers": "headers",
    "extra_headers": "headers",
    "emby_metadata": "metadata",
    "source": "source",
    "endpoint": "endpoint",
}
"""Settings that apply to one call, with their names in the core."""

CONVERTED = frozenset(
    {
        *("model", "model_name", "max_completion_tokens", "max_output_tokens", "n", "stop"),
        *("tools", "tool_choice", "response_format", "extra_body"),
        *("model_kwargs", "stream", "stream_usage"),
    }
)
"""Arguments that ChatEmby converts or applies itself."""

TRACED = frozenset({"ls_structured_output_format", "structured_output_format"})
"""Arguments that LangChain adds for tracing; they are not sent."""

_FIXED = "is set in the constructor and can't change per call. Create another ChatEmby for it."
_RESPONSES = "belongs to OpenAI's Responses API, which Emby does not have."
_OPENAI = "configures OpenAI's client and has no equivalent here."

REFUSED = {
    **dict.fromkeys(("api_key", "emby_api_key", "base_url", "emby_api_base"), _FIXED),
    **dict.fromkeys(("http_client", "http_async_client", "limits", "plugins", "image_dir"), _FIXED),
    "image_metadata": _FIXED,
    "max_connections": _FIXED,
    **dict.fromkeys(("disable_streaming", "output_version", "profile", "cache"), _FIXED),
    **dict.fromkeys(("rate_limiter", "custom_get_token_ids", "name", "verbose"), _FIXED),
    **dict.fromkeys(("include", "input", "instructions", "previous_response_id"), _RESPONSES),
    **dict.fromkeys(("background", "background_options", "conversation"), _RESPONSES),
    **dict.fromkeys(("context_management", "truncation", "max_tool_calls"), _RESPONSES),
    **dict.fromkeys(("text", "use_responses_api", "use_previous_response_id"), _RESPONSES),
    **dict.fromkeys(("access_programs", "prompt", "image"), _RESPONSES),
    **dict.fromkeys(("client", "async_client", "root_client", "root_async_client"), _OPENAI),
    **dict.fromkeys(("organization", "openai_organization", "openai_proxy"), _OPENAI),
    **dict.fromkeys(("http_socket_options", "stream_chunk_timeout"), _OPENAI),
    **dict.fromkeys(("disabled_params", "tiktoken_model_name", "default_query"), _OPENAI),
    **dict.fromkeys(("include_response_headers", "extra_query"), _OPENAI),
    **dict.fromkeys(("openai_api_key", "openai_api_base"), _OPENAI),
    **dict.fromkeys(("app_url", "app_title", "app_categories"), "is OpenRouter's. Use source."),
    **dict.fromkeys(("openrouter_api_key", "openrouter_api_base"), _FIXED),
    "openrouter_provider": "is OpenRouter's. Use provider.",
    "metadata": "is ambiguous. Use emby_metadata for Emby, or config={'metadata': ...} for traces.",
    "callbacks": "is LangChain's. Use config={'callbacks': ...}.",
    "tags": "is LangChain's. Use config={'tags': ...}.",
    "streaming": "is set in the constructor. Use stream=False to disable streaming for one call.",
    "functions": "is deprecated. Use bind_tools().",
    "function_call": "is deprecated. Use bind_tools(tool_choice=...).",
    "strict": "is set per tool. Use bind_tools(strict=...).",
    "messages": "is the first argument.",
    "stop_sequences": "is called stop here.",
}
"""Arguments of chat models that no call of ChatEmby accepts, with the reason."""

BODY_FIELDS = frozenset(
    {
        # OpenAI's API
        "audio",
        "logit_bias",
        "logprobs",
        "modalities",
        "moderation",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "stream_options",
        "top_logprobs",
        "user",
        "verbosity",
        "web_search_options",
        # OpenRouter's API
        "min_p",
        "models",
        "provider",
        "repetition_penalty",
        "route",
        "session_id",
        "top_a",
        "top_k",
        "trace",
        "transforms",
        # the gateway's own (recorded request schemas)
        "cache_control",
        "effort",
        "free_models_only",
        "no_reasoning",
        "onboarding",
        "routing",
        "sensitive_word_check",
        "web_search",
    }
)
"""Fields that are sent in the request body under their own name."""

CORE_OPTIONS = (
    *(name for name in ChatOptions.__annotations__ if name not in CONVERTED | BODY_FIELDS),
    "fresh",
)
"""Options with the same name and type in the core."""

_KEY_NAME = re.compile(
    "api[_-]?key|(access|auth|secret|emby|openai)[_-]?key|authorization|bearer|secret|password"
    "|credential|(?<!max)[_-]token$|^(key|token|accesstoken|authtoken)$",
    re.IGNORECASE,
)


def is_key_name(name: str) -> bool:
    """Whether an argument of this name is probably meant to be the API key."""
    return bool(_KEY_NAME.search(name))


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that suggests the known name most similar to `name`, or an empty string."""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f"Did you mean {found[0]!r}? " if found else ""


def check_call_arguments(arguments: Iterable[str]) -> None:
    """Raise `RequestError` for an argument that no call accepts, naming the nearest that is."""
    known = {*CORE_OPTIONS, *CALL_SETTINGS, *CONVERTED, *TRACED, *BODY_FIELDS}
    for name in sorted(set(arguments) - known):
        if name in REFUSED:
            raise RequestError(f"The argument {name!r} {REFUSED[name]}")
        if is_key_name(name):
            hint = "Pass the API key to the constructor as api_key, or set EMBY_API_KEY."
            raise RequestError(f"Unknown argument {name!r}.", hint=hint)
        hint = f"{nearest(name, known)}Pass other request fields in extra_body."
        raise RequestError(f"Unknown argument {name!r}.", hint=hint)
