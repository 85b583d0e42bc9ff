"""A redaction between the syncs of a real table: they pass over it, and a rebuild lacks what it erased."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from data_platform.landing.keys import part_key
from data_platform.landing.manifest import Manifest
from data_platform.landing.redaction import Rewritten
from data_platform.landing.verify import verify
from data_platform.sync import Platform
from data_platform_tests.contracts.batches import TABLE, part_of
from data_platform_tests.landing.redactions import NONCE, redaction
from data_platform_tests.sync.conftest import Project, orders, project

pytestmark = pytest.mark.slow
__all__ = ["orders", "project"]  # its fixtures


def erase(platform: Platform, order: int, folder: Path) -> Manifest:
    """The first part of batch 1 without one order; what the erasing command will do."""
    head = platform.ledger.head(TABLE)
    assert head is not None
    old = platform.ledger.read(TABLE, 1).parts[0]
    path = folder / "less.parquet"
    with platform.store.local(old.key) as whole, duckdb.connect() as engine:
        rows = engine.execute(
            f"COPY (FROM '{whole}' WHERE order_id <> {order}) TO '{path}' (FORMAT parquet)"
        ).fetchall()[0][0]
    new = part_of(path, part_key(TABLE, head.sequence + 1, NONCE), rows)
    platform.store.put_file(new.key, path)
    done = platform.ledger.redact(head, redaction(Rewritten(1, 0, old, new)), NONCE)
    platform.store.delete(old.key)
    return done


def test_syncs_go_on_and_a_rebuild_lacks_what_was_erased(
    orders: Project, tmp_path: Path, redaction_key: str
) -> None:
    platform = orders.platform()
    before = platform.ledger.state(TABLE)
    assert erase(platform, 7, tmp_path).sequence == 2
    assert orders.good()["orders"].manifest is None, "nothing changed at the source"
    after = platform.ledger.state(TABLE)
    assert (after.position, after.measured) == (before.position, before.measured)
    orders.execute("update orders set status = 'x' where order_id = 1")
    changed = orders.good()["orders"]
    assert (changed.operation, changed.rows) == ("changes", 1)
    assert verify(platform.ledger, TABLE, datetime.now(UTC), sample=1.0).problems == ()

    (orders.root / "warehouse.duckdb").unlink()
    assert [load.sequence for load in orders.good()["orders"].loaded] == [1, 2, 3]
    assert orders.rows("select count(*), count(*) filter (order_id = 7) from raw_shop.orders") == [(399, 0)]
    assert orders.rows("select status from raw_shop.orders where order_id = 1") == [("x",)]
