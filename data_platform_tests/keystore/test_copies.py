"""Copies of a keystore: read back, not kept too long, brought back without what was destroyed."""

from __future__ import annotations

import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_platform.errors import ConfigurationError, KeystoreUnreachable
from data_platform.keystore import Keystore, copies
from data_platform.keystore.config import KeystoreBackups
from data_platform_tests.keystore.test_keystore import MASTER, Opened, config, open_, opened

__all__ = ["open_"]
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
RULE = KeystoreBackups(path=Path("copies"), keep_days=3)


def elsewhere(folder: Path) -> Keystore:
    """A keystore that has nothing yet."""
    return opened(config(kind="sqlite", path="elsewhere.sqlite"), folder, MASTER)


def test_a_copy_brings_every_key_back(open_: Opened, tmp_path: Path) -> None:
    found = open_().keys("k", [str(n) for n in range(12_000)])
    made = copies.make(open_(), RULE, tmp_path, NOW)
    assert made.subjects == 12_000 and made.removed == ()
    assert stat.S_IMODE(made.copy.path.stat().st_mode) == 0o600
    empty = elsewhere(tmp_path)
    empty.ready()  # whoever looked at it first made a wrapping key
    assert copies.restore(empty, made.copy.path) == 12_000
    assert {s: k.id for s, k in empty.keys("k", list(found)).items()} == {s: k.id for s, k in found.items()}
    assert copies.restore(empty, made.copy.path) == 0
    empty.close()


def test_a_key_that_was_destroyed_is_not_brought_back(open_: Opened, tmp_path: Path) -> None:
    store = open_()
    found = store.keys("k", ["1", "2"])
    made = copies.make(store, RULE, tmp_path, NOW)
    store.destroy([found["1"].id])
    assert copies.restore(store, made.copy.path) == 0
    assert store.find("k", "1") is None and store.opened([found["1"].id]) == {found["1"].id: None}


def test_old_copies_go_and_other_files_stay(open_: Opened, tmp_path: Path) -> None:
    store = open_()
    store.keys("k", ["1"])
    made = [copies.make(store, RULE, tmp_path, NOW + timedelta(days=day)) for day in range(6)]
    (tmp_path / "copies/notes.txt").write_text("mine")
    (tmp_path / "copies/.keystore-20260101T000000000000Z.sqlite.part").write_text("left by a kill")
    last = copies.make(store, RULE, tmp_path, NOW + timedelta(days=6))
    assert [one.removed for one in made[:4]] == [()] * 4
    assert last.removed == (made[2].copy.path,)
    left = sorted(path.name for path in (tmp_path / "copies").iterdir())
    assert len(copies.copies(tmp_path / "copies")) == 4 and len(left) == 5 and "notes.txt" in left


def test_a_copy_of_another_keystore_and_a_damaged_one_are_refused(open_: Opened, tmp_path: Path) -> None:
    store, other = open_(), elsewhere(tmp_path)
    store.keys("k", ["1"])
    other.keys("k", ["1"])
    made = copies.make(store, RULE, tmp_path, NOW)
    with pytest.raises(ConfigurationError, match="other wrapping keys"):
        copies.restore(other, made.copy.path)
    assert other.status().subjects == 1
    other.close()
    made.copy.path.write_bytes(made.copy.path.read_bytes()[:5_000])
    for path in (made.copy.path, tmp_path / "none"):
        with pytest.raises(KeystoreUnreachable, match=path.name):
            copies.restore(store, path)


def test_a_copy_that_lacks_a_row_is_never_given_its_name(
    open_: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_()
    store.keys("k", ["1"])
    counted = copies._counts

    def fewer(connection: sqlite3.Connection):  # type: ignore[no-untyped-def]
        return ((table, rows - (table == "subjects")) for table, rows in counted(connection))

    monkeypatch.setattr(copies, "_counts", fewer)
    with pytest.raises(KeystoreUnreachable, match="does not hold what was written"):
        copies.make(store, RULE, tmp_path, NOW)
    assert list((tmp_path / "copies").iterdir()) == []
