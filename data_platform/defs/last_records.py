"""Dagster's record of an asset's last materialization, and which checks count for it.

Freshness reads the time of the last materialization; a check is shown, and holds back what
follows, only while its last evaluation belongs to that materialization. Two things follow
that Dagster has no event for:

- A look that found nothing changes nothing, but counts for freshness. A new materialization
  would hide every check and all metadata, each look, and fill the event log. ``touch`` moves
  the time of the last one instead.
- A check that a run did not select still says what it last found. ``carry_checks`` makes its
  last evaluation belong to the newest materialization; the time at which it was evaluated stays.

Both write columns that Dagster's SQLite and PostgreSQL storage share. These are names that Dagster
keeps to itself, which is why its version is pinned; a test reads the result through its own API.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
)

FINISHED = [status.value for status in COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES]


def last_materializations(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]
) -> dict[dg.AssetKey, dg.EventLogRecord]:
    """The last materialization of each of ``keys`` that has one, of a partition or of the whole."""
    found: dict[dg.AssetKey, dg.EventLogRecord] = {}
    for record in instance.get_asset_records(list(keys)) if keys else ():
        last = record.asset_entry.last_materialization_record
        if last is not None:
            found[record.asset_entry.asset_key] = last
    return found


def newest_of_run(
    instance: dg.DagsterInstance, run_id: str, key: dg.AssetKey
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """The newest materialization of ``key`` where it is of the run ``run_id``: a row of the log's index, without
    the event."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Table
    from sqlalchemy import select

    ours = (
        Table.c.asset_key == key.to_string(),
        Table.c.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value,
    )
    columns = select(Table.c.id, Table.c.run_id, Table.c.timestamp)
    with index_transaction(instance) as connection:
        row = connection.execute(columns.where(*ours).order_by(Table.c.id.desc()).limit(1)).first()
    if row is None or row[1] != run_id:
        return None
    return _target(*row)


def newest_of_partitions(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[str]
) -> dict[str, AssetCheckEvaluationTargetMaterializationData]:
    """What Dagster takes for the newest materialization of each of ``partitions``: its own, or a later one of the whole table. The
    latter counts only while it is the last of all."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Table
    from sqlalchemy import func, select

    if not partitions:
        return {}
    made = (
        Table.c.asset_key == key.to_string(),
        Table.c.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value,
    )
    columns = select(Table.c.partition, Table.c.id, Table.c.run_id, Table.c.timestamp)
    newest = select(func.max(Table.c.id)).where(*made, Table.c.partition.is_not(None))
    with index_transaction(instance) as connection:
        last = connection.execute(columns.where(*made).order_by(Table.c.id.desc()).limit(1)).first()
        if last is None:
            return {}
        if last[0] is None:
            return dict.fromkeys(partitions, _target(*last[1:]))
        rows = connection.execute(columns.where(Table.c.id.in_(newest.group_by(Table.c.partition)))).all()
    return {row[0]: _target(*row[1:]) for row in rows if row[0] in partitions}


def _target(storage_id: int, run_id: str, at: datetime) -> AssetCheckEvaluationTargetMaterializationData:
    stored_at = at.replace(tzinfo=UTC)  # the column keeps UTC and says no zone
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=storage_id, run_id=run_id, timestamp=stored_at.timestamp()
    )


class LastMaterializations:
    """The same, asked again and again by one process: only what another has come for is read anew.

    To read one takes a millisecond, most of it for its metadata; of 2,000 tables few have moved since the last tick.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, dg.EventLogRecord]] = {}

    def of(
        self, instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]
    ) -> dict[dg.AssetKey, dg.EventLogRecord]:
        stored = {key: _stored(text, details) for key, text, details in _rows(instance, keys)}
        found: dict[dg.AssetKey, dg.EventLogRecord] = {}
        for key, digest in stored.items():
            known = self._known.get(key.to_string())
            if known is not None and known[0] == digest:
                found[key] = known[1]
        # what came in between is read once more by the next look, since its digest is another
        anew = last_materializations(instance, [key for key in stored if key not in found])
        self._known = {key.to_string(): (stored[key], one) for key, one in {**found, **anew}.items()}
        return {**found, **anew}


def _rows(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]
) -> Iterator[tuple[dg.AssetKey, str, str]]:
    from dagster._core.storage.event_log.schema import AssetKeyTable as Table
    from sqlalchemy import select

    by_name = {key.to_string(): key for key in keys}
    wanted = select(Table.c.asset_key, Table.c.last_materialization, Table.c.asset_details)
    with index_transaction(instance) as connection:
        rows = connection.execute(wanted.where(Table.c.last_materialization.is_not(None))).all()
    for name, text, details in rows:
        if name in by_name:
            yield by_name[name], text, details or ""


def _stored(text: str, details: str) -> bytes:
    """``details`` say when the asset was wiped."""
    return hashlib.blake2b(f"{details}\0{text}".encode(), digest_size=16).digest()


def touch(instance: dg.DagsterInstance, last: dg.EventLogRecord, at: float) -> bool:
    """Let the materialization ``last`` be of the Unix time ``at``; False when another has come since."""
    from dagster._core.storage.event_log.schema import AssetKeyTable
    from dagster_shared.serdes import deserialize_value, serialize_value

    key = last.asset_key
    if key is None or at <= last.timestamp:
        return False
    ours = AssetKeyTable.c.asset_key == key.to_string()
    with index_transaction(instance) as connection:
        stored = connection.execute(AssetKeyTable.select().where(ours)).mappings().first()
        text = stored and stored["last_materialization"]
        record = deserialize_value(text) if text else None
        if not isinstance(record, dg.EventLogRecord) or record.storage_id != last.storage_id:
            return False
        moved = record._replace(event_log_entry=record.event_log_entry._replace(timestamp=at))
        return bool(
            connection.execute(
                AssetKeyTable.update()
                .where(ours, AssetKeyTable.c.last_materialization == text)
                .values(last_materialization=serialize_value(moved))
            ).rowcount
        )


def carry_checks(instance: dg.DagsterInstance, last: Mapping[dg.AssetKey, dg.EventLogRecord]) -> int:
    """Let the last evaluation of every check of these assets belong to their last materialization, and so for each day.
    One that is planned is left alone: its own evaluation is to come. Returns how many of whole assets were carried."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from sqlalchemy import func, select

    if not last:
        return 0
    by_name = {key.to_string(): record for key, record in last.items()}
    newest = (
        select(func.max(Table.c.id))
        .where(Table.c.asset_key.in_(list(by_name)), Table.c.partition.is_(None))
        .group_by(Table.c.asset_key, Table.c.check_name)
    )
    wanted = select(
        Table.c.id, Table.c.asset_key, Table.c.run_id, Table.c.materialization_event_storage_id
    ).where(Table.c.id.in_(newest), Table.c.execution_status.in_(FINISHED))
    by_day = (
        select(Table.c.asset_key)
        .where(Table.c.asset_key.in_(list(by_name)), Table.c.partition.is_not(None))
        .distinct()
    )
    carried = 0
    with index_transaction(instance) as connection:
        for row in connection.execute(wanted).mappings().all():
            record = by_name[row["asset_key"]]
            of_its_run = bool(record.run_id) and row["run_id"] == record.run_id
            if of_its_run or (row["materialization_event_storage_id"] or 0) >= record.storage_id:
                continue
            carried += _retarget(connection, row["id"], record)
        for (name,) in connection.execute(by_day).all():
            _carry_days(connection, name, by_name[name])
    return carried


def _carry_days(connection: Any, asset: str, last: dg.EventLogRecord) -> None:
    """Dagster shows the status of a day only while it belongs to what is now the newest materialization of that day: its own, or
    ``last`` if that is of the whole. The column says which; the stored event goes on saying what was evaluated."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
    from sqlalchemy import func, select

    target: Any = last.storage_id
    if last.partition_key is not None:
        target = (
            select(func.max(Events.c.id))
            .where(
                Events.c.asset_key == asset,
                Events.c.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                Events.c.partition == Table.c.partition,
            )
            .scalar_subquery()
        )
    of_days = (
        Table.c.asset_key == asset,
        Table.c.partition.is_not(None),
        Table.c.execution_status.in_(FINISHED),
    )
    newest = select(func.max(Table.c.id)).where(*of_days).group_by(Table.c.check_name, Table.c.partition)
    connection.execute(
        Table.update()
        .where(Table.c.id.in_(newest), Table.c.materialization_event_storage_id.is_distinct_from(target))
        .values(materialization_event_storage_id=target)
    )


def _retarget(connection: Any, row: int, last: dg.EventLogRecord) -> int:
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
    from dagster_shared.record import replace
    from dagster_shared.serdes import deserialize_value, serialize_value
    from sqlalchemy import select

    ours = Table.c.id == row
    text = connection.execute(select(Table.c.evaluation_event).where(ours)).scalar()
    entry = deserialize_value(text, dg.EventLogEntry)
    event = entry.dagster_event
    if event is None or not isinstance(event.event_specific_data, dg.AssetCheckEvaluation):
        return 0
    evaluation = replace(
        event.event_specific_data,
        target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
            storage_id=last.storage_id, run_id=last.run_id, timestamp=last.timestamp
        ),
    )
    moved = entry._replace(dagster_event=event._replace(event_specific_data=evaluation))
    return int(
        connection.execute(
            Table.update()
            .where(ours, Table.c.execution_status.in_(FINISHED))
            .values(evaluation_event=serialize_value(moved), materialization_event_storage_id=last.storage_id)
        ).rowcount
    )


def index_transaction(instance: dg.DagsterInstance) -> Any:
    """One transaction on the tables of assets and checks."""
    from dagster._core.storage.event_log import SqlEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"{type(storage).__name__} keeps no tables: use SQLite or PostgreSQL")
    return storage.index_transaction()
