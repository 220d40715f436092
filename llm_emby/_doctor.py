"""What `llm emby doctor` looks at, one finding each, and what to do about a bad one."""

import ipaddress
import os
import platform
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import llm

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
    load_cards,
)
from llm_emby import _model_list as catalogue

_PROBE_MODEL = "nosuchprovider/doctor"
_WRONG_KEY = "not-a-key-llm-emby-doctor"
_NEXT = "Run 'llm keys set emby' to store"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at, and what was found; `is_well` is None where it could not be told."""

    name: str
    ok: bool | None
    finding: str


@dataclass(frozen=True, slots=True)
class Key:
    """The key that a prompt would use, and where it comes from."""

    value: str
    source: str


def run_checks(given_key: str | None) -> Iterator[Check]:
    """Look at everything that a prompt needs, what needs no network first.

    `given_key` is that of `--key`, if any.
    """
    yield Check("versions", True, _versions())
    yield _images(catalogue.images_folder())
    try:
        key = find_key(given_key)
    except (OSError, ValueError) as error:
        finding = f"the file {str(_keys_path())!r} can't be read ({type(error).__name__})"
        yield Check("key source", False, finding)
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
        yield _proxy(base_url)
        certificates = _certificates()
        yield certificates
        if not certificates.ok:
            return
    yield from _round_trip(base_url, key)


def find_key(given: str | None) -> Key:
    """The key by `llm`'s rules, and where it comes from; empty where there is none.

    Raises `OSError` or `ValueError` where `llm`'s file of keys can't be read.
    """
    stored = llm.load_keys()  # type: ignore[no-untyped-call]
    variable = os.environ.get("EMBY_API_KEY")
    value = llm.get_key(explicit_key=given, key_alias="emby", env_var="EMBY_API_KEY") or ""
    if given in stored:
        source = f"--key, which names the key that llm stores as {given!r}"
    elif given:
        source = "--key"
    elif "emby" in stored:
        source = f"llm's stored key 'emby' (in {_keys_path()})"
        if variable and variable != value:
            source += "; EMBY_API_KEY is set too, but llm prefers its own"
    elif variable:
        source = "the environment variable EMBY_API_KEY"
    else:
        source = "none: neither llm's stored key 'emby' nor EMBY_API_KEY is set"
    return Key(value, source)


def _keys_path() -> Path:
    return Path(llm.user_dir()) / "keys.json"  # type: ignore[no-untyped-call]


def _versions() -> str:
    names = ("emby-plugins", "llm", "httpx")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{packages}, Python {platform.python_version()} on {platform.system()}"


def _images(path: Path) -> Check:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".doctor"
        probe.touch()
        probe.unlink()
    except OSError as error:
        hint = "use -o output to save images elsewhere"
        return Check("images", False, f"{path} can't be written: {error.strerror}; {hint}")
    # Drafts of images that are being written, or were cut off, begin with a dot.
    count = sum(1 for file in path.iterdir() if not file.name.startswith("."))
    return Check("images", True, f"{count} in {path}")


def _address(key: Key) -> Check:
    try:
        # Each is looked at on its own, so that a bad key is not blamed on the URL.
        Emby(api_key=key.value, base_url="mock:").close()
    except ConfigurationError as error:
        return Check("key", False, f"{error} It comes from {key.source}.")
    try:
        with Emby(api_key=key.value) as client:
            origin = "EMBY_BASE_URL" if os.environ.get("EMBY_BASE_URL") else "the default"
            return Check("base URL", True, f"{client.base_url} ({origin})")
    except ConfigurationError as error:
        return Check("base URL", False, str(error))


def _models(base_url: str) -> Check:
    path = catalogue.listed_path(base_url)
    try:
        cards = catalogue.find_listed(base_url)
    except (ConfigurationError, OSError) as error:
        return Check("models", False, str(error))
    if cards is None:
        finding = "built-in list ('llm emby refresh' fetches the gateway's)"
        return Check("models", True, finding)
    age = _age(time.time() - path.stat().st_mtime)
    return Check("models", True, f"{len(cards)} listed by {base_url}, fetched {age} ({path})")


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _added() -> Check:
    path = catalogue.added_path()
    try:
        return Check("added models", True, f"{len(load_cards(path))} in {path}")
    except FileNotFoundError:
        return Check("added models", True, "none ('llm emby add' adds one)")
    except (ConfigurationError, OSError) as error:
        return Check("added models", False, str(error))


def _proxy(base_url: str) -> Check:
    parts = urlsplit(base_url)
    host, proxies = parts.hostname or "", getproxies()
    scheme = parts.scheme if proxies.get(parts.scheme) else "all"
    proxy = proxies.get(scheme)
    if not proxy:
        return Check("proxy", True, "none")
    shown = f"{scheme.upper()}_PROXY ({_without_password(proxy)})"
    if _is_loopback(host):
        return Check("proxy", True, f"none, since {host} is this machine; {shown} is not used")
    if proxy_bypass(host):
        return Check("proxy", True, f"none, since NO_PROXY lists {host}; {shown} is not used")
    return Check("proxy", True, f"{shown} is used for {host}")


def _without_password(proxy: str) -> str:
    address, at, host = proxy.rpartition("@")
    return f"{address.partition('://')[0]}://[password]@{host}" if at else proxy


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _certificates() -> Check:
    found = {n: v for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if (v := os.environ.get(n))}
    missing = [f"{n} names {v!r}, which does not exist" for n, v in found.items() if not _exists(v)]
    if missing:
        return Check("certificates", False, "; ".join(missing))
    try:
        ssl.create_default_context(cafile=found.get("SSL_CERT_FILE"))
    except ssl.SSLError:
        finding = f"SSL_CERT_FILE names {found['SSL_CERT_FILE']!r}, which holds no certificates"
        return Check("certificates", False, finding)
    set_to = ", ".join(f"{name}={value}" for name, value in found.items())
    return Check("certificates", True, set_to or "those that come with certifi")


def _exists(paths: str) -> bool:
    return any(Path(path).exists() for path in paths.split(os.pathsep))


def _round_trip(base_url: str, key: Key) -> Iterator[Check]:
    try:
        with Emby(api_key=key.value, deadline=30, max_retries=0) as client:
            count = len(client.models())
    except TransportError as error:
        yield Check("gateway", False, str(error))
        if key.value:
            yield Check("key", None, "could not be verified, as the gateway was not reached")
            return
    except EmbyError as error:
        yield Check("gateway", False, str(error))
    else:
        # Proves no key: the list of models is given to everyone (case models-bad-key).
        yield Check("gateway", True, f"answers, and lists {count} model{'s' * (count != 1)}")
    yield _verify(base_url, key)


def _verify(base_url: str, key: Key) -> Check:
    """Prove the key at no charge, by asking for a model of a provider that nobody has.

    All recorded gateways look at the key before the provider (cases provider-unknown and
    two-faults-provider-key): a wrong key is a 401, a right one a 400. What they answer to a key
    that is certainly wrong tells whether this gateway does so too.
    """
    answer = _probe(key.value)
    if isinstance(answer, MissingKeyError):
        return Check("key", False, f"none. {_NEXT} one. To try without: llm -m emby-mock")
    if isinstance(answer, AuthenticationError) and not key.value:
        return Check("key", False, f"none, and the gateway requires one. {_NEXT} one.")
    if isinstance(answer, AuthenticationError | BillingError | PermissionDeniedError):
        finding = f"refused ({answer.status}): {answer.message} It comes from {key.source}."
        return Check("key", False, f"{finding} {_NEXT} another.")
    if isinstance(answer, TransportError | RateLimitError | ServerError):
        return Check("key", None, f"could not be verified: {answer}")
    if isinstance(_probe(_WRONG_KEY), AuthenticationError | PermissionDeniedError):
        return Check("key", True, "accepted")
    if not key.value:
        return Check("key", True, "none, and the gateway asks for none")
    if not base_url.startswith(("http:", "https:")):
        return Check("key", True, f"not needed by {base_url}")
    finding = "could not be verified: the gateway gives the same answer to a wrong key"
    return Check("key", None, f"{finding}. {answer or 'It answered without an error.'}")


def _probe(key: str) -> EmbyError | None:
    try:
        with Emby(api_key=key, deadline=30, max_retries=0) as client:
            client.chat("Hello", model=_PROBE_MODEL, max_tokens=1)
    except EmbyError as error:
        return error
    return None
