"""How an answer is spelled: JSON bodies and server-sent events, by profile and provider.

Image generation page, Response Format and Streaming Support; otherwise the recordings, whose cases
are named where a form is odd.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pybase64

from emby_plugins.mock.answer import Answer, OutputImage, ToolCall
from emby_plugins.mock.failures import Event, JsonDict, broken_stream, encode_json, event
from emby_plugins.mock.faults import Ending
from emby_plugins.mock.models import Route
from emby_plugins.mock.profiles import Profile

_CREATED = 1730000000
_FINGERPRINT = "emby-mock"
_ROLE: JsonDict = {"role": "assistant"}
_WORD = re.compile(r"\s*\S+\s*|\s+")
_FRAGMENT = 12
_IMAGE_TOKENS = 560
_CHARACTERS_PER_TOKEN = 4

# What the newest gateway counts besides; the mock has none of it.
_PROMPT_DETAILS = ("cached_tokens", "cache_write_tokens", "audio_tokens", "video_tokens",
                   "image_tokens")  # fmt: skip
_COMPLETION_DETAILS = ("reasoning_tokens", "image_tokens", "audio_tokens")
_FREE_COSTS = ("cached_input_cost", "cache_write_input_cost", "request_cost", "web_search_cost",
               "data_storage_cost")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around every reply to one request, and the dialect of all of it."""

    digest: str
    route: Route
    profile: Profile
    input_images: int = 0
    is_cached: bool = False

    def head(self, kind: str, model: str) -> JsonDict:
        """The keys that every body and chunk begins with."""
        return {
            "id": f"chatcmpl-mock-{self.digest}",
            "object": kind,
            "created": _CREATED,
            "model": model,
            "system_fingerprint": _FINGERPRINT,
        }

    @property
    def model(self) -> str:
        """The name that a whole reply gives the model; Emby documents the one asked for."""
        route = self.route
        region = f":{route.model.region}" if route.model.region else ""
        answered = f"{route.provider}/{route.model.id}{region}"
        return route.asked if self.profile.is_emby else answered

    @property
    def chunk_model(self) -> str:
        """The name that chunks give the model."""
        route = self.route
        if self.profile.is_emby or (route.provider == "custom" and not self._streams_its_name):
            return route.asked
        return route.provider_model if self._streams_its_name else self.model

    @property
    def _streams_its_name(self) -> bool:
        return self.profile.streams_provider_model

    def metadata(self, *, streamed: bool = False) -> JsonDict:
        """Who was asked and who answered."""
        route = self.route
        told: JsonDict = {
            "requested_model": route.asked,
            "requested_provider": route.requested_provider,
            "used_model": route.model.id,
            "used_provider": route.provider,
            "underlying_used_model": route.provider_model,
        }
        if not self.profile.streams_metadata:
            return told
        region: JsonDict = {} if route.model.region is None else {"region": route.model.region}
        attempt: JsonDict = {
            "provider": route.provider,
            "model": route.provider_model,
            "status_code": 200,
            "error_type": "none",
            "succeeded": True,
            "apiKeyHash": "mock",
            "credentialSource": "byok",
            "providerKeyId": "mock",
            "logId": f"mock-{self.digest}",
        }
        if route.provider == "custom":
            attempt["providerKeyLabel"] = route.asked.partition("/")[0]
        told |= {f"used_{name}": value for name, value in region.items()}
        if self.is_cached and not streamed:
            del attempt["apiKeyHash"], attempt["logId"]
        told |= {"routing": [attempt | region]} | self.record()
        return told if streamed else {"request_id": f"mock-{self.digest}", **told}

    def record(self) -> JsonDict:
        """Where the newest gateway filed the request."""
        ids = dict.fromkeys(("organization_id", "project_id"), "mock")
        cached = {"cached": True} if self.is_cached else {}
        return {"log_id": f"mock-{self.digest}", **ids, "discount": None, **cached}


def completion(answer: Answer, envelope: Envelope) -> bytes:
    """The body of a reply that is not streamed."""
    message: JsonDict = {**_ROLE, "content": answer.text}
    if answer.text is None and answer.images and _fills_text(envelope):
        message["content"] = "Image generated"
    if answer.reasoning is not None:
        message["reasoning"] = answer.reasoning
    if answer.refusal is not None:
        message["refusal"] = answer.refusal
    if answer.annotations:
        message["annotations"] = answer.annotations
    if answer.images:
        message["images"] = [_image(_url(image)) for image in answer.images]
    if answer.tool_calls:
        message["tool_calls"] = [_call(call) for call in answer.tool_calls]
    reason = _finish_reason(answer, envelope.profile)
    body = envelope.head("chat.completion", envelope.model)
    body["choices"] = [{"index": 0, "message": message, "finish_reason": reason}]
    if answer.usage.reported != {}:
        body["usage"] = _usage(answer, envelope, "whole")
    return encode_json(body | {"metadata": envelope.metadata()})


def frames(answer: Answer, envelope: Envelope, ending: Ending | None = None) -> Iterator[bytes]:
    """The events of a streamed reply, one an item; the last is `[DONE]`, if nothing follows it.

    `ending` is how the provider's stream ends where it does not end well.
    """
    if envelope.route.model.speaks == "images" and ending is None:
        for data in _whole_chunks(answer, envelope):
            yield b"data: %b\n\n" % encode_json(data)
        yield b"data: [DONE]\n\n"
        return
    for number, (name, told) in enumerate(_events(answer, envelope, ending)):
        yield event(name, told, number)


def empty(answer: Answer, envelope: Envelope) -> JsonDict:
    """The last chunk of a reply of which no word came."""
    head = envelope.head("chat.completion.chunk", envelope.chunk_model)
    return head | {"choices": [_choice({})], "usage": _counts(answer)}


def _events(answer: Answer, envelope: Envelope, ending: Ending | None) -> Iterator[Event]:
    head = envelope.head("chat.completion.chunk", envelope.chunk_model)
    google = envelope.route.model.speaks == "google"
    # A Google model's chunks say so early that there is no usage yet.
    tail: JsonDict = {"usage": None} if google else {}
    deltas = list(_google_deltas(answer) if google else _openai_deltas(answer, envelope.profile))
    limit = envelope.profile.max_streamed_image
    if ending is not None and not any((answer.text, answer.images, answer.tool_calls)):
        deltas = []
    for delta in deltas:
        if limit is None or _longest_url(delta) <= limit:
            yield None, head | {"choices": [_choice(delta)]} | tail
    last = head | {"choices": [_choice({})]}
    final: JsonDict = {"usage": _usage(answer, envelope, "final")}
    if envelope.profile.streams_metadata:
        final["metadata"] = envelope.metadata(streamed=True)
    if ending is not None:
        uncosted: JsonDict = {"usage": _counts(answer)}
        yield from broken_stream(
            envelope.profile, ending, last | final, last | uncosted, said=bool(deltas)
        )
        return
    reason = _finish_reason(answer, envelope.profile)
    reported: JsonDict = {"usage": _usage(answer, envelope, "reported")}
    if google:
        # Case image-stream: where text came in pieces, an empty one ends it.
        pieces = sum("content" in delta for delta in deltas)
        empty = {"content": ""} if envelope.profile.fills_empty_text and pieces > 1 else {}
        yield None, head | {"choices": [_choice({**_ROLE, **empty}, reason)]} | reported
        if envelope.profile.streams_metadata:
            yield None, last | final
            yield None, last | {"metadata": final["metadata"]}
    else:
        yield None, head | {"choices": [_choice(_ROLE, reason)]}
        if envelope.is_cached and envelope.profile.marks_cache:
            reported["metadata"] = envelope.record()
        if answer.usage.reported != {}:
            yield None, head | {"choices": []} | reported
        yield None, last | final
    yield "done", None


def _whole_chunks(answer: Answer, envelope: Envelope) -> Iterator[JsonDict]:
    """The stream of a model that only makes images: all of it at once, and the end."""
    head = envelope.head("chat.completion.chunk", envelope.chunk_model)
    images = [_image(_url(image)) for image in answer.images]
    text = answer.text or "Image generated"
    yield head | {"choices": [_choice({**_ROLE, "content": text, "images": images})]}
    usage: JsonDict = {"usage": _usage(answer, envelope, "whole")}
    ended = _choice({}, _finish_reason(answer, envelope.profile))
    yield head | {"choices": [ended]} | usage | {"metadata": envelope.metadata()}


def _openai_deltas(answer: Answer, profile: Profile) -> Iterator[JsonDict]:
    calls = [
        delta
        for index, call in enumerate(answer.tool_calls)
        for delta in _call_deltas(call, index, profile)
    ]
    talks = any((answer.reasoning, answer.text, answer.refusal, answer.images))
    if talks or not calls:
        yield {**_ROLE, "content": ""}
    for piece in _words(answer.reasoning):
        yield {**_ROLE, "reasoning": piece}
    for piece in _words(answer.text):
        yield {**_ROLE, "content": piece}
    if answer.refusal is not None:
        yield {**_ROLE, "refusal": answer.refusal}
    for image in answer.images:
        yield {**_ROLE, "images": [_image(_url(image))]}
    for number, delta in enumerate(calls):
        opening = {} if number or talks else {"content": None}
        yield {**_ROLE, **opening, "tool_calls": [delta]}


def _google_deltas(answer: Answer) -> Iterator[JsonDict]:
    if answer.reasoning:
        yield {**_ROLE, "reasoning": answer.reasoning}
    for piece in _words(answer.text):
        yield {**_ROLE, "content": piece}
    for image in answer.images:
        yield {**_ROLE, "images": [_image(_url(image))]}


def _words(text: str | None) -> list[str]:
    return _WORD.findall(text or "")


def _longest_url(delta: JsonDict) -> int:
    images = delta.get("images")
    urls = (image["image_url"]["url"] for image in images) if isinstance(images, list) else ()
    return max(map(len, urls), default=0)


def _call_deltas(call: ToolCall, index: int, profile: Profile) -> Iterator[JsonDict]:
    opening: JsonDict = {"name": call.name, "arguments": ""}
    yield {"index": index, "id": call.id, "type": "function", "function": opening}
    kind: JsonDict = {} if profile.streams_provider_model else {"type": "function"}
    for start in range(0, len(call.arguments), _FRAGMENT):
        piece = call.arguments[start : start + _FRAGMENT]
        yield {"index": index, "function": {"arguments": piece}, **kind}


def _choice(delta: JsonDict, finish_reason: str | None = None) -> JsonDict:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _finish_reason(answer: Answer, profile: Profile) -> str | None:
    safety = answer.finish_reason == "image_safety"
    return profile.image_safety if safety else answer.finish_reason


def _fills_text(envelope: Envelope) -> bool:
    model = envelope.route.model
    return model.speaks == "images" or (
        model.speaks == "google" and envelope.profile.fills_empty_text
    )


def _url(image: OutputImage) -> str:
    if image.url is not None:
        return image.url
    return f"data:{image.media_type};base64,{pybase64.b64encode_as_string(image.data)}"


def _image(url: str) -> JsonDict:
    return {"type": "image_url", "image_url": {"url": url}}


def _call(call: ToolCall) -> JsonDict:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _counts(answer: Answer, image_tokens: int = 0) -> JsonDict:
    usage = answer.usage
    total = usage.prompt + usage.completion
    counts: JsonDict = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": total,
    }
    told = usage.reported or {}
    counts |= {name: told[name] for name in counts if name in told}
    for name in ("prompt_tokens", "total_tokens"):
        counts[name] = int(str(counts[name])) + image_tokens
    return counts


def _usage(
    answer: Answer, envelope: Envelope, place: Literal["whole", "reported", "final"]
) -> JsonDict:
    """The usage of a whole reply, of a chunk as the provider `reported` it, or of the last chunk.

    The last chunk counts anew and forgets details that an earlier one had (case reasoning-stream).
    """
    profile, google = envelope.profile, envelope.route.model.speaks == "google"
    # The newest gateway adds what it takes Google's input images for.
    own = profile.details_usage and google and place != "reported"
    told = _counts(answer, _IMAGE_TOKENS * envelope.input_images if own else 0)
    thought = answer.usage.reasoning
    reported = answer.usage.reported or {}
    details = reported.get("completion_tokens_details")
    if isinstance(details, dict):
        thought = details.get("reasoning_tokens", thought)
    if place == "reported":
        told["prompt_tokens_details"] = {"cached_tokens": 0}
    if place != "final" and not google:
        told |= {key: value for key, value in reported.items() if key.endswith("_details")}
        if thought and not (place == "reported" and profile.details_usage):
            told.setdefault("completion_tokens_details", {"reasoning_tokens": thought})
    # Documented (Reasoning page); the newest gateway has it where it counted itself.
    counted = profile.details_usage and (place != "whole" or google)
    if counted and place != "reported" and thought:
        thought = max(1, round(len(answer.reasoning or "") / _CHARACTERS_PER_TOKEN))
    if thought and (profile.is_emby or counted) and not (google and place == "reported"):
        told["reasoning_tokens"] = thought
        if profile.details_usage and place == "reported":
            told.pop("completion_tokens_details", None)
    if place != "reported":
        told |= _costs(answer, envelope)
        if profile.details_usage:
            told |= _all_details(told, thought)
    return told


def _all_details(told: JsonDict, thought: int) -> JsonDict:
    known = {"completion_tokens_details": {"reasoning_tokens": thought}} | told
    return {
        name: dict.fromkeys(keys, 0) | _dict(known.get(name))
        for name, keys in (
            ("prompt_tokens_details", _PROMPT_DETAILS),
            ("completion_tokens_details", _COMPLETION_DETAILS),
        )
    }


def _dict(value: object) -> JsonDict:
    return value if isinstance(value, dict) else {}


def _costs(answer: Answer, envelope: Envelope) -> JsonDict:
    form, model = envelope.profile.cost, envelope.route.model
    price = model.price
    parts = ("total", "input", "output", "cached_input", "request")
    if form == "none" or (form == "cost" and price is None):
        return {}
    if price is None:
        return {f"cost_usd_{part}": None for part in parts}
    paid = 0.0 if envelope.is_cached and envelope.profile.marks_cache else price
    spent = {"input": answer.usage.prompt * paid, "output": answer.usage.completion * paid}
    total = spent["input"] + spent["output"]
    if form == "cost_usd":
        known = {"total": total, **spent}
        return {f"cost_usd_{part}": known.get(part, 0) for part in parts}
    google, priced = model.speaks == "google", model.speaks != "openai" and price
    upstream = {"": total, "_prompt": spent["input"], "_completions": spent["output"]}
    return {
        "cost": total,
        "cost_details": {
            **{f"upstream_inference{part}_cost": cost for part, cost in upstream.items()},
            "total_cost": total,
            "input_cost": spent["input"],
            "output_cost": spent["output"],
            **dict.fromkeys(_FREE_COSTS, 0),
            "image_input_cost": 0 if google and envelope.input_images else None,
            "image_output_cost": 0 if priced and answer.images else None,
            "audio_input_cost": None,
        },
    }
