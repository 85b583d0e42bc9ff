"""Damage in one archive turns the warehouse's drill red there, by the name of what is damaged, and the other archive's drill
stays green. ``test_restore.py`` plants more in a single archive; a wrong age identity is in ``sync/test_encrypted_backups.py``."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_platform.backups.manifest import BackupManifest
from data_platform.landing.part import sha256_of
from data_platform.sync import Platform, open_platform
from data_platform.sync.backup import archives, hold_drills
from data_platform_tests.backups.conftest import NOW, SETUP, Box
from data_platform_tests.backups.database.conftest import CATALOG, SOURCE

ORDERS = "raw_shop.orders"
FIRST, SECOND = "first key of a test, long enough to be taken", "second key of a test, long enough, too"


class Stored:
    """The newest backup in the archive ``offsite``; ``older`` is the one before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        one = archives(opened(root))[1]
        self.older, self.manifest = (one.manifest(id_) for id_ in one.ids())

    def path(self, key: str) -> Path:
        return self.root / "offsite" / key

    def part(self, of: BackupManifest | None = None) -> Path:
        table = next(one for one in (of or self.manifest).tables if one.label == ORDERS)
        return self.path(table.parts[0].key)

    def manifest_path(self, of: BackupManifest | None = None) -> Path:
        return self.path(f"warehouse/manifests/{(of or self.manifest).id}.json")


def flipped(path: Path) -> str:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path.name


def bit_of_a_part(stored: Stored) -> str:
    return f"{ORDERS}/{flipped(stored.part())}"


def bit_of_the_manifest(stored: Stored) -> str:
    return flipped(stored.manifest_path())


def missing_part(stored: Stored) -> str:
    stored.part().unlink()
    return f"{ORDERS}/part-00000.parquet of {ORDERS}"


def manifest_over_missing_objects(stored: Stored) -> str:
    for object_ in stored.manifest.objects():
        stored.path(object_.key).unlink()
    return next(stored.manifest.objects()).key


def truncated_part(stored: Stored) -> str:
    os.truncate(stored.part(), stored.part().stat().st_size // 2)
    return f"{ORDERS}/part-00000.parquet of {ORDERS}"


def truncated_manifest(stored: Stored) -> str:
    os.truncate(stored.manifest_path(), stored.manifest_path().stat().st_size - 3)
    return stored.manifest_path().name


def older_part_under_the_new_name(stored: Stored) -> str:
    stored.part().write_bytes(stored.part(stored.older).read_bytes())
    return f"{ORDERS}/part-00000.parquet of {ORDERS}"


def older_manifest_under_the_new_name(stored: Stored) -> str:
    stored.manifest_path().write_bytes(stored.manifest_path(stored.older).read_bytes())
    return stored.manifest_path().name


def table_with_fewer_rows(stored: Stored) -> str:
    """All hashes are right: who wrote the backup lost a row."""
    part = stored.part()
    rows = pq.read_table(part)
    pq.write_table(rows.slice(1), part)
    (table,) = (one for one in stored.manifest.tables if one.label == ORDERS)
    changed = replace(table.parts[0], bytes=part.stat().st_size, sha256=sha256_of(part))
    tables = tuple(
        replace(one, parts=(changed,)) if one.label == ORDERS else one for one in stored.manifest.tables
    )
    signer = opened(stored.root).signer
    sealed = replace(stored.manifest, tables=tables).sealed().signed(signer)
    stored.manifest_path().write_bytes(sealed.to_json())
    return f"{ORDERS} holds 4,999 rows instead of 5,000"


def signed_by_another(stored: Stored) -> str:
    signer = opened(stored.root, SECOND).signer
    stored.manifest_path().write_bytes(stored.manifest.sealed().signed(signer).to_json())
    return stored.manifest_path().name


def opened(root: Path, key: str = FIRST) -> Platform:
    environ = {"SHOP_URL": "postgresql://nobody@127.0.0.1:1/shop", "SIGNING_KEY": key}
    return open_platform(root, "local", environ)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two archives with two backups each, whose drills are green. For copying."""
    box = Box(tmp_path_factory.mktemp("drilled"))
    box.execute(*SETUP)
    (box.root / "catalog/sources").mkdir(parents=True)
    catalog = CATALOG.format(copies="{offsite: {kind: local, path: offsite}}")
    (box.root / "catalog/platform.yaml").write_text(f"{catalog}    signing: {{key_env: SIGNING_KEY}}\n")
    (box.root / "catalog/sources/shop.yaml").write_text(SOURCE.format(block="{engine: native}"))
    both = archives(opened(box.root))
    box.back_up(*both, nonce="00000001", at=NOW - timedelta(days=1))
    box.execute("update raw_shop.orders set note = replace(note, 'note', 'nota')")
    box.back_up(*both, nonce="00000002")
    assert [one.mismatches for one in hold_drills(opened(box.root))] == [(), ()]
    return box.root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "company")


@pytest.mark.parametrize(
    "plant",
    [
        bit_of_a_part,
        bit_of_the_manifest,
        missing_part,
        manifest_over_missing_objects,
        truncated_part,
        truncated_manifest,
        older_part_under_the_new_name,
        older_manifest_under_the_new_name,
        table_with_fewer_rows,
        signed_by_another,
    ],
)
def test_damage_is_named(root: Path, plant: Callable[[Stored], str]) -> None:
    named = plant(Stored(root))
    good, bad = hold_drills(opened(root))
    assert good.mismatches == () and good.rows > 5000
    assert len(bad.mismatches) == 1 and named in bad.mismatches[0]
    assert "offsite" in bad.mismatches[0] or bad.archive == "offsite"


def test_a_signing_key_that_was_swapped_is_found_in_every_archive(root: Path) -> None:
    for one in hold_drills(opened(root, SECOND)):
        assert len(one.mismatches) == 1 and "SIGNING_KEY" in one.mismatches[0]


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_by_every_drill_and_leaves_nothing(root: Path) -> None:
    """The drills restore beside the first archive."""
    (root / "backups").rename(root / "kept")
    with small_disk(root / "backups", 8):
        for path in (root / "kept").iterdir():
            subprocess.run(["cp", "-r", str(path), str(root / "backups")], check=True)
        with (root / "backups/fill").open("wb") as fill, pytest.raises(OSError):
            while True:
                os.write(fill.fileno(), bytes(1 << 16))
        os.truncate(root / "backups/fill", (root / "backups/fill").stat().st_size - (1 << 18))
        found = hold_drills(opened(root))
        assert [one.archive for one in found] == ["primary", "offsite"]
        for one in found:
            assert len(one.mismatches) == 1 and "space" in one.mismatches[0], one.mismatches
        (root / "backups/fill").unlink()
        assert [one.mismatches for one in hold_drills(opened(root))] == [(), ()]
