"""`ChatEmby`: the chat model. It only converts; the core does the requests."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import (
    LanguageModelInput,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue, StringPromptValue
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from langchain_emby import (
    _notebooks as notebooks,
    _structured_output as structured,
    _translator as translator,
)
from langchain_emby._arguments import check_call_arguments
from langchain_emby._base import BaseChatEmby
from langchain_emby._errors import translate_errors
from langchain_emby._options import (
    ToolLike,
    rename,
    to_core_arguments,
    to_openai_tool,
    to_response_format,
    to_tool_choice,
    tool_names,
)
from langchain_emby._protocol_events import HAS_BRIDGE, to_events, to_events_async
from langchain_emby._request import to_core, with_media_types
from langchain_emby._response import ChunkWriter, restore_names, to_message
from langchain_emby._tool_names import ToolNames

if TYPE_CHECKING:
    from langchain_emby._arguments import ChatEmbyArguments

translator.register()
notebooks.register()


class ChatEmby(BaseChatEmby):
    """Emby's chat, vision and image models for LangChain, generated images included.

    Setup:
        Install the extra and set the key:

            pip install "emby-plugins[langchain]"
            export EMBY_API_KEY="your key"

        `base_url="mock:"` is a backend in this process that needs no key and no network.

    Key init args:
        model: the model's id, such as `qwen2.5-vision`.
        temperature, max_tokens, top_p, frequency_penalty, presence_penalty, reasoning_effort:
            sampling and length options.
        image_config: options for generated images, such as `{"aspect_ratio": "16:9"}`.
        fresh: if True, asks for a reply that is not from a cache.
        stop: stop sequences. They are sent, and the text is truncated here too, because not every
            gateway applies them: then the rest is generated, and billed, all the same. Images and
            tool calls are kept.
        api_key, base_url: `EMBY_API_KEY` and `EMBY_BASE_URL` by default.
        disable_streaming: if True, replies are never streamed by the gateway, whichever method is
            called. Set it for image models: one state of the gateway drops large streamed images.
        timeout: seconds without data before a call fails (120).
        deadline: seconds that a whole call may take, with its retries and its stream (600).
        max_retries: how often a request that was not billed is retried (2). `.with_retry()`
            multiplies retries: set `max_retries=0` when you use it.
        max_connections: how many calls are on the way at once (100); `batch` and `abatch` take any
            number of inputs, and the others wait in line.
        emby_metadata, source: sent as `X-Emby-*` and `X-Source` headers.
        default_headers: sent with each request. They are stored with the model, so headers that
            carry credentials are refused: set those on `http_client`.
        http_client, http_async_client: an `httpx.Client` and `httpx.AsyncClient` to use, with
            your own proxies; they are left open.
        image_dir: a folder in which images are kept. Blocks then carry the name of a file as
            `file_id` instead of base64, so that states and checkpoints stay small. Only names of
            this folder's images are accepted. `inline_images` puts the base64 back.
        extra_body: merged into each request body.
        image_metadata: what is sent of the EXIF data of input images. `reduce` removes the location
            and the like from images that have to be converted, `remove` all from all of them,
            `keep` nothing.
        plugins: hook implementations for the core, besides the installed ones.

    Call args:
        timeout, deadline, max_retries, headers (or default_headers, extra_headers),
        emby_metadata, source, endpoint:
            apply to one call.
        model, stop, tools, tool_choice, response_format, extra_body, and the options above:
            override the constructor's.
        seed, user, and the other request fields of OpenAI's, OpenRouter's and the gateway's APIs:
            sent in the body.

        Any other argument raises `RequestError`, which names the nearest one.

    Instantiate:
            from langchain_emby import ChatEmby

            chat = ChatEmby(model="qwen2.5-vision", temperature=0)

        LangChain has no registry that other packages can join, so `init_chat_model("emby:...")` and
        `create_agent("emby:...")` raise `ValueError`: pass `ChatEmby(model="...")` instead.

    Invoke:
            chat.invoke("What is the tallest animal?").text

    Stream:
            for chunk in chat.stream("Tell me a story."):
                print(chunk.text, end="")

        Merged chunks (`full += chunk`) equal the result of `invoke`. Text is streamed; images
        arrive whole.

    Images in:
        Every image block that LangChain defines works in every message, including tool messages:

            from emby_plugins import Image
            from langchain_emby import image_block

            chat.invoke([HumanMessage(["What is this?", image_block(Image.from_path("dog.jpg"))])])

    Images out:
            from langchain_emby import images_of

            message = chat.invoke("Generate an image of a puppy in a meadow")
            images_of(message)[0].save("puppy")

        Images are v1 blocks in `message.content`, with the bytes that Emby sent. To edit one, send
        the message back and ask "Now with a hat". Emby does not document images in assistant
        messages, so they are moved to the next user message.

    Tool calling:
            chat.bind_tools([get_weather], tool_choice="any").invoke("Weather in Paris?").tool_calls

    Structured output:
            chat.with_structured_output(Joke).invoke("Tell me a joke about cats")

    Serialization:
            loads(
                dumps(chat),
                allowed_objects=[ChatEmby],
                valid_namespaces=["langchain_emby"],
                secrets_from_env=True,
            )

        Load only what you trust: a stored model names the host that the key is sent to. The docs
        show how to check it. `base_url` is stored if it was passed to the constructor.

    `response_metadata["finish_reason"]` is the gateway's finish reason. `["notice"]`, present only
    if the reply did not end normally, explains it: truncated, filtered, empty, or an image that
    was billed but did not arrive.

    Errors are those of `emby_plugins` and of `langchain_core.exceptions` at once; catch either.
    `error.partial` is the reply as far as it arrived. The key is kept out of `repr`, `dumps`,
    traces and pickles: an unpickled model reads `EMBY_API_KEY` again.
    """

    if TYPE_CHECKING:

        def __init__(self, **arguments: Unpack[ChatEmbyArguments]) -> None: ...

    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:
        with translate_errors():
            prompt = super()._convert_input(model_input)
            if isinstance(prompt, StringPromptValue):
                return prompt
            return ChatPromptValue(messages=with_media_types(prompt.to_messages()))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's signature
        **kwargs: Any,
    ) -> ChatResult:
        with translate_errors():
            request, names = self._request(messages, stop, kwargs)
            return self._result(self._emby().chat(**request), request, names)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's signature
        **kwargs: Any,
    ) -> ChatResult:
        with translate_errors():
            request, names = self._request(messages, stop, kwargs)
            return self._result(await self._async_emby().chat(**request), request, names)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with translate_errors():
            request, names = self._stream_request(messages, stop, kwargs)
            write = self._writer(request, names, kwargs)
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
        with translate_errors():
            request, names = self._stream_request(messages, stop, kwargs)
            write = self._writer(request, names, kwargs)
            async with self._async_emby().stream(**request) as stream:
                async for event in stream:
                    for message in write(event):
                        chunk = ChatGenerationChunk(message=message)
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk

    if HAS_BRIDGE:

        def _stream_chat_model_events(
            self,
            messages: list[BaseMessage],
            *,
            run_manager: CallbackManagerForLLMRun | None = None,
            **kwargs: Any,
        ) -> Iterator[Any]:
            chunks = self._stream(messages, run_manager=run_manager, **kwargs)
            return to_events(chunks, run_manager.run_id if run_manager else None)

        def _astream_chat_model_events(
            self,
            messages: list[BaseMessage],
            *,
            run_manager: AsyncCallbackManagerForLLMRun | None = None,
            **kwargs: Any,
        ) -> AsyncIterator[Any]:
            chunks = self._astream(messages, run_manager=run_manager, **kwargs)
            return to_events_async(chunks, run_manager.run_id if run_manager else None)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        response_format: dict[str, Any] | type | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools that it can call.

        `tool_choice` is `auto`, `none`, `any` (or `required`, or True), the name of a tool, or a
        dict in OpenAI's or Anthropic's form. `strict` is passed on in each tool.
        `response_format` is a schema (a pydantic class, a TypedDict, a JSON schema, OpenAI's
        dict) for the text of the final reply. Raises `RequestError` for an unsupported
        tool, or a choice that does not match any tool.
        """
        with translate_errors():
            if tools:
                kwargs["tools"] = [
                    to_openai_tool(cast("ToolLike", t), strict=strict) for t in tools
                ]
                choice = to_tool_choice(tool_choice, kwargs["tools"])
                if choice is not None:
                    kwargs["tool_choice"] = choice
            if response_format is not None:
                kwargs["response_format"] = to_response_format(response_format, strict=strict)
        return self.bind(**kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Literal["function_calling", "json_schema", "json_mode"] | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """A runnable that returns what `schema` describes.

        Of a pydantic class or a dataclass it returns instances, of other schemas dicts.

        `method` is `function_calling` (a tool that the model must call; the default, unless the
        model's profile excludes tools), `json_schema`, or `json_mode`, for which the prompt must
        describe the format. With `include_raw` the result is
        `{"raw": message, "parsed": ..., "parsing_error": ...}`. `tools` are other tools that the
        model can call instead of answering, which makes `parsed` None; they require `include_raw`
        and another method than `function_calling`. A reply that is missing or incomplete is an
        `OutputParserException`. Raises `ValueError` for an unknown method, a missing schema, or
        arguments that can't be combined.
        """
        method = method or structured.choose_method(self.profile)
        if method not in {"function_calling", "json_schema", "json_mode"}:
            msg = f"Unknown method {method!r}. Use function_calling, json_schema or json_mode."
            raise ValueError(msg)
        if schema is None and method != "json_mode":
            msg = f"method={method!r} requires a schema."
            raise ValueError(msg)
        if tools and (method == "function_calling" or not include_raw):
            msg = "tools= requires include_raw=True and method='json_schema' or 'json_mode'."
            raise ValueError(msg)
        if schema is not None:
            details = {"method": method, **({} if strict is None else {"strict": strict})}
            kwargs["ls_structured_output_format"] = {"kwargs": details, "schema": schema}
        tool_name = ""
        model: Runnable[LanguageModelInput, AIMessage]
        if method == "function_calling" and schema is not None:
            schema_tool = structured.to_schema_tool(schema, strict=strict)
            tool_name = schema_tool["function"]["name"]
            model = self.bind_tools([schema_tool], tool_choice="any", **kwargs)
        else:
            form = schema if method == "json_schema" else {"type": "json_object"}
            model = self.bind_tools(tools or (), response_format=form, strict=strict, **kwargs)
        parser = structured.StructuredOutputParser(
            target=schema, tool_name=tool_name, has_tools=bool(tools)
        )
        return structured.with_raw(model, parser) if include_raw else model | parser

    def _request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> tuple[Any, ToolNames]:
        """The arguments of the core's `chat` and `stream`, and the names of the tools in them."""
        check_call_arguments(kwargs)
        body = {**(self.extra_body or {}), **(kwargs.get("extra_body") or {})}
        arguments = {
            **rename(self._settings()),
            **rename(kwargs.get("model_kwargs") or {}),
            **rename(kwargs),
            "extra_body": body,
        }
        model = arguments.get("model") or self.model_name
        names = tool_names(arguments)
        options = to_core_arguments(arguments, self._stop(stop), names)
        prompt = [*map(names.legalize, to_core(messages, self.image_dir))]
        return {"prompt": prompt, "model": model, **options}, names

    def _stream_request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> tuple[Any, ToolNames]:
        """The arguments of the core's `stream`, which reads replies that are not streamed too.

        LangChain applies the switches that disable streaming before it calls `_stream`, except in
        `stream_events(version="v3")`.
        """
        request, names = self._request(messages, stop, kwargs)
        is_disabled = (
            self.disable_streaming is True
            or (self.disable_streaming == "tool_calling" and bool(kwargs.get("tools")))
            or ("streaming" in self.model_fields_set and not self.streaming)
            or kwargs.get("stream", True) is False
        )
        if is_disabled:
            request["extra_body"] = {**request.get("extra_body", {}), "stream": False}
        return request, names

    def _result(self, reply: Any, request: Mapping[str, Any], names: ToolNames) -> ChatResult:
        message = to_message(
            restore_names(reply, names),
            model=request["model"],
            v1=self._v1,
            image_dir=self.image_dir,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _writer(
        self, request: Mapping[str, Any], names: ToolNames, kwargs: Mapping[str, Any]
    ) -> ChunkWriter:
        return ChunkWriter(
            names=names,
            model=request["model"],
            v1=self._v1,
            with_usage=kwargs.get("stream_usage", self.stream_usage),
            image_dir=self.image_dir,
        )
