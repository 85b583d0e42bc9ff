"""The archive's cold copy, the rule of storage classes, and the wait for what is frozen.

moto is an S3 in the test's process that enforces storage classes: it refuses to read a frozen object. It thaws at once, so
the wait is tested with a state of our own that takes its hours by the test's clock.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partialmethod
from pathlib import Path
from typing import Any

import duckdb
import pytest
from moto import mock_aws

from data_platform.backups import stranger
from data_platform.backups.archive import Archive
from data_platform.backups.copies import Copy
from data_platform.backups.manifest import BackupObject
from data_platform.backups.shelf import ARCHIVE, WAREHOUSE
from data_platform.backups.thaw import KEPT_DAYS, POLL_SECONDS, frozen, thaw
from data_platform.cli.app import run
from data_platform.errors import BackupError, BackupMissing, ConfigurationError, StoreRefused
from data_platform.landing.keys import part_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.stores.s3.tiering import S3Tiering
from data_platform.sync import Platform, backup_classes, open_platform, tiers
from data_platform.sync.backup import archive, make_backup, prunable
from data_platform.sync.cold import copy_to_cold, newest_cold
from data_platform.sync.copies import count_copies
from data_platform.sync.longterm import fetch_archive, hold_archive_drills, make_archive
from data_platform_tests.contracts.batches import TABLE, manifest
from data_platform_tests.landing.redactions import put_part

pytestmark = pytest.mark.slow  # a server of buckets

BUCKETS = ("acme-landing", "acme-backups", "acme-cold")
PLATFORM = """\
environments:
  local:
    landing: {kind: s3, bucket: acme-landing, region: us-east-1, cache: .data/cache}
    warehouse: {kind: duckdb, path: .data/warehouse.duckdb, wait_seconds: 0}
    backups:
      store: {kind: s3, bucket: acme-backups, region: us-east-1, cache: .data/cache}
      copies: {off: {kind: local, path: .data/off}}
      archive: {cold: {store: {kind: s3, bucket: acme-cold, region: us-east-1, cache: .data/cache}}}
      tiers: {warm_after_days: 7, cold_after_days: 90}
      start: 2026-11-01
    automation: stopped
    alerts: {ui_url: http://127.0.0.1:3000}
"""
SHOP = """\
source: shop
kind: postgres
description: A shop.
owner: team:data
connection: {url_env: COLD_TEST_SHOP_URL}
start: 2026-01-01
tables:
  orders: {key: id, description: Orders., columns: {id: "The number"}}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose stores are buckets of moto's, with a warehouse of a table larger than what is left hot."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-the-tests")
    monkeypatch.setenv("COLD_TEST_SHOP_URL", "postgresql://nobody@127.0.0.1:1/shop")
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "catalog/sources").mkdir(parents=True)
    (tmp_path / "catalog/platform.yaml").write_text(PLATFORM)
    (tmp_path / "catalog/sources/shop.yaml").write_text(SHOP)
    (tmp_path / ".data").mkdir()
    with duckdb.connect(str(tmp_path / ".data/warehouse.duckdb")) as connection:
        connection.execute("create schema raw_shop")
        connection.execute("create table raw_shop.many as select n, md5(n::varchar) t from range(20000) r(n)")
        connection.execute("create table raw_shop.few as select 1 as n")
    with mock_aws():
        import boto3

        client = boto3.client("s3", region_name="us-east-1")
        for bucket in BUCKETS:
            client.create_bucket(Bucket=bucket)
        yield tmp_path


@pytest.fixture
def platform(root: Path) -> Platform:
    return open_platform(root, "local")


def later(platform: Platform, days: float) -> Platform:
    at = datetime.now(UTC) + timedelta(days=days)
    return replace(platform, clock=lambda: at)


def classes_in(platform: Platform, name: str, prefix: str) -> dict[str, str]:
    one = archive(platform, name, ARCHIVE)
    assert isinstance(one.store.tiering, S3Tiering)  # type: ignore[attr-defined]
    found = one.store.tiering.survey(prefix)  # type: ignore[attr-defined]
    return {
        placed.key.split("/")[-2] + "/" + placed.key.split("/")[-1]: placed.storage_class for placed in found
    }


def land(ledger: Ledger, parts: int = 2) -> Manifest:
    head = ledger.head(TABLE)
    sequence, nonce = (head.sequence + 1 if head else 1), "0000000a" * 4
    made = tuple(
        put_part(ledger.store, part_key(TABLE, sequence, nonce, n), b"rows" * 50_000 + bytes([n]))  # type: ignore[arg-type]
        for n in range(parts)
    )
    previous = head.digest if head else None
    return ledger.commit(manifest(sequence, parts=made, rows=parts, nonce=nonce, previous=previous))


# ---- the cold copy


def test_the_newest_archive_is_copied_verified_and_then_moved(platform: Platform, tmp_path: Path) -> None:
    assert newest_cold(platform).empty
    with pytest.raises(BackupMissing, match="backup archive"):
        copy_to_cold(platform)
    make_archive(platform)
    made = make_archive(later(platform, 0.5)).manifest
    report = copy_to_cold(platform)
    assert (report.id, report.copied, report.moved, report.storage_class) == (
        made.id,
        True,
        1,
        "DEEP_ARCHIVE",
    )
    assert report.bytes == made.bytes and report.rows == 20_001
    found = classes_in(platform, "cold", f"archive/{made.id}")
    assert found.pop("raw_shop.many/part-00000.parquet") == "DEEP_ARCHIVE"
    assert set(found.values()) == {"STANDARD"} and len(found) == 4, "what it is can be read at once"
    age = newest_cold(platform)
    assert age.id == made.id and not age.problem, "sizes are looked at; nothing cold is read"
    again = copy_to_cold(platform)
    assert (again.copied, again.moved) == (False, 0)
    assert prunable(platform, ARCHIVE).gone["cold"] == []
    assert prunable(later(platform, 3000), ARCHIVE).gone["cold"] == [], "never the last one"


def test_an_interrupted_copy_sends_only_what_is_missing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_archive(platform).manifest
    add, sent = Archive.add, list[str]()

    def counted(self: Archive, path: Path, object_: BackupObject, upto: float = 2) -> None:
        if len(sent) >= upto:
            raise StoreRefused("not now")
        add(self, path, object_)
        sent.append(object_.key)

    with monkeypatch.context() as broken:
        broken.setattr(Archive, "add", counted)
        with pytest.raises(StoreRefused):
            copy_to_cold(platform)
        assert archive(platform, "cold", ARCHIVE).ids() == []
        broken.setattr(Archive, "add", partialmethod(counted, upto=float("inf")))
        assert copy_to_cold(platform).copied
    assert sorted(sent) == sorted(one.key for one in made.objects()), "each was sent once"
    cold = archive(platform, "cold", ARCHIVE)
    assert cold.damage(cold.manifest(made.id), deep=False) == []


def test_an_interrupted_move_goes_on(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_archive(platform).manifest
    with monkeypatch.context() as broken:
        broken.setattr(S3Tiering, "move", lambda *_: (_ for _ in ()).throw(StoreRefused("not now")))
        with pytest.raises(StoreRefused):
            copy_to_cold(platform)
    assert archive(platform, "cold", ARCHIVE).ids() == [made.id], "it is whole, and still hot"
    report = copy_to_cold(platform)
    assert (report.copied, report.moved) == (False, 1)


def test_a_damaged_archive_is_never_copied(platform: Platform, tmp_path: Path) -> None:
    made = make_archive(platform).manifest
    key = made.tables[1].parts[0].key
    store = archive(platform, "primary", ARCHIVE).store
    data = bytearray(store.read(key))
    data[100] ^= 1
    store.delete(key)
    store.put_new(key, bytes(data))
    with pytest.raises(BackupError, match=r"raw_shop\.many"):
        copy_to_cold(platform)
    cold = archive(platform, "cold", ARCHIVE)
    assert cold.ids() == [] and key not in cold.store.list("archive")
    assert prunable(later(platform, 3), ARCHIVE).gone["cold"] == [made.id], (
        "what had been copied goes by rule"
    )


def test_the_cold_copy_is_counted_and_what_is_not_frozen_is_drilled(
    platform: Platform, slow: Callable[[float], Hours], tmp_path: Path
) -> None:
    make_archive(platform)

    def cold_copy() -> Copy:
        (found,) = (one for one in count_copies(platform, 3).classes if one.name == "archive")
        return next(copy for copy in found.copies if copy.place == "cold")

    assert not cold_copy().there and cold_copy().problems == ()
    assert [report.archive for report in hold_archive_drills(platform)] == ["primary", "off"]
    made = copy_to_cold(platform).id
    slow(12)
    copy = cold_copy()
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert copy.good and copy.objects == 5 and copy.read == 4, "the fifth is frozen"
    assert copy.holds == f"1, the newest {made}, 1 objects frozen, last read on {today}"
    drill = hold_archive_drills(platform)[2]
    assert (drill.archive, drill.id, drill.mismatches, drill.tables, drill.rows) == ("cold", made, (), 1, 1)
    assert drill.note.startswith(f"1 of 2 tables read, 1 frozen: last verified on {today}.")
    one = archive(platform, "cold", ARCHIVE)
    one.remember_verified(made, datetime(2027, 3, 1, tzinfo=UTC))
    assert "last verified on 2027-03-01" in hold_archive_drills(platform)[2].note
    key = ARCHIVE.key(made, "raw_shop.few/part-00000.parquet")
    data = bytearray(one.store.read(key))
    data[-20] ^= 1
    one.store.delete(key)
    one.store.put_new(key, bytes(data))
    assert "raw_shop.few" in hold_archive_drills(platform)[2].mismatches[0]
    assert any("raw_shop.few" in line for seed in range(3) for line in count_copies(platform, seed).problems)
    one.store.delete(
        ARCHIVE.key(made, "raw_shop.many/part-00000.parquet")
    )  # frozen, but its size was looked at
    assert any("raw_shop.many" in line for line in hold_archive_drills(platform)[2].mismatches)


def test_a_restore_of_the_cold_copy_is_its_newest_verification(platform: Platform, tmp_path: Path) -> None:
    made = make_archive(platform).manifest.id
    copy_to_cold(platform)
    one = archive(platform, "cold", ARCHIVE)
    before = one.verified_at(made)
    with_state = later(platform, 100)
    thaw(one, one.manifest(made), "standard")  # moto thaws at once
    fetch_archive(with_state, made, tmp_path / "back", copy="cold")
    assert one.verified_at(made) - before > timedelta(days=99)


# ---- waiting for what is frozen


class Hours:
    """States of frozen objects that take ``hours`` by a clock that only sleeping moves."""

    def __init__(self, hours: float) -> None:
        self.hours, self.now = hours, datetime(2026, 11, 30, tzinfo=UTC)
        self.asked: dict[str, datetime] = {}
        self.requests: list[tuple[str, str, int]] = []
        self.slept: list[float] = []

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def state(self, key: str) -> str:
        if key not in self.asked:
            return "frozen"
        return "readable" if self.now >= self.asked[key] + timedelta(hours=self.hours) else "thawing"

    def thaw(self, key: str, speed: str, days: int) -> None:
        self.requests.append((key, speed, days))
        self.asked.setdefault(key, self.now)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Hours]:
    def made(hours: float) -> Hours:
        found = Hours(hours)
        monkeypatch.setattr(S3Tiering, "state", lambda _, key: found.state(key))
        monkeypatch.setattr(S3Tiering, "thaw", lambda _, *given: found.thaw(*given))
        return found

    return made


def test_time_and_price_are_known_and_the_wait_goes_on_by_itself(
    platform: Platform, slow: Callable[[float], Hours]
) -> None:
    made = make_archive(platform).manifest
    copy_to_cold(platform)
    cold = archive(platform, "cold", ARCHIVE)
    service = slow(11)
    left = frozen(cold, made)
    assert left is not None and [one.key for one in left.objects] == [made.tables[1].parts[0].key]
    assert left.speeds == ["standard", "bulk"] and (left.hours("standard"), left.hours("bulk")) == (12, 48)
    assert left.dollars("standard") == pytest.approx(0.02 * left.bytes / 1e9 + 0.1 / 1000)
    told: list[int] = []
    how: Any = {
        "clock": service.clock,
        "sleep": service.sleep,
        "progress": lambda one: told.append(len(one.objects)),
    }
    thaw(cold, made, "standard", **how)
    assert service.requests == [(left.objects[0].key, "standard", KEPT_DAYS)]
    assert service.slept == [POLL_SECONDS] * 132 and told == [1] * 132
    assert frozen(cold, made) is None
    thaw(cold, made, "standard", **how)
    assert len(service.requests) == 1, "what can be read is not asked for"


def test_a_stopped_wait_is_taken_up_without_a_second_request(
    platform: Platform, slow: Callable[[float], Hours]
) -> None:
    made = make_archive(platform).manifest
    copy_to_cold(platform)
    cold, service = archive(platform, "cold", ARCHIVE), slow(10)

    def stopped(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        thaw(cold, made, "bulk", clock=service.clock, sleep=stopped)
    left = frozen(cold, made)
    assert left is not None and len(left.asked) == 1 and left.dollars("bulk") == 0
    thaw(cold, made, "bulk", clock=service.clock, sleep=service.sleep)
    assert len(service.requests) == 1 and len(service.slept) == 120


def test_a_service_that_never_gives_it_back_is_said(
    platform: Platform, slow: Callable[[float], Hours]
) -> None:
    made = make_archive(platform).manifest
    copy_to_cold(platform)
    service = slow(1000)
    with pytest.raises(BackupError, match=r"raw_shop\.many.*cannot be read after 2 times"):
        thaw(archive(platform, "cold", ARCHIVE), made, "standard", clock=service.clock, sleep=service.sleep)
    assert sum(service.slept) == 24 * 3600
    with pytest.raises(BackupError, match="--speed standard or bulk"):
        thaw(archive(platform, "cold", ARCHIVE), made, "expedited")


# ---- the rule


def test_the_plan_says_when_objects_move(platform: Platform) -> None:
    (row,) = (one for one in backup_classes.plan(platform) if "storage classes" in one.act)
    assert (row.act, row.stores) == ("cheaper storage classes (only listed)", ("landing", "primary"))
    assert row.schedule == "0 9 * * *" and row.kept_until(datetime.now(UTC)) is None


def test_objects_move_by_age_once_every_copy_is_proven(platform: Platform) -> None:
    backed_up = make_backup(platform).manifest
    archived = make_archive(platform).manifest
    land(platform.ledger)
    make_backup(later(platform, 0.1))
    assert tiers.due(later(platform, 6.9)) == []
    week = later(platform, 7.2)
    listed = [(move.store, move.what.split()[0], move.to.name, len(move.keys)) for move in tiers.due(week)]
    expected = [
        ("primary", "backup", "STANDARD_IA", 1),
        ("primary", "backup", "STANDARD_IA", 1),
        ("primary", "archive", "STANDARD_IA", 1),
        ("landing", "shop/orders", "STANDARD_IA", 2),
    ]
    assert listed == expected
    prefix = f"archive/{archived.id}"
    assert set(classes_in(platform, "primary", prefix).values()) == {"STANDARD"}, "a list moves nothing"
    moved = tiers.move_due(week)
    assert [(m.store, m.what.split()[0], m.to.name, len(m.keys)) for m in moved] == expected
    assert not any(move.problem for move in moved)
    assert classes_in(platform, "primary", prefix)["raw_shop.many/part-00000.parquet"] == "STANDARD_IA"
    assert tiers.due(week) == [], "once is enough"
    quarter = later(platform, 91)
    cold = {move.what.split()[0]: move.to.name for move in tiers.move_due(quarter)}
    assert cold == {"backup": "GLACIER_IR", "archive": "GLACIER", "shop/orders": "GLACIER_IR"}
    assert tiers.due(quarter) == []
    assert archive(platform, "primary", WAREHOUSE).damage(backed_up, deep=True) == [], "readable at once"
    with pytest.raises(StoreRefused, match="hours after it is asked for"):
        fetch_archive(platform, "latest", Path("kept"))


def test_nothing_moves_while_a_copy_is_damaged_or_missing(platform: Platform, root: Path) -> None:
    make_archive(platform)
    whole = make_archive(later(platform, 0.5)).manifest
    part = next((root / ".data/off/archive").rglob("raw_shop.many/part-00000.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    week = later(platform, 8)
    moves = {move.what: move for move in tiers.move_due(week)}
    (held,) = [move for move in moves.values() if move.problem]
    assert not held.keys and "raw_shop.many in the backup store off" in held.problem
    assert len(moves) == 2 and len([move for move in moves.values() if move.keys]) == 1
    shutil.rmtree(root / ".data/off/archive" / whole.id, ignore_errors=True)
    (root / ".data/off/archive/manifests" / f"{whole.id}.json").unlink()
    (still,) = tiers.move_due(week) if whole.id in held.what else [held]
    assert still.problem and not still.keys


def test_a_landing_part_stays_hot_while_a_copy_of_it_is_not_proven(platform: Platform, root: Path) -> None:
    made = land(platform.ledger)
    make_backup(platform)
    copy = root / ".data/off/ledger" / made.parts[0].key
    copy.write_bytes(b"sows" + copy.read_bytes()[4:])
    week = later(platform, 8)
    moved = [move for move in tiers.move_due(week) if move.store == "landing"]
    assert [move.keys for move in moved] == [(made.parts[1].key,), ()]
    assert moved[0].bytes == made.parts[1].bytes
    assert "does not match" in moved[1].problem or "altered" in moved[1].problem
    copy.unlink()
    (still,) = [move for move in tiers.move_due(week) if move.store == "landing"]
    assert "is missing" in still.problem and not still.keys


def test_what_is_not_configured_is_said(root: Path) -> None:
    file = root / "catalog/platform.yaml"
    text = "\n".join(line for line in PLATFORM.splitlines() if "tiers:" not in line and "cold:" not in line)
    file.write_text(text)
    bare = open_platform(root, "local")
    for act in (tiers.due, tiers.move_due, copy_to_cold):
        with pytest.raises(ConfigurationError):
            act(bare)


# ---- as a person types it


def test_a_cold_archive_is_asked_for_with_its_price_and_read(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def typed(*words: str) -> tuple[int, str, str]:
        code = run(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    assert typed("backup", "archive")[0] == 0
    code, out, _ = typed("backup", "cold")
    assert code == 0 and "1 object moved to the storage class DEEP_ARCHIVE" in out
    assert "was already in" in typed("backup", "cold")[1]
    (listed,) = json.loads(typed("backup", "list", "--json")[1])
    assert listed["stored"] == ["primary", "off", "cold"]
    plan = {(row["class"], row["act"]): row for row in json.loads(typed("backup", "plan", "--json")[1])}
    assert plan["archive", "cold copy"]["stores"] == ["cold"] and plan["archive", "cold copy"]["count"] == 84
    code, _, err = typed("backup", "verify", "--class", "archive", "--copy", "cold")
    assert code == 8 and "hours after it is asked for" in err
    code, _, err = typed("restore", "archive", "--copy", "cold", "--into", "kept")
    assert code == 2 and "give --yes" in err and not Path("kept").exists()
    assert "* standard: readable within 12 h, about $0.00" in err and "bulk: readable within 48 h" in err
    code, _, err = typed(
        "restore", "archive", "--copy", "cold", "--into", "kept", "--speed", "expedited", "--yes"
    )
    assert code == 8 and "--speed standard or bulk" in err
    code, out, _ = typed("restore", "archive", "--copy", "cold", "--into", "kept", "--yes")
    assert code == 0 and "20,001 rows" in out

    def file(path: str) -> Any:
        from contextlib import nullcontext

        return nullcontext(Path("kept") / path)

    assert stranger.read(file).mismatches == ()
    assert "Every object is in the storage class" in typed("backup", "tiers")[1]
