"""Any second comes back, and nothing else does: refused where it cannot be had, red where a byte is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from data_platform.backups.database import native
from data_platform.backups.database.recover import RESTORE, RecoveryReport
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.tools import Programs
from data_platform.cli.app import run
from data_platform.errors import BackupDamaged, BackupError, LandingError
from data_platform.sync import Platform
from data_platform.sync.backup import archives
from data_platform.sync.database_backup import back_up_database, prune_database
from data_platform.sync.recovery import drill_database, paused_database, recover_database, windows
from data_platform.sync.wal import receiver, states
from data_platform_tests.backups.database.conftest import Company
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix

pytestmark = pytest.mark.slow
BLOCK = "{engine: native}"


class Shop:
    """A company with a backup whose WAL is shipped; ``folder`` is one that the server's account can reach."""

    def __init__(self, company: Company, folder: Path, copies: str = "{}") -> None:
        self.company, self.folder = company, folder
        self.platform = company.platform(BLOCK, copies)
        self.orders = f"{company.database}.public.orders"

    def now(self) -> datetime:
        at: datetime = self.company.row("select clock_timestamp()")[0]
        time.sleep(0.002)
        return at

    def ship(self) -> None:
        receiver(self.platform, "shop", lambda _: None).once()

    def recover(self, at: datetime, name: str = "recovered", **how: object) -> RecoveryReport:
        return recover_database(self.platform, "shop", at, self.folder / name, **how)  # type: ignore[arg-type]

    def objects(self, what: str) -> list[Path]:
        return sorted(
            path
            for path in (self.company.root / "backups/database/shop").rglob("*")
            if what in path.as_posix() and path.is_file()
        )


@pytest.fixture
def shop(company: Company, server_folder: Path) -> Shop:
    folder = server_folder / f"recovered-{company.database}"
    folder.mkdir(mode=0o711)
    return Shop(company, folder)


def test_a_second_between_two_changes(shop: Shop) -> None:
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.company.execute("delete from orders where id > 15000")
    shop.ship()
    before = shop.now()
    shop.company.execute("truncate orders")
    after = shop.now()
    shop.ship()
    found = shop.recover(before)
    assert found.rows[shop.orders] == 15_000 and found.checksums and found.chain == 1
    assert found.target.startswith("recovery_target_time = ")
    assert found.beat is not None and found.beat <= before
    assert shop.recover(after, "second").rows[shop.orders] == 0


def test_an_incremental_chain_comes_back_and_runs(shop: Shop) -> None:
    shop.ship()
    for n in range(3):
        shop.company.execute(f"insert into orders values ({50_000 + n}, 'later')")
        back_up_database(shop.platform, "shop")
    shop.company.execute("insert into orders values (60000, 'last')")
    shop.ship()
    at = windows(shop.platform, "shop")[-1].last
    found = shop.recover(at, serve=True)
    assert found.chain == 3 and found.rows[shop.orders] == 20_004
    assert found.url.startswith("postgresql://postgres@127.0.0.1:")
    pid = int((found.folder / "data/postmaster.pid").read_text().splitlines()[0])
    try:
        with_password = shop.company.server.url(shop.company.database)
        url = re.sub(r"@[^/]*", "@" + found.url.split("@")[1].split("/")[0], with_password)
        with psycopg.connect(url) as connection:
            assert connection.execute("select count(*) from orders").fetchone() == (20_004,)
            assert connection.execute("show archive_mode").fetchone() == ("off",)
            assert connection.execute("show fsync").fetchone() == ("on",)
    finally:
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 30
        while (found.folder / "data/postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.05)


def test_a_chain_is_bounded_and_its_second_branch_comes_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "CHAIN_MAX", 3)
    made = []
    for n in range(5):
        shop.company.execute(f"insert into orders values ({50_000 + n}, 'later')")
        made.append(back_up_database(shop.platform, "shop"))
    shop.ship()
    assert [one.chain for one in made] == [1, 2, 3, 2, 3]
    assert [one.backup.parent for one in made[1:]] == [made[n].backup.id for n in (0, 1, 0, 3)]
    found = shop.recover(windows(shop.platform, "shop")[-1].last, "both")
    assert found.chain == 3 and found.rows[shop.orders] == 20_005


def test_a_server_that_is_paused_at_the_instant_is_read_only_and_on_its_timeline(shop: Shop) -> None:
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.company.execute("delete from orders where id > 7")
    shop.ship()
    at = shop.now()
    shop.company.execute("delete from orders")
    shop.ship()
    with paused_database(shop.platform, "shop", at, shop.folder / "paused") as server:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("select count(*) from orders").fetchone() == (7,)
            assert connection.execute("select pg_is_in_recovery()").fetchone() == (True,)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute("delete from orders")
        assert server.report.rows[shop.orders] == 7
    assert list((shop.folder / "paused").iterdir()) == []
    kept = shop.folder / "kept"
    with paused_database(shop.platform, "shop", at, kept, keep=True):
        assert "fsync = 'off'" in (kept / "server/postgresql.conf").read_text()
    assert "fsync" not in (kept / "server/postgresql.conf").read_text()


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (lambda first, last: first - timedelta(seconds=1), "before the end of the first backup"),
        (lambda first, last: last + timedelta(milliseconds=1), "after the newest WAL"),
        (lambda first, last: last + timedelta(days=1), "is in the future"),
        (lambda first, last: last.replace(tzinfo=None), "has no time zone"),
    ],
)
def test_an_instant_outside_of_the_window_is_refused_with_the_window(
    shop: Shop, shift: Callable[[datetime, datetime], datetime], words: str
) -> None:
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.ship()
    (window,) = windows(shop.platform, "shop")
    with pytest.raises(BackupError, match=words) as raised:
        shop.recover(shift(window.first, window.last))
    assert words == "has no time zone" or window.text in str(raised.value)
    assert not (shop.folder / "recovered").exists()


@pytest.mark.parametrize("where", ["s3_server", "gcs_server"])
def test_a_copy_in_a_bucket_brings_it_back_alone(
    company: Company,
    server_folder: Path,
    where: str,
    request: pytest.FixtureRequest,
) -> None:
    """The primary store is lost whole: SeaweedFS, and an emulator of Google's."""
    bucket: ObjectServer = request.getfixturevalue(where)
    folder = server_folder / f"recovered-{company.database}"
    folder.mkdir(mode=0o711)
    shop = Shop(
        company,
        folder,
        f"{{offsite: {json.dumps(bucket.config(new_prefix(), cache=str(company.root / 'cache')))}}}",
    )
    shop.platform.environ.update(ENVIRON)  # type: ignore[attr-defined]
    shop.ship()
    for n in range(2):
        back_up_database(shop.platform, "shop")
        company.execute(f"delete from orders where id <= {(n + 1) * 1000}")
    shop.ship()
    at = shop.now()
    company.execute("truncate orders")
    shop.ship()
    shutil.rmtree(company.root / "backups")
    found = shop.recover(at, copy="offsite")
    assert found.rows[shop.orders] == 18_000 and found.chain == 2 and found.archive == "offsite"


def test_a_failover_is_crossed_and_the_next_backup_is_a_full_one(shop: Shop, server_folder: Path) -> None:
    """The standby that was promoted goes on with another timeline; what the old one wrote after that does not count."""
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.company.execute("delete from orders where id > 500")
    shop.ship()
    standby = shop.company.server.standby(server_folder / f"standby-{shop.company.database}")
    try:
        promoted = Company(shop.company.root, standby, shop.company.database)
        shop.ship()
        shipped = shop.company.row("select pg_current_wal_lsn()")[0]
        with standby.connect() as connection:
            while connection.execute("select pg_last_wal_replay_lsn() < %s", [shipped]).fetchone() == (True,):
                time.sleep(0.05)
            assert connection.execute("select pg_promote()").fetchone() == (True,)
        shop.company.execute("delete from orders")  # on the old one, after the failover
        shop = Shop(promoted, shop.folder)
        promoted.execute("delete from orders where id > 300")
        shop.ship()
        at = shop.now()
        promoted.execute("truncate orders")
        shop.ship()
        found = shop.recover(at)
        assert found.rows[shop.orders] == 300
        again = back_up_database(shop.platform, "shop").backup
        assert again.way == "full" and again.timeline == 2 and "timeline is another one" in again.notes[0]
    finally:
        standby.stop(immediate=True)


def test_two_backups_at_once_are_two_good_ones(shop: Shop) -> None:
    shop.ship()
    back_up_database(shop.platform, "shop")
    with ThreadPoolExecutor(2) as pool:
        made = [
            one.result().backup
            for one in [pool.submit(back_up_database, shop.platform, "shop") for _ in range(2)]
        ]
    there = primary(shop.platform)
    assert len(there.ids()) == 3 and all(there.is_good(one.id) for one in made)
    shop.company.execute("delete from orders where id > 50")
    shop.ship()
    assert shop.recover(windows(shop.platform, "shop")[-1].last).rows[shop.orders] == 50


def test_what_is_removed_while_it_is_recovered_is_not_what_is_needed(shop: Shop) -> None:
    """Retention runs between the choice of a backup and its end: all that a kept second needs stays."""
    shop.platform = shop.company.platform("{engine: native, keep_days: 0.00001}")
    shop.ship()
    for _ in range(2):
        back_up_database(shop.platform, "shop", full=True)
    shop.company.execute("delete from orders where id > 70")
    shop.ship()
    time.sleep(1)  # both backups are older than what is kept
    at = windows(shop.platform, "shop")[-1].last
    removed: list[dict[str, list[str]]] = []
    found = shop.recover(at, progress=lambda _: removed.append(prune_database(shop.platform, "shop").gone))
    assert found.rows[shop.orders] == 70
    assert len(removed[0]["primary"]) >= 1 and not any(removed[1:])


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own, which only root may mount."""
    folder.mkdir(mode=0o711)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_and_leaves_nothing(shop: Shop) -> None:
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.ship()
    at = windows(shop.platform, "shop")[-1].last
    with small_disk(shop.folder / "small", 12) as disk:
        with pytest.raises(BackupError, match=r"could not be recovered into .*no space is left"):
            recover_database(shop.platform, "shop", at, disk / "recovered")
        assert list((disk / "recovered").iterdir()) == []
    assert shop.recover(at).rows[shop.orders] == 20_000


def test_a_disk_that_is_full_at_any_step_is_said_as_one(
    shop: Shop, seeds: Callable[[int], Sequence[int]]
) -> None:
    """While WAL is copied to the server, too: that must not be taken for the end of all WAL. All sizes with `--seeds N`."""
    shop.ship()
    for _ in range(2):
        back_up_database(shop.platform, "shop")
        shop.company.execute(
            "insert into orders select n, repeat(md5(n::text), 20) from generate_series"
            "((select max(id) + 1 from orders), (select max(id) + 8000 from orders)) n",
            "select pg_switch_wal()",
        )
    shop.company.execute("insert into orders values (1000000, 'the last')")
    shop.ship()
    at, steps = windows(shop.platform, "shop")[-1].last, set[str]()
    for megabytes in range(50, 400, 5 if len(seeds(1)) > 1 else 14):
        begun: list[str] = []
        with small_disk(shop.folder / f"of-{megabytes}", megabytes) as disk:
            try:
                found = recover_database(shop.platform, "shop", at, disk / "into", progress=begun.append)
                break
            except BackupError as error:
                assert re.search("no space is left", str(error), re.IGNORECASE), (begun, error)
            assert list((disk / "into").iterdir()) == []
            steps.add(begun[-1])
    assert {"fetch", "recover"} <= steps
    assert found.rows[shop.orders] == 36_001


def test_wal_that_is_there_and_cannot_be_copied_is_not_the_end_of_wal(tmp_path: Path) -> None:
    """PostgreSQL ends with the recovery at any code above 125, and goes on without the segment at another one."""
    for folder in ("wal", "data/pg_wal"):
        (tmp_path / folder).mkdir(parents=True)

    def code(segment: str, to: str) -> int:
        command = RESTORE.replace("%f", segment).replace("%p", to)
        return subprocess.run(command, shell=True, cwd=tmp_path / "data", check=False).returncode

    assert code("A", "pg_wal/copied") == 1
    (tmp_path / "wal/A").write_bytes(b"wal")
    assert code("A", "no such folder/copied") > 125
    assert code("A", "pg_wal/copied") == 0
    assert (tmp_path / "data/pg_wal/copied").read_bytes() == b"wal"


def test_what_is_removed_under_a_recovery_ends_it_by_name_and_leaves_nothing(shop: Shop) -> None:
    """Retention reached the oldest second while it was recovered."""
    shop.ship()
    first = back_up_database(shop.platform, "shop", full=True).backup
    shop.ship()
    second = back_up_database(shop.platform, "shop", full=True).backup
    shop.ship()
    there = primary(shop.platform)
    removed = iter([first.id])
    with pytest.raises(BackupDamaged, match=f"{first.id}.*is missing"):
        shop.recover(first.ended_at, progress=lambda _: [there.remove(id_) for id_ in removed])
    assert list((shop.folder / "recovered").iterdir()) == [] and there.ids() == [second.id]
    assert shop.recover(second.ended_at).rows[shop.orders] == 20_000


def test_a_backup_that_fills_its_disk_is_said_and_is_no_backup(company: Company) -> None:
    with small_disk(company.root / "backups", 2):
        platform = company.platform(BLOCK)
        with pytest.raises((BackupError, LandingError), match="no space is left"):
            back_up_database(platform, "shop")
        assert primary(platform).ids() == []


def test_a_folder_that_is_not_empty_is_refused(shop: Shop) -> None:
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.ship()
    (shop.folder / "recovered").mkdir()
    (shop.folder / "recovered/mine").write_text("keep")
    with pytest.raises(BackupError, match="is not an empty folder"):
        shop.recover(windows(shop.platform, "shop")[0].last)
    assert [path.name for path in (shop.folder / "recovered").iterdir()] == ["mine"]


def test_without_commits_since_the_backup_the_backup_itself_comes_back(shop: Shop) -> None:
    shop.ship()
    made = back_up_database(shop.platform, "shop").backup
    found = shop.recover(made.ended_at)
    assert found.rows[shop.orders] == 20_000 and found.target == "recovery_target = immediate"


def test_a_commit_between_two_heartbeats_can_be_asked_for(shop: Shop) -> None:
    shop.ship()
    back_up_database(shop.platform, "shop")
    seldom = shop.company.platform("{engine: native, heartbeat_seconds: 3600, ship_seconds: 0.3}")
    stop = threading.Event()
    worker = threading.Thread(target=receiver(seldom, "shop", lambda _: None).run, args=(stop,))
    worker.start()
    try:
        deadline = time.monotonic() + 60
        (state,) = states(seldom, "shop")
        first = state.heartbeat
        while state.heartbeat == first:  # until the one heartbeat there is has come
            (state,) = states(seldom, "shop")
            assert time.monotonic() < deadline
        shop.company.execute("delete from orders where id > 9")
        at = shop.now()
        while state.recoverable_until is None or state.recoverable_until < at:
            shop.company.execute(
                "insert into orders values (90000, 'later')", "delete from orders where id = 90000"
            )
            (state,) = states(seldom, "shop")
            assert time.monotonic() < deadline
    finally:
        stop.set()
        worker.join()
    assert state.heartbeat is not None and state.heartbeat.at < at
    assert shop.recover(at).rows[shop.orders] == 9


def test_a_role_that_writes_no_heartbeat_still_reaches_its_last_commit(shop: Shop) -> None:
    shop.platform = shop.company.platform("{engine: native, url_env: KEEPER_URL}")
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.company.execute("delete from orders where id > 100")
    shop.ship()
    found = shop.recover(windows(shop.platform, "shop")[0].last)
    assert found.rows[shop.orders] == 100 and found.beat is None
    assert found.target.startswith("recovery_target_xid = ")


def lost_wal(shop: Shop, which: int) -> Path:
    gone = shop.objects("/segments/")[which]
    gone.unlink()
    return gone


def several_segments(shop: Shop) -> datetime:
    """A backup, then changes over four segments of WAL, all shipped. Returns an instant after them."""
    shop.ship()
    back_up_database(shop.platform, "shop")
    for n in range(4):
        shop.company.execute(f"insert into orders values ({30_000 + n}, 'x')", "select pg_switch_wal()")
        shop.ship()
    at = shop.now()
    shop.company.execute("insert into orders values (40000, 'after')")
    shop.ship()
    return at


def test_a_gap_in_the_wal_is_refused_with_the_missing_segment(shop: Shop) -> None:
    """Without a recovery target PostgreSQL would promote here, with rows missing, and say nothing."""
    at = several_segments(shop)
    assert shop.recover(at).rows[shop.orders] == 20_004
    gone = lost_wal(shop, -2)
    segment = re.search(r"[0-9A-F]{24}", gone.name)
    assert segment is not None
    with pytest.raises(BackupError, match=f"{segment[0]} is missing"):
        shop.recover(at, "second")
    assert not (shop.folder / "second").exists()


def test_wal_that_ends_before_the_instant_is_never_promoted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the gap is only seen by PostgreSQL: recovery has a target, so that it is fatal."""
    at = several_segments(shop)
    from data_platform.backups.database.wal.archive import WalArchive

    fetch = WalArchive.fetch

    def torn(
        self: WalArchive, timeline: int, start: object, folder: Path, until: datetime | None = None
    ) -> object:
        coverage = fetch(self, timeline, start, folder, until)  # type: ignore[arg-type]
        path = sorted(folder.iterdir())[-2]
        path.write_bytes(bytes(path.stat().st_size))
        return coverage

    monkeypatch.setattr(WalArchive, "fetch", torn)
    with pytest.raises(BackupDamaged, match="cannot be read behind"):
        shop.recover(at)
    monkeypatch.setattr("data_platform.backups.database.recover.commits", lambda *_: [_Later(at)])
    with pytest.raises(BackupError, match="recovery ended before configured recovery target was reached"):
        shop.recover(at)
    assert list((shop.folder / "recovered").iterdir()) == []


class _Later:
    def __init__(self, at: datetime) -> None:
        self.at, self.transaction = at + timedelta(seconds=1), "1"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("what", ["/base-", "/segments/", "manifests/", "/records/"])
@pytest.mark.parametrize("harm", [flip, Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-3])])
def test_damage_is_named(shop: Shop, what: str, harm: Callable[[Path], object]) -> None:
    at = several_segments(shop)
    victim = shop.objects(what)[0 if what in ("/base-", "manifests/") else 1]
    harm(victim)
    with pytest.raises(BackupError) as raised:
        shop.recover(at)
    name = re.search(r"[0-9A-F]{24}|base-00000|[0-9T.]+Z-[0-9a-f]{8}", victim.name)
    assert name is not None
    assert name[0] in str(raised.value) or "There is no backup" in str(raised.value), str(raised.value)


def test_pages_that_came_back_wrong_are_found(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last proof: what no hash of ours sees, PostgreSQL's page checksums do."""
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.ship()
    relation = shop.company.row("select pg_relation_filepath('orders')")[0]
    run_ = Programs.run

    def harmed(self: Programs, program: str, *arguments: str, **how: object) -> str:
        if program == "pg_checksums":
            flip(Path(arguments[-1]) / relation)
        return run_(self, program, *arguments, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Programs, "run", harmed)
    with pytest.raises(BackupError, match=r"checksum"):
        shop.recover(windows(shop.platform, "shop")[0].last)


def test_a_drill_of_every_archive(shop: Shop) -> None:
    shop.platform = shop.company.platform(BLOCK, "{offsite: {kind: local, path: offsite}}")
    several_segments(shop)
    good = drill_database(shop.platform, "shop", seed=3)
    assert [one.problem for one in good] == ["", ""]
    assert all(one.report and one.report.rows and one.at for one in good)
    assert not any(one.report and "sync" in one.report.seconds for one in good)
    flip(next((shop.company.root / "offsite/database/shop/objects").rglob("base-00000.zst")))
    bad = drill_database(shop.platform, "shop", seed=3)
    assert [bool(one.problem) for one in bad] == [False, True]
    assert "base-00000.zst" in bad[1].problem
    assert not list(Path(tempfile.gettempdir()).glob("drill-*"))


def test_the_command(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in shop.platform.environ.items():
        monkeypatch.setenv(name, value)
    shop.ship()
    back_up_database(shop.platform, "shop")
    shop.ship()
    at = windows(shop.platform, "shop")[0].last.isoformat()
    root = str(shop.company.root)
    command = ["recover", "database", "shop", "--root", root, "--at"]
    assert run([*command, at, "--into", str(shop.folder / "a"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] and found["rows"][shop.orders] == 20_000 and found["page_checksums"]
    assert "sync" in found["seconds"]
    assert run([*command, at, "--into", str(shop.folder / "b")]) == 0
    assert "Start it with: " in capsys.readouterr().out
    assert run([*command, "yesterday", "--into", str(shop.folder / "c")]) == 2
    assert run([*command, at, "--into", str(shop.folder / "b")]) == 8


def primary(platform: Platform) -> Repository:
    return Repository(archives(platform)[0], "shop")
