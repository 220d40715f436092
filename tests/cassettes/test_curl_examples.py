"""The commands on Emby's pages, run with another host and key against the mock over HTTP."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from curl_examples import HOST, commands, filled

from emby_plugins.mock import MockBackend, MockServer

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="There is no curl here.")

COMMANDS = commands()
LOOKING = [heading for heading in COMMANDS if heading.startswith("Vision Support")]
PAINTING = "Image Generation: Generate an Image"
EDITING = "Image Generation: Vision Support (Editing & Modifying Images)"
INLINE = "Vision Support: 2. Using Base64 Inline Data"


class Shell:
    """Runs commands with the server's address instead of Emby's."""

    def __init__(self, server: MockServer, home: Path) -> None:
        self._server = server
        # No settings of the user, since a .curlrc may set a proxy.
        self._environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(home)}

    def __call__(self, command: str, key: str = "k") -> Any:
        """Return the JSON that the command prints."""
        assert HOST in command
        ran = subprocess.run(
            ["sh", "-c", command.replace(HOST, self._server.base_url)],
            env={**self._environment, "EMBY_API_KEY": key},
            capture_output=True,
            timeout=60,
            check=True,
        )
        return json.loads(ran.stdout)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell with a server that requires the key `k`."""
    with MockServer(MockBackend("k")) as server:
        yield Shell(server, tmp_path)


def message_of(reply: Any) -> Any:
    """Return the message of a reply."""
    return reply["choices"][0]["message"]


def test_all_commands_are_listed() -> None:
    """All commands of each page are listed."""
    pages = [heading.split(":")[0] for heading in COMMANDS]
    assert (pages.count("Image Generation"), pages.count("Vision Support")) == (3, 4)


def test_models(shell: Shell) -> None:
    """The list of models has the documented field `vision`."""
    listed = shell(COMMANDS["Image Generation: Available Models"])["data"]
    assert {"qwen2.5-vl", "glm-vision", "deepseek-vision"} <= {model["id"] for model in listed}
    assert {model["vision"] for model in listed} == {True, False}


@pytest.mark.parametrize("heading", [PAINTING, EDITING])
def test_generating_and_editing(shell: Shell, heading: str) -> None:
    """The reply has the documented fields of "Response Format"."""
    reply = shell(filled(COMMANDS[heading]))
    assert (reply["object"], reply["model"]) == ("chat.completion", "qwen2.5-vision")
    assert reply["id"].startswith("chatcmpl-")
    assert isinstance(reply["created"], int)
    (choice,) = reply["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    message = choice["message"]
    assert (message["role"], message["content"]) == ("assistant", "Here is your generated image:")
    (item,) = message["images"]
    assert item["type"] == "image_url"
    assert item["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


@pytest.mark.parametrize("heading", LOOKING)
def test_describing(shell: Shell, heading: str) -> None:
    """Questions with and without images are answered with text."""
    message = message_of(shell(filled(COMMANDS[heading])))
    assert message["content"]
    assert "images" not in message


@pytest.mark.parametrize(
    ("heading", "facts"),
    [
        ("Vision Support: 1. Using HTTPS URLs", ["example.com/dog.jpg"]),
        (INLINE, ["4x3", "red"]),
        ("Vision Support: Sending Multiple Images", ["img1.jpg", "img2.jpg", "Compared"]),
        ("Vision Support: Simple Text-Only Messages Still Work", ["qwen2.5-vision", "glm-vision"]),
    ],
)
def test_the_answer_describes_the_images(shell: Shell, heading: str, facts: list[str]) -> None:
    """The answer describes the images that were sent."""
    text = message_of(shell(filled(COMMANDS[heading])))["content"]
    assert [fact for fact in facts if fact not in text] == []


def test_a_placeholder_left_in_place(shell: Shell) -> None:
    """The example with its placeholder gets the documented error of "Error Handling"."""
    error = shell(COMMANDS[INLINE])["error"]
    assert error["type"] == "invalid_image_input"
    assert error["message"].startswith("Image could not be fetched or decoded")


def test_the_key_is_checked(shell: Shell) -> None:
    """Another key in the documented header is refused."""
    error = shell(COMMANDS[PAINTING], key="another")
    assert (error["status"], error["message"]) == (401, "Unauthorized: Invalid API token")
