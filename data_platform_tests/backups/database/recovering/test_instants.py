"""Any second comes back: from a chain of backups, across a failover, from a bucket alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from data_platform.backups.database import native
from data_platform.cli.app import run
from data_platform.errors import BackupError
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.recovery import paused_database, windows
from data_platform.sync.wal import receiver, states
from data_platform_tests.backups.database.conftest import Company
from data_platform_tests.backups.database.recovering.shop import (
    Shop,
)
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix

pytestmark = pytest.mark.slow


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
