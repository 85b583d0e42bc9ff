"""Barman's own programs, against SeaweedFS: a backup is recorded, recovered to a second, and proven where Barman proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.errors import BackupDamaged, BackupError
from data_platform.sync.database_backup import back_up_database, newest_backups, prune_database
from data_platform.sync.recovery import windows
from data_platform_tests.backups.database.external.conftest import Barman, Shop, archived

pytestmark = pytest.mark.slow


def test_a_backup_is_recovered_to_a_second_and_an_altered_object_is_named(
    barman: Barman, barman_shop: Shop, tmp_path: Path
) -> None:
    """Barman restores an altered object and ends with 0: this platform's recovery refuses it before."""
    shop = barman_shop
    made = back_up_database(shop.platform, "shop").backup
    assert (made.engine, made.way, made.timeline) == ("barman_cloud", "full", 1) and made.outside is not None
    assert made.start < made.end and made.bytes > 1_000_000 and made.outside.beat.row  # type: ignore[operator,union-attr]
    assert shop.repository.damage(made, deep=False) == []
    shop.company.execute("delete from orders where id <= 5")
    at = shop.now()
    shop.company.execute("truncate orders")
    archived(shop)
    found = shop.recover(at)
    assert found.rows[shop.orders] == 19_995 and found.checksums and found.beat == made.outside.beat.at  # type: ignore[union-attr]
    assert "recovery_target" in found.target
    data = next(one for one in made.outside.objects if "data.tar" in one.key)
    _alter(barman, tmp_path, data.key)
    with pytest.raises(BackupDamaged, match=rf"{data.key} .* is not as it was"):
        shop.recover(at, "altered")
    assert not list((shop.folder / "altered").iterdir())


@pytest.mark.parametrize("answer", [0, 127])
def test_wal_that_never_arrives_fails_the_backup_whatever_the_server_says(
    thorough: None, answer: int, barman: Barman, barman_shop: Shop
) -> None:
    """An archive command that prints an error and ends with 0 has archived, for the server. One that cannot be run ends with 127, and
    is no failure in its count."""
    platform = barman_shop.platform
    _block(barman_shop, wal_wait_seconds=4)
    barman.archives, barman.answer = False, answer
    try:
        with pytest.raises(
            BackupError, match=r"has not archived the WAL segment [0-9A-F]{24} into s3://"
        ) as raised:
            back_up_database(platform, "shop")
    finally:
        barman.archives = True
    assert "Its pg_stat_archiver says: 0 failures" in str(raised.value)
    assert barman_shop.repository.ids() == []
    _block(barman_shop, wal_wait_seconds=120)
    made = back_up_database(platform, "shop").backup
    assert [one.first for one in windows(platform, "shop")] == [made.ended_at]


def test_what_is_too_old_goes_from_barmans_repository_too(thorough: None, barman_shop: Shop) -> None:
    shop = barman_shop
    old, new = (back_up_database(shop.platform, "shop").backup for _ in range(2))
    assert old.outside is not None and new.outside is not None
    program = shop.repository.program(new)
    _block(shop, keep_days=0.00001)
    assert prune_database(shop.platform, "shop").gone["primary"] == [old.id]
    assert program.problems(old.outside, deep=False) and not program.problems(new.outside, deep=False)
    program.remove(new.outside.id)  # behind our back: its record is no backup then
    assert newest_backups(shop.platform, "shop")[0].newest is None
    assert prune_database(shop.platform, "shop").gone == {}


def test_a_segment_that_is_missing_closes_the_window(
    thorough: None, barman: Barman, barman_shop: Shop, tmp_path: Path
) -> None:
    shop = barman_shop
    made = back_up_database(shop.platform, "shop").backup
    shop.company.execute("delete from orders where id <= 5")
    archived(shop)
    shop.company.execute("delete from orders where id <= 9")
    at = shop.now()
    archived(shop)
    shop.company.execute("delete from orders where id <= 10")
    archived(shop)
    (whole,) = windows(shop.platform, "shop")
    assert whole.first == made.ended_at and at < whole.last
    with pytest.raises(BackupError, match="is after the newest WAL"):
        shop.recover(shop.now(), "later")
    store = barman.store(tmp_path)
    lost = sorted(key for key in store.list("shop/wals") if key.count("/") == 3 and ".backup" not in key)[-2]
    store.delete(lost)
    (window,) = windows(shop.platform, "shop")
    assert lost.rsplit("/", 1)[-1].split(".")[0] in window.text and window.last < at
    with pytest.raises(BackupError, match=r"is missing"):
        shop.recover(at)


def _block(shop: Shop, wal_wait_seconds: float | None = None, **changes: object) -> None:
    """Change the block `backups.database` of the opened catalog."""
    block = shop.platform.catalog.source("shop").backups
    assert block is not None and block.database is not None and block.database.barman_cloud is not None
    if wal_wait_seconds is not None:
        changes["barman_cloud"] = block.database.barman_cloud.model_copy(
            update={"wal_wait_seconds": wal_wait_seconds}
        )
    object.__setattr__(block, "database", block.database.model_copy(update=changes))


def _alter(barman: Barman, scratch: Path, key: str) -> None:
    store = barman.store(scratch)
    data = bytearray(store.read(key))
    data[len(data) // 2] ^= 1
    store.delete(key)
    path = scratch / "altered"
    path.write_bytes(data)
    store.put_file(key, path)
