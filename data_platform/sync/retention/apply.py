"""What is beyond the rules, and its removal: each step may be done again, and what is done is in the log."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from data_platform.audit.event import Event
from data_platform.duckdb_sql import DIALECT
from data_platform.errors import ConfigurationError, WarehouseError
from data_platform.landing.manifest import Manifest
from data_platform.landing.redaction import redaction_key
from data_platform.privacy.retention.requests import STEPS, Application
from data_platform.privacy.retention.rule import AgedModel, Limit
from data_platform.sync.erasing.landing import Gone, count_landed, redact
from data_platform.sync.erasing.traces import Said, forget_samples, to_copies, write_again
from data_platform.sync.load import load_pending
from data_platform.sync.platform import Platform
from data_platform.sync.retention import rejected
from data_platform.sync.retention.book import Book
from data_platform.sync.retention.limits import (
    Expired,
    Spared,
    beyond,
    holds_now,
    in_model,
    limit_of,
    spared,
)
from data_platform.tables import Column, TableId, is_day
from data_platform.warehouses import Relation, Warehouse
from data_platform.warehouses.counted import count_rows
from data_platform.warehouses.dialect import relation

GRACE = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Beyond:
    """``rows`` of the raw table are beyond ``limit``, ``late`` of them by more than two days; ``spared`` more stay since somebody is on hold,
    and ``undated`` ones have no day. ``oldest`` is the first day or time as text. ``landed`` counts landed rows, of which some are older
    versions of a row or of rows that the source deleted. ``rejected`` counts records in quarantine, of which ``rejected_late`` are beyond the
    limit by more than two days."""

    limit: Limit
    rows: int = 0
    late: int = 0
    spared: int = 0
    undated: int = 0
    oldest: str | None = None
    landed: int = 0
    rejected: int = 0
    rejected_late: int = 0

    @property
    def fields(self) -> dict[str, str | int]:
        """What people are shown of it, by the name of the column; counts are whole numbers."""
        limit = self.limit
        return {
            "table": str(limit.table),
            "kept from": limit.before.isoformat(),
            "by": limit.by,
            "then": f"anonymise {', '.join(limit.blank)}" if limit.blank else "delete",
            "oldest": self.oldest or "",
            "rows older": self.rows,
            "landed": self.landed,
            "in quarantine": self.rejected,
            "on hold": self.spared,
            "no date": self.undated,
        }


def plan(platform: Platform, only: Collection[TableId] = (), *, thorough: bool = False) -> list[Beyond]:
    """What the rules would do now, to all tables that have one or to ``only`` some. Nothing is changed. Of the landing store those batches
    are read that touched a day beyond the limit; with ``thorough`` those too whose days are not known, since `by` is no partition."""
    ruled = [table for table in platform.catalog.ruled_by_retention() if not only or table.id in only]
    kept = spared(platform, holds_now(platform)) if ruled else Spared()
    now = [Expired(limit_of(platform, table), kept) for table in ruled]
    raw = _in_raw(platform, now)
    return [_beside_raw(platform, raw.get(one.limit.table, Beyond(one.limit)), one, thorough) for one in now]


def _beside_raw(platform: Platform, found: Beyond, one: Expired, thorough: bool) -> Beyond:
    """With what is beyond the limit in the landing store and in quarantine."""
    waits = rejected.aged(platform, one, GRACE)
    landed = count_landed(platform, one.limit.table, _gone(one, unknown=thorough))
    return replace(found, landed=landed, rejected=waits.count, rejected_late=waits.late)


def _in_raw(platform: Platform, now: Sequence[Expired]) -> dict[TableId, Beyond]:
    if not now or not platform.environment.warehouse.exists(platform.catalog.root):
        return {}
    found = {}
    with platform.warehouse(read_only=True) as warehouse:
        tables = _tables(warehouse)
        for one in now:
            table = one.limit.table
            held = tables.get((table.raw_schema, table.table))
            if held is not None and (rows := beyond(warehouse, held, one)) is not None:
                found[table] = _counted(warehouse, held, one, rows)
    return found


def _counted(warehouse: Warehouse, held: Relation, one: Expired, rows: str) -> Beyond:
    limit, dialect, columns = one.limit, warehouse.dialect, dict(held.columns)
    late = replace(limit, before=limit.before - GRACE)
    by, stay = dialect.quote(limit.by), one.stay(dialect, columns)
    everybody = Expired(limit, Spared()).rows(dialect, columns)
    tests = [
        rows,
        str(Expired(late, one.spared).rows(dialect, columns)),
        f"({everybody} AND {stay})" if stay else "1 = 0",
        f"{by} IS NULL",
    ]
    counts = ", ".join(map(dialect.count_where, tests))
    target = relation(dialect, held.schema, held.name)
    asked = f"SELECT {counts}, {dialect.try_cast(f'min({by})', 'text')} FROM {target}"
    *numbers, oldest = warehouse.query(asked).rows[0]
    beyond_, overdue, stays, undated = map(int, numbers)
    return Beyond(limit, beyond_, overdue, stays, undated, None if oldest is None else str(oldest))


def ask(platform: Platform, found: Sequence[Beyond], authorised_by: str) -> Application | None:
    """Write what is to be applied into the log, which is what makes it happen: from then on no sync lands a row that is older. None where
    no row is. ConfigurationError without the secret of redactions."""
    chosen = {one.limit.table: one for one in found if one.rows or one.landed or one.rejected}
    if not chosen:
        return None
    if not authorised_by.strip():
        raise ConfigurationError("Say who authorised it.")
    redaction_key(platform.environ)
    book = Book(platform)
    limits = {table: one.limit for table, one in chosen.items()}
    rows = {str(table): one.rows for table, one in chosen.items()}
    made = Application(uuid.uuid4().hex, limits, rows, authorised_by, holds_now(platform))
    book.log.append([made.entry()])
    return book.application(made.id)


@dataclass(frozen=True, slots=True)
class Work:
    platform: Platform
    application: Application
    expired: Mapping[TableId, Expired]
    models: Sequence[AgedModel]


def carry_out(
    platform: Platform,
    id_: str,
    models: Callable[[], Sequence[AgedModel]],
    progress: Callable[[str], None] = lambda _: None,
) -> Application:
    """Do what is left of an application, and return it as it is then. A hold of since it was asked keeps nothing."""
    book = Book(platform)
    application = book.application(id_)
    if application.next_step is None:
        return application
    kept = spared(platform, application.holds)
    expired = {table: Expired(limit, kept) for table, limit in application.limits.items()}
    work = Work(platform, application, expired, models())
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
    warehouse: Warehouse, expired: Mapping[TableId, Sequence[Expired]], models: Sequence[AgedModel]
) -> dict[str, int]:
    """Take what is ``expired`` out of the raw tables and the models' tables of ``warehouse``; how many rows, by relation."""
    tables = _tables(warehouse)
    said: dict[str, int] = {}
    for table, some in expired.items():
        if (held := tables.get((table.raw_schema, table.table))) is not None:
            for one in some:
                _lose(warehouse, held, one, said)
    for model in models:
        if (held := tables.get((model.schema, model.name))) is not None:
            for one in expired.get(model.table, ()):
                if (mine := in_model(one, model)) is not None:
                    _lose(warehouse, held, mine, said)
    return said


def _landing(work: Work) -> Said:
    """Landed parts are written anew without the rows, or without what they say of anybody. Records in quarantine go."""
    said: Said = {}
    one = work.application
    for table, expired in work.expired.items():
        redact(work.platform, table, _gone(expired), reason=one.reason, authorised_by=one.authorised_by)
        parts = [
            part
            for manifest in work.platform.ledger.redactions(table)
            if manifest.redaction and manifest.redaction.reason == one.reason
            for part in manifest.redaction.parts
        ]
        records = rejected.take_out(work.platform, expired, one.quarantine_reason, one.authorised_by)
        counts = {"parts": len(parts), "records_in_quarantine": records}
        if found := {what: number for what, number in counts.items() if number}:
            said[str(table)] = found
    return said


def _warehouse(work: Work) -> Said:
    """The redactions are loaded; what is left then goes by itself. WarehouseError where a raw row is left. Models whose rows last and that do
    not hand on what tells the rows are named."""
    platform, expired = work.platform, work.expired
    for table in expired:
        if platform.ledger.head(table) is not None:
            load_pending(platform, table)
    with platform.warehouse() as warehouse:
        said: Said = dict(apply_to(warehouse, {table: [one] for table, one in expired.items()}, work.models))
        tables = _tables(warehouse)
        for table, one in expired.items():
            held = tables.get((table.raw_schema, table.table))
            rows = None if held is None else beyond(warehouse, held, one)
            if (
                held is not None
                and rows is not None
                and (left := count_rows(warehouse, held.schema, held.name, rows))
            ):
                raise WarehouseError(
                    f"{table.raw_name} still holds {left:,} rows that are older than {one.limit.before}. Run `data-platform retention apply"
                    f" --continue {work.application.id}` again."
                )
        untold = {
            model.label
            for model in work.models
            if model.table in expired
            and (model.schema, model.name) in tables
            and in_model(expired[model.table], model) is None
        }
    if work.application.holds:
        said["holds"] = [one.name for one in work.application.holds]
    if untold:
        said["full_refresh"] = sorted(untold)
    return said


def _samples(work: Work) -> Said:
    with work.platform.warehouse() as warehouse:
        return {"rows": forget_samples(warehouse)}


def _file(work: Work) -> Said:
    return write_again(work.platform)


def _copies(work: Work) -> Said:
    return to_copies(work.platform, list(work.application.limits))


_STEPS: Mapping[str, Callable[[Work], Said]] = {
    "landing": _landing,
    "warehouse": _warehouse,
    "samples": _samples,
    "file": _file,
    "copies": _copies,
}


def _gone(one: Expired, unknown: bool = True) -> Gone:
    """The landed rows that go, or lose columns. Batches that touched younger days alone are passed, and without ``unknown`` those whose days
    are not known."""
    limit = one.limit

    def rows(columns: Sequence[Column]) -> str:
        return one.rows(DIALECT, {column.name: column.type for column in columns}) or "false"

    def passed(batch: Manifest) -> bool:
        """Whether all rows of a batch are younger, by the days that it says it touched."""
        layout = batch.layout
        if layout.partition != limit.by or layout.timezone != limit.timezone or not batch.touched:
            return not unknown
        return all(is_day(slice_) and slice_ >= limit.before.isoformat() for slice_ in batch.touched)

    return Gone({}, rows, limit.blank, passed)


def _lose(warehouse: Warehouse, held: Relation, one: Expired, said: dict[str, int]) -> None:
    rows = beyond(warehouse, held, one)
    if rows is None or not (found := count_rows(warehouse, held.schema, held.name, rows)):
        return
    if one.limit.blank:
        there = [column for column, _ in held.columns if column in one.limit.blank]
        warehouse.blank_rows(held.schema, held.name, there, [rows])
    else:
        warehouse.remove_rows(held.schema, held.name, [rows])
    name = f"{held.schema}.{held.name}"
    said[name] = said.get(name, 0) + found


def _tables(warehouse: Warehouse) -> dict[tuple[str, str], Relation]:
    return {(one.schema, one.name): one for one in warehouse.describe() if one.kind == "table"}
