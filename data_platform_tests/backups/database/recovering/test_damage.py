"""Nothing else than what was there comes back: refused where WAL is lost, red where a byte is wrong."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from data_platform.backups.database.tools import Programs
from data_platform.errors import BackupDamaged, BackupError
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.recovery import drill_database, windows
from data_platform_tests.backups.database.recovering.shop import (
    BLOCK,
    Shop,
    flip,
    several_segments,
)

pytestmark = pytest.mark.slow


def lost_wal(shop: Shop, which: int) -> Path:
    gone = shop.objects("/segments/")[which]
    gone.unlink()
    return gone


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


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


VICTIMS, HARMS = ("/base-", "/segments/", "manifests/", "/records/"), (flip, Path.unlink, cut)


@pytest.mark.parametrize("number, what", enumerate(VICTIMS), ids=VICTIMS)
@pytest.mark.parametrize("which, harm", enumerate(HARMS), ids=[harm.__name__ for harm in HARMS])
def test_damage_is_named(
    shop: Shop,
    number: int,
    what: str,
    which: int,
    harm: Callable[[Path], object],
    seeds: Callable[[int], Sequence[int]],
) -> None:
    """Each victim and each harm; each harm of each victim with `--seeds N`."""
    if which != number % len(HARMS) and len(seeds(1)) == 1:
        pytest.skip("on demand: --seeds N")
    at = several_segments(shop)
    victim = shop.objects(what)[
        0 if what in ("/base-", "manifests/") else -2
    ]  # older WAL may be of before the backup
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


def test_a_drill_of_every_archive(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as alone:  # other tests drill beside this one
        Path(alone).chmod(0o755)  # the server's account passes through
        monkeypatch.setattr(tempfile, "tempdir", alone)
        _drill_every_archive(shop)
        assert not list(Path(alone).glob("drill-*"))


def _drill_every_archive(shop: Shop) -> None:
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
