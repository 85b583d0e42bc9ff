"""What was interrupted on its way to a store goes on where it was: no object that arrived is sent again, and the server is not read
again for a backup that waits in the spool."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.database import carry as carrying
from data_platform.backups.database import stream
from data_platform.backups.database.carry import carry
from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.tools import Programs
from data_platform.backups.database.wal import WalArchive, adding
from data_platform.backups.database.wal.records import Interruption
from data_platform.errors import BackupError, StoreUnreachable
from data_platform.stores.local import LocalStore
from data_platform.sync import open_platform
from data_platform.sync.backup import archives
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.database_spool import spool
from data_platform_tests.backups.calls import Calls
from data_platform_tests.backups.database.conftest import Company

pytestmark = pytest.mark.slow
TWO = "{offsite: {kind: local, path: offsite}}"
SPOOLED = "{engine: native, url_env: KEEPER_URL, spool: spool}"
SMALL = 1 << 20


@pytest.fixture(autouse=True)
def small_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK_BYTES", SMALL)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "PAUSES", (0, 0, 0))


class Traffic:
    """Counts what is sent to each store, and refuses what ``down`` says: a store's name and the number of what it was sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: dict[str, list[str]] = {}
        self.read = 0
        self.down: Callable[[str, int], bool] = lambda store, number: False
        put, started = LocalStore.put_file, Programs.started

        def put_file(store: LocalStore, key: str, path: Path, sha256: str | None = None) -> None:
            name = store.path.name
            keys = self.sent.setdefault(name, [])
            if self.down(name, len(keys)):
                raise StoreUnreachable(f"{name} does not answer")
            put(store, key, path, sha256)
            keys.append(key)

        @contextmanager
        def counted(programs: Programs, program: str, *given: str, **named: Any) -> Iterator[Any]:
            self.read += program == "pg_basebackup"
            with started(programs, program, *given, **named) as running:
                yield running

        monkeypatch.setattr(LocalStore, "put_file", put_file)
        monkeypatch.setattr(Programs, "started", counted)

    def heal(self) -> None:
        self.down = lambda store, number: False


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch, no_pauses: None) -> Traffic:
    return Traffic(monkeypatch)


def repository(company: Company, name: str = "backups") -> Repository:
    return Repository(Archive(name, lambda: LocalStore(company.root / name)), "shop")


def whole(company: Company, *names: str) -> list[list[str]]:
    """The ids in each store, after every byte was proven."""
    found = []
    for one in (repository(company, name) for name in names):
        assert [one.damage(one.backup(id_), deep=True) for id_ in one.ids()] == [[]] * len(one.ids())
        found.append(one.ids())
    return found


def test_a_store_that_fails_for_a_while_gets_only_what_it_lacks_in_the_same_run(
    company: Company, traffic: Traffic
) -> None:
    refused: list[int] = []
    traffic.down = lambda store, number: (
        store == "offsite" and number == 3 and not refused and not refused.append(3)  # type: ignore[func-returns-value]
    )
    report = back_up_database(company.platform(copies=TWO), "shop")
    assert report.stored == ("primary", "offsite") and not report.failed
    assert len(report.remarks) == 1 and "offsite got it from primary" in report.remarks[0]
    assert "offsite does not answer" in report.remarks[0]
    objects = [one.key for one in report.backup.objects]
    assert len(objects) > 6 and traffic.sent == {"backups": objects, "offsite": objects}
    assert traffic.read == 1
    assert whole(company, "backups", "offsite") == [[report.backup.id]] * 2


def test_a_store_that_was_away_gets_the_rest_in_the_next_run_which_is_incremental(
    company: Company, traffic: Traffic
) -> None:
    platform = company.platform(copies=TWO)
    traffic.down = lambda store, number: store == "offsite" and number >= 3
    first = back_up_database(platform, "shop")
    assert first.stored == ("primary",) and set(first.failed) == {"offsite"}
    assert repository(company, "offsite").ids() == []
    traffic.heal()
    second = back_up_database(platform, "shop")
    assert second.backup.way == "incremental" and second.stored == ("primary", "offsite")
    assert any("were brought from primary" in line for line in second.remarks)
    assert len(traffic.sent["offsite"]) == len(set(traffic.sent["offsite"])), "nothing was sent twice"
    assert whole(company, "backups", "offsite") == [[first.backup.id, second.backup.id]] * 2


def test_an_object_that_arrived_otherwise_is_sent_again(company: Company, traffic: Traffic) -> None:
    platform = company.platform(copies=TWO)
    traffic.down = lambda store, number: store == "offsite" and number >= 3
    first = back_up_database(platform, "shop").backup
    traffic.heal()
    bad = company.root / "offsite" / first.objects[1].key
    bad.write_bytes(bytes([bad.read_bytes()[0] ^ 1]) + bad.read_bytes()[1:])
    back_up_database(platform, "shop")
    assert traffic.sent["offsite"].count(first.objects[1].key) == 2
    assert len(whole(company, "offsite")[0]) == 2


def test_a_lost_object_is_put_back_from_another_store(company: Company) -> None:
    platform = company.platform(copies=TWO)
    first = back_up_database(platform, "shop").backup
    (company.root / "offsite" / first.objects[2].key).unlink()
    second = back_up_database(platform, "shop")
    assert second.backup.way == "incremental" and "offsite lacked" in second.remarks[0]
    assert whole(company, "offsite") == [[first.id, second.backup.id]]


def test_the_last_store_is_waited_for_and_the_server_is_read_once(company: Company, traffic: Traffic) -> None:
    failures = iter((True, True, False))
    traffic.down = lambda store, number: number == 4 and next(failures, False)
    report = back_up_database(company.platform(), "shop")
    assert report.stored == ("primary",) and traffic.read == 1
    assert next(failures, "used up") == "used up"
    assert whole(company, "backups") == [[report.backup.id]]


def test_a_store_that_never_answers_is_said(company: Company, traffic: Traffic) -> None:
    traffic.down = lambda store, number: True
    with pytest.raises(StoreUnreachable, match="does not answer"):
        back_up_database(company.platform(), "shop")
    assert repository(company).ids() == []


def test_a_backup_that_waits_in_the_spool_is_brought_without_reading_the_server(
    company: Company, traffic: Traffic
) -> None:
    platform = company.platform(SPOOLED, TWO)
    traffic.down = lambda store, number: store != "shop" and number >= 3
    for times in (1, 2):  # while it cannot be brought anywhere, no further one is made
        with pytest.raises(StoreUnreachable, match="does not answer"):
            back_up_database(platform, "shop")
        assert traffic.read == 1, times
    waiting = repository(company, "spool/shop").ids()
    assert len(waiting) == 1
    traffic.heal()
    report = back_up_database(platform, "shop")
    assert report.backup.way == "incremental" and traffic.read == 2
    assert any("had waited in the spool" in line for line in report.remarks)
    assert whole(company, "backups", "offsite") == [[*waiting, report.backup.id]] * 2
    for name in ("backups", "offsite"):
        assert len(traffic.sent[name]) == len(set(traffic.sent[name])), "nothing was sent twice"
    assert repository(company, "spool/shop").archive.reader.list("") == [], "the spool is empty"


def _killed(root: Path, environ: Mapping[str, str], number: int) -> None:
    stream.CHUNK_BYTES = SMALL
    with Calls(number, "killed").installed():
        back_up_database(open_platform(root, "local", environ), "shop")


def test_a_process_that_is_killed_on_the_way_to_the_store(company: Company, traffic: Traffic) -> None:
    """The machine's call of number 60 or so: the backup is in the spool, a part of it in the store."""
    platform = company.platform(SPOOLED)
    counted, probe = Calls(), company.root / "probe"
    with counted.installed():
        back_up_database(platform, "shop", full=True)
    puts = [
        n for n, call in enumerate(counted.seen) if call[0] == "put_file" and call[1].startswith("backups/")
    ]
    assert len(puts) > 6 and not probe.exists()
    (before,) = repository(company).ids()
    child = multiprocessing.get_context("spawn").Process(
        target=_killed_full, args=(company.root, dict(platform.environ), puts[4])
    )
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    (waiting,) = repository(company, "spool/shop").ids()
    arrived = repository(company).archive.reader.list(f"database/shop/objects/{waiting}")
    assert 3 <= len(arrived) <= 5 and repository(company).ids() == [before]
    traffic.sent.clear()
    traffic.read = 0
    report = back_up_database(platform, "shop")
    assert traffic.read == 1 and report.backup.way == "incremental" and report.backup.parent == waiting
    assert not set(arrived) & set(traffic.sent["backups"]), "what had arrived is not sent again"
    assert whole(company, "backups") == [[before, waiting, report.backup.id]]


def _killed_full(root: Path, environ: Mapping[str, str], number: int) -> None:
    stream.CHUNK_BYTES = SMALL
    with Calls(number, "killed").installed():
        back_up_database(open_platform(root, "local", environ), "shop", full=True)


def test_what_a_killed_process_left_in_the_spool_without_a_manifest_is_removed(company: Company) -> None:
    left = company.root / "spool/shop/database/shop/objects/20261130T120000.000000Z-00000000/base-00000.zst"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    back_up_database(company.platform(SPOOLED), "shop")
    assert not left.exists()


def test_a_damaged_backup_in_the_spool_blocks_nothing(company: Company, traffic: Traffic) -> None:
    platform = company.platform(SPOOLED)
    traffic.down = lambda store, number: store != "shop"
    with pytest.raises(StoreUnreachable):
        back_up_database(platform, "shop")
    traffic.heal()
    (path, *_) = sorted((company.root / "spool/shop/database/shop/objects").rglob("base-*"))
    path.write_bytes(path.read_bytes()[:-1])
    report = back_up_database(platform, "shop")
    assert any("was damaged and is removed" in line for line in report.remarks)
    assert whole(company, "backups") == [[report.backup.id]]


def test_a_second_backup_is_refused_while_the_spool_is_held(company: Company) -> None:
    platform = company.platform(SPOOLED)
    with spool(platform, "shop", Path("spool")), pytest.raises(BackupError, match="is under way"):
        back_up_database(platform, "shop")
    assert back_up_database(platform, "shop").stored == ("primary",)


def test_a_clock_that_was_set_back_is_said_and_keeps_the_order_of_backups(company: Company) -> None:
    platform = company.platform()
    first = back_up_database(platform, "shop").backup
    now = platform.clock
    object.__setattr__(platform, "clock", lambda: now() - timedelta(hours=2))
    second = back_up_database(platform, "shop")
    assert any("clock" in line and "is behind" in line for line in second.remarks)
    assert second.backup.way == "incremental" and second.backup.parent == first.id
    assert whole(company, "backups") == [[first.id, second.backup.id]]
    third = back_up_database(platform, "shop", full=True)
    assert whole(company, "backups")[0][-1] == third.backup.id


def test_after_lost_wal_the_next_backup_is_full_and_says_why(company: Company) -> None:
    platform = company.platform()
    first = back_up_database(platform, "shop").backup
    wal = WalArchive(archives(platform)[0], "shop", first.system)
    lost = Interruption(platform.clock(), 1, Lsn(5), "the slot was invalidated")
    adding.interrupt(wal, lost)
    second = back_up_database(platform, "shop").backup
    assert second.way == "full"
    assert "WAL was lost" in second.notes[0] and "the slot was invalidated" in second.notes[0]


def test_carrying_twice_sends_nothing_the_second_time(company: Company) -> None:
    back_up_database(company.platform(), "shop")
    from_, to = repository(company), repository(company, "third")
    backup = from_.backup(from_.ids()[0])
    assert carry(from_, backup, to) == backup.bytes
    assert carry(from_, backup, to) == 0
