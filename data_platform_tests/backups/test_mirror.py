"""The landing store's second copy: what is new is copied, what is erased is erased, and from it alone the store is rebuilt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.landing import restore_ledger
from data_platform.backups.manifest import LedgerHead
from data_platform.backups.mirror import PREFIX, mirror
from data_platform.errors import BackupDamaged
from data_platform.landing import hint, replaced
from data_platform.landing.keys import hint_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.signing import Signer
from data_platform.landing.verify import verify
from data_platform.stores.local import LocalStore
from data_platform_tests.contracts.batches import TABLE
from data_platform_tests.landing.redactions import ENVIRON, file_of, land, put_part, redact
from data_platform_tests.servers.objects import new_prefix

NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
SIGNER = Signer("LEDGER_KEY", (b"k" * 32,))
KINDS = (
    "local",
    pytest.param("s3", marks=pytest.mark.slow),
    pytest.param("gcs", marks=pytest.mark.slow),
)


@pytest.fixture(params=KINDS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    if request.param == "local":
        return Archive("primary", lambda: LocalStore(tmp_path / "archive"), SIGNER)
    server = request.getfixturevalue(f"{request.param}_server")
    return Archive(request.param, server.opener(tmp_path / "scratch", new_prefix()), SIGNER)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(LocalStore(tmp_path / "landing"), ENVIRON, SIGNER)


def parts_in(archive: Archive) -> list[str]:
    return [key.removeprefix(f"{PREFIX}/") for key in archive.reader.list(f"{PREFIX}/{TABLE}/batches")]


def calls(monkeypatch: pytest.MonkeyPatch, archive: Archive, *names: str) -> list[str]:
    made: list[str] = []
    for name in names:
        real = getattr(type(archive.store), name)

        def counting(
            store: Any, key: str, *rest: Any, real: Callable[..., Any] = real, name: str = name, **more: Any
        ) -> Any:
            made.append(f"{name} {key}")
            return real(store, key, *rest, **more)

        monkeypatch.setattr(type(archive.store), name, counting)
    return made


def test_the_landing_store_is_rebuilt_from_an_archive_alone(
    ledger: Ledger, archive: Archive, tmp_path: Path
) -> None:
    for _ in range(5):
        land(ledger)
    done = mirror(ledger, archive, [TABLE])
    assert (done.parts, done.damaged) == (10, ())
    back = Ledger(LocalStore(tmp_path / "back"), ENVIRON, SIGNER)
    restored = restore_ledger(archive, done.heads, back.store, ENVIRON)
    assert (restored.manifests, restored.parts, restored.bytes) == (5, 10, done.bytes)
    assert restored.damaged == ()
    assert verify(back, TABLE, NOW, since=0).problems == ()
    mine, theirs = (
        {
            key: one.store.read(key)
            for folder in ("batches", "manifests")
            for key in one.store.list(f"{TABLE}/{folder}")
        }
        for one in (ledger, back)
    )
    assert mine == theirs and len(mine) == 15


def test_a_mirror_costs_what_is_new(
    ledger: Ledger, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(40):
        land(ledger)
    mirror(ledger, archive, [TABLE])
    made = calls(monkeypatch, archive, "read", "size", "list", "put_file", "put_new", "put_hint", "local")
    assert mirror(ledger, archive, [TABLE]).parts == 0
    quiet = len(made)
    assert quiet < 18 and not any("batches" in call for call in made)
    made.clear()
    land(ledger)
    assert mirror(ledger, archive, [TABLE]).parts == 2
    assert len(made) < quiet + 30, "and not another one for each of 40 batches"
    assert {call.split("/")[-2] for call in made if "batches" in call} == {"00000041-00000041"}


def test_what_a_redaction_erased_is_erased_here_and_never_comes_back(
    ledger: Ledger, archive: Archive, tmp_path: Path
) -> None:
    land(ledger)
    land(ledger)
    old = ledger.read(TABLE, 1).parts[0]
    before = mirror(ledger, archive, [TABLE]).heads
    assert old.key in parts_in(archive)
    redact(ledger, 1)
    new = ledger.rewrites(TABLE).by_old_key[old.key].new
    done = mirror(ledger, archive, [TABLE])
    assert done.damaged == () and done.parts == 1
    assert old.key not in parts_in(archive) and new.key in parts_in(archive)
    for number, heads in enumerate((before, done.heads)):  # a backup from before the redaction too
        back = Ledger(LocalStore(tmp_path / f"back-{number}"), ENVIRON, SIGNER)
        assert restore_ledger(archive, heads, back.store, ENVIRON).damaged == ()
        assert back.last(TABLE) == 3
        assert verify(back, TABLE, NOW, since=0).problems == ()
        assert old.key not in back.store.list(f"{TABLE}/batches")


def test_a_redaction_of_what_was_not_mirrored_yet_copies_only_what_is_left(
    ledger: Ledger, archive: Archive
) -> None:
    land(ledger)
    old = ledger.read(TABLE, 1).parts[0].key
    redact(ledger, 1)
    assert mirror(ledger, archive, [TABLE]).damaged == ()
    assert old not in parts_in(archive) and len(parts_in(archive)) == 2


def wholes(ledger: Ledger) -> None:
    """Batches 1 and 3 are whole reads."""
    for number in range(4):
        whole = number % 2 == 0
        how = {"load": "replace", "operation": "refresh"} if whole else {}
        at = (NOW + timedelta(days=number)).isoformat()
        land(ledger, 1, committed_at=at, **how)


def test_what_the_rule_deleted_is_deleted_here(ledger: Ledger, archive: Archive, tmp_path: Path) -> None:
    wholes(ledger)
    mirror(ledger, archive, [TABLE])
    assert len(parts_in(archive)) == 4
    replaced.collect(ledger, TABLE, NOW + timedelta(days=30), timedelta(days=5), remove=True)
    done = mirror(ledger, archive, [TABLE])
    assert done.damaged == () and len(parts_in(archive)) == 2
    back = Ledger(LocalStore(tmp_path / "back"), ENVIRON, SIGNER)
    restored = restore_ledger(archive, done.heads, back.store, ENVIRON)
    assert (restored.manifests, restored.parts, restored.damaged) == (4, 2, ())
    assert verify(back, TABLE, NOW, since=0).problems == ()


def test_a_first_mirror_after_the_rule_passes_over_what_is_gone(ledger: Ledger, archive: Archive) -> None:
    wholes(ledger)
    replaced.collect(ledger, TABLE, NOW + timedelta(days=30), timedelta(days=5), remove=True)
    done = mirror(ledger, archive, [TABLE])
    assert (done.parts, done.damaged) == (2, ())


def test_an_altered_hint_of_the_landing_store_deletes_nothing_that_is_needed(tmp_path: Path) -> None:
    """Without a key whoever can write to the landing store can write the hint of the rule."""
    archive = Archive("primary", lambda: LocalStore(tmp_path / "archive"))
    ledger = Ledger(LocalStore(tmp_path / "landing"), ENVIRON)
    wholes(ledger)
    mirror(ledger, archive, [TABLE])
    for sequence in (4, 99):  # no whole read, no batch
        hint.write(ledger.store, hint_key(TABLE, "kept"), {"sequence": sequence, "at": NOW.isoformat()})
        mirror(ledger, archive, [TABLE])
        assert len(parts_in(archive)) == 4


def test_a_damaged_part_is_named_and_tried_again_and_the_rest_is_copied(
    ledger: Ledger, archive: Archive, tmp_path: Path
) -> None:
    made = [land(ledger) for _ in range(3)]
    lost, altered = made[0].parts[1], made[1].parts[0]
    content = file_of(ledger, lost.key).read_bytes()
    file_of(ledger, lost.key).unlink()
    file_of(ledger, altered.key).write_bytes(b"x" * altered.bytes)
    done = mirror(ledger, archive, [TABLE])
    assert done.parts == 4 and len(done.damaged) == 2
    assert lost.key in done.damaged[0] and altered.key in done.damaged[1]
    assert done.heads[0].sequence == 3, "the ledger's manifests are mirrored all the same"
    restored = restore_ledger(archive, done.heads, LocalStore(tmp_path / "back"), ENVIRON)
    assert restored.parts == 4 and "lacks parts of shop/orders from batch 1 on" in restored.damaged[0]
    assert len(mirror(ledger, archive, [TABLE]).damaged) == 2
    put_part(ledger.store, lost.key, content)  # type: ignore[arg-type]
    put_part(ledger.store, altered.key, f"rows {2}.{0}".encode() * 9)  # type: ignore[arg-type]
    done = mirror(ledger, archive, [TABLE])
    assert (done.parts, done.damaged) == (2, ())
    assert len(parts_in(archive)) == 6


def test_parts_are_caught_up_with_where_only_manifests_were_mirrored(
    ledger: Ledger, archive: Archive, tmp_path: Path
) -> None:
    land(ledger)
    land(ledger)
    done = mirror(ledger, archive, [TABLE], parts=False)
    assert parts_in(archive) == []
    restored = restore_ledger(archive, done.heads, LocalStore(tmp_path / "back"), ENVIRON)
    assert restored.manifests == 2 and "did not copy" in restored.damaged[0]
    assert mirror(ledger, archive, [TABLE]).parts == 4
    archive.store.delete(f"{PREFIX}/{hint_key(TABLE, 'copied')}")  # its loss costs looking, and no copying
    assert mirror(ledger, archive, [TABLE]).parts == 0


def test_a_part_that_does_not_read_back_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    class Altering(LocalStore):
        def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
            path.write_bytes(b"x" * path.stat().st_size)
            super().put_file(key, path, sha256)

    land(ledger)
    archive = Archive("primary", lambda: Altering(tmp_path / "archive"), SIGNER)
    with pytest.raises(BackupDamaged, match="SHA-256"):
        mirror(ledger, archive, [TABLE])
    assert Ledger(LocalStore(tmp_path / "archive" / PREFIX)).last(TABLE) == 0


def test_damage_in_the_archive_is_named_by_the_restore(
    ledger: Ledger, archive: Archive, tmp_path: Path
) -> None:
    made = [land(ledger) for _ in range(2)]
    heads = mirror(ledger, archive, [TABLE]).heads
    gone, altered = made[0].parts[0].key, made[1].parts[1].key
    archive.store.delete(f"{PREFIX}/{gone}")
    archive.store.delete(f"{PREFIX}/{altered}")
    archive.store.put_new(f"{PREFIX}/{altered}", b"x" * made[1].parts[1].bytes)
    restored = restore_ledger(archive, heads, LocalStore(tmp_path / "back"), ENVIRON)
    assert restored.parts == 2
    assert [gone in restored.damaged[0], altered in restored.damaged[1]] == [True, True]
    wrong = [LedgerHead(str(TABLE), 2, "0" * 64)]
    with pytest.raises(BackupDamaged, match="is not the one this backup was made with"):
        restore_ledger(archive, wrong, LocalStore(tmp_path / "wrong"), ENVIRON)
