"""The platform's backups, end to end: make one, prune, restore, hold a drill, say how old the newest is."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from data_platform.backups import probes
from data_platform.backups import restore as restoring
from data_platform.backups.archive import Archive
from data_platform.backups.config import COLD, PRIMARY, BackupsConfig
from data_platform.backups.export import BackupReport, FileToKeep, Progress, export, store
from data_platform.backups.inbox import BroughtBack, bring_back, copy_waiting, settle
from data_platform.backups.landing import RestoredLedger, restore_ledger
from data_platform.backups.manifest import clock_behind, made_at, next_id
from data_platform.backups.mirror import Mirrored, mirror, place_in
from data_platform.backups.reencrypt import opened_by_previous
from data_platform.backups.restore import RestoreReport
from data_platform.backups.retention import expired
from data_platform.backups.shelf import ARCHIVE, WAREHOUSE, Shelf
from data_platform.errors import BackupError, ConfigurationError, DataPlatformError
from data_platform.landing.ledger import Ledger
from data_platform.stores import Store
from data_platform.stores.encrypted import opener
from data_platform.sync.auditing import audited_deletion
from data_platform.sync.erasing.copying import copy_decisions, decisions_back
from data_platform.sync.platform import Platform
from data_platform.sync.secrets import secrets_of
from data_platform.warehouses import Warehouse
from data_platform.warehouses.archive import ArchivableConfig, archivable
from data_platform.warehouses.kinds import FILE_SUFFIX, in_file

WAREHOUSE_MEMORY = "384MB"
"""Of the warehouse while it is backed up or restored: it spills beyond, and the rows under way need room too."""

DAYS_A_YEAR = 365.25

CUT_SHORT = timedelta(days=2)
"""Objects this old whose manifest was never written belong to a backup that will not end any more."""

InstanceFiles = Callable[[Path], Sequence[FileToKeep]]
"""Writes Dagster's storage into a folder."""


@dataclass(frozen=True)
class CopyAge:
    """The newest backup of one archive; ``made_at`` is None if there is none, ``problem`` says why it cannot
    be read."""

    archive: str
    id: str | None
    made_at: datetime | None
    problem: str = ""
    empty: bool = False
    """Whether the archive holds no backup."""

    def hours(self, now: datetime) -> float | None:
        return None if self.made_at is None else (now - self.made_at).total_seconds() / 3600


@dataclass
class Pruned:
    """By archive, what was removed, or would be. ``failed`` are the archives where that is not all: the others are done all
    the same."""

    gone: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, DataPlatformError] = field(default_factory=dict)


def settings(platform: Platform) -> BackupsConfig:
    found = platform.environment.backups
    if found is None:
        raise ConfigurationError(
            f"The environment {platform.environment.name!r} has no `backups:` in catalog/platform.yaml, so there is"
            " no place to keep one. Add `backups: {store: {kind: local, path: ...}}`, on another disk than the"
            " landing store."
        )
    return found


def archives(platform: Platform, shelf: Shelf = WAREHOUSE) -> list[Archive]:
    """The backup store first, then its copies. Connects to nothing."""
    return [one for one in everywhere(platform, shelf) if one.name != COLD]


def everywhere(platform: Platform, shelf: Shelf) -> list[Archive]:
    """``archives``, and for the archive the store of its cold copy: wherever a backup of ``shelf`` may be."""
    config = settings(platform)
    return [
        Archive(
            name,
            opener(
                partial(kind.open, platform.catalog.root, platform.environ),
                config.encryption,
                platform.environ,
            ),
            platform.signer,
            shelf,
        )
        for name, kind in config.stores.items()
        if name != COLD or shelf is ARCHIVE
    ]


def archive(platform: Platform, name: str = PRIMARY, shelf: Shelf = WAREHOUSE) -> Archive:
    found = {a.name: a for a in everywhere(platform, shelf)}
    if name not in found:
        raise ConfigurationError(
            f"There is no copy {name!r} of the backups in the environment {platform.environment.name!r}; there are"
            f" {', '.join(found)}."
        )
    return found[name]


def make_backup(
    platform: Platform, instance_files: InstanceFiles | None = None, progress: Progress | None = None
) -> BackupReport:
    """Back up the warehouse, the ledger and Dagster's storage into every archive.

    The warehouse is held while its tables are written to a scratch folder, and released
    before anything is sent. A copy that fails is in the report and raises nothing, and so are parts in the landing store
    that are damaged and could not be copied.
    """
    archives_, warehouse_ = archives(platform), bounded(platform)  # refused before anything is written
    platform.signer.ready()
    now = platform.clock()
    id_, remarks = named(archives_, now)
    mirrored = _mirrored(platform, archives_[0])
    _, failed = _mirrored_each(platform, archives_[1:])
    with archives_[0].store.scratch() as folder:
        with warehouse_.open(platform.catalog.root, read_only=True) as warehouse:
            exported = export(warehouse, folder, id_, progress, keys=keys_of(platform))
        files = instance_files(folder) if instance_files else ()
        report = store(
            exported,
            files,
            [one for one in archives_ if one.name not in failed],
            ledger=mirrored.heads,
            id_=id_,
            environment=platform.environment.name,
            created_at=now,
        )
    for one in archives_:
        try:
            if one.name in report.stored:
                probes.remember(one, secrets_of(platform))
        except DataPlatformError as error:  # the backup is there all the same
            failed[one.name] = error
    return replace(report, failed={**failed, **report.failed}, mirrored=mirrored, remarks=remarks)


def named(stores: Sequence[Archive], now: datetime) -> tuple[str, tuple[str, ...]]:
    """The next backup's id, and remarks: a clock that was set back since the newest one, a store that cannot be asked for its own."""
    last, remarks = "", []
    for one in stores:
        try:
            last = max([last, *one.ids()[-1:]])
        except DataPlatformError as error:
            remarks.append(f"what {one.name} holds could not be looked at: {error}")
    remarks += filter(None, [clock_behind(now, last)])
    return next_id(now, uuid.uuid4().hex, last), tuple(remarks)


def copy_landing(platform: Platform) -> tuple[dict[str, Mirrored], dict[str, DataPlatformError]]:
    """Copy what landed since the last time into every archive. By archive, what was copied, and why another one got nothing."""
    platform.signer.ready()
    return _mirrored_each(platform, archives(platform))


def _mirrored(platform: Platform, one: Archive) -> Mirrored:
    tables = list(platform.catalog.table_ids())
    with audited_deletion(platform, "landing_copy") as going:
        parts = settings(platform).landing
        waiting = copy_waiting(platform.store, one) if parts else None
        done = mirror(platform.ledger, one, tables, parts=parts, going=partial(going, one.name))
        if platform.catalog.subjects:
            copy_decisions(platform, place_in(one))
    if waiting is None:
        return done
    lost = settle(waiting, one, platform.ledger, tables)
    return replace(
        done,
        bytes=done.bytes + waiting.bytes,
        deliveries=waiting.objects,
        damaged=(*done.damaged, *waiting.damaged, *lost),
    )


def _mirrored_each(
    platform: Platform, each: Sequence[Archive]
) -> tuple[dict[str, Mirrored], dict[str, DataPlatformError]]:
    copied: dict[str, Mirrored] = {}
    failed: dict[str, DataPlatformError] = {}
    for one in each:
        try:
            copied[one.name] = _mirrored(platform, one)
        except DataPlatformError as error:
            failed[one.name] = error
    return copied, failed


def keep_days(config: BackupsConfig, shelf: Shelf) -> int:
    """How long a backup of ``shelf`` is kept."""
    if shelf is ARCHIVE and config.archive is not None:
        return round(config.archive.keep_years * DAYS_A_YEAR)
    return config.retention.days


def prunable(platform: Platform, shelf: Shelf = WAREHOUSE) -> Pruned:
    """The backups that the retention rule would remove, and the remains of interrupted ones. What is locked is not among
    them."""
    return _prune(platform, shelf, remove=False)


def prune(platform: Platform, shelf: Shelf = WAREHOUSE) -> Pruned:
    """Remove what ``prunable`` names; returns it."""
    return _prune(platform, shelf, remove=True)


def _prune(platform: Platform, shelf: Shelf, *, remove: bool) -> Pruned:
    days = keep_days(settings(platform), shelf)
    now = platform.clock()
    found = Pruned()
    with audited_deletion(platform, shelf.name) as going:
        for one in everywhere(platform, shelf):
            gone = found.gone.setdefault(one.name, [])
            try:
                due = expired(one.ids(), now, days, partial(is_good, one)) + one.abandoned(now - CUT_SHORT)
                for id_ in [id_ for id_ in due if one.locked_until(id_) is None]:
                    if remove:
                        going(one.name, [id_])
                        one.remove(id_)
                    gone.append(id_)
            except DataPlatformError as error:
                found.failed[one.name] = error
    return found


def newest(platform: Platform, shelf: Shelf = WAREHOUSE) -> list[CopyAge]:
    """For every archive, the newest complete backup. If an archive lacks the newest backup of another one, that
    is its problem: a copy failed, or somebody removed it."""
    found = [newest_in(one) for one in archives(platform, shelf)]
    latest = max((one.id for one in found if one.id), default=None)
    return [
        replace(one, problem=f"it lacks {latest}, which another archive holds")
        if latest and one.id and one.id < latest and not one.problem
        else one
        for one in found
    ]


def restore_warehouse(
    platform: Platform,
    which: str,
    into: str | os.PathLike[str],
    *,
    copy: str = PRIMARY,
    replace: bool = False,
    progress: restoring.Progress | None = None,
    then: Callable[[Warehouse], Mapping[str, int]] | None = None,
) -> RestoreReport:
    """``which`` is ``latest``, a day or an id; ``into`` a file, or the engine's name of a warehouse (``restorable``);
    ``copy`` the archive; ``then`` takes out what must not come back. See ``backups.restore.restore``."""
    chosen = archive(platform, copy)
    target, root = restorable(platform, into), platform.catalog.root
    return restoring.restore(
        chosen, chosen.chosen(which), target, root, replace=replace, progress=progress, then=then
    )


def restore_beside(
    platform: Platform, which: str, into: Path, *, copy: str = PRIMARY
) -> tuple[int, RestoredLedger]:
    """The landing store and Dagster's storage, into a new folder: ``ledger/`` is a landing store, ``instance/`` what
    Dagster keeps. Returns the number of files written there, and what was restored of the landing store."""
    from data_platform.stores.kinds import in_folder

    chosen = archive(platform, copy)
    manifest = chosen.chosen(which)
    files = restoring.restore_files(chosen, manifest, into)
    store_ = in_folder(into / "ledger")
    restored = restore_ledger(chosen, manifest.ledger, store_, platform.environ)
    decisions_back(platform, place_in(chosen), store_)
    back = waiting_back(platform, chosen, store_)
    return files, replace(restored, deliveries=len(back.objects), damaged=(*restored.damaged, *back.damaged))


def waiting_back(
    platform: Platform, one: Archive, store: Store, until: datetime | None = None
) -> BroughtBack:
    """Put the deliveries that wait into a restored landing store: those up to ``until`` that no table of it has taken."""
    ledger = Ledger(store, platform.environ, platform.signer)
    return bring_back(one, ledger, store, list(platform.catalog.table_ids()), until)


def hold_drills(platform: Platform) -> list[RestoreReport]:
    """Restore the newest backup of every archive into a warehouse that is thrown away."""
    reports = []
    for one in archives(platform):
        with archive(platform).store.scratch() as folder:
            trial = bounded(platform).trial(folder)
            report = restoring.drill(one, "latest", trial, platform.catalog.root)
            reports.append(replace(report, old_identity=opened_by_previous(one)))
    return reports


def restorable(platform: Platform, into: str | os.PathLike[str]) -> ArchivableConfig:
    """The warehouse that a restore makes. A name that ends as a DuckDB file's does is one, whatever the engine: so a backup can
    be read where its engine is not. ``ConfigurationError`` for a name that the engine does not take."""
    own = bounded(platform)
    if not own.traits.in_files and Path(into).suffix == FILE_SUFFIX:
        return in_file(Path(into))
    return own.elsewhere(into)


def bounded(platform: Platform) -> ArchivableConfig:
    """The warehouse, opened within the memory that a backup may take."""
    return archivable(platform.environment.warehouse).bounded(WAREHOUSE_MEMORY)


def keys_of(platform: Platform) -> dict[tuple[str, str], tuple[str, ...]]:
    """The unique columns of each raw table (schema, name) that has landed."""
    found = platform.ledger.ahead_of(list(platform.catalog.table_ids()), states=False)
    heads = ((table, ledger.head(table)) for ledger, table in found)
    return {(table.raw_schema, table.table): head.key for table, head in heads if head}


def is_good(one: Archive, id_: str) -> bool:
    try:
        return not one.damage(one.manifest(id_), deep=False)
    except BackupError:
        return False


def newest_in(one: Archive) -> CopyAge:
    """The newest complete backup of one archive."""
    try:
        ids, hidden = one.ids(), one.covered(one.shelf.manifests)
        notes = (
            [f"{len(hidden)} were hidden by somebody: `backup uncover` brings them back"] if hidden else []
        )
        for id_ in reversed(ids):
            if is_good(one, id_):
                if passed := len(ids) - 1 - ids.index(id_):
                    notes.insert(0, f"{passed} newer one(s) are damaged")
                return CopyAge(one.name, id_, made_at(id_), "; ".join(notes))
        notes.insert(0, "every backup in it is damaged" if ids else "it holds no backup yet")
        return CopyAge(one.name, None, None, "; ".join(notes), not ids and not hidden)
    except DataPlatformError as error:
        return CopyAge(one.name, None, None, str(error))
