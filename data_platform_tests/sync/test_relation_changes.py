"""What a table's name hides: another relation, another file, other partitions, and changes that wait."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from data_platform.errors import DuplicateKey, SourceUnreachable
from data_platform.landing.part import canonical
from data_platform.sources.postgres import session
from data_platform.sync import probe
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
    watermark = project.good()["t"].watermark_after
    assert watermark is not None and watermark.horizon is not None
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


def test_no_index_reaches_into_a_table_that_inherits(project: Project) -> None:
    project.execute(TABLE, "create table child () inherits (t)", "insert into child values (1, 1)")
    project.catalog({"t": {"key": "id"}})
    assert isinstance(project.sync()["t"].error, DuplicateKey)


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
    ask = session.read_kind

    def ask_and_make(connection: Any, schema: str, name: str) -> str | None:
        kind = ask(connection, schema, name)
        project.execute(TABLE)
        return kind

    project.catalog({"t": {"key": "id"}})
    with monkeypatch.context() as patch:
        patch.setattr(session, "read_kind", ask_and_make)
        error = project.sync()["t"].error
    assert isinstance(error, SourceUnreachable) and error.retryable
    assert project.good()["t"].rows == 4


def test_batches_that_do_not_tell_their_relation_are_read(project: Project) -> None:
    project.execute(TABLE)
    project.catalog({"t": {"key": "id"}}).good()
    (project.root / "warehouse.duckdb").unlink()
    (path,) = (project.root / "landing" / "shop" / "t" / "manifests").rglob("*.json")
    old = json.loads(path.read_bytes())
    del old["relation"], old["digest"]
    old["digest"] = hashlib.sha256(canonical(old)).hexdigest()
    path.write_bytes(canonical(old))
    assert project.good()["t"].manifest is None
    project.execute("update t set n = 9 where id = 1")
    report = project.good()["t"]
    assert report.operation == "changes" and report.manifest is not None
    assert report.manifest.relation is not None
    assert ids(project) == [1, 2, 3, 4]
