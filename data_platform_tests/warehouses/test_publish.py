"""The publication of a DuckDB warehouse: what is in it, that nobody waits for it, and that it is whole after any end."""

from __future__ import annotations

import json
import os
import random
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from data_platform.errors import ConfigurationError, WarehouseBusy, WarehouseError
from data_platform.sql import quoted
from data_platform_tests.contracts.batches import Chain
from data_platform_tests.warehouses import shelf
from data_platform_tests.warehouses.shelf import (
    CONFIG,
    HASTY,
    PUBLISHED,
    everything,
    publish,
    versions,
    write,
)
from data_platform_tests.warehouses.test_duckdb import held_by_another_process

READERS, ROUNDS = 3, 5
ODD = 'it\'s "x"; Größe'
KILLED_AT = 8


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, 1)
    return tmp_path


def run(root: Path, *statements: str) -> None:
    with CONFIG.open(root) as warehouse:
        for statement in statements:
            warehouse.connection.execute(statement)


def rows(root: Path, sql: str) -> list[tuple[object, ...]]:
    with HASTY.published(root, root / PUBLISHED) as (copy, _):
        return copy.query(sql).rows


def child(act: str, root: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", shelf.__name__, act, str(root), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_it_holds_what_was_chosen_and_says_of_which_loads(root: Path) -> None:
    with CONFIG.open(root, files=[root]) as warehouse:
        warehouse.load(*Chain(root / "parts").next("merge", [(1, "2026-01-01", "a", 1)]))
        loads = warehouse.loaded_all()
    run(root, "COMMENT ON TABLE marts.orders IS 'it''s all'", "COMMENT ON COLUMN marts.orders.id IS 'key'")
    made = publish(root)
    with CONFIG.published(root, root / PUBLISHED) as (copy, told):
        assert told == made
        assert {(one.schema, one.kind) for one in copy.describe() if one.schema != "_data_platform"} == {
            ("marts", "table")
        }
        comments = copy.query("SELECT comment FROM duckdb_tables() WHERE table_name = 'orders'").rows
        assert comments == [("it's all",)]
    assert [(one.name, one.kind, one.rows) for one in made.relations] == [
        ("lines", "table", 60),
        ("newest", "view", 1),
        ("orders", "table", 20),
    ]
    assert list(made.loads) == loads
    assert versions(root) == (1, 1)
    assert made.copied == 3


def test_only_what_changed_is_copied_and_the_file_does_not_grow(root: Path) -> None:
    publish(root)
    sizes = []
    for version in range(2, 9):
        run(root, f"UPDATE marts.lines SET version = {version} WHERE id = 3")
        made = publish(root)
        assert [one.name for one in made.relations if one.changed_at == made.made_at] == ["lines"]
        assert rows(root, "SELECT version FROM marts.lines WHERE id = 3") == [(version,)]
        sizes.append(made.bytes)
    assert max(sizes[3:]) <= max(sizes[:3])
    again = publish(root)
    assert again.copied == 0
    assert again.id != made.id


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM marts.orders WHERE id = 3",
        "UPDATE marts.orders SET id = CASE id WHEN 3 THEN 4 WHEN 4 THEN 3 ELSE id END, version = id WHERE id IN (3, 4)",
        "INSERT INTO marts.orders FROM marts.orders WHERE id = 3",
        "UPDATE marts.orders SET version = NULL WHERE id = 3",
        "ALTER TABLE marts.orders ADD COLUMN more VARCHAR",
        "ALTER TABLE marts.orders RENAME COLUMN version TO renamed",
        "COMMENT ON COLUMN marts.orders.id IS 'another'",
    ],
)
def test_any_change_of_a_table_is_copied(root: Path, change: str) -> None:
    run(root, "DROP VIEW marts.newest")
    publish(root)
    run(root, change)
    made = publish(root)
    assert [one.name for one in made.relations if one.changed_at == made.made_at] == ["orders"]
    with CONFIG.open(root, read_only=True) as warehouse:
        expected = warehouse.query("FROM marts.orders ORDER BY ALL").rows
    assert rows(root, "FROM marts.orders ORDER BY ALL") == expected


def test_what_is_gone_from_the_warehouse_or_the_catalog_is_gone_from_it(root: Path) -> None:
    publish(root)
    run(root, "DROP VIEW marts.newest")

    def one_without_a_column(relations: Sequence[object]) -> object:
        (orders,) = [one for one in everything(relations) if one.relation.name == "orders"]  # type: ignore[arg-type]
        return [type(orders)(orders.relation, ("id",), ("version",))]

    made = publish(root, choose=one_without_a_column)
    assert made.left_out == ("marts.orders.version",)
    with CONFIG.published(root, root / PUBLISHED) as (copy, _):
        found = [one for one in copy.describe() if one.schema == "marts"]
    assert [(one.name, one.columns) for one in found] == [("orders", (("id", "BIGINT"),))]
    with pytest.raises(WarehouseError, match="no relation was chosen"):
        publish(root, choose=lambda _: [])


def test_views_names_and_types_stand_alone(root: Path) -> None:
    """A view may name another schema, its database, or a name with any character; the copy needs none of them."""
    table, view = f"{quoted('raw; shop')}.{quoted(ODD)}", f"marts.{quoted(ODD)}"
    values = (
        "1.10::DECIMAL(38,18) AS d, TIMESTAMPTZ '2026-01-31 12:00:00+00' AS t, [1, NULL] AS l, {'k': DATE '2026-01-01'} AS s,"
        """ '{"a": 1}'::JSON AS j, 'infinity'::DOUBLE AS f, uuid '00000000-0000-0000-0000-000000000001' AS u,"""
        " '\\x01'::BLOB AS b, NULL::INTEGER AS n"
    )
    run(
        root,
        'CREATE SCHEMA "raw; shop"',
        f"CREATE TABLE {table} AS SELECT {values}",
        f'CREATE VIEW {view} AS SELECT *, t::DATE AS "Größe" FROM warehouse.{table}',
    )
    first = publish(root)
    assert publish(root).copied == 0
    run(root, 'DROP SCHEMA "raw; shop" CASCADE', f"DROP VIEW {view}")
    assert first.copied == 4
    ((d, *_, day),) = rows(root, f"FROM {view}")
    assert str(d) == "1.100000000000000000"
    assert str(day) == "2026-01-31"


def test_nobody_but_its_account_reads_it_and_nobody_writes(root: Path) -> None:
    publish(root)
    mode = stat.S_IMODE((root / PUBLISHED).stat().st_mode)
    assert mode == 0o400
    publish(root)
    assert {path.name for path in root.iterdir()} == {
        "warehouse.duckdb",
        PUBLISHED.name,
        f".{PUBLISHED.name}.lock",
    }


def test_a_group_may_read_it(root: Path) -> None:
    import grp

    mine = grp.getgrgid(os.getegid()).gr_name
    made = CONFIG.publish(root, root / "bi" / "p.duckdb", everything, lambda: datetime.now(UTC), group=mine)
    assert made.rows == 81
    assert stat.S_IMODE((root / "bi" / "p.duckdb").stat().st_mode) == 0o440
    assert stat.S_IMODE((root / "bi").stat().st_mode) == 0o750
    with pytest.raises(ConfigurationError, match="no such group"):
        publish(root, group="no group of this name")


def test_another_file_is_never_overwritten(root: Path) -> None:
    with duckdb.connect(root / PUBLISHED) as mine:
        mine.execute("CREATE TABLE precious AS SELECT 1 AS n")
    for _ in range(2):
        with pytest.raises(WarehouseError, match=r"no publication of this platform.*Move it away"):
            publish(root)
    (root / PUBLISHED).write_text("a note")
    with pytest.raises(WarehouseError, match="no publication of this platform"):
        publish(root)
    with pytest.raises(WarehouseError, match="no publication of this platform"):
        versions(root)
    assert (root / PUBLISHED).read_text() == "a note"
    (root / PUBLISHED).unlink()
    (root / PUBLISHED).mkdir()
    with pytest.raises(ConfigurationError, match="folder"):
        publish(root)


def test_a_log_beside_the_last_one_is_not_replayed_over_the_new_one(root: Path) -> None:
    publish(root)
    (root / PUBLISHED).chmod(0o600)
    somebody = duckdb.connect(root / PUBLISHED)
    somebody.execute(
        "SET disabled_optimizers = ''; PRAGMA disable_checkpoint_on_shutdown; DROP TABLE marts.orders"
    )
    somebody.close()
    assert (root / f"{PUBLISHED.name}.wal").exists()
    write(root, 2)
    publish(root)
    assert versions(root) == (2, 2)


def test_of_two_at_once_one_waits_for_the_other(root: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slowly(relations: Sequence[object]) -> object:
        inside.set()
        assert go_on.wait(30)
        return everything(relations)  # type: ignore[arg-type]

    first = threading.Thread(target=publish, args=(root,), kwargs={"choose": slowly})
    first.start()
    assert inside.wait(30)
    with pytest.raises(WarehouseBusy, match="Another process makes the publication"):
        publish(root, HASTY)
    go_on.set()
    first.join()
    assert versions(root) == (1, 1)
    assert publish(root, HASTY).copied == 0


def test_it_waits_for_a_writer_and_then_says_who_it_is(root: Path) -> None:
    publish(root)
    with (
        held_by_another_process(root / CONFIG.path),
        pytest.raises(WarehouseBusy, match=r"is held by process \d+"),
    ):
        publish(root, HASTY)
    assert versions(root) == (1, 1)


def test_a_full_disk_leaves_the_last_one(root: Path) -> None:
    publish(root)
    write(root, 2, rows=300_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(WarehouseError, match=r"was not made.*Readers keep the last one"):
            publish(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert versions(root) == (1, 1)
    assert not list(root.glob(".*.new*"))
    publish(root)
    assert versions(root) == (2, 2)


@pytest.mark.slow
def test_readers_wait_for_nobody_and_see_one_publication(root: Path) -> None:
    """Readers that would fail rather than wait, beside a process that writes and publishes all the time."""
    publish(root)
    readers = [child("read", root) for _ in range(READERS)]
    assert [reader.stdout.readline() for reader in readers if reader.stdout] == ['"reads"\n'] * READERS
    with HASTY.published(root, root / PUBLISHED) as (copy, _):
        for version in range(2, ROUNDS + 2):
            write(root, version, rows=10_000)
            publish(root)
        held = copy.query("SELECT min(version), max(version), count(*) FROM marts.orders").rows
        assert held == [(1, 1, 20)], "who has the file open keeps the publication that it opened"
    assert versions(root) == (ROUNDS + 1, ROUNDS + 1)
    (root / "stop").touch()
    told = [json.loads(reader.communicate(timeout=60)[0]) for reader in readers]
    assert [one["wrong"] for one in told] == [[]] * READERS
    assert min(one["seen"] for one in told) > 1, "publications came while they read"


@pytest.mark.slow
def test_at_every_step_a_reader_finds_a_whole_one(root: Path) -> None:
    publish(root)
    watching = child("watch", root)
    found = json.loads(watching.communicate(timeout=120)[0])
    assert len(found) > 30
    assert [one for one in found if one[1] not in ([1, 1], [2, 2])] == []
    assert [versions for _, versions in found] == sorted(versions for _, versions in found)
    assert found[-1][1] == [2, 2], "there were steps after the swap"


@pytest.mark.slow
def test_killed_at_any_point_the_last_one_or_the_new_one_is_there(
    root: Path, request: pytest.FixtureRequest, seeds: Callable[[int], Sequence[int]]
) -> None:
    """At lines that touch the world, before and after; and in the middle of statements. ``--seeds N`` kills at all of them."""
    publish(root)
    whole = child("kill", root, "1000000")
    (*_, counted) = [json.loads(line) for line in whole.communicate(timeout=60)[0].splitlines()[:1]]
    sites = list(range(1, counted["sites"] + 1))
    assert len(sites) > 30
    if (
        request.config.getoption("--seeds") is None
    ):  # while the file is put in its place, and somewhere before
        sites = sorted(
            {*sites[-3 * KILLED_AT :: 3], *random.Random(len(sites)).sample(sites, KILLED_AT // 2)}
        )
    write(root, 1)
    publish(root)
    at = [*map(str, sites), "-15", "-60"]
    said = [json.loads(line) for line in child("kill", root, *at).communicate(timeout=280)[0].splitlines()]
    told = [one for one in said if "version" in one]
    ends = [one["signal"] for one in said if "signal" in one]
    assert len(ends) == len(at)
    assert ends[: len(sites)] == [9] * len(sites), "each of them was killed"
    for one in told:
        first, second = one["before"]
        assert first == second
        assert first <= one["version"]
    made = publish(root)
    assert versions(root) == (len(at) + 1, len(at) + 1)
    assert made.rows > 0
    assert {path.name for path in root.iterdir()} == {
        "warehouse.duckdb",
        PUBLISHED.name,
        f".{PUBLISHED.name}.lock",
    }
