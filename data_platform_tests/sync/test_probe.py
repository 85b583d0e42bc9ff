"""What the sensor sees: tables that moved and days that differ, from the source and the manifests alone."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from data_platform.stores.local import LocalStore
from data_platform.sync import KnownHeads, probe
from data_platform_tests.sync.conftest import ORDERS, ORDERS_SQL, Project

pytestmark = pytest.mark.slow


def test_a_table_moves_and_comes_to_rest(orders: Project) -> None:
    assert [p.moved for p in probe(orders.platform(), "shop")] == [False]
    orders.execute("update orders set status = 'x' where order_id = 1")
    assert [p.moved for p in probe(orders.platform(), "shop")] == [True]
    orders.good()
    assert [p.moved for p in probe(orders.platform(), "shop")] == [False]


def test_the_warehouse_is_never_opened(orders: Project) -> None:
    (orders.root / "warehouse.duckdb").unlink()
    assert [p.moved for p in probe(orders.platform(), "shop", measure_slices=True)] == [False]
    assert not (orders.root / "warehouse.duckdb").exists()


def test_a_delete_shows_as_a_differing_day(orders: Project) -> None:
    orders.execute("delete from orders where order_id = 3")
    (seen,) = probe(orders.platform(), "shop", measure_slices=True)
    assert (seen.moved, seen.differing) == (False, ("2026-01-04",))
    orders.slices(["orders"], *seen.differing)
    (seen,) = probe(orders.platform(), "shop", measure_slices=True)
    assert (seen.moved, seen.differing) == (False, ())


def test_a_day_that_changed_since_it_was_measured_is_no_alarm(orders: Project) -> None:
    # all twenty days, more than a changes batch measures on the way
    orders.execute("update orders set status = 'x'")
    orders.good()
    (seen,) = probe(orders.platform(), "shop", measure_slices=True)
    assert (seen.moved, seen.differing) == (False, ())


def test_an_unsynced_table_moved_and_a_broken_one_says_why(project: Project) -> None:
    project.execute(ORDERS_SQL)
    project.catalog({"orders": ORDERS, "gone": {"key": "id"}})
    found = {p.table.table: p for p in probe(project.platform(), "shop")}
    assert found["orders"].moved is True
    assert "not in the database" in str(found["gone"].error)


def test_an_unreachable_source_is_an_error_of_each_table(project: Project) -> None:
    project.url = "postgresql://nobody:x@127.0.0.1:1/none"
    project.catalog({"a": {"key": "id"}, "b": {"key": "id"}})
    assert all(p.error is not None for p in probe(project.platform(), "shop"))


def test_a_look_reads_one_manifest_a_table_and_a_measurement_the_chain(
    orders: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for status in ("a", "b", "c"):
        orders.execute(f"update orders set status = '{status}' where order_id = 1")
        orders.good()
    asked: list[str] = []
    read = LocalStore.read

    def counting(self: LocalStore, key: str) -> bytes:
        asked.append(key)
        return read(self, key)

    monkeypatch.setattr(LocalStore, "read", counting)
    manifests = []
    for measure in (False, True):
        asked.clear()
        (seen,) = probe(orders.platform(), "shop", measure_slices=measure)
        assert (seen.moved, seen.head_sequence) == (False, 4)
        manifests.append(sum("/manifests/" in key for key in asked))
    assert manifests == [1, 4]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the landing store for manifests."""
    asked: list[str] = []
    read, listing = LocalStore.read, LocalStore.list

    def reading(self: LocalStore, key: str) -> bytes:
        asked.extend([key] if "/manifests/" in key else [])
        return read(self, key)

    def listed(self: LocalStore, prefix: str, limit: int | None = None) -> list[str]:
        asked.extend([prefix] if prefix.endswith("/manifests") else [])
        return listing(self, prefix, limit)

    monkeypatch.setattr(LocalStore, "read", reading)
    monkeypatch.setattr(LocalStore, "list", listed)
    return asked


def test_a_quiet_table_whose_head_is_known_costs_the_landing_store_nothing(
    orders: Project, asked: list[str]
) -> None:
    known = KnownHeads()
    assert [p.moved for p in probe(orders.platform(), "shop", known=known)] == [False]
    assert asked
    asked.clear()
    (seen,) = probe(orders.platform(), "shop", known=known)
    assert (seen.moved, seen.head_sequence, asked) == (False, 1, [])


def test_what_another_process_landed_is_no_movement(orders: Project, asked: list[str]) -> None:
    known = KnownHeads()
    probe(orders.platform(), "shop", known=known)
    orders.execute("update orders set status = 'x' where order_id = 1")
    orders.good()
    (seen,) = probe(orders.platform(), "shop", known=known)
    assert (seen.moved, seen.head_sequence) == (False, 2)
    asked.clear()
    (seen,) = probe(orders.platform(), "shop", known=known)
    assert (seen.moved, seen.head_sequence, asked) == (False, 2, [])
    orders.execute("update orders set status = 'y' where order_id = 1")
    assert [p.moved for p in probe(orders.platform(), "shop", known=known)] == [True]


def test_a_ledger_that_was_set_back_is_noticed_all_the_same(orders: Project) -> None:
    known = KnownHeads()
    platform = orders.platform()
    probe(platform, "shop", known=known)
    shutil.rmtree(orders.root / "landing" / "shop")
    now = platform.clock()
    before, after = (replace(platform, clock=lambda at=at: at) for at in (now, now + KnownHeads.TRUSTED))
    assert [p.moved for p in probe(before, "shop", known=known)] == [False]
    assert [p.moved for p in probe(after, "shop", known=known)] == [True]


def test_a_measurement_reads_every_chain(orders: Project, asked: list[str]) -> None:
    known = KnownHeads()
    probe(orders.platform(), "shop", known=known)
    orders.execute("delete from orders where order_id = 3")
    asked.clear()
    (seen,) = probe(orders.platform(), "shop", measure_slices=True, known=known)
    assert seen.differing == ("2026-01-04",) and asked
