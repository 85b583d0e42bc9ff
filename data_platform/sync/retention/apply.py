"""What is beyond the rules, and its removal: each step may be done again, and what is done is in the log."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from data_platform.audit.event import Event
from data_platform.backups.mirror import mirror, place_in
from data_platform.duckdb_sql import DIALECT
from data_platform.errors import ConfigurationError, WarehouseError
from data_platform.landing.manifest import Manifest
from data_platform.privacy.erasure.frozen import condition
from data_platform.privacy.retention.requests import STEPS, Application
from data_platform.privacy.retention.rule import AgedModel, Limit
from data_platform.sync.erasing.copying import copy_decisions
from data_platform.sync.erasing.landing import Gone, redact, values_of
from data_platform.sync.erasing.traces import Said, archives_of, forget_samples, write_again
from data_platform.sync.load import load_pending
from data_platform.sync.platform import Platform
from data_platform.sync.retention.book import Book
from data_platform.sync.retention.limits import Spared, beyond, beyond_in_model, count, limit_of, spared
from data_platform.tables import Column, TableId, is_day
from data_platform.warehouses import Relation, Warehouse

GRACE = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Beyond:
    """``rows`` of the raw table are beyond ``limit``, ``late`` of them by more than two days."""

    limit: Limit
    rows: int
    late: int


def plan(platform: Platform, only: Collection[TableId] = ()) -> list[Beyond]:
    """What the rules would do now, to all tables that have one or to ``only`` some. Nothing is changed."""
    ruled = [table for table in platform.catalog.ruled_by_retention() if not only or table.id in only]
    if not ruled or not platform.environment.warehouse.exists(platform.catalog.root):
        return [Beyond(limit_of(platform, table), 0, 0) for table in ruled]
    kept, found = spared(platform), []
    with platform.warehouse(read_only=True) as warehouse:
        tables = _tables(warehouse)
        for table in ruled:
            limit = limit_of(platform, table)
            late = Limit(limit.table, limit.by, limit.before - GRACE, limit.timezone, limit.blank)
            held = tables.get((table.id.raw_schema, table.id.table))
            found.append(Beyond(limit, *(_count(warehouse, held, one, kept) for one in (limit, late))))
    return found


def ask(platform: Platform, found: Sequence[Beyond], authorised_by: str) -> Application | None:
    """Write what is to be applied into the log, which is what makes it happen: from then on no sync lands a row that is older. None where
    no row is."""
    chosen = {one.limit.table: one for one in found if one.rows}
    if not chosen:
        return None
    if not authorised_by.strip():
        raise ConfigurationError("Say who authorised it.")
    book = Book(platform)
    limits = {table: one.limit for table, one in chosen.items()}
    rows = {str(table): one.rows for table, one in chosen.items()}
    made = Application(uuid.uuid4().hex, limits, rows, authorised_by)
    book.log.append([made.entry()])
    return book.application(made.id)


@dataclass(frozen=True, slots=True)
class Work:
    platform: Platform
    application: Application
    kept: Spared
    models: Sequence[AgedModel]


def carry_out(
    platform: Platform,
    id_: str,
    models: Callable[[], Sequence[AgedModel]],
    progress: Callable[[str], None] = lambda _: None,
) -> Application:
    """Do what is left of an application, and return it as it is then."""
    book = Book(platform)
    application = book.application(id_)
    if application.next_step is None:
        return application
    work = Work(platform, application, spared(platform), models())
    event = Event("retention", tuple(map(str, application.limits)), details={"application": id_})
    with platform.trail.audited(event):
        for step in STEPS:
            if step not in application.done:
                progress(step)
                book.log.append([application.finished(step, _STEPS[step](work))])
    return book.application(id_)


def unfinished(platform: Platform) -> list[Application]:
    """The applications that stopped on the way."""
    return [one for one in Book(platform).read().values() if one.next_step is not None]


def apply_to(
    warehouse: Warehouse, limits: Mapping[TableId, Limit], kept: Spared, models: Sequence[AgedModel]
) -> dict[str, int]:
    """Take what is beyond ``limits`` out of the raw tables and the models' tables of ``warehouse``; how many rows, by relation."""
    tables = _tables(warehouse)
    said: dict[str, int] = {}
    for table, limit in limits.items():
        held = tables.get((table.raw_schema, table.table))
        if held is not None:
            _lose(warehouse, held, limit, beyond(warehouse, held, limit, kept), limit.blank, said)
    for model in models:
        held = tables.get((model.schema, model.name))
        if model.table not in limits or held is None or kept.matches.get(model.table):
            continue  # of a model nobody can tell whose rows a hold keeps
        limit = limits[model.table]
        blank = tuple(mine for theirs, mine in model.columns.items() if theirs in limit.blank)
        rows = beyond_in_model(warehouse, held, model.by, limit, blank)
        _lose(warehouse, held, limit, rows, blank, said)
    return said


def _landing(work: Work) -> Said:
    """Landed parts are written anew without the rows, or without what they say of anybody."""
    said: Said = {}
    one = work.application
    for table, limit in one.limits.items():
        redact(
            work.platform, table, _gone(limit, work.kept), reason=one.reason, authorised_by=one.authorised_by
        )
        parts = [
            part
            for manifest in work.platform.ledger.redactions(table)
            if manifest.redaction and manifest.redaction.reason == one.reason
            for part in manifest.redaction.parts
        ]
        if parts:
            said[str(table)] = {"parts": len(parts)}
    return said


def _warehouse(work: Work) -> Said:
    """The redactions are loaded; what is left then goes by itself. WarehouseError where a raw row is left."""
    platform, limits = work.platform, work.application.limits
    for table in limits:
        if platform.ledger.head(table) is not None:
            load_pending(platform, table)
    with platform.warehouse() as warehouse:
        said: Said = dict(apply_to(warehouse, limits, work.kept, work.models))
        tables = _tables(warehouse)
        for table, limit in limits.items():
            if left := _count(warehouse, tables.get((table.raw_schema, table.table)), limit, work.kept):
                raise WarehouseError(
                    f"{table.raw_name} still holds {left:,} rows that are older than {limit.before}. Run `data-platform retention apply"
                    f" --continue {work.application.id}` again."
                )
    if work.kept.holds:
        said["holds"] = list(work.kept.holds)
    return said


def _samples(work: Work) -> Said:
    with work.platform.warehouse() as warehouse:
        return {"rows": forget_samples(warehouse)}


def _file(work: Work) -> Said:
    return write_again(work.platform)


def _copies(work: Work) -> Said:
    said: Said = {}
    for archive in archives_of(work.platform):
        done = mirror(work.platform.ledger, archive, list(work.application.limits))
        copy_decisions(work.platform, place_in(archive))
        said[archive.name] = {"parts": done.parts}
    return said


_STEPS: Mapping[str, Callable[[Work], Said]] = {
    "landing": _landing,
    "warehouse": _warehouse,
    "samples": _samples,
    "file": _file,
    "copies": _copies,
}


def _gone(limit: Limit, kept: Spared) -> Gone:
    matches = kept.matches.get(limit.table, ())
    values = {key: kept.values[key] for _, key in matches}

    def rows(columns: Sequence[Column]) -> str:
        types = {column.name: column.type for column in columns}
        if limit.by not in types:
            return "false"
        there = limit.only(tuple(types))
        if limit.blank and not there.blank:
            return "false"
        stay = condition(DIALECT, matches, values_of, types) if matches else ""
        return there.condition(DIALECT, types[limit.by], stay)

    def passed(batch: Manifest) -> bool:
        """Whether all rows of a batch are younger, by the days that it says it touched."""
        layout = batch.layout
        if layout.partition != limit.by or layout.timezone != limit.timezone or not batch.touched:
            return False
        return all(is_day(slice_) and slice_ >= limit.before.isoformat() for slice_ in batch.touched)

    return Gone(values, rows, limit.blank, passed)


def _lose(
    warehouse: Warehouse,
    held: Relation,
    limit: Limit,
    rows: str | None,
    blank: Sequence[str],
    said: dict[str, int],
) -> None:
    if rows is None or not (found := count(warehouse, held, rows)):
        return
    if limit.blank:
        there = [column for column, _ in held.columns if column in blank]
        warehouse.blank_rows(held.schema, held.name, there, [rows])
    else:
        warehouse.remove_rows(held.schema, held.name, [rows])
    said[f"{held.schema}.{held.name}"] = found


def _count(warehouse: Warehouse, held: Relation | None, limit: Limit, kept: Spared) -> int:
    rows = None if held is None else beyond(warehouse, held, limit, kept)
    return 0 if held is None or rows is None else count(warehouse, held, rows)


def _tables(warehouse: Warehouse) -> dict[tuple[str, str], Relation]:
    return {(one.schema, one.name): one for one in warehouse.describe() if one.kind == "table"}
