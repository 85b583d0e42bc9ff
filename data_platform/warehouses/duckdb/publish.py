"""Makes a publication: a new file beside the last one, renamed to it when it is whole and on disk.

The warehouse is attached read-only for as long as it takes, so all that is copied is of one instant. A relation whose rows
and columns are those of the last publication is not copied again: the last file is, which costs a hundredth, and what
changed is replaced in it. Whether rows are the same is asked of the sum of their hashes (64 bits), a tenth of a copy.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.engine_errors import first_line
from data_platform.errors import WarehouseError
from data_platform.sql import literal, quoted
from data_platform.warehouses import LoadedBatch
from data_platform.warehouses.duckdb import published
from data_platform.warehouses.duckdb.connect import patiently
from data_platform.warehouses.duckdb.publication_file import (
    alone,
    copy_file,
    group_of,
    prepare,
    put_in_place,
    scratch,
)
from data_platform.warehouses.duckdb.published import Copied, not_ours
from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse
from data_platform.warehouses.publishing import Choose, Chosen, Publication, PublishedRelation

if TYPE_CHECKING:
    import duckdb

NEW = "_publication"
"""The new file's name among the databases of the connection."""
FORMAT = "v1.2.0"
"""The oldest DuckDB that opens a publication: BI tools bring one of their own."""


def publish(
    warehouse: Path,
    into: Path,
    choose: Choose,
    clock: Callable[[], datetime],
    *,
    group: str | None,
    memory_limit: str,
    threads: int | None,
    wait_seconds: float,
) -> Publication:
    """See ``PublishableConfig.publish``."""
    into = Path(os.path.realpath(into))
    group_id = group_of(group)
    prepare(into, group_id)
    new = into.with_name(f".{into.name}.new")
    with alone(into, new, wait_seconds), _readable_errors(into):
        with _opened(warehouse, new, memory_limit, threads, wait_seconds) as connection:
            last = _last(connection, into, new)
            _attach(connection, new)
            now = clock().astimezone(UTC)
            with _interrupted(connection):
                made = _make(connection, warehouse, choose, last, now)
        put_in_place(new, into, group_id)
    relations, loads, id_, engine = made
    return Publication(
        id_,
        now.isoformat(timespec="microseconds"),
        engine,
        tuple(one.published for one in relations),
        tuple(loads),
        into.stat().st_size,
    )


def _make(
    connection: duckdb.DuckDBPyConnection,
    warehouse: Path,
    choose: Choose,
    last: Sequence[Copied],
    now: datetime,
) -> tuple[list[Copied], list[LoadedBatch], str, str]:
    reader = DuckDBWarehouse(connection, warehouse, read_only=True)
    chosen = choose(reader.describe())
    if not chosen:
        raise WarehouseError(
            "There is nothing to publish: no relation was chosen. Readers keep the last publication."
        )
    loads = reader.loaded_all()
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    made_at = now.isoformat(timespec="microseconds")
    kept = _kept(connection, chosen, last)
    _drop(connection, [one for one in last if _key(one) not in kept])
    relations = [
        kept.get((one.relation.schema, one.relation.name)) or _copy(connection, one, made_at)
        for one in chosen
    ]
    id_, engine = f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}", _engine(connection)
    published.write(
        connection, NEW, id_=id_, made_at=made_at, engine=engine, relations=relations, loads=loads
    )
    connection.execute(f"CHECKPOINT {NEW}")
    connection.execute(f"DETACH {NEW}")
    return relations, loads, id_, engine


def _kept(
    connection: duckdb.DuckDBPyConnection, chosen: Sequence[Chosen], last: Sequence[Copied]
) -> dict[tuple[str, str], Copied]:
    """By schema and name, those of the ``last`` publication that are the same in the warehouse now."""
    known = {_key(one): one for one in last}
    kept = {}
    for one in chosen:
        before = known.get((one.relation.schema, one.relation.name))
        if before is None or before.definition != _definition(connection, one):
            continue
        if before.fingerprint == _fingerprint(connection, _source(one))[1]:
            kept[_key(before)] = before
    return kept


def _key(one: Copied) -> tuple[str, str]:
    return one.published.schema, one.published.name


def _copy(connection: duckdb.DuckDBPyConnection, one: Chosen, made_at: str) -> Copied:
    """The rows as a table, a view's too, and proven to be those of the warehouse."""
    relation = one.relation
    name = f"{NEW}.{quoted(relation.schema)}.{quoted(relation.name)}"
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {NEW}.{quoted(relation.schema)}")
    connection.execute(f"CREATE TABLE {name} AS {_source(one)}")
    for statement in _comments(connection, one, name):
        connection.execute(statement)
    rows, fingerprint = _fingerprint(connection, f"SELECT * FROM {name}")
    if relation.kind == "table":
        expected = _count(connection, f"{quoted(relation.schema)}.{quoted(relation.name)}")
        if rows != expected:
            raise WarehouseError(
                f"The copy of {relation.schema}.{relation.name} has {rows:,} rows, and the warehouse has {expected:,}. Nothing"
                " was published; run it again."
            )
    copy = PublishedRelation(relation.schema, relation.name, relation.kind, rows, one.left_out, made_at)
    return Copied(copy, _definition(connection, one), fingerprint)


def _source(one: Chosen) -> str:
    columns = ", ".join(map(quoted, one.columns))
    return f"SELECT {columns} FROM {quoted(one.relation.schema)}.{quoted(one.relation.name)}"


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    assert row is not None
    return int(row[0])


def _fingerprint(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, str]:
    """Rows, and with them the sum of their hashes modulo 2**64, whatever their order is."""
    row = connection.execute(f"SELECT count(*), sum(hash(*COLUMNS(*))) FROM ({sql})").fetchone()
    assert row is not None
    return int(row[0]), f"{row[0]}-{int(row[1] or 0) % 2**64:016x}"


def _definition(connection: duckdb.DuckDBPyConnection, one: Chosen) -> str:
    """What a relation is besides its rows: kind, columns, types, comments, what is left out."""
    types = dict(one.relation.columns)
    columns = [(name, types[name]) for name in one.columns]
    comments = _comments(connection, one, "")
    return json.dumps([one.relation.kind, columns, one.left_out, comments], ensure_ascii=False)


def _comments(connection: duckdb.DuckDBPyConnection, one: Chosen, name: str) -> list[str]:
    """The statements that give ``name`` the descriptions of its relation, which BI tools show."""
    relation = one.relation
    where = (
        f"WHERE database_name = current_database() AND schema_name = {literal(relation.schema)}"
        f" AND {{}}_name = {literal(relation.name)} AND comment IS NOT NULL"
    )
    kind = relation.kind
    found = connection.execute(f"SELECT comment FROM duckdb_{kind}s() {where.format(kind)}").fetchall()
    statements = [f"COMMENT ON TABLE {name} IS {literal(comment)}" for (comment,) in found]
    columns = connection.execute(
        f"SELECT column_name, comment FROM duckdb_columns() {where.format('table')} ORDER BY column_index"
    ).fetchall()
    return statements + [
        f"COMMENT ON COLUMN {name}.{quoted(column)} IS {literal(comment)}"
        for column, comment in columns
        if column in one.columns
    ]


def _drop(connection: duckdb.DuckDBPyConnection, gone: Sequence[Copied]) -> None:
    """Take relations out of the copied file, so that what comes next takes their place on disk."""
    for one in gone:
        connection.execute(f"DROP TABLE {NEW}.{quoted(one.published.schema)}.{quoted(one.published.name)}")
    if gone:
        connection.execute(f"CHECKPOINT {NEW}")


def _last(connection: duckdb.DuckDBPyConnection, into: Path, new: Path) -> list[Copied]:
    """The relations of the last publication, whose file is then copied to ``new``; empty, and no file, where it is of no use
    for this one. ``WarehouseError`` for a file that is no publication."""
    import duckdb

    if not into.exists():
        return []
    copy_file(into, new)
    try:
        connection.execute(f"ATTACH {literal(str(new))} AS {NEW}")
        last, engine = published.copied(connection, NEW), published.engine_of(connection, NEW)
    except duckdb.Error as error:
        raise not_ours(into, first_line(error)) from None
    row = connection.execute(
        f"SELECT free_blocks, total_blocks FROM pragma_database_size() WHERE database_name = {literal(NEW)}"
    ).fetchone()
    connection.execute(f"DETACH {NEW}")
    mostly_free = row is not None and row[0] * 2 > row[1] > 64
    if engine == _engine(connection) and not mostly_free:  # hashes compare within one version
        return last
    new.unlink()
    return []


def _attach(connection: duckdb.DuckDBPyConnection, new: Path) -> None:
    exists = new.exists()
    connection.execute(
        f"ATTACH {literal(str(new))} AS {NEW}{'' if exists else f' (STORAGE_VERSION {literal(FORMAT)})'}"
    )
    new.chmod(0o600)


@contextmanager
def _opened(
    warehouse: Path, new: Path, memory_limit: str, threads: int | None, wait_seconds: float
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which the warehouse, which nobody can write meanwhile, is the current database."""
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "preserve_insertion_order": False,
        "temp_directory": str(scratch(new)),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }
    if threads:
        settings["threads"] = threads
    connection = duckdb.connect(":memory:", config=settings)
    try:
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        patiently(
            warehouse,
            lambda: connection.execute(f"ATTACH {literal(str(warehouse))} (READ_ONLY)"),
            wait_seconds=wait_seconds,
        )
        row = connection.execute(
            "SELECT database_name FROM duckdb_databases() WHERE NOT internal AND database_name <> current_database()"
        ).fetchone()
        assert row is not None
        connection.execute(
            f"USE {quoted(row[0])}"
        )  # views name their database as when the file is open alone
        yield connection
    finally:
        connection.close()


@contextmanager
def _interrupted(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.interrupt()  # Ctrl-C leaves a statement running, and closing would wait for its end
        raise


def _engine(connection: duckdb.DuckDBPyConnection) -> str:
    row = connection.execute("SELECT version()").fetchone()
    assert row is not None
    return f"duckdb {row[0].lstrip('v')}"


@contextmanager
def _readable_errors(into: Path) -> Iterator[None]:
    """The engine's errors and the system's in words, without a value of a row."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise WarehouseError(
            f"The publication {into} does not fit into the memory limit. Raise `memory_limit` of the warehouse in"
            " catalog/platform.yaml. Readers keep the last publication."
        ) from None
    except duckdb.Error as error:
        raise WarehouseError(
            f"The publication {into} was not made: {first_line(error)}. Readers keep the last one. If the disk is full, free"
            " room for two publications."
        ) from None
    except OSError as error:
        raise WarehouseError(
            f"The publication {into} was not made: {error.strerror}. Readers keep the last one. Check that its folder belongs to"
            " the account that publishes and that its disk has room for two publications."
        ) from None
