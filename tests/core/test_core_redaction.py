"""The key never leaves the client, and text from outside is made safe to print."""

import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import ChatCaller, ScriptedBackend, answer, as_json, chunk, picture, sse

from emby_plugins import BackendResponse, ChatReply, EmbyError, Image, clean_lines, clean_text
from emby_plugins._redaction import redact, redact_error
from emby_plugins._settings import Secret

KEY = "sk-secret-123"
ECHO = {"error": {"message": f"Bad {KEY}", "type": KEY, "code": KEY, "param": KEY}}

ECHOES: dict[str, Callable[[], BackendResponse]] = {
    "fields": lambda: answer(ECHO, status=401),
    "flat": lambda: answer({"error": True, "message": KEY}, status=401),
    "provider": lambda: answer({"error": {"message": "x", "responseText": KEY}}, status=500),
    "issues": lambda: answer({"error": {"issues": [{"path": [KEY], "message": KEY}]}}, status=400),
    "headers": lambda: answer({"headers": {"authorization": f"Bearer {KEY}"}}, status=400),
    "text": lambda: BackendResponse(401, {}, iter([f"Bearer {KEY} is wrong".encode()])),
    "cut": lambda: BackendResponse(401, {}, iter([b"x" * 590 + KEY.encode()])),
    "request id": lambda: answer({"error": "No"}, status=400, headers={"x-request-id": KEY}),
    "under 200": lambda: answer(ECHO),
    "event": lambda: answer(b"event: error\ndata: " + as_json(ECHO) + b"\n\n"),
    "unread": lambda: answer(sse(chunk("Hi"), f"data: {KEY} is yours\n\n".encode())),
    "partial": lambda: answer(sse(chunk(f"Your key is {KEY}"), done=False)),
    "metadata": lambda: answer(sse(chunk("Hi", metadata={"key": KEY}), done=False)),
}


def everything(error: BaseException) -> Iterator[object]:
    """Yield everything that an error and its causes hold."""
    while True:
        yield from (vars(error), error.args, str(error), getattr(error, "__notes__", None))
        if isinstance(error, EmbyError):
            yield from (error.partial, error.partial and error.partial.unread)
        if error.__cause__ is None and error.__context__ is None:
            return
        error = error.__cause__ or error.__context__  # type: ignore[assignment]


@pytest.mark.parametrize("way", ECHOES)
def test_no_error_contains_the_key(call_chat: ChatCaller, way: str) -> None:
    """A key echoed by the gateway is redacted in every field and form of the error."""
    backend = ScriptedBackend(by=lambda _: ECHOES[way]())
    with pytest.raises(EmbyError) as caught:
        call_chat("Hi", on={**backend.on, "api_key": KEY, "max_retries": 0})
    assert "sk-secret" not in "".join(map(repr, everything(caught.value)))
    assert b"sk-secret" not in pickle.dumps(caught.value)
    assert "[key]" in "".join(map(repr, everything(caught.value)))


def test_the_key_is_not_written_to_the_folder_of_images(
    call_chat: ChatCaller, tmp_path: Path
) -> None:
    """Unreadable content saved to `image_folder` has the key redacted."""
    backend = ScriptedBackend(by=lambda _: ECHOES["unread"]())
    with pytest.raises(EmbyError, match="is kept as it was received"):
        call_chat("Hi", on={**backend.on, "api_key": KEY, "image_folder": tmp_path})
    (path,) = tmp_path.iterdir()
    assert b"[key] is yours" in path.read_bytes()


def test_a_key_in_a_request_id_is_redacted(call_chat: ChatCaller) -> None:
    """A key echoed in the request id of a successful reply is redacted."""
    backend = ScriptedBackend(
        by=lambda _: answer(sse(chunk("Hi", finish="stop")), headers={"x-request-id": f"r-{KEY}"})
    )
    assert call_chat("Hi", on={**backend.on, "api_key": KEY}).request_id == "r-[key]"


def test_redaction_keeps_content() -> None:
    """Redaction keeps images as the same objects, and prefixes of the key within content."""
    image = Image(content=picture() + KEY.encode())
    error = EmbyError(f"{KEY[:9]} and {KEY}!")
    error.add_note(KEY)
    error.partial = ChatReply(
        text=f"{KEY[:9]} {KEY}", images=(image,), unread=(b"a" + KEY.encode(),)
    )
    redact_error(error, Secret(KEY))
    assert (error.message, error.args) == ("[key] and [key]!", ("[key] and [key]!",))
    assert error.__notes__ == ["[key]"]
    assert error.partial.text == f"{KEY[:9]} [key]"
    assert error.partial.unread == (b"a[key]",)
    assert error.partial.images[0] is image


def test_a_short_key_is_not_redacted() -> None:
    """A key that is too short to be distinctive is not redacted."""
    error = EmbyError("a test")
    redact_error(error, Secret("test"))
    assert error.message == redact("a test", Secret("test")) == "a test"
    assert redact("a test-key1x", Secret("test-key1")) == "a [key]x"


EVIL = "a\x1b[31mb\u202ec\x9bd\u200fe\u2028f\ud800g\x00"


def test_clean_text_returns_one_printable_line() -> None:
    """`clean_text` returns one printable line, keeps different ids different, and truncates on
    request.
    """
    assert re.fullmatch("[\x20-\x7e\ufffd]+", clean_text(EVIL))
    assert clean_text("gpt\u202e") != clean_text("gpt")
    assert clean_text(" a\r\n\tb ") == "a b"
    assert clean_text("Grüße 🐶") == "Grüße 🐶"
    assert (clean_text("abc", 2), clean_text("abc", 3)) == ("ab...", "abc")


def test_clean_lines_keeps_line_breaks() -> None:
    """`clean_lines` keeps line breaks, tabs, unusual spaces and joined emoji."""
    assert clean_lines(EVIL) == "a\ufffd[31mb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg\ufffd"
    kept = "a\n\tb\u00a0c\u3000 👩\u200d🚀 \u06cc\u200c\u062e"
    assert clean_lines(kept) == kept
    assert clean_lines("a\r\nb\rc") == "a\nb\ufffdc"
