"""The checks that fail now, and those that pass. Each call only reads what was written since the last one.
A check that has a status for each day counts once: by its evaluation of the whole table.

Dagster's own query for the latest evaluation of each check reads its whole history, and every event with it.
This module remembers the numbers of the current evaluations. It queries only newer ones, and whether planned ones
have been evaluated. The memory is only a cache: from time to time, everything is read again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from data_platform.defs.last_records import FINISHED, index_transaction

ANEW_EVERY = timedelta(minutes=10)
NUMBER_SLACK = 1000
"""Evaluations whose number is lower than the newest one by less than this may have been committed after it."""
AT_A_TIME = 500
FAILED = AssetCheckExecutionRecordStatus.FAILED.value
PASSED = AssetCheckExecutionRecordStatus.SUCCEEDED.value


@dataclass(frozen=True, slots=True)
class _Row:
    """A finished or planned evaluation: its number and its content."""

    id: int
    key: dg.AssetCheckKey
    status: str

    @property
    def finished(self) -> bool:
        return self.status in FINISHED


@dataclass
class LatestChecks:
    """``_rows`` holds the last finished evaluation of each check, and those that were planned after it."""

    _rows: dict[int, _Row] = field(default_factory=dict)
    _keys: frozenset[dg.AssetCheckKey] = frozenset()
    _reached: int = 0
    _anew_at: datetime | None = None
    _read: dict[int, AssetCheckExecutionRecord] = field(default_factory=dict)

    def failed(
        self, instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey], now: datetime
    ) -> dict[dg.AssetCheckKey, AssetCheckExecutionRecord]:
        """The checks of ``keys`` whose last finished evaluation failed, even if others were planned since."""
        return _records(instance, self._last(instance, keys, now, FAILED))

    def passed(
        self, instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey], now: datetime
    ) -> dict[dg.AssetCheckKey, AssetCheckExecutionRecord]:
        """The same of those that passed. A record that an earlier call has read is not read again."""
        last = self._last(instance, keys, now, PASSED)
        new = {number: key for number, key in last.items() if number not in self._read}
        read = {record.id: record for record in _records(instance, new).values()}
        self._read = {number: self._read[number] for number in last if number in self._read} | read
        return {last[number]: record for number, record in self._read.items()}

    def _last(
        self, instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey], now: datetime, status: str
    ) -> dict[int, dg.AssetCheckKey]:
        """The numbers of the last finished evaluations that have ``status``."""
        known = self._anew_at is not None and now < self._anew_at and self._keys == frozenset(keys)
        if not (known and self._follow(instance)):
            self._ask_anew(instance, frozenset(keys))
            self._anew_at = now + ANEW_EVERY
        return {row.id: row.key for row in _that_count(self._rows.values()) if row.status == status}

    def _follow(self, instance: dg.DagsterInstance) -> bool:
        """Read new evaluations and verify the known ones; False if some of these are gone."""
        from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table

        with index_transaction(instance) as connection:
            new = _rows(connection, Table.c.id > self._reached - NUMBER_SLACK, self._keys)
            again = []
            ids = sorted(self._rows)
            for start in range(0, len(ids), AT_A_TIME):
                again += _rows(connection, Table.c.id.in_(ids[start : start + AT_A_TIME]), self._keys)
        there = {row.id for row in again}
        if any(row.finished and row.id not in there for row in self._rows.values()):
            return False  # a planned one goes when its evaluation is stored after those of its days
        self._keep([*again, *new])
        return True

    def _ask_anew(self, instance: dg.DagsterInstance, keys: frozenset[dg.AssetCheckKey]) -> None:
        from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
        from sqlalchemy import func, select

        self._rows, self._keys = {}, keys
        latest = (
            select(func.max(Table.c.id))
            .where(Table.c.partition.is_(None))
            .group_by(Table.c.asset_key, Table.c.check_name)
        )
        with index_transaction(instance) as connection:
            self._reached = connection.execute(select(func.max(Table.c.id))).scalar() or 0
            found = _rows(connection, Table.c.id.in_(latest), keys)
        for row in list(found):
            if not row.finished:
                before = instance.event_log_storage.get_asset_check_execution_history(
                    *(row.key, 1, row.id, COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES),
                    partition_filter=PartitionKeyFilter(key=None),
                )
                found += [_Row(one.id, row.key, one.status.value) for one in before]
        self._keep(found)

    def _keep(self, rows: Collection[_Row]) -> None:
        last = {row.key: row.id for row in _that_count(rows)}
        self._rows = {row.id: row for row in rows if row.id >= last.get(row.key, 0)}
        self._reached = max([self._reached, *self._rows])


def _that_count(rows: Collection[_Row]) -> Collection[_Row]:
    """The last finished one of each check."""
    return {row.key: row for row in sorted(rows, key=lambda row: row.id) if row.finished}.values()


def _rows(connection: Any, which: Any, keys: Collection[dg.AssetCheckKey]) -> list[_Row]:
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from sqlalchemy import select

    columns = select(Table.c.id, Table.c.asset_key, Table.c.check_name, Table.c.execution_status)
    assets: dict[str, dg.AssetKey | None] = {}
    found = []
    for number, asset, name, status in connection.execute(columns.where(which, Table.c.partition.is_(None))):
        if asset not in assets:
            assets[asset] = dg.AssetKey.from_db_string(asset)
        owner = assets[asset]
        if owner is not None and (key := dg.AssetCheckKey(owner, name)) in keys:
            found.append(_Row(number, key, status))
    return found


def _records(
    instance: dg.DagsterInstance, wanted: Mapping[int, dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, AssetCheckExecutionRecord]:
    """The evaluations ``wanted``, with their events."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from sqlalchemy import select

    ids, found = sorted(wanted), {}
    with index_transaction(instance) as connection:
        for start in range(0, len(ids), AT_A_TIME):
            chosen = select(Table).where(Table.c.id.in_(ids[start : start + AT_A_TIME]))
            for row in connection.execute(chosen).mappings():
                key = wanted[row["id"]]
                found[key] = AssetCheckExecutionRecord.from_db_row(dict(row), key=key)
    return found


@dataclass(frozen=True, slots=True)
class Result:
    """The last result of a check: passed or failed ``at`` (Unix time); ``since``: when it first failed without having
    passed in between. ``evaluation`` is there of a failed one."""

    passed: bool
    at: float
    since: float
    evaluation: dg.AssetCheckEvaluation | None = None


def results(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, Result]:
    """The last finished evaluation of each of ``keys`` that has one."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from sqlalchemy import func, select

    finished = Table.c.execution_status.in_(FINISHED) & Table.c.partition.is_(None)
    latest = select(func.max(Table.c.id)).where(finished).group_by(Table.c.asset_key, Table.c.check_name)
    with index_transaction(instance) as connection:
        rows = _rows(connection, Table.c.id.in_(latest), frozenset(keys))
        columns = select(Table.c.id, Table.c.evaluation_event_timestamp).where(Table.c.id.in_(latest))
        times = {number: _unix(at) for number, at in connection.execute(columns)}
        since = {row.id: _failing_since(connection, row.key) for row in rows if row.status == FAILED}
    records = _records(instance, {row.id: row.key for row in rows if row.status == FAILED})
    return {
        row.key: Result(
            passed=row.status != FAILED,
            at=times[row.id],
            since=since.get(row.id) or times[row.id],
            evaluation=_evaluation(records.get(row.key)),
        )
        for row in rows
    }


def _failing_since(connection: Any, key: dg.AssetCheckKey) -> float | None:
    """When the first of the failures came that follow the last success of ``key``."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from sqlalchemy import func, select

    ours = (
        Table.c.asset_key == key.asset_key.to_string(),
        Table.c.check_name == key.name,
        Table.c.partition.is_(None),
    )
    passed = (
        select(func.coalesce(func.max(Table.c.id), 0))
        .where(*ours, Table.c.execution_status.in_(FINISHED), Table.c.execution_status != FAILED)
        .scalar_subquery()
    )
    first = select(func.min(Table.c.id)).where(*ours, Table.c.execution_status == FAILED, Table.c.id > passed)
    at = connection.execute(
        select(Table.c.evaluation_event_timestamp).where(Table.c.id == first.scalar_subquery())
    ).scalar()
    return None if at is None else _unix(at)


def _unix(at: datetime) -> float:
    """The column keeps UTC and does not say so."""
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _evaluation(record: AssetCheckExecutionRecord | None) -> dg.AssetCheckEvaluation | None:
    event = record.event.dagster_event if record is not None and record.event else None
    found = event.event_specific_data if event else None
    return found if isinstance(found, dg.AssetCheckEvaluation) else None
