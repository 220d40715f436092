"""How an answer or a refusal is spelled: JSON bodies and server-sent events, by profile.

Image generation page, Response Format and Streaming Support; Vision page, Error Handling.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pybase64

from emby_plugins.mock.answer import Answer, OutputImage, ToolCall, Usage
from emby_plugins.mock.errors import ApiError, Issue, Refusal, SchemaError, UpstreamError, reason_of
from emby_plugins.mock.models import Route
from emby_plugins.mock.profiles import Profile

JsonDict = dict[str, object]

_CREATED = 1730000000
_FINGERPRINT = "emby-mock"
_TOKEN_PRICE = 1e-9
_WORD = re.compile(r"\s*\S+\s*|\s+")
_FRAGMENT = 12

encode_json = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around every reply to one request, and the dialect of all of it."""

    digest: str
    route: Route
    profile: Profile

    def head(self, kind: str) -> JsonDict:
        """The keys that every body and chunk begins with."""
        return {
            "id": f"chatcmpl-mock-{self.digest}",
            "object": kind,
            "created": _CREATED,
            "model": self.route.asked,
            "system_fingerprint": _FINGERPRINT,
        }

    def metadata(self) -> JsonDict:
        """Who was asked and who answered."""
        provider = self.route.provider
        told: JsonDict = {"requested_model": self.route.asked}
        if provider is not None:
            told["requested_provider"] = provider
        told |= {"used_model": self.route.model.id, "used_provider": "emby-mock"}
        return told | {"underlying_used_model": "emby-mock"}


def completion(answer: Answer, envelope: Envelope) -> bytes:
    """The body of a reply that is not streamed."""
    message: JsonDict = {"role": "assistant", "content": answer.text}
    if answer.reasoning is not None:
        message["reasoning"] = answer.reasoning
    if answer.images:
        message["images"] = [_image(image) for image in answer.images]
    if answer.tool_calls:
        message["tool_calls"] = [_call(call) for call in answer.tool_calls]
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    return encode_json(
        envelope.head("chat.completion")
        | {"choices": [choice], "usage": _usage(answer.usage, envelope.profile)}
        | {"metadata": envelope.metadata()}
    )


def frames(answer: Answer, envelope: Envelope) -> Iterator[bytes]:
    """The events of a streamed reply, one an item; the last is the profile's `done`.

    Models that talk send text and then a chunk for each image; models that only make images send
    everything in one chunk, where the profile has it so.
    """
    head = envelope.head("chat.completion.chunk")
    profile = envelope.profile
    whole = profile.whole_images and not envelope.route.model.text
    deltas = _whole_delta(answer) if whole else _deltas(answer)
    number = 0
    for number, delta in enumerate(deltas):
        yield _frame(head | {"choices": [_choice(delta, None)]}, number)
    last = head | {"choices": [_choice({}, answer.finish_reason)]}
    tail: JsonDict = {"usage": _usage(answer.usage, profile), "metadata": envelope.metadata()}
    if whole or profile.usage_on_finish:
        yield _frame(last | tail, number + 1)
    else:
        yield _frame(last, number + 1)
        yield _frame(head | {"choices": []} | tail, number + 2)
    yield profile.done


def refusal_reply(refusal: Refusal, profile: Profile) -> tuple[int, bytes]:
    """The status and the body of an error reply (Vision page, Error Handling)."""
    if isinstance(refusal, SchemaError):
        issues = [_issue(issue) for issue in refusal.issues]
        told: JsonDict = {"issues": issues, "name": "ZodError"}
        return refusal.status, encode_json({"success": False, "error": told})
    status = refusal.status
    if not profile.flat_errors:
        return status, encode_json({"error": _error(refusal)})
    is_image = isinstance(refusal, ApiError) and refusal.type == "invalid_image_input"
    if is_image or isinstance(refusal, UpstreamError):
        status = 500
    return status, encode_json({"error": True, "status": status, "message": str(refusal)})


def error_event(refusal: Refusal) -> bytes:
    """The event of an error in a stream, under HTTP 200."""
    return b"event: error\ndata: %b\n\n" % encode_json({"error": _error(refusal)})


def _error(refusal: Refusal) -> JsonDict:
    told: JsonDict = {"message": str(refusal)}
    if isinstance(refusal, UpstreamError):
        return told | {"type": "upstream_error", "responseText": reason_of(refusal.status)}
    if isinstance(refusal, ApiError):
        told["type"] = refusal.type
        told |= {"param": refusal.param} if refusal.param is not None else {}
        told |= {"code": refusal.code} if refusal.code is not None else {}
    return told


def _deltas(answer: Answer) -> Iterator[JsonDict]:
    role: JsonDict = {"role": "assistant"}
    for word in _WORD.findall(answer.reasoning or ""):
        yield role | {"reasoning": word}
        role = {}
    for word in _WORD.findall(answer.text or ""):
        yield role | {"content": word}
        role = {}
    for index, call in enumerate(answer.tool_calls):
        for delta in _call_deltas(call, index):
            yield role | {"tool_calls": [delta]}
            role = {}
    for image in answer.images:
        yield {"role": "assistant", "images": [_image(image)]}
        role = {}
    if role:
        yield role | {"content": ""}


def _whole_delta(answer: Answer) -> Iterator[JsonDict]:
    images = [_image(image) for image in answer.images]
    yield {"role": "assistant", "content": answer.text, "images": images}


def _call_deltas(call: ToolCall, index: int) -> Iterator[JsonDict]:
    opening: JsonDict = {"name": call.name, "arguments": ""}
    yield {"index": index, "id": call.id, "type": "function", "function": opening}
    for start in range(0, len(call.arguments), _FRAGMENT):
        piece = call.arguments[start : start + _FRAGMENT]
        yield {"index": index, "function": {"arguments": piece}}


def _choice(delta: JsonDict, finish_reason: str | None) -> JsonDict:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _frame(chunk: JsonDict, number: int) -> bytes:
    return b"data: %b\nid: %d\n\n" % (encode_json(chunk), number)


def _image(image: OutputImage) -> JsonDict:
    url = image.url
    if url is None:
        data = pybase64.b64encode_as_string(image.data)
        url = f"data:{image.media_type};base64,{data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _call(call: ToolCall) -> JsonDict:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _usage(usage: Usage, profile: Profile) -> JsonDict:
    told: JsonDict = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    if profile.reasoning_tokens != "top":
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    if profile.reasoning_tokens != "details" and usage.reasoning:
        told["reasoning_tokens"] = usage.reasoning
    return told | _cost(usage, profile)


def _cost(usage: Usage, profile: Profile) -> JsonDict:
    paid_in, paid_out = usage.prompt * _TOKEN_PRICE, usage.completion * _TOKEN_PRICE
    if profile.cost == "cost":
        return {"cost": paid_in + paid_out, "cost_details": {"input": paid_in, "output": paid_out}}
    if profile.cost == "cost_usd":
        return {
            "cost_usd_total": paid_in + paid_out,
            "cost_usd_input": paid_in,
            "cost_usd_output": paid_out,
            "cost_usd_cached_input": 0.0,
            "cost_usd_request": 0.0,
        }
    return {}


def _issue(issue: Issue) -> JsonDict:
    told: JsonDict = {"code": issue.code, "path": list(issue.path), "message": issue.message}
    if issue.expected is not None:
        told |= {"expected": issue.expected, "received": issue.received}
    return told
