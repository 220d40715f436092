"""`ChatEmby`: the chat model. It only maps; the core does the talking."""

import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import (
    BaseChatModel,
    LangSmithParams,
    LanguageModelInput,
    ModelProfile,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils import from_env, get_pydantic_field_names, secret_from_env
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from emby_plugins import DEFAULT_MODEL, AsyncEmby, Emby, Limits, Message
from langchain_emby import structured, translator
from langchain_emby.clients import Clients
from langchain_emby.errors import both_trees
from langchain_emby.incoming import to_core
from langchain_emby.options import PLAIN, ToolLike, choice_of, described, options_of, wire_form
from langchain_emby.outgoing import ChunkWriter, message_of
from langchain_emby.profiles import profile_of

translator.register()


class ChatEmby(BaseChatModel):
    """Emby's chat, vision and image models for LangChain, generated images included.

    Setup:
        Install the extra and set the key:

            pip install "emby-plugins[langchain]"
            export EMBY_API_KEY="your key"

        `base_url="mock:"` is a backend in this process that needs no key and no network.

    Key init args:
        model: the model's id, such as `qwen2.5-vision`.
        temperature, max_tokens, top_p, frequency_penalty, presence_penalty, reasoning_effort:
            the gateway's own options.
        image_config: wishes for generated images, such as `{"aspect_ratio": "16:9"}`.
        stop: where to cut the text. Emby ignores stop sequences, so the text is cut here: what
            follows is still generated, and paid for. Images and tool calls are kept.
        api_key, base_url: `EMBY_API_KEY` and `EMBY_BASE_URL` by default.
        timeout: the longest silence in seconds (120).
        deadline: the longest call in seconds, retries and stream included (600).
        max_retries: further tries where nothing can have been paid for (2). `.with_retry()`
            multiplies them: set `max_retries=0` when you use it.
        emby_metadata, source: sent as `X-Emby-*` and `X-Source` headers.
        http_client, http_async_client: an `httpx.Client` and `httpx.AsyncClient` to use, with
            your own proxies and default headers; they are left open.
        extra_body: merged into each request. Unknown arguments go there, with a warning.
        plugins: hook implementers for the core, besides the installed ones.

    Instantiate:
        `init_chat_model("emby:...")` cannot work: LangChain has no hook for it. So:

            from langchain_emby import ChatEmby

            chat = ChatEmby(model="qwen2.5-vision", temperature=0)

    Invoke:
            chat.invoke("What is the tallest animal?").text

    Stream:
            for chunk in chat.stream("Tell me a story."):
                print(chunk.text, end="")

        Chunks add up (`full += chunk`) to what `invoke` answers. Text streams; images come whole.

    Images in:
        Every shape of image that LangChain knows works in every message, tool messages included:

            from emby_plugins import Image
            from langchain_emby import image_block

            chat.invoke([HumanMessage(["What is this?", image_block(Image.from_path("dog.jpg"))])])

    Images out:
            from langchain_emby import images_of

            message = chat.invoke("Generate an image of a puppy in a meadow")
            images_of(message)[0].save("puppy")

        They are v1 blocks in `message.content`, with the very bytes that Emby sent. Send the
        message back and say "Now with a hat": what form Emby takes in an assistant's message is
        not documented, so its images ride in the next user message.

    Tool calling:
            chat.bind_tools([get_weather], tool_choice="any").invoke("Weather in Paris?").tool_calls

    Structured output:
            chat.with_structured_output(Joke).invoke("Tell me a joke about cats")

    Errors are those of `emby_plugins` and of `langchain_core.exceptions` at once, so either can
    be caught; `error.partial` is what had arrived. The key is kept out of `repr`, `dumps`,
    traces and pickles: an unpickled model reads `EMBY_API_KEY` again.
    """

    model_config = ConfigDict(
        populate_by_name=True, arbitrary_types_allowed=True, protected_namespaces=()
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
        params["ls_provider"] = translator.PROVIDER
        params["ls_model_name"] = kwargs.get("model") or self.model_name
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self.model_name)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's
        **kwargs: Any,
    ) -> ChatResult:
        with both_trees():
            request = self._request(messages, kwargs)
            return self._result(self._emby().chat(**request), request, stop)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's
        **kwargs: Any,
    ) -> ChatResult:
        with both_trees():
            request = self._request(messages, kwargs)
            return self._result(await self._async_emby().chat(**request), request, stop)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with both_trees():
            request = self._request(messages, kwargs)
            write = self._writer(request, stop)
            with self._emby().stream(**request) as stream:
                for event in stream:
                    for message in write(event):
                        chunk = ChatGenerationChunk(message=message)
                        if run_manager:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with both_trees():
            request = self._request(messages, kwargs)
            write = self._writer(request, stop)
            async with self._async_emby().stream(**request) as stream:
                async for event in stream:
                    for message in write(event):
                        chunk = ChatGenerationChunk(message=message)
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        response_format: dict[str, Any] | type | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools it may ask to have called.

        `tool_choice` is `auto`, `none`, `any` (or `required`, or True), the name of a tool, or a
        dict in OpenAI's or Anthropic's form. `strict` is passed on in each tool.
        `response_format` is a schema (a pydantic class, a TypedDict, a JSON schema, OpenAI's
        dict) that the final answer's text follows. Raises `RequestError` for a tool that Emby
        can't be given, or a choice that is no tool.
        """
        with both_trees():
            if tools:
                kwargs["tools"] = [described(cast("ToolLike", t), strict=strict) for t in tools]
                choice = choice_of(tool_choice, kwargs["tools"])
                if choice is not None:
                    kwargs["tool_choice"] = choice
            if response_format is not None:
                kwargs["response_format"] = wire_form(response_format, strict=strict)
        return self.bind(**kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Literal["function_calling", "json_schema", "json_mode"] = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """A runnable that answers instances of `schema`: pydantic objects, or dicts.

        `method` is how the model is asked: by a tool it must call, by Emby's `json_schema`, or
        by `json_mode`, where the prompt itself must describe the form. With `include_raw` the
        answer is `{"raw": message, "parsed": ..., "parsing_error": ...}`. Raises `ValueError`
        for an unknown method or a missing schema.
        """
        if method not in {"function_calling", "json_schema", "json_mode"}:
            msg = f"method is function_calling, json_schema or json_mode, not {method!r}."
            raise ValueError(msg)
        if schema is None and method != "json_mode":
            msg = f"The method {method!r} needs a schema."
            raise ValueError(msg)
        if schema is not None:
            said = {"method": method, **({} if strict is None else {"strict": strict})}
            kwargs["ls_structured_output_format"] = {"kwargs": said, "schema": schema}
        model: Runnable[LanguageModelInput, AIMessage]
        if method == "function_calling" and schema is not None:
            model = self.bind_tools([schema], tool_choice="any", strict=strict, **kwargs)
        elif method == "json_schema":
            model = self.bind(response_format=wire_form(schema, strict=strict), **kwargs)
        else:
            model = self.bind(response_format={"type": "json_object"}, **kwargs)
        parser = structured.parser_for(schema, method)
        return structured.with_raw(model, parser) if include_raw else model | parser

    def get_num_tokens(self, text: str) -> int:
        """About how many tokens a text has: Emby has no tokenizer to ask, so a fourth of it."""
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        return (len(text) + 3) // 4

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[ToolLike] | None = None
    ) -> int:
        """About how many tokens a conversation has; an image counts as one, not as its base64."""
        forms = [described(tool) for tool in tools or ()]
        return count_tokens_approximately(_without_files(messages), tools=[*forms])

    def __copy__(self) -> Self:
        copied = super().__copy__()
        # Changed settings would otherwise go on talking through the old settings' client.
        copied._clients = Clients()
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

    def _request(self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]) -> Any:
        """The arguments of the core's `chat` and `stream`."""
        settings = {**self._settings(), **kwargs}
        settings.pop("stop", None)
        model = settings.pop("model", None) or settings.pop("model_name", None) or self.model_name
        prompt: list[Message] = to_core(messages)
        return {"prompt": prompt, "model": model, **options_of(settings)}

    def _stop(self, stop: Sequence[str] | None) -> list[str]:
        given = self.stop if stop is None else stop
        return [s for s in ([given] if isinstance(given, str) else given or ()) if s]

    def _result(self, reply: Any, request: Mapping[str, Any], stop: list[str] | None) -> ChatResult:
        message = message_of(reply, asked=request["model"], v1=self._v1, stop=self._stop(stop))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _writer(self, request: Mapping[str, Any], stop: list[str] | None) -> ChunkWriter:
        return ChunkWriter(
            asked=request["model"],
            v1=self._v1,
            stop=self._stop(stop),
            with_usage=self.stream_usage,
        )

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
