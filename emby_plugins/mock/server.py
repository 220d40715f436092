"""`MockServer`: the mock over HTTP on this machine, for any OpenAI-compatible client."""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from emby_plugins._protocol.backend import BackendRequest
from emby_plugins._settings import is_loopback_host
from emby_plugins._text import clean_text
from emby_plugins.mock.backend import MAX_BODY, MockBackend
from emby_plugins.mock.responses import MockResponse, outside

LINGER = 2.0
"""How many seconds a stopping server waits for the replies being sent."""

_IDLE = 300.0
_PIECE = 1 << 20
_ALLOWED = "GET, HEAD, POST, OPTIONS"
_BODYLESS = (204, 304)
_PREFIX = "/v1"

_log = logging.getLogger("emby_plugins.mock")


class MockServer:
    """Serves a mock backend at `base_url` while open as a context manager.

    `host` must be a loopback address; `port` 0 takes a free one. `log` receives a line for each
    request: method, path, model, status, milliseconds and bytes, never the key or the content.
    Raises `ValueError` for a host that others could reach, `OSError` if the port is taken.
    """

    def __init__(
        self,
        backend: MockBackend | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        log: Callable[[str], object] | None = None,
    ) -> None:
        if not is_loopback_host(host):
            raise ValueError(f"{host!r} is not a loopback address: use 127.0.0.1 or ::1")
        self.backend = backend or MockBackend()
        self.served = 0
        self._address = (host, port)
        self._log = log
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """The base URL for clients, such as `http://127.0.0.1:8123/v1`."""
        host, port = self._http.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{shown}:{port}/v1"

    def __enter__(self) -> Self:
        self._http = _Server(self._address, self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="emby-mock", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._http.close_connections()

    def note(self, line: str) -> None:
        """Count a request, and log it."""
        with self._lock:
            self.served += 1
            if self._log is not None:
                self._log(line)


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that it can end them."""

    daemon_threads = True
    # Many clients may come at once.
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], mock: MockServer) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.mock = mock
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log a reply that fails, but not a client that has left."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("The mock could not finish a reply.")

    def close_connections(self) -> None:
        """End the idle connections at once, and busy ones after their reply or `LINGER`."""
        # Shut down reading only: pending replies can still be sent.
        self._shut(socket.SHUT_RD)
        with self._changed:
            self._changed.wait_for(lambda: not self._open, LINGER)
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        with self._changed:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(how)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE
    server: _Server

    def handle_one_request(self) -> None:
        self._sent = 0
        super().handle_one_request()

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self.send_header("Allow", _ALLOWED)
        self.end_headers()

    def version_string(self) -> str:
        return "emby-mock"

    def log_message(self, *_: object) -> None:
        """Nothing: `note` logs one line for each request, and nothing that a client sent."""

    def _serve(self) -> None:
        began = time.monotonic()
        path = self.path.removeprefix(_PREFIX)
        outcome, model = "", "-"
        try:
            unread = self._unreadable()
            if unread is not None:
                self.close_connection = True
                outcome = str(unread)
                self.send_error(unread)
            else:
                method = "GET" if self.command == "HEAD" else self.command
                headers = {name.lower(): value for name, value in self.headers.items()}
                response = self._respond(BackendRequest(method, path, headers, self._body()))
                outcome, model = str(response.status), response.model
                self._send(response)
        except OSError:
            self.close_connection = True
            outcome = f"{outcome or '-'} (the client left)"
        milliseconds = (time.monotonic() - began) * 1000
        line = f"{self.command} {path.partition('?')[0]:.200} {model or '-':.100} {outcome}"
        self.server.mock.note(clean_text(f"{line} {milliseconds:.0f} ms {self._sent} bytes", 600))

    def _unreadable(self) -> int | None:
        """The error status for a body of unknown length."""
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers:
            return 411
        return None if length.isascii() and length.isdecimal() and len(length) < 16 else 400

    def _body(self) -> bytes:
        # Read and discard what is over the limit: a client that is still sending reads no response.
        left = int(self.headers.get("content-length", "0"))
        body = bytearray()
        while left:
            piece = self.rfile.read(min(left, _PIECE))
            if not piece:
                raise ConnectionResetError("the body ended early")
            left -= len(piece)
            body += piece[: MAX_BODY + 1 - len(body)]
        return bytes(body)

    def _respond(self, request: BackendRequest) -> MockResponse:
        if not self.path.startswith(f"{_PREFIX}/"):
            return outside(request.method, request.path)
        try:
            return self.server.mock.backend(request)
        except Exception as error:  # noqa: BLE001 - the client gets it too
            _log.exception("The mock failed to respond.")
            text = f"The mock failed to respond: {error!r}".encode()
            return MockResponse(500, {"content-type": "text/plain"}, iter((text,)))

    def _send(self, response: MockResponse) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        is_bare = self.command == "HEAD" or response.status in _BODYLESS
        is_chunked = not is_bare and "content-length" not in response.headers
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if is_bare:
            return
        for chunk in filter(None, response.body):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if is_chunked else chunk)
            self._sent += len(chunk)
        if response.is_cut:
            self.close_connection = True
        elif is_chunked:
            self.wfile.write(b"0\r\n\r\n")
