"""The mock over HTTP, with real sockets on loopback only."""

import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest
from mock_help import JSON, PUPPY, chat, mock, parts, raw, send
from support import interruptible

from emby_plugins import AsyncEmby, Emby, TruncatedReplyError
from emby_plugins.mock import Fault, MockBackend, MockServer
from emby_plugins.mock.__main__ import main

HELLO = json.dumps(chat("Hello")).encode()
STREAM = json.dumps(chat("Hello", stream=True)).encode()


@pytest.fixture
def server():
    """A server with its log in the queue `server.lines`."""
    lines = queue.SimpleQueue()
    with MockServer(log=lines.put) as running:
        running.lines = lines
        yield running


@contextmanager
def connection(server):
    """Yield a persistent connection."""
    address = urlsplit(server.base_url)
    with closing(http.client.HTTPConnection(address.hostname, address.port, timeout=20)) as http_:
        yield http_


def post(http_, body=HELLO, path="/v1/chat/completions", **headers):
    """Return the response to a POST, unread."""
    http_.request("POST", path, body, JSON | headers)
    return http_.getresponse()


@contextmanager
def socket_to(server):
    """Yield a plain socket."""
    address = urlsplit(server.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connected:
        yield connected


def test_our_clients_over_http(server):
    """Our client gets the same over HTTP and in process, streamed or not."""
    with Emby(base_url=server.base_url) as emby, Emby(base_url="mock:") as inner:
        assert emby.chat(PUPPY).images == inner.chat(PUPPY).images
        assert emby.models() == inner.models()
        with emby.stream(PUPPY) as stream:
            list(stream)
        assert stream.reply.images == inner.chat(PUPPY).images


async def test_the_async_client_over_http(server):
    """The async client gets images over HTTP."""
    async with AsyncEmby(base_url=server.base_url) as emby:
        assert len((await emby.chat(PUPPY)).images) == 1


def test_same_bytes_as_in_process(server):
    """The body over HTTP equals the body in process."""
    with connection(server) as http_:
        for body in (HELLO, STREAM):
            assert post(http_, body).read() == raw(send(body))


def test_connections_are_kept(server):
    """One connection serves plain and chunked bodies, errors and lists in sequence."""
    with connection(server) as http_:
        whole = post(http_)
        assert whole.getheader("content-length") == str(len(whole.read()))
        mine = http_.sock
        streamed = post(http_, STREAM)
        assert streamed.getheader("transfer-encoding") == "chunked"
        assert parts(streamed.read())
        refused = post(http_, b"{")
        assert (refused.status, bool(refused.read())) == (400, True)
        http_.request("GET", "/v1/models")
        assert json.loads(http_.getresponse().read())["data"]
        assert http_.sock is mine


def test_a_base_url_without_version_is_refused(server):
    """The API is under `/v1` only, like the gateway's, and the root reports its health."""
    with connection(server) as http_:
        assert post(http_, path="/v1/chat/completions?x=1").read()
        for path in ("/chat/completions", "/v1/v1/chat/completions", "/v1/chat/completions/"):
            response = post(http_, path=path)
            assert (response.status, response.read()) == (404, b"404 Not Found")
            assert response.getheader("content-type").startswith("text/plain")
        http_.request("GET", "/")
        assert json.loads(http_.getresponse().read())["message"] == "OK"


def test_other_methods(server):
    """HEAD returns headers only, OPTIONS the methods, and an unknown route a plain 404."""
    with connection(server) as http_:
        http_.request("HEAD", "/v1/models")
        head = http_.getresponse()
        assert (head.status, head.read()) == (200, b"")
        assert int(head.getheader("content-length")) > 1000
        http_.request("OPTIONS", "/v1/models")
        options = http_.getresponse()
        assert (options.status, options.getheader("allow"), options.read()) == (
            204,
            "GET, HEAD, POST, OPTIONS",
            b"",
        )
        http_.request("DELETE", "/v1/models")
        unknown = http_.getresponse()
        assert (unknown.status, unknown.read()) == (404, b"404 Not Found")


def test_the_mock_identifies_itself(server):
    """Every reply has two headers that identify the mock."""
    with connection(server) as http_:
        response = post(http_)
        assert response.getheader("server") == "emby-mock"
        assert response.getheader("x-emby-mock") == "1"


def test_frames_are_flushed_one_by_one():
    """The first event is sent before the server waits to send the second."""
    go_on = threading.Event()
    backend = mock("emby", Fault(pause=1), sleep=lambda _: go_on.wait(20))
    with MockServer(backend) as server, connection(server) as http_:
        response = post(http_, STREAM)
        first = response.readline()
        assert first.startswith(b'data: {"id"')
        assert not go_on.is_set()
        go_on.set()
        assert response.read().count(b"[DONE]") == 1


def test_expect_continue(server):
    """`Expect: 100-continue` is answered before the body is sent."""
    with socket_to(server) as connected:
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(HELLO)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        connected.sendall(head.encode())
        assert connected.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connected.sendall(HELLO)
        assert connected.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_bodies_are_bounded(server, monkeypatch):
    """A body over the limit is refused with 413 and not kept in memory."""
    for module in ("backend", "server"):
        monkeypatch.setattr(f"emby_plugins.mock.{module}.MAX_BODY", 1000)
    with connection(server) as http_:
        response = post(http_, b" " * 3_000_000)
        assert (response.status, body_of_http(response)["status"]) == (413, 413)
        assert post(http_).status == 200
    assert len(server.backend.requests[0].content) == 1001


def body_of_http(response):
    """Return the JSON of a response."""
    return json.loads(response.read())


@pytest.mark.parametrize(
    ("header", "status"),
    [("Transfer-Encoding: chunked", 411), ("Content-Length: x", 400), ("Content-Length: -1", 400)],
)
def test_bodies_of_unknown_length(server, header, status):
    """Bodies of unknown length are refused and the connection closed."""
    with socket_to(server) as connected:
        connected.sendall(f"POST /v1/models HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        response = connected.makefile("rb").read()
    assert response.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "stream"])
def test_a_cut_drops_the_connection(server, body):
    """The fault `cut` closes the connection after the exact byte."""
    with connection(server) as http_:
        response = post(http_, body, **{"X-Emby-Mock-Fault": "cut=50"})
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    assert caught.value.partial == raw(send(body))[:50]


@pytest.mark.parametrize("stream", [False, True])
def test_our_client_notices_the_cut(server, stream):
    """Our client raises TruncatedReplyError for a cut connection, streamed or not."""
    emby = Emby(base_url=server.base_url, metadata={"mock_fault": "cut=300"})
    with emby, pytest.raises(TruncatedReplyError):
        read_all(emby) if stream else emby.chat("Hello")


def read_all(emby):
    """Read a stream to its end."""
    with emby.stream("Hello") as events:
        list(events)


def test_faults_over_http(server):
    """Status, headers and bytes are those of the fault header."""
    with connection(server) as http_:
        response = post(http_, **{"X-Emby-Mock-Fault": "status=429; retry-after=3"})
        assert (response.status, response.getheader("retry-after")) == (429, "3")
        response.read()
        empty = post(http_, **{"X-Emby-Mock-Fault": "status=204"})
        assert (empty.status, empty.read()) == (204, b"")
        odd = post(http_, **{"X-Emby-Mock-Fault": "content-type=text/html; gzip=2"})
        assert odd.getheader("content-type") == "text/html"
        assert odd.getheader("content-encoding") == "gzip, gzip"


def test_a_client_that_disconnects(server, capfd):
    """A client that disconnects in mid-stream is logged in one line, and others are served."""
    with socket_to(server) as connected:
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"X-Emby-Mock-Fault: endless\r\nContent-Length: {len(STREAM)}\r\n\r\n"
        )
        connected.sendall(head.encode() + STREAM)
        connected.recv(1000)
    assert "200 (the client left)" in server.lines.get(timeout=20)
    with connection(server) as http_:
        assert post(http_).status == 200
    server.lines.get(timeout=20)
    with socket_to(server) as connected:
        connected.sendall(b"POST /v1/models HTTP/1.1\r\nContent-Length: 99\r\n\r\nhalf")
    assert "POST /models - - (the client left)" in server.lines.get(timeout=20)
    assert capfd.readouterr() == ("", "")


def test_the_log(server):
    """The log has one sanitized line per request without secrets."""
    with connection(server) as http_:
        body = json.dumps(chat("secret words", model="a\x1b[31m\nGET /fake")).encode()
        post(http_, body, Authorization="Bearer sesame").read()
        http_.request("GET", "/v1/models?key=sesame")
        http_.getresponse().read()
    first, second = (server.lines.get(timeout=20) for _ in range(2))
    assert first.startswith("POST /chat/completions a\ufffd[31m GET /fake 400 ")
    assert second.startswith("GET /models - 200 ")
    assert second.endswith(" bytes")
    assert " ms " in second
    assert not [line for line in (first, second) if "sesame" in line or "secret" in line]


def test_a_failing_script_is_an_error_to_the_client(monkeypatch, caplog):
    """An exception in a backend is a 500 with its name, and a traceback in the log."""
    backend = MockBackend()
    monkeypatch.setattr(MockBackend, "__call__", lambda *_: 1 / 0)
    with MockServer(backend) as server, connection(server) as http_:
        response = post(http_)
        assert (response.status, b"ZeroDivisionError" in response.read()) == (500, True)
    assert "failed to respond" in caplog.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_only_this_machine(host):
    """A host that is not loopback is refused before a socket is opened."""
    with pytest.raises(ValueError, match="not a loopback address"):
        MockServer(host=host)


def test_the_other_loopback():
    """An IPv6 loopback address works, if available."""
    try:
        with MockServer(host="::1") as server:
            assert server.base_url.startswith("http://[::1]:")
            with Emby(base_url=server.base_url) as emby:
                assert emby.models()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


def test_stopping_lets_a_reply_finish():
    """Stopping completes replies in progress, and closes idle connections at once."""
    waits, go_on = threading.Event(), threading.Event()

    def sleep(_):
        waits.set()
        go_on.wait(20)

    server = MockServer(mock("emby", Fault(delay=1), sleep=sleep))
    with server, connection(server) as busy, connection(server) as idle:
        response = None
        busy.request("POST", "/v1/chat/completions", STREAM, JSON)
        assert waits.wait(20)
        idle.request("GET", "/v1/models")
        idle.getresponse().read()
        stopping = threading.Thread(target=server.__exit__, args=(None, None, None))
        stopping.start()
        assert idle.sock.recv(1) == b""
        go_on.set()
        response = busy.getresponse()
        assert response.read().count(b"[DONE]") == 1
        stopping.join(20)
        server.__enter__()


def test_a_server_can_be_opened_again():
    """A server can be opened again, and two can run at the same time."""
    server = MockServer()
    for _ in range(2):
        with server, MockServer() as other:
            assert server.base_url != other.base_url
            with Emby(base_url=server.base_url) as emby:
                assert emby.models()


@contextmanager
def command(*options):
    """Run the command, and kill it at the end."""
    words = interruptible("emby_plugins.mock", *options)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_command_stops_with_a_closed_output():
    """The command stops without an error if its output is a closed pipe."""
    with command() as process:
        process.stdout.readline()
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_command(ending):
    """The command prints its URL and an example, serves with key and profile, and stops on
    signals.
    """
    with command("--profile", "2025-12", "--key", "sesame") as process:
        greeting = [process.stdout.readline() for _ in range(3)]
        url = greeting[1].split("=")[1].strip()
        assert url in greeting[0]
        assert 'curl "$EMBY_BASE_URL/chat/completions"' in greeting[2]
        assert "$EMBY_API_KEY" in greeting[2]
        headers = {"Content-Type": "application/json", "Authorization": "Bearer sesame"}
        request = urllib.request.Request(f"{url}/chat/completions", HELLO, headers)
        with urllib.request.urlopen(request) as response:
            assert "cost_usd_total" in json.load(response)["usage"]
        process.send_signal(ending)
        output, log = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, "Stopped after 1 requests.\n")
    (line,) = log.splitlines()
    assert line.startswith("POST /chat/completions qwen2.5-vision 200 ")
    assert "sesame" not in "".join(greeting) + output + log


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--host", "0.0.0.0"], 1, "not a loopback address"),
        (["--port", "99999"], 2, "0 to 65535"),
        (["--delay", "nan"], 2, "seconds"),
        (["--profile", "2030-01"], 2, "invalid choice"),
    ],
)
def test_bad_options(options, code, says, monkeypatch, capsys):
    """Invalid options are refused with a reason."""
    monkeypatch.setattr(sys, "argv", ["mock", *options])
    with pytest.raises(SystemExit) as caught:
        main()
    output, error = capsys.readouterr()
    assert output == ""
    # The interpreter prints a text and then exits with 1.
    assert caught.value.code == code or code == 1
    assert says in error + str(caught.value.code)


def test_a_taken_port(server):
    """A port in use causes a one-line error."""
    port = str(urlsplit(server.base_url).port)
    with command("--port", port) as process:
        _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert error.startswith(f"Error: port {port} can't be used")


def test_the_help_is_of_the_module(monkeypatch, capsys):
    """`--help` has the command's name."""
    monkeypatch.setattr(sys, "argv", ["x/__main__.py", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.startswith("usage: python -m emby_plugins.mock ")
