"""Backups of the sources' own databases, end to end: make one, list, prune, say how old the newest is."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from data_platform.backups.archive import Archive
from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.engine import Job
from data_platform.backups.database.external import External
from data_platform.backups.database.kinds import engine_of
from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.manifest import DatabaseBackup, objects_of
from data_platform.backups.database.repository import Failures, Repository
from data_platform.backups.database.retention import expired
from data_platform.backups.database.stream import Sender, scratch
from data_platform.backups.database.tools import readable_disk_errors
from data_platform.backups.database.wal import retention
from data_platform.catalog import Source
from data_platform.errors import BackupError, ConfigurationError, DataPlatformError
from data_platform.sources.kinds import server_access
from data_platform.sources.server_access import ServerAccess
from data_platform.sync.auditing import audited_deletion
from data_platform.sync.backup import CUT_SHORT, Pruned, archives
from data_platform.sync.database_chain import caught_up, second_attempt
from data_platform.sync.database_spool import spool
from data_platform.sync.platform import Platform


@dataclass(frozen=True)
class DatabaseReport:
    """``failed`` are the archives that did not get the backup; ``chain`` is how many backups a restore of it reads."""

    backup: DatabaseBackup
    stored: tuple[str, ...]
    chain: int
    seconds: float
    failed: Failures = field(default_factory=dict)
    expired: dict[str, list[str]] = field(default_factory=dict)
    """By archive, the backups that were removed, or would be if `apply` is not set."""
    not_pruned: Failures = field(default_factory=dict)
    """The archives where not all of that could be removed, or be found."""
    remarks: tuple[str, ...] = ()
    """What was made good of earlier runs or of this one, and what could not be looked at."""


@dataclass(frozen=True)
class ListedBackup:
    """A backup, and the archives that hold it."""

    backup: DatabaseBackup
    stored: tuple[str, ...]


@dataclass(frozen=True)
class DatabaseAge:
    """The newest good backup of one archive; None if there is none, and ``problem`` says why it cannot be read."""

    archive: str
    newest: DatabaseBackup | None
    problem: str = ""
    empty: bool = False
    """Whether the archive holds no backup."""


def backed_up(platform: Platform) -> list[str]:
    """The sources with a `backups.database` block."""
    return [name for name, one in platform.catalog.sources.items() if one.backups and one.backups.database]


def block(platform: Platform, source: str) -> tuple[Source, DatabaseBackups]:
    found = platform.catalog.source(source)
    if found.backups is None or found.backups.database is None:
        raise ConfigurationError(
            f"catalog/sources/{source}.yaml says nothing of backups of its database. Add `backups: {{database: {{engine:"
            " native}}` (docs/backups-database.md)."
        )
    return found, found.backups.database


def is_continuous(platform: Platform, source: str) -> bool:
    """Whether any second of the source's database can be had, not only the instants of its backups."""
    return engine_of(block(platform, source)[1].engine).continuous


def access_to(platform: Platform, source: str) -> ServerAccess:
    """The source's server, by the role that backs it up."""
    found, config = block(platform, source)
    return server_access(
        found.kind, found.connection, platform.environ, source=source, url_env=config.url_env
    )


def external(platform: Platform, source: str) -> External | None:
    """The repository of the program that backs the source up, if its engine has one of its own. Connects to nothing."""
    _, config = block(platform, source)
    return engine_of(config.engine).opened(config, platform.environ, platform.catalog.root)


def repository(platform: Platform, source: str, one: Archive) -> Repository:
    """The source's backups in one archive."""
    return Repository(one, source, external(platform, source))


def own_repository(platform: Platform, source: str) -> str:
    """What of the environment's `backups` does not hold for the source, since another program keeps its backups; empty if
    all of it does."""
    found = external(platform, source)
    if found is None:
        return ""
    how = "encrypted by that program" if found.encrypted else "not encrypted by this platform"
    return (
        f"{found.title} keeps the backups of {source} in {found.place} and nowhere else: {how}, and in none of the copies. Only"
        " their signed records are in the backup stores."
    )


def not_encrypted(platform: Platform, source: str) -> str:
    """Why the source may not be backed up as its block says, where the environment encrypts its backups; empty if it may."""
    found, backups = external(platform, source), platform.environment.backups
    if found is None or found.encrypted or backups is None or backups.encryption is None:
        return ""
    return (
        f"`backups.encryption` of the environment encrypts every backup, but not those that {found.title} keeps in {found.place}."
        f" Let {found.title} encrypt them, and say so in the block (docs/backups-database.md), or choose `engine: native`."
    )


def back_up_database(platform: Platform, source: str, *, full: bool = False) -> DatabaseReport:
    """Make one backup of the source's database, in every archive. An archive that fails is in the report; the error is
    raised only if all fail. First, what an earlier run could not bring to a store is brought there."""
    _, config = block(platform, source)
    if refused := not_encrypted(platform, source):
        raise ConfigurationError(refused)
    everywhere = archives(platform)
    platform.signer.ready()
    began = platform.clock()
    failed: Failures = {}
    if config.spool is None:
        backup, remarks = _made(platform, source, everywhere, everywhere, full, failed)
        stored = _commit([one for one in everywhere if one.name not in failed], backup, failed)
    else:
        with spool(platform, source, config.spool) as held:
            waiting, remarks = held.waiting()
            for one in waiting:
                where = ", ".join(held.deliver(one, everywhere, {}))
                remarks.append(f"{one.id}, which had waited in the spool, was brought to {where}")
            backup, said = _made(platform, source, everywhere, [held.archive], full, {})
            _commit([held.archive], backup, {})
            stored = held.deliver(backup, everywhere, failed)
            remarks += said
    remarks += second_attempt(stored, failed, everywhere, backup)
    gone = prune_database(platform, source) if config.apply else prunable_databases(platform, source)
    first = Repository(next(one for one in everywhere if one.name == stored[0]), source)
    seconds = (platform.clock() - began).total_seconds()
    chain = len(first.chain(backup))
    return DatabaseReport(
        backup, tuple(stored), chain, seconds, failed, gone.gone, gone.failed, tuple(remarks)
    )


def _made(
    platform: Platform,
    source: str,
    everywhere: Sequence[Archive],
    into: Sequence[Archive],
    full: bool,
    failed: Failures,
) -> tuple[DatabaseBackup, list[str]]:
    """A backup whose objects are in ``into`` but for those that ``failed``, to be committed; and remarks."""
    _, config = block(platform, source)
    now = platform.clock()
    engine = engine_of(config.engine)
    program = external(platform, source)
    built_on = config.engine if engine.continuous and not full else None
    chain = caught_up(everywhere, source, built_on, program)
    id_ = chain.next_id(now, uuid.uuid4().hex)
    with scratch(into) as folder, Sender(into, objects_of(source, id_)) as sender:
        job = Job(
            id=id_,
            source=source,
            environment=platform.environment.name,
            access=access_to(platform, source),
            config=config,
            sender=sender,
            folder=folder,
            now=now,
            previous=chain.newest,
            external=program,
            full=full,
            must_be_full=chain.why,
        )
        with readable_disk_errors(f"The database of {source} could not be backed up"):
            backup = engine.back_up(job)
        failed.update(sender.failed)
    return backup, chain.remarks


def listed(platform: Platform, source: str, only: Sequence[Archive] | None = None) -> list[ListedBackup]:
    """Every backup of the source's database that can be read, the newest first."""
    found: dict[str, tuple[DatabaseBackup, list[str]]] = {}
    for archive in archives(platform) if only is None else only:
        for backup in Repository(archive, source).readable():
            found.setdefault(backup.id, (backup, []))[1].append(archive.name)
    return [ListedBackup(found[id_][0], tuple(found[id_][1])) for id_ in sorted(found, reverse=True)]


def prunable_databases(platform: Platform, source: str) -> Pruned:
    """What no instant of the last `keep_days` needs: ids of backups, what interrupted ones left, and WAL as
    ``wal <segment>``. What is locked is not among it."""
    return _prune(platform, source, remove=False)


def prune_database(platform: Platform, source: str) -> Pruned:
    """Remove what ``prunable_databases`` names, a backup before what it is built on; returns it."""
    return _prune(platform, source, remove=True)


def _prune(platform: Platform, source: str, *, remove: bool) -> Pruned:
    _, config = block(platform, source)
    now = platform.clock()
    found = Pruned()
    with audited_deletion(platform, f"database/{source}") as going:
        for archive in archives(platform):
            gone: list[str] = []
            try:
                for name, act in _removals(repository(platform, source, archive), config, now):
                    if remove:
                        going(archive.name, [name.replace("wal ", "wal/")])
                        act()
                    gone.append(name)
            except DataPlatformError as error:
                found.failed[archive.name] = error
            if gone:
                found.gone[archive.name] = gone
    return found


def _removals(
    there: Repository, config: DatabaseBackups, now: datetime
) -> list[tuple[str, Callable[[], object]]]:
    """What is to go, each with what removes it, in the order in which it goes."""
    archive, source = there.archive, there.source
    readable = there.readable()
    old = expired(readable, now, config.keep_days, there.is_good)
    ids = there.unlocked(old + there.abandoned(now - CUT_SHORT))
    whole = len(readable) == len(there.ids())
    kept = [one for one in readable if one.id not in ids]
    # the WAL of a backup whose manifest cannot be read now may be needed once it can
    wal = retention.removable(archive, source, needed_wal(kept)) if whole else []
    return [
        *((id_, partial(there.remove, id_)) for id_ in reversed(ids)),
        *((f"wal {one.segment.name}", partial(retention.remove, archive, one)) for one in wal),
    ]


def needed_wal(kept: Sequence[DatabaseBackup]) -> dict[str, list[tuple[int, Lsn]]]:
    """By server, where the WAL that each backup needs begins."""
    needed: dict[str, list[tuple[int, Lsn]]] = {}
    for one in kept:
        if one.start is not None:
            needed.setdefault(one.system, []).append((one.timeline, one.start))
    return needed


def newest_backups(platform: Platform, source: str) -> list[DatabaseAge]:
    """For every archive, the newest backup whose whole chain is there."""
    found = []
    for archive in archives(platform):
        there = repository(platform, source, archive)
        try:
            newest, ids = there.newest_good(), there.ids()
        except DataPlatformError as error:
            found.append(DatabaseAge(archive.name, None, str(error)))
            continue
        damaged = [id_ for id_ in ids if newest is None or id_ > newest.id]
        problem = (
            f"{len(damaged)} newer one(s) are damaged"
            if damaged
            else ""
            if newest
            else "it holds no backup yet"
        )
        found.append(DatabaseAge(archive.name, newest, problem, not ids))
    return found


def _commit(healthy: Sequence[Archive], backup: DatabaseBackup, failed: Failures) -> list[str]:
    stored = []
    for archive in healthy:
        try:
            Repository(archive, backup.source).commit(backup)
            stored.append(archive.name)
        except DataPlatformError as error:
            failed[archive.name] = error
    if not stored:
        raise next(iter(failed.values()), BackupError("There is no archive for the backup."))
    return stored
