"""Spans of OpenTelemetry: where the time of a sync goes, table by table.

They are sent where the environment names a collector, by OpenTelemetry's own variables. Without one, nothing is imported
and a span costs a call. A span holds names, counts and the class of an error; no value of a row and no message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from data_platform.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
Value = str | int | float | bool


class Span:
    """One piece of work, and the pieces that it consists of. It is handed on by hand, since generators and threads
    share no context."""

    def __init__(self, tracer: Tracer | None = None, span: OtelSpan | None = None) -> None:
        self._tracer, self._span = tracer, span

    def set(self, **attributes: Value) -> None:
        if self._span is not None:
            for name, value in attributes.items():
                self._span.set_attribute(f"data_platform.{name}", value)

    def failed(self, error: BaseException) -> None:
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))

    @contextmanager
    def piece(self, name: str, **attributes: Value) -> Iterator[Span]:
        """A piece of this one, which lasts as long as the block."""
        if self._tracer is None:
            yield self
            return
        from opentelemetry.trace import set_span_in_context

        parent = set_span_in_context(self._span) if self._span is not None else None
        made = Span(self._tracer, self._tracer.start_span(name, context=parent))
        made.set(**attributes)
        try:
            yield made
        except Exception as error:
            made.failed(error)
            raise
        finally:
            assert made._span is not None
            made._span.end()


NOTHING = Span()


def traces(environ: Mapping[str, str]) -> Span:
    """The root of all pieces of work of this process: one that sends nothing unless ``environ`` names a collector. Spans
    are sent by a thread of their own, the last ones when the process ends; a collector that is away costs them alone.
    ``ConfigurationError`` if the client is not installed."""
    if not any(environ.get(name) for name in ENDPOINTS) or environ.get("OTEL_SDK_DISABLED") == "true":
        return NOTHING
    names = tuple(sorted((n, value) for n, value in environ.items() if n.startswith("OTEL_")))
    return Span(_tracer(names))


@cache
def _tracer(variables: tuple[tuple[str, str], ...]) -> Tracer:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigurationError(
            f"{' or '.join(ENDPOINTS)} names a collector, and traces need the extra `otel`:"
            " pip install 'data-platform[otel]'."
        ) from None
    given = dict(variables)
    protocol = given.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or given.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "", "http/protobuf"):
        raise ConfigurationError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}: traces are sent as http/protobuf alone. Leave the variable out."
        )
    provider = TracerProvider(resource=Resource.create({"service.name": given.get("OTEL_SERVICE_NAME") or "data_platform"}))  # fmt: skip
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("data_platform")
