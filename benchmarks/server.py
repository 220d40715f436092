"""A stub gateway that answers immediately, with prepared bytes, in its own process.

`python -m benchmarks.server` prints its port. The model's name selects the answer: `short-0`,
`deltas-2000`, `image-20` (megabytes; a third number selects another image), `slow-8` (a delta
every quarter of a second). `stream` in the request selects streaming. Further numbers are for the
client that measures.
"""

import asyncio
import base64
import json
import random
from functools import cache

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\nx-request-id: bench\r\n"
MEGABYTE = 1_000_000
SLICE = 1 << 18
PAUSE = 0.25


@cache
def picture(megabytes: int, variant: int = 0) -> bytes:
    """Bytes that begin like a PNG, the same in every process."""
    body = random.Random(f"{megabytes} {variant}").randbytes(megabytes * MEGABYTE)
    return b"\x89PNG\r\n\x1a\n" + body[8:]


def _frame(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1730000000,
        "model": "bench",
        "system_fingerprint": None,
        "choices": [choice],
        **more,
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@cache
def answer(kind: str, size: int, variant: int, stream: bool) -> tuple[bytes, ...]:
    """The pieces of one response, including its head."""
    is_long = kind in {"deltas", "slow"}
    text = [f"word{i} " for i in range(size)] if is_long else ["Hello."]
    # The real number of tokens: for a higher one, a client warns of lost images.
    tokens = len(text)
    usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    images = []
    if kind == "image":
        url = "data:image/png;base64," + base64.b64encode(picture(size, variant)).decode()
        images = [{"type": "image_url", "image_url": {"url": url}}]
    if stream:
        frames = [_frame({"role": "assistant", "content": piece}) for piece in text]
        frames += [_frame({"images": [image]}) for image in images]
        frames += [_frame({}, "stop", usage=usage), b"data: [DONE]\n\n"]
        head = HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"
        chunks = [b"%x\r\n%s\r\n" % (len(frame), frame) for frame in frames]
        return (head, *chunks, b"0\r\n\r\n")
    message: dict[str, object] = {"role": "assistant", "content": "".join(text)}
    if images:
        message["images"] = images
    body = json.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1730000000,
            "model": "bench",
            "system_fingerprint": None,
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": usage,
        }
    ).encode()
    return (HEAD % b"application/json" + b"content-length: %d\r\n\r\n" % len(body) + body,)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            request = json.loads(await reader.readexactly(length))
            kind, *numbers = request["model"].split("-")
            size, variant, *_ = [*map(int, numbers), 0, 0]
            variant = variant if kind == "image" else 0
            for piece in answer(kind, size, variant, bool(request.get("stream"))):
                if kind == "slow":
                    await asyncio.sleep(PAUSE)
                # Small writes, since asyncio's buffering takes more than linear time.
                for start in range(0, len(piece), SLICE):
                    writer.write(piece[start : start + SLICE])
                    await writer.drain()
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve until stopped."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=256 * MEGABYTE, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
