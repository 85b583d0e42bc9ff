"""One company whose database, landing store and warehouse are backed up in two archives, made once and copied for each case."""

from __future__ import annotations

import filecmp
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from data_platform.backups.database.repository import Repository
from data_platform.sync import Platform, open_platform, sync_changes
from data_platform.sync.backup import archives, make_backup
from data_platform.sync.database_backup import back_up_database, prune_database
from data_platform.sync.wal import receiver
from data_platform_tests.backups.database.conftest import Company

COPIES = "{offsite: {kind: local, path: offsite}}"
BLOCK = "{engine: native, keep_days: 7, apply: true}"
LATER = timedelta(days=60)
"""By then the rule removes all but what is needed for the newest good one."""
_HINT = re.compile(r"/[a-z]+\.json$")


@dataclass(frozen=True)
class Prepared:
    """``platform`` is of the company in the folder ``root``. ``at`` is an instant that can be recovered: then there were
    ``rows`` orders. ``system`` is the server's identifier."""

    root: Path
    platform: Platform
    at: datetime
    system: str
    rows: int = 20_002

    def copy(self, root: Path) -> Prepared:
        shutil.copytree(self.root, root)
        return replace(self, root=root).opened()

    def opened(self) -> Prepared:
        """The platform as its catalog says now."""
        return replace(self, platform=open_platform(self.root, "local", self.platform.environ))

    def later(self) -> Prepared:
        now = self.platform.clock
        return replace(self, platform=replace(self.platform, clock=lambda: now() + LATER))

    def repositories(self) -> list[Repository]:
        return [Repository(one, "shop") for one in archives(self.platform)]

    def objects(self) -> dict[str, Path]:
        """Every object of the archives and of the landing store, by store and key; without hints, whose loss does no harm."""
        found = {}
        for store in ("backups", "offsite", "landing"):
            for path in (self.root / store).rglob("*"):
                key = path.relative_to(self.root).as_posix()
                if (
                    path.is_file()
                    and not any(part.startswith(".") for part in key.split("/"))
                    and not _HINT.search(key)
                ):
                    found[key] = path
        return found

    def lost(self, original: Prepared) -> set[str]:
        """The objects of ``original`` that are not here any more, or hold other bytes."""
        here = self.objects()
        return {
            key
            for key, path in original.objects().items()
            if key not in here or not filecmp.cmp(path, here[key], shallow=False)
        }

    def unfinished(self) -> list[str]:
        """What is not as it should be after a backup that went well: archives that differ in their newest backups, and objects
        without a manifest that no rule would ever remove."""
        problems, newest = [], set()
        for repository in self.repositories():
            one, later = repository.archive, self.later().platform.clock()
            newest.add((one.ids()[-1], repository.ids()[-1]))
            problems += one.damage(one.manifest(one.ids()[-1]), deep=False)
            if not repository.is_good(repository.ids()[-1]):
                problems.append(f"{repository.ids()[-1]} is not good in {one.name}")
            databases = {key.split("/")[3] for key in one.reader.list("database/shop/objects")}
            exports = {key.split("/")[2] for key in one.reader.list("warehouse/objects")}
            left = databases - set(repository.ids()) - set(repository.abandoned(later))
            left |= exports - set(one.ids()) - set(one.abandoned(later))
            problems += [f"{id_} is left in {one.name} for ever" for id_ in left]
        return [*problems, *([f"the archives differ: {newest}"] if len(newest) > 1 else [])]


def prepare(company: Company) -> Prepared:
    """Two full backups, an incremental one on the second, two backups of the warehouse, WAL of several segments and pieces."""
    platform = company.platform(BLOCK, COPIES)
    receiver(platform, "shop", lambda _: None).once()
    back_up_database(platform, "shop")
    back_up_database(platform, "shop", full=True)
    _sync(platform)
    make_backup(platform)
    company.execute("insert into orders values (20001, 'of the second batch')", "select pg_switch_wal()")
    back_up_database(platform, "shop")
    _sync(platform)
    make_backup(platform)
    receiver(platform, "shop", lambda _: None).once()
    company.execute("insert into orders values (20002, 'in the WAL alone')")
    at: datetime = company.row("select clock_timestamp()")[0]
    time.sleep(0.002)
    company.execute("insert into orders values (20003, 'after the instant')")
    receiver(platform, "shop", lambda _: None).once()
    prune_database(platform, "shop")  # WAL before the first backup
    newest = Repository(archives(platform)[0], "shop").newest_good()
    assert newest is not None and newest.way == "incremental"
    return Prepared(company.root, platform, at, newest.system)


def _sync(platform: Platform) -> None:
    reports: Sequence[object] = list(sync_changes(platform, "shop"))
    assert all(getattr(one, "error", None) is None for one in reports)
