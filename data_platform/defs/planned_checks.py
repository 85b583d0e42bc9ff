"""One planned record a check and run, where Dagster plans one for each of the run's partitions.

Our checks are evaluated once for the whole table, and those with a status for each day write that by themselves
(``day_checks.py``). A backfill of a year would leave 364 planned records of each that nothing ever fulfils, which its
history shows as *Skipped*.
"""

from __future__ import annotations

import dagster as dg


def plan_once(instance: dg.DagsterInstance, run_id: str) -> None:
    """Of the records planned for each partition of the run keep one a check, as one without a partition:
    what the evaluation will be written into."""
    # Half a CPU-s of imports that loading the definitions does not need.
    import sqlalchemy as sa
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    table = AssetCheckExecutionsTable
    ours = sa.and_(
        table.c.run_id == run_id,
        table.c.partition.is_not(None),
        table.c.execution_status == AssetCheckExecutionRecordStatus.PLANNED.value,
    )
    first = sa.select(sa.func.min(table.c.id)).where(ours).group_by(table.c.asset_key, table.c.check_name)
    with storage.index_connection() as connection:
        kept = [row[0] for row in connection.execute(first)]
        if kept:
            connection.execute(table.update().where(table.c.id.in_(kept)).values(partition=None))
            connection.execute(table.delete().where(ours))
