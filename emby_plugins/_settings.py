"""Find and check the gateway's address and API key, and keep the key from sight."""

import ipaddress
import os
from urllib.parse import SplitResult, urlsplit

from emby_plugins._errors import ConfigurationError, MissingKeyError

DEFAULT_BASE_URL = "https://api.emby.dev/v1"
"""Emby's own base URL: Image Generation page, "Generate an Image"."""

KEY_VARIABLE = "EMBY_API_KEY"
BASE_URL_VARIABLE = "EMBY_BASE_URL"


class Secret:
    """A text that no `repr`, log, traceback or pickle shows; only `reveal()` does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return "Secret(...)" if self._value else "Secret()"

    def __reduce__(self) -> str:
        raise TypeError("a secret can't be pickled; make a new client where it is needed")


def find_key(given: Secret | None) -> Secret:
    """The key that was given, else `EMBY_API_KEY`, else an empty one.

    Raises `ConfigurationError` for one that no header can carry; no local variable shows it.
    """
    given = Secret(os.environ.get(KEY_VARIABLE, "")) if given is None else given
    for position, character in enumerate(given.reveal().strip(), 1):
        if not "!" <= character <= "~":
            is_space = character.isspace()
            what = "a space or line break" if is_space else "a character that is not ASCII"
            msg = f"The API key contains {what} (character {position})."
            raise ConfigurationError(msg, hint="Copy it again, without quotes.") from None
    return Secret(given.reveal().strip())


def find_base_url(given: str | None = None) -> str:
    """The base URL that was given, else `EMBY_BASE_URL`, else Emby's own; no slash at its end.

    Raises `ConfigurationError` for one that can't be parsed or holds a user name or password.
    """
    url = (given or os.environ.get(BASE_URL_VARIABLE, "") or DEFAULT_BASE_URL).strip().rstrip("/")
    if _split(url).username is not None:
        msg = "The base URL contains a user name or password."
        raise ConfigurationError(msg, hint="Give the key as api_key instead.")
    return url


def check_address(url: str, key: Secret) -> None:
    """Refuse a URL that is not http(s), and plain http for a key that leaves this machine.

    Raises `ConfigurationError`.
    """
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        # A key that was given in its place has none of these.
        shown = f": {url!r}" if {":", "/", "."} & {*url} else ""
        msg = f"Invalid base URL{shown}."
        hint = f"Expected something like {DEFAULT_BASE_URL}, or mock: for the in-process backend."
        raise ConfigurationError(msg, hint=hint)
    if parts.query or parts.fragment:
        msg = "The base URL has a query or a fragment, but paths are appended to it."
        raise ConfigurationError(msg, hint="Give the key as api_key instead.")
    if key and parts.scheme == "http" and not is_loopback(url):
        msg = f"The key is not sent to {url!r}: over plain http anyone on the way could read it."
        raise ConfigurationError(msg, hint="Use https.")


def require_key(url: str, key: Secret) -> None:
    """Raise `MissingKeyError` if a key is needed and missing."""
    if not key and not is_loopback(url):
        msg = f"No API key for {url}."
        hint = f"Set {KEY_VARIABLE} or pass api_key=; base_url='mock:' needs none."
        raise MissingKeyError(msg, hint=hint)


def is_loopback(url: str) -> bool:
    """Whether the address stays on this machine."""
    return is_loopback_host(_split(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Whether the host, an IP address or a name, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if not a port
    except ValueError:
        # The parser's own error could quote a password that was put in place of a port.
        hint = f"Expected something like {DEFAULT_BASE_URL}."
        raise ConfigurationError("The base URL can't be read.", hint=hint) from None
    return parts
