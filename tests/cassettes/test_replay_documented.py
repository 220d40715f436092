"""Our clients send the requests documented on Emby's pages as exactly the same JSON."""

import json
from typing import Any

import curl_examples
import pytest
from cassette_help import RED, Gateway
from support import ChatCaller

from emby_plugins import Emby, Image, Message

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

QUESTION = "What is shown in this image?"
DOG = Image.from_url("https://example.com/dog.jpg")
PHOTOS = [Image.from_url(f"https://example.com/img{number}.jpg") for number in (1, 2)]


def assert_sent(vcr: Any, heading: str) -> None:
    """Check that the sent body is the page's."""
    (request,) = vcr.requests
    assert request.path == "/v1/chat/completions"
    assert json.loads(request.body) == curl_examples.body(heading)


def test_models(vcr: Any, gateway: Gateway) -> None:
    """`models` sends the request of "Available Models" (Image Generation)."""
    with Emby(**gateway()) as emby:
        models = emby.models()
    assert [request.path for request in vcr.requests] == ["/v1/models"]
    assert any(model.vision for model in models)
    assert any(model.image_output for model in models)


def test_generate_an_image(vcr: Any, call_chat: ChatCaller, gateway: Gateway) -> None:
    """A prompt is sent as in "Generate an Image" (Image Generation)."""
    prompt = "Generate an image of a golden retriever puppy playing in a sunny meadow"
    reply = call_chat(prompt, on=gateway())
    assert_sent(vcr, "Image Generation: Generate an Image")
    assert reply.image.media_type == "image/png"
    assert min(reply.image.size or ()) > 0


def test_edit_an_image(vcr: Any, call_chat: ChatCaller, gateway: Gateway) -> None:
    """An image to edit is sent as in "Vision Support" (Image Generation)."""
    words = "Remove the background and convert this to a 3D style."
    reply = call_chat(Message.user(RED, words), on=gateway())
    assert_sent(vcr, "Image Generation: Vision Support (Editing & Modifying Images)")
    assert reply.image != RED


def test_describe_a_url(vcr: Any, call_chat: ChatCaller, gateway: Gateway) -> None:
    """An image URL is sent as in "1. Using HTTPS URLs" (Vision Support)."""
    reply = call_chat(QUESTION, on=gateway(), images=[DOG])
    assert_sent(vcr, "Vision Support: 1. Using HTTPS URLs")
    assert reply.text
    assert not reply.images


def test_describe_inline_data(vcr: Any, call_chat: ChatCaller, gateway: Gateway) -> None:
    """Image data is sent as in "2. Using Base64 Inline Data" (Vision Support)."""
    reply = call_chat("Describe this image", on=gateway(), images=[RED])
    assert_sent(vcr, "Vision Support: 2. Using Base64 Inline Data")
    assert "red" in reply.text.lower()


def test_compare_images(vcr: Any, call_chat: ChatCaller, gateway: Gateway) -> None:
    """Several images are sent as in "Sending Multiple Images" (Vision Support)."""
    reply = call_chat("Compare these two photos.", on=gateway(), images=PHOTOS, model="glm-vision")
    assert_sent(vcr, "Vision Support: Sending Multiple Images")
    assert reply.text


def test_text_only(vcr: Any, call_chat: ChatCaller, gateway: Gateway) -> None:
    """Text is sent as in "Simple Text-Only Messages Still Work" (Vision Support)."""
    reply = call_chat("Hello! What models do you support?", on=gateway())
    assert_sent(vcr, "Vision Support: Simple Text-Only Messages Still Work")
    assert reply.text
    assert reply.finish_reason in {"stop", None}
