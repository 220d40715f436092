"""Serialize a reply as JSON bodies and server-sent events, by profile and provider.

Image generation page, Response Format and Streaming Support; otherwise the recordings, with their
cases named next to each odd form.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from emby_plugins._images import Image
from emby_plugins._messages import ToolCall
from emby_plugins.mock.error_responses import Event, JsonDict, broken_stream, encode_json, event
from emby_plugins.mock.faults import Ending
from emby_plugins.mock.models import Route
from emby_plugins.mock.profiles import Profile
from emby_plugins.mock.respond import Reply

CREATED = 1730000000

_ROLE: JsonDict = {"role": "assistant"}
_WORD = re.compile(r"\s*\S+\s*|\s+")
_FRAGMENT = 12
_IMAGE_TOKENS = 560
_CHARACTERS_PER_TOKEN = 4

# What the newest gateway counts besides; the mock has none of it.
_DETAILS = {
    "prompt_tokens_details": ("cached_tokens", "cache_write_tokens", "audio_tokens",
                              "video_tokens", "image_tokens"),
    "completion_tokens_details": ("reasoning_tokens", "image_tokens", "audio_tokens"),
}  # fmt: skip
_FREE_COSTS = ("cached_input_cost", "cache_write_input_cost", "request_cost", "web_search_cost",
               "data_storage_cost")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is around every reply to one request, and the dialect of all of it."""

    digest: str
    route: Route
    profile: Profile
    input_images: int = 0
    is_cached: bool = False

    @property
    def is_google(self) -> bool:
        """Whether the provider is Google, with a protocol that the gateway translates."""
        return self.route.model.speaks == "google"

    @property
    def is_marked(self) -> bool:
        """Whether the reply is cached and marked as such."""
        return self.is_cached and self.profile.marks_cache

    def head(self, kind: str, model: str) -> JsonDict:
        """The keys that every body and chunk begins with."""
        fixed = {"object": kind, "created": CREATED, "model": model}
        return {"id": f"chatcmpl-mock-{self.digest}", **fixed, "system_fingerprint": "emby-mock"}

    def chunk(self, *choices: JsonDict) -> JsonDict:
        """A chunk of a stream."""
        return self.head("chat.completion.chunk", self.chunk_model) | {"choices": list(choices)}

    @property
    def model(self) -> str:
        """The name of the model in a whole reply; Emby documents the requested one."""
        route = self.route
        region = f":{route.model.region}" if route.model.region else ""
        used = f"{route.provider}/{route.model.id}{region}"
        return route.requested if self.profile.is_emby else used

    @property
    def chunk_model(self) -> str:
        """The name of the model in chunks."""
        is_own = self.profile.streams_provider_model
        if self.profile.is_emby or (self.route.provider == "custom" and not is_own):
            return self.route.requested
        return self.route.provider_model if is_own else self.model

    def metadata(self, *, streamed: bool = False) -> JsonDict:
        """Which model was requested and which was used."""
        route, log = self.route, f"mock-{self.digest}"
        about: JsonDict = {
            "requested_model": route.requested,
            "requested_provider": route.requested_provider,
            "used_model": route.model.id,
            "used_provider": route.provider,
            "underlying_used_model": route.provider_model,
        }
        if not self.profile.streams_metadata:
            return about
        region: JsonDict = {} if route.model.region is None else {"region": route.model.region}
        fresh = {} if self.is_cached and not streamed else {"apiKeyHash": "mock", "logId": log}
        custom = {"providerKeyLabel": route.requested.partition("/")[0]}
        attempt: JsonDict = {
            "provider": route.provider,
            "model": route.provider_model,
            "status_code": 200,
            "error_type": "none",
            "succeeded": True,
            "credentialSource": "byok",
            "providerKeyId": "mock",
            **fresh,
            **region,
            **(custom if route.provider == "custom" else {}),
        }
        about |= {f"used_{name}": value for name, value in region.items()}
        about |= {"routing": [attempt], **self.log_entry()}
        return about if streamed else {"request_id": log, **about}

    def log_entry(self) -> JsonDict:
        """The newest gateway's reference to its log of the request."""
        ids = {"log_id": f"mock-{self.digest}", "organization_id": "mock", "project_id": "mock"}
        return {**ids, "discount": None, **({"cached": True} if self.is_cached else {})}


def completion(reply: Reply, envelope: Envelope) -> bytes:
    """The body of a reply that is not streamed."""
    model, profile = envelope.route.model, envelope.profile
    message: JsonDict = {**_ROLE, "content": reply.text}
    if (
        reply.text is None
        and reply.images
        and (model.speaks == "images" or (envelope.is_google and profile.fills_empty_text))
    ):
        message["content"] = "Image generated"
    message |= {name: value for name, value in (
        ("reasoning", reply.reasoning), ("refusal", reply.refusal),
        ("annotations", reply.annotations or None), ("images", _images(*reply.images) or None),
        ("tool_calls", [_call(call) for call in reply.tool_calls] or None),
    ) if value is not None}  # fmt: skip
    message |= reply.fields
    body = envelope.head("chat.completion", envelope.model)
    reason = _finish_reason(reply, profile)
    body["choices"] = [{"index": 0, "message": message, "finish_reason": reason}]
    if reply.reported_usage != {}:
        body["usage"] = _usage(reply, envelope, "whole")
    return encode_json(body | {"metadata": envelope.metadata()})


def frames(reply: Reply, envelope: Envelope, ending: Ending | None = None) -> Iterator[bytes]:
    """The events of a streamed reply, one an item; the last is `[DONE]`, if nothing follows it.

    `ending` is how the provider's stream ends if it does not end well.
    """
    if envelope.route.model.speaks == "images" and ending is None:
        for data in _image_model_chunks(reply, envelope):
            yield b"data: %b\n\n" % encode_json(data)
        yield b"data: [DONE]\n\n"
        return
    for number, (name, chunk) in enumerate(_events(reply, envelope, ending)):
        yield event(name, chunk, number)


def empty_chunk(reply: Reply, envelope: Envelope) -> JsonDict:
    """The last chunk of a reply without content."""
    return envelope.chunk(_choice({})) | {"usage": _counts(reply)}


def _events(reply: Reply, envelope: Envelope, ending: Ending | None) -> Iterator[Event]:
    profile, is_google = envelope.profile, envelope.is_google
    deltas = list(_google_deltas(reply) if is_google else _openai_deltas(reply, profile))
    deltas += [{**_ROLE, "annotations": reply.annotations}] if reply.annotations else []
    if ending is not None and not any((reply.text, reply.images, reply.tool_calls)):
        deltas = []
    limit = profile.max_streamed_image
    for delta in deltas:
        if limit is None or _longest_url(delta) <= limit:
            # The first chunks of a Google model contain a usage of null.
            yield None, envelope.chunk(_choice(delta)) | ({"usage": None} if is_google else {})
    last = envelope.chunk(_choice({}))
    final: JsonDict = {"usage": _usage(reply, envelope, "final")}
    metadata: JsonDict = {}
    if profile.streams_metadata:
        metadata = {"metadata": envelope.metadata(streamed=True)}
    if ending is not None:
        end, uncosted = last | final | metadata, empty_chunk(reply, envelope)
        yield from broken_stream(profile, ending, end, uncosted, has_content=bool(deltas))
        return
    reason = _finish_reason(reply, profile)
    reported: JsonDict = {"usage": _usage(reply, envelope, "reported")}
    if is_google:
        # Case image-stream: text that came in pieces ends with an empty one.
        pieces = sum("content" in delta for delta in deltas)
        empty = {"content": ""} if profile.fills_empty_text and pieces > 1 else {}
        yield None, envelope.chunk(_choice({**_ROLE, **empty}, reason)) | reported
        if metadata:
            yield None, last | final | metadata
            yield None, last | metadata
    else:
        yield None, envelope.chunk(_choice(_ROLE, reason))
        if reply.reported_usage != {}:
            marks = {"metadata": envelope.log_entry()} if envelope.is_marked else {}
            yield None, envelope.chunk() | reported | marks
        yield None, last | final | metadata
    yield "done", None


def _image_model_chunks(reply: Reply, envelope: Envelope) -> Iterator[JsonDict]:
    """The stream of a model that only makes images: all of it at once, and the end."""
    content = {"content": reply.text or "Image generated", "images": _images(*reply.images)}
    yield envelope.chunk(_choice({**_ROLE, **content}))
    about = {"usage": _usage(reply, envelope, "whole"), "metadata": envelope.metadata()}
    yield envelope.chunk(_choice({}, _finish_reason(reply, envelope.profile))) | about


def _openai_deltas(reply: Reply, profile: Profile) -> Iterator[JsonDict]:
    calls = [
        delta
        for index, call in enumerate(reply.tool_calls)
        for delta in _call_deltas(call, index, profile)
    ]
    has_content = any((reply.reasoning, reply.text, reply.refusal, reply.images, reply.fields))
    if has_content or not calls:
        yield {**_ROLE, "content": ""}
    for piece in _words(reply.reasoning):
        yield {**_ROLE, "reasoning": piece}
    if reply.fields:
        yield {**_ROLE, **reply.fields}
    for piece in _words(reply.text):
        yield {**_ROLE, "content": piece}
    if reply.refusal is not None:
        yield {**_ROLE, "refusal": reply.refusal}
    for image in reply.images:
        yield {**_ROLE, "images": _images(image)}
    for number, delta in enumerate(calls):
        opening = {} if number or has_content else {"content": None}
        yield {**_ROLE, **opening, "tool_calls": [delta]}


def _google_deltas(reply: Reply) -> Iterator[JsonDict]:
    if reply.reasoning:
        yield {**_ROLE, "reasoning": reply.reasoning}
    for piece in _words(reply.text):
        yield {**_ROLE, "content": piece}
    for image in reply.images:
        yield {**_ROLE, "images": _images(image)}


def _words(text: str | None) -> list[str]:
    return _WORD.findall(text or "")


def _images(*images: Image) -> list[JsonDict]:
    urls = (image.url or image.data_url for image in images)
    return [{"type": "image_url", "image_url": {"url": url}} for url in urls]


def _longest_url(delta: JsonDict) -> int:
    images = delta.get("images")
    urls = (image["image_url"]["url"] for image in images) if isinstance(images, list) else ()
    return max(map(len, urls), default=0)


def _call(call: ToolCall) -> JsonDict:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _call_deltas(call: ToolCall, index: int, profile: Profile) -> Iterator[JsonDict]:
    yield {"index": index, **_call(ToolCall(call.id, call.name, ""))}
    kind: JsonDict = {} if profile.streams_provider_model else {"type": "function"}
    for start in range(0, len(call.arguments), _FRAGMENT):
        piece = call.arguments[start : start + _FRAGMENT]
        yield {"index": index, "function": {"arguments": piece}, **kind}


def _choice(delta: JsonDict, finish_reason: str | None = None) -> JsonDict:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _finish_reason(reply: Reply, profile: Profile) -> str | None:
    is_safety = reply.finish_reason == "image_safety"
    return profile.image_safety if is_safety else reply.finish_reason


def _counts(reply: Reply, image_tokens: int = 0) -> JsonDict:
    prompt, completion = reply.usage.prompt_tokens, reply.usage.completion_tokens
    counts = {"prompt_tokens": prompt, "completion_tokens": completion}
    counts["total_tokens"] = prompt + completion
    reported = reply.reported_usage or {}
    counts |= {name: int(str(reported[name])) for name in counts if name in reported}
    extra = {"prompt_tokens": image_tokens, "total_tokens": image_tokens}
    return {name: count + extra.get(name, 0) for name, count in counts.items()}


def _usage(
    reply: Reply, envelope: Envelope, place: Literal["whole", "reported", "final"]
) -> JsonDict:
    """The usage of a whole reply, of a chunk as the provider `reported` it, or of the last chunk.

    The last chunk counts again and forgets details that an earlier one had (case reasoning-stream).
    """
    profile, is_google = envelope.profile, envelope.is_google
    # The newest gateway adds what it takes Google's input images for.
    own = profile.details_usage and is_google and place != "reported"
    usage = _counts(reply, _IMAGE_TOKENS * envelope.input_images if own else 0)
    reported = reply.reported_usage or {}
    details = reported.get("completion_tokens_details")
    thought = reply.usage.reasoning_tokens
    thought = details.get("reasoning_tokens", thought) if isinstance(details, dict) else thought
    if place == "reported":
        usage["prompt_tokens_details"] = {"cached_tokens": 0}
    if place != "final" and not is_google:
        usage |= {key: value for key, value in reported.items() if key.endswith("_details")}
        if thought and not (place == "reported" and profile.details_usage):
            usage.setdefault("completion_tokens_details", {"reasoning_tokens": thought})
    # Documented (Reasoning page); the newest gateway sends it if it did the counting.
    counted = profile.details_usage and (place != "whole" or is_google)
    if counted and place != "reported" and thought:
        thought = max(1, round(len(reply.reasoning or "") / _CHARACTERS_PER_TOKEN))
    if thought and (profile.is_emby or counted) and not (is_google and place == "reported"):
        usage["reasoning_tokens"] = thought
        if profile.details_usage and place == "reported":
            usage.pop("completion_tokens_details", None)
    if place != "reported":
        usage |= _costs(reply, envelope)
        known = {"completion_tokens_details": {"reasoning_tokens": thought}} | usage
        for name, keys in _DETAILS.items() if profile.details_usage else ():
            usage[name] = dict.fromkeys(keys, 0) | (known.get(name) or {})  # type: ignore[operator]
    return usage


def _costs(reply: Reply, envelope: Envelope) -> JsonDict:
    form, model = envelope.profile.cost, envelope.route.model
    if form == "none" or (form == "cost" and model.price is None):
        return {}
    price = 0.0 if envelope.is_marked else model.price or 0.0
    paid, made = reply.usage.prompt_tokens * price, reply.usage.completion_tokens * price
    if form == "cost_usd":
        costs = {"total": paid + made, "input": paid, "output": made}
        costs |= {"cached_input": 0, "request": 0}
        unknown = model.price is None
        return {f"cost_usd_{part}": None if unknown else cost for part, cost in costs.items()}
    is_priced = model.speaks != "openai" and model.price
    upstream = {"": paid + made, "_prompt": paid, "_completions": made}
    return {
        "cost": paid + made,
        "cost_details": {
            **{f"upstream_inference{part}_cost": cost for part, cost in upstream.items()},
            "total_cost": paid + made,
            "input_cost": paid,
            "output_cost": made,
            **dict.fromkeys(_FREE_COSTS, 0),
            "image_input_cost": 0 if envelope.is_google and envelope.input_images else None,
            "image_output_cost": 0 if is_priced and reply.images else None,
            "audio_input_cost": None,
        },
    }
