"""The checks of `llm emby doctor`: what each one found, and how to fix it."""

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emby_plugins import (
    AuthenticationError,
    BillingError,
    ConfigurationError,
    Emby,
    EmbyError,
    MissingKeyError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    TransportError,
    find_base_url,
    find_proxy,
    http_library,
    load_cards,
    stored_models,
    stored_path,
)
from llm_emby import _model_list as model_list
from llm_emby._errors import Hints, shell_message
from llm_emby._image_files import reason
from llm_emby._keys import find_key, key_source, keys_path

_PROBE_MODEL = "nosuchprovider/doctor"
_WRONG_KEY = "not-a-key-llm-emby-doctor"
_SET_KEY = "Run 'llm keys set emby' to store"
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; `ok` is None if it was inconclusive."""

    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Key:
    """The key that a prompt would use, and its source."""

    value: str
    source: str


def run_checks(given_key: str | None) -> Iterator[Check]:
    """Check everything that a prompt needs, starting with what needs no network.

    `given_key` is the value of `--key`, if any.
    """
    yield Check("versions", True, _versions())
    yield _images(model_list.images_folder())
    try:
        value = find_key(given_key)
        key = Key(value, key_source(value, given_key))
    except (OSError, ValueError) as error:
        detail = f"the file {str(keys_path())!r} can't be read ({type(error).__name__})"
        yield Check("key source", False, detail)
        return
    yield Check("key source", True, key.source)
    address = _address(key)
    yield address
    yield _added()
    if not address.ok:
        return
    base_url = find_base_url()
    yield _models(base_url)
    if base_url.startswith(("http:", "https:")):
        proxy = _proxy(base_url)
        yield proxy
        if not proxy.ok:
            return
    yield from _round_trip(base_url, key)


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("emby-plugins", "llm"))
    return (
        f"{packages}, {http_library()}, Python {platform.python_version()} on {platform.system()}"
    )


def _images(path: Path) -> Check:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".doctor"
        probe.touch()
        probe.unlink()
    except OSError as error:
        hint = "use -o output to save images elsewhere"
        return Check("images", False, f"{path} can't be written: {reason(error)}; {hint}")
    # The names of unfinished files begin with a dot.
    count = sum(1 for file in path.iterdir() if not file.name.startswith("."))
    return Check("images", True, f"{count} in {path}")


def _address(key: Key) -> Check:
    try:
        # Each is checked on its own, so that a bad key is not blamed on the URL.
        Emby(api_key=key.value, base_url="mock:").close()
    except ConfigurationError as error:
        return Check("key", False, f"{shell_message(error)} The key came from {key.source}.")
    try:
        with Emby(api_key=key.value) as client:
            origin = "EMBY_BASE_URL" if os.environ.get("EMBY_BASE_URL") else "the default"
            return Check("base URL", True, f"{client.base_url} ({origin})")
    except ConfigurationError as error:
        return Check("base URL", False, shell_message(error))


def _models(base_url: str) -> Check:
    path = stored_path(base_url)
    try:
        cards = stored_models(base_url)
    except (ConfigurationError, OSError) as error:
        return Check("models", False, str(error))
    if cards is None:
        return Check("models", True, "built-in list ('llm emby refresh' fetches the gateway's)")
    age = _age(time.time() - path.stat().st_mtime)
    return Check("models", True, f"{len(cards)} listed by {base_url}, fetched {age} ({path})")


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _added() -> Check:
    path = model_list.added_path()
    try:
        return Check("added models", True, f"{len(load_cards(path))} in {path}")
    except FileNotFoundError:
        return Check("added models", True, "none ('llm emby add' adds one)")
    except (ConfigurationError, OSError) as error:
        return Check("added models", False, str(error))


def _proxy(base_url: str) -> Check:
    try:
        proxy = find_proxy(base_url)
    except ConfigurationError as error:
        return Check("proxy", False, str(error))
    if proxy is not None:
        return Check("proxy", True, f"uses {proxy}")
    unused = [name for name in os.environ if name.upper() in _PROXY_VARIABLES]
    why = f", because {', '.join(unused)} does not apply to {base_url}" if unused else ""
    return Check("proxy", True, f"none{why}")


def _round_trip(base_url: str, key: Key) -> Iterator[Check]:
    try:
        with Emby(**_settings(key.value)) as client:
            count = len(client.models())
    except ConfigurationError as error:
        # Certificates are read when a connection is needed. Nothing was sent.
        yield Check("connection", False, str(error))
        return
    except TransportError as error:
        yield Check("gateway", False, str(error))
        if key.value:
            yield Check("key", None, "could not be verified because the gateway was not reached")
            return
    except EmbyError as error:
        yield Check("gateway", False, shell_message(error))
    else:
        if base_url.startswith("https:"):
            yield Check("certificates", True, _certificates())
        # Does not test the key: anyone gets the list of models (case models-bad-key).
        yield Check("gateway", True, f"answers and lists {count} model{'s' * (count != 1)}")
    yield _verify(base_url, key)


def _settings(key: str) -> dict[str, Any]:
    return {"api_key": key, "deadline": 30, "max_retries": 0, "plugins": [Hints(key)]}


def _certificates() -> str:
    named = [f"{name}={os.environ[name]}" for name in _CERTIFICATE_VARIABLES if name in os.environ]
    return ", ".join(named) or "the default ones"


def _verify(base_url: str, key: Key) -> Check:
    """Verify the key free of charge, by requesting a model of a provider that does not exist.

    All recorded gateways check the key before the provider (cases provider-unknown and
    two-faults-provider-key): a wrong key is a 401, a valid one a 400. The answer to a key that
    is certainly wrong shows whether this gateway does so too.
    """
    answer = _probe(key.value)
    if isinstance(answer, MissingKeyError):
        return Check("key", False, f"none. {_SET_KEY} one. To try without: llm -m emby-mock")
    if isinstance(answer, AuthenticationError) and not key.value:
        return Check("key", False, f"none, and the gateway requires one. {_SET_KEY} one.")
    if isinstance(answer, AuthenticationError | BillingError | PermissionDeniedError):
        detail = f"refused ({answer.status}): {answer.message} The key came from {key.source}."
        return Check("key", False, f"{detail} {_SET_KEY} another.")
    if isinstance(answer, TransportError | RateLimitError | ServerError):
        return Check("key", None, f"could not be verified: {answer}")
    if isinstance(_probe(_WRONG_KEY), AuthenticationError | PermissionDeniedError):
        return Check("key", True, "accepted")
    if not key.value:
        return Check("key", True, "none, and the gateway does not require one")
    if not base_url.startswith(("http:", "https:")):
        return Check("key", True, f"not needed by {base_url}")
    detail = "could not be verified: the gateway gives the same answer to a wrong key"
    return Check("key", None, f"{detail}. {answer or 'It returned no error.'}")


def _probe(key: str) -> EmbyError | None:
    try:
        with Emby(**_settings(key)) as client:
            client.chat("Hello", model=_PROBE_MODEL, max_tokens=1)
    except EmbyError as error:
        return error
    return None
