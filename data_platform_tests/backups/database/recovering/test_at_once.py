"""Backups beside each other, and retention beside a recovery."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from data_platform.errors import BackupDamaged
from data_platform.sync.database_backup import back_up_database, prune_database
from data_platform.sync.recovery import windows
from data_platform_tests.backups.database.recovering.shop import (
    Shop,
    primary,
)

pytestmark = pytest.mark.slow


def test_two_backups_at_once_are_two_good_ones(shop: Shop) -> None:
    shop.ship()
    back_up_database(shop.platform, "shop")
    with ThreadPoolExecutor(2) as pool:
        made = [
            one.result().backup
            for one in [pool.submit(back_up_database, shop.platform, "shop") for _ in range(2)]
        ]
    there = primary(shop.platform)
    assert len(there.ids()) == 3 and all(there.is_good(one.id) for one in made)
    shop.company.execute("delete from orders where id > 50")
    shop.ship()
    assert shop.recover(windows(shop.platform, "shop")[-1].last).rows[shop.orders] == 50


def test_what_is_removed_while_it_is_recovered_is_not_what_is_needed(shop: Shop) -> None:
    """Retention runs between the choice of a backup and its end: all that a kept second needs stays."""
    shop.platform = shop.company.platform("{engine: native, keep_days: 0.00001}")
    shop.ship()
    for _ in range(2):
        back_up_database(shop.platform, "shop", full=True)
    shop.company.execute("delete from orders where id > 70")
    shop.ship()
    time.sleep(1)  # both backups are older than what is kept
    at = windows(shop.platform, "shop")[-1].last
    removed: list[dict[str, list[str]]] = []
    found = shop.recover(at, progress=lambda _: removed.append(prune_database(shop.platform, "shop").gone))
    assert found.rows[shop.orders] == 70
    assert len(removed[0]["primary"]) >= 1 and not any(removed[1:])


def test_what_is_removed_under_a_recovery_ends_it_by_name_and_leaves_nothing(shop: Shop) -> None:
    """Retention reached the oldest second while it was recovered."""
    shop.ship()
    first = back_up_database(shop.platform, "shop", full=True).backup
    shop.ship()
    second = back_up_database(shop.platform, "shop", full=True).backup
    shop.ship()
    there = primary(shop.platform)
    removed = iter([first.id])
    with pytest.raises(BackupDamaged, match=f"{first.id}.*is missing"):
        shop.recover(first.ended_at, progress=lambda _: [there.remove(id_) for id_ in removed])
    assert list((shop.folder / "recovered").iterdir()) == [] and there.ids() == [second.id]
    assert shop.recover(second.ended_at).rows[shop.orders] == 20_000
