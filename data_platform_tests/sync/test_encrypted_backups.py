"""Encrypted backups end to end: made, verified, drilled and restored with the right identity, and named with a wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from data_platform.errors import ConfigurationError, ObjectSealed
from data_platform.landing.ledger import Ledger
from data_platform.landing.verify import verify
from data_platform.stores.encrypted import MAGIC
from data_platform.stores.kinds import in_folder
from data_platform.stores.local import LocalStore
from data_platform.sync import Platform, backup
from data_platform.sync.checklist import Secret, checklist
from data_platform.sync.copies import count_copies
from data_platform.sync.healing import heal_table
from data_platform.sync.secrets import HASH, REDACTION
from data_platform_tests.backups.conftest import Box
from data_platform_tests.contracts.batches import TABLE
from data_platform_tests.landing.redactions import ENVIRON, land
from data_platform_tests.sync.test_copies import SHOP

NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
MINE, NEXT, OTHER = (pyrage.x25519.Identity.generate() for _ in range(3))
NEEDLE = "needle-in-every-row"
RIGHT = {
    **ENVIRON,
    "BACKUP_IDENTITIES": str(MINE),
    "HASH_KEY": "h" * 32,
    "DATA_PLATFORM_LEDGER_KEY": "k" * 32,
}


def encryption(*identities: Any, previous: str = "") -> str:
    recipients = ", ".join(str(one.to_public()) for one in identities)
    return f"{{recipients: [{recipients}]{previous}}}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a warehouse, four batches and two archives."""
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "sources" / "shop.yaml").write_text(SHOP)
    configure(tmp_path, f"encryption: {encryption(MINE)}")
    Box(tmp_path).execute(
        "create schema raw_shop",
        f"create table raw_shop.orders as select range as id, '{NEEDLE}' as note from range(100)",
    )
    ledger = Ledger(LocalStore(tmp_path / "landing"), RIGHT, opened(tmp_path).signer)
    for _ in range(4):
        land(ledger)
    return tmp_path


def configure(root: Path, more: str) -> None:
    (root / "catalog" / "platform.yaml").write_text(
        "environments:\n  local:\n    landing: {kind: local, path: landing}\n"
        "    warehouse: {kind: duckdb, path: warehouse.duckdb}\n"
        "    backups:\n      store: {kind: local, path: primary}\n      copies: {second: {kind: local, path: second}}\n"
        f"      start: 2026-01-01\n      archive: null\n      {more}\n"
        "privacy: {hash_key_env: HASH_KEY}\n"
    )


def opened(root: Path, environ: Mapping[str, str] = RIGHT) -> Platform:
    from data_platform.sync import open_platform

    return replace(open_platform(root, "local", environ), clock=lambda: NOW)


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in RIGHT.items() if key != name}


def test_everything_in_an_archive_is_an_age_file_and_comes_back(root: Path) -> None:
    platform = opened(root)
    report = backup.make_backup(platform)
    assert report.stored == ("primary", "second") and report.mirrored.parts == 8
    for name in ("primary", "second"):
        files = [path for path in (root / name).rglob("*") if path.is_file() and ".scratch" not in path.parts]
        assert len(files) > 12
        for path in files:
            data = path.read_bytes()
            assert data.startswith(MAGIC), path
            assert NEEDLE.encode() not in data and b"orders" not in data
    manifest = (root / "second/warehouse/manifests").glob("*.json")
    assert NEEDLE.encode() not in pyrage.decrypt(next(manifest).read_bytes(), [MINE])
    for one in backup.archives(platform):
        assert (
            one.damage(one.chosen("latest"), deep=True) == [] == one.damage(one.chosen("latest"), deep=False)
        )
    assert [report.mismatches for report in backup.hold_drills(platform)] == [(), ()]
    backup.restore_warehouse(platform, "latest", root / "back.duckdb", copy="second")
    assert Box(root).rows("select count(*), min(note) from raw_shop.orders", root / "back.duckdb") == [
        (100, NEEDLE)
    ]
    _, restored = backup.restore_beside(platform, "latest", root / "files")
    assert (restored.parts, restored.damaged) == (8, ())
    back = Ledger(in_folder(root / "files" / "ledger"), RIGHT, platform.signer)
    assert verify(back, TABLE, NOW, since=0).problems == ()
    assert backup.make_backup(platform).mirrored.parts == 0, "what is there is not encrypted again"
    assert count_copies(platform, 1).problems == []
    part = platform.ledger.read(TABLE, 2).parts[0].key
    platform.store.delete(part)
    assert heal_table(platform, TABLE, [2]).objects == ((part, "primary"),)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (without("BACKUP_IDENTITIES"), "BACKUP_IDENTITIES is not set"),
        ({**RIGHT, "BACKUP_IDENTITIES": str(OTHER)}, "none of the identities in BACKUP_IDENTITIES"),
    ],
    ids=["missing", "wrong"],
)
def test_a_key_that_is_wrong_or_missing_is_found_by_whatever_reads(
    root: Path, environ: Mapping[str, str], words: str
) -> None:
    backup.make_backup(opened(root))
    platform = opened(root, environ)
    for report in backup.hold_drills(platform):
        assert len(report.mismatches) == 1 and words in report.mismatches[0]
    for one in backup.newest(platform):
        assert one.id is None and words in one.problem
    found = count_copies(platform, 0)
    assert not any(copy.good for counted in found.classes for copy in counted.copies)
    assert all(words in line for line in found.problems) and len(found.problems) == 6
    with pytest.raises((ConfigurationError, ObjectSealed), match=words):
        backup.restore_warehouse(platform, "latest", root / "back.duckdb")
    with pytest.raises((ConfigurationError, ObjectSealed), match=words):
        backup.make_backup(platform)
    assert str(OTHER) not in repr(found)
    (item,) = [one for one in checklist(platform) if one.name == "identities"]
    assert item.state == ("missing" if "not set" in words else "fails") and words in item.detail


def test_a_backup_for_somebody_elses_key_is_refused_when_it_is_made(root: Path) -> None:
    configure(root, f"encryption: {encryption(OTHER)}")
    with pytest.raises(ObjectSealed, match="none of the identities in BACKUP_IDENTITIES"):
        backup.make_backup(opened(root))
    assert backup.archives(opened(root))[0].ids() == []


def test_the_recipients_are_rotated_and_older_backups_stay_readable(root: Path) -> None:
    first = backup.make_backup(opened(root)).manifest.id
    configure(root, f"encryption: {encryption(NEXT, previous=', previous_identities_env: BEFORE')}")
    environ = {**RIGHT, "BACKUP_IDENTITIES": str(NEXT), "BEFORE": str(MINE)}
    platform = opened(root, environ)
    second = backup.make_backup(platform).manifest.id
    for id_ in (first, second):
        for one in backup.archives(platform):
            assert one.damage(one.manifest(id_), deep=True) == []
    forgotten = opened(root, {key: value for key, value in environ.items() if key != "BEFORE"})
    (item,) = [one for one in checklist(forgotten) if one.name == "identities"]
    assert item.state == "missing" or "NOW" not in item.detail
    assert not item.good, "the oldest backup cannot be opened any more"


def test_what_was_not_encrypted_before_is_named_and_still_read(root: Path) -> None:
    configure(root, "landing: true")
    backup.make_backup(opened(root))
    configure(root, f"encryption: {encryption(MINE)}")
    platform = opened(root)
    assert any(
        "is not encrypted" in line for seed in range(9) for line in count_copies(platform, seed).problems
    )
    backup.make_backup(platform)
    assert [report.mismatches for report in backup.hold_drills(platform)] == [(), ()]


def items(platform: Platform) -> dict[str, Secret]:
    return {one.name: one for one in checklist(platform)}


def test_the_checklist_tries_every_secret(root: Path) -> None:
    before = items(opened(root))
    assert before["archive primary"].state == "works" and "is empty" in before["archive primary"].detail
    assert (before["identities"].state, before[HASH].state) == ("works", "set")
    assert before["source shop"].state == "missing" and before["source shop"].variables == {"SHOP_URL": False}
    backup.make_backup(opened(root))
    after = items(opened(root))
    for name in (
        "landing store",
        "archive primary",
        "archive second",
        "identities",
        "signing key",
        HASH,
        REDACTION,
    ):
        assert after[name].state == "works", (name, after[name])
    for variable, name, other in (
        ("HASH_KEY", HASH, "o" * 32),
        ("DATA_PLATFORM_REDACTION_KEY", REDACTION, "o" * 32),
        ("DATA_PLATFORM_LEDGER_KEY", "signing key", "o" * 32),
        ("BACKUP_IDENTITIES", "identities", str(OTHER)),
    ):
        wrong = items(opened(root, {**RIGHT, variable: other}))[name]
        assert wrong.state == "fails" and not wrong.good and other not in wrong.detail, (name, wrong)
        absent = items(opened(root, without(variable)))[name]
        if name == "signing key":  # without any key nothing shows that there was one, but for the signatures
            assert absent.state in ("missing", "not needed")
        else:
            assert absent.state == "missing" and absent.variables[variable] is False, (name, absent)
    text = repr(items(opened(root)))
    assert not any(value in text for value in RIGHT.values())


def test_a_secret_replaced_by_mistake_does_not_become_the_right_one(root: Path) -> None:
    backup.make_backup(opened(root))
    backup.make_backup(opened(root, {**RIGHT, "HASH_KEY": "o" * 32}))
    assert items(opened(root, {**RIGHT, "HASH_KEY": "o" * 32}))[HASH].state == "fails"
    assert items(opened(root))[HASH].state == "works"


def test_the_command_prints_no_value(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from data_platform.cli.app import run

    backup.make_backup(opened(root))
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SHOP_URL", raising=False)
    assert run(["recover", "--checklist", "--root", str(root)]) == 8, "the source's variable is missing"
    said = capsys.readouterr()
    assert "SHOP_URL (NOT SET)" in said.out and "BACKUP_IDENTITIES (set)" in said.out
    assert not any(value in said.out + said.err for value in RIGHT.values())
    assert run(["recover", "--root", str(root)]) == 2
