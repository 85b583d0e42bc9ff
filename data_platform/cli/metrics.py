"""``metrics``: the health as numbers, for Prometheus or a Datadog agent."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import EnvironmentOption, RootOption, open_project
from data_platform.cli.output import remark
from data_platform.errors import ConfigurationError, DataPlatformError

if TYPE_CHECKING:
    from data_platform.observability.gauges import Gauge

PORT = 9464
"""What OpenTelemetry proposes for an exporter of Prometheus's format."""


def metrics(
    once: Annotated[
        bool, typer.Option("--once", help="Print them once, for the textfile collector of a node exporter.")
    ] = False,
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Address to listen on. Default: this machine alone."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port to listen on.")
    ] = PORT,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=1, help="How often the health is examined.")
    ] = 60.0,
    statsd: Annotated[
        str | None,
        typer.Option("--statsd", metavar="HOST:PORT", help="Also send them to this Datadog agent, over UDP."),
    ] = None,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Serve the health as numbers under /metrics, or print them once.

    Reads what `data-platform health` reads. No source is contacted, and no check is evaluated.
    """
    agent = _address(statsd) if statsd is not None else None
    latest = Latest(environment, root, agent)
    from data_platform.observability import prometheus

    if once:
        latest.examine()
        typer.echo(prometheus.text(latest.gauges), nl=False)
        return
    stop = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: stop.set())
    with prometheus.serving(lambda: latest.gauges, host, port) as at:
        remark(f"http://{host}:{at}/metrics, examined each {every:g} s. Stop it with Ctrl+C.")
        while not stop.is_set():
            latest.attempt(remark)
            stop.wait(every)


class Latest:
    """What was examined last."""

    def __init__(self, environment: str | None, root: Path | None, agent: tuple[str, int] | None) -> None:
        self._environment, self._root, self._agent = environment, root, agent
        self.gauges: tuple[Gauge, ...] = ()

    def examine(self) -> None:
        """The catalog is read each time, so that a new table appears without a restart."""
        from data_platform.observability.gauges import gauges
        from data_platform.observability.statsd import send
        from data_platform.sync import health

        platform = open_project(self._root, self._environment, whole=False)
        began = time.monotonic()
        found = health.examine(platform, health.recorded(platform))
        self.gauges = tuple(gauges(found, time.monotonic() - began))
        if self._agent is not None:
            send(self.gauges, *self._agent)

    def attempt(self, echo: Callable[[str], None]) -> None:
        """An attempt that fails leaves the values of the last one, and says so."""
        from data_platform.observability.gauges import examination

        try:
            self.examine()
        except DataPlatformError as error:
            echo(str(error))
            failed = examination(failed=True)
            self.gauges = (failed, *(gauge for gauge in self.gauges if gauge.name != failed.name))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigurationError("--statsd names an agent as HOST:PORT, such as 127.0.0.1:8125.")
    return host, int(port)
