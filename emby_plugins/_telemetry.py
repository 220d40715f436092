"""`EmbyTelemetry`: OpenTelemetry spans and metrics of each call, made of its `CallRecord`s.

The names of spans, attributes and metrics are those of OpenTelemetry's semantic conventions for
generative AI (repository open-telemetry/semantic-conventions-genai, gen-ai-spans.md and
gen-ai-metrics.md), with the status "development". What they have no name for, such as
images and cost, is under `emby.`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from emby_plugins._call_record import CallRecord, ImageRecord
from emby_plugins._hookspecs import hookimpl

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

_NAME = "emby_plugins"
_PROVIDER = "emby"
_PORTS = {"http": 80, "https": 443}

# The buckets that the conventions ask for, in seconds and in tokens.
_SECONDS = [0.01 * 2**power for power in range(14)]
_TOKENS = [4**power for power in range(14)]


class EmbyTelemetry:
    """A plugin that reports each call to OpenTelemetry: a span, and its duration and tokens.

        Emby(plugins=[EmbyTelemetry()])

    Spans are children of the caller's current span. They hold no content: of each image its media
    type, size and digest. `tracer_provider` and `meter_provider` default to the global
    ones. Raises `ImportError` without the extra `otel`.
    """

    def __init__(
        self,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            msg = "EmbyTelemetry needs an extra: pip install 'emby-plugins[otel]'"
            raise ImportError(msg) from None
        self._trace = trace
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        self._spans: dict[str, Span] = {}
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time to receive the first chunk of a streamed reply.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )

    @hookimpl
    def emby_call_started(self, record: CallRecord) -> None:
        """Begin the span."""
        # Not made the current one: a stream is read in the caller's context, which would
        # then be ours for as long as the caller pleases.
        self._spans[record.id] = self._tracer.start_span(
            f"{record.operation} {record.model}".strip(),
            kind=self._trace.SpanKind.CLIENT,
            attributes={**_common(record), **_requested(record)},
        )

    @hookimpl
    def emby_call_finished(self, record: CallRecord) -> None:
        """End the span, and measure."""
        span = self._spans.pop(record.id)
        span.set_attributes(dict(_known(_received(record))))
        if record.error_type is not None:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()
        common = _common(record)
        if record.response_model:
            common["gen_ai.response.model"] = record.response_model
        if record.usage is not None:
            for kind in ("input", "output"):
                count = getattr(record.usage, _COUNTS[kind])
                self._tokens.record(count, {**common, "gen_ai.token.type": kind})
        if record.stream and record.seconds_to_first_byte is not None:
            self._first_chunk.record(record.seconds_to_first_byte, common)
        if record.error_type is not None:
            common["error.type"] = record.error_type
        self._duration.record(record.seconds, common)


# Parameters that the conventions name otherwise than the request does.
_RENAMED = {"reasoning_effort": "reasoning.level"}
_COUNTS = {"input": "prompt_tokens", "output": "completion_tokens"}


def _common(record: CallRecord) -> dict[str, Any]:
    """What spans and metrics share."""
    common: dict[str, Any] = {
        "gen_ai.operation.name": record.operation,
        "gen_ai.provider.name": _PROVIDER,
    }
    if record.model:
        common["gen_ai.request.model"] = record.model
    with suppress(ValueError):
        url = urlsplit(record.base_url)
        port = url.port or _PORTS.get(url.scheme)
        if url.hostname and port:
            common |= {"server.address": url.hostname, "server.port": port}
    return common


def _requested(record: CallRecord) -> dict[str, Any]:
    values: dict[str, Any] = {
        f"gen_ai.request.{_RENAMED.get(name, name)}": value
        for name, value in record.parameters.items()
    }
    values["gen_ai.request.stream"] = record.stream or None
    values["gen_ai.output.type"] = record.output_type
    return dict(_known(values | _images("emby.request.images", record.images_in)))


def _received(record: CallRecord) -> dict[str, Any]:
    values: dict[str, Any] = {
        "gen_ai.response.model": record.response_model or None,
        "gen_ai.response.id": record.response_id or None,
        "gen_ai.response.finish_reasons": record.finish_reason and [record.finish_reason],
        "error.type": record.error_type,
        "http.response.status_code": record.status,
        "emby.response.provider": record.provider or None,
        "emby.response.request_id": record.request_id,
        "emby.response.is_complete": record.is_complete,
        "emby.response.is_cached": record.is_cached or None,
        "emby.retries": record.retries or None,
    }
    if record.stream:
        values["gen_ai.response.time_to_first_chunk"] = record.seconds_to_first_byte
    if record.usage is not None:
        usage = record.usage
        values |= {
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens or None,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens or None,
            "emby.usage.image.output_tokens": usage.image_tokens or None,
            "emby.usage.cost": usage.cost,
            "emby.usage.cost_is_estimate": usage.cost_is_estimate or None,
        }
    return values | _images("emby.response.images", record.images_out)


def _images(name: str, images: Sequence[ImageRecord]) -> dict[str, Any]:
    """Lists of equal length, as attributes can't be objects; empty and 0 if unknown."""
    if not images:
        return {}
    return {
        f"{name}.count": len(images),
        f"{name}.media_types": [image.media_type or "" for image in images],
        f"{name}.sizes": [image.size or 0 for image in images],
        f"{name}.sha256": [image.sha256 or "" for image in images],
    }


def _known(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Attributes have no null."""
    return ((name, value) for name, value in values.items() if value is not None)
