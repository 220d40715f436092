"""TLS connections on loopback: certificates, host names, proxies and silent peers."""

import asyncio
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from support import ChatCaller, Loopback, ReceivedRequest, Wire, as_json, completion, picture

from emby_plugins import (
    AsyncEmby,
    EmbyConnectionError,
    EmbyTimeoutError,
    Image,
    _transport as transport,
)

BIG = picture() + random.Random(1).randbytes(200_000)


class Encrypted(Loopback):
    """A gateway with a certificate for `localhost`."""

    def __init__(self, authority: trustme.CA) -> None:
        super().__init__(self._answer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )

    def _answer(self, received: ReceivedRequest, wire: Wire) -> None:
        wire.whole(as_json(completion("Here:", BIG)), "content-type: application/json")

    @property
    def port(self) -> int:
        """The server's port."""
        return int(self.url.rpartition(":")[2].partition("/")[0])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Issues the certificates."""
    return trustme.CA()


@pytest.fixture
def trusted(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Makes clients trust the authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "root.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    transport._certificates.cache_clear()
    yield
    transport._certificates.cache_clear()


@pytest.mark.usefixtures("trusted")
def test_a_reply_over_tls(call_chat: ChatCaller, authority: trustme.CA) -> None:
    """A request and its reply over TLS are exact, in pieces larger than a record."""
    with Encrypted(authority) as server:
        on = {"base_url": f"https://localhost:{server.port}/v1", "api_key": "sk-1"}
        reply = call_chat("Hi", on=on, images=[Image(BIG)])
    assert (reply.text, reply.image.data) == ("Here:", BIG)
    assert server.requests[0].headers["authorization"] == "Bearer sk-1"


def test_an_untrusted_certificate(call_chat: ChatCaller, authority: trustme.CA) -> None:
    """With an untrusted certificate, the request and its key are not sent."""
    with Encrypted(authority) as server, pytest.raises(EmbyConnectionError, match="CERTIFICATE"):
        call_chat("Hi", on={"base_url": f"https://localhost:{server.port}/v1", "max_retries": 0})
    assert server.requests == []


@pytest.mark.usefixtures("trusted")
def test_through_a_proxy(
    call_chat: ChatCaller, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a proxy, the certificate's name is checked against the gateway's."""
    tunnels: list[str] = []

    def tunnel(received: ReceivedRequest, wire: Wire) -> bool:
        tunnels.append(f"{received.method} {received.path}")
        wire.head(status="200 OK")
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            back = threading.Thread(target=_pump, args=(other, wire._connection))
            back.start()
            _pump(wire._connection, other)
            back.join()
        return False

    with Encrypted(authority) as server, Loopback(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.removesuffix("/v1"))
        url = f"https://gateway.example:{server.port}/v1"
        with pytest.raises(EmbyConnectionError, match=r"[Hh]ostname mismatch"):
            call_chat("Hi", on={"base_url": url, "api_key": "sk-1", "max_retries": 0})
    assert tunnels == [f"CONNECT gateway.example:{server.port}"]
    assert server.requests == []


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        other.close()


def test_a_peer_that_never_answers_the_handshake(call_chat: ChatCaller) -> None:
    """A peer that does not answer the handshake causes a timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://localhost:{silent.getsockname()[1]}/v1"
        with pytest.raises(EmbyTimeoutError):
            call_chat("Hi", on={"base_url": url, "api_key": "k", "timeout": 0.1, "max_retries": 0})


async def test_a_connection_that_its_peer_closed_while_the_loop_was_busy() -> None:
    """A connection closed by its peer is not used again, even before the loop noticed."""
    closed = threading.Event()

    def by(received: ReceivedRequest, wire: Wire) -> bool:
        wire.whole(as_json(completion("Hi")), "content-type: application/json")
        wire._connection.shutdown(socket.SHUT_RDWR)
        closed.set()
        return False

    with Loopback(by) as server:
        async with AsyncEmby(base_url=server.url, max_retries=0) as emby:
            for _ in range(3):
                call = asyncio.ensure_future(emby.chat("Hi"))
                assert (await call).text == "Hi"
                assert closed.wait(5)
                closed.clear()
    assert server.connections == 3
