"""What reports that nothing else can: mistakes in the catalog, and sensors that have gone silent."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from data_platform.alerts.copies import copied, copy
from data_platform.alerts.incidents import Incident
from data_platform.alerts.problem import Problem
from data_platform.alerts.state import BookState, to_cursor
from data_platform.catalog import load_catalog
from data_platform.cli.app import run
from data_platform.defs.watch import EVERY_SECONDS, Listing, Silence, watch_sensor
from data_platform.errors import ConfigurationError
from data_platform.landing.signing import Signer, SigningConfig
from data_platform.stores.local import LocalStore
from data_platform.yaml_fields import FrozenDict
from data_platform_tests.catalog.documents import write
from data_platform_tests.defs.conftest import Project

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TABLE = "  orders: {key: order_id}\n"


def told(silence: Silence, ticks: list[tuple[int, int | None]]) -> list[bool]:
    """Whether there is silence at each of our own ticks: (its second, the second of the other's last)."""
    return [
        silence.since(NOON + timedelta(seconds=own), None if last is None else NOON + timedelta(seconds=last))
        is not None
        for own, last in ticks
    ]


def test_a_sensor_that_ticks_is_not_silent() -> None:
    assert not any(told(Silence(), [(t, t - 15) for t in range(0, 600, EVERY_SECONDS)]))


def test_one_that_stopped_is_told_within_a_minute_and_a_half_and_no_sooner_than_one() -> None:
    found = told(Silence(), [(t, min(t, 100)) for t in range(0, 260, EVERY_SECONDS)])
    first = found.index(True) * EVERY_SECONDS
    assert 160 < first <= 190 and all(found[found.index(True) :])


def test_one_that_never_came_is_told_too() -> None:
    found = told(Silence(), [(t, None) for t in range(0, 200, EVERY_SECONDS)])
    assert 60 < found.index(True) * EVERY_SECONDS <= 100


def test_a_slow_turn_of_the_daemon_delays_both_and_is_no_silence() -> None:
    """A source that takes two minutes to refuse its probe: each turn lasts that long."""
    assert not any(told(Silence(), [(t, t - 110) for t in range(0, 1800, 120)]))


def test_a_machine_that_slept_is_given_its_time() -> None:
    before = [(t, t - 10) for t in range(0, 100, EVERY_SECONDS)]
    after = [(9000, 90), (9020, 90), (9040, 9030), (9060, 9030)]
    assert not any(told(Silence(), before + after))
    assert told(Silence(), [*before, *((t, 90) for t in range(9000, 9200, EVERY_SECONDS))])[-1]


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.local_temp()


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[str, str | None]:
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    data = watch_sensor(Silence()).evaluate_tick(context)
    return str(data.skip_message), data.cursor


@pytest.mark.slow
def test_a_mistake_is_told_once_with_its_file_and_line_and_so_is_its_end(
    tmp_path: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATA_PLATFORM_HOME", str(write(tmp_path, TABLE)))
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    monkeypatch.delenv("DATA_PLATFORM_ENV", raising=False)
    assert tick(instance)[0] == "0 incident(s) open, 0 message(s) sent"
    write(tmp_path, TABLE + "  users: {kee: user_id}\n")
    said, cursor = tick(instance)
    assert said == "1 incident(s) open, 1 message(s) sent"
    out = capsys.readouterr().out
    assert "[local] Mistake in the catalog: catalog/sources/shop.yaml" in out
    assert "line 7: tables.users.kee:" in out and "data-platform validate" in out
    assert listed(tmp_path, capsys) == [("catalog:catalog/sources/shop.yaml", "watch", ["print"])]
    assert run(["alerts", "resolve", "shop.yaml", "--root", str(tmp_path)]) != 0
    assert "is kept by the sensor `watch`" in " ".join(capsys.readouterr().err.split())
    assert tick(instance, cursor)[0] == "1 incident(s) open, 0 message(s) sent"
    write(tmp_path, TABLE)
    said, _ = tick(instance, cursor)
    assert said == "0 incident(s) open, 1 message(s) sent"
    assert "Catalog is correct again" in capsys.readouterr().out
    assert listed(tmp_path, capsys) == []


def listed(root: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, list[str]]]:
    """What `alerts list` shows: key, sensor, who was told."""
    capsys.readouterr()
    assert run(["alerts", "list", "--json", "--root", str(root)]) == 0
    rows = json.loads(capsys.readouterr().out)
    return [(row["key"], row["sensor"], row["told"]) for row in rows]


def test_a_copy_is_made_when_it_differs_and_not_without_the_key_that_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "landing")
    signer = Signer("KEY", (b"k" * 32,))
    incident = Incident("catalog:x", Problem("catalog", "x", "x", "wrong", {}, NOON), NOON)
    cursor = to_cursor(BookState({incident.key: incident}))
    assert not copy(store, signer, "watch", None), "nothing is open, and nothing was"
    assert copy(store, signer, "watch", cursor) and not copy(store, signer, "watch", cursor)
    assert copied(store, signer, "watch").incidents == {incident.key: incident}
    assert copied(store, Signer("KEY", (b"l" * 32,)), "watch").incidents == {}, "forged"
    with pytest.raises(ConfigurationError, match="KEY"):
        copy(store, Signer("KEY", problem="KEY is not set"), "watch", cursor)
    assert copy(store, signer, "watch", to_cursor(BookState()))
    assert copied(store, signer, "watch").incidents == {}


def test_in_production_the_daemon_has_neither_store_nor_key_and_goes_on(tmp_path: Path) -> None:
    catalog = load_catalog(write(tmp_path, TABLE))
    local = catalog.environment("local")
    prod = local.model_copy(update={"signing": SigningConfig(required=True)})
    listing, cursor = Listing(), to_cursor(BookState())
    listing.copy(
        catalog.model_copy(update={"environments": FrozenDict(local=prod)}), "local", {}, cursor, NOON
    )
    assert listing.at is None
    listing.copy(catalog, "elsewhere", {}, cursor, NOON)
    assert listing.at is None
    listing.copy(catalog, "local", {}, cursor, NOON)
    assert listing.at == NOON


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["environments: [", "environments: {local: {landnig: 1}}\n", "", None])
def test_without_a_platform_file_that_can_be_read_it_tells_all_the_same(
    tmp_path: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: str | None,
) -> None:
    write(tmp_path, TABLE)
    file = tmp_path / "catalog" / "platform.yaml"
    file.unlink() if wrong is None else file.write_text(wrong)
    monkeypatch.setenv("DATA_PLATFORM_HOME", str(tmp_path))
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    assert tick(instance)[0] == "1 incident(s) open, 1 message(s) sent"
    assert "Mistake in the catalog: catalog/platform.yaml" in capsys.readouterr().out


@pytest.mark.slow
def test_it_loads_without_a_catalog_and_without_dbt(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from data_platform.defs.watch import defs\n"
        "print(len(defs().get_repository_def().sensor_defs))\n"
        "print([m for m in ('dagster_dbt', 'dbt', 'duckdb', 'data_platform.defs.build') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin", "DATA_PLATFORM_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split("\n")[:2] == ["1", "[]"], done.stderr


@pytest.mark.slow
def test_what_is_open_about_a_source_that_is_left_out_has_not_recovered(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.execute("UPDATE products SET price = -1 WHERE product_id = 1")
    assert project.sync("products").success
    _, cursor = project.sensor("alerts")
    assert "Check failed: raw/shop/products: price_gte_0" in capsys.readouterr().out
    shop = project.root / "catalog" / "sources" / "shop.yaml"
    shop.write_text(shop.read_text().replace("    key: product_id", "    kee: product_id"))
    _, cursor = reloaded(project).sensor("alerts", cursor)
    assert "again" not in capsys.readouterr().out
    shop.write_text(shop.read_text().replace("    kee: product_id", "    key: product_id"))
    project.execute("UPDATE products SET price = 1 WHERE product_id = 1")
    assert project.sync("products").success
    project.sensor("alerts", cursor)
    assert "Check passes again" in capsys.readouterr().out


def reloaded(project: Project) -> Project:
    from data_platform.catalog import load_catalog
    from data_platform.defs.build import build

    definitions = build(load_catalog(project.root, whole=False), "local")
    dg.Definitions.validate_loadable(definitions)
    assert not [s for s in definitions.get_repository_def().sensor_defs if s.name == "shop_probe"]
    return Project(project.root, project.url, project.instance, definitions)
