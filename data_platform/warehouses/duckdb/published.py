"""What a publication says of itself, in tables of its own: made when, of which loads, which relations with how many rows.

People may read them too (docs/publish.md). Values are in the statements as quoted literals: binding one imports pandas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.engine_errors import first_line
from data_platform.errors import WarehouseBusy, WarehouseError
from data_platform.sql import literal
from data_platform.tables import TableId
from data_platform.warehouses import PLATFORM_SCHEMA, LoadedBatch
from data_platform.warehouses.publishing import Publication, PublishedRelation

if TYPE_CHECKING:
    import duckdb

    from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse

_ISO = "strftime({} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%f+00:00')"
ROWS_AT_A_TIME = 1000


@dataclass(frozen=True, slots=True)
class Copied:
    """A relation of a publication, and how it is recognised in the next one: ``definition`` is of its columns and
    comments, ``fingerprint`` of its rows."""

    published: PublishedRelation
    definition: str
    fingerprint: str


def write(
    connection: duckdb.DuckDBPyConnection,
    database: str,
    *,
    id_: str,
    made_at: str,
    engine: str,
    relations: Sequence[Copied],
    loads: Sequence[LoadedBatch],
) -> None:
    """Replace the records in the attached ``database``, whose name needs no quotes."""
    schema = f"{database}.{PLATFORM_SCHEMA}"
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    connection.execute(
        f"CREATE OR REPLACE TABLE {schema}.publication AS SELECT {literal(id_)} AS id,"
        f" {literal(made_at)}::TIMESTAMPTZ AS made_at, {literal(engine)} AS engine"
    )
    _table(
        connection,
        f"{schema}.published_relations",
        "schema_name VARCHAR, relation_name VARCHAR, kind VARCHAR, row_count BIGINT, left_out VARCHAR[],"
        " changed_at TIMESTAMPTZ, definition VARCHAR, fingerprint VARCHAR",
        [_relation(one) for one in relations],
    )
    _table(
        connection,
        f"{schema}.published_loads",
        '"source" VARCHAR, "table" VARCHAR, sequence BIGINT, batch_id VARCHAR, digest VARCHAR, loaded_at TIMESTAMPTZ',
        [_load(one) for one in loads],
    )


def _table(connection: duckdb.DuckDBPyConnection, name: str, columns: str, rows: Sequence[str]) -> None:
    connection.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        connection.execute(f"INSERT INTO {name} VALUES {', '.join(rows[start : start + ROWS_AT_A_TIME])}")


def _relation(one: Copied) -> str:
    relation = one.published
    texts = [literal(text) for text in (relation.schema, relation.name, relation.kind)]
    left_out = f"[{', '.join(map(literal, relation.left_out))}]::VARCHAR[]"
    instant = f"{literal(relation.changed_at)}::TIMESTAMPTZ"
    marks = [literal(one.definition), literal(one.fingerprint)]
    return f"({', '.join([*texts, str(relation.rows), left_out, instant, *marks])})"


def _load(one: LoadedBatch) -> str:
    texts = [literal(text) for text in (one.table.source, one.table.table)]
    more = [literal(one.batch_id), literal(one.digest), f"{literal(one.loaded_at)}::TIMESTAMPTZ"]
    return f"({', '.join([*texts, str(one.sequence), *more])})"


def copied(connection: duckdb.DuckDBPyConnection, database: str) -> list[Copied]:
    """The relations of a publication, attached as ``database``."""
    rows = connection.execute(
        f"SELECT schema_name, relation_name, kind, row_count, left_out, {_ISO.format('changed_at')}, definition, fingerprint"
        f" FROM {database}.{PLATFORM_SCHEMA}.published_relations ORDER BY 1, 2"
    ).fetchall()
    return [
        Copied(
            PublishedRelation(schema, name, kind, count, tuple(left_out), changed), definition, fingerprint
        )
        for schema, name, kind, count, left_out, changed, definition, fingerprint in rows
    ]


def engine_of(connection: duckdb.DuckDBPyConnection, database: str) -> str:
    row = connection.execute(f"SELECT engine FROM {database}.{PLATFORM_SCHEMA}.publication").fetchone()
    assert row is not None
    return str(row[0])


@contextmanager
def opened(
    path: Path, opening: AbstractContextManager[DuckDBWarehouse]
) -> Iterator[tuple[DuckDBWarehouse, Publication]]:
    """The publication at ``path``, which ``opening`` opens, and what it says of itself."""
    if not path.is_file():
        raise WarehouseError(f"There is no publication at {path} yet. Make one: data-platform publish")
    with ExitStack() as stack:
        try:
            warehouse = stack.enter_context(opening)
        except WarehouseBusy:
            raise
        except WarehouseError as error:
            raise not_ours(
                path, first_line(error.__cause__) if isinstance(error.__cause__, Exception) else str(error)
            ) from None
        yield warehouse, read(warehouse.connection, path)


def read(connection: duckdb.DuckDBPyConnection, path: Path) -> Publication:
    """What the open file at ``path`` says of itself; ``WarehouseError`` for one that is no publication."""
    import duckdb

    try:
        row = connection.execute(
            f"SELECT id, {_ISO.format('made_at')}, engine, current_database() FROM {PLATFORM_SCHEMA}.publication"
        ).fetchone()
        loads = connection.execute(
            f'SELECT "source", "table", sequence, batch_id, digest, {_ISO.format("loaded_at")}'
            f" FROM {PLATFORM_SCHEMA}.published_loads ORDER BY 1, 2"
        ).fetchall()
        assert row is not None
        relations = copied(connection, '"' + row[3].replace('"', '""') + '"')
    except duckdb.Error as error:
        raise not_ours(path, first_line(error)) from None
    return Publication(
        row[0],
        row[1],
        row[2],
        tuple(one.published for one in relations),
        tuple(
            LoadedBatch(TableId(source, name), sequence, batch, digest, at)
            for source, name, sequence, batch, digest, at in loads
        ),
        path.stat().st_size,
    )


def not_ours(path: Path, why: str) -> WarehouseError:
    return WarehouseError(
        f"The file {path} is no publication of this platform, or it is damaged ({why}). It was not touched. Move it away,"
        " or name another file under `publish: path:` in catalog/platform.yaml."
    )
