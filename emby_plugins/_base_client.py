"""What `Emby` and `AsyncEmby` share: the settings, and every decision but the loops."""

import os
import secrets
import time
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, Unpack

from emby_plugins._call import Call
from emby_plugins._call_record import CallRecord
from emby_plugins._call_settings import (
    CallOptions,
    CallSettings,
    ChatArguments,
    ImagesArguments,
    call_options,
    check_names,
)
from emby_plugins._catalog import MOCK_MODELS, ModelCard, find_model
from emby_plugins._chat import ChatOptions, ChatRequest, Usage
from emby_plugins._errors import APIError, ConfigurationError, EmbyError, RequestError
from emby_plugins._exchange import Exchange
from emby_plugins._http import AsyncHTTPClient, HTTPClient
from emby_plugins._image_orders import with_seed
from emby_plugins._images import Image
from emby_plugins._in_process import IN_PROCESS
from emby_plugins._plugins import Plugins
from emby_plugins._preparation import (
    MAX_IMAGE_BYTES,
    ImageMetadata,
    ImagePreparation,
    PreparedImages,
    prepare_request,
)
from emby_plugins._prompts import Prompt, chat_request, check_n, stop_sequences
from emby_plugins._protocol.image_entry import HINT
from emby_plugins._protocol.images_request import ImagesOptions, ImagesRequest
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.models import ModelsReader
from emby_plugins._protocol.reader import ReplyReader
from emby_plugins._protocol.refusals import Dialect, hint_for
from emby_plugins._protocol.request import chat_body, vary
from emby_plugins._protocol.usage import with_estimated_cost
from emby_plugins._redaction import redact, redact_error
from emby_plugins._settings import Secret, check_address, find_base_url, find_key, require_key
from emby_plugins._sinks import Base64Sink, ImageFolder, MemorySink, Sink
from emby_plugins._transport import AsyncResponse, Response

# 2026-08 honors it; the others need another request (cases `cached-*`).
_NO_CACHE: CallOptions = {"headers": {"x-no-cache": "true"}}

_HTTP = TypeVar("_HTTP", bound=HTTPClient | AsyncHTTPClient)


class BaseClient(Generic[_HTTP]):
    """What `Emby` and `AsyncEmby` share: all but the loops."""

    _new_transport: Callable[..., Any]

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float = 120.0,
        deadline: float = 600.0,
        max_retries: int = 2,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        source: str | None = None,
        limits: Limits | None = None,
        image_folder: str | os.PathLike[str] | None = None,
        keep_base64: bool = False,
        http_client: _HTTP | None = None,
        image_metadata: ImageMetadata = "reduce",
        max_connections: int | None = None,
        plugins: Iterable[object] = (),
    ) -> None:
        given = None if api_key is None else Secret(api_key)
        del api_key  # from here on no traceback shows it
        options = CallOptions(
            timeout=timeout,
            deadline=deadline,
            max_retries=max_retries,
            headers=headers,
            metadata=metadata,
            source=source,
        )
        self._settings = CallSettings().updated(options)
        self.base_url = find_base_url(base_url)
        self.limits = limits or Limits()
        self._folder = (
            None if image_folder is None else ImageFolder(Path(image_folder).expanduser())
        )
        self._new_sink: Callable[[], Sink] = Base64Sink if keep_base64 else MemorySink
        if self._folder is not None:
            self._new_sink = self._folder.new_sink
        self._key = find_key(given)
        self._plugins = Plugins([ImagePreparation(image_metadata), *plugins])
        self._backend = self._plugins.backend(self.base_url)
        if self._backend is None:
            check_address(self.base_url, self._key)
        elif http_client is not None:
            msg = f"{self.base_url!r} is answered in this process: http_client has no use."
            raise ConfigurationError(msg)
        self._dialect = Dialect()
        self._listed: list[ModelCard] = []
        self._prepared: dict[tuple[object, ...], PreparedImages] = {}
        if max_connections is not None and max_connections < 1:
            raise ConfigurationError(f"max_connections must be at least 1, got {max_connections}.")
        self._transport = self._new_transport(
            self.base_url, self._key, self._backend, http_client, max_connections
        )

    def with_options(self, **options: Unpack[CallOptions]) -> Self:
        """A client with other settings, which uses the same connections.

        `headers` and `metadata` are added to this client's; None leaves a setting as it is.
        Closing either client closes the connections of both; they open again when used.
        """
        check_names(options)
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._settings = self._settings.updated(options)
        return other

    def __repr__(self) -> str:
        # Also of one that could not be set up: a traceback with local variables shows it.
        url = str(getattr(self, "base_url", ""))
        return f"{type(self).__name__}(base_url={redact(url, getattr(self, '_key', Secret('')))!r})"

    def __reduce__(self) -> str:
        msg = "a client holds connections and a key: it can't be pickled, make one where it is used"
        raise TypeError(msg)

    def _chat_exchange(
        self,
        prompt: Prompt,
        model: str,
        images: Iterable[Image],
        arguments: ChatArguments,
        *,
        stream: bool = False,
    ) -> Exchange:
        check_names(arguments, ChatArguments)
        check_n(arguments.get("n"))
        options: Any = {n: v for n, v in arguments.items() if n in ChatOptions.__annotations__}
        request = chat_request(
            prompt,
            model=model,
            images=images,
            system=arguments.get("system"),
            options=options,
            stream=stream,
        )
        stop, keep_raw = stop_sequences(options), arguments.get("keep_raw", False)
        exchange = self._exchange(request, arguments, stop=stop, keep_raw=keep_raw)
        self._choose_endpoint(exchange, arguments)
        return exchange

    def _images_exchange(
        self,
        prompt: str,
        model: str,
        arguments: ImagesArguments,
        images: Image | Iterable[Image] | None = None,
        mask: Image | None = None,
    ) -> Exchange:
        check_names(arguments, ImagesArguments)
        options = {n: v for n, v in arguments.items() if n in ImagesOptions.__annotations__}
        request = ImagesRequest.of(prompt, model=model, images=images, mask=mask, options=options)
        return self._exchange(request, {"fresh": True, **arguments}, of_images=True)

    def _exchange(
        self,
        request: ChatRequest | ImagesRequest,
        arguments: Mapping[str, Any],
        **reading: Any,
    ) -> Exchange:
        """The exchange of a request, with the options `reading` for its reply."""
        chat = request if isinstance(request, ChatRequest) else request.to_chat()
        new_reader = partial(
            ReplyReader,
            limits=self.limits,
            model=request.model,
            prompt=request.prompt,
            new_sink=self._new_sink,
            estimate=partial(_estimated, self._plugins, self._listed, chat),
            **reading,
        )
        settings = self._settings.updated(call_options(arguments))
        if arguments.get("fresh"):
            spaces, settings = _random_spaces(), settings.updated(_NO_CACHE)
            if isinstance(request, ChatRequest):
                request = vary(request, spaces)
            else:
                request = replace(request, prompt=request.prompt + spaces)
        return Exchange(settings, new_reader, request)

    def _choose_endpoint(self, exchange: Exchange, arguments: ChatArguments) -> None:
        """Send an order of images to the endpoint for images, if requested and possible."""
        chat = exchange.request
        assert isinstance(chat, ChatRequest)
        exchange.request = with_seed(chat, arguments.get("variant"))
        mask, endpoint = arguments.get("mask"), arguments.get("endpoint")
        if endpoint not in {None, "auto", "chat", "images"}:
            raise RequestError(f"endpoint is {endpoint!r}; expected auto, chat or images.")
        if endpoint == "chat" and mask is not None:
            raise RequestError("A mask needs the images endpoint.", hint="Leave out the endpoint.")
        is_required = endpoint == "images" or mask is not None
        if not is_required and (endpoint != "auto" or not self._prefers_images_endpoint(chat)):
            return
        try:
            request = ImagesRequest.from_chat(chat, mask)
        except RequestError:
            if is_required:
                raise
        else:
            exchange.use_images_endpoint(request, None if is_required else exchange.request)

    def _prefers_images_endpoint(self, chat: ChatRequest) -> bool:
        """Whether the model makes nothing but images, and the endpoint for them may exist."""
        if not self._dialect.has_images_endpoint:
            return False
        card = self._find_card(chat.model)
        return card.image_output is True and card.text_output is False

    def _note_models(self, listed: list[ModelCard]) -> list[ModelCard]:
        """The models of the gateway, which are remembered, and of plugins."""
        self._listed[:] = listed
        return self._plugins.with_models(listed)

    def _find_card(self, model: str) -> ModelCard:
        """What is known about a model, from the core, from plugins and from the gateway's list."""
        plugins = self._plugins
        cards = [*plugins.models(), *MOCK_MODELS, *plugins.with_models(self._listed)]
        return find_model(model, cards) or ModelCard(model)

    def _models_exchange(self, exclude_deprecated: bool, options: CallOptions) -> Exchange:
        check_names(options)
        path = "/models?exclude_deprecated=true" if exclude_deprecated else "/models"
        new_reader = partial(ModelsReader, most=self.limits.wire)
        return Exchange(self._settings.updated(options), new_reader, path=path)

    def _prepare_images(self, exchange: Exchange) -> None:
        """Convert and shrink the images of the request as needed. May take CPU seconds."""
        request = exchange.request
        assert request is not None
        card = self._find_card(request.model)
        most = min(card.max_image_bytes or MAX_IMAGE_BYTES, self.limits.request_image)
        card = replace(card, max_image_bytes=most)
        key = (card.id, most, card.max_image_pixels)
        known = self._prepared.setdefault(key, PreparedImages())
        filters = self._plugins.image_filters(card)
        exchange.replace_images(*prepare_request(request, filters, known))

    def _begin(self, exchange: Exchange) -> None:
        """Make the call of an exchange. Raises errors of our tree; nothing is sent yet."""
        if exchange.request is not None and self._backend is None:
            require_key(self.base_url, self._key)
        exchange.call = self._new_call(exchange, time.monotonic() + exchange.settings.deadline)

    def _new_call(self, exchange: Exchange, ends: float) -> Call:
        request, settings = exchange.request, exchange.settings
        headers = {"accept-encoding": "identity", "user-agent": _user_agent()}
        headers |= {**settings.request_headers, "accept": "application/json"}
        body = None
        if isinstance(request, ImagesRequest):
            headers["content-type"], body = request.encode(self.limits)
        elif request is not None:
            headers["content-type"] = "application/json"
            if request.stream:
                headers["accept"] = "text/event-stream"
            exchange.request = request = self._dialect.adapted(request)
            body = chat_body(request, self.limits)
        return Call(
            method="GET" if request is None else "POST",
            url=(self.base_url if self._backend is None else IN_PROCESS) + exchange.path,
            headers=headers,
            body=body,
            timeout=settings.timeout,
            deadline=settings.deadline,
            ends=ends,
        )

    def _adapts(self, exchange: Exchange, error: APIError) -> bool:
        """Whether a refused request has another form, which is then the one to send."""
        request, fallback = exchange.request, exchange.fallback
        if fallback is not None and self._dialect.learn_no_images_endpoint(error):
            exchange.use_chat(fallback)
            if exchange.has_images:
                self._prepare_images(exchange)  # which are prepared already, and remembered
        elif not isinstance(request, ChatRequest) or not self._dialect.learn(request, error):
            return False
        exchange.call = self._new_call(exchange, exchange.call.ends)
        return True

    def _headers(self, response: Response | AsyncResponse) -> dict[str, str]:
        """The headers as received, under lower-case names; a gateway may echo the key in them."""
        return {name: redact(value, self._key) for name, value in response.headers.items()}

    @contextmanager
    def _error_context(self, exchange: Exchange) -> Iterator[None]:
        """The edge: every error leaves with its hint, and without the key or a chain of others."""
        try:
            yield
        except EmbyError as error:
            request = exchange.request
            if request is not None and (not error.hint or isinstance(request, ImagesRequest)):
                error.hint = hint_for(request, error) or error.hint
            redact_error(error, self._key)
            self._plugins.add_hint(error)
            self._save_unread(error)
            raise error.keep_cause(error.cause) from None

    def _observed(self, exchange: Exchange) -> AbstractContextManager[None]:
        """Notify the plugins when the call begins and ends, if any of them records calls."""
        return self._observing(exchange) if self._plugins.observe_calls else nullcontext()

    @contextmanager
    def _observing(self, exchange: Exchange) -> Iterator[None]:
        exchange.is_observed = True
        started, request = time.monotonic(), exchange.request
        url = redact(self.base_url, self._key)
        record = CallRecord.started(request, url) if self._plugins.read_records else None
        if isinstance(request, ImagesRequest):
            request = request.to_chat()
        self._plugins.notify("emby_call_started", record=record, request=request)
        error: BaseException | None = None
        try:
            yield
        except BaseException as caught:
            error = caught
            raise
        finally:
            reply, first_byte = exchange.reply, exchange.first_byte
            record = record and record.finished(
                reply,
                is_complete=exchange.is_complete,
                error=error,
                retries=max(0, exchange.attempt - 1),
                seconds=time.monotonic() - started,
                seconds_to_first_byte=None if first_byte is None else first_byte - started,
            )
            for image in reply.images:
                self._plugins.notify("emby_image_received", image=image, reply=reply)
            self._plugins.notify("emby_call_finished", record=record, request=request, reply=reply)

    def _save_unread(self, error: EmbyError) -> None:
        """Write the unreadable parts of a reply to the image folder, if there is one."""
        if self._folder is None or error.partial is None or not error.partial.unread:
            return
        sink = self._folder.new_sink()
        with suppress(EmbyError):
            sink.write(b"\n".join(error.partial.unread))
            path = sink.finish().path
            if path is not None:
                kept = f"What can't be read is kept as it was received in {str(path)!r}."
                error.hint = f"{error.hint.removesuffix(HINT)} {kept}".strip()


def _random_spaces() -> str:
    # 24 bits: enough that no two orders of an hour, in any process, are the same to a cache.
    return "\n" + "".join(secrets.choice(" \n") for _ in range(24))


@cache
def _user_agent() -> str:
    return f"emby-plugins/{version('emby-plugins')}"


def _estimated(
    plugins: Plugins,
    listed: list[ModelCard],
    request: ChatRequest,
    usage: Usage,
    answered_by: str,
) -> Usage:
    """Usage with a cost by the prices of the model that answered, else of the requested one.

    Not a method: a reader that held the client would keep it in a reference cycle, and a client
    that is dropped could no longer close its connections in time.
    """
    cards = plugins.with_models(listed)
    if not cards:
        return usage
    card = find_model(answered_by, cards) or find_model(request.model, cards)
    sent = sum(len(message.images) for message in request.messages)
    return with_estimated_cost(usage, card.pricing, sent) if card else usage
