"""Whether a table or view can be read at all, tried before the first sync. No value leaves the database.

A table is asked for one row. A view, a materialized view and a foreign table are counted, every column
computed, for a few seconds at most: a view may fail at any row, and a server behind a foreign table may be down.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from data_platform.sources.postgres.introspect import KINDS, Relation
from data_platform.sources.postgres.server_errors import source_error
from data_platform.sources.postgres.types import from_clause, quote

SECONDS_MAX = 3
_CANCELLED, _LOCKED = "57014", "55P03"
"""SQLSTATEs of a statement that took too long, and of one that waited too long for a lock."""

_FLAGS = """
select c.relispopulated, row_security_active(c.oid),
       (select e.extname from pg_depend d join pg_extension e on e.oid = d.refobjid
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e' limit 1)
from pg_class c where c.oid = %s
"""
_VOLATILE = """
with recursive views(oid) as (
    select %s::oid
    union
    select d.refobjid from views v join pg_rewrite r on r.ev_class = v.oid
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        and d.refclassid = 'pg_class'::regclass and d.refobjid <> v.oid
    join pg_class c on c.oid = d.refobjid and c.relkind = 'v')
select distinct p.proname from views v join pg_rewrite r on r.ev_class = v.oid
cross join lateral regexp_matches(r.ev_action::text, ':(?:funcid|opfuncid) (\\d+)', 'g') called
join pg_proc p on p.oid = called[1]::oid where p.provolatile = 'v' order by 1
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """Why a relation cannot be read (``problem``, a clause), and what to know of it otherwise (``note``).
    ``extension`` is the one that it belongs to."""

    problem: str | None = None
    note: str | None = None
    extension: str | None = None


def try_to_read(connection: Any, relation: Relation, columns: Collection[str]) -> Trial:
    """Read ``columns`` of ``relation`` as a sync would, inside the transaction that ``connection`` is in."""
    populated, policies, extension = connection.execute(_FLAGS, (relation.oid,)).fetchone()
    if not populated:
        return Trial(
            "it was never filled, so reading it fails: REFRESH MATERIALIZED VIEW first", extension=extension
        )
    if policies:
        return Trial(
            "row-level security applies to this user, so rows would be missing: ALTER ROLE ... BYPASSRLS, or read"
            " a view whose owner sees every row",
            extension=extension,
        )
    if not columns:
        return Trial(extension=extension)
    listed = ", ".join(map(quote, columns))
    looked_through = relation.kind in ("v", "m", "f")
    rows = f"select {listed} from {from_clause(relation)}" + ("" if looked_through else " limit 1")
    volatile = (
        [name for (name,) in connection.execute(_VOLATILE, (relation.oid,))] if relation.kind == "v" else []
    )
    counts = []
    for _ in range(2 if volatile else 1):
        counted = _count(connection, rows)
        if isinstance(counted, Exception):
            return Trial(_problem(counted, relation), extension=extension)
        counts.append(counted)
    if not volatile:
        return Trial(extension=extension)
    called = ", ".join(f"{name}()" for name in volatile[:3])
    if counts[0] != counts[-1]:
        problem = f"it calls {called} and holds other rows each time it is read, so that no read can be proven whole"
        return Trial(
            f"{problem}: take the function out, or read a materialized view of it", extension=extension
        )
    note = f"it calls {called}, so that it may hold something else each time it is read; a sync that sees that refuses it"
    return Trial(note=note, extension=extension)


def _count(connection: Any, rows: str) -> int | Exception | None:
    """How many rows there are; None where counting takes too long, or the failure."""
    try:
        with connection.transaction(force_rollback=True):  # a savepoint, and its setting with it
            connection.execute(f"set local statement_timeout = {SECONDS_MAX * 1000}")
            # a row as a whole is computed with every one of its columns
            (counted,) = connection.execute(f"select count(tried) from ({rows}) tried").fetchone()
            return int(counted)
    except Exception as error:
        if connection.closed:
            raise
        return error


def _problem(error: Exception, relation: Relation) -> str | None:
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate == _LOCKED or (sqlstate == _CANCELLED and relation.kind != "f"):
        return None  # it is being read, or altered: nothing is wrong with it
    if sqlstate == _CANCELLED:
        return f"the server behind the foreign table did not answer within {SECONDS_MAX} seconds"
    what = f"reading the {KINDS[relation.kind]}"
    return str(source_error(error, what=what)).rstrip(".")
