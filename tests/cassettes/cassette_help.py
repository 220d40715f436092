"""Recording and replaying HTTP: files, kept fields and the server."""

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
import yaml

from emby_plugins import Image
from emby_plugins.mock import PROFILES, Fault, MockBackend, MockServer

CASSETTES = Path(__file__).resolve().parents[2] / "cassettes"
"""The folder of recorded HTTP, with a folder for each test module."""

REAL = "real"
"""The folder within it for recordings of a real gateway, ignored by git."""

KEY = "k-of-the-cassettes"
"""The key that the mock requires during recording."""

USED = pytest.StashKey[dict[str, set[str]]]()
"""The cassettes that tests use, by module, for the collected modules."""

# Literal data, since requests must be identical everywhere, and encoders differ.
RED = Image.from_data_url(
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAADCAIAAAA7ljmRAAAAEElEQVR4nGP8z4AATAy4OAAmdgEF5PO"
    "41QAAAABJRU5ErkJggg=="
)
BLUE = Image.from_data_url(
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAADCAIAAAA7ljmRAAAAFElEQVR4nGNkYPjPAANMDEgAhQMAJHg"
    "BBSuUekUAAAAASUVORK5CYII="
)
"""With `RED`, two images of 4 x 3 pixels."""

FOLDER = "EMBY_CASSETTES"
"""The variable that sets another folder to record into."""

SENT = frozenset({"content-type", "accept"})
RECEIVED = frozenset({"content-type", "retry-after"})

_NOBODY = "http://127.0.0.1:9/v1"
_KEY_LIKE = re.compile(rb"\b(sk-|Bearer +)[A-Za-z0-9_\-.]{8,}")


@dataclass(frozen=True)
class Recording:
    """The target of recordings and their source, which is the mock if there is no address."""

    folder: Path = CASSETTES
    base_url: str = ""
    key: str = field(default=KEY, repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Return the gateway set by an environment, or the mock. Raises `ValueError` for half of
        one.

        A gateway's recordings are kept apart from the mock's.
        """
        base_url, key = (environment.get(name, "") for name in ("EMBY_BASE_URL", "EMBY_API_KEY"))
        if bool(base_url) != bool(key):
            msg = "Set both EMBY_BASE_URL and EMBY_API_KEY to record a gateway, or neither."
            raise ValueError(msg)
        folder = environment.get(FOLDER)
        if not base_url:
            return cls(Path(folder or CASSETTES))
        return cls(Path(folder or CASSETTES / REAL), base_url, key)


class Gateway:
    """Gives a test the settings of its clients: an address and a key.

    When replaying, the address is unused. When recording the mock, the address is that of a server.
    """

    def __init__(self, recording: Recording | None, open_servers: ExitStack) -> None:
        self._recording = recording
        self._open = open_servers

    def __call__(
        self, profile: str = "emby", *faults: Fault | None, script: Callable[..., Any] | None = None
    ) -> dict[str, Any]:
        """Return a gateway of this profile; with any other option it must be the mock.

        `script` gets the backend, to script its replies.
        """
        if self._recording is None:
            return {"base_url": _NOBODY, "api_key": KEY}
        if self._recording.base_url:
            if profile != "emby" or faults or script:
                pytest.skip("Only the mock can be told to behave like this.")
            return {"base_url": self._recording.base_url, "api_key": self._recording.key}
        backend = MockBackend(
            KEY, profile=PROFILES[profile], faults=faults, sleep=lambda seconds: None
        )
        if script is not None:
            script(backend)
        server = self._open.enter_context(MockServer(backend))
        return {"base_url": server.base_url, "api_key": KEY}


@dataclass(frozen=True)
class Scrubber:
    """Reduces an exchange to the data needed to replay it: two headers, and no secret."""

    key: str = field(default=KEY, repr=False)
    keeps_host: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """The settings of VCR."""
        return {
            "match_on": ["method", "path", "body"],
            "before_record_request": self.request,
            "before_record_response": self.response,
        }

    def request(self, request: Any) -> Any:
        """Return a request with few headers; for the mock without its port, which varies."""
        request.headers = {k: v for k, v in request.headers.items() if k.lower() in SENT}
        if not self.keeps_host:
            request.uri = f"http://127.0.0.1{urlsplit(request.uri).path}"
        if request.body:
            request.body = self._clean(request.body)
        return request

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        """Return a response with few headers."""
        headers = {k: v for k, v in response["headers"].items() if k.lower() in RECEIVED}
        body = {**response["body"], "string": self._clean(response["body"]["string"])}
        return {**response, "headers": headers, "body": body}

    def _clean(self, data: bytes) -> bytes:
        return _KEY_LIKE.sub(rb"\1[key]", data.replace(self.key.encode(), b"[key]"))


def load(cassette: Path) -> list[dict[str, Any]]:
    """Return the exchanges of a cassette."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    exchanges: list[dict[str, Any]] = yaml.load(cassette.read_text("utf-8"), loader)["interactions"]
    return exchanges
