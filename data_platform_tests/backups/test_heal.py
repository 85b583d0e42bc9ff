"""What the landing store lost is put back from the archives, and nothing that an archive forged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.heal import Healed, heal
from data_platform.backups.mirror import PREFIX, mirror
from data_platform.errors import StoreUnreachable
from data_platform.landing import replaced
from data_platform.landing.keys import manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.landing.verify import verify
from data_platform.stores import Store
from data_platform.stores.local import LocalStore
from data_platform_tests.contracts.batches import TABLE
from data_platform_tests.landing.redactions import ENVIRON, land, redact
from data_platform_tests.servers.objects import new_prefix

NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
SIGNER = Signer("LEDGER_KEY", (b"k" * 32,))


@pytest.fixture(params=[SIGNER, NOT_SIGNED], ids=["signed", "unsigned"])
def signer(request: pytest.FixtureRequest) -> Signer:
    found: Signer = request.param
    return found


@pytest.fixture
def ledger(tmp_path: Path, signer: Signer) -> Ledger:
    """Six batches of two parts."""
    made = Ledger(LocalStore(tmp_path / "landing"), ENVIRON, signer)
    for _ in range(6):
        land(made)
    return made


@pytest.fixture
def archives(tmp_path: Path, ledger: Ledger, signer: Signer) -> list[Archive]:
    def opener(name: str) -> Callable[[], Store]:
        return lambda: LocalStore(tmp_path / name)

    found = [Archive(name, opener(name), signer) for name in ("primary", "offsite")]
    for one in found:
        mirror(ledger, one, [TABLE])
    return found


def look(ledger: Ledger) -> Any:
    return verify(ledger, TABLE, NOW, since=0)


def healed(ledger: Ledger, archives: list[Archive]) -> Healed:
    """Heals what a verification finds; afterwards nothing is left."""
    found = look(ledger)
    assert found.problems or not found.last
    done = heal(ledger, archives, TABLE, found.damaged)
    assert look(ledger).problems == ()
    return done


def alter(store: Store, key: str) -> None:
    data = bytearray(store.read(key))
    data[len(data) // 2] ^= 1
    store.delete(key)
    assert store.put_new(key, bytes(data))


def test_parts_come_back_from_whichever_archive_holds_them(ledger: Ledger, archives: list[Archive]) -> None:
    first, second, third = (ledger.read(TABLE, n).parts[0].key for n in (1, 3, 6))
    ledger.store.delete(first)
    alter(ledger.store, second)
    ledger.store.delete(third)
    archives[0].store.delete(f"{PREFIX}/{first}")
    alter(archives[0].store, f"{PREFIX}/{second}")
    done = healed(ledger, archives)
    assert set(done.objects) == {(first, "offsite"), (second, "offsite"), (third, "primary")}
    assert done.bytes == sum(ledger.read(TABLE, n).parts[0].bytes for n in (1, 3, 6))


def test_what_no_archive_holds_stays_a_problem(ledger: Ledger, archives: list[Archive]) -> None:
    key = ledger.read(TABLE, 2).parts[1].key
    ledger.store.delete(key)
    archives[0].store.delete(f"{PREFIX}/{key}")
    alter(archives[1].store, f"{PREFIX}/{key}")
    found = look(ledger)
    assert found.damaged == (2,)
    assert heal(ledger, archives, TABLE, found.damaged).objects == ()
    (line,) = look(ledger).problems
    assert key in line


@pytest.mark.parametrize("sequences", [(1,), (3,), (3, 4), (2, 5), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("how", ["lost", "altered"])
def test_manifests_come_back(
    ledger: Ledger, archives: list[Archive], sequences: tuple[int, ...], how: str
) -> None:
    before = [ledger.read(TABLE, n).digest for n in range(1, 7)]
    for sequence in sequences:
        (ledger.store.delete if how == "lost" else lambda key: alter(ledger.store, key))(
            manifest_key(TABLE, sequence)
        )
    done = healed(ledger, archives)
    assert {key for key, _ in done.objects} == {manifest_key(TABLE, n) for n in sequences}
    assert [ledger.read(TABLE, n).digest for n in range(1, 7)] == before


@pytest.mark.parametrize("lost", [1, 3, 6])
def test_the_newest_batches_come_back(ledger: Ledger, archives: list[Archive], lost: int) -> None:
    before = [ledger.read(TABLE, n).digest for n in range(1, 7)]
    for sequence in range(7 - lost, 7):
        ledger.store.delete(manifest_key(TABLE, sequence))
        for part in archives[0].store.list(f"{PREFIX}/{TABLE}/batches/{sequence:08d}-{sequence:08d}"):
            ledger.store.delete(part.removeprefix(f"{PREFIX}/"))
    done = healed(ledger, archives)
    assert len(done.objects) == 3 * lost
    assert [ledger.read(TABLE, n).digest for n in range(1, 7)] == before


def test_an_altered_newest_manifest_comes_back(ledger: Ledger, archives: list[Archive]) -> None:
    alter(ledger.store, manifest_key(TABLE, 6))
    assert healed(ledger, archives).objects == ((manifest_key(TABLE, 6), "primary"),)


def test_a_whole_store_comes_back(ledger: Ledger, archives: list[Archive], tmp_path: Path) -> None:
    new = Ledger(LocalStore(tmp_path / "new"), ENVIRON, ledger.signer)
    done = healed(new, archives)
    assert len(done.objects) == 6 + 12
    assert new.head(TABLE) == ledger.head(TABLE)


def test_what_was_erased_or_deleted_by_rule_does_not_come_back(
    ledger: Ledger, archives: list[Archive]
) -> None:
    old = ledger.read(TABLE, 1).parts[0].key
    redact(ledger, 1)  # the archives still hold what it erased, until the next backup
    new = ledger.rewrites(TABLE).by_old_key[old].new.key
    for one in archives:
        mirror(ledger, one, [TABLE])
    ledger.store.delete(new)
    assert healed(ledger, archives).objects == ((new, "primary"),)
    land(ledger, 1, load="replace", operation="refresh", committed_at=NOW.isoformat())
    replaced.collect(ledger, TABLE, NOW + timedelta(days=9), timedelta(days=1), remove=True)
    kept = ledger.store.list(f"{TABLE}/batches")
    assert heal(ledger, archives, TABLE, range(1, 9)).objects == ()
    assert ledger.store.list(f"{TABLE}/batches") == kept


def test_a_forged_archive_is_not_believed(ledger: Ledger, archives: list[Archive], tmp_path: Path) -> None:
    """Another ledger of the same table, complete and well linked."""
    other = Ledger(LocalStore(tmp_path / "other"), ENVIRON)
    for _ in range(9):
        land(other, 1)
    forged = Archive("forged", lambda: LocalStore(tmp_path / "forged"))
    mirror(other, forged, [TABLE])
    alter(forged.store, f"{PREFIX}/{ledger.read(TABLE, 1).parts[0].key}")
    part, head = ledger.read(TABLE, 1).parts[0].key, ledger.read(TABLE, 6)
    ledger.store.delete(part)
    for sequence in (2, 5, 6):
        ledger.store.delete(manifest_key(TABLE, sequence))
    found = look(ledger)
    assert heal(ledger, [forged], TABLE, found.damaged).objects == ()
    healed(ledger, [forged, *archives])
    assert ledger.read(TABLE, 6) == head


@pytest.mark.parametrize("lost", [(3,), (5, 6)], ids=["between", "newest"])
def test_a_fork_of_the_same_ledger_is_not_believed(
    ledger: Ledger, archives: list[Archive], tmp_path: Path, lost: tuple[int, ...]
) -> None:
    """It has the same first batches, so what follows links to them, and is signed with the same key."""
    fork = Ledger(LocalStore(tmp_path / "fork"), ENVIRON, ledger.signer)
    shutil.copytree(tmp_path / "landing", tmp_path / "fork")
    for sequence in range(min(lost), 7):
        fork.store.delete(manifest_key(TABLE, sequence))
    fork.store.delete(f"{TABLE}/tail.json")
    for _ in range(min(lost), 9):
        land(fork, 1)
    forked = Archive("forked", lambda: LocalStore(tmp_path / "forked"), ledger.signer)
    mirror(fork, forked, [TABLE])
    head = ledger.read(TABLE, 6)
    for sequence in lost:
        ledger.store.delete(manifest_key(TABLE, sequence))
    found = look(ledger)
    assert heal(ledger, [forked], TABLE, found.damaged).objects == ()
    healed(ledger, [forked, *archives])
    assert ledger.read(TABLE, 6) == head


def test_an_unreachable_archive_is_named_and_the_next_one_asked(
    ledger: Ledger, archives: list[Archive], tmp_path: Path
) -> None:
    class Dead(LocalStore):
        @contextmanager
        def local(self, key: str) -> Iterator[Path]:
            raise StoreUnreachable("The store does not answer.")
            yield self.path

        def read(self, key: str) -> bytes:
            raise StoreUnreachable("The store does not answer.")

    part = ledger.read(TABLE, 1).parts[0].key
    ledger.store.delete(part)
    done = healed(ledger, [Archive("dead", lambda: Dead(tmp_path / "primary")), archives[1]])
    assert done.objects == ((part, "offsite"),)
    assert done.failed == ("dead: The store does not answer.",)


@pytest.mark.slow
def test_across_providers(
    request: pytest.FixtureRequest, ledger: Ledger, signer: Signer, tmp_path: Path
) -> None:
    """The landing store in one bucket, its copy in another provider's."""
    s3, gcs = (request.getfixturevalue(f"{kind}_server") for kind in ("s3", "gcs"))
    archive = Archive("other", gcs.opener(tmp_path / "gcs", new_prefix()), signer)
    mirror(ledger, archive, [TABLE])
    opened = s3.opener(tmp_path / "s3", new_prefix())
    remote = Ledger(opened(), ENVIRON, signer)
    healed(remote, [archive])
    altered, lost = (ledger.read(TABLE, n).parts[0].key for n in (2, 4))
    alter(remote.store, altered)
    remote.store.delete(lost)
    remote.store.delete(manifest_key(TABLE, 3))
    again = Ledger(opened(), ENVIRON, signer)
    done = healed(again, [archive])
    assert {key for key, _ in done.objects} == {altered, lost, manifest_key(TABLE, 3)}
    assert json.loads(opened().read(manifest_key(TABLE, 3)))["sequence"] == 3
