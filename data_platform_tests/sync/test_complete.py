"""A verified sync: tallies of every slice in one snapshot, whole rows of some, a sealed record of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from data_platform.quality.completeness import ROTATION_DAYS, CompletenessReport, seal
from data_platform.sync import TableReport, sync_changes
from data_platform.sync import finish as finish_module
from data_platform.sync import follow_up as follow_up_module
from data_platform.tables import SOURCE_XMIN, Slice
from data_platform_tests.sync.conftest import COLUMNS, Project

pytestmark = pytest.mark.slow
BY_XMIN = pytest.mark.parametrize("orders", ["application"], ids=["xmin"], indirect=True)
"""Where the way the changes were found makes no difference."""
DAY = datetime(2026, 2, 2, 12, tzinfo=UTC)


def verified(project: Project, *, day: int | None = None) -> tuple[TableReport, CompletenessReport]:
    """A verified sync; with ``day``, one with the audit of that day after a fixed one."""
    platform = project.platform()
    if day is not None:
        platform = replace(platform, clock=lambda: DAY + timedelta(days=day))
    (report,) = sync_changes(platform, "shop", verify=True, audit=day is not None)
    assert report.error is None, report.error
    assert report.completeness is not None
    return report, report.completeness


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_both_sides_count_every_slice_alike(project: Project, kind: str, zone: str) -> None:
    project.execute(
        f"create table t (id int primary key, at {kind})",
        "insert into t select n, timestamptz '2026-01-01' + n * interval '7 hours' from generate_series(1, 40) n",
        "insert into t values (50, null), (51, 'infinity'), (52, '-infinity'), (53, '0044-03-15 12:00 BC'),"
        " (54, '1969-12-31 23:59:59'), (55, '9999-12-31 23:00')",
    )
    project.catalog({"t": {"key": "id", "partition": "at"}}, timezone=zone)
    _, found = verified(project)
    assert found.passed
    assert found.mended == ()
    assert found.evidence is not None
    assert found.evidence.rows == 46
    assert {Slice("null"), Slice("infinity"), Slice("0044-03-15 BC")} <= set(found.evidence.tallies)


def test_relations_without_versions_or_days_are_counted(project: Project) -> None:
    project.execute("create table t (id int primary key)", "insert into t values (1), (2)")
    project.execute("create view v as select id from t")
    project.catalog({"v": {"strategy": "replace"}})
    report, found = verified(project)
    assert (report.error, found.passed, found.matching) == (None, True, 1)


def test_a_quiet_table_is_verified_without_a_batch(orders: Project) -> None:
    verified(orders)
    before = orders.ledger_sequences("orders")
    _, found = verified(orders)
    assert found.passed
    assert found.matching == 20
    assert orders.ledger_sequences("orders") == before


def test_what_went_from_either_side_is_read_again(orders: Project) -> None:
    orders.execute("delete from orders where order_id in (3, 23)")
    with orders.platform().warehouse() as warehouse:
        warehouse.query("delete from raw_shop.orders where order_id = 5")
        warehouse.query("update raw_shop.orders set _source_xmin = 7 where order_id = 6")
    report, found = verified(orders)
    assert found.passed
    assert [one.slice for one in found.mended] == ["2026-01-04", "2026-01-06", "2026-01-07"]
    assert str(found.mended[0]).endswith("20 rows in the warehouse, 18 at the source")
    assert any("3 slice(s) differed" in note for note in report.notes)
    assert orders.difference("orders", COLUMNS) == ([], [])


@BY_XMIN
def test_a_value_that_is_wrong_at_the_right_version_is_found_within_a_week(orders: Project) -> None:
    with orders.platform().warehouse() as warehouse:
        warehouse.query("update raw_shop.orders set amount = amount + 1 where order_id in (7, 8, 9)")
    audited: set[Slice] = set()
    altered = 0
    for day in range(ROTATION_DAYS):
        report, found = verified(orders, day=day)
        assert found.passed, "the versions are right"
        audited |= set(found.audit.slices)
        altered += found.audit.rows_altered
        assert bool(found.audit.rows_altered) == any("different values" in note for note in report.notes)
    assert altered == 3
    assert len(audited) == 20, "every day had its turn"
    assert orders.difference("orders", COLUMNS) == ([], [])


@BY_XMIN
def test_an_audit_lands_nothing_where_all_is_well(orders: Project) -> None:
    before = orders.ledger_sequences("orders")
    for day in range(ROTATION_DAYS):
        assert verified(orders, day=day)[1].audit.rows_altered == 0
    # (the first comparison measures the days that no batch has)
    assert len(orders.ledger_sequences("orders")) <= len(before) + 1


def test_a_table_without_days_is_audited_whole_once_a_week(project: Project) -> None:
    project.execute(
        "create table t (id int primary key, v jsonb, f float8, l int[])",
        """insert into t values (1, '{"a": 1}', 'nan', '{1,null}'), (2, null, -0.0, '{}')""",
    )
    project.catalog({"t": {"key": "id", "personal": {"v": "keep"}}})
    project.good()
    with project.platform().warehouse() as warehouse:
        warehouse.query("""update raw_shop.t set v = '{"a": 2}' where id = 1""")
    found = [verified(project, day=day)[1] for day in range(ROTATION_DAYS)]
    assert sorted(one.audit.rows_altered for one in found) == [0, 0, 0, 0, 0, 0, 1]
    assert [one.audit.slices for one in found].count((Slice("all"),)) == 1
    assert project.rows("select v from raw_shop.t where id = 1") == [('{"a": 1}',)]


@BY_XMIN
def test_rows_that_moved_on_meanwhile_are_no_alarm(orders: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit between the comparison and the audit: newer rows are landed, none is called altered."""
    compare = follow_up_module._audited

    def commit_first(*arguments: Any) -> Any:
        orders.execute("update orders set amount = 77")
        return compare(*arguments)

    monkeypatch.setattr(follow_up_module, "_audited", commit_first)
    _, found = verified(orders, day=0)
    assert (found.passed, found.audit.rows_altered) == (True, 0)
    assert found.audit.slices
    orders.good()
    assert orders.difference("orders", COLUMNS) == ([], [])


def test_a_later_batch_of_another_sync_makes_it_compare_anew(
    orders: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = finish_module.compare_snapshot
    raced: list[bool] = []

    def race(*arguments: Any) -> Any:
        if not raced:
            raced.append(True)
            orders.execute("update orders set status = 'raced' where order_id = 9")
            orders.good()
        return compare(*arguments)

    monkeypatch.setattr(finish_module, "compare_snapshot", race)
    report, found = verified(orders)
    assert found.passed
    assert found.mended == ()
    assert any("another sync loaded a later batch" in note for note in report.notes)


@BY_XMIN
def test_the_record_stands_for_what_the_ledger_held(orders: Project) -> None:
    orders.execute("delete from orders where order_id = 3")
    _, found = verified(orders)
    record = found.record()
    assert record is not None
    head = orders.platform().ledger.head(found.evidence.table)  # type: ignore[union-attr]
    assert head is not None
    assert record["rows"] == 399
    assert record["slices"] == 20
    assert record["mended"] == ["2026-01-04: 20 rows in the warehouse, 19 at the source"]
    assert record["ledger_sequence"] <= head.sequence
    standing = orders.platform().ledger.read(found.evidence.table, record["ledger_sequence"])  # type: ignore[union-attr]
    assert record["ledger_digest"] == standing.digest
    assert seal(record) == record["seal"]
    for name in record:
        assert seal({**record, name: "altered"}) != record["seal"] or name in ("seal", "signature")


def test_a_version_is_summed_across_wraparound(orders: Project) -> None:
    """Sums are modulo 2**32, so that rows from before and after the wrap add up on both sides."""
    with orders.platform().warehouse() as warehouse:
        warehouse.query(f"update raw_shop.orders set {SOURCE_XMIN} = {SOURCE_XMIN} + 4294967296")
    _, found = verified(orders)
    assert found.mended == ()


def test_tables_that_differ_are_mended_under_one_snapshot(project: Project) -> None:
    """What one transaction deleted from two tables goes from both at once, whatever cuts them."""
    project.execute(
        "create table users (user_id int primary key)",
        "create table orders (order_id int primary key, user_id int, created_at timestamptz)",
        "insert into users select generate_series(1, 9)",
        "insert into orders select g, g, '2026-01-01'::timestamptz + g * interval '1 day' from generate_series(1, 9) g",
    )
    project.catalog(
        {"users": {"key": "user_id"}, "orders": {"key": "order_id", "partition": "created_at"}},
        start="2026-01-01",
    )
    project.good()
    project.execute("delete from users where user_id in (2, 3)", "delete from orders where user_id in (2, 3)")
    reports = list(sync_changes(project.platform(), "shop", verify=True))
    mended = {r.table.table: (r.error, r.completeness and len(r.completeness.mended)) for r in reports}
    assert mended == {"users": (None, 1), "orders": (None, 2)}
    heads = [project.platform().ledger.head(r.table) for r in reports]
    assert len({head and head.snapshot.text for head in heads}) == 1
    assert {head and head.operation for head in heads} == {"refresh", "slice"}
    # the instant up to which deletes are known is told where the table is shown
    assert all(project.platform().ledger.last_reconcile(report.table) for report in reports)
