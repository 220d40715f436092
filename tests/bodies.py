"""Check every chat body that the tests produce against each recorded request schema."""

import re
from typing import Any, NamedTuple

import msgspec
from recordings.recordings import SCHEMA_STATES, request_schema
from recordings.validation import Violation, violations

from emby_plugins import _base_client as client
from emby_plugins._chat import ChatRequest
from emby_plugins._protocol import request
from emby_plugins._protocol.limits import Limits
from emby_plugins._protocol.request_body import StreamedBody


class KnownRefusal(NamedTuple):
    """A value that some recorded states refuse, sent because the user explicitly requested it.

    `message` is shown to the user as a result.
    """

    states: tuple[str, ...]
    path: str
    value: str | None
    message: str

    def covers(self, state: str, violation: Violation) -> bool:
        """Whether the violation is this known refusal."""
        return (
            state in self.states
            and re.fullmatch(self.path, violation.path) is not None
            and violation.value == self.value
        )


NO_WEB_SEARCH = (
    "This gateway does not run 'web_search' itself: leave out the server-side tool, or define a "
    "function tool."
)
KNOWN_REFUSALS = (
    KnownRefusal(
        ("2025-11",),
        "tool_choice",
        "required",
        "The gateway refuses tool_choice 'required'. From now on a single tool is named, and "
        "with several the model is instructed to call one.",
    ),
    KnownRefusal(
        ("2025-11", "2025-12", "2026-02"),
        r"messages\.\d+\.content\.\d+\.type",
        "file",
        "This gateway takes no files: send the text, or pages as images.",
    ),
    KnownRefusal(
        ("2025-11", "2025-12", "2026-02"),
        r"messages\.\d+\.content\.\d+\.type",
        "input_audio",
        "This gateway takes no audio: send a transcript.",
    ),
    KnownRefusal(("2025-11", "2025-12"), r"tools\.\d+\.function", None, NO_WEB_SEARCH),
    KnownRefusal(("2025-11", "2025-12"), r"tools\.\d+\.type", "web_search", NO_WEB_SEARCH),
    KnownRefusal(
        ("2025-11", "2025-12", "2026-02"), r"tool_choice\.type", "web_search", NO_WEB_SEARCH
    ),
)


class Refused(NamedTuple):
    """A request body that a recorded state would unexpectedly refuse."""

    state: str
    violation: Violation
    body: str


class BodyCheck:
    """Wraps the function that builds chat bodies, and records the unexpected refusals."""

    def __init__(self) -> None:
        self.refused: list[Refused] = []
        self.unchecked = client.chat_body
        self.schemas = {state: request_schema(state) for state in SCHEMA_STATES}

    def install(self) -> None:
        """Check every body from now on."""
        client.chat_body = request.chat_body = self.checked

    def take(self) -> list[Refused]:
        """Return and clear the refusals recorded so far."""
        refused, self.refused = self.refused, []
        return refused

    def checked(self, requested: ChatRequest, limits: Limits) -> bytes | StreamedBody:
        """Build the body of a request, and check it."""
        body = self.unchecked(requested, limits)
        self.look_at(msgspec.json.decode(body if isinstance(body, bytes) else b"".join(body)))
        return body

    def look_at(self, body: Any) -> None:
        """Record which states would refuse this body."""
        for state, schema in self.schemas.items():
            for violation in violations(body, schema):
                if not any(known.covers(state, violation) for known in KNOWN_REFUSALS):
                    self.refused.append(Refused(state, violation, str(body)[:300]))
