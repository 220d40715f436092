"""The environment's proxies and certificates."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import ChatCaller, Loopback, ReceivedRequest, Wire, as_json, completion

from emby_plugins import ConfigurationError, EmbyConnectionError, _environment as environment
from emby_plugins._environment import find_proxy
from emby_plugins._transport import _certificates

KEY = "sk-very-secret-123"
PROXY = "http://me:hunter2hunter2@127.0.0.1:9"
AWAY = "https://gateway.invalid/v1"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*VARIABLES, *map(str.lower, VARIABLES), "SSL_CERT_DIR", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    _certificates.cache_clear()
    yield
    _certificates.cache_clear()


def well(_: ReceivedRequest, wire: Wire) -> None:
    """A valid answer."""
    wire.whole(as_json(completion("Hi.")), "content-type: application/json")


# ---- loopback


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_never_uses_a_proxy(
    call_chat: ChatCaller, variable: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loopback address is never contacted through a proxy, which would see the key."""
    with Loopback(well) as proxy, Loopback(well) as gateway:
        monkeypatch.setenv(variable, proxy.url.removesuffix("/v1"))
        url = gateway.url.replace("127.0.0.1", host)
        assert call_chat("Hi", on={"base_url": url, "api_key": KEY}).text == "Hi."
        assert (proxy.connections, gateway.connections) == (0, 1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_every_loopback_address_is_direct(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every loopback address, IPv6 included, bypasses the proxy, and other addresses do not."""
    monkeypatch.setenv("ALL_PROXY", PROXY)
    assert find_proxy(url) is None
    assert find_proxy("https://gateway.example/v1") is not None


def test_a_given_client_does_not_take_loopback_through_a_proxy(
    call_chat: ChatCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A given client that would use a proxy for loopback is refused before it connects."""
    with Loopback(well) as proxy, Loopback(well) as gateway:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        new: Any = httpx.AsyncClient if call_chat.mode.startswith("async") else httpx.Client
        on = {"base_url": gateway.url, "api_key": KEY}
        with pytest.raises(ConfigurationError, match="NO_PROXY"):
            call_chat("Hi", on={**on, "http_client": new()})
        assert (proxy.connections, gateway.connections) == (0, 0)
        unkept = httpx.Limits(max_keepalive_connections=0)
        for settings in ({"trust_env": False}, {"transport": None, "mounts": {"http://": None}}):
            direct = new(limits=unkept, **settings)
            assert call_chat("Hi", on={**on, "http_client": direct}).text == "Hi."
        assert proxy.connections == 0


# ---- which proxy


@pytest.mark.parametrize(
    "no_proxy",
    [
        "gateway.example",
        ".example",
        "example",
        "a.b, gateway.example:443",
        "x,*",
        "GATEWAY.example",
    ],
)
def test_hosts_that_are_excepted(no_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forms of `NO_PROXY` in common use are supported."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert find_proxy("https://gateway.example:443/v1") is not None
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert find_proxy("https://gateway.example:443/v1") is None
    assert (find_proxy("https://other.invalid/v1") is None) == ("*" in no_proxy)


@pytest.mark.parametrize(
    "no_proxy", ["[::1]", "::1,[fe80::1]:80", "fe80::/10,10.0.0.0/8", "[broken"]
)
def test_ipv6_in_no_proxy_causes_no_error(
    call_chat: ChatCaller, no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IPv6 entries of `NO_PROXY` that httpx can't read cause no error."""
    monkeypatch.setenv("NO_PROXY", no_proxy)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    with Loopback(well) as gateway:
        assert call_chat("Hi", on={"base_url": gateway.url}).text == "Hi."
    assert find_proxy("https://gateway.example") is not None


@pytest.mark.parametrize("no_proxy", ["fd00::5", "[fd00::5]", "[fd00::5]:8443"])
def test_an_ipv6_gateway_can_be_excepted(no_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An IPv6 gateway can be excluded in `NO_PROXY` with or without brackets."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert find_proxy("https://[fd00::5]:8443/v1") is None
    assert find_proxy("https://[fd00::6]:8443/v1") is not None


# ---- proxies that can't be used


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ftp://me:hunter2@a.b:1", "has the scheme 'ftp'"),
        ("socks4://me:hunter2@a.b:1", "has the scheme 'socks4'"),
        ("http://", "can't be read"),
        ("http://[hunter2", "can't be read"),
        ("http://me:hunter2", "can't be read"),
        ("http://me:hunter2@\u2603\u200d.example:1", "can't be used"),
        ("socks5://me:hunter2@a.b:1", "needs the package socksio"),
        ("socks5h://me:hunter2@a.b:1", "pip install socksio"),
    ],
)
def test_a_proxy_that_can_not_be_used_is_named(
    call_chat: ChatCaller, variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unusable proxy raises an error with its variable's name and without its credentials."""
    monkeypatch.setattr(environment, "find_spec", lambda _: None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable) as caught:
        call_chat("Hi", on={"base_url": AWAY, "api_key": KEY})
    assert expected in str(caught.value)
    assert "hunter2" not in str(caught.value)


def refusing(status: str) -> Any:
    """Return a handler for a proxy that refuses with this status."""
    return lambda _, wire: wire.whole(b"no", status=status)


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden"])
def test_a_refusal_is_reported_as_the_proxys(
    call_chat: ChatCaller, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal by a proxy is reported as the proxy's, with its address and without its
    credentials.
    """
    with Loopback(refusing(status)) as proxy:
        address = proxy.url.removesuffix("/v1").removeprefix("http://")
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2@{address}")
        with pytest.raises(EmbyConnectionError) as caught:
            call_chat("Hi", on={"base_url": AWAY, "api_key": KEY})
    (received,) = proxy.requests
    assert (
        received.headers["proxy-authorization"]
        == "Basic " + base64.b64encode(b"me:hunter2").decode()
    )
    assert "authorization" not in received.headers
    words = str(caught.value)
    assert f"The proxy http://{address} (HTTPS_PROXY) refused the connection: {status}." in words
    assert ("password" in words) == status.startswith("407")
    assert "hunter2" not in words
    assert "gateway" not in words


def test_an_unreachable_proxy_is_named(
    call_chat: ChatCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreachable proxy raises an error with its address and variable in message and hint."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    with pytest.raises(EmbyConnectionError) as caught:
        call_chat("Hi", on={"base_url": AWAY, "api_key": KEY, "max_retries": 0})
    assert "through the proxy http://127.0.0.1:9 (HTTPS_PROXY) failed" in caught.value.message
    assert "HTTPS_PROXY" in caught.value.hint
    assert "hunter2" not in str(caught.value)


# ---- certificates


def missing(_: Path) -> str:
    """A file that does not exist."""
    return "/nowhere/roots.pem"


def broken(tmp_path: Path) -> str:
    """A file with an invalid certificate."""
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nno\n")
    return str(tmp_path / "broken.pem")


def empty(tmp_path: Path) -> str:
    """A folder without certificates."""
    (tmp_path / "empty").mkdir()
    return str(tmp_path / "empty")


@pytest.mark.parametrize(
    ("variable", "make"),
    [
        ("SSL_CERT_FILE", missing),
        ("SSL_CERT_FILE", broken),
        ("SSL_CERT_FILE", empty),
        ("SSL_CERT_DIR", missing),
        ("SSL_CERT_DIR", broken),
        ("SSL_CERT_DIR", empty),
    ],
)
def test_certificates_that_can_not_be_read_are_named(
    call_chat: ChatCaller, variable: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unreadable certificates raise an error with the variable's name, except for loopback."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(variable, make(tmp_path))
    with pytest.raises(ConfigurationError, match=f"certificates in {variable} can't be read"):
        call_chat("Hi", on={"base_url": AWAY, "api_key": KEY})
    with Loopback(well) as gateway:
        assert call_chat("Hi", on={"base_url": gateway.url, "api_key": KEY}).text == "Hi."
