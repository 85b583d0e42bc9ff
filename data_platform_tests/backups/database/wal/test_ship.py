"""A shipper that is killed or whose store fails at any call: the next one goes on, and nothing that was shipped is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.wal import Heartbeat, WalArchive, ship
from data_platform.backups.database.wal.ship import Beats, Shipper
from data_platform.backups.database.wal.spool import PARTIAL, Spool
from data_platform.errors import StoreUnreachable
from data_platform.stores.local import LocalStore
from data_platform_tests.backups.database.wal.conftest import NOW, SIZE, Shelf

CALLS = ("put_new", "put_file", "read", "read_range", "local", "list", "size", "delete", "scratch")
STAGES: tuple[tuple[int, int], ...] = (
    (1, 1000),
    (1, 5000),
    (1, 6000),
    (1, 70_000),
    (2, 10),
    (2, 900),
    (4, 5),
)
"""The segment that grows, and how far; those before it are complete."""
SAMPLED = 7


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Counted(LocalStore):
    """Fails at the call of number ``at``, before or after it is done."""

    def __init__(self, path: Path, calls: list[str], at: int, error: BaseException, after: bool) -> None:
        super().__init__(path)
        self._given = (calls, at, error, after)

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if name not in CALLS:
            return found
        calls, at, error, after = super().__getattribute__("_given")

        def counted(*values: object, **named: object) -> object:
            calls.append(name)
            now = len(calls) - 1 == at
            if now and not (after and name in ("put_new", "put_file", "delete")):
                raise error
            answer = found(*values, **named)  # type: ignore[operator]
            if now:
                raise error
            return answer

        return counted


class World:
    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.folder = shelf.root / "spool"
        self.folder.mkdir()
        self.spool = Spool(self.folder, SIZE)

    def stage(self, number: int, length: int, first: int = 1) -> None:
        """As ``pg_receivewal`` would leave the folder, having begun with the segment ``first``."""
        for before in range(first, number):
            segment = Segment(1, before, SIZE)
            (self.folder / segment.name).write_bytes(self.shelf.content(segment))
            (self.folder / f"{segment.name}{PARTIAL}").unlink(missing_ok=True)
        segment = Segment(1, number, SIZE)
        content = self.shelf.content(segment)[:length]
        (self.folder / f"{segment.name}{PARTIAL}").write_bytes(content + bytes(SIZE - length))
        self.spool.wrote(segment.start + length)

    def shipper(self, store: Callable[[], LocalStore] | None = None) -> Shipper:
        opened = store or (lambda: LocalStore(self.shelf.store))
        beats = Beats()
        beats.add(Heartbeat(NOW, Lsn(SIZE + 10), row=True))
        wal = WalArchive(Archive("primary", opened, self.shelf.signer), "shop", "7000")
        return Shipper(wal, beats, lambda: NOW)

    def run(
        self, store: Callable[[], LocalStore] | None = None, stages: tuple[tuple[int, int], ...] = STAGES
    ) -> None:
        one = self.shipper(store)
        one.begin()
        for stage in stages:
            self.stage(*stage)
            one.ship(self.spool)

    def go_on(self) -> None:
        """As another process: its folder is empty, and it receives from where the store ends."""
        for path in self.folder.iterdir():
            path.unlink()
        self.spool = Spool(self.folder, SIZE)
        one = self.shipper()
        one.begin()
        self.stage(*STAGES[-1], first=one.end[1].segment(SIZE) if one.end else 1)
        one.ship(self.spool)

    def assert_whole(self, number: int, length: int) -> None:
        found = self.shelf.wal().coverage(1, Lsn(SIZE))
        assert (found.end, found.gap) == (Lsn(number * SIZE + length), "")
        files = self.shelf.fetched()
        for before in range(1, number):
            segment = Segment(1, before, SIZE)
            assert files.pop(segment.name) == self.shelf.content(segment)
        last = Segment(1, number, SIZE)
        assert files == {last.name: self.shelf.content(last)[:length] + bytes(SIZE - length)}


@pytest.fixture
def world(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(ship, "PIECES_MAX", 2)
    return World(shelf)


def test_what_grows_is_shipped_in_pieces_and_then_as_a_whole(world: World) -> None:
    world.run(stages=STAGES[:2])
    assert world.shelf.wal().tails(1) == {1: [(0, 1000), (1000, 5000)]}
    world.run(stages=STAGES[:3])
    assert world.shelf.wal().tails(1) == {1: [(0, 6000)]}
    world.run()
    world.assert_whole(*STAGES[-1])
    assert set(world.shelf.wal().tails(1)) == {4}


def test_a_record_holds_the_newest_heartbeat_that_it_reaches(world: World) -> None:
    world.run(stages=((1, 9),))
    assert world.shelf.wal().heartbeats() is None
    world.run(stages=((1, 10),))
    found = world.shelf.wal().heartbeats()
    assert found is not None and found.at == NOW
    one = world.shipper()
    one._beats = Beats()  # after a restart none is known: that of the last record still holds
    one.begin()
    world.stage(3, 5)
    one.ship(world.spool)
    assert world.shelf.wal().heartbeats() == found


def test_what_is_in_the_folder_is_shipped_before_the_server_knows_of_it(world: World) -> None:
    segment = Segment(1, 1, SIZE)
    one = world.shipper()
    one.begin()
    for length in (1000, 5000):
        content = world.shelf.content(segment)[:length]
        (world.folder / f"{segment.name}{PARTIAL}").write_bytes(content + bytes(SIZE - length))
        one.ship(world.spool)
    world.assert_whole(1, 5000)
    assert world.shelf.wal().tails(1) == {1: [(0, 1000), (1000, 5000)]}


def test_a_record_holds_the_newest_position_that_it_reaches(world: World) -> None:
    one = world.shipper()
    one.begin()
    for seconds, lsn in ((1, SIZE + 100), (2, SIZE + 200), (3, SIZE + 9000)):
        one._beats.mark(Heartbeat(NOW + timedelta(seconds=seconds), Lsn(lsn), row=False))
    world.stage(1, 5000)
    one.ship(world.spool)
    found = world.shelf.wal().coverage(1, Lsn(SIZE))
    assert found.mark == found.newest == Heartbeat(NOW + timedelta(seconds=2), Lsn(SIZE + 200), row=False)
    assert found.heartbeat is not None and found.heartbeat.at == NOW


def test_records_are_chained(world: World) -> None:
    world.run()
    wal = world.shelf.wal()
    records = [wal.record(Segment(1, number, SIZE)) for number in (1, 2, 3)]
    assert [one.previous for one in records] == ["", records[0].digest, records[1].digest]


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("how", ["killed", "failed"])
def test_any_call_may_be_the_last(
    shelf: Shelf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    after: bool,
    seeds: Callable[[int], Sequence[int]],
) -> None:
    monkeypatch.setattr(ship, "PIECES_MAX", 2)
    calls: list[str] = []
    first = World(replace(shelf, root=_made(tmp_path / "counted")))
    first.run(lambda: Counted(first.shelf.store, calls, -1, Killed(), after))
    assert set(calls) >= {"put_new", "put_file", "list", "delete", "read", "local"}
    everywhere = len(seeds(1)) > 1
    for at in range(0, len(calls), 1 if everywhere else SAMPLED):
        world = World(replace(shelf, root=_made(tmp_path / f"{how}-{at}"), bytes=first.shelf.bytes))
        error = Killed() if how == "killed" else StoreUnreachable("The store does not answer.")
        with pytest.raises(type(error)):
            world.run(_failing(world, error, at, after))
        before = world.shelf.wal().coverage(1, Lsn(SIZE))
        assert not before.gap
        world.shelf.fetched()  # what is there is whole
        world.go_on()
        assert world.shelf.wal().coverage(1, Lsn(SIZE)).end >= before.end
        world.assert_whole(*STAGES[-1])
        assert world.shelf.wal().damage(deep=True) == []
        assert set(world.shelf.wal().tails(1)) == {4}, "no pieces of complete segments are left"


def _failing(world: World, error: BaseException, at: int, after: bool) -> Callable[[], LocalStore]:
    calls: list[str] = []  # of the store and its reader together
    return lambda: Counted(world.shelf.store, calls, at, error, after)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_what_one_store_lacks_is_copied_from_another(world: World, tmp_path: Path) -> None:
    world.run()
    other = Shelf(_made(tmp_path / "other"), bytes=world.shelf.bytes)
    behind = Shipper(other.wal(), Beats(), lambda: datetime.now(UTC) + timedelta(hours=1))
    behind.begin()
    assert behind.copy_from(world.shelf.wal()) == 3
    assert behind.copy_from(world.shelf.wal()) == 0
    found = other.wal().coverage(1, Lsn(SIZE))
    assert (found.end, found.gap) == (Lsn(4 * SIZE), "")
    assert other.fetched() == {
        Segment(1, n, SIZE).name: other.content(Segment(1, n, SIZE)) for n in (1, 2, 3)
    }


def test_zeros_at_the_end_are_no_wal(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SIZE)
    path = tmp_path / f"{Segment(1, 1, SIZE).name}{PARTIAL}"
    for content in (b"", b"x", b"x" * 70_000 + bytes(9) + b"y", b"z" * SIZE):
        path.write_bytes(content + bytes(SIZE - len(content)))
        spool = Spool(tmp_path, SIZE)
        spool.settle()
        assert [one.length for one in spool.files()] == [len(content)]
