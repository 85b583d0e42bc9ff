"""The gauges as Prometheus reads them: over HTTP, or as a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from data_platform.errors import ConfigurationError
from data_platform.observability.gauges import DESCRIPTIONS, PREFIX, Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily


def text(found: Iterable[Gauge]) -> str:
    """The exposition format, as the textfile collector of a node exporter takes it too."""
    return _client_text(_registry(lambda: found))


@contextmanager
def serving(found: Callable[[], Iterable[Gauge]], host: str, port: int) -> Iterator[int]:
    """Serves ``/metrics`` while the block runs; yields the port. Each request gets what ``found`` returns."""
    registry = _registry(found)
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise ConfigurationError(
            f"Nothing can listen on {host}:{port}: {error.strerror}. Choose another --host or --port."
        ) from None
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _registry(found: Callable[[], Iterable[Gauge]]) -> CollectorRegistry:
    try:
        from prometheus_client import CollectorRegistry
    except ImportError:
        raise ConfigurationError(
            "Metrics for Prometheus need the extra `prometheus`: pip install 'data-platform[prometheus]'."
        ) from None

    class Collector:
        def collect(self) -> Iterator[GaugeMetricFamily]:
            yield from _families(found())

    registry = CollectorRegistry()
    registry.register(Collector())
    return registry


def _families(found: Iterable[Gauge]) -> Iterator[GaugeMetricFamily]:
    from prometheus_client.core import GaugeMetricFamily

    families: dict[str, GaugeMetricFamily] = {}
    for gauge in found:
        family = families.get(gauge.name)
        if family is None:
            about = DESCRIPTIONS[gauge.name.removeprefix(PREFIX)]
            family = families[gauge.name] = GaugeMetricFamily(gauge.name, about, labels=list(gauge.labels))
        family.add_metric(list(gauge.labels.values()), gauge.value)
    yield from families.values()


def _client_text(registry: CollectorRegistry) -> str:
    from prometheus_client import generate_latest

    return generate_latest(registry).decode()
