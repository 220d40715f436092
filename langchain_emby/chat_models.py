"""`ChatEmby`: the chat model. It only maps; the core does the talking."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import (
    LanguageModelInput,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue, StringPromptValue
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from langchain_emby import _structured_output as structured, _translator as translator
from langchain_emby._base import BaseChatEmby
from langchain_emby._errors import translate_errors
from langchain_emby._options import (
    ToolLike,
    options_of,
    to_openai_tools,
    to_response_format,
    to_tool_choice,
)
from langchain_emby._protocol_events import aevents_of, events_of
from langchain_emby._request import to_core, with_media_types
from langchain_emby._response import ChunkWriter, message_of

translator.register()


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
            the gateway's own options.
        image_config: wishes for generated images, such as `{"aspect_ratio": "16:9"}`.
        stop: where to cut the text. Emby ignores stop sequences, so the text is cut here: what
            follows is still generated, and paid for. Images and tool calls are kept.
        api_key, base_url: `EMBY_API_KEY` and `EMBY_BASE_URL` by default.
        disable_streaming: with True, no reply is streamed by the gateway, whichever method is
            called. Set it for image models: one state of the gateway drops large streamed images.
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

    Serialising:
            loads(
                dumps(chat),
                allowed_objects=[ChatEmby],
                valid_namespaces=["langchain_emby"],
                secrets_from_env=True,
            )

    `response_metadata["finish_reason"]` is how the reply ended, and `["notice"]`, present only
    when that is not normal, says it in a sentence: cut off, filtered, empty, an image billed that
    did not arrive.

    Errors are those of `emby_plugins` and of `langchain_core.exceptions` at once, so either can
    be caught; `error.partial` is what had arrived. The key is kept out of `repr`, `dumps`,
    traces and pickles: an unpickled model reads `EMBY_API_KEY` again.
    """

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
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's
        **kwargs: Any,
    ) -> ChatResult:
        with translate_errors():
            request = self._request(messages, kwargs)
            return self._result(self._emby().chat(**request), request, stop)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - LangChain's
        **kwargs: Any,
    ) -> ChatResult:
        with translate_errors():
            request = self._request(messages, kwargs)
            return self._result(await self._async_emby().chat(**request), request, stop)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with translate_errors():
            request = self._stream_request(messages, kwargs)
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
        with translate_errors():
            request = self._stream_request(messages, kwargs)
            write = self._writer(request, stop)
            async with self._async_emby().stream(**request) as stream:
                async for event in stream:
                    for message in write(event):
                        chunk = ChatGenerationChunk(message=message)
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        *,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        chunks = self._stream(messages, run_manager=run_manager, **kwargs)
        return events_of(chunks, run_manager.run_id if run_manager else None)

    def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        *,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        chunks = self._astream(messages, run_manager=run_manager, **kwargs)
        return aevents_of(chunks, run_manager.run_id if run_manager else None)

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
        with translate_errors():
            if tools:
                kwargs["tools"] = [
                    to_openai_tools(cast("ToolLike", t), strict=strict) for t in tools
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
            model = self.bind(response_format=to_response_format(schema, strict=strict), **kwargs)
        else:
            model = self.bind(response_format={"type": "json_object"}, **kwargs)
        parser = structured.parser_for(schema, method)
        return structured.with_raw(model, parser) if include_raw else model | parser

    def _request(self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]) -> Any:
        """The arguments of the core's `chat` and `stream`."""
        settings = {**self._settings(), **kwargs}
        settings.pop("stop", None)
        model = settings.pop("model", None) or settings.pop("model_name", None) or self.model_name
        return {"prompt": to_core(messages), "model": model, **options_of(settings)}

    def _stream_request(self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]) -> Any:
        """The arguments of the core's `stream`, which reads unstreamed replies as well.

        LangChain applies the switches that disable streaming before it calls `_stream`, except in
        `stream_events(version="v3")`.
        """
        request = self._request(messages, kwargs)
        is_disabled = (
            self.disable_streaming is True
            or (self.disable_streaming == "tool_calling" and bool(kwargs.get("tools")))
            or ("streaming" in self.model_fields_set and not self.streaming)
            or kwargs.get("stream", True) is False
        )
        if is_disabled:
            request["extra_body"] = {**request.get("extra_body", {}), "stream": False}
        return request

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
