"""Recovers one instant of the whole company into one folder, and proves that its parts agree.

```
archive ──▶ database/<source>/   each server at the instant, paused there: same timeline, read only
        ──▶ landing/             every batch read of the sources up to the instant
        ──▶ warehouse.duckdb     the last backup before it, and the batches since; else all batches
        ──▶ dagster/             Dagster's records of that backup
             then: what the servers hold beyond the last batch is read, and every table compared
```

Nothing outside the folder is written, and nothing but the archive is read: neither the sources nor the landing store nor
the warehouse need exist any more.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from data_platform.backups import restore as restoring
from data_platform.backups.archive import Archive
from data_platform.backups.config import PRIMARY
from data_platform.backups.landing import restore_ledger
from data_platform.backups.manifest import LedgerHead, made_at
from data_platform.backups.mirror import place_in
from data_platform.errors import BackupError, ConfigurationError, DataPlatformError
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.local_postgres import make_reachable
from data_platform.private_files import make_private
from data_platform.stores.kinds import in_folder
from data_platform.sync.agreement import agreements
from data_platform.sync.backup import archive, archives, waiting_back
from data_platform.sync.database_backup import backed_up, is_continuous
from data_platform.sync.erasing.copying import decisions_back
from data_platform.sync.erasing.derived import Derived
from data_platform.sync.erasing.restored import Forgetting, asked_after, forgetting
from data_platform.sync.figures import compute
from data_platform.sync.load import load_pending
from data_platform.sync.platform import Platform
from data_platform.sync.recovered import Recovered
from data_platform.sync.recovery import DRILLS, paused_database, recover_database, room, windows
from data_platform.sync.run import sync_changes
from data_platform.sync.witness import led_to
from data_platform.tables import TableId
from data_platform.warehouses.kinds import in_file

LANDING, WAREHOUSE, DATABASES = "landing", "warehouse.duckdb", "database"
RECORDS, EVIDENCE = "dagster", "evidence.json"

Step = Callable[[str], None]
"""Called with what begins now."""


def recover_everything(
    platform: Platform,
    at: datetime,
    into: Path,
    *,
    copy: str = PRIMARY,
    step: Step | None = None,
    derived: Callable[[], Sequence[Derived]] = list,
) -> Recovered:
    """Recover the state of ``at`` (with its zone) into the folder ``into``, from the archive ``copy`` alone. Raw tables and the models of
    ``derived`` come without the people who were erased.

    The folder must be new or empty. Raises ConfigurationError for an instant in the future, BackupError for one that a
    database's backups do not reach (the window is in the message), and BackupDamaged for an object that is not as it
    was written. What was recovered and does not agree is in the result, never silent.
    """
    refuse(platform, at, into)
    chosen = archive(platform, copy)
    timed = Timed(step or (lambda _: None))
    make_reachable(into / DATABASES)
    for folder in (into / LANDING, into / RECORDS):
        make_private(folder)
    with ExitStack() as stack:
        servers, commands, dumps = {}, {}, []
        for source in backed_up(platform):
            folder = into / DATABASES / source
            with timed(f"database {source}"):
                if not is_continuous(platform, source):
                    report = recover_database(platform, source, at, folder, copy=copy)
                    dumps.append(
                        f"{source}: its backups are dumps, so its database is of {report.at.isoformat()}, and no row has the"
                        " version that landed: it is not compared."
                    )
                else:
                    servers[source] = stack.enter_context(
                        paused_database(platform, source, at, folder, copy=copy, keep=True)
                    )
                    report = servers[source].report
            commands[source] = report.start_command
        recovered = rebased(platform, into, {name: server.url for name, server in servers.items()})
        with timed("landing store"):
            cut = cut_at(chosen, platform, at)
            landing = restore_ledger(chosen, cut.heads, recovered.store, platform.environ)
            decisions_back(platform, place_in(chosen), recovered.store)  # before anything is read
            back = waiting_back(platform, chosen, recovered.store, at)
            landing = replace(
                landing, deliveries=len(back.objects), damaged=(*landing.damaged, *back.damaged)
            )
        with timed("warehouse"):
            backup = _restore_backup(platform, chosen, cut, into, forgetting(recovered, derived))
            _replay(recovered, cut)
            (into / WAREHOUSE).chmod(0o600)
        with timed("comparison"):
            read, failed = _catch_up(recovered, list(servers), cut)
            landed = {table.source for table in cut.tables}
            agreed = [
                one for name in servers if name in landed for one in agreements(recovered, name, cut.tables)
            ]
    found = Recovered(
        at=at,
        archive=chosen.name,
        backup=backup,
        databases=commands,
        landing=landing,
        read=read,
        agreed=tuple(agreed),
        apart=(*cut.apart, *dumps, *failed),
        erased_since=tuple(asked_after(recovered, at)),
        seconds=timed.seconds,
    )
    (into / EVIDENCE).write_text(json.dumps(found.evidence(), indent=2, ensure_ascii=False) + "\n")
    return found


@dataclass(frozen=True)
class WholeDrill:
    """One archive's drill, which ``seed`` chose the instant of. ``found`` is None if nothing was recovered, and ``problems``
    say why; otherwise they say what did not agree."""

    archive: str
    seed: int
    found: Recovered | None
    problems: tuple[str, ...]
    seconds: float


def drill_everything(platform: Platform, seed: int) -> list[WholeDrill]:
    """Recover everything from each archive to a random second that all databases reach, query what the recovered warehouse is
    asked for daily, and remove the result. Failures are in the drills and not raised."""
    drills = []
    for one in archives(platform):
        began = time.monotonic()
        found, problems = None, []
        try:
            at = random_instant(platform, one.name, seed)
            with room(platform.catalog.root / DRILLS) as folder:
                found = recover_everything(platform, at, folder / "all", copy=one.name)
                problems = [*found.problems, *_canaries(platform, folder / "all", found)]
            if not found.proven and not problems:
                problems = ["nothing could be compared"]
        except DataPlatformError as error:
            problems = [str(error)]
        drills.append(WholeDrill(one.name, seed, found, tuple(problems), time.monotonic() - began))
    return drills


def random_instant(platform: Platform, copy: str, seed: int) -> datetime:
    """A millisecond that every database reaches in the archive ``copy``, and by when something of them had landed. BackupError
    where there is none."""
    sources = [source for source in backed_up(platform) if is_continuous(platform, source)]
    if not sources:
        raise BackupError(
            "No source has a database that can be recovered to any second, so there is nothing to compare."
        )
    newest = []
    for source in sources:
        reach = [one for one in windows(platform, source) if one.archive == copy]
        if not reach:
            raise BackupError(f"The archive {copy} holds no backup of the database of {source}.")
        newest.append(reach[-1])
    first = max(_landed_first(platform, copy, sources), *(one.first for one in newest))
    last = min(one.last for one in newest)
    if last < first:
        raise BackupError(f"The archive {copy} holds no instant at which all databases can be had.")
    length = (last - first).total_seconds()
    return first + timedelta(milliseconds=int(random.Random(seed).random() * length * 1000))


def _landed_first(platform: Platform, copy: str, sources: Sequence[str]) -> datetime:
    """When the first batch of a table of ``sources`` landed that the archive holds."""
    mirrored = Ledger(place_in(archive(platform, copy)).reader, platform.environ)
    tables = [table for table in platform.catalog.table_ids() if table.source in sources]
    found = [mirrored.read(table, 1).landed_at for table in tables if mirrored.last(table)]
    if not found:
        raise BackupError(
            f"The archive {copy} holds nothing yet that landed of {', '.join(sources)}: `data-platform backup run` copies it."
        )
    return min(found)


def _canaries(platform: Platform, into: Path, found: Recovered) -> list[str]:
    """The business figures, asked of the recovered warehouse: a line for each that it cannot answer. Without a backup of the
    warehouse there are no marts to ask."""
    if not found.backup or not platform.environment.warehouse.traits.in_files:
        return []
    with rebased(platform, into, {}).warehouse(read_only=True) as warehouse:
        series = [compute(warehouse, figure) for figure in platform.catalog.figures]
    return [f"the figure {one.name} cannot be computed: {one.error}" for one in series if one.error]


@dataclass(frozen=True)
class Cut:
    """``heads`` are how far each ledger is restored; ``tables`` those whose ledger ends at the instant. ``apart`` says why
    another one does not."""

    at: datetime
    heads: tuple[LedgerHead, ...]
    tables: frozenset[TableId]
    apart: tuple[str, ...]


def cut_at(chosen: Archive, platform: Platform, at: datetime) -> Cut:
    """The last batch of every table that was read and had landed by ``at``, by the clocks of its source and of ours."""
    mirrored = Ledger(place_in(chosen).reader, platform.environ)
    heads, tables, apart = [], set(), []
    for table in platform.catalog.table_ids():
        erased, last = 0, None
        for one in mirrored.newest_first(table):
            erased = max(erased, one.last_redaction or 0)
            if _was_there(one, at):
                last = one
                break
        if last is None:
            continue
        heads.append(LedgerHead(str(table), last.sequence, last.digest))
        if erased <= last.sequence:
            tables.add(table)
        else:
            apart.append(
                f"{table}: people were erased from it by batch {erased}, after {at.isoformat()}. Its landing store is recovered up"
                " to that batch, so that they stay erased, and is not compared."
            )
    return Cut(at, tuple(heads), frozenset(tables), tuple(apart))


def _was_there(manifest: Manifest, at: datetime) -> bool:
    return manifest.landed_at <= at and datetime.fromisoformat(manifest.snapshot.taken_at) <= at


def refuse(platform: Platform, at: datetime, into: Path) -> None:
    if at.tzinfo is None or at > platform.clock():
        raise ConfigurationError(
            f"{at.isoformat()} is in the future or has no zone. Choose an instant in the past, such as"
            f" {platform.clock().isoformat(timespec='seconds')}."
        )
    if into.exists() and any(into.iterdir()):
        raise BackupError(f"{into} is not empty. Choose a new folder; nothing was changed.")


def rebased(platform: Platform, into: Path, urls: Mapping[str, str]) -> Platform:
    """``platform`` over what is in the folder ``into``: its landing store, its warehouse, and of ``urls`` the sources'
    servers."""
    environ = led_to(platform, urls)
    store = in_folder(into / LANDING)
    return replace(
        platform,
        environment=platform.environment.model_copy(update={"warehouse": in_file(into / WAREHOUSE)}),
        environ=environ,
        store=store,
        ledger=Ledger(store, environ, platform.signer),
        rules_with_load=False,
    )


def _restore_backup(
    platform: Platform, chosen: Archive, cut: Cut, into: Path, then: Forgetting | None
) -> str | None:
    """The newest backup that holds nothing later than the cut: its warehouse where that is a file, and Dagster's records.
    None if there is none: then the ledger alone makes the warehouse."""
    ends = {head.table: head.sequence for head in cut.heads}
    for id_ in reversed(chosen.ids()):
        if made_at(id_) > cut.at:
            continue
        manifest = chosen.manifest(id_)
        if any(head.sequence > ends.get(head.table, 0) for head in manifest.ledger):
            continue
        if platform.environment.warehouse.traits.in_files:
            target = in_file(into / WAREHOUSE)
            restoring.restore(chosen, manifest, target, platform.catalog.root, then=then)
        restoring.restore_files(chosen, manifest, into / RECORDS)
        return id_
    return None


def _replay(recovered: Platform, cut: Cut) -> None:
    """Load what landed since the backup; of a table that is not compared too: it is as its ledger says."""
    with recovered.warehouse(landed=True) as warehouse:
        for head in cut.heads:
            table = TableId.parse(head.table)
            load_pending(recovered, table, warehouse=warehouse)


def _catch_up(recovered: Platform, sources: Sequence[str], cut: Cut) -> tuple[dict[str, int], list[str]]:
    """Read what the recovered servers hold beyond the last batch: it was committed before the instant and had not landed
    by then. Rows that were deleted since leave no trace but in a count, so every slice is counted. Returns by source the
    rows that were read, and a line for each table that could not be.
    """
    read: dict[str, int] = {}
    failed = []
    for source in sources:
        tables = [
            name for name in recovered.catalog.source(source).tables if TableId(source, name) in cut.tables
        ]
        for report in sync_changes(recovered, source, tables, verify=True):
            landed = (*report.steps, *((report.manifest,) if report.manifest else ()))
            read[source] = read.get(source, 0) + sum(batch.rows for batch in landed)
            if report.error is not None:
                failed.append(f"{report.table} could not be read from the recovered server: {report.error}")
    return read, failed


class Timed:
    """``with timed("step"):`` reports the step and keeps its seconds."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._step(name)
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
