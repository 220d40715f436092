"""The environment's settings for connections to the gateway: proxies and certificates."""

import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from errno import ENOENT
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from emby_plugins._errors import ConfigurationError, EmbyConnectionError
from emby_plugins._settings import Secret, is_loopback


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that the environment names: its `url`, and what of it may be shown."""

    url: Secret
    address: str
    variable: str

    def __str__(self) -> str:
        return f"the proxy {self.address} ({self.variable})"


def find_proxy(url: str) -> Proxy | None:
    """The proxy for requests to `url`; None if they are sent directly.

    A loopback address always is: its key may go unencrypted, because it stays on this machine.
    Raises `ConfigurationError` for a proxy that can't be used, and names its variable.
    """
    scheme = None if is_loopback(url) else proxied_scheme(url)
    return None if scheme is None else _proxy(*_named(scheme))


def proxied_scheme(url: str) -> str | None:
    """The scheme of the environment's proxy setting that applies to `url`."""
    from urllib.request import getproxies, proxy_bypass

    parts, proxies = urlsplit(url), getproxies()
    scheme = next((name for name in (parts.scheme, "all") if name in proxies), None)
    excepted = [name.strip() for name in proxies.get("no", "").split(",")]
    # As NO_PROXY may write them: with a port or without, IPv6 in brackets or bare.
    hosts = {parts.hostname or "", parts.netloc, parts.netloc.removesuffix(f":{parts.port}")}
    return None if "*" in excepted or any(map(proxy_bypass, hosts)) else scheme


def check_is_direct(url: str, event: str, info: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` before a connection is made that leads elsewhere than to `url`.

    `event` and `info` are from httpcore's trace.
    """
    parts = urlsplit(url)
    if event != "connection.connect_tcp.started" or (
        info["host"].lower() == parts.hostname
        and (info["port"] == (parts.port or {"http": 80, "https": 443}[parts.scheme]))
    ):
        return
    msg = f"{url!r} is on this machine, but the http_client asks it through a proxy."
    hint = "Set NO_PROXY=localhost,127.0.0.1, or make the client with trust_env=False."
    raise ConfigurationError(msg, hint=hint)


def _named(scheme: str) -> tuple[Secret, str]:
    """The proxy for a scheme, and the variable that names it."""
    from urllib.request import getproxies

    value, name = getproxies()[scheme], f"{scheme}_proxy"
    # Lower case wins, as with curl.
    found = sorted((n for n in os.environ if n.lower() == name), reverse=True)
    url = Secret(value if "://" in value else f"http://{value}")
    return url, found[0] if found else "the settings of this system"


def _proxy(url: Secret, variable: str) -> Proxy:
    scheme, host, port = _address(url)
    if not host:
        msg = f"The proxy in {variable} can't be read."
        raise ConfigurationError(msg, hint="Expected something like http://proxy.example:8080.")
    if scheme not in {"http", "https", "socks5", "socks5h"}:
        msg = f"The proxy in {variable} has the scheme {scheme!r}."
        raise ConfigurationError(msg, hint="Schemes are http, https, socks5 and socks5h.")
    if scheme.startswith("socks") and find_spec("socksio") is None:
        msg = f"The proxy in {variable} is a SOCKS proxy, which needs the package socksio."
        raise ConfigurationError(msg, hint="Install it: pip install socksio.")
    shown = f"[{host}]" if ":" in host else host
    return Proxy(url, f"{scheme}://{shown}" + (f":{port}" if port else ""), variable)


def _address(url: Secret) -> tuple[str, str, int | None]:
    """Scheme, host and port, without credentials. The host is empty if the URL can't be parsed."""
    # The parser's own error could quote a password that was put in place of a port.
    with suppress(ValueError):
        parts = urlsplit(url.reveal())
        return parts.scheme, parts.hostname or "", parts.port
    return "", "", None


def proxy_refusal(proxy: Proxy | None, reason: str) -> EmbyConnectionError:
    """The error of a request that a proxy did not pass on; nothing reached the gateway.

    `proxy` is None if the user's own client configured it.
    """
    who = str(proxy or "the proxy of the http_client")
    error = EmbyConnectionError(f"{who[0].upper()}{who[1:]} refused the connection: {reason}.")
    where = proxy.variable if proxy else "the http_client"
    if reason.startswith("407"):
        error.hint = f"Check the user name and password of the proxy in {where}."
    else:
        error.hint = f"Check the proxy in {where}, or ask who runs it."
    return error


def read_certificates(load: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What `load` makes of the certificates that the environment names, or of the usual ones.

    Raises `ConfigurationError` if those it names can't be read.
    """
    names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    try:
        if names == ["SSL_CERT_DIR"]:
            _check_folders(os.environ["SSL_CERT_DIR"])
        return load()
    except OSError as error:
        if not names:
            raise
        reason = error.strerror or str(error)
        msg = f"The certificates in {names[0]} can't be read: {reason}."
        hint = f"Correct {names[0]}, or unset it to trust the usual certificates."
        raise ConfigurationError(msg, hint=hint) from None


def _check_folders(folders: str) -> None:
    # OpenSSL reads a folder at the first connection, and reports nothing for an empty one.
    if not [path for folder in folders.split(os.pathsep) for path in Path(folder).iterdir()]:
        raise FileNotFoundError(ENOENT, "The folder is empty")
