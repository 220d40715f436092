"""The client's settings, secrets and plugins, and its list of models."""

import asyncio
import logging
import pickle
import socket
import traceback
from collections.abc import Callable, Generator, Iterable
from typing import Any

import httpx
import pluggy
import pytest
from support import (
    ChatCaller,
    Loopback,
    ReceivedRequest,
    ScriptedBackend,
    Wire,
    answer,
    as_json,
    chunk,
    completion,
    sse,
)

import emby_plugins._plugins
from emby_plugins import (
    DOCUMENTED_MODELS,
    AsyncEmby,
    BackendRequest,
    BackendResponse,
    ConfigurationError,
    Emby,
    EmbyError,
    MalformedReplyError,
    MissingKeyError,
    ModelCard,
    NotFoundError,
    RateLimitError,
    hookimpl,
)
from emby_plugins._settings import DEFAULT_BASE_URL, Secret

KEY = "sk-very-secret-123"
CLIENTS = pytest.mark.parametrize("client", [Emby, AsyncEmby])


# ---- key and address


def test_no_key_sends_nothing(call_chat: ChatCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is sent, and the error explains how to set one or use the mock."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked a host up"))
    for on in ({}, {"base_url": "https://api.emby.dev/v1", "api_key": "  "}):
        with pytest.raises(MissingKeyError) as caught:
            call_chat("Hi", on=on)
        assert "EMBY_API_KEY" in caught.value.hint
        assert "mock:" in caught.value.hint


BAD_KEYS = ["sk-1\nEvil: 1", "\u201csk-1\u201d", "sk 1", "sk-1\x00", "sk\u20281", "schlüssel"]


@CLIENTS
@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_no_header_can_carry_is_refused(client: Any, key: str) -> None:
    """A key that no header can carry is refused with the position of the character, but no part of
    it.
    """
    with pytest.raises(ConfigurationError, match=r"contains a .* \(character \d+\)") as caught:
        client(key)
    for word in key.split():
        assert word.strip("\u201c\u201d\x00") not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@CLIENTS
def test_a_key_is_stripped(client: Any) -> None:
    """Surrounding white space and line breaks of a key are stripped."""
    assert client(f" {KEY}\n")._key.reveal() == KEY


@CLIENTS
@pytest.mark.parametrize(
    "url", ["http://api.emby.dev/v1", "http://192.168.0.1", "HTTP://localhost.evil.com"]
)
def test_a_key_is_not_sent_over_plain_http(client: Any, url: str) -> None:
    """A key is not sent over plain http, and the error does not show it."""
    with pytest.raises(ConfigurationError, match="plain http") as caught:
        client(KEY, url)
    assert KEY not in str(caught.value)


@CLIENTS
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/v1", "http://localhost/", "http://[::1]:80"]
)
def test_loopback_needs_no_tls_and_no_key(client: Any, url: str) -> None:
    """A loopback address needs neither TLS nor a key."""
    assert client(KEY, url).base_url == url.rstrip("/")
    assert client(None, url).base_url == url.rstrip("/")


@CLIENTS
@pytest.mark.parametrize(
    "url",
    [
        "api.emby.dev/v1",
        "localhost:8000",
        "ftp://api.emby.dev",
        "file:///etc",
        "https://",
        "mock",
        "test:",
        "https://[broken",
        "https://a.b:99999/v1",
        "https://a.b:port",
    ],
)
def test_an_invalid_base_url_is_refused(client: Any, url: str) -> None:
    """An invalid base URL raises a ConfigurationError when the client is created."""
    with pytest.raises(ConfigurationError, match="base URL"):
        client(KEY, url)


@CLIENTS
@pytest.mark.parametrize(
    "url", ["https://me:pw@api.emby.dev", "https://:pw@a.b", "https://sk-1@a.b"]
)
def test_credentials_in_the_base_url_are_refused(client: Any, url: str) -> None:
    """Credentials in the base URL are refused, and the error does not show them."""
    with pytest.raises(ConfigurationError) as caught:
        client(KEY, url)
    assert "pw" not in caught.value.message
    assert "sk-1" not in str(caught.value)


@CLIENTS
@pytest.mark.parametrize("url", ["https://a.b/v1?key=sk-1", "https://a.b/v1#sk-1"])
def test_a_query_in_the_base_url_is_refused(client: Any, url: str) -> None:
    """A base URL with a query or a fragment is refused, and the error does not show it."""
    with pytest.raises(ConfigurationError, match="query or a fragment") as caught:
        client(KEY, url)
    assert "sk-1" not in str(caught.value)


def test_the_default_address_is_emby() -> None:
    """The default base URL is Emby's https address."""
    assert Emby().base_url == DEFAULT_BASE_URL == "https://api.emby.dev/v1"


@CLIENTS
@pytest.mark.parametrize("settings", [{"timeout": 0}, {"deadline": -1}, {"max_retries": -1}])
def test_settings_out_of_range_are_refused(client: Any, settings: dict[str, float]) -> None:
    """A timeout, deadline or retry count out of range is refused."""
    with pytest.raises(ConfigurationError, match="seconds above 0"):
        client(base_url="mock:", **settings)


def test_an_address_httpx_can_not_use_is_a_typed_error(call_chat: ChatCaller) -> None:
    """An address that httpx can't use raises a ConfigurationError."""
    with pytest.raises(ConfigurationError, match="can't be used"):
        call_chat("Hi", on={"api_key": KEY, "base_url": "https://\u2603\u200d.example/v1"})


# ---- secrets


@CLIENTS
def test_a_client_shows_no_key(client: Any) -> None:
    """The key is in no repr of a client or its attributes, and a client can't be pickled."""
    made = client(KEY, "https://api.emby.dev/v1")
    assert repr(made) == f"{client.__name__}(base_url='https://api.emby.dev/v1')"
    assert KEY not in repr(vars(made))
    assert KEY not in repr(
        [vars(value) for value in vars(made).values() if hasattr(value, "__dict__")]
    )
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(made)
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(Secret(KEY))
    assert (str(Secret(KEY)), repr(Secret("")), f"{Secret(KEY)}") == (
        "Secret(...)",
        "Secret()",
        "Secret(...)",
    )


@CLIENTS
def test_a_client_always_has_a_repr(client: Any) -> None:
    """A client has a repr even when half initialized, and its URL is shown without the key."""
    assert repr(client.__new__(client)) == f"{client.__name__}(base_url='')"
    with pytest.raises(ConfigurationError) as caught:
        client(KEY, "https://[broken")
    assert "Emby(base_url=" in revealed(caught.value)
    backend = ScriptedBackend(completion("Hi"))
    backend.emby_backend = hookimpl(lambda url: backend)  # type: ignore[method-assign]
    made = client(KEY, f"test:?key={KEY}", plugins=[backend])
    assert repr(made) == f"{client.__name__}(base_url='test:?key=[key]')"


@CLIENTS
@pytest.mark.parametrize("url", [KEY, f"https://me:{KEY}#@a.b", f"https://a.b:{KEY}"])
def test_an_invalid_base_url_is_not_quoted(client: Any, url: str) -> None:
    """An invalid base URL is not quoted, since it may contain a key, as after swapped arguments."""
    with pytest.raises(ConfigurationError) as caught:
        client("https-key", url)
    assert "secret" not in str(caught.value)


def test_a_key_under_the_wrong_name_is_not_shown() -> None:
    """A key under the wrong argument name raises a TypeError that does not show it."""
    for name in ("apikey", "token", "openai_api_key"):
        with pytest.raises(TypeError, match=name) as caught:
            Emby(**{name: KEY})
        assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["a", "test", "gateway"])
def test_a_short_key_is_not_redacted(call_chat: ChatCaller, key: str) -> None:
    """A key of fewer than eight characters is not redacted, so that messages stay readable."""
    message = "At a test gateway: test-key1 is not what a test takes."
    for given, expected in ((key, message), ("test-key1", message.replace("test-key1", "[key]"))):
        backend = ScriptedBackend(answer({"error": {"message": message}}, status=400))
        with pytest.raises(EmbyError) as caught:
            call_chat("Hi", on={**backend.on, "api_key": given})
        assert caught.value.message == expected


def revealed(error: BaseException) -> str:
    """Return everything that a traceback can show, including the local variables of each frame."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(shown.format())


BROKEN: dict[str, Callable[[ReceivedRequest, Wire], bool | None]] = {
    "refused": lambda _, wire: wire.whole(as_json({"error": {"message": KEY}}), status="401 No"),
    "malformed": lambda _, wire: wire.whole(b"[]", "content-type: application/json"),
    "cut": lambda _, wire: wire.stream(sse(chunk("Hi"), done=False), ends=False) or False,
    "reset": lambda _, wire: wire.reset() or False,
    "gone": lambda *_: False,
    "packed-twice": lambda _, wire: wire.whole(b"{}", "content-encoding: gzip, gzip"),
    "no-http": lambda _, wire: wire.send(b"SSH-2.0\r\n\r\n") or False,
    "in-mid-stream": lambda _, wire: wire.stream(
        sse(chunk("Hi"), b'event: error\ndata: {"error": {"message": "Bad"}}\n\n')
    ),
}


@pytest.mark.parametrize("way", BROKEN)
def test_no_failure_shows_the_key(
    call_chat: ChatCaller, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is not in the error, in a traceback with local variables or in a debug log."""
    given = {"api_key": KEY}
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "stamina", "emby_plugins"):
        caplog.set_level(logging.DEBUG, logger=name)
    with Loopback(BROKEN[way]) as server:
        on = {"base_url": server.url, "max_retries": 0} | given
        with pytest.raises(EmbyError) as caught:
            call_chat("Hi", on=on)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    mine = {frame.name for frame in traceback.extract_tb(caught.value.__traceback__)}
    assert mine & {"_send", "_open", "feed", "_events", "_async_events"}
    given.clear(), on.clear()
    # The test's own frames and pytest's hold the key, so they don't count.
    error = without_frames_of(caught.value, __file__)
    assert KEY not in revealed(error)
    assert KEY not in caplog.text
    assert caplog.records


def without_frames_of(error: BaseException, file: str) -> BaseException:
    """Return the error without the traceback frames of the tests, which were given the key."""
    trace = error.__traceback__
    kept = trace
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name == file or name.endswith("support.py"):
            kept = trace.tb_next
        trace = trace.tb_next
    return error.with_traceback(kept)


def test_a_connection_refused_shows_no_key(call_chat: ChatCaller) -> None:
    """The key is not in the traceback of a refused connection, despite frames with the request."""
    with Loopback(lambda *_: None) as server:
        url = server.url
    with pytest.raises(EmbyError) as caught:
        call_chat("Hi", on={"api_key": KEY, "base_url": url, "max_retries": 0})
    assert KEY not in revealed(without_frames_of(caught.value, __file__))


# ---- models


def models(client: Any, **on: Any) -> list[ModelCard]:
    """List the models with a client of the given class."""
    if client is Emby:
        with Emby(**on) as emby:
            return emby.models()

    async def listed() -> list[ModelCard]:
        async with AsyncEmby(**on) as emby:
            return await emby.models()

    return asyncio.run(listed())


@CLIENTS
def test_the_mocks_models_are_listed(client: Any) -> None:
    """The mock lists its models with their capabilities."""
    cards = {card.id: card for card in models(client, base_url="mock:")}
    assert cards["qwen2.5-vision"].vision
    assert cards["qwen2.5-vision"].image_output
    assert not cards["emby-mock-text"].vision


@CLIENTS
def test_models_are_listed_by_a_get_request(client: Any) -> None:
    """Models are listed by `GET /models`, without a body and with the key, if any."""
    backend = ScriptedBackend({"data": [{"id": "a"}]})
    assert models(client, api_key=KEY, **backend.on) == [ModelCard("a")]
    (request,) = backend.requests
    assert (request.method, request.path, request.body) == ("GET", "/models", b"")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "content-type" not in request.headers


@CLIENTS
def test_an_invalid_list_is_malformed(client: Any) -> None:
    """A list that is not `{"data": [...]}` is a malformed reply, and a 404 suggests the path
    /v1.
    """
    for body in ([], {"models": []}, {"data": {}}, None):
        with pytest.raises(MalformedReplyError):
            models(client, **ScriptedBackend(answer(body or "x")).on)
    with pytest.raises(NotFoundError, match="/v1"):
        models(client, **ScriptedBackend(BackendResponse(404, {}, iter([b"404 Not Found"]))).on)


@CLIENTS
def test_listing_models_is_retried(client: Any) -> None:
    """Listing models is retried like a chat."""
    backend = ScriptedBackend(answer({}, status=503), answer({"data": []}))
    assert models(client, **backend.on) == []
    assert len(backend.requests) == 2


CARD: dict[str, Any] = {
    "id": "m",
    "name": "M",
    "family": "f",
    "description": "d",
    "aliases": ["x", 5],
    "created": 1730000000,
    "architecture": {"input_modalities": ["text"], "output_modalities": ["text", "image"]},
    "providers": [{"vision": False, "tools": True, "reasoning": True, "max_output": 9}, "odd"],
    "pricing": {"prompt": "3e-7", "image": 0.5, "odd": []},
    "context_length": 8_192,
    "supported_parameters": ["tools"],
    "structured_outputs": True,
    "deprecated_at": "2027-01-01",
    "deactivated_at": None,
    "unheard": {"of": 1},
}


def test_every_field_of_a_model() -> None:
    """Every field of CONTRACT.md, section 2, is read, and malformed values count as absent."""
    odd = {"id": "o", "aliases": 5, "providers": {}, "architecture": [], "context_length": "big"}
    listed = {"data": [CARD, odd, {"name": "no id"}, {"id": ""}, 7]}
    card, plain = models(Emby, **ScriptedBackend(listed).on)
    assert card == ModelCard(
        id="m",
        name="M",
        family="f",
        description="d",
        aliases=("x",),
        vision=False,
        text_output=True,
        image_output=True,
        tools=True,
        reasoning=True,
        structured_output=True,
        context_length=8_192,
        max_output=9,
        pricing={"prompt": "3e-7", "image": "0.5"},
        created=1730000000,
        deprecated_at="2027-01-01",
        input_modalities=("text",),
        output_modalities=("text", "image"),
    )
    assert plain == ModelCard("o")


@CLIENTS
def test_deprecated_models_can_be_left_out(client: Any) -> None:
    """`exclude_deprecated` is sent as a query that all recorded states accept."""
    received: list[str] = []

    def gateway(request: httpx.Request) -> httpx.Response:
        received.append(request.url.raw_path.decode())
        return httpx.Response(200, json={"data": []})

    transport = httpx.MockTransport(gateway)
    for wanted in (True, False):
        settings = {"api_key": KEY, "base_url": "https://gateway.example/v1"}
        if client is Emby:
            http = httpx.Client(transport=transport)
            Emby(**settings, http_client=http).models(exclude_deprecated=wanted)
        else:
            http = httpx.AsyncClient(transport=transport)
            asyncio.run(AsyncEmby(**settings, http_client=http).models(exclude_deprecated=wanted))
    assert received == ["/v1/models?exclude_deprecated=true", "/v1/models"]


# ---- plugins


class Named:
    """A plugin made of the given hook functions."""

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        for name, hook in hooks.items():
            setattr(self, name, hookimpl(hook))


def backend_of(text: str) -> Named:
    """Return a plugin with a backend for `test:` that replies with this text."""

    def emby_backend(url: str) -> Callable[[BackendRequest], BackendResponse] | None:
        return (lambda _: answer(completion(text))) if url == "test:" else None

    return Named(emby_backend=emby_backend)


def test_the_backend_of_the_plugin_registered_last_is_used(call_chat: ChatCaller) -> None:
    """The plugin registered last provides the backend, unless it declines."""
    on = {"base_url": "test:", "plugins": [backend_of("first"), backend_of("last")]}
    assert call_chat("Hi", on=on).text == "last"
    declines = Named(emby_backend=lambda url: None)
    assert call_chat("Hi", on=on | {"plugins": [backend_of("first"), declines]}).text == "first"


@CLIENTS
def test_a_backend_that_fails_to_start_reaches_the_caller(client: Any) -> None:
    """An error raised by a backend's plugin reaches the caller who creates the client."""

    def emby_backend(url: str) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        client(base_url="test:", plugins=[Named(emby_backend=emby_backend)])


@CLIENTS
def test_a_misspelt_hook_is_refused(client: Any) -> None:
    """A plugin with a misspelt hook is refused."""
    with pytest.raises(pluggy.PluginValidationError, match="emby_modles"):
        client(base_url="mock:", plugins=[Named(emby_modles=lambda: None)])


def test_plugins_belong_to_one_client() -> None:
    """A plugin of one client is not used by another."""
    with Emby(base_url="test:", plugins=[backend_of("mine")]):
        pass
    with pytest.raises(ConfigurationError):
        Emby(base_url="test:")


def test_a_faulty_installed_plugin_causes_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed plugin that can't be imported causes a warning, and the client works."""

    class Entry:
        name = "faulty"

        def load(self) -> object:
            raise ImportError("gone")

    monkeypatch.setattr(emby_plugins._plugins, "_installed", lambda: (Entry(),))
    with pytest.warns(UserWarning, match="'faulty' did not load"), Emby(base_url="mock:") as emby:
        assert emby.chat("Hi").text


def test_known_models_are_joined_and_the_last_registered_wins(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The models of all plugins are merged, the last registered first; faulty plugins are
    ignored.
    """

    def raises() -> Iterable[ModelCard]:
        raise RuntimeError("broken plugin")

    plugins = [
        Named(emby_models=lambda: [ModelCard("mine", name="old"), ModelCard("qwen2.5-vl")]),
        Named(emby_models=raises),
        Named(emby_models=lambda: 5),
        Named(emby_models=lambda: [ModelCard("mine", name="new")]),
    ]
    known = {card.id: card for card in Emby(base_url="mock:", plugins=plugins)._plugins.models()}
    assert known["mine"].name == "new"
    assert known["qwen2.5-vl"] == ModelCard("qwen2.5-vl")
    assert known["glm-vision"] in DOCUMENTED_MODELS
    assert "broken plugin" in caplog.text


def test_a_plugin_hint_replaces_the_built_in_one(
    call_chat: ChatCaller, caplog: pytest.LogCaptureFixture
) -> None:
    """Plugins are asked for a hint before the core, the last registered first; failures are
    logged.
    """
    seen: list[tuple[EmbyError, list[ModelCard]]] = []

    def raises(error: EmbyError) -> str:
        raise RuntimeError("broken hint")

    def looks(error: EmbyError, models: list[ModelCard]) -> None:
        seen.append((error, models))

    backend = ScriptedBackend(answer({}, status=429))
    mine = Named(emby_error_hint=lambda error: "Ask Ann.")
    plugins = [backend, mine, Named(emby_error_hint=looks), Named(emby_error_hint=raises)]
    on = {"base_url": "test:", "plugins": plugins, "max_retries": 0}
    with pytest.raises(RateLimitError) as caught:
        call_chat("Hi", on=on)
    assert caught.value.hint == "Ask Ann."
    assert "broken hint" in caplog.text
    ((error, known),) = seen
    assert error is caught.value
    assert all(card in known for card in DOCUMENTED_MODELS)


def test_a_plugin_hint_replaces_the_core_hint(call_chat: ChatCaller) -> None:
    """A plugin's nonempty hint replaces the core's."""
    on = {"plugins": [Named(emby_error_hint=lambda error: "Ask Ann.")]}
    with pytest.raises(MissingKeyError, match=r"Ask Ann\."):
        call_chat("Hi", on=on)
    for nothing in (None, ""):
        on = {"plugins": [Named(emby_error_hint=lambda error, nothing=nothing: nothing)]}
        with pytest.raises(MissingKeyError, match="EMBY_API_KEY"):
            call_chat("Hi", on=on)


class Wrapper:
    """A plugin with wrappers of both hooks in which a faulty plugin affects only itself."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        self._change = change

    @hookimpl(wrapper=True)
    def emby_error_hint(self) -> Generator[None, Any, Any]:
        return self._change((yield))

    @hookimpl(wrapper=True)
    def emby_models(self) -> Generator[None, Any, Any]:
        return self._change((yield))


class OldWrapper:
    """A plugin like `Wrapper`, in pluggy's older form."""

    @hookimpl(hookwrapper=True)
    def emby_error_hint(self) -> Generator[None, Any, None]:
        outcome = yield
        outcome.force_result(f"Old: {outcome.get_result()}")


def test_wrappers_may_change_the_results(call_chat: ChatCaller) -> None:
    """Wrappers of either form receive the results of the hooks and may change them."""
    backend = ScriptedBackend(answer({}, status=401))
    mine = Named(emby_error_hint=lambda error: "Ask Ann.")
    for plugin, hint in (
        (
            Wrapper(lambda old: f"New: {old}" if isinstance(old, str) else old),
            "New: Ask Ann.",
        ),
        (OldWrapper(), "Old: Ask Ann."),
    ):
        with pytest.raises(EmbyError) as caught:
            call_chat("Hi", on={**backend.on, "plugins": [backend, mine, plugin]})
        assert caught.value.hint == hint


class FailsFirst:
    """A wrapper that fails before the plugins are called."""

    @hookimpl(wrapper=True)
    def emby_error_hint(self) -> Generator[None, Any, Any]:
        raise RuntimeError("broken before")
        yield  # makes the function a wrapper


def test_a_faulty_wrapper_changes_nothing(
    call_chat: ChatCaller, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing wrapper is logged and changes neither the error, its hint nor the models."""

    def fails(hint: object) -> None:
        raise RuntimeError("broken after")

    backend = ScriptedBackend(answer({}, status=401))
    mine = Named(emby_error_hint=lambda error: "Ask Ann.")
    for wrapper in (Wrapper(fails), FailsFirst()):
        with pytest.raises(EmbyError) as caught:
            call_chat("Hi", on={**backend.on, "plugins": [backend, mine, wrapper]})
        assert caught.value.hint == "Ask Ann."
    with pytest.raises(EmbyError) as caught:
        call_chat("Hi", on={**backend.on, "plugins": [backend, Wrapper(lambda _: 5)]})
    assert "emby_error_hint of the plugin 'Wrapper' failed: RuntimeError('broken after')" in (
        caplog.text
    )
    assert "'FailsFirst' failed: RuntimeError('broken before')" in caplog.text
    assert "answers to emby_models can't be used" in caplog.text


@CLIENTS
def test_models_of_plugins_are_listed_and_marked(client: Any) -> None:
    """Models of plugins are listed after the gateway's and marked; documented models are not
    added.
    """
    backend = ScriptedBackend({"data": [{"id": "a", "family": "f"}, {"id": "b"}]})

    class Ours:
        @hookimpl
        def emby_models(self) -> Iterable[ModelCard]:
            yield ModelCard("a", vision=True)
            yield ModelCard("mycompany/custom-gpt-4", vision=True)

    cards = models(client, base_url="test:", plugins=[backend, Ours()])
    assert [card.id for card in cards] == ["a", "b", "mycompany/custom-gpt-4"]
    assert cards[0] == ModelCard("a", family="f", vision=True)
    assert [card.plugin for card in cards] == ["Ours", "", "Ours"]


# ---- closing, and httpx clients from outside


def test_a_closed_client_opens_again() -> None:
    """A closed client can be used and closed again."""
    backend = ScriptedBackend(completion("Hi"))
    emby = Emby(**backend.on)
    for _ in range(2):
        assert emby.chat("Hi").text == "Hi"
        emby.close()
        emby.close()


async def test_a_closed_async_client_opens_again() -> None:
    """A closed async client can be used and closed again."""
    emby = AsyncEmby(**ScriptedBackend(completion("Hi")).on)
    for _ in range(2):
        assert (await emby.chat("Hi")).text == "Hi"
        await emby.close()
        await emby.close()


def handler(request: httpx.Request) -> httpx.Response:
    """An httpx mock that answers with the authorization header."""
    return httpx.Response(200, json=completion(request.headers["authorization"]))


def test_a_given_http_client_is_used_and_left_open() -> None:
    """A given http client is used and left open, with our headers only on the request."""
    with httpx.Client(transport=httpx.MockTransport(handler)) as http:
        with Emby(KEY, http_client=http) as emby:
            assert emby.chat("Hi").text == f"Bearer {KEY}"
        assert not http.is_closed
        assert "authorization" not in http.headers


async def test_a_given_async_http_client_is_used_and_left_open() -> None:
    """A given async http client is used and left open."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        async with AsyncEmby(KEY, http_client=http) as emby:
            assert (await emby.chat("Hi")).text == f"Bearer {KEY}"
        assert not http.is_closed


def test_a_given_http_client_follows_no_redirects() -> None:
    """Redirects are refused even if the given client follows them."""
    received = []

    def redirects(request: httpx.Request) -> httpx.Response:
        received.append(request.url.host)
        return httpx.Response(307, headers={"location": "https://evil.example/"})

    transport = httpx.MockTransport(redirects)
    with (
        httpx.Client(transport=transport, follow_redirects=True) as http,
        pytest.raises(EmbyError, match="Redirects are not followed"),
    ):
        Emby(KEY, http_client=http).chat("Hi")
    assert received == ["api.emby.dev"]


@CLIENTS
def test_a_backend_in_this_process_needs_no_http_client(client: Any) -> None:
    """A given http client is refused for a backend in this process."""
    with pytest.raises(ConfigurationError, match="http_client has no use"):
        client(base_url="mock:", http_client=object())
