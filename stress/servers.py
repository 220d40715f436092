"""Servers that misbehave in ways that do not belong in a mock of the gateway."""

from support import ReceivedRequest, Wire, as_json, chunk, completion, picture, sse

from stress.keys import KEY

JSON = "content-type: application/json"
HTML = "content-type: text/html"
CLIPBOARD = "\x1b]52;c;cm0gLXJm\x07 \u202egnp.exe \x9b31m"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BEGUN = sse(chunk("Here is an image"), chunk(None, picture()), done=False)


def silent(_: ReceivedRequest, __: Wire) -> bool:
    """Close the connection without an answer."""
    return False


def another_protocol(_: ReceivedRequest, wire: Wire) -> bool:
    """Answer with another protocol than HTTP."""
    wire.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    return False


def closed(_: ReceivedRequest, wire: Wire) -> bool:
    """End the body by closing the connection, which HTTP considers valid."""
    wire.head("content-type: text/event-stream", "connection: close")
    wire.send(BEGUN)
    return False


def endless_headers(_: ReceivedRequest, wire: Wire) -> bool:
    """Send headers endlessly."""
    wire.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        wire.send(b"x-more: " + b"y" * 1000 + b"\r\n")


def endless_error(_: ReceivedRequest, wire: Wire) -> bool:
    """Send an error response with an endless body."""
    wire.head(JSON, "transfer-encoding: chunked", status="500 No")
    while True:
        wire.piece(b'{"error": "' + b"no" * 10_000)


def slow_error(_: ReceivedRequest, wire: Wire) -> bool:
    """Send the body of an error response byte by byte."""
    wire.head(JSON, "content-length: 1000", status="500 No")
    while not wire.is_over(0.02):
        wire.send(b" ")
    return False


def brotli(_: ReceivedRequest, wire: Wire) -> None:
    """Use an encoding that the request did not accept."""
    wire.whole(b"\x0b\x02\x80{}\x03", JSON, "content-encoding: br")


def year_99999999999(_: ReceivedRequest, wire: Wire) -> None:
    """Send a date that exceeds the range of `datetime`."""
    later = "retry-after: Mon, 01 Jan 99999999999 00:00:00 GMT"
    now = "date: Sun, 22 Nov 2026 00:00:00 GMT"
    wire.whole(as_json({"error": {"message": "Slow down"}}), JSON, later, now, status="429 No")


def echo_in_error(_: ReceivedRequest, wire: Wire) -> None:
    """Repeat the key in an error message."""
    body = {"error": {"message": f"Wrong key {KEY}", "code": KEY}}
    wire.whole(as_json(body), JSON, status="401 No")


def echo_in_page(_: ReceivedRequest, wire: Wire) -> None:
    """Show the request in a proxy's error page, cut in the middle of the key."""
    wire.whole(b"<html>" + b"=" * 50 + b"Bearer " + KEY.encode() + b"</html>", HTML)


def echo_in_id(_: ReceivedRequest, wire: Wire) -> None:
    """Return the key as the request id."""
    wire.whole(b"{}", JSON, f"x-request-id: {KEY}", status="500 No")


def escapes_in_error(_: ReceivedRequest, wire: Wire) -> None:
    """Send terminal escapes and reversed text in an error message."""
    wire.whole(as_json({"error": {"message": f"No {CLIPBOARD}"}}), JSON, status="400 No")


def escapes_in_id(_: ReceivedRequest, wire: Wire) -> None:
    """Send terminal escapes in a header, which excludes only ASCII control characters."""
    head = "HTTP/1.1 500 No\r\ncontent-length: 2\r\nx-request-id: a\u202e\x9b31mb\r\n\r\n{}"
    wire.send(head.encode())


def escapes_in_type(_: ReceivedRequest, wire: Wire) -> None:
    """Send a content part with terminal escapes in its type."""
    part = {"type": CLIPBOARD * 500, "text": ""}
    wire.stream(sse(chunk(delta={"content": [part]}), chunk(finish="stop")))


def stalled(_: ReceivedRequest, wire: Wire) -> bool:
    """Send text and pings for 0.8 seconds, then nothing."""
    wire.stream(sse(chunk("Here"), done=False), ends=False)
    for _ in range(40):
        if wire.is_over(0.02):
            return False
        wire.piece(b": ping\n")
    return not wire.is_over()


def slow_headers(_: ReceivedRequest, wire: Wire) -> bool:
    """Send the headers byte by byte, for two seconds."""
    wire.send(b"HTTP/1.1 200 OK\r\nx-slow: ")
    for _ in range(100):
        if wire.is_over(0.02):
            return False
        wire.send(b"y")
    return False


def informing(_: ReceivedRequest, wire: Wire) -> bool:
    """Send informational responses endlessly, instead of an answer."""
    for number in range(400):
        if wire.is_over(0.02):
            return False
        wire.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" if number % 2 else CONTINUE)
    return False


def held(received: ReceivedRequest, wire: Wire) -> bool:
    """Send a complete reply, then keep the connection open without ending the body."""
    if b'"stream":true' in received.body:
        wire.stream(BEGUN + sse(chunk(finish="stop")), ends=False)
    else:
        wire.head(JSON, "transfer-encoding: chunked")
        wire.piece(as_json(completion("Here is an image", picture())))
    return not wire.is_over(20)


def held_after_finish(received: ReceivedRequest, wire: Wire) -> bool:
    """Like `held`, but a stream has no `[DONE]`."""
    if b'"stream":true' not in received.body:
        return held(received, wire)
    wire.stream(BEGUN + sse(chunk(finish="stop"), done=False), ends=False)
    return not wire.is_over(20)


def held_error(_: ReceivedRequest, wire: Wire) -> bool:
    """Send an error, then keep the connection open."""
    wire.head(JSON, "transfer-encoding: chunked", status="400 No")
    wire.piece(as_json({"error": {"message": "Not that"}}))
    return not wire.is_over(20)
