"""WAL of a real server, received and shipped: byte for byte, past kills, lost slots and a change of timeline."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.wal.records import WalRecord
from data_platform.errors import BackupError, StoreUnreachable
from data_platform.sandbox.server import PostgresServer
from data_platform.stores.local import LocalStore
from data_platform_tests.backups.database.wal.live import Box, server
from data_platform_tests.servers.objects import ObjectServer, new_prefix

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(server_folder: Path) -> Iterator[PostgresServer]:
    with server(server_folder / "wal-source") as started:
        yield started


@pytest.fixture
def box(running: PostgresServer, tmp_path: Path) -> Iterator[Box]:
    yield Box(tmp_path, running)
    with running.connect() as connection:
        connection.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")


def test_one_pass_ships_up_to_where_the_server_is(box: Box) -> None:
    box.once()
    end = box.write()
    (sent,) = box.once()
    assert sent.end is not None and sent.end[1] >= end and not sent.problem
    assert sent.heartbeat is not None and sent.heartbeat.row and sent.heartbeat.at == box.heartbeat_row()
    box.assert_same_as_the_server()


def test_what_is_written_is_shipped_while_it_runs(box: Box) -> None:
    with box.receiving():
        for _ in range(3):
            end = box.write(2)
            box.until(box.shipped(end))
        box.until(lambda: Lsn.parse((box.slot() or ("0/0",))[0] or "0/0") >= end)
    box.assert_same_as_the_server()
    assert not box.said


def test_what_can_be_recovered_is_known_between_two_heartbeats(box: Box) -> None:
    def newest() -> WalRecord:
        found = box.wal().newest()
        assert found is not None
        return found

    with box.receiving(heartbeat_seconds=3600):
        box.until(box.shipped(box.write(1)))
        with box.running.connect() as connection:
            (written,) = connection.execute("select clock_timestamp()").fetchone() or ()
        end = box.write(1)
        box.until(box.shipped(end))
        box.until(lambda: (mark := newest().mark) is not None and mark.at > written)
    found = newest()
    assert found.heartbeat is not None and found.heartbeat.row and found.heartbeat.at < written
    assert found.mark is not None and not found.mark.row and found.mark.lsn <= found.end
    covered = box.wal().coverage(1, box.first())
    assert covered.newest == found.mark and covered.heartbeat == found.heartbeat


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_buckets_give_back_the_same_bytes(box: Box, kind: str, request: pytest.FixtureRequest) -> None:
    served: ObjectServer = request.getfixturevalue(f"{kind}_server")
    box.openers["primary"] = served.opener(box.root / "scratch", new_prefix())
    box.once()
    end = box.write(2)
    box.once()
    assert box.shipped(end)()
    box.assert_same_as_the_server()


def test_a_second_receiver_is_refused(box: Box) -> None:
    with box.receiving():
        box.until(lambda: box.slot() is not None)
        assert box.receiver().once() is None


def test_a_receiver_whose_machine_is_lost_loses_nothing(box: Box) -> None:
    """Its folder is new each time: the server keeps what no store has."""
    away = threading.Event()
    box.openers["primary"] = lambda: Away(box.root / "primary", away)
    with box.receiving():
        box.until(box.shipped(box.write(1)))
        away.set()
        shipped = box.wal().newest()
        end = box.write(4)
        box.until(lambda: len(list((box.root / "spool").rglob("0*"))) > 3)
        box.until(lambda: any("not shipped to primary" in line for line in box.said))
    slot = box.slot()
    assert shipped is not None and slot is not None and slot[0] is not None
    assert Lsn.parse(slot[0]) <= shipped.end < end
    shutil.rmtree(box.root / "spool")
    box.openers.clear()
    (sent,) = box.once()
    assert sent.end is not None and sent.end[1] >= end
    box.assert_same_as_the_server()
    assert not box.wal().interruptions()


def test_a_heartbeat_that_somebody_locks_does_not_hold_up_the_wal(box: Box) -> None:
    box.once()
    with box.running.connect(autocommit=False) as holder:
        holder.execute("lock table _data_platform.heartbeat in access exclusive mode")
        end = box.write(1)
        (sent,) = box.once()
        assert sent.end is not None and sent.end[1] >= end
        assert sent.heartbeat is not None and not sent.heartbeat.row
    (sent,) = box.once()
    assert sent.heartbeat is not None and sent.heartbeat.row and not box.said


def test_a_store_that_is_dead_starves_no_other_and_gets_all_of_it_later(box: Box) -> None:
    box.names = ("primary", "offsite")
    box.once()
    box.openers["primary"] = lambda: Dead(box.root / "primary")
    with box.receiving():
        end = box.write(4)
        box.until(box.shipped(end, "offsite"))
    assert any("WAL is not shipped to primary" in line for line in box.said)
    assert not box.shipped(end)()
    box.openers.clear()
    with box.receiving():
        end = box.write(1)
        box.until(lambda: box.shipped(end)() and box.shipped(end, "offsite")())
        box.until(lambda: not box.wal().coverage(1, box.first()).gap)
    for name in box.names:
        box.assert_same_as_the_server(name)


def test_a_store_that_goes_away_and_comes_back_gets_all_of_it(box: Box) -> None:
    box.names = ("primary", "offsite")
    away = threading.Event()
    box.openers["offsite"] = lambda: Away(box.root / "offsite", away)
    with box.receiving():
        box.until(box.shipped(box.write(1), "offsite"))
        away.set()
        end = box.write(3)
        box.until(box.shipped(end))
        box.until(lambda: any("not shipped to offsite" in line for line in box.said))
        away.clear()
        box.until(lambda: any("shipped to offsite again" in line for line in box.said))
        box.until(box.shipped(end, "offsite"))
    for name in box.names:
        box.assert_same_as_the_server(name)


def test_a_slot_that_somebody_dropped_is_said_and_made_again_without_a_gap(box: Box) -> None:
    with box.receiving():
        box.until(box.shipped(box.write(1)))
        with box.running.connect() as connection:
            connection.execute("select pg_drop_replication_slot('data_platform_wal_shop')")
        box.until(lambda: any("somebody dropped it" in line for line in box.said))
        box.until(box.shipped(box.write(1)))
        assert box.slot() is not None
    box.assert_same_as_the_server()
    assert not box.wal().interruptions()


def test_a_slot_over_its_cap_is_dropped_so_that_the_servers_disk_does_not_fill(box: Box) -> None:
    box.once()
    away = threading.Event()
    box.openers["primary"] = lambda: Away(box.root / "primary", away)
    with box.receiving(slot_max_mb=64):
        box.until(box.shipped(box.write(1)))
        away.set()
        box.write(100)
        box.until(lambda: any("more than the 64 MB" in line for line in box.said))
        box.until(lambda: box.slot() is None)
    assert box.slot() is None


def test_wal_that_the_server_removed_is_said_and_the_next_backup_must_be_a_full_one(
    server_folder: Path, tmp_path: Path
) -> None:
    with server(
        server_folder / "wal-invalidated",
        wal_keep_size="0",
        max_slot_wal_keep_size="4MB",
        min_wal_size="2MB",
        max_wal_size="4MB",
    ) as running:
        box = Box(tmp_path, running)
        box.once()
        before = box.wal().newest()
        assert before is not None
        for _ in range(6):
            box.write(4)
            with running.connect() as connection:
                connection.execute("checkpoint")
        slot = box.slot()
        assert slot is not None and slot[1] == "lost"
        (sent,) = box.once()
        assert not sent.problem
        (interruption,) = box.wal().interruptions()
        assert interruption.lsn == before.end
        assert "has removed WAL" in interruption.why
        assert any("the next backup is a full one" in line for line in box.said)
        assert box.slot() is not None and box.slot()[1] != "lost"
        found = box.wal().coverage(1, box.first())
        assert found.gap and found.end == before.end
        end = box.write(1)
        box.once()
        assert box.shipped(end)()


def test_a_promoted_standby_is_followed(server_folder: Path, tmp_path: Path) -> None:
    with server(server_folder / "wal-primary") as primary:
        box = Box(tmp_path, primary)
        box.once()
        with primary.standby(server_folder / "wal-standby") as standby:
            box.once()
            primary_end = box.write(2)
            box.once()
            with standby.connect() as connection:
                box.until(
                    lambda: (
                        connection.execute(
                            "select pg_last_wal_replay_lsn() >= %s", (str(primary_end),)
                        ).fetchone()
                        == (True,)
                    )
                )
                primary.stop(immediate=True)
                connection.execute("select pg_promote()")
            box.running = standby
            end = box.write(2)
            box.once()
            assert box.shipped(end, timeline=2)()
            found = box.wal().coverage(1, box.first())
            assert (found.timeline, found.history, found.gap) == (2, (1, 2), "")
            assert found.end >= end
            folder = tmp_path / "both"
            box.wal().fetch(1, box.first(), folder)
            history = (folder / "00000002.history").read_bytes()
            assert history == (standby.data_dir / "pg_wal" / "00000002.history").read_bytes()
            box.assert_same_as_the_server(timeline=2)


def test_a_standby_that_lagged_is_followed_from_where_it_was_promoted(
    server_folder: Path, tmp_path: Path
) -> None:
    """WAL that only the old primary wrote is in the stores, and belongs to no future."""
    with server(server_folder / "wal-ahead") as primary:
        box = Box(tmp_path, primary)
        box.once()
        with primary.standby(server_folder / "wal-lagging") as standby:
            with standby.connect() as connection:
                connection.execute("alter system set primary_conninfo = ''")
                connection.execute("select pg_reload_conf()")
                box.until(
                    lambda: connection.execute("select count(*) from pg_stat_wal_receiver").fetchone() == (0,)
                )
                box.write(3)
                box.once()
                primary.stop(immediate=True)
                connection.execute("select pg_promote()")
            box.running = standby
            end = box.write(2)
            box.once()
            assert box.shipped(end, timeline=2)()
            found = box.wal().coverage(1, box.first())
            assert (found.timeline, found.history, found.gap) == (2, (1, 2), "")
            assert not box.wal().interruptions()
            box.assert_same_as_the_server(timeline=2)


def test_a_child_that_is_killed_and_a_server_that_restarts_are_no_gap(
    server_folder: Path, tmp_path: Path
) -> None:
    with server(server_folder / "wal-restarted") as running:
        box = Box(tmp_path, running)
        with box.receiving():
            box.until(box.shipped(box.write(1)))
            (child,) = [
                one for one in psutil.Process().children(recursive=True) if one.name() == "pg_receivewal"
            ]
            child.kill()
            box.until(lambda: any("pg_receivewal ended with -9" in line for line in box.said))
            box.until(box.shipped(box.write(2)))
            running.stop()
            running.start()
            box.until(box.shipped(box.write(2)))
        assert any("the next attempt is in" in line for line in box.said)
        assert not box.wal().interruptions()
        box.assert_same_as_the_server()


def test_a_role_that_may_not_write_gets_the_clock_and_the_position(box: Box) -> None:
    with box.running.connect() as connection:
        connection.execute("drop schema if exists _data_platform cascade")
        connection.execute("create role keeper login replication password 'of-the-keeper'")
    try:
        box.url = re.sub("//.*@", "//keeper:of-the-keeper@", box.running.url("postgres"))
        (sent,) = box.once()
        assert sent.heartbeat is not None and not sent.heartbeat.row
        assert any("The role keeper may not write _data_platform.heartbeat" in line for line in box.said)
        assert not any("of-the-keeper" in line for line in box.said)
    finally:
        box.url = None
        with box.running.connect() as connection:
            connection.execute("drop role keeper")


def test_a_role_without_replication_is_refused_with_what_to_do(box: Box) -> None:
    with box.running.connect() as connection:
        connection.execute("create role nobody_much login password 'of-nobody'")
    try:
        box.url = re.sub("//.*@", "//nobody_much:of-nobody@", box.running.url("postgres"))
        with pytest.raises(BackupError, match=r"has REPLICATION.*engine: logical"):
            box.once()
    finally:
        box.url = None
        with box.running.connect() as connection:
            connection.execute("drop role nobody_much")


class Dead(LocalStore):
    """A store that answers nothing."""

    def __getattribute__(self, name: str) -> object:
        if name in ("read", "read_range", "put_new", "put_file", "list", "size", "local", "delete"):
            raise StoreUnreachable("The store does not answer.")
        return super().__getattribute__(name)


class Away(LocalStore):
    """A store that answers nothing while ``away`` is set."""

    def __init__(self, path: Path, away: threading.Event) -> None:
        super().__init__(path)
        self.away = away

    def __getattribute__(self, name: str) -> object:
        if (
            name in ("read", "read_range", "put_new", "put_file", "list", "size", "local", "delete")
            and self.away.is_set()
        ):
            raise StoreUnreachable("The store does not answer.")
        return super().__getattribute__(name)
