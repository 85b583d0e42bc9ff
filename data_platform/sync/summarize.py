"""What a batch's parts hold: rows per slice, fingerprints, the greatest cursor, and whether the key holds.

Read from the parts as written, so that it describes what was landed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from data_platform.duckdb_sql import (
    duckdb_content,
    duckdb_day,
    duckdb_digest,
    duckdb_turned,
    parquet_files,
    slice_of_day,
)
from data_platform.engine_errors import first_line
from data_platform.errors import DuplicateKey, SourceError
from data_platform.sql import literal, quoted
from data_platform.tables import NULL_SLICE, WHOLE_TABLE, Column, Fingerprint, Shape, Slice, TableId

if TYPE_CHECKING:
    import duckdb

SUMMARY_MEMORY = "384MB"
"""Beyond it the check of a key without an index spills beside the parts."""

NO_CONTENT = "0:0:0"
_TIMES = ("TIMESTAMPTZ", "TIMESTAMP", "DATE")


@dataclass(frozen=True, slots=True)
class Summary:
    """``content`` is a digest of all rows, ``boundary`` one of those whose cursor is not below
    ``cursor``: the ones that the next read by cursor finds again."""

    slices: dict[Slice, Fingerprint]
    cursor: str | None
    content: str | None = None
    boundary: str | None = None


class Engine:
    """A DuckDB in memory that the summaries of one sync share: to make one takes longer than to summarize a small
    table. It is opened for the first of them, and anew after an error, which may have broken it for all."""

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.types: dict[str, str] = {}
        """DuckDB's own name of each type that a table was planned with."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def interrupt(self) -> None:
        """End the summary that another thread makes, if there is one."""
        if (connection := self._connection) is not None:
            connection.interrupt()

    @contextmanager
    def connected(self, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        """What does not fit into ``SUMMARY_MEMORY`` is spilled into the ``scratch`` of whoever came first."""
        if self._connection is None:
            self._connection = _connect(scratch)
        try:
            yield self._connection
        except BaseException:
            self.close()
            raise


def _connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": SUMMARY_MEMORY,
        "preserve_insertion_order": False,
        "temp_directory": str(scratch),
    }
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def summarize(
    table: TableId,
    parts: Sequence[Path],
    shape: Shape,
    *,
    checksum_key: Sequence[str],
    with_checksum: bool,
    check_key: bool,
    cursor: str | None,
    with_content: bool,
    engine: Engine,
    deleted: str | None = None,
    replaces: Sequence[str] = (),
) -> Summary:
    """Read what is asked of ``parts``. Checksums are 0 without ``with_checksum``. Of rows that are replaced together by
    ``replaces``, one that is marked ``deleted`` is not asked for its key.

    Raises, before anything is committed: SourceError for a part that is not of the planned
    shape, DuplicateKey (naming columns and counts, no values).
    """
    if not parts:
        return Summary({}, None, NO_CONTENT if with_content else None)
    columns = {c.name: c for c in shape.columns}
    with _readable_errors(table), engine.connected(parts[0].parent) as connection:
        files = parquet_files(parts)
        _check_shape(connection, table, files, shape.columns, engine.types)
        if replaces:
            _check_groups(connection, table, files, replaces)
        if check_key and shape.key:
            staying = f" WHERE {quoted(deleted)} IS NOT TRUE" if deleted and replaces else ""
            _check_key(
                connection, table, f"(SELECT * FROM {files}{staying})" if staying else files, shape.key
            )
        digest = duckdb_digest([columns[k] for k in checksum_key]) if with_checksum else "NULL"
        checksum = f"sum({duckdb_turned('digest')})" if with_checksum else "0"
        partition = columns[shape.partition] if shape.partition else None
        day = duckdb_day(partition, shape.timezone) if partition else "NULL::DATE"
        landed = f"SELECT {day} AS day, {digest} AS digest FROM {files}"
        grouped = f"SELECT day, count(*) AS n, {checksum} AS checksum FROM ({landed}) GROUP BY 1"
        rows = connection.execute(f"SELECT {slice_of_day('day')}, n, checksum FROM ({grouped})").fetchall()
        empty = NULL_SLICE if partition else WHOLE_TABLE
        slices = {
            Slice(empty if name is None else name): Fingerprint(n, int(checksum or 0) % 2**64)
            for name, n, checksum in rows
        }
        greatest = None
        if cursor is not None and isinstance(columns.get(cursor), Column):
            # an infinity would be the greatest for ever, and no later row would be found
            finite = f"WHERE isfinite({quoted(cursor)})" if columns[cursor].type in _TIMES else ""
            found = connection.execute(
                f"SELECT max({quoted(cursor)})::VARCHAR FROM {files} {finite}"
            ).fetchone()
            greatest = found[0] if found else None
        digest = f"SELECT {duckdb_content(shape.columns)} FROM {files}"
        content = str(connection.execute(digest).fetchall()[0][0]) if with_content else None
        boundary = None
        if with_content and cursor is not None and greatest is not None:
            known = f"{literal(greatest)}::{columns[cursor].type}"
            again = connection.execute(f"{digest} WHERE {quoted(cursor)} >= {known}").fetchall()
            boundary = str(again[0][0])
    return Summary(slices, greatest, content, boundary)


@contextmanager
def _readable_errors(table: TableId) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise SourceError(
            f"{table}: the rows that were read could not be summarized: {first_line(error)}. Nothing was committed. Run the"
            " sync again; if the error stays, land columns of unusual types as text (`as: {column: text}`)."
        ) from None


def _check_shape(
    engine: duckdb.DuckDBPyConnection,
    table: TableId,
    files: str,
    columns: Sequence[Column],
    types: dict[str, str],
) -> None:
    """A batch that is not what its manifest will say could be committed, but never loaded. ``types`` are those that
    are known by now, and grows."""
    if new := sorted({c.type for c in columns} - types.keys()):
        described = engine.execute(f"DESCRIBE SELECT {', '.join(f'NULL::{kind}' for kind in new)}").fetchall()
        types |= {kind: row[1] for kind, row in zip(new, described, strict=True)}
    expected = {(c.name, types[c.type]) for c in columns}
    found = [row[:2] for row in engine.execute(f"DESCRIBE SELECT * FROM {files}").fetchall()]
    wrong = [f"{name} ({kind})" for name, kind in found if (name, kind) not in expected]
    if wrong or len(found) != len(expected):
        raise SourceError(
            f"{table}: the rows that were read do not have the planned types: {', '.join(wrong) or 'columns are missing'}."
            " Nothing was committed. Land the column as text (`as: {column: text}`), and report it."
        )


def _check_groups(
    engine: duckdb.DuckDBPyConnection, table: TableId, files: str, replaces: Sequence[str]
) -> None:
    null = " OR ".join(f"{quoted(name)} IS NULL" for name in replaces)
    ((rows,),) = engine.execute(f"SELECT count(*) FROM {files} WHERE {null}").fetchall()
    if rows:
        raise SourceError(
            f"{table}: {rows:,} of the rows that were read hold a NULL in {', '.join(replaces)}, by which rows are"
            " replaced together. Nothing was committed. Report it: the source says of every row which group it is of."
        )


def _check_key(engine: duckdb.DuckDBPyConnection, table: TableId, files: str, key: Sequence[str]) -> None:
    names = ", ".join(quoted(k) for k in key)
    nulls = " OR ".join(f"{quoted(k)} IS NULL" for k in key)
    repeated = f"SELECT 1 FROM {files} GROUP BY {names} HAVING count(*) > 1"
    (null_rows,), (twice,) = engine.execute(
        f"SELECT count(*) FROM {files} WHERE {nulls} UNION ALL SELECT count(*) FROM ({repeated})"
    ).fetchall()
    if null_rows or twice:
        problems = [f"{null_rows:,} rows with a NULL in it"] if null_rows else []
        problems += [f"{twice:,} values that occur in more than one row"] if twice else []
        raise DuplicateKey(
            f"{table}: the key ({', '.join(key)}) is not a key: {' and '.join(problems)}. Nothing was loaded or"
            " deleted. Declare the columns that are unique, correct the data, or choose `strategy: replace`"
            " without a key."
        )
