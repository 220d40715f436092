"""What a `ChatEmby` is made of: its settings, the clients made of them, and where both may go.

The key and the clients stay in this process: neither is dumped, traced, pickled or copied.
"""

import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any, Self

from langchain_core.language_models import BaseChatModel, LangSmithParams, ModelProfile
from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.utils import from_env, get_pydantic_field_names, secret_from_env
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from emby_plugins import DEFAULT_MODEL, AsyncEmby, Emby, Limits
from langchain_emby._clients import Clients
from langchain_emby._options import PLAIN, ToolLike, is_key_name, to_openai_tools
from langchain_emby._profiles import profile_of
from langchain_emby._translator import PROVIDER


class BaseChatEmby(BaseChatModel):
    """The settings of a `ChatEmby`, which documents them, and all that needs no call."""

    model_config = ConfigDict(
        populate_by_name=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        hide_input_in_errors=True,  # which may be a key
    )

    model_name: str = Field(default=DEFAULT_MODEL, alias="model")
    emby_api_key: SecretStr | None = Field(
        default_factory=secret_from_env("EMBY_API_KEY", default=None), alias="api_key"
    )
    emby_api_base: str | None = Field(
        default_factory=from_env("EMBY_BASE_URL", default=None), alias="base_url"
    )
    timeout: float | None = None
    deadline: float | None = None
    max_retries: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: str | None = None
    image_config: dict[str, Any] | None = None
    stop: list[str] | str | None = None
    streaming: bool = False
    stream_usage: bool = True
    emby_metadata: dict[str, str] | None = None
    source: str | None = None
    extra_body: dict[str, Any] | None = None
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    limits: Limits | None = Field(default=None, exclude=True)
    http_client: Any = Field(default=None, exclude=True, repr=False)
    http_async_client: Any = Field(default=None, exclude=True, repr=False)
    plugins: Sequence[Any] = Field(default=(), exclude=True, repr=False)

    _clients: Clients = PrivateAttr(default_factory=Clients)

    @model_validator(mode="before")
    @classmethod
    def _keep_unknown_arguments(cls, values: dict[str, Any]) -> Any:
        if "default_headers" in values:
            # In model_kwargs they would end up in the body, keys and all.
            msg = "ChatEmby takes no default_headers: set headers on http_client instead."
            raise ValueError(msg)
        unknown = values.keys() - get_pydantic_field_names(cls)
        given = (unknown, *map(values.get, ("model_kwargs", "extra_body")))
        for name in chain.from_iterable(names for names in given if names):
            if is_key_name(str(name)):
                msg = f"ChatEmby takes the key as api_key, or from EMBY_API_KEY, not as {name}."
                raise ValueError(msg)
        if not unknown:
            return values
        warnings.warn(
            f"ChatEmby has no parameter {', '.join(sorted(unknown))}; it goes into model_kwargs.",
            stacklevel=5,
        )
        kept = {**(values.get("model_kwargs") or {}), **{name: values[name] for name in unknown}}
        return {k: v for k, v in values.items() if k not in unknown} | {"model_kwargs": kept}

    @property
    def model(self) -> str:
        """The model's id."""
        return self.model_name

    @property
    def _llm_type(self) -> str:
        return "emby-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, **self._settings()}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """True: `langchain_core.load.dumps` works, and leaves the key out."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Where the key is found again when a dumped model is loaded."""
        return {"emby_api_key": "EMBY_API_KEY"}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=self._stop(stop) or None, **kwargs)
        params["ls_provider"] = PROVIDER
        params["ls_model_name"] = kwargs.get("model") or self.model_name
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self.model_name)

    def get_num_tokens(self, text: str) -> int:
        """About how many tokens a text has: Emby has no tokenizer to ask, so a fourth of it."""
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        return (len(text) + 3) // 4

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[ToolLike] | None = None
    ) -> int:
        """About how many tokens a conversation has; an image counts as one, not as its base64."""
        forms = [to_openai_tools(tool) for tool in tools or ()]
        return count_tokens_approximately(_without_files(messages), tools=[*forms])

    def __copy__(self) -> Self:
        copied = super().__copy__()
        # Changed settings would otherwise go on talking through the old settings' client.
        copied._clients = Clients()  # noqa: SLF001 - it is one of us
        return copied

    def __getstate__(self) -> dict[Any, Any]:
        if self.http_client is not None or self.http_async_client is not None:
            msg = "A ChatEmby with an http_client of yours can't be pickled."
            raise TypeError(msg)
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "emby_api_key": None}}

    def _settings(self) -> dict[str, Any]:
        """The constructor's options for each request, those that were given."""
        named = {name: getattr(self, name) for name in (*PLAIN, "stop", "extra_body")}
        return {**{k: v for k, v in named.items() if v is not None}, **self.model_kwargs}

    def _stop(self, stop: Sequence[str] | None) -> list[str]:
        given = self.stop if stop is None else stop
        return [s for s in ([given] if isinstance(given, str) else given or ()) if s]

    @property
    def _v1(self) -> bool:
        return self.output_version == "v1"

    def _emby(self) -> Emby:
        return self._clients.sync(
            lambda: Emby(**self._client_settings(), http_client=self.http_client)
        )

    def _async_emby(self) -> AsyncEmby:
        return self._clients.asynchronous(
            lambda: AsyncEmby(**self._client_settings(), http_client=self.http_async_client)
        )

    def _client_settings(self) -> dict[str, Any]:
        given = {
            "timeout": self.timeout,
            "deadline": self.deadline,
            "max_retries": self.max_retries,
        }
        return {
            "api_key": self.emby_api_key.get_secret_value() if self.emby_api_key else None,
            "base_url": self.emby_api_base,
            "metadata": self.emby_metadata,
            "source": self.source,
            "limits": self.limits,
            "plugins": self.plugins,
            **{name: value for name, value in given.items() if value is not None},
        }


def _without_files(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages with files left out, which would be counted by their base64."""
    return [
        message
        if isinstance(message.content, str)
        else message.model_copy(
            update={
                "content": [
                    block
                    for block in message.content
                    if not isinstance(block, dict) or block.get("type") not in {"file", "document"}
                ]
            }
        )
        for message in messages
    ]
