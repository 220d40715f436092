"""`EmbyTelemetry`: spans and metrics of each call, by OpenTelemetry's conventions."""

import hashlib
import sys
from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
)
from opentelemetry.trace import SpanKind, StatusCode
from support import (
    ChatCaller,
    Loopback,
    ScriptedBackend,
    answer,
    as_asked,
    as_json,
    chunk,
    completion,
    picture,
    sse,
)
from telemetry_help import Telemetry

from emby_plugins import Emby, EmbyError, EmbyTelemetry, Image, ImageConfig

RED, BLUE = picture("red"), picture("blue")
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "cost": 0.25,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
ANSWERED: dict[str, Any] = {"model": "acme/m-1", "usage": USAGE}
BOTH = as_asked(
    completion("A fox.", RED, **ANSWERED),
    sse(chunk("A "), chunk("fox.", RED, finish="stop", **ANSWERED)),
)


@pytest.fixture
def telemetry() -> Telemetry:
    """Collects spans and metrics."""
    return Telemetry()


def on(telemetry: Telemetry, backend: ScriptedBackend) -> dict[str, Any]:
    """Return the settings of a client."""
    return {"base_url": "test:", "plugins": [backend, telemetry.plugin]}


def test_a_call_is_a_span(call_chat: ChatCaller, telemetry: Telemetry) -> None:
    """A call's span has the name, kind and attributes of the conventions, and facts about its
    images.
    """
    images = [Image.from_bytes(BLUE), Image.from_url("https://a.example/b.png")]
    call_chat(
        "What is it?",
        on=on(telemetry, ScriptedBackend(by=BOTH)),
        images=images,
        model="m",
        temperature=0.5,
        max_tokens=9,
        image_config=ImageConfig(aspect_ratio="1:1"),
    )
    assert (telemetry.span.name, telemetry.span.kind) == ("chat m", SpanKind.CLIENT)
    assert telemetry.span.status.status_code is StatusCode.UNSET
    recorded = telemetry.attributes
    if call_chat.is_stream:
        assert recorded.pop("gen_ai.request.stream") is True
        assert recorded.pop("gen_ai.response.time_to_first_chunk") > 0
    assert recorded == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "emby",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.output.type": "image",
        "gen_ai.response.model": "acme/m-1",
        "gen_ai.response.id": "c-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "emby.usage.cost": 0.25,
        "emby.request.images.count": 2,
        "emby.request.images.media_types": ("image/png", ""),
        "emby.request.images.sizes": (len(BLUE), 0),
        "emby.request.images.sha256": (hashlib.sha256(BLUE).hexdigest(), ""),
        "emby.response.images.count": 1,
        "emby.response.images.media_types": ("image/png",),
        "emby.response.images.sizes": (len(RED),),
        "emby.response.images.sha256": (hashlib.sha256(RED).hexdigest(),),
        "emby.response.is_complete": True,
    }


def test_every_name_is_in_the_conventions(telemetry: Telemetry) -> None:
    """All names outside `emby.` are in OpenTelemetry's own lists."""
    stable = (error_attributes, http_attributes, server_attributes)
    known = {
        value
        for module in (gen_ai_attributes, *stable)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    busy = answer({"error": {"message": "Busy"}}, status=503)
    names = ("temperature", "max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty")
    # Newer than this package, as the list has moved to its own repository.
    known |= {"gen_ai.request.reasoning.level"}
    options: Any = {**dict.fromkeys(names, 1), "reasoning_effort": "low"}
    caller = ChatCaller("sync-stream")
    caller("Hi", on=on(telemetry, ScriptedBackend(by=BOTH)), **options)
    with pytest.raises(EmbyError), Emby(**on(telemetry, ScriptedBackend(busy))) as emby:
        emby.chat("Hi")
    used = {name for span in telemetry.spans for name in span.attributes or ()}
    used |= {name for group in telemetry.points().values() for p in group for name in p.attributes}
    assert {name for name in used if not name.startswith("emby.")} <= known
    assert "gen_ai.request.reasoning.level" in used
    assert len(used) > 20
    metrics = {value for value in vars(gen_ai_metrics).values() if isinstance(value, str)}
    assert telemetry.points().keys() <= metrics


def test_a_call_is_measured(call_chat: ChatCaller, telemetry: Telemetry) -> None:
    """A call is measured by duration and tokens, and a stream also by the time to its first
    chunk.
    """
    call_chat("Hi", on=on(telemetry, ScriptedBackend(by=BOTH)), model="m")
    points = telemetry.points()
    tokens = {p.attributes["gen_ai.token.type"]: p for p in points["gen_ai.client.token.usage"]}
    assert {kind: point.sum for kind, point in tokens.items()} == {"input": 11, "output": 7}
    assert tokens["input"].explicit_bounds[:3] == (1, 4, 16)
    (duration,) = points["gen_ai.client.operation.duration"]
    assert duration.count == 1
    assert duration.explicit_bounds[0] == 0.01
    assert duration.explicit_bounds[-1] == 81.92
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "emby",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "acme/m-1",
    }
    assert ("gen_ai.client.operation.time_to_first_chunk" in points) is call_chat.is_stream


def test_a_failed_call_is_an_error(call_chat: ChatCaller, telemetry: Telemetry) -> None:
    """Span and duration of a failed call have the error's class, and no tokens are counted."""
    busy = ScriptedBackend(answer({"error": {"message": "Busy"}}, status=503))
    with pytest.raises(EmbyError):
        call_chat("Hi", on=on(telemetry, busy))
    assert telemetry.span.status.status_code is StatusCode.ERROR
    recorded = telemetry.attributes
    assert (recorded["error.type"], recorded["http.response.status_code"]) == ("ServerError", 503)
    assert recorded["emby.retries"] == 2
    points = telemetry.points()
    (duration,) = points["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "ServerError"
    assert "gen_ai.client.token.usage" not in points


def test_a_stream_that_is_left_early_ends_its_span(telemetry: Telemetry) -> None:
    """The span of a stream that is left early ends without an error, as incomplete."""
    stream = ScriptedBackend(sse(chunk("Hel"), chunk("lo", finish="stop")))
    with Emby(**on(telemetry, stream)) as emby, emby.stream("Hi") as events:
        next(iter(events))
    assert telemetry.attributes["emby.response.is_complete"] is False
    assert telemetry.span.status.status_code is StatusCode.UNSET


def test_a_span_is_a_child_of_the_callers(call_chat: ChatCaller, telemetry: Telemetry) -> None:
    """A call's span is a child of the caller's span, which stays the current one."""
    with telemetry.tracer.start_as_current_span("caller") as caller:
        call_chat("Hi", on=on(telemetry, ScriptedBackend(by=BOTH)))
    span, _ = telemetry.spans
    assert span.parent is not None
    assert span.parent.span_id == caller.get_span_context().span_id


def test_several_images_are_children_of_the_same_span(telemetry: Telemetry) -> None:
    """The calls of one `image(n=3)` are children of the caller's span, although they run in
    threads.
    """
    backend = ScriptedBackend(completion("A fox.", RED))
    caller = telemetry.tracer.start_as_current_span("caller")
    with Emby(**on(telemetry, backend)) as emby, caller as span:
        emby.image("A fox", n=3)
    parents = [call.parent and call.parent.span_id for call in telemetry.spans[:-1]]
    assert parents == [span.get_span_context().span_id] * 3


def test_no_span_contains_content(call_chat: ChatCaller, telemetry: Telemetry) -> None:
    """Neither spans nor metrics contain any text of prompt or reply."""
    call_chat("A secret question", on=on(telemetry, ScriptedBackend(by=BOTH)))
    shown = telemetry.span.to_json() + repr(telemetry.points())
    assert "secret" not in shown
    assert "fox" not in shown


def test_a_span_names_the_server(telemetry: Telemetry) -> None:
    """A span has the server's host and port."""
    body = as_json(completion("Hi"))
    reply = "content-type: application/json"
    with Loopback(lambda _, wire: wire.whole(body, reply)) as server:
        with Emby(base_url=server.url, plugins=[telemetry.plugin]) as emby:
            emby.chat("Hi")
        recorded = telemetry.attributes
        address = f"http://{recorded['server.address']}:{recorded['server.port']}"
        assert server.url.startswith(address)


def test_the_list_of_models_is_a_span(telemetry: Telemetry) -> None:
    """Listing models has a span named `list_models`, since the conventions have no name for it."""
    with Emby(**on(telemetry, ScriptedBackend({"data": [{"id": "a"}]}))) as emby:
        emby.models()
    assert telemetry.span.name == "list_models"
    assert "gen_ai.request.model" not in telemetry.attributes


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the otel extra, creating the plugin raises an ImportError that names it."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r"emby-plugins\[otel\]"):
        EmbyTelemetry()
