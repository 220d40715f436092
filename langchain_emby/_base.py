"""`BaseChatEmby`: the fields of `ChatEmby`, its clients, and how both are serialized.

The key and the clients stay in this process: they are not serialized, traced, pickled or copied.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self

from langchain_core.language_models import BaseChatModel, LangSmithParams, ModelProfile
from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.utils import from_env, get_pydantic_field_names, secret_from_env
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from emby_plugins import DEFAULT_MODEL, AsyncEmby, Emby, Limits
from langchain_emby._arguments import (
    BODY_FIELDS,
    CORE_OPTIONS,
    is_key_name,
    nearest,
)
from langchain_emby._clients import Clients
from langchain_emby._image_files import register_folder
from langchain_emby._options import ToolLike, to_openai_tool
from langchain_emby._profiles import StoredPrices, find_profile
from langchain_emby._translator import PROVIDER


class BaseChatEmby(BaseChatModel):
    """The fields of `ChatEmby`, which documents them, and everything but the calls."""

    model_config = ConfigDict(
        populate_by_name=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        hide_input_in_errors=True,  # the input may be a key
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
    max_connections: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: str | None = None
    image_config: dict[str, Any] | None = None
    fresh: bool | None = None
    stop: list[str] | str | None = None
    streaming: bool = False
    stream_usage: bool = True
    image_dir: str | None = None
    emby_metadata: dict[str, str] | None = None
    source: str | None = None
    default_headers: dict[str, str] | None = None
    extra_body: dict[str, Any] | None = None
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    image_metadata: Literal["reduce", "keep", "remove"] = "reduce"
    limits: Limits | None = Field(default=None, exclude=True)
    http_client: Any = Field(default=None, exclude=True, repr=False)
    http_async_client: Any = Field(default=None, exclude=True, repr=False)
    plugins: Sequence[Any] = Field(default=(), exclude=True, repr=False)

    _clients: Clients = PrivateAttr(default_factory=Clients)

    @model_validator(mode="before")
    @classmethod
    def _check_arguments(cls, values: dict[str, Any]) -> Any:
        known = get_pydantic_field_names(cls)
        unknown = values.keys() - known
        sent = (unknown, *map(values.get, ("model_kwargs", "extra_body")))
        for name in chain.from_iterable(names for names in sent if names):
            if is_key_name(str(name)):
                msg = (
                    f"Unknown argument {name!r}. Pass the API key as api_key, or set EMBY_API_KEY."
                )
                raise ValueError(msg)
        for name in values.get("default_headers") or ():
            if is_key_name(str(name)) or "cookie" in str(name).lower():
                msg = (
                    f"The header {name!r} carries a credential, which would be stored with the "
                    "model. Pass the API key as api_key, and other credentials on http_client."
                )
                raise ValueError(msg)
        fields = BODY_FIELDS | {"max_completion_tokens", "n"}
        for name in sorted(unknown - fields):
            hint = nearest(name, known | fields)
            msg = f"Unknown argument {name!r}. {hint}Pass other request fields in extra_body."
            raise ValueError(msg)
        sent_fields = {name: values[name] for name in unknown}
        return {
            **{name: value for name, value in values.items() if name in known},
            "model_kwargs": {**(values.get("model_kwargs") or {}), **sent_fields},
        }

    @field_validator("image_dir", mode="before")
    @classmethod
    def _expand_image_dir(cls, value: Any) -> Any:
        return value if value is None else str(Path(value).expanduser())

    @model_validator(mode="after")
    def _register_image_dir(self) -> Self:
        if self.image_dir is not None:
            register_folder(self.image_dir)
        return self

    @property
    def model(self) -> str:
        """The model's id."""
        return self.model_name

    @property
    def _llm_type(self) -> str:
        return "emby-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "stop": self.stop, **self._settings()}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """True: `langchain_core.load.dumps` works and omits the key."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable that the key is read from when a serialized model is loaded."""
        return {"emby_api_key": "EMBY_API_KEY"}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=self._stop(stop) or None, **kwargs)
        params["ls_provider"] = PROVIDER
        params["ls_model_name"] = kwargs.get("model") or self.model_name
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return find_profile(self.model_name, self.emby_api_base)

    def get_num_tokens(self, text: str) -> int:
        """Estimate the tokens of a text, as a fourth of its characters: Emby has no tokenizer."""
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        return (len(text) + 3) // 4

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[ToolLike] | None = None
    ) -> int:
        """Estimate the tokens of a conversation. Images count at a flat rate."""
        schemas = [to_openai_tool(tool) for tool in tools or ()]
        return count_tokens_approximately(_without_files(messages), tools=[*schemas])

    def __copy__(self) -> Self:
        copied = super().__copy__()
        # Otherwise a copy with other settings would keep using the client of the old ones.
        copied._clients = Clients()  # noqa: SLF001 - same class
        return copied

    def __getstate__(self) -> dict[Any, Any]:
        if self.http_client is not None or self.http_async_client is not None:
            msg = "A ChatEmby with a custom http_client can't be pickled."
            raise TypeError(msg)
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "emby_api_key": None}}

    def _settings(self) -> dict[str, Any]:
        """The request options that were passed to the constructor."""
        named = {name: getattr(self, name) for name in (*CORE_OPTIONS, "extra_body")}
        return {**{k: v for k, v in named.items() if v is not None}, **self.model_kwargs}

    def _stop(self, stop: Sequence[str] | None) -> list[str]:
        sequences = self.stop if stop is None else stop
        listed = [sequences] if isinstance(sequences, str) else sequences or ()
        return [sequence for sequence in listed if sequence]

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
        timing = {
            "timeout": self.timeout,
            "deadline": self.deadline,
            "max_retries": self.max_retries,
        }
        return {
            "api_key": self.emby_api_key.get_secret_value() if self.emby_api_key else None,
            "base_url": self.emby_api_base,
            "metadata": self.emby_metadata,
            "source": self.source,
            "headers": self.default_headers,
            "limits": self.limits,
            "image_metadata": self.image_metadata,
            "max_connections": self.max_connections,
            "image_folder": self.image_dir,
            "keep_base64": True,
            "plugins": [
                *StoredPrices.find(self.model_name, self.emby_api_base),
                *self.plugins,
            ],
            **{name: value for name, value in timing.items() if value is not None},
        }


def _without_files(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages without files, which would be counted by their base64."""
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
