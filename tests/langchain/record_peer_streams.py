"""Write `peer_streams.json`: streamed replies as other providers' packages hand them to users.

Run with langchain-openai, langchain-anthropic and langchain-google-genai installed; it was with
1.7.4, 1.7.10 and 4.4.3. Their models get events in the form of the providers' APIs from a server
in this process, whole and broken off, so each reply is a sum of the chunks that `stream` yields.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pybase64
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessageChunk, message_to_dict
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from lc_support import PNG, merged
from record_peer_messages import (
    ANTHROPIC_BLOCKS,
    ARGS,
    GEMINI_PARTS,
    JSON_ARGS,
    OPENAI_ITEMS,
    TEXT,
)

Event = dict[str, Any]
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "look", "parameters": {}}}


def halves(text: str) -> tuple[str, str]:
    """A text in the pieces of a stream."""
    return text[: len(text) // 2], text[len(text) // 2 :]


def responses_events() -> Iterator[Event]:
    """A reply of OpenAI's Responses API."""
    yield {"type": "response.created", "response": {**RESPONSE, "output": []}}
    for number, item in enumerate(OPENAI_ITEMS):
        begun = item | {"content": []} if "content" in item else dict(item)
        begun |= {"arguments": ""} if "arguments" in item else {}
        begun |= {"summary": []} if "summary" in item else {}
        yield {"type": "response.output_item.added", "output_index": number, "item": begun}
        at = {"output_index": number, "item_id": item["id"]}
        yield from ({**event, **at} for event in responses_deltas(item))
        yield {"type": "response.output_item.done", "output_index": number, "item": item}
    yield {"type": "response.completed", "response": {**RESPONSE, "output": OPENAI_ITEMS}}


def responses_deltas(item: dict[str, Any]) -> Iterator[Event]:
    """The deltas of one item."""
    if item["type"] == "reasoning":
        part = {"type": "summary_text", "text": ""}
        yield {"type": "response.reasoning_summary_part.added", "summary_index": 0, "part": part}
        for piece in halves(item["summary"][0]["text"]):
            kind = "response.reasoning_summary_text.delta"
            yield {"type": kind, "summary_index": 0, "delta": piece}
    if item["type"] == "image_generation_call":
        kind = "response.image_generation_call.partial_image"
        yield {"type": kind, "partial_image_index": 0, "partial_image_b64": item["result"]}
    for content in item.get("content", ()):
        for piece in halves(content["text"]):
            yield {"type": "response.output_text.delta", "content_index": 0, "delta": piece}
        for number, annotation in enumerate(content["annotations"]):
            kind = "response.output_text.annotation.added"
            place = {"content_index": 0, "annotation_index": number}
            yield {"type": kind, **place, "annotation": annotation}
        yield {"type": "response.output_text.done", "content_index": 0, "text": content["text"]}
    if item["type"] == "function_call":
        for piece in halves(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", "delta": piece}


def chat_events() -> Iterator[Event]:
    """A reply of OpenAI's chat completions."""
    call = {"index": 0, "id": "call_1", "type": "function"}
    first, second = halves(JSON_ARGS)
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        *({"content": piece} for piece in halves(TEXT)),
        {"tool_calls": [{**call, "function": {"name": "look", "arguments": first}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": second}}]},
    ]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}


def anthropic_events() -> Iterator[Event]:
    """A reply of Anthropic's Messages API."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude"}
    yield {"type": "message_start", "message": {**message, "content": [], "usage": usage}}
    for index, block in enumerate(ANTHROPIC_BLOCKS):
        empty = {"thinking": "", "signature": "", "input": {}, "text": "", "citations": []}
        begun = {**block, **{name: empty[name] for name in block if name in empty}}
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        for delta in anthropic_deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": "tool_use", "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 1}}
    yield {"type": "message_stop"}


def anthropic_deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The deltas of one block."""
    for piece in halves(block.get("thinking", "")) if "thinking" in block else ():
        yield {"type": "thinking_delta", "thinking": piece}
    if "signature" in block:
        yield {"type": "signature_delta", "signature": block["signature"]}
    for piece in halves(block["text"]) if "text" in block else ():
        yield {"type": "text_delta", "text": piece}
    for citation in block.get("citations", ()):
        yield {"type": "citations_delta", "citation": citation}
    for piece in halves(json.dumps(block["input"])) if "input" in block else ():
        yield {"type": "input_json_delta", "partial_json": piece}


def gemini_events() -> Iterator[Event]:
    """A reply of Gemini's API."""
    signed = {"thought_signature": "c2lnbmVk"}
    begun, end = halves(TEXT)
    image = {"mime_type": "image/png", "data": pybase64.b64encode_as_string(PNG)}
    parts: list[dict[str, Any]] = [
        *GEMINI_PARTS[:3],
        {"text": begun},
        {"text": end, **signed},
        {"inline_data": image},
        {"function_call": {"name": "look", "args": ARGS}, **signed},
    ]
    for part in parts:
        content = {"role": "model", "parts": [part]}
        yield {"candidates": [{"content": content}], "model_version": "gemini"}
    yield {"candidates": [{"finish_reason": "STOP"}], "model_version": "gemini"}


EVENTS = {
    "responses": responses_events,
    "chat": chat_events,
    "messages": anthropic_events,
    "gemini": gemini_events,
}


class Server(ThreadingHTTPServer):
    """Streams the events of the API that a path belongs to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers each request with its API's stream."""

    def do_POST(self) -> None:
        """Send the stream."""
        self.rfile.read(int(self.headers["content-length"]))
        name = next(name for name in EVENTS if name in self.path)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for number, event in enumerate(EVENTS[name]()):
            numbered = {**event, "sequence_number": number} if name == "responses" else event
            kind = f"event: {event['type']}\n" if "type" in event else ""
            self.wfile.write(f"{kind}data: {json.dumps(numbered)}\n\n".encode())
        if name == "chat":
            self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def models(url: str) -> Iterator[tuple[str, Any]]:
    """Each provider's model in each of its output versions."""
    for version in ("v0", "v1", "responses/v1"):
        openai: dict[str, Any] = {"api_key": "k", "base_url": url, "output_version": version}
        yield f"responses-{version}", ChatOpenAI(use_responses_api=True, **openai)
        if version == "responses/v1":
            continue
        yield f"chat_completions-{version}", ChatOpenAI(**openai)
        settings: dict[str, Any] = {"api_key": "k", "base_url": url, "output_version": version}
        yield f"anthropic-{version}", ChatAnthropic(model="claude", **settings).bind_tools([TOOL])
        yield f"gemini-{version}", ChatGoogleGenerativeAI(model="gemini", **settings)


def cut(chunks: Iterable[AIMessageChunk]) -> AIMessageChunk:
    """Return the sum of the chunks before the one that completes the tool call."""
    kept = []
    for chunk in chunks:
        if any(piece["args"].endswith("}") for piece in chunk.tool_call_chunks if piece["args"]):
            break
        kept.append(chunk)
    total: AIMessageChunk = merged(kept)
    return total


if __name__ == "__main__":
    made = {}
    for name, model in models(Server().url):
        chunks = list(model.stream("Draw a dog."))
        made[name] = message_to_dict(merged(chunks))
        made[f"{name}-cut"] = message_to_dict(cut(chunks))
    text = json.dumps(made, indent=1, ensure_ascii=False, default=lambda data: data.decode())
    Path(__file__).with_name("peer_streams.json").write_text(text + "\n", "utf-8")
