"""What a warehouse records about itself is shortened, and says the same afterwards, also beside loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from data_platform.tables import TableId
from data_platform.warehouses import Look, Warehouse
from data_platform.warehouses.maintenance import Maintainable
from data_platform.warehouses.remote import records
from data_platform.warehouses.remote.engine import Transaction
from data_platform.warehouses.remote.warehouse import RemoteWarehouse
from data_platform_tests.contracts.batches import RULED, TABLE, Chain
from data_platform_tests.contracts.engines import Engine

OTHER = TableId("shop", "lines")
LONG = "x" * (records.PIECE + 1)


@pytest.fixture
def maintained(engine: Engine, warehouse: Warehouse, tmp_path: Path) -> Maintainable:
    if not engine.config(tmp_path).traits.maintained:
        pytest.skip("the engine looks after itself")
    return cast("Maintainable", warehouse)


def filled(warehouse: Warehouse, chain: Chain) -> None:
    """Two batches of a table, and records of two tables, of which newer ones replace most."""
    warehouse.load(*chain.next("replace", RULED))
    warehouse.load(*chain.next("merge", RULED[:1]))
    for hour in range(1, 5):
        at = f"2026-02-01T0{hour}:00:00+00:00"
        warehouse.record_reads([Look(TABLE, at, reconciled=hour % 2 == 0), Look(OTHER, at, reconciled=False)])
        warehouse.record_rules(TABLE, hour, f"{hour}{LONG}")
    warehouse.record_rules(OTHER, 1, "the only one")


def said(warehouse: Warehouse) -> tuple[Any, ...]:
    return dict(warehouse.reads()), dict(warehouse.recorded_rules()), warehouse.loaded_all()


def removed(warehouse: Maintainable) -> int:
    return next(count for what, count in warehouse.maintain().done.items() if what.startswith("records "))


def rows(warehouse: RemoteWarehouse, log: str) -> int:
    relation = records.relation(warehouse.grammar, log)
    return int(warehouse.query(f"SELECT count(*) FROM {relation}").rows[0][0])


def test_records_that_newer_ones_replace_go(maintained: Maintainable, chain: Chain) -> None:
    filled(maintained, chain)
    before = said(maintained)
    assert before[0] == dict.fromkeys((TABLE, OTHER), "2026-02-01T04:00:00+00:00")
    assert before[1] == {TABLE: (4, f"4{LONG}"), OTHER: (1, "the only one")}
    assert removed(maintained) >= 2 + 6, "of each log, what is not the newest of a table"
    assert said(maintained) == before
    assert removed(maintained) == 0
    maintained.record_reads([Look(TABLE, "2026-02-02T00:00:00+00:00", reconciled=False)])
    maintained.record_rules(TABLE, 5, "newer")
    assert said(maintained)[:2] == (
        before[0] | {TABLE: "2026-02-02T00:00:00+00:00"},
        before[1] | {TABLE: (5, "newer")},
    )
    assert maintained.load(*chain.next("merge", RULED[1:2])).sequence == 3


def test_what_is_recorded_while_records_go_stays(
    engine: Engine,
    maintained: Maintainable,
    chain: Chain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process loads and records right before the deletes."""
    if not isinstance(maintained, RemoteWarehouse):
        pytest.skip("a lake does it under its own locks")
    filled(maintained, chain)
    session = cast("Any", maintained.session)
    commit: Callable[[Transaction], None] = session.commit

    def late(transaction: Transaction) -> None:
        monkeypatch.setattr(session, "commit", commit)
        with engine.open(tmp_path) as other:
            other.record_reads([Look(OTHER, "2026-02-03T00:00:00+00:00", reconciled=False)])
            other.record_rules(OTHER, 2, "meanwhile")
            assert other.load(*chain.next("merge", RULED[1:2])).sequence == 3
        commit(transaction)

    monkeypatch.setattr(session, "commit", late)
    assert removed(maintained) > 0
    reads, rules, loaded = said(maintained)
    assert reads[OTHER] == "2026-02-03T00:00:00+00:00"
    assert rules == {TABLE: (4, f"4{LONG}"), OTHER: (2, "meanwhile")}
    assert [one.sequence for one in loaded] == [3]
    assert rows(maintained, records.EVALUATED_LOG) == 3, "two pieces of the newest one, and a short one"
