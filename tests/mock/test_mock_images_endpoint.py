"""POST /images/generations and /images/edits: the profiles that have them, and their responses."""

import base64
import io
import json

import pytest
from mock_help import body_of, flat, mock, raw
from PIL import Image

from emby_plugins import Image as EmbyImage
from emby_plugins._protocol.backend import BackendRequest
from emby_plugins.mock import Fault, MockBackend

MODEL = "emby-mock-image"


def post(path, body, profile="2026-08", backend=None, content_type="application/json"):
    """Return the response to a request of an endpoint."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": content_type}
    request = BackendRequest("POST", f"/images/{path}", headers, content)
    return (backend or mock(profile))(request)


def opened(body):
    """Return the images of a response."""
    return [Image.open(io.BytesIO(base64.b64decode(item["b64_json"]))) for item in body["data"]]


@pytest.mark.parametrize("path", ["generations", "edits"])
@pytest.mark.parametrize(
    ("profile", "exists"),
    [("emby", True), ("2025-11", False), ("2025-12", False), ("2026-08", True)],
)
def test_profiles_with_the_endpoint(profile, exists, path):
    """The newest state and Emby's profile have the endpoint, and the older states don't."""
    body = {"model": MODEL, "prompt": "a boat", "images": [{"image_url": flat("red")}]}
    response = post(path, body, profile)
    assert response.status == (200 if exists else 404)
    assert exists or raw(response) == b"404 Not Found"


def test_generations():
    """Generations return `n` different images of the requested size, with the prompt."""
    body = {"model": MODEL, "prompt": "a boat", "n": 3, "size": "96x64"}
    result = body_of(post("generations", body))
    assert [picture.size for picture in opened(result)] == [(96, 64)] * 3
    assert len({item["b64_json"] for item in result["data"]}) == 3
    assert {item["revised_prompt"] for item in result["data"]} == {"a boat"}


def test_the_gateway_s_form_and_openai_s():
    """Emby's profile supports usage and the output format, and the newest state drops both."""
    body = {"model": MODEL, "prompt": "a boat", "output_format": "webp"}
    emby, gateway = (body_of(post("generations", body, name)) for name in ("emby", "2026-08"))
    assert (opened(emby)[0].format, opened(gateway)[0].format) == ("WEBP", "PNG")
    assert emby["usage"]["total_tokens"] > emby["usage"]["output_tokens"] > 0
    assert "usage" not in gateway


def test_edits():
    """Edits change the first image as instructed."""
    body = {"model": MODEL, "prompt": "make it grayscale", "n": 2, "output_format": "webp"}
    result = body_of(post("edits", body | {"images": [{"image_url": flat("#ff0000")}]}))
    assert [picture.format for picture in opened(result)] == ["WEBP"] * 2
    red, green, blue = opened(result)[0].convert("RGB").getpixel((20, 15))
    assert abs(red - green) < 4 > abs(green - blue)
    assert result["output_format"] == "webp"


def test_edits_of_a_form():
    """A multipart form is read exactly, and recorded as the equivalent JSON."""
    png = base64.b64decode(flat("red").partition(",")[2]) + bytes(range(256)) + b"\r\n\r\n--x\n"
    fields = (
        b'name="prompt"\r\n\r\nblur it',
        b'name="model"\r\n\r\n' + MODEL.encode(),
        b'name="image[]"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + png,
    )
    form = b"".join(b"--xYz\r\nContent-Disposition: form-data; %b\r\n" % f for f in fields)
    backend = mock("2026-08")
    kind = "multipart/form-data; boundary=xYz"
    response = post("edits", form + b"--xYz--\r\n", backend=backend, content_type=kind)
    assert response.status == 200
    (record,) = backend.requests
    assert (record.prompt, record.model) == ("blur it", MODEL)
    assert record.images[0].data == png


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("generations", {"model": MODEL}, "prompt: Required"),
        ("generations", {"model": MODEL, "prompt": "a", "n": 11}, "n: Number must be"),
        ("generations", {"model": "openai/gpt-4o-mini", "prompt": "a"}, "is a chat model"),
        ("edits", {"model": MODEL, "prompt": "a"}, "images: Required"),
        ("edits", {"model": MODEL, "prompt": "a", "images": [{"image_url": "x"}]}, "images[0]"),
    ],
)
def test_refusals(path, body, message):
    """An invalid request is a 400 in the gateway's form with the mistake."""
    response = post(path, body)
    assert response.status == 400
    assert message in body_of(response)["error"]["message"]


def test_scripts_and_faults():
    """Scripted replies and faults for the next chat apply to the endpoint too."""
    backend = MockBackend(faults=[Fault(status=429)])
    picture = EmbyImage.from_data_url(flat("red"))
    backend.reply(images=[picture])
    body = {"model": MODEL, "prompt": "a boat"}
    assert post("generations", body, backend=backend).status == 429
    (item,) = body_of(post("generations", body, backend=backend))["data"]
    assert base64.b64decode(item["b64_json"]) == picture.data
    assert body_of(post("generations", body, backend=backend))["data"] != [item]


def test_no_image_for_safety_is_an_empty_list():
    """A content filter gives an empty list like the gateway's, and other text is an error."""
    backend = MockBackend()
    backend.reply("No.", finish_reason="content_filter")
    backend.reply("No.")
    body = {"model": MODEL, "prompt": "a boat"}
    assert body_of(post("generations", body, backend=backend))["data"] == []
    assert post("generations", body, backend=backend).status == 500


@pytest.mark.parametrize("profile", ["emby", "2026-08"])
@pytest.mark.parametrize("fault", [Fault(upstream=429), Fault(upstream=200), Fault(hang_up=True)])
def test_a_failure_of_the_provider_is_a_502(profile, fault):
    """Every failure of the provider is a 502, and only the message differs."""
    backend = mock(profile, fault)
    response = post("generations", {"model": MODEL, "prompt": "a boat"}, backend=backend)
    assert response.status == 502
    result = body_of(response)
    assert set(result) == ({"error"} if profile == "2026-08" else {"error", "status", "message"})
