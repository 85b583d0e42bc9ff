"""Deliveries that wait are in the copies: they come back after the landing store is lost, and go once every table took them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.inbox import TAKEN, bring_back, copy_waiting, settle
from data_platform.backups.mirror import PREFIX, mirror, place_in
from data_platform.landing import hint
from data_platform.landing.ledger import Ledger
from data_platform.stores import Store
from data_platform.stores.local import LocalStore
from data_platform.stores.s3 import locks as s3_locks
from data_platform.sync import backup
from data_platform.sync.copies import count_copies
from data_platform.sync.everything import recover_everything
from data_platform.sync.healing import heal_inboxes, heal_table, healings
from data_platform.tables import TableId
from data_platform_tests.servers.objects import ObjectServer, new_prefix
from data_platform_tests.sources.webhook.conftest import Hooks, event
from data_platform_tests.sync.test_copies import damage

BACKUPS = """\
    backups:
      store: {kind: local, path: primary}
      copies: {second: {kind: local, path: second}}
      start: 2026-01-01
      archive: null
"""
TABLES = [TableId("hooks", "events"), TableId("hooks", "orders")]


class BackedUp(Hooks):
    def write(self, tables: Any = None, **connection: Any) -> Hooks:
        super().write(tables, **connection)
        with (self.root / "catalog/platform.yaml").open("a") as file:
            file.write(BACKUPS)
        return self

    def copy(self) -> list[str]:
        """Copies what landed and what waits; gives what is wrong."""
        copied, failed = backup.copy_landing(self.platform)
        assert not failed, failed
        return [line for one in copied.values() for line in one.damaged]

    def held(self, archive: str) -> list[str]:
        """The copies of deliveries, as receiver/number."""
        files = (self.root / archive / PREFIX).glob("_inbox/*/objects/*/*")
        return sorted(f"{file.parent.name}/{int(file.name)}" for file in files)

    def lose(self) -> None:
        shutil.rmtree(self.root / "landing")

    def events(self) -> list[str]:
        return [str(row[0]) for row in self.rows("SELECT _event_id FROM raw_hooks.events ORDER BY 1")]


@pytest.fixture
def shop(tmp_path: Path) -> BackedUp:
    made = BackedUp(tmp_path / "project")
    made.write()
    return made


def test_deliveries_that_wait_come_back_after_the_landing_store_is_lost(shop: BackedUp) -> None:
    shop.deliver(event("e1", total=1))
    shop.good()
    shop.deliver(event("e2", total=2), event("e3", "user.created"))
    shop.deliver(event("e4", total=4), receiver="r2")
    waiting = shop.waiting()
    assert shop.copy() == []
    assert shop.held("primary") == shop.held("second") == ["r1/2", "r2/1"]
    (shop.root / "primary/ledger/_inbox/hooks/objects/r2" / f"{1:015d}").unlink()  # the other copy holds it
    shop.lose()
    platform = shop.platform
    for table in TABLES:
        assert heal_table(platform, table, []).objects
    back = heal_inboxes(shop.platform, ["hooks"])
    assert [archive for _, archive in back.objects] == ["primary", "second"] and back.failed == ()
    assert shop.waiting() == waiting
    named = [name for one in healings(shop.platform, datetime(2000, 1, 1, tzinfo=UTC)) for name in one.named]
    assert any("_inbox/hooks/objects/r2" in name and "second" in name for name in named)
    shop.good()
    assert shop.events() == ["e1", "e2", "e3", "e4"]
    assert shop.rows("SELECT count(*), sum(total) FROM raw_hooks.orders") == [(3, 7)]
    assert shop.waiting() == [] and heal_inboxes(shop.platform, ["hooks"]).objects == (), (
        "all of it was taken"
    )


def test_a_copy_goes_once_every_table_has_taken_it_and_not_before(shop: BackedUp) -> None:
    shop.deliver(event("e1", total=1))
    shop.copy()
    shop.good(["events"])
    assert shop.copy() == [] and shop.held("primary") == ["r1/1"], "orders has not taken it"
    shop.good(["orders"])
    assert shop.waiting() == []
    assert shop.copy() == [] and shop.held("primary") == shop.held("second") == []
    shop.deliver(event("e2", total=2), receiver="r2")
    shop.good()  # the position forgets r1
    shop.deliver(event("e3", total=3), receiver="r2")
    shop.copy()
    shop.good()
    shop.deliver(event("e4", total=3), receiver="r3")
    shop.good()  # and r2
    assert shop.copy() == [] and shop.held("primary") == []


@pytest.mark.parametrize("taken_by", [[], ["events"]], ids=["nobody", "one table"])
def test_a_lost_landing_store_removes_no_copy_and_is_named(shop: BackedUp, taken_by: list[str]) -> None:
    shop.good()
    shop.deliver(event("e1", total=1))
    if taken_by:
        shop.good(taken_by)
    shop.copy()
    shutil.rmtree(shop.root / "landing/_inbox")
    for _ in range(2):
        lines = shop.copy()
        assert len(lines) == 2 and "1 object(s) of deliveries to hooks are gone" in lines[0]
        assert shop.held("primary") == shop.held("second") == ["r1/1"]
    assert len(heal_inboxes(shop.platform, ["hooks"]).objects) == 1
    shop.good()
    assert shop.events() == ["e1"] and shop.copy() == [] and shop.held("second") == []


def test_nothing_comes_back_that_no_receiver_wrote(shop: BackedUp) -> None:
    shop.environ["DATA_PLATFORM_LEDGER_KEY"] = "k" * 64
    shop.good()
    one, two = (shop.deliver(event(f"e{n}")) for n in (1, 2))
    shop.copy()
    folder = shop.root / "primary/ledger/_inbox/hooks/objects/r1"
    (folder / f"{two.number:015d}").unlink()
    shutil.copyfile(folder / f"{one.number:015d}", folder / f"{two.number:015d}")  # another one's content
    (folder / f"{3:015d}").write_bytes(b"\x80")
    shutil.rmtree(shop.root / "landing/_inbox")
    back = heal_inboxes(shop.platform, ["hooks"])
    assert {(key[-1], archive) for key, archive in back.objects} == {("1", "primary"), ("2", "second")}
    assert len(back.failed) == 2 and "was not written by a receiver" in back.failed[0]
    shop.good()
    assert shop.events() == ["e1", "e2"]
    shutil.copyfile(
        folder / f"{one.number:015d}", shop.root / "landing/_inbox/hooks/objects/r1" / f"{9:015d}"
    )
    assert any("was not written by a receiver" in line for line in shop.copy())
    assert "r1/9" not in shop.held("second"), "nor is it copied"


def test_a_restored_landing_store_has_the_deliveries_that_its_ledger_lacks(shop: BackedUp) -> None:
    shop.deliver(event("e1", total=1))
    shop.good()
    shop.deliver(event("e2", total=2))
    backup.make_backup(shop.platform)
    _, restored = backup.restore_beside(shop.platform, "latest", shop.root / "files", copy="second")
    assert restored.deliveries == 1 and restored.damaged == ()
    shop.lose()
    shutil.copytree(shop.root / "files/ledger", shop.root / "landing")
    shop.good()
    assert shop.events() == ["e1", "e2"] and shop.waiting() == []


def test_a_recovered_instant_has_the_deliveries_that_had_come_by_then(shop: BackedUp) -> None:
    shop.numbers["r1"] = int(datetime.now(UTC).timestamp() * 1000)
    shop.deliver(event("e1", total=1))
    shop.good()
    shop.deliver(event("e2", total=2))
    backup.make_backup(shop.platform)
    shop.numbers["r1"] += 3_600_000
    shop.deliver(event("e3", total=3))  # an hour later
    shop.copy()
    now = datetime.now(UTC) + timedelta(minutes=5)
    later = replace(shop.platform, clock=lambda: now + timedelta(hours=3))
    for hours, there in ((0, 1), (2, 2)):
        found = recover_everything(later, now + timedelta(hours=hours), shop.root / f"all-{hours}")
        assert found.landing.deliveries == there and found.landing.damaged == ()
        ledger = Ledger(LocalStore(shop.root / f"all-{hours}/landing"), shop.environ, shop.platform.signer)
        assert ledger.last(TABLES[0]) == 1


def test_a_delivery_that_is_copied_meanwhile_is_not_taken_for_lost(shop: BackedUp) -> None:
    shop.good()
    platform, (one, _) = shop.platform, backup.archives(shop.platform)
    early = copy_waiting(platform.store, one)
    shop.deliver(event("e1"))
    copy_waiting(platform.store, one)  # another run
    mirror(platform.ledger, one, TABLES)
    assert settle(early, one, platform.ledger, TABLES) == []
    assert shop.held("primary") == ["r1/1"]


@pytest.mark.slow
def test_a_locked_copy_of_what_was_taken_goes_after_its_lock(
    shop: BackedUp,
    s3_server: ObjectServer,
    locked_bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_: Callable[[], Store] = s3_server.opener(
        tmp_path / "scratch", new_prefix(), bucket=locked_bucket, lock_days=3
    )
    one = Archive("bucket", open_)
    until = datetime.now(UTC) + timedelta(seconds=8)
    monkeypatch.setattr(s3_locks, "lock_end", lambda days: until)
    asked: list[str] = []
    real = s3_locks.S3Locks.delete
    monkeypatch.setattr(s3_locks.S3Locks, "delete", lambda self, key: (asked.append(key), real(self, key))[1])

    def copy() -> list[str]:
        platform = shop.platform
        waiting = copy_waiting(platform.store, one)
        mirror(platform.ledger, one, TABLES)
        return settle(waiting, one, platform.ledger, TABLES)

    def left() -> list[str]:
        return [key for key in one.open().list(f"{PREFIX}/_inbox") if "objects" in key]

    shop.deliver(event("e1", total=1))
    assert copy() == []
    shop.good()
    assert copy() == [] and copy() == []
    assert len(left()) == 1 and sum("objects" in key for key in asked) == 1, "asked once, not each hour"
    place = place_in(one)
    (ends,) = hint.read(place.reader, TAKEN)["locked"].values()
    assert abs(datetime.fromisoformat(ends) - until) < timedelta(seconds=2)
    assert bring_back(one, shop.platform.ledger, shop.platform.store, TABLES).objects == ()
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 1.2)
    assert copy() == [] and left() == []
    assert hint.read(place_in(one).reader, TAKEN) == {"locked": {}}


def test_the_count_of_copies_names_deliveries_that_an_archive_lacks_or_holds_otherwise(
    shop: BackedUp,
) -> None:
    shop.deliver(event("e1", total=1))
    shop.good()
    shop.deliver(event("e2"), receiver="r2")
    backup.make_backup(shop.platform)

    def problems() -> list[str]:
        (landing,) = (one for one in count_copies(shop.platform, 1).classes if one.name == "landing")
        assert all("1 deliveries' objects wait" in copy.holds for copy in landing.copies)
        return landing.problems

    assert problems() == []
    copy = shop.root / "second/ledger/_inbox/hooks/objects/r2" / f"{1:015d}"
    damage(copy)
    assert problems() == [
        f"landing in second: {PREFIX}/_inbox/hooks/objects/r2/{1:015d} is not what waits in the landing store"
    ]
    copy.unlink()
    assert "second: it lacks 1 objects of deliveries that wait" in problems()[0]
    assert shop.copy() == [] and problems() == []
