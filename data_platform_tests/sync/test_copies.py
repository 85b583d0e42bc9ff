"""The count of verified copies: which there are, what is wrong with them, and what the rule still lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups.copies import Copy, Counted, Place, unmet
from data_platform.catalog import load_catalog
from data_platform.landing.ledger import Ledger
from data_platform.stores.local import LocalStore
from data_platform.sync import Platform, backup
from data_platform.sync.copies import SAMPLE, count_copies
from data_platform.sync.healing import heal_table
from data_platform_tests.backups.conftest import Box
from data_platform_tests.contracts.batches import TABLE
from data_platform_tests.landing.redactions import ENVIRON, land

SHOP = """\
source: shop
kind: postgres
owner: team:data
connection: {url_env: SHOP_URL}
start: 2026-01-01
tables: {orders: {key: id}}
"""
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
HERE = Place("here", ("disk", "1"), here=True)
DISK = Place("disk", ("disk", "2"), here=True)
BUCKET = Place("bucket", ("s3", "aws"))
OTHER = Place("other", ("gcs", ""))
PLACES = {place.name: place for place in (HERE, DISK, BUCKET, OTHER)}


def lacks(original: Place, *copies: Copy) -> str:
    return " | ".join(unmet(Counted("warehouse", original, copies), PLACES))


def test_the_rule_says_which_part_is_not_met() -> None:
    day = datetime(2026, 12, 1, tzinfo=UTC)
    here, disk = Copy("here", True), Copy("disk", True)
    bucket, locked = Copy("bucket", True), Copy("bucket", True, locked_until=day)
    damaged = Copy("bucket", True, locked_until=day, problems=("x",))
    for copies, words in (
        ((), ["1 of 3 copies", "one medium", "no copy is offsite", "no copy is immutable"]),
        ((here, here), ["one medium", "no copy is offsite", "no copy is immutable"]),
        ((disk,), ["2 of 3 copies", "no copy is offsite", "no copy is immutable"]),
        ((disk, bucket), ["no copy is immutable"]),
        ((disk, damaged), ["2 of 3 copies", "no copy is offsite", "no copy is immutable"]),
        ((disk, Copy("bucket", False)), ["2 of 3 copies", "no copy is offsite", "no copy is immutable"]),
        ((disk, locked), []),
        ((locked, Copy("other", True)), []),
    ):
        found = lacks(HERE, *copies).split(" | ") if lacks(HERE, *copies) else []
        assert len(found) == len(words) and all(word in line for word, line in zip(words, found, strict=True))
    assert "no copy is offsite" in lacks(BUCKET, disk, locked), "the same service as the original's"
    said = {**PLACES, "bucket": Place("bucket", ("s3", "aws"), said_offsite=True)}
    assert unmet(Counted("landing", BUCKET, (disk, locked)), said) == []


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A warehouse and a landing store of eight batches, with a backup store and a copy in folders."""
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "sources" / "shop.yaml").write_text(SHOP)
    (tmp_path / "catalog" / "platform.yaml").write_text(
        "environments:\n  local:\n    landing: {kind: local, path: landing}\n"
        "    warehouse: {kind: duckdb, path: warehouse.duckdb}\n"
        "    backups:\n      store: {kind: local, path: primary}\n      copies: {second: {kind: local, path: second}}\n"
        "      start: 2026-01-01\n      archive: null\n"
        "privacy: {hash_key_env: HASH_KEY}\n"
    )
    Box(tmp_path).execute(
        "create schema raw_shop", "create table raw_shop.orders as select range as id from range(100)"
    )
    catalog = load_catalog(tmp_path)
    store = LocalStore(tmp_path / "landing")
    ledger = Ledger(store, ENVIRON)
    for _ in range(8):
        land(ledger)
    return Platform(catalog, catalog.environments["local"], ENVIRON, store, ledger, lambda: NOW)


def problems(platform: Platform, seeds: int = 1) -> set[str]:
    return {line for seed in range(seeds) for line in count_copies(platform, seed).problems}


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(bytes(data))


def test_copies_are_counted_where_they_are(platform: Platform) -> None:
    report = count_copies(platform, 0)
    assert [one.name for one in report.classes] == ["warehouse", "ledger", "landing"]
    assert not any(copy.there for one in report.classes for copy in one.copies) and report.problems == []
    assert "warehouse: 1 of 3 copies: the warehouse" in report.unmet
    backup.make_backup(platform)
    report = count_copies(platform, 7)
    assert report.problems == []
    assert all(copy.good and copy.read for one in report.classes for copy in one.copies)
    landing = report.classes[2]
    assert [copy.holds for copy in landing.copies] == ["8 batches of 1 tables"] * 2
    assert not any("3 copies" in line for line in report.unmet)
    assert sum("no copy is offsite" in line for line in report.unmet) == 3
    assert [copy.read for one in count_copies(platform, 7).classes for copy in one.copies] == [
        copy.read for one in report.classes for copy in one.copies
    ], "the same seed reads the same sample"


def test_a_clock_that_was_set_back_is_said_and_the_next_backup_is_the_newest(platform: Platform) -> None:
    first = backup.make_backup(platform)
    set_back = replace(platform, clock=lambda: NOW - timedelta(hours=3))
    second = backup.make_backup(set_back)
    assert not first.remarks and len(second.remarks) == 1
    assert "is behind the newest backup" in second.remarks[0] and first.manifest.id in second.remarks[0]
    assert [one.id for one in backup.newest(platform)] == [second.manifest.id] * 2
    assert backup.archive(platform).chosen("latest").id == second.manifest.id


def test_what_is_read_does_not_grow(platform: Platform) -> None:
    backup.make_backup(platform)
    before = sum(copy.read for one in count_copies(platform, 1).classes for copy in one.copies)
    for _ in range(60):
        land(platform.ledger)
    backup.make_backup(platform)
    after = sum(copy.read for one in count_copies(platform, 1).classes for copy in one.copies)
    assert 0 < after <= before + 2 * SAMPLE


def object_of(folder: Path, kind: str) -> Path:
    return {
        "manifest of a backup": lambda: next((folder / "warehouse/manifests").iterdir()),
        "object of a backup": lambda: next((folder / "warehouse/objects").rglob("*.parquet")),
        "part": lambda: sorted((folder / "ledger/shop/orders/batches").rglob("*.parquet"))[3],
        "manifest of a batch": lambda: sorted((folder / "ledger/shop/orders/manifests").rglob("*.json"))[4],
    }[kind]()


@pytest.mark.parametrize("how", ["altered", "lost"])
@pytest.mark.parametrize(
    "kind", ["manifest of a backup", "object of a backup", "part", "manifest of a batch"]
)
def test_damage_of_each_kind_is_found_and_named_and_the_other_copy_still_counts(
    platform: Platform, tmp_path: Path, kind: str, how: str
) -> None:
    backup.make_backup(platform)
    file = object_of(tmp_path / "second", kind)
    (damage if how == "altered" else Path.unlink)(file)
    if (kind, how) == ("manifest of a backup", "lost"):
        report = count_copies(platform, 0)
        assert [copy.there for copy in report.classes[0].copies] == [True, False], (
            "there is no backup any more"
        )
        return
    found = problems(platform, seeds=12)  # a sample finds it in time
    assert found and all("in second: " in line for line in found)
    assert any(file.stem in line or "shop/orders" in line for line in found)


def test_a_lost_object_of_the_newest_backup_is_found_at_once(platform: Platform, tmp_path: Path) -> None:
    """However many objects it has, and whichever the sample is."""
    Box(tmp_path).execute(*(f"create table raw_shop.t{n} as select {n} as id" for n in range(60)))
    backup.make_backup(platform)
    object_of(tmp_path / "second", "object of a backup").unlink()
    for seed in range(4):
        assert any("is missing" in line for line in count_copies(platform, seed).problems)


def test_an_archive_that_is_behind_its_own_backup_is_named(platform: Platform, tmp_path: Path) -> None:
    report = backup.make_backup(platform)
    for manifest in sorted((tmp_path / "second/ledger/shop/orders/manifests").rglob("*.json"))[:3]:
        manifest.unlink()  # the newest sort first
    (head,) = report.manifest.ledger
    assert head.sequence == 8
    assert "ledger in second: it holds shop/orders up to batch 5 of 8" in problems(platform)
    (tmp_path / "primary/ledger/shop/orders/copied.json").unlink()
    assert "landing in primary: it holds shop/orders up to batch 0 of 8" in problems(platform)


def test_a_dead_archive_is_a_problem_of_its_own(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    backup.make_backup(platform)
    real: Callable[..., Any] = LocalStore.list

    def failing(store: LocalStore, prefix: str, limit: int | None = None) -> list[str]:
        if store.path.name == "second":
            raise backup.BackupError("the store does not answer")
        found: list[str] = real(store, prefix, limit)
        return found

    monkeypatch.setattr(LocalStore, "list", failing)
    report = count_copies(platform, 0)
    assert [copy.good for one in report.classes for copy in one.copies] == [True, False] * 3
    assert set(report.problems) == {
        f"{name} in second: the store does not answer" for name in ("warehouse", "ledger", "landing")
    }


def test_what_was_healed_is_named_for_a_week(platform: Platform) -> None:
    backup.make_backup(platform)
    part = platform.ledger.read(TABLE, 2).parts[0].key
    platform.store.delete(part)
    assert heal_table(platform, TABLE, [2]).objects == ((part, "primary"),)
    (line,) = count_copies(platform, 0).healed
    assert line == f"{part} (from primary) of shop/orders, on 2026-11-22 02:30 UTC"
    later = Platform(
        platform.catalog,
        platform.environment,
        ENVIRON,
        platform.store,
        platform.ledger,
        lambda: NOW + timedelta(days=8),
    )
    assert count_copies(later, 0).healed == ()
