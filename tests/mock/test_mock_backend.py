import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from mock_help import JSON, PUPPY, body_of, chat, data_url, flat, reply, send
from PIL import Image

from emby_plugins._protocol.backend import BackendRequest
from emby_plugins.mock import MockBackend


def test_import_is_cheap():
    """Importing the package imports neither Pillow nor an HTTP library."""
    code = "import sys, emby_plugins.mock; print('PIL' in sys.modules, 'httpx' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "False"]


def test_unknown_route():
    """An unknown route is a plain-text 404."""
    response = MockBackend()(BackendRequest("GET", "/nothing", {}, b""))
    assert (response.status, b"".join(response.body)) == (404, b"404 Not Found")
    assert response.headers["content-type"].startswith("text/plain")


def test_content_type_is_required():
    """A POST that is not JSON is refused with 415, but a charset is allowed."""
    body = json.dumps(chat("hi")).encode()
    assert send(body, **{"content-type": "text/plain"}).status == 415
    assert send(body, **{"content-type": "application/json; charset=utf-8"}).status == 200


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer wrong"}, {"authorization": "k"}])
def test_key_is_required(header):
    """If the mock has a key, a missing or wrong one gets a 401 in the documented form."""
    response = send(chat("hi"), MockBackend("k"), **header)
    result = body_of(response)
    assert (response.status, result["error"], result["status"]) == (401, True, 401)
    assert result["message"].startswith("Unauthorized")


def test_right_key_and_no_key():
    """The right key is accepted, and any key if the mock has none."""
    assert send(chat("hi"), MockBackend("k"), authorization="Bearer k").status == 200
    assert send(chat("hi"), authorization="Bearer whatever").status == 200


def test_key_stays_secret():
    """The key is not in the repr."""
    assert "sesame" not in repr(MockBackend("sesame"))


def test_models_are_listed():
    """The list of models has every field that clients read, with consistent capabilities."""
    response = MockBackend()(BackendRequest("GET", "/models", {}, b""))
    cards = {card["id"]: card for card in body_of(response)["data"]}
    assert {"emby-mock", "emby-mock-text", "qwen2.5-vl", "deepseek-vision"} <= set(cards)
    for card in cards.values():
        sees = "image" in card["architecture"]["input_modalities"]
        assert card["vision"] == card["providers"][0]["vision"] == sees
        assert all(isinstance(price, str) for price in card["pricing"].values())
        float(card["pricing"]["prompt"])
    assert not cards["emby-mock-text"]["vision"]
    assert "image" in cards["qwen2.5-vision"]["architecture"]["output_modalities"]
    assert "image" not in cards["emby-mock-vision"]["architecture"]["output_modalities"]


@pytest.mark.parametrize("model", ["emby/qwen2.5-vision", "mycompany/custom-gpt-4", "glm-vision"])
def test_models_are_echoed(model):
    """Emby's prefix and custom providers are accepted, and the reply has the requested name."""
    result = reply("Hello", model=model)
    assert result["model"] == result["metadata"]["requested_model"] == model
    provider = "custom" if model.startswith("mycompany") else "emby-mock"
    assert result["metadata"]["used_provider"] == provider


@pytest.mark.parametrize("model", ["gpt-9", "emby/gpt-9", "Company/x", "company/", ""])
def test_unknown_models(model):
    """An unknown model is a 400 with its name."""
    response = send(chat("hi", model=model))
    assert response.status == 400
    assert model.removeprefix("emby/").split("/")[0] in body_of(response)["message"]


def test_text_model_refuses_images():
    """A model without vision refuses an image, as an image part or a file part."""
    file = {"type": "file", "file": {"filename": "a.png", "file_data": flat("red")}}
    for part in (chat("x", flat("red"))["messages"][0]["content"], [file]):
        response = send(chat([{"role": "user", "content": part}], model="emby-mock-text"))
        error = body_of(response)["error"]
        assert (response.status, error["type"]) == (500, "gateway_error")
        assert error["message"].startswith("Error from provider: 400 Bad Request")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"model": None}, ["model"]),
        ({"messages": [{"content": "x"}]}, ["messages", 0, "role"]),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            ["messages", 0, "content"],
        ),
        ({"temperature": True}, ["temperature"]),
        ({"tool_choice": "required"}, ["tool_choice"]),
        ({"response_format": {"type": "xml"}}, ["response_format"]),
        ({"image_config": {"n": "2"}}, None),
    ],
)
def test_schema_errors(change, path):
    """A body that fails the schema is a 400 with issues and paths, without a request id."""
    response = send(chat("hi") | change)
    if path is None:
        assert response.status == 200
        return
    result = body_of(response)
    assert (response.status, result["success"], result["error"]["name"]) == (400, False, "ZodError")
    assert [issue["path"] for issue in result["error"]["issues"]] == [path]
    assert "x-request-id" not in response.headers


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b'"\\ud800"', b"NaN"])
def test_malformed_json(body):
    """A body that is not JSON is a 400."""
    response = send(body)
    assert (response.status, body_of(response)["status"]) == (400, 400)


@pytest.mark.parametrize("body", [b"[]", b"3", b"null"])
def test_json_that_is_not_an_object(body):
    """JSON that is not an object fails the schema."""
    assert body_of(send(body))["error"]["issues"][0]["expected"] == "object"


def test_body_too_large():
    """A body over 100 MB is refused before parsing."""
    response = send(b" " * 100_000_001)
    assert response.status == 413


def test_unknown_keys_are_dropped():
    """Keys outside of the schema do not change the reply."""
    plain, extra = reply("Hello"), reply("Hello", seed=1, stop=["x"], modalities=["image"])
    assert plain["choices"] == extra["choices"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/dog.jpg",
        "ftp://example.com/dog.jpg",
        "dog.jpg",
        "",
        "https://",
        "https://[bad/dog.jpg",
        "data:image/png;base64,@@@@",
        "data:image/png;base64,QUJD",
        "data:image/png,plain",
        "data:text/plain;base64,QUJD",
        data_url(Image.new("RGB", (4, 4)), "BMP"),
        data_url(Image.new("RGB", (40, 40)))[:120],
        data_url(Image.new("1", (8001, 8001))),
    ],
)
def test_bad_images(url):
    """A bad image fails the request with the documented error and the path of the image."""
    response = send(chat("What is this?", flat("red"), url))
    error = body_of(response)["error"]
    assert (response.status, error["type"]) == (400, "invalid_image_input")
    assert error["message"].startswith("Image could not be fetched or decoded")
    assert error["param"] == "messages[0].content[2]"
    assert body_of(send(chat("What is this?", flat("red"), url)))["error"] == error


def test_pixels_of_a_request_are_bounded():
    """Many large images are refused in one request even if each alone is allowed."""
    large = data_url(Image.new("1", (7000, 7000)))
    for images in ([large] * 3, ["https://example.com/a.png"] * 300, [flat("red")] * 1300):
        error = body_of(send(chat("What is this?", *images)))["error"]
        assert "in one request" in error["message"]


def test_same_bytes_from_every_thread():
    """Equal requests get equal bytes, from any thread."""
    body = chat(PUPPY)
    with ThreadPoolExecutor(4) as pool:
        result = set(pool.map(lambda _: b"".join(send(body).body), range(8)))
    assert len(result) == 1


def test_headers_and_ids():
    """Replies are marked as the mock's, and have the same request id streamed and not."""
    whole, streamed = send(chat("hi")), send(chat("hi", stream=True))
    for response in (whole, streamed):
        assert response.headers["x-emby-mock"] == "1"
    assert whole.headers["x-request-id"] == streamed.headers["x-request-id"]
    assert whole.headers["x-request-id"] != send(chat("ho")).headers["x-request-id"]
    result = body_of(whole)
    assert result["system_fingerprint"] == "emby-mock"
    assert whole.headers["x-request-id"].removeprefix("mock-") in result["id"]
    assert JSON["content-type"] == whole.headers["content-type"]
    assert streamed.headers["content-type"] == "text/event-stream"
