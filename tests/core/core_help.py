"""Helpers for the protocol layer's tests: read replies without any I/O."""

from typing import Any

from support import JSON, STREAM, as_json, chunk, picture, sse

from emby_plugins import ChatReply, EmbyError, Finished, Limits, StreamEvent
from emby_plugins._protocol.reader import ReplyReader

RED, BLUE = picture("red"), picture("blue")
FINISH = chunk(finish="stop")


class Read:
    """A reply read to its end: the events, the reply and the error, if any."""

    def __init__(
        self,
        *pieces: bytes,
        headers: dict[str, str] = STREAM,
        limits: Limits | None = None,
    ) -> None:
        self.events: list[StreamEvent] = []
        self.error: EmbyError | None = None
        reader = ReplyReader(
            {"x-request-id": "r-1", **headers},
            limits=limits or Limits(),
            model="asked",
            prompt="a dog",
        )
        try:
            with reader.error_context():
                for piece in pieces:
                    self.events += reader.feed(piece)
                self.events += reader.close()
        except EmbyError as error:
            self.error = error
        self.reply: ChatReply = reader.reply


def read(*chunks: object, done: bool = True) -> Read:
    """Read a stream of these chunks."""
    return Read(sse(*chunks, done=done))


def whole(reply: object, **options: Any) -> Read:
    """Read a reply that was not streamed."""
    return Read(as_json(reply), headers=JSON, **options)


def good(result: Read) -> ChatReply:
    """Return the reply after checking that reading it raised no error."""
    assert result.error is None, result.error
    assert result.events[-1] == Finished(result.reply)
    return result.reply


def failed(result: Read, kind: type[EmbyError]) -> EmbyError:
    """Return the error after checking its exact class, its final punctuation and its request id."""
    assert type(result.error) is kind, result.error
    assert result.error.message.endswith((".", "!", "?"))
    assert result.error.request_id == "r-1"
    return result.error


def message(**fields: Any) -> dict[str, Any]:
    """`choices` with one message of these fields."""
    return {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", **fields}}]}


def called(*calls: dict[str, Any]) -> dict[str, Any]:
    """A chunk with tool calls."""
    return chunk(delta={"tool_calls": list(calls)})


def call(name: str | None = None, arguments: object = None, **fields: object) -> dict[str, Any]:
    """A tool call, or a fragment of one."""
    function = {"name": name, "arguments": arguments}
    return {**fields, "function": {k: v for k, v in function.items() if v is not None}}
