"""The gauges as a Datadog agent takes them: dogstatsd over UDP."""

from __future__ import annotations

from collections.abc import Iterable

from data_platform.errors import ConfigurationError
from data_platform.observability.gauges import Gauge


def send(found: Iterable[Gauge], host: str, port: int) -> int:
    """How many were sent. UDP tells nobody whether they arrived."""
    try:
        from datadog.dogstatsd.base import DogStatsd
    except ImportError:
        raise ConfigurationError(
            "Metrics for Datadog need the extra `datadog`: pip install 'data-platform[datadog]'."
        ) from None
    count = 0
    with DogStatsd(host=host, port=port, disable_telemetry=True) as client:
        for gauge in found:
            tags = [f"{name}:{value}" for name, value in gauge.labels.items() if value]
            client.gauge(gauge.name.replace("data_platform_", "data_platform."), gauge.value, tags=tags)
            count += 1
    return count
