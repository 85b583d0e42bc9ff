"""What goes wrong is said readably, hits only what it must, and leaves nothing to repair."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import psycopg
import pytest

from data_platform.errors import (
    BatchConflict,
    ConfigurationError,
    LedgerBroken,
    PartDamaged,
    SourceError,
    SourceUnreachable,
)
from data_platform.sync import check_sources, sync_changes
from data_platform_tests.sync.conftest import COLUMNS, HASH_KEY, ORDERS, ORDERS_SQL, Project

pytestmark = pytest.mark.slow

SECRET = "very-secret-password"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("", ConfigurationError),
        (f"mysql//{SECRET}", ConfigurationError),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/db", SourceUnreachable),
    ],
)
def test_a_wrong_url_is_every_tables_error_and_never_echoed(
    project: Project, url: str, kind: type[Exception]
) -> None:
    project.url = url
    project.catalog({"a": {"key": "id"}, "b": {"key": "id"}})
    reports = project.sync()
    assert set(reports) == {"a", "b"}
    for report in reports.values():
        assert isinstance(report.error, kind)
        assert SECRET not in str(report.error)
    assert "SHOP_URL" in str(reports["a"].error) or "shop" in str(reports["a"].error)


def test_a_wrong_password_is_never_echoed(project: Project) -> None:
    project.execute("create table a (id int primary key)")
    project.catalog({"a": {"key": "id"}})
    project.url = psycopg.conninfo.make_conninfo(project.url, password=SECRET)
    error = project.sync()["a"].error
    assert isinstance(error, SourceUnreachable)
    assert SECRET not in str(error)


def test_a_table_nobody_may_read_fails_alone(project: Project) -> None:
    name = "clerk_" + project.url.rsplit("/", 1)[-1].split("?")[0]
    project.execute(
        "create table open (id int primary key)",
        "create table closed (id int primary key)",
        "create table policed (id int primary key)",
        "alter table policed enable row level security",
        f"create role {name} login password 'x-of-clerk'",
        f"grant select on open, policed to {name}",
    )
    owner = project.url
    try:
        project.catalog({t: {"key": "id"} for t in ("open", "closed", "policed")})
        project.url = psycopg.conninfo.make_conninfo(owner, user=name, password="x-of-clerk")
        reports = project.sync()
        assert reports["open"].error is None
        assert "GRANT SELECT" in str(reports["closed"].error)
        # rows that a policy hides would be missing silently
        assert isinstance(reports["policed"].error, SourceError)
    finally:
        project.url = owner
        project.execute(f"drop owned by {name}", f"drop role {name}")


def test_a_locked_table_fails_alone_and_is_read_next_time(project: Project) -> None:
    project.execute(ORDERS_SQL, "create table other (id int primary key)")
    project.catalog({"orders": ORDERS, "other": {"key": "id"}})
    with psycopg.connect(project.url) as migration:
        # a TRUNCATE + reload read halfway would look like an empty table
        migration.execute("truncate orders")
        reports = project.sync()
        migration.rollback()
    assert "lock" in str(reports["orders"].error)
    assert reports["other"].error is None
    project.good()
    assert project.difference("orders", COLUMNS) == ([], [])


def test_a_truncated_part_is_named_and_nothing_is_loaded(orders: Project) -> None:
    (orders.root / "warehouse.duckdb").unlink()
    part = next((orders.root / "landing").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-7])
    error = orders.sync()["orders"].error
    assert isinstance(error, PartDamaged)
    assert part.name in str(error)
    assert "batch 1 of shop/orders" in str(error)


def test_a_flipped_bit_in_a_part_is_caught_before_loading(orders: Project) -> None:
    (orders.root / "warehouse.duckdb").unlink()
    part = next((orders.root / "landing").rglob("*.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    assert isinstance(orders.sync()["orders"].error, PartDamaged)


def test_an_altered_manifest_is_named(orders: Project) -> None:
    manifest = next((orders.root / "landing").rglob("manifests/*/*.json"))
    manifest.write_bytes(manifest.read_bytes().replace(b'"rows":400', b'"rows":399'))
    error = orders.sync()["orders"].error
    assert isinstance(error, LedgerBroken)
    assert "altered" in str(error)


def test_a_lost_tail_of_the_ledger_is_seen_by_the_warehouse(orders: Project) -> None:
    orders.execute("update orders set status = 'x' where order_id = 1")
    orders.good()
    newest = min((orders.root / "landing").rglob("manifests/*/*.json"))
    newest.unlink()
    assert isinstance(orders.sync()["orders"].error, LedgerBroken)


def test_a_lost_warehouse_is_rebuilt_from_the_ledger(orders: Project) -> None:
    orders.execute(
        "update orders set status = 'x' where order_id <= 50", "delete from orders where order_id = 60"
    )
    orders.good()
    orders.slices(["orders"], "2026-01-01")
    before = orders.rows("select * from raw_shop.orders order by order_id")
    (orders.root / "warehouse.duckdb").unlink()
    orders.good()
    assert orders.rows("select * from raw_shop.orders order by order_id") == before


def test_two_writers_of_one_ledger_both_end_right(orders: Project) -> None:
    orders.execute("update orders set status = 'x' where order_id <= 50")
    first, second = orders.platform(), orders.platform()
    real = first.ledger.commit
    conflicts = []

    def overtaken(manifest):  # type: ignore[no-untyped-def]
        if not conflicts:
            orders.execute("update orders set status = 'y' where order_id = 5")
            assert [r.error for r in sync_changes(second, "shop")] == [None]
        try:
            return real(manifest)
        except BatchConflict as error:
            conflicts.append(error)
            raise

    first.ledger.commit = overtaken  # type: ignore[method-assign]
    assert [r.error for r in sync_changes(first, "shop")] == [None]
    assert len(conflicts) == 1
    assert orders.difference("orders", COLUMNS) == ([], [])


def test_validate_connect_says_what_the_databases_say(project: Project) -> None:
    project.execute("create table orders (id int primary key, email text)")
    project.catalog({"orders": {"key": "nr"}, "odrers": {"key": "id"}})
    mistakes = check_sources(project.platform()).mistakes
    assert len(mistakes) == 2
    assert any("no column nr" in m for m in mistakes)
    assert any("Did you mean public.orders?" in m for m in mistakes)


KILLED = """
    import os, sys
    from pathlib import Path
    from data_platform.sync import open_platform, sync_changes
    platform = open_platform(Path(sys.argv[1]), "local", os.environ)
    print("ready", flush=True)
    for report in sync_changes(platform, "shop"):
        print(report.error, flush=True)
"""


@pytest.mark.parametrize("delay", [0.05, 0.3])
def test_a_sync_killed_at_any_instant_leaves_nothing_to_repair(orders: Project, delay: float) -> None:
    orders.execute(
        "insert into orders select n, 'bulk', n, timestamptz '2026-01-05' + n * interval '1 minute'"
        " from generate_series(10000, 40000) n"
    )
    environ = {**os.environ, "SHOP_URL": orders.url, "DATA_PLATFORM_HASH_KEY": HASH_KEY}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(orders.root)], env=environ, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    orders.good()
    assert orders.difference("orders", COLUMNS) == ([], [])
    sequences = orders.ledger_sequences("orders")
    assert sequences == list(range(1, len(sequences) + 1))
