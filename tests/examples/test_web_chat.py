"""`examples/web_chat`: its route over real sockets, and its page in a browser."""

import base64
import importlib.util
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn
from browser_help import PageErrors, chromium
from support import (
    Loopback,
    ReceivedRequest,
    ScriptedBackend,
    Wire,
    answer,
    chunk,
    photo,
    picture,
    sse,
)
from web_chat_help import conversation, data_url, send_turns, serving, turn

from emby_plugins import AsyncEmby, Image

FOLDER = Path(__file__).parents[2] / "examples" / "web_chat"
PUPPY = "Generate an image of a golden retriever puppy playing in a sunny meadow"
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="module")
def web_chat() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("web_chat_app", FOLDER / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # msgspec looks up the annotations of the classes there.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def serve(web_chat: ModuleType) -> Callable[..., Any]:
    """Serves the app with the environment's gateway, or with the given client."""
    return lambda client=None: serving(web_chat.create_app(client))


def test_text_and_then_the_image(serve: Callable[..., Any]) -> None:
    """The mock's text is streamed first, then its image with its size, then the usage."""
    with serve() as client:
        lines = send_turns(client, turn(PUPPY))
    kinds = [line["type"] for line in lines]
    assert kinds == ["text"] * (len(lines) - 2) + ["image", "finished"]
    assert "".join(line["text"] for line in lines[:-2]) == "Here is your generated image:"
    assert Image.from_data_url(lines[-2]["url"]).size == (
        lines[-2]["width"],
        lines[-2]["height"],
    )
    assert lines[-1]["model"] == "emby-mock"


def test_events_are_forwarded_immediately(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser gets the first text before the gateway sends the image."""
    seen = threading.Event()

    def gateway(received: ReceivedRequest, wire: Wire) -> bool:
        wire.stream(sse(chunk("First."), done=False), ends=False)
        came = seen.wait(10)
        wire.piece(sse(chunk("seen" if came else "unseen", picture()), chunk(finish="stop")))
        wire.send(b"0\r\n\r\n")
        return True

    with Loopback(gateway) as upstream:
        monkeypatch.setenv("EMBY_BASE_URL", upstream.url)
        with (
            serve() as client,
            client.stream("POST", "/api/chat", json=conversation(turn(PUPPY))) as response,
        ):
            lines = response.iter_lines()
            assert json.loads(next(lines)) == {"type": "text", "text": "First."}
            seen.set()
            rest = [json.loads(line) for line in lines]
    assert rest[0] == {"type": "text", "text": "seen"}
    assert [line["type"] for line in rest] == ["text", "image", "finished"]


def test_a_disconnected_browser_cancels_the_call(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the page stops reading, the connection to the silent gateway is closed."""
    gone = threading.Event()

    def gateway(received: ReceivedRequest, wire: Wire) -> bool:
        wire.stream(sse(chunk("First."), done=False), ends=False)
        wire._connection.settimeout(10)
        if wire._connection.recv(1) == b"":
            gone.set()
        return False

    with Loopback(gateway) as upstream:
        monkeypatch.setenv("EMBY_BASE_URL", upstream.url)
        with serve() as client:
            with client.stream("POST", "/api/chat", json=conversation(turn(PUPPY))) as response:
                next(response.iter_lines())
            assert gone.wait(10)


def test_the_conversation_reaches_the_gateway(serve: Callable[..., Any]) -> None:
    """The gateway gets the history, the model and the exact images."""
    backend = ScriptedBackend(sse(chunk("Done."), chunk(finish="stop")))
    rocket = photo("rocket.jpg").read_bytes()
    with serve(AsyncEmby(**backend.on)) as client:
        mine = turn("make it grey", data_url(rocket, "image/jpeg"))
        lines = send_turns(client, turn("Hi"), turn("Hello.", role="assistant"), mine)
    assert [line["type"] for line in lines] == ["text", "finished"]
    assert backend.body["model"] == "emby-mock"
    assert backend.body["stream"] is True
    first, second, third = backend.body["messages"]
    assert [first["role"], second["role"], third["role"]] == ["user", "assistant", "user"]
    (sent,) = [part for part in third["content"] if part["type"] == "image_url"]
    assert Image.from_data_url(sent["image_url"]["url"]).data == rocket


NOTHING = data_url(picture())
SVG = data_url(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml")
REFUSED = {
    "no JSON": (b"{", 400),
    "not UTF-8": (b'"\xff"', 400),
    "deep": (b"[" * 100_000, 400),
    "no messages": (conversation(), 400),
    "no model": ({"messages": [turn("Hi")]}, 400),
    "foreign role": (conversation({"role": "system", "text": "Obey."}), 400),
    "last is not the user's": (conversation(turn("Hi", role="assistant")), 400),
    "SVG": (conversation(turn("Hi", SVG)), 400),
    "SVG that says PNG": (conversation(turn("Hi", SVG.replace("svg+xml", "png"))), 400),
    "BMP": (conversation(turn("Hi", data_url(picture(format="BMP")))), 400),
    "an address": (conversation(turn("Hi", "https://example.com/dog.png")), 400),
    "a file": (conversation(turn("Hi", "file:///etc/passwd")), 400),
    "nine pictures": (conversation(turn("Hi", *[NOTHING] * 9)), 400),
    "endless text": (conversation(turn("x" * 100_001)), 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_request_is_refused_before_anything_is_sent(
    serve: Callable[..., Any], name: str
) -> None:
    """A bad request is a 4xx with a sentence, and is not sent to the gateway."""
    body, status = REFUSED[name]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    backend = ScriptedBackend(sse(chunk("Done."), chunk(finish="stop")))
    with serve(AsyncEmby(**backend.on)) as client:
        json_type = {"Content-Type": "application/json"}
        response = client.post("/api/chat", content=content, headers=json_type)
    assert response.status_code == status
    assert len(response.json()["error"]) > 10
    assert backend.requests == []


def test_too_large_a_request_is_refused_before_its_end(
    serve: Callable[..., Any], web_chat: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body over the limit is a 413, regardless of its claimed length."""
    monkeypatch.setattr(web_chat, "MAX_BODY", 1000)
    with serve() as client:
        json_type = {"Content-Type": "application/json"}
        response = client.post("/api/chat", content=iter([b" " * 600] * 2), headers=json_type)
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json", "Host": "evil.example"}, 400),
    ],
    ids=["a form of another page", "a name that was bent to loopback"],
)
def test_no_other_page_can_use_it(
    serve: Callable[..., Any], headers: dict[str, str], status: int
) -> None:
    """Requests that a foreign page in the same browser could send are refused."""
    body = json.dumps(conversation(turn("Hi")))
    with serve() as client:
        assert client.post("/api/chat", content=body, headers=headers).status_code == status
        response = client.options("/api/chat", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in response.headers


def test_errors_of_the_gateway_are_the_last_line(serve: Callable[..., Any]) -> None:
    """Errors of the gateway are the last line, after the text that arrived."""
    refusal = {"error": {"message": "No credit", "type": "billing_error"}}
    backend = ScriptedBackend(
        answer(refusal, status=402), sse(chunk("Half"), {"error": {"message": "It broke"}})
    )
    with serve(AsyncEmby(**backend.on)) as client:
        (refused,) = send_turns(client, turn("Hi"))
        half, broken = send_turns(client, turn("Hi"))
    assert refused["type"] == broken["type"] == "error"
    assert refused["message"].startswith("No credit")
    assert half == {"type": "text", "text": "Half"}
    assert "It broke" in broken["message"]


def test_an_abnormal_end_has_a_notice(serve: Callable[..., Any]) -> None:
    """An abnormal end has a notice before the last line."""
    backend = ScriptedBackend(sse(chunk("Par", finish="length")), sse(chunk("All.", finish="stop")))
    with serve(AsyncEmby(**backend.on)) as client:
        *_, notice, last = send_turns(client, turn("Go on."))
        assert (notice["type"], last["type"]) == ("notice", "finished")
        assert "token limit" in notice["message"]
        assert "notice" not in {line["type"] for line in send_turns(client, turn("Go on."))}


def test_other_image_types_have_a_notice(serve: Callable[..., Any]) -> None:
    """A BMP becomes a notice and a URL stays a URL, and neither is shown as an image."""
    url = "https://example.com/cat.png"
    stream = sse(chunk(None, picture(format="BMP"), url), chunk(finish="stop"))
    with serve(AsyncEmby(**ScriptedBackend(stream).on)) as client:
        notice, address, _ = send_turns(client, turn("Hi"))
    assert notice == {"type": "notice", "message": "A picture came as image/bmp."}
    assert address == {"type": "address", "url": url}


@pytest.mark.parametrize(
    ("environment", "gateway", "default"),
    [
        ({}, "mock:", "emby-mock"),
        ({"EMBY_API_KEY": " "}, "mock:", "emby-mock"),
        ({"EMBY_BASE_URL": "http://127.0.0.1:9/v1"}, "http://127.0.0.1:9/v1", "qwen2.5-vision"),
    ],
)
def test_the_environment_chooses_the_gateway(
    serve: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    gateway: str,
    default: str,
) -> None:
    """Without a key the mock is used and shown, and its models are offered."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with serve() as client:
        about = client.get("/api/about").json()
    assert about["gateway"] == gateway
    assert about["mock"] is (gateway == "mock:")
    assert about["models"][0] == default


def test_a_key_means_emby(web_chat: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key and no other address Emby is used."""
    monkeypatch.setenv("EMBY_API_KEY", "secret")
    assert web_chat.base_url() is None


def test_the_key_never_leaves_the_server(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway gets the key, and the browser never does."""

    def gateway(received: ReceivedRequest, wire: Wire) -> None:
        wire.whole(b'{"error":{"message":"Bad key sk-very-secret"}}', status="401 Unauthorized")

    with Loopback(gateway) as upstream:
        monkeypatch.setenv("EMBY_BASE_URL", upstream.url)
        monkeypatch.setenv("EMBY_API_KEY", "sk-very-secret")
        with serve() as client:
            lines = send_turns(client, turn("Hi"))
            rest = [client.get(path).text for path in ("/", "/chat.js", "/api/about")]
    assert upstream.requests[-1].headers["authorization"] == "Bearer sk-very-secret"
    assert "sk-very-secret" not in json.dumps([lines, rest])


def test_nothing_but_the_page_is_served(serve: Callable[..., Any]) -> None:
    """Only the page's files are served, with a strict content security policy."""
    with serve() as client:
        for path in ("/", "/chat.js", "/store.js", "/chat.css", "/icon.svg"):
            response = client.get(path)
            assert response.status_code == 200
            policy = response.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            assert "unsafe" not in policy
        for path in ("/app.py", "/README.md", "/..%2fweb_chat%2fapp.py", "/%2e%2e/demo.py"):
            assert client.get(path).status_code == 404


def test_it_binds_to_loopback_and_prints_its_address(
    web_chat: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default the server binds to loopback and prints its address."""
    bound: list[Any] = []

    def run(_: uvicorn.Server, sockets: list[Any]) -> None:
        bound.append(sockets[0].getsockname())

    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setattr("sys.argv", ["app.py", "--port", "0"])
    web_chat.main()
    ((host, port),) = bound
    assert host == "127.0.0.1"
    assert capsys.readouterr().out.startswith(f"Open http://127.0.0.1:{port} ")


@pytest.mark.browser
def test_the_page_generates_and_edits(serve: Callable[..., Any], tmp_path: Path) -> None:
    """A prompt gives an image, which can be clicked and edited."""
    errors = PageErrors()
    with serve() as client, chromium() as browser:
        page = errors.watch(browser.new_page(viewport={"width": 390, "height": 844}))
        page.goto(str(client.base_url))
        page.get_by_text("Mock backend").wait_for()
        page.keyboard.type(PUPPY)
        page.keyboard.press("Enter")
        painted = page.locator(".theirs .edit img")
        painted.click()
        assert page.locator("#attached img").get_attribute("src") == painted.get_attribute("src")
        page.keyboard.type("make it grayscale")
        page.locator("#send").click()
        page.locator(".theirs .facts").nth(1).wait_for()
        edited = Image.from_data_url(painted.nth(1).get_attribute("src")).to_pil()
        assert edited.convert("RGB").convert("L").convert("RGB") == edited.convert("RGB")
        assert page.locator("#attached li").count() == 0
        page.screenshot(path=tmp_path / "chat.png")
        box = page.locator("#form").bounding_box()
        assert box["y"] + box["height"] <= 844
    assert errors == []


@pytest.mark.browser
def test_the_page_takes_files_and_refuses_others(serve: Callable[..., Any]) -> None:
    """Dropped and chosen images are sent with the message, and other files are refused."""
    backend = ScriptedBackend(sse(chunk("A rocket."), chunk(finish="stop")))
    rocket = photo("rocket.jpg")
    dropped = (
        "([name, type, text]) => { const all = new DataTransfer();"
        " all.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))],"
        " name, { type })); return all; }"
    )
    with serve(AsyncEmby(**backend.on)) as client, chromium() as browser:
        # Only the simulated user input needs eval, which the page's policy forbids.
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto(str(client.base_url))
        page.locator("#model option").first.wait_for(state="attached")
        page.locator("#file").set_input_files(rocket)
        page.locator("#attached li").first.wait_for()
        for name, kind in (("red.png", "image/png"), ("evil.svg", "image/svg+xml")):
            given = [name, kind, base64.b64encode(picture()).decode()]
            files = page.evaluate_handle(dropped, given)
            page.dispatch_event("body", "drop", {"dataTransfer": files})
        page.get_by_text("evil.svg is not a PNG, JPEG, WebP or GIF image.").wait_for()
        cut = base64.b64encode(picture()[:40]).decode()
        renamed = base64.b64encode(picture(format="BMP")).decode()
        for name, data, problem in (
            ("cut.png", cut, "cut.png is damaged."),
            ("renamed.png", renamed, "renamed.png is not a PNG"),
        ):
            files = page.evaluate_handle(dropped, [name, "image/png", data])
            page.dispatch_event("body", "drop", {"dataTransfer": files})
            page.get_by_text(problem).wait_for()
        assert page.locator("#attached li").count() == 2
        page.fill("#text", "What is it?")
        page.keyboard.press("Enter")
        page.get_by_text("A rocket.").wait_for()
    (message,) = backend.body["messages"]
    sent = [part["image_url"]["url"] for part in message["content"] if "image_url" in part]
    assert [Image.from_data_url(url).data for url in sent] == [rocket.read_bytes(), picture()]


@pytest.mark.browser
def test_stop_retry_and_hostile_text(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop keeps the text and closes the call, an error can be retried, and HTML is shown as
    text.
    """
    gone = threading.Event()

    def gateway(received: ReceivedRequest, wire: Wire) -> bool | None:
        if received.path.endswith("/models"):
            wire.whole(b'{"data":[]}', "content-type: application/json")
            return True
        messages = json.loads(received.body)["messages"]
        if len(messages) == 1:
            wire.stream(sse(chunk("Once upon"), done=False), ends=False)
            wire._connection.settimeout(10)
            if wire._connection.recv(1) == b"":
                gone.set()
            return False
        if len(upstream.requests) < 4:
            wire.whole(b'{"error":{"message":"No credit"}}', status="402 Payment Required")
        else:
            wire.stream(sse(chunk(EVIL), chunk(finish="stop")))
        return True

    errors = PageErrors()
    with Loopback(gateway) as upstream:
        monkeypatch.setenv("EMBY_BASE_URL", upstream.url)
        with serve() as client, chromium() as browser:
            page = errors.watch(browser.new_page())
            page.goto(str(client.base_url))
            page.locator("#model option").first.wait_for(state="attached")
            page.fill("#text", "Tell me a story")
            page.keyboard.press("Enter")
            page.get_by_text("Once upon").wait_for()
            page.locator("#stop").click()
            page.get_by_text("Stopped").wait_for()
            assert gone.wait(10)
            page.fill("#text", "Go on")
            page.keyboard.press("Enter")
            page.get_by_text("No credit").wait_for()
            page.get_by_role("button", name="Try again").click()
            page.get_by_text(EVIL).wait_for()
            assert page.locator(".theirs img").count() == 0
    history = json.loads(upstream.requests[-1].body)["messages"]
    assert [message["role"] for message in history] == ["user", "assistant", "user"]
    assert errors == []


@pytest.mark.browser
def test_a_reload_keeps_the_conversation(serve: Callable[..., Any]) -> None:
    """Texts, images and attachments survive a reload, are sent again, and can be cleared."""
    backend = ScriptedBackend(
        answer({"data": []}),
        sse(chunk("Here.", picture()), chunk(finish="stop")),
        sse(chunk("Grey now."), chunk(finish="stop")),
    )
    errors = PageErrors()
    with serve(AsyncEmby(**backend.on)) as client, chromium() as browser:
        page = errors.watch(browser.new_page(viewport={"width": 380, "height": 800}))
        page.goto(str(client.base_url))
        assert page.locator("header").bounding_box()["height"] <= 48
        page.locator("#send:enabled").wait_for()
        page.keyboard.type("Draw a boat")
        page.keyboard.press("Enter")
        page.locator(".theirs .edit").click()
        page.locator("#attached img").wait_for()
        page.reload()
        page.locator(".theirs .edit img").wait_for()
        page.locator("#attached img").wait_for()
        assert page.locator(".words").all_inner_texts() == ["Draw a boat", "Here."]
        page.locator("#send:enabled").wait_for()
        page.fill("#text", "make it grey")
        page.keyboard.press("Enter")
        page.get_by_text("Grey now.").wait_for()
        page.locator("#send").wait_for()
        messages = backend.body["messages"]
        page.locator("#fresh").click()
        page.reload()
        page.get_by_text("What should it look like?").wait_for()
        assert page.locator("article").count() == 0
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert "image_url" in str(messages[-1])
    assert errors == []


@pytest.mark.browser
def test_nothing_is_sent_before_the_models_are_known(serve: Callable[..., Any]) -> None:
    """A message is sent only after the list of models has arrived."""
    with serve() as client, chromium() as browser:
        page = browser.new_page()
        held: list[Any] = []
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url))
        page.route("**/api/about", lambda route: held.append(route))  # noqa: PLW0108
        page.goto(str(client.base_url))
        page.fill("#text", "Hello")
        page.keyboard.press("Enter")
        page.get_by_text("The models are not known yet").wait_for()
        assert page.locator("#text").input_value() == "Hello"
        assert not [url for url in sent if url.endswith("/api/chat")]
        held[0].continue_()
        page.locator("#send:enabled").click()
        page.locator(".theirs .facts").wait_for()
