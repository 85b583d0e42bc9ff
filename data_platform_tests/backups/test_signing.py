"""Backups under a key: what somebody else put into a store is not restored, and the drill says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_platform.backups.archive import MANIFESTS, Archive
from data_platform.backups.manifest import BackupManifest
from data_platform.backups.restore import drill, restore
from data_platform.errors import BackupDamaged, ConfigurationError
from data_platform.landing.signing import Signer, SigningConfig
from data_platform.stores.local import LocalStore
from data_platform_tests.backups.conftest import Box, config

FIRST, SECOND = "first key of a test, long enough to be taken", "second key of a test, long enough, too"


def signer(key: str, previous: str = "", environment: str = "local") -> Signer:
    config = SigningConfig(key_env="KEY", previous_key_env="OLD")
    return Signer.of(config, environment, {"KEY": key, "OLD": previous})


def archive(box: Box, key: str = FIRST, previous: str = "") -> Archive:
    return Archive("primary", lambda: LocalStore(box.root / "primary"), signer(key, previous))


def put(box: Box, manifest: BackupManifest) -> None:
    (box.root / "primary" / MANIFESTS / f"{manifest.id}.json").write_bytes(manifest.to_json())


def test_a_forged_backup_is_not_restored_and_the_drill_says_so(box: Box) -> None:
    one = archive(box)
    made = box.back_up(one).manifest
    assert one.chosen("latest").signature == made.signature != ""
    restore(one, one.chosen("latest"), config(box.root / "restored.duckdb"), box.root)
    forged = replace(made, environment="other").sealed()
    for signature in ("", "0" * 64, made.signature, one.signer.sign("manifest", forged.digest)):
        put(box, replace(forged, signature=signature))
        with pytest.raises(BackupDamaged, match="not signed"):
            one.chosen("latest")
        assert "not signed" in drill(one, "latest", config(box.root / "drill"), box.root).mismatches[0]
    put(box, made)
    assert one.chosen("latest") == made


def test_a_backup_from_before_the_key_is_taken_by_its_digest_alone(box: Box) -> None:
    made = box.back_up().manifest
    one = archive(box)
    with pytest.raises(BackupDamaged, match=f"backup verify {made.id} --sign"):
        one.chosen("latest")
    one.adopt(one.unsigned("latest"))
    assert one.chosen("latest") == made
    put(box, replace(made, environment="other").sealed())
    with pytest.raises(BackupDamaged, match="not signed"):
        one.chosen("latest")
    with pytest.raises(BackupDamaged, match="not signed"):
        archive(box, SECOND).chosen("latest")  # another key did not take it


def test_the_key_may_change(box: Box) -> None:
    box.back_up(archive(box))
    assert archive(box, SECOND, FIRST).chosen("latest").signature
    with pytest.raises(BackupDamaged, match="previous_key_env"):
        archive(box, SECOND).chosen("latest")
    assert box.archive().chosen("latest").signature, "without a key nothing is asked"


def test_prod_makes_and_reads_no_backup_without_a_key(box: Box, tmp_path: Path) -> None:
    box.back_up()
    one = Archive("primary", lambda: LocalStore(box.root / "primary"), signer("", environment="prod"))
    with pytest.raises(ConfigurationError, match="KEY is not set"):
        one.chosen("latest")
