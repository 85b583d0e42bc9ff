"""pgBackRest itself, on a PostgreSQL that it knows: backups, any second, and words that are not believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.backups.database.external.pgbackrest import PgBackRestRepository
from data_platform.errors import BackupDamaged, BackupError
from data_platform.sync.database_backup import back_up_database, prune_database
from data_platform.sync.recovery import drill_database, windows
from data_platform_tests.backups.database.external.conftest import CIPHER, PgBackRest, Shop, archived

pytestmark = pytest.mark.slow


def test_a_full_backup_an_incremental_one_and_a_second_behind_them(pgbackrest_shop: Shop) -> None:
    """The repository is encrypted by pgBackRest; its key goes through the environment."""
    shop = pgbackrest_shop
    first = back_up_database(shop.platform, "shop").backup
    shop.company.execute("delete from orders where id <= 5")
    second = back_up_database(shop.platform, "shop").backup
    assert (first.way, second.way, second.parent) == ("full", "incremental", first.id)
    assert second.bytes < first.bytes / 4 and first.major == 15
    assert shop.repository.damage(second, deep=True) == []
    shop.company.execute("delete from orders where id <= 9")
    at = shop.now()
    shop.company.execute("truncate orders")
    archived(shop)
    assert windows(shop.platform, "shop")[0].first == first.ended_at
    found = shop.recover(at)
    assert found.rows[shop.orders] == 19_991 and found.checksums and found.chain == 2
    assert found.files == "every file by pgBackRest's checksum"
    assert CIPHER not in str(first) + str(found)


def test_verify_that_found_damage_and_ended_with_0_is_not_believed(
    thorough: None, pgbackrest: PgBackRest, pgbackrest_shop: Shop
) -> None:
    shop = pgbackrest_shop
    made = back_up_database(shop.platform, "shop", full=True).backup
    assert made.outside is not None and made.outside.beat is not None
    files = (pgbackrest.home / "repository" / "backup" / "shop" / made.outside.id / "pg_data" / "base").rglob(
        "*.gz"
    )
    largest = max(files, key=lambda path: path.stat().st_size)
    whole = largest.read_bytes()
    try:
        _flip(largest)
        said = pgbackrest.run("verify", "--log-level-console=info")
        assert said.returncode == 0 and "completed successfully" in said.stdout
        (problem,) = shop.repository.damage(made, deep=True)
        assert "found damage" in problem and "invalid" in problem
        with pytest.raises(BackupDamaged, match=f"The backup {made.outside.id} .* could not be restored"):
            shop.recover(made.outside.beat.at, backup=made.id)
    finally:
        largest.write_bytes(whole)


def test_what_is_too_old_goes_from_the_repository_too_but_never_the_newest(
    thorough: None, pgbackrest_shop: Shop
) -> None:
    shop = pgbackrest_shop
    old = back_up_database(shop.platform, "shop", full=True).backup
    new = back_up_database(shop.platform, "shop", full=True).backup
    (drill,) = drill_database(shop.platform, "shop", 7)
    assert drill.problem == "" and drill.report is not None and drill.report.rows[shop.orders] == 20_000
    block = shop.platform.catalog.source("shop").backups
    assert block is not None and block.database is not None
    short = block.database.model_copy(update={"keep_days": 0.00001})
    object.__setattr__(block, "database", short)
    assert prune_database(shop.platform, "shop").gone["primary"][0] == old.id
    assert shop.repository.ids() == [new.id]
    assert old.outside is not None and new.outside is not None
    program = shop.repository.program(new)
    assert program.problems(old.outside, deep=False) and not program.problems(new.outside, deep=False)


def test_a_repository_in_clear_is_refused_where_the_block_says_that_it_is_encrypted(
    thorough: None, pgbackrest: PgBackRest, pgbackrest_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stanza = PgBackRestRepository._stanza
    monkeypatch.setattr(PgBackRestRepository, "_stanza", lambda self: {**stanza(self), "cipher": "none"})
    with pytest.raises(BackupError, match="is not encrypted, though the block says"):
        back_up_database(pgbackrest_shop.platform, "shop")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
