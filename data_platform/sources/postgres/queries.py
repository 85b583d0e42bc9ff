"""What is asked of a table beside reading it: under the snapshot, in server SQL."""

from __future__ import annotations

from collections.abc import Sequence

from data_platform.errors import DataPlatformError, DuplicateKey, TableMissing
from data_platform.sources.postgres.config import settings_of
from data_platform.sources.postgres.identity import Identity
from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.position import Watermark
from data_platform.sources.postgres.rows import from_clause
from data_platform.sources.postgres.session import SourceSession, changed_since
from data_platform.sources.postgres.steadiness import unsteady
from data_platform.sources.postgres.types import quote
from data_platform.sources.reading import SourceTable
from data_platform.tables import TableId


def filled(
    session: SourceSession, relation: Relation, new: Sequence[str], before: Watermark | None
) -> list[str]:
    """The ``new`` columns in which a row that was read before holds something: PostgreSQL fills a column
    with its default, and computes a virtual one, without a new version of any row."""
    if not new:
        return []
    xmin = before.xmin if before else None
    older = "true" if xmin is None or not relation.has_xmin else f"not ({changed_since(xmin)})"
    source = from_clause(relation)
    found = session.execute(
        "select "
        # a composite IS NOT NULL only where all of its fields are
        + ", ".join(
            f"exists (select from {source} where num_nonnulls({quote(c)}) = 1 and {older})" for c in new
        ),
        what=f"Looking into the new columns of {relation.schema}.{relation.name}",
    )
    return [column for column, has in zip(new, found[0], strict=True) if has]


def check_key(session: SourceSession, table: SourceTable, relation: Relation, predicate: str) -> None:
    """DuplicateKey where a row about to be read shares its key with any other: merging it would
    delete that one. Not asked where the source keeps the key unique."""
    enforced = any(unique <= set(table.key) for unique in relation.unique_keys)
    if not table.key or enforced or not relation.has_xmin:
        return
    source, key = from_clause(relation), ", ".join(quote(k) for k in table.key)
    null = " or ".join(f"{quote(k)} is null" for k in table.key)
    ((nulls, repeated),) = session.execute(
        f"select (select count(*) from {source} where ({null}) and {predicate}),"
        f" (select count(*) from (select from {source}"
        f" where ({key}) in (select {key} from {source} where {predicate})"
        f" group by {key} having count(*) > 1) repeated)",
        what=f"Looking for repeated keys in {relation.schema}.{relation.name}",
    )
    if nulls or repeated:
        problems = [f"{nulls:,} row(s) have a NULL in it"] if nulls else []
        problems += [f"{repeated:,} value(s) occur in more than one row"] if repeated else []
        raise DuplicateKey(
            f"{table.id}: the key ({', '.join(table.key)}) is not a key: {' and '.join(problems)}, and no unique"
            " index at the source enforces it. Correct the rows there, or declare as `key` columns that identify a row;"
            f" then run `data-platform sync --refresh {table.id}`. Nothing was read, and what has landed stays as"
            " it is."
        )


def missing(
    session: SourceSession, table: SourceTable, known: Identity | None, error: DataPlatformError
) -> DataPlatformError:
    """``error`` with the name that a missing table goes by now, where it was renamed."""
    if known is None or not isinstance(error, TableMissing):
        return error
    found = session.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        f" where c.oid = {int(known.oid)}",
        what=f"Looking for {table.id} under another name",
    )
    wanted = ".".join(settings_of(table).relation)
    if not found:
        return TableMissing(
            f"{error} The table that was read before is gone; its landed data is kept. If"
            f" {wanted} comes back, the next sync rereads it automatically."
        )
    return TableMissing(
        f"{table.id}: {wanted} is called {'.'.join(found[0])} now. Nothing was read, and what has landed"
        f" stays as it is. If that is meant, write `relation: {'.'.join(found[0])}` into the table's block in the"
        f" catalog and run `data-platform sync {table.id}`."
    )


def miscounted(session: SourceSession, table: TableId, relation: Relation, read: int, counted: int) -> str:
    """What to say of a read whose rows are not as many as the snapshot holds, and of a relation that gives
    other rows each time it is read, which no snapshot can hold still."""
    where = f"{relation.schema}.{relation.name}"
    head = f"{table}: {read:,} rows were read and {counted:,} counted in one snapshot. Nothing was committed."
    if relation.has_xmin:
        return f"{head} Run the sync again; if it repeats, the read is not exact: report it."
    what = f"Looking for what makes {where} unsteady"
    causes = unsteady(session.under_snapshot(what), relation)
    if not causes:
        again = session.execute(f"select count(*) from {from_clause(relation)}", what=what)
        if again[0][0] == counted:
            return f"{head} Run the sync again; if it repeats, the read is not exact: report it."
    why = f": {' and '.join(causes)}" if causes else ""
    return (
        f"{head} {where} gives other rows each time it is read{why}. Keep its rows still at the source: make it a"
        " materialized view, or write its rows to a table, and read that; or take what changes by itself out of it."
    )


def inherited(relation: Relation) -> str:
    """What is to be said of a table that others inherit from."""
    names = ", ".join(name for _, _, name in relation.children[:3])
    more = f" and {len(relation.children) - 3} more" if len(relation.children) > 3 else ""
    return (
        f"{relation.schema}.{relation.name} is read by itself (ONLY): rows of the tables that inherit from it"
        f" ({names}{more}) are read where those tables have blocks of their own"
    )
