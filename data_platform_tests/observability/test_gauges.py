"""Health as numbers: Prometheus's text, read back by its own parser, and dogstatsd, received on a socket."""

from __future__ import annotations

import socket
import sys
import urllib.request
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from data_platform.errors import ConfigurationError
from data_platform.observability import prometheus, statsd
from data_platform.observability.gauges import DESCRIPTIONS, PREFIX, Gauge, gauges
from data_platform.observability.trust import Wal

from .company import NOW, failed, health, table

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float | None:
    (value,) = [
        value
        for (sample, held), value in found.items()
        if sample == PREFIX + name and labels.items() <= dict(held).items()
    ] or [None]
    return value


def test_what_prometheus_reads_is_what_is_known() -> None:
    found = parsed(prometheus.text(gauges(health(), 1.5)))
    assert of(found, "state") == 0 and of(found, "examined_seconds") == 1.5
    assert of(found, "examined_timestamp_seconds") == NOW.timestamp()
    assert of(found, "table_state", table="shop/orders") == 0
    assert of(found, "aspect_state", table="shop/orders", aspect="complete") == 0
    assert of(found, "checks", table="shop/orders", result="failed") == 0
    assert of(found, "table_rows", table="shop/orders") is not None
    assert {name.removeprefix(PREFIX) for name, _ in found} <= DESCRIPTIONS.keys()


def test_a_table_that_fails_is_worse_in_each_number_it_is_in() -> None:
    broken = table("orders", checks=(failed("revenue_gte_0", NOW, NOW),), behind=2)
    found = parsed(prometheus.text(gauges(health(broken), 0)))
    assert of(found, "state") == 3
    assert of(found, "aspect_state", table="shop/orders", aspect="checked") == 3
    assert of(found, "checks", table="shop/orders", result="failed") == 1
    assert of(found, "table_batches_behind", table="shop/orders") == 2


def test_the_wal_of_a_source_is_a_number_for_each_store() -> None:
    known = health()
    wal = (Wal("shop", "primary", NOW), Wal("shop", "offsite", None, "no WAL yet"))
    found = parsed(prometheus.text(gauges(replace(known, backups=replace(known.backups, wal=wal)), 0)))
    assert of(found, "wal_heartbeat_timestamp_seconds", source="shop", store="primary") == NOW.timestamp()
    assert of(found, "wal_heartbeat_timestamp_seconds", store="offsite") is None
    assert of(found, "wal_problem", store="primary") == 0
    assert of(found, "wal_problem", store="offsite") == 1


def test_hostile_names_are_one_label() -> None:
    name = 'a"b\\c\n} 1\nevil 1'
    found = parsed(prometheus.text([Gauge(PREFIX + "table_rows", 3, {"table": name})]))
    assert found == {(PREFIX + "table_rows", (("table", name),)): 3}


def test_each_request_gets_the_newest_values() -> None:
    values = [Gauge(PREFIX + "state", 1, {})]
    with prometheus.serving(lambda: values, "127.0.0.1", 0) as port:
        address = f"http://127.0.0.1:{port}/metrics"
        for value in (1.0, 3.0):
            values[:] = [Gauge(PREFIX + "state", value, {})]
            with urllib.request.urlopen(address) as answer:
                assert of(parsed(answer.read().decode()), "state") == value


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="Choose another"), prometheus.serving(list, "127.0.0.1", port):  # fmt: skip
            pass


def test_an_agent_of_datadog_receives_the_same() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.settimeout(5)
        sent = statsd.send(gauges(health(), 1.5), "127.0.0.1", agent.getsockname()[1])
        lines: list[str] = []
        while len(lines) < sent:
            lines += agent.recv(65_536).decode().strip().split("\n")
    assert len(lines) == sent
    assert "data_platform.state:0|g" in [line.replace(":0.0|", ":0|") for line in lines]
    assert any(line.startswith("data_platform.table_state:") and "table:shop/orders" in line for line in lines)  # fmt: skip


@pytest.mark.parametrize(
    ("module", "extra"), [("prometheus_client", "prometheus"), ("datadog.dogstatsd.base", "datadog")]
)
def test_a_client_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, module: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"data-platform\[{extra}\]"):
        prometheus.text([]) if extra == "prometheus" else statsd.send([], "127.0.0.1", 9)
