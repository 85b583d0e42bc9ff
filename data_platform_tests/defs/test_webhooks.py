"""The sensor of a source of webhooks: quiet while nothing waits, and a run for the tables that have not taken what does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from data_platform.catalog.runs import RunsConfig
from data_platform.defs import names
from data_platform.defs.jobs import tables_target
from data_platform.defs.probe_sensor import probe_sensor
from data_platform.defs.resources import PlatformHandle
from data_platform.tables import TableId
from data_platform_tests.sources.webhook.conftest import Hooks, event


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Hooks, Callable[[], set[str]]]:
    shop = Hooks(tmp_path / "project").write()
    for name, value in shop.environ.items():
        monkeypatch.setenv(name, value)
    source = shop.platform.catalog.source("hooks")
    sensor = probe_sensor(source, tables_target(source, RunsConfig()), {}, running=False)
    assert sensor.minimum_interval_seconds == 30

    def tick() -> set[str]:
        """The tables for which runs are asked."""
        with dg.DagsterInstance.ephemeral() as instance:
            resources = {"platform": PlatformHandle(shop.root, "local")}
            context = dg.build_sensor_context(instance=instance, resources=resources, sensor_name=sensor.name)
            requests = sensor.evaluate_tick(context).run_requests or []
        tables = [TableId("hooks", name) for name in ("events", "orders")]
        keys = [key for request in requests for key in request.asset_selection or ()]
        return {table.table for table in tables if names.raw_key(table) in keys}

    return shop, tick


def test_what_waits_asks_for_a_run_of_the_tables_that_have_not_taken_it(
    asked: tuple[Hooks, Callable[[], set[str]]],
) -> None:
    shop, tick = asked
    assert tick() == set()
    shop.deliver(event("e1"))
    assert tick() == {"events", "orders"}
    shop.good(["events"])
    assert tick() == {"orders"}
    shop.good(["orders"])
    assert tick() == set()
