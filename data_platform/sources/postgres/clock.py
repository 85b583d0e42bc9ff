"""The clock path: when a time cursor over an index may stand in for the xmin scan.

``observe`` asks the source, before the snapshot, what the decision needs;
``horizon`` decides, purely, and returns every reason for refusing. A refusal
costs speed, never rows: the xmin scan takes over. The order of the questions
and their figures are in docs/sync.md ("The watermark").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.settings import APPLICATION_NAME


@dataclass(frozen=True, slots=True)
class Observation:
    """The source just before the snapshot. ``oldest`` is the earliest start of any
    other session's transaction; times are the source's own clock, UTC."""

    now: datetime
    oldest: datetime | None
    prepared: bool
    standby: bool
    sees_all_activity: bool
    activity_disabled: bool


@dataclass(frozen=True, slots=True)
class Horizon:
    """``value``: rows with a cursor at or after it may be new at the next read; None
    with ``refusals`` where that cannot be promised."""

    value: datetime | None
    refusals: tuple[str, ...] = ()


UNSEEN_START_MAX = timedelta(minutes=1)
"""A backend takes its transaction's time first and shows itself in pg_stat_activity a moment later. One
that was held up in between is seen by nobody (13 of 5,940 backends stopped at random, by up to the 8 ms
they were stopped for), so rows set up to this long before the clock was read count as possibly new. They
are few, and found by the index; the transaction number leaves out those that were read before."""

_ACTIVITY = """
select min(least(xact_start, query_start)), coalesce(bool_or(state = 'disabled'), false)
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
  and (xact_start is not null or state = 'disabled')
  and not (application_name = %s and usename = current_user)
  and coalesce(backend_type, '') not in ('autovacuum worker', 'walsender')
"""


def observe(connection: Any) -> Observation:
    """Ask in separate statements, in this order: clock, activity, prepared transactions.

    ``connection`` is in a transaction of isolation level read committed, which is not the one that takes the
    snapshot.
    """
    now, standby, sees = connection.execute(
        "select clock_timestamp(), pg_is_in_recovery(),"
        " pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
    ).fetchone()
    oldest, disabled = connection.execute(_ACTIVITY, (APPLICATION_NAME,)).fetchone()
    prepared = connection.execute(
        "select exists (select 1 from pg_prepared_xacts where database = current_database())"
    ).fetchone()[0]
    return Observation(
        now=now.astimezone(UTC),
        oldest=oldest.astimezone(UTC) if oldest else None,
        prepared=prepared,
        standby=standby,
        sees_all_activity=sees,
        activity_disabled=disabled,
    )


def refusals(relation: Relation, cursor: str | None, cursor_clock: str) -> list[str]:
    """Why the clock path cannot serve this table, whatever the moment; empty when it can."""
    if cursor is None:
        return ["no cursor is declared"]
    if cursor_clock != "database":
        return ["the cursor's clock is not declared to be the database's"]
    column = relation.column(cursor)
    if column is None or column.base != "timestamptz":
        return [f"the cursor {cursor} is not a timestamp with time zone"]
    reasons = []
    if not column.not_null:
        reasons.append(f"the cursor {cursor} may be NULL")
    if cursor not in relation.indexed:
        reasons.append(f"no index leads with the cursor {cursor}")
    return reasons


def horizon(
    seen: Observation,
    relation: Relation,
    cursor: str | None,
    cursor_clock: str,
    previous: datetime | None,
) -> Horizon:
    """The horizon the coming snapshot allows; while anything is prepared it stays at ``previous``."""
    reasons = refusals(relation, cursor, cursor_clock)
    if seen.standby:
        reasons.append("the source is a standby, where the primary's transactions are invisible")
    if not seen.sees_all_activity:
        reasons.append("the sync's user lacks pg_read_all_stats")
    if seen.activity_disabled:
        reasons.append("a session has track_activities off")
    if reasons:
        return Horizon(None, tuple(reasons))
    if seen.prepared:
        return Horizon(previous, () if previous else ("a prepared transaction is open",))
    assert cursor is not None
    column = relation.column(cursor)
    assert column is not None
    seen_from = seen.now - UNSEEN_START_MAX
    return Horizon(floor_to_precision(min(filter(None, [seen_from, seen.oldest])), column.typmod))


def floor_to_precision(instant: datetime, typmod: int) -> datetime:
    """``instant`` floored to a timestamptz(p)'s unit, minus one unit: such a column rounds,
    so its value may lie up to half a unit before the instant it was set at."""
    digits = 6 if typmod < 0 else min(typmod, 6)
    unit = 10 ** (6 - digits)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    micros = (instant - epoch) // timedelta(microseconds=1)
    return epoch + timedelta(microseconds=micros // unit * unit - unit)
