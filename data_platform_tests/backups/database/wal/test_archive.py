"""A source's WAL in a local store: kept, given back byte by byte, every damage named."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.wal import Interruption, wal_archives
from data_platform.backups.database.wal.adding import add_history, interrupt
from data_platform.backups.database.wal.retention import needed_from, removable, remove, remove_tail
from data_platform.errors import BackupDamaged, BackupError
from data_platform_tests.backups.database.wal.conftest import NOW, SIGNER, SIZE, Shelf


def segment(number: int, timeline: int = 1) -> Segment:
    return Segment(timeline, number, SIZE)


def test_what_was_shipped_comes_back_with_the_tail_filled_up(shelf: Shelf) -> None:
    shelf.ship([1, 2])
    wal = shelf.wal()
    shelf.add(wal, segment(3), (0, 1000))
    shelf.add(wal, segment(3), (1000, 70_000))
    assert shelf.fetched() == {
        segment(1).name: shelf.content(segment(1)),
        segment(2).name: shelf.content(segment(2)),
        segment(3).name: shelf.content(segment(3))[:70_000] + bytes(SIZE - 70_000),
    }


def test_coverage_says_how_far_and_the_newest_heartbeat(shelf: Shelf) -> None:
    shelf.ship([1, 2, 3])
    found = shelf.wal().coverage(1, Lsn(SIZE + 500))
    assert (found.end, found.timeline, found.gap, found.segments) == (Lsn(4 * SIZE), 1, "", 3)
    assert found.heartbeat is not None and found.heartbeat.at == NOW + timedelta(minutes=3)
    assert shelf.wal().heartbeats() == found.heartbeat


def test_an_empty_store_covers_nothing(shelf: Shelf) -> None:
    assert shelf.wal().coverage(1, Lsn(SIZE)).bytes == 0
    assert shelf.wal().heartbeats() is None


def test_shipping_the_same_again_changes_nothing(shelf: Shelf) -> None:
    shelf.ship([1, 2])
    before = {path: path.read_bytes() for path in shelf.store.rglob("*") if path.is_file()}
    shelf.ship([1, 2])
    assert {path: path.read_bytes() for path in shelf.store.rglob("*") if path.is_file()} == before


def test_other_bytes_under_the_same_name_are_refused(shelf: Shelf) -> None:
    shelf.ship([1])
    shelf.bytes[segment(1)] = bytes(SIZE)
    with pytest.raises(BackupError, match="two servers with one identifier"):
        shelf.ship([1])
    shelf.bytes.clear()
    assert shelf.fetched()[segment(1).name] == shelf.content(segment(1))


@pytest.mark.parametrize("of", ["records", "segments"])
def test_a_missing_object_is_a_gap_with_its_name(shelf: Shelf, of: str) -> None:
    shelf.ship([1, 2, 3])
    shelf.path(f"{of}/{segment(2).name}").unlink()
    found = shelf.wal().coverage(1, Lsn(SIZE))
    assert (found.end, found.gap) == (Lsn(2 * SIZE), segment(2).name)
    assert set(shelf.fetched()) == {segment(1).name}


@pytest.mark.parametrize("of", ["records", "segments", "tail"])
def test_any_flipped_bit_is_found_and_named(shelf: Shelf, of: str) -> None:
    shelf.ship([1, 2])
    shelf.add(shelf.wal(), segment(3), (0, 5000))
    for path in [path for path in shelf.store.rglob("*") if f"/{of}/" in path.as_posix() and path.is_file()]:
        good = path.read_bytes()
        for place in {0, len(good) // 3, len(good) - 1}:
            path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
            with pytest.raises(BackupDamaged) as caught:
                shelf.fetched()
            assert path.name in str(caught.value)
        path.write_bytes(good)
    assert set(shelf.fetched()) == {segment(n).name for n in (1, 2, 3)}


def test_a_truncated_object_is_found_and_named(shelf: Shelf) -> None:
    shelf.ship([1, 2])
    path = shelf.path(f"segments/{segment(2).name}")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BackupDamaged, match=path.name):
        shelf.fetched()
    assert [path.name in line for line in shelf.wal().damage(deep=False)] == [True]


def test_an_older_segment_under_a_newer_name_is_found(shelf: Shelf) -> None:
    shelf.ship([1, 2])
    new = shelf.path(f"segments/{segment(2).name}")
    shutil.copyfile(shelf.path(f"segments/{segment(1).name}"), new)
    with pytest.raises(BackupDamaged, match=new.name):
        shelf.fetched()


def test_an_older_record_under_a_newer_name_is_found(shelf: Shelf) -> None:
    shelf.ship([1, 2])
    shutil.copyfile(shelf.path(f"records/{segment(1).name}"), shelf.path(f"records/{segment(2).name}"))
    with pytest.raises(BackupDamaged, match="copied to the wrong place"):
        shelf.fetched()


def test_wal_of_another_timeline_under_this_ones_name_is_found(shelf: Shelf) -> None:
    shelf.ship([1, 2])
    shelf.ship([2], timeline=2)
    for of in ("records", "segments"):
        other = shelf.path(f"{of}/{segment(2, 2).name}")
        here = shelf.path(f"{of}/{segment(2).name}")
        shutil.copyfile(other, here)
    with pytest.raises(BackupDamaged, match="copied to the wrong place"):
        shelf.fetched()


def test_wal_of_another_server_is_kept_apart(shelf: Shelf) -> None:
    shelf.ship([1, 2])
    shelf.ship([3], system="8000")
    assert shelf.wal().coverage(1, Lsn(SIZE)).end == Lsn(3 * SIZE)
    assert [wal.system for wal in wal_archives(shelf.wal().archive, "shop")] == ["7000", "8000"]
    assert wal_archives(shelf.wal().archive, "other") == []


def test_a_segment_that_does_not_continue_the_one_before_is_found(shelf: Shelf) -> None:
    shelf.ship([1])
    shelf.add(shelf.wal(), segment(2), (0, SIZE), previous="0" * 64)
    with pytest.raises(BackupDamaged, match="does not continue"):
        shelf.fetched()


def test_a_forged_record_is_refused_where_records_are_signed(tmp_path: Path) -> None:
    ours, forger = Shelf(tmp_path, SIGNER), Shelf(tmp_path)
    ours.ship([1])
    forger.ship([2])
    with pytest.raises(BackupDamaged, match="is not signed"):
        ours.fetched()
    Shelf(tmp_path, type(SIGNER)("OTHER", (b"x" * 32,))).ship([3])
    with pytest.raises(BackupDamaged, match="forged"):
        ours.wal().record(segment(3))


def test_a_backup_follows_a_change_of_timeline(shelf: Shelf) -> None:
    shelf.ship([1, 2])
    shelf.add(shelf.wal(), segment(3), (0, 256))
    shelf.ship([3, 4], timeline=2)
    history = f"1\t{Lsn(3 * SIZE + 256)}\tno recovery target specified\n"
    add_history(shelf.wal(), 2, history)
    found = shelf.wal().coverage(1, Lsn(SIZE))
    assert (found.timeline, found.end, found.history) == (2, Lsn(5 * SIZE), (1, 2))
    files = shelf.fetched()
    assert files.pop("00000002.history") == history.encode()
    assert set(files) == {s.name for s in (segment(1), segment(2), segment(3, 2), segment(4, 2))}


def test_another_history_of_the_same_timeline_is_refused(shelf: Shelf) -> None:
    add_history(shelf.wal(), 2, "1\t0/300\tx\n")
    add_history(shelf.wal(), 2, "1\t0/300\tx\n")
    with pytest.raises(BackupError, match="another history"):
        add_history(shelf.wal(), 2, "1\t0/400\tx\n")


def test_wal_behind_the_heartbeat_after_an_instant_is_left_out(shelf: Shelf) -> None:
    shelf.ship(range(1, 8))
    folder = shelf.root / "some"
    found = shelf.wal().fetch(1, Lsn(SIZE), folder, until=NOW + timedelta(minutes=3, seconds=30))
    assert sorted(path.name for path in folder.iterdir()) == [segment(n).name for n in (1, 2, 3, 4)]
    assert found.end == Lsn(5 * SIZE)


def test_interruptions_are_kept_in_their_order(shelf: Shelf) -> None:
    assert shelf.wal().interruptions() == []
    later = Interruption(NOW + timedelta(hours=1), 1, Lsn(5), "the slot was lost")
    for one in (later, Interruption(NOW, 1, Lsn(4), "x")):
        interrupt(shelf.wal(), one)
    assert [one.at for one in shelf.wal().interruptions()] == [NOW, later.at]
    assert shelf.wal().interruptions()[-1] == later


def test_only_what_no_kept_backup_needs_is_removed(shelf: Shelf) -> None:
    shelf.ship(range(1, 6))
    shelf.add(shelf.wal(), segment(6), (0, 100))
    archive = shelf.wal().archive
    assert removable(archive, "shop", {}) == removable(archive, "shop", {"7000": []}) == []
    gone = removable(archive, "shop", {"7000": [(1, Lsn(3 * SIZE + 5)), (1, Lsn(5 * SIZE))]})
    assert [one.segment.number for one in gone] == [1, 2]
    assert all(one.keys[0].endswith(".json") for one in gone), "a record goes before its object"
    for one in gone:
        remove(archive, one)
    found = shelf.wal().coverage(1, Lsn(3 * SIZE + 5))
    assert (found.end, found.gap) == (Lsn(6 * SIZE + 100), "")
    assert not [path for path in shelf.store.rglob("*") if segment(2).name in path.name]


def test_timelines_and_servers_that_no_backup_needs_go_as_a_whole(shelf: Shelf) -> None:
    shelf.ship([1, 2])
    shelf.ship([2, 3], timeline=2)
    shelf.ship([9], system="6000")
    kept = [(2, Lsn(3 * SIZE))]
    assert [needed_from(timeline, kept) for timeline in (1, 2, 3)] == [None, kept[0][1], kept[0][1]]
    gone = removable(shelf.wal().archive, "shop", {"7000": kept})
    assert [one.segment for one in gone] == [segment(9), segment(1), segment(2), segment(2, 2)]


def test_removing_a_tail_keeps_the_piece_that_holds_it_all(shelf: Shelf) -> None:
    for piece in ((0, 100), (100, 200), (0, 200)):
        shelf.add(shelf.wal(), segment(1), piece)
    remove_tail(shelf.wal(), segment(1), keep=(0, 200))
    assert shelf.wal().tails(1) == {1: [(0, 200)]}
    assert shelf.wal().coverage(1, Lsn(SIZE)).end == Lsn(SIZE + 200)
    assert len(list(shelf.store.rglob("*.zst"))) == 1
