"""Read `curl_examples.sh`: the commands by page and section, and their bodies."""

import json
import re
from pathlib import Path
from typing import Any

import pybase64
from cassette_help import RED

HOST = "https://api.emby.dev/v1"
_FILE = Path(__file__).with_name("curl_examples.sh")
_BODY = re.compile(r"-d '(.*)'", re.DOTALL)
_PLACEHOLDER = re.compile(r"<your_(?:base64_here|image)>")


def commands() -> dict[str, str]:
    """Return the commands on the pages, by `Page: Section`."""
    sections = _FILE.read_text("utf-8").split("\n## ")[1:]
    pairs = (section.split("\n", 1) for section in sections)
    return {heading: command.strip() for heading, command in pairs}


def filled(command: str) -> str:
    """Return a command with an image in place of the page's placeholder."""
    assert RED.content is not None
    return _PLACEHOLDER.sub(pybase64.b64encode_as_string(RED.content), command)


def body(heading: str) -> dict[str, Any]:
    """Return the body that the command of a page and section sends."""
    match = _BODY.search(filled(commands()[heading]))
    assert match
    sent: dict[str, Any] = json.loads(match[1])
    return sent
