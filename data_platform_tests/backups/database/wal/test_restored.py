"""A base backup and the stored WAL, restored by PostgreSQL itself: to a heartbeat, to the end, and not past a gap."""

from __future__ import annotations

import os
import shutil
import time
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.errors import SandboxError
from data_platform.local_postgres import HOST, SUPERUSER, unprivileged_user
from data_platform.sandbox.server import PostgresServer
from data_platform_tests.backups.database.wal.live import SEGMENT, Box, server

pytestmark = pytest.mark.slow


def restored(box: Box, base: Path, home: Path, target: datetime) -> PostgresServer:
    """``base``, a copy of the data folder, with the stored WAL and the target ``target``; started, if it can be."""
    home.mkdir(mode=0o711)
    data = home / "data"
    shutil.copytree(base, data)
    label = (data / "backup_label").read_text()
    start = Lsn.parse(label.split("START WAL LOCATION: ")[1].split()[0])
    wal = home / "wal"
    covered = box.wal().fetch(1, start, wal, until=target)
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            f"restore_command = 'cp {wal}/%f %p'\nrecovery_target_time = '{target.isoformat()}'\n"
            f"recovery_target_timeline = '{covered.timeline}'\nrecovery_target_action = 'promote'\n"
        )
    (data / "recovery.signal").touch()
    (home / "password").write_text(box.running.password + "\n")
    user = unprivileged_user()
    if user is not None:
        for path in [home, *home.rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid)
    wal.chmod(0o755)
    return server(home)


def promoted(back: PostgresServer) -> PostgresServer:
    """Started, and at its target: before that it answers as a standby. AssertionError with its log if it ended instead."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            back.start()
            with back.connect() as connection:
                if connection.execute("select pg_is_in_recovery()").fetchone() == (False,):
                    return back
        except (SandboxError, psycopg.Error):
            if back.pid() is None:
                raise AssertionError(back.log_path.read_text()) from None
        time.sleep(0.1)
    raise AssertionError(back.log_path.read_text())


def test_a_restore_to_a_heartbeat_holds_what_was_committed_until_then(
    server_folder: Path, tmp_path: Path
) -> None:
    with server(server_folder / "wal-restored-from") as running:
        box = Box(tmp_path, running)
        with running.connect() as connection:
            connection.execute(
                "create table kept (n int primary key, at timestamptz default clock_timestamp())"
            )
        with box.receiving():
            box.until(lambda: box.slot() is not None)
            base = server_folder / "wal-base" / "data"
            base.parent.mkdir(mode=0o711)
            base.mkdir(mode=0o700)
            if user := unprivileged_user():
                os.chown(base, user.pw_uid, user.pw_gid)
            running.run(
                "pg_basebackup", "-h", HOST, "-p", str(running.port), "-U", SUPERUSER, "-D", str(base),
                "--wal-method=none", "--checkpoint=fast", "--no-sync",
            )  # fmt: skip
            beats: list[datetime] = []
            with running.connect() as connection:
                for number in range(60):
                    connection.execute("insert into kept values (%s)", (number,))
                    if number % 20 == 10:
                        box.write(2)
                        last = beats[-1] if beats else None
                        box.until(lambda last=last: box.heartbeat_row() != last)  # type: ignore[misc]
                        beats.append(box.heartbeat_row())
                rows = connection.execute("select n, at from kept").fetchall()
            box.until(box.shipped(box.write(1)))
        target = beats[1]
        with (
            promoted(restored(box, base, server_folder / "wal-restored", target)) as back,
            psycopg.connect(back.url()) as connection,
        ):
            found = connection.execute("select n, at from kept order by n").fetchall()
            row = connection.execute("select at from _data_platform.heartbeat").fetchone()
        assert found == [(number, at) for number, at in rows if at < target]
        assert 0 < len(found) < len(rows)
        assert row is not None and row[0] <= target

        wal = box.wal()
        beat = wal.heartbeats()
        assert beat is not None
        missing = Segment(1, max(wal.stored(1).whole), SEGMENT)
        (box.root / "primary" / wal.record(missing).object.key).unlink()
        assert box.wal().coverage(1, box.first()).gap == missing.name
        with pytest.raises(
            AssertionError, match="recovery ended before configured recovery target was reached"
        ):
            promoted(restored(box, base, server_folder / "wal-gap", beat.at))
