"""Damage in an archive turns the drills of the database and of everything red, by the name of the object."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from data_platform.backups.database import packing
from data_platform.backups.database.manifest import DatabaseBackup
from data_platform.backups.database.wal.keys import WalKeys
from data_platform.backups.database.wal.records import WalRecord
from data_platform.landing.part import sha256_of
from data_platform.landing.signing import NOT_SIGNED
from data_platform.sync import everything
from data_platform.sync.recovery import drill_database
from data_platform_tests.backups.database.faults.prepared import Prepared

pytestmark = pytest.mark.slow
Plant = Callable[[Path], str]
"""Damages the archive in a folder; gives what has to be named."""
PAGE, TIMELINE_AT = 8192, slice(4, 8)
"""Of WAL: the size of its pages, and where in each one its timeline is written."""


def flipped(path: Path) -> str:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path.name


def found(archive: Path, pattern: str, which: int = -1) -> Path:
    return sorted(path for path in archive.glob(pattern) if path.is_file())[which]


def bit_of_a_base(archive: Path) -> str:
    return flipped(found(archive, "database/shop/objects/*/base-*"))


def missing_base(archive: Path) -> str:
    gone = found(archive, "database/shop/objects/*/base-*")
    gone.unlink()
    return gone.name


def older_base_under_the_new_name(archive: Path) -> str:
    new = found(archive, "database/shop/objects/*/base-*")
    new.write_bytes(found(archive, "database/shop/objects/*/base-*", 0).read_bytes())
    return f"{new.parent.name}/{new.name}"


def broken_parent(archive: Path) -> str:
    """The manifest of the full backup that the newest one is built on."""
    parent = found(archive, "database/shop/manifests/*.json", -2)
    parent.unlink()
    return parent.stem


def bit_of_a_wal_piece(archive: Path) -> str:
    pieces = [path for path in archive.glob("database/shop/wal/*/*/tail/**/*") if path.suffix == ".zst"]
    return flipped(sorted(pieces)[-1])


def missing_wal_segment(archive: Path) -> str:
    gone = found(archive, "database/shop/wal/*/*/segments/*")
    gone.unlink()
    return gone.name[:24]


def bit_of_a_landing_part(archive: Path) -> str:
    return flipped(found(archive, "ledger/shop/orders/batches/**/*.parquet"))


def bit_of_a_landing_manifest(archive: Path) -> str:
    manifests = list(archive.glob("ledger/shop/orders/manifests/**/*.json"))
    flipped(sorted(manifests)[0])
    return sorted(manifests)[0].name


def bit_of_a_warehouse_part(archive: Path) -> str:
    return flipped(found(archive, "warehouse/objects/*/raw_shop.orders/*.parquet"))


def truncated_warehouse_manifest(archive: Path) -> str:
    path = found(archive, "warehouse/manifests/*.json")
    os.truncate(path, path.stat().st_size - 3)
    return path.name


def bit_of_the_server_s_manifest(archive: Path) -> str:
    """As the object that the next incremental backup is made against."""
    return flipped(found(archive, "database/shop/objects/*/backup_manifest.zst"))


def manifest_altered_within_the_backup(archive: Path) -> str:
    """Every hash of ours is right: what PostgreSQL wrote was altered before."""
    path = found(archive, "database/shop/objects/*/base-*")
    stream = bytearray(b"".join(packing.plain(path, path.name)))
    at = stream.rindex(b'"Manifest-Checksum": "') + 30
    stream[at] = ord("0") if stream[at] != ord("0") else ord("1")
    with packing.writing(path) as target:
        target.write(bytes(stream))
    rewritten(archive, path)
    return "backup_manifest"


def wrong_timeline_of_a_backup(archive: Path) -> str:
    path = found(archive, "database/shop/manifests/*.json")
    backup = DatabaseBackup.from_json(path.read_bytes(), path.name, NOT_SIGNED)
    path.write_bytes(replace(backup, timeline=backup.timeline + 1).to_json(NOT_SIGNED))
    return backup.id


def wal_of_another_timeline(archive: Path) -> str:
    """In the newest piece, under this timeline's name, with the right hashes."""
    path = sorted(path for path in archive.glob("database/shop/wal/*/*/tail/**/*") if path.suffix == ".json")[
        -1
    ]
    record = WalRecord.from_json(path.read_bytes(), path.name, NOT_SIGNED)
    old = archive / record.object.key
    plain = bytearray(pa.CompressedInputStream(pa.OSFile(str(old)), "zstd").read())
    for page in range(0, len(plain), PAGE):
        plain[page + TIMELINE_AT.start : page + TIMELINE_AT.stop] = (7).to_bytes(4, "little")
    with pa.CompressedOutputStream(str(old), "zstd") as target:
        target.write(bytes(plain))
    sha256 = hashlib.sha256(plain).hexdigest()
    object_ = replace(record.object, bytes=old.stat().st_size, sha256=sha256_of(old))
    record = replace(record, sha256=sha256, object=object_)
    keys = WalKeys("shop", record.system)
    record = replace(record, object=replace(object_, key=keys.object(record)))
    old.rename(archive / record.object.key)
    path.write_bytes(record.to_json(NOT_SIGNED))
    return record.segment.name


def rewritten(archive: Path, path: Path) -> None:
    """Make the manifest say that ``path`` is as it is now."""
    manifest = archive / f"database/shop/manifests/{path.parent.name}.json"
    backup = DatabaseBackup.from_json(manifest.read_bytes(), manifest.name, NOT_SIGNED)
    objects = tuple(
        replace(one, bytes=path.stat().st_size, sha256=sha256_of(path))
        if one.key.endswith(path.name)
        else one
        for one in backup.objects
    )
    manifest.write_bytes(replace(backup, objects=objects).to_json(NOT_SIGNED))


DATABASE: tuple[Plant, ...] = (
    bit_of_a_base,
    missing_base,
    older_base_under_the_new_name,
    broken_parent,
    bit_of_a_wal_piece,
    missing_wal_segment,
    bit_of_the_server_s_manifest,
    manifest_altered_within_the_backup,
    wrong_timeline_of_a_backup,
    wal_of_another_timeline,
)
EVERYTHING: tuple[Plant, ...] = (
    bit_of_a_base,
    bit_of_a_landing_part,
    bit_of_a_landing_manifest,
    bit_of_a_warehouse_part,
    truncated_warehouse_manifest,
)


@pytest.mark.parametrize("plant", DATABASE, ids=lambda plant: plant.__name__)
def test_a_database_s_drill_names_it(fresh: Callable[[], Prepared], plant: Plant) -> None:
    company = fresh()
    named = plant(company.root / "offsite")
    for seed in range(8):  # a drill goes to a random second: not each needs every object
        (bad,) = [one for one in drill_database(company.platform, "shop", seed) if one.archive == "offsite"]
        if bad.problem:
            assert named in bad.problem, bad.problem
            return
    raise AssertionError(f"no drill found it: {named}")


@pytest.mark.parametrize("plant", EVERYTHING, ids=lambda plant: plant.__name__)
def test_the_drill_of_everything_names_it(
    fresh: Callable[[], Prepared], plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To an instant by which all of it had been made."""
    company = fresh()
    monkeypatch.setattr(everything, "random_instant", lambda *_: company.at)
    named = plant(company.root / "offsite")
    (bad,) = [one for one in everything.drill_everything(company.platform, 1) if one.archive == "offsite"]
    assert any(named in line for line in bad.problems), json.dumps(bad.problems)
