"""Whether a table or view can be read at all, tried before the first sync. No value leaves the database.

A table is asked for one row. A view, a materialized view and a foreign table are counted, every column
computed, for a few seconds at most: a view may fail at any row, and a server behind a foreign table may be down.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from data_platform.sources.postgres.introspect import KINDS, Relation
from data_platform.sources.postgres.rows import from_clause
from data_platform.sources.postgres.server_errors import LOCK_CODES
from data_platform.sources.postgres.session import SourceSession
from data_platform.sources.postgres.steadiness import unsteady
from data_platform.sources.postgres.types import quote

SECONDS_MAX = 3
COUNTS_MAX = 5
"""How often a view is counted that may return other rows: of 20,000 rows by chance, two counts are the same once in 250 times."""
_CANCELLED = "57014"
"""SQLSTATE of a statement that took too long."""

_FLAGS = """
select c.relispopulated, row_security_active(c.oid),
       (select e.extname from pg_depend d join pg_extension e on e.oid = d.refobjid
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e' limit 1)
from pg_class c where c.oid = %s
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """Why a relation cannot be read (``problem``, a clause), and what to know of it otherwise (``note``).
    ``extension`` is the one that it belongs to."""

    problem: str | None = None
    note: str | None = None
    extension: str | None = None


def try_to_read(session: SourceSession, relation: Relation, columns: Collection[str]) -> Trial:
    """Read ``columns`` of ``relation`` as a sync would; within a transaction of ``session.look``.

    TableLocked where it is locked.
    """
    with session.trying(SECONDS_MAX) as connection:
        populated, policies, extension = connection.execute(_FLAGS, (relation.oid,)).fetchone()
        unsteady_by = unsteady(connection, relation) if relation.kind == "v" else []
    problem = None
    if not populated:
        problem = "it was never filled, so reading it fails: REFRESH MATERIALIZED VIEW first"
    elif policies:
        problem = (
            "row-level security applies to this user, so rows would be missing: ALTER ROLE ... BYPASSRLS, or read a"
            " view whose owner sees every row"
        )
    if problem or not columns:
        return Trial(problem, extension=extension)
    listed = ", ".join(map(quote, columns))
    limit = "" if relation.kind in ("v", "m", "f") else " limit 1"
    rows = f"select {listed} from {from_clause(relation)}{limit}"
    counts: set[int] = set()
    for _ in range(COUNTS_MAX if unsteady_by else 1):
        try:
            with session.trying(SECONDS_MAX) as connection:
                # a row as a whole is computed with every one of its columns
                counts.add(connection.execute(f"select count(tried) from ({rows}) tried").fetchone()[0])
        except Exception as error:
            if problem := _problem(session, error, relation):
                return Trial(problem, extension=extension)
            break  # it takes longer than is waited for
        if len(counts) > 1:
            break
    if not unsteady_by:
        return Trial(extension=extension)
    causes = " and ".join(unsteady_by)
    if len(counts) > 1:
        problem = (
            f"{causes}, and it returns other rows each time it is read, so no read can be proven complete"
        )
        return Trial(f"{problem}: take that out, or read a materialized view of it", extension=extension)
    note = f"{causes}, so that it may hold other rows each time it is read; a sync that sees that refuses it"
    return Trial(note=note, extension=extension)


def _problem(session: SourceSession, error: Exception, relation: Relation) -> str | None:
    """What ``error`` says against reading ``relation``; None where it only takes long."""
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate == _CANCELLED and relation.kind != "f":
        return None
    if sqlstate == _CANCELLED:
        return f"the server behind the foreign table did not answer within {SECONDS_MAX} seconds"
    problem = session.failure(error, f"reading the {KINDS[relation.kind]}")
    if sqlstate in LOCK_CODES or session.connection_closed:
        raise problem from None
    return str(problem).rstrip(".")
