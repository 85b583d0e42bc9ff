"""What a table's name hides: another relation, another file, other partitions, and changes that wait."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from data_platform.errors import DuplicateKey, SourceUnreachable
from data_platform.landing.part import canonical
from data_platform.sources.looking import Checked
from data_platform.sources.postgres import locks, together
from data_platform.sources.postgres.introspect import Relation
from data_platform.sync import check_sources, probe
from data_platform_tests.conftest import Role
from data_platform_tests.sync.conftest import Project
from data_platform_tests.sync.test_schema_changes import (
    OURS,
    PARTITIONED,
    in_background,
    waits_for_a_lock,
)

pytestmark = pytest.mark.slow

TABLE = "create table t (id int primary key, n int); insert into t select g, g from generate_series(1, 4) g"
PARTS = PARTITIONED.replace("{t}", "t")
ATTACH = "alter table t attach partition t_3 for values from ('2026-01-03') to ('2026-01-04')"
PARTS_BLOCK = {"key": ["id", "at"], "partition": "at"}


def ids(project: Project) -> list[int]:
    return [row[0] for row in project.rows("select id from raw_shop.t order by 1")]


def test_append_reads_a_table_made_anew_and_keeps_what_it_had(project: Project) -> None:
    project.execute(TABLE)
    project.catalog({"t": {"key": "id", "strategy": "append"}}).good()
    project.execute("truncate t", "insert into t values (5, 5)")
    report = project.good()["t"]
    assert report.operation == "changes" and "rows read before stay (append)" in " ".join(report.notes)
    project.execute("drop table t", TABLE, "update t set id = id + 4")
    project.good()
    assert ids(project) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert project.good()["t"].manifest is None


def test_a_slice_does_not_vouch_for_what_it_did_not_read(project: Project) -> None:
    project.execute(PARTS)
    project.catalog({"t": PARTS_BLOCK}).good()
    project.execute(ATTACH)
    assert project.slices(["t"], "2026-01-01")["t"].error is None
    assert "1 partition(s) are new" in " ".join(project.good()["t"].notes)
    assert ids(project) == [*range(1, 9), *range(21, 25)]


def test_rows_that_are_attached_are_older_than_any_clock(project: Project) -> None:
    stamped = PARTS.replace("n int", "n int, updated_at timestamptz not null default now()")
    project.execute(stamped, "create index on t (updated_at)")
    project.catalog({"t": {**PARTS_BLOCK, "cursor": "updated_at", "cursor_clock": "database"}})
    position = project.good()["t"].position_after
    assert position is not None and position.value["horizon"] is not None
    project.good()
    project.execute(ATTACH)
    project.good()
    assert ids(project) == [*range(1, 9), *range(21, 25)]


@pytest.mark.parametrize(
    "change",
    [
        ["truncate t"],
        ["drop table t", TABLE, "delete from t where id > 2"],
        ["alter table t alter n set default 1", "alter table t add extra int default 7"],
        ["alter table t rename n to m"],
    ],
)
def test_the_probe_asks_for_a_look_though_no_row_moved(project: Project, change: list[str]) -> None:
    project.execute(TABLE)
    project.catalog({"t": {"key": "id"}}).good()
    [seen] = probe(project.platform(), "shop")
    assert seen.moved is False
    project.execute(*change)
    [seen] = probe(project.platform(), "shop")
    assert seen.moved is True
    project.sync(refresh=["t"] if "rename" in change[0] else [])
    [seen] = probe(project.platform(), "shop")
    assert seen.moved is False


@pytest.mark.parametrize("kind", ["slice", "changes"])
def test_a_row_that_shares_its_key_is_never_merged_away(project: Project, kind: str) -> None:
    """The batch holds one row of the key; the other one was read before, and lies in another slice."""
    project.execute(
        "create table t (id int not null, at date)",
        "insert into t select g, '2026-01-01' from generate_series(1, 4) g",
    )
    project.catalog({"t": {"key": "id", "partition": "at"}}).good()
    project.execute("insert into t values (1, '2026-01-02')")
    reports = project.sync() if kind == "changes" else project.slices(["t"], "2026-01-02")
    assert isinstance(reports["t"].error, DuplicateKey)
    assert ids(project) == [1, 2, 3, 4]
    project.execute("delete from t where id = 1 and at = '2026-01-02'")
    project.good()


INHERITS = """
create table vehicle (id int primary key, label text, created_at timestamptz default '2026-01-02 12:00+00');
create table truck (axles int, primary key (id)) inherits (vehicle);
insert into vehicle values (1, 'generic');
insert into truck (id, label, axles) values (2, 't2', 3), (3, 't3', 2);
create table event_log (id int primary key, label text);
create table event_log_2025 (primary key (id)) inherits (event_log);
insert into event_log values (1, 'parent row');
insert into event_log_2025 values (1, 'child row with the same id');
"""
OWN = {
    "vehicle": "id, label",
    "truck": "id, label, axles",
    "event_log": "id, label",
    "event_log_2025": "id, label",
}


def test_rows_of_tables_that_inherit_land_once(project: Project) -> None:
    """Each in its own table, under whatever is done: first reads, changes, slices, comparisons, probes."""
    project.execute(INHERITS)
    project.catalog(
        {
            name: {"key": "id", **({"partition": "created_at"} if name in ("vehicle", "truck") else {})}
            for name in OWN
        }
    )
    assert check_sources(project.platform()) == Checked()

    def is_exact() -> None:
        for table, columns in OWN.items():
            source = project.source_rows(f"select {columns} from only {table} order by id")
            assert project.rows(f"select {columns} from raw_shop.{table} order by id") == source

    first = project.good(audit=True)
    assert {n: r.rows for n, r in first.items()} == {
        "vehicle": 1,
        "truck": 2,
        "event_log": 1,
        "event_log_2025": 1,
    }
    assert all(r.completeness and r.completeness.passed for r in first.values())
    assert "read by itself (ONLY)" in " ".join(first["vehicle"].notes)
    is_exact()
    assert not any(
        p.moved or p.differing or p.error for p in probe(project.platform(), "shop", measure_slices=True)
    )
    project.execute(
        "update truck set label = 'new' where id = 2",  # of its parent nothing changed
        "insert into event_log_2025 values (2, 'another')",
    )
    assert {p.table.table for p in probe(project.platform(), "shop") if p.moved} == {
        "truck",
        "event_log_2025",
    }
    assert {n for n, r in project.good(verify=True).items() if r.manifest} == {"truck", "event_log_2025"}
    is_exact()
    assert {
        n: r.error for n, r in project.slices(["vehicle", "truck"], "2026-01-02").items()
    } == dict.fromkeys(("vehicle", "truck"))
    is_exact()


def test_rows_that_once_landed_with_their_parent_leave_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger of an earlier release holds them in both tables, and its manifest says whose they were."""
    describe = together.read_relations

    def with_children(connection: Any, wanted: Sequence[tuple[str, str]]) -> list[Relation]:
        described = []
        for found in describe(connection, wanted):
            assert isinstance(found, Relation) and found.identity is not None
            leaves = tuple(oid for oid, _, _ in found.children)
            described.append(replace(found, children=(), identity=replace(found.identity, leaves=leaves)))
        return described

    project.execute(INHERITS)
    project.catalog({"vehicle": {"key": "id"}, "truck": {"key": "id"}})
    monkeypatch.setattr(together, "read_relations", with_children)
    assert project.good()["vehicle"].rows == 3
    monkeypatch.undo()
    project.good()
    assert project.rows("select id from raw_shop.vehicle") == [(1,)]
    assert project.rows("select count(*) from raw_shop.truck") == [(2,)]


def test_what_inherits_and_has_no_block_is_told_of(project: Project) -> None:
    project.execute(INHERITS)
    project.catalog({"vehicle": {"key": "id"}, "event_log": {"key": "id"}, "event_log_2025": {"key": "id"}})
    found = check_sources(project.platform())
    assert found.mistakes == []
    assert len(found.notes) == 1 and "public.truck inherit from public.vehicle" in found.notes[0]


def test_partitions_that_may_not_be_read_by_themselves(project: Project, reader: Role) -> None:
    project.execute(
        "create table p (id int primary key, n int) partition by range (id)",
        "create table p_1 partition of p for values from (0) to (10)",
        "insert into p select g, g from generate_series(1, 5) g",
        f"grant select on p to {reader.name}",
    )
    project.url = reader.url
    project.catalog({"p": {"key": "id"}})
    assert project.good()["p"].rows == 5


def test_who_waits_to_alter_a_table_does_not_hold_up_its_readers(project: Project) -> None:
    """The ALTER waits for the session that took the snapshot. A reader that came to the table only then
    would queue behind the ALTER, and neither would get on."""
    project.execute(TABLE, TABLE.replace(" t ", " u "))
    project.catalog({"t": {"key": "id"}, "u": {"key": "id"}}, connection={"connections": 1})
    altered: list[Callable[[], Any]] = []

    def first_is_read(*_: Any) -> None:
        if not altered:
            altered.append(in_background(lambda: project.execute("alter table u add extra int default 1")))
            waits_for_a_lock(project, f"not {OURS}")

    reports = project.good(progress=first_is_read)
    assert reports["u"].rows == 4
    altered[0]()
    project.good()
    assert project.rows("select sum(extra) from raw_shop.u") == [(4,)]


def test_a_table_made_while_the_snapshot_is_taken_waits_for_the_next_sync(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not be locked, so nothing would keep a TRUNCATE out of its read."""
    find = locks.find

    def find_and_make(connection: Any, wanted: Sequence[together.Wanted]) -> dict[str, locks.Found]:
        found = find(connection, wanted)
        project.execute(TABLE)
        return found

    project.catalog({"t": {"key": "id"}})
    with monkeypatch.context() as patch:
        patch.setattr(locks, "find", find_and_make)
        error = project.sync()["t"].error
    assert isinstance(error, SourceUnreachable) and error.retryable
    assert project.good()["t"].rows == 4


def test_batches_that_do_not_tell_their_relation_are_read(project: Project) -> None:
    project.execute(TABLE)
    project.catalog({"t": {"key": "id"}}).good()
    (project.root / "warehouse.duckdb").unlink()
    (path,) = (project.root / "landing" / "shop" / "t" / "manifests").rglob("*.json")
    old = json.loads(path.read_bytes())
    old["identity"] = None
    del old["digest"]
    old["digest"] = hashlib.sha256(canonical(old)).hexdigest()
    path.write_bytes(canonical(old))
    assert project.good()["t"].manifest is None
    project.execute("update t set n = 9 where id = 1")
    report = project.good()["t"]
    assert report.operation == "changes" and report.manifest is not None
    assert report.manifest.identity is not None
    assert ids(project) == [1, 2, 3, 4]
