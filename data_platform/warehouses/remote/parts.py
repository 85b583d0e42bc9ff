"""Landed Parquet files before they are sent: values that the engine cannot hold are found here, and columns that it cannot
read are written anew.

DuckDB reads the files, which lie on this machine and were proven to be the batch's. Nothing has been written to the warehouse
when a batch is refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.duckdb_sql import DIALECT, parquet_files
from data_platform.errors import LoadRefused, WarehouseError
from data_platform.sql import literal, quoted
from data_platform.tables import Column
from data_platform.warehouses.remote.grammar import Loadable

if TYPE_CHECKING:
    import duckdb

MEMORY = "400MB"


@dataclass(frozen=True, slots=True)
class Sendable:
    """Files that hold exactly the staged columns, and where they lie in a bucket; ``addresses`` is empty where they do not."""

    paths: tuple[Path, ...]
    addresses: tuple[str, ...]


@contextmanager
def sendable(
    what: str,
    columns: Sequence[Column],
    loadable: Mapping[str, Loadable],
    parts: Sequence[Path],
    addresses: Sequence[str],
) -> Iterator[Sendable]:
    """The parts as the engine can take them while the block runs. ``LoadRefused`` names each column with a value that it cannot hold,
    and how many; ``what`` names the batch."""
    if not parts:
        yield Sendable((), ())
        return
    with closing(_engine()) as engine, _readable(what):
        _refuse(engine, what, columns, loadable, parts)
        as_they_lie = not any(loadable[column.name].rewritten for column in columns)
        if as_they_lie and all(_holds(engine, part, columns) for part in parts):
            sent = Sendable(tuple(parts), tuple(addresses))
            folder = None
        else:
            folder = tempfile.TemporaryDirectory(prefix="data-platform-")
            sent = Sendable(
                tuple(
                    _rewrite(engine, part, Path(folder.name) / f"{n:04}.parquet", columns, loadable)
                    for n, part in enumerate(parts)
                ),
                (),
            )
    try:
        yield sent
    finally:
        if folder is not None:
            folder.cleanup()


def _engine() -> duckdb.DuckDBPyConnection:
    import duckdb

    engine = duckdb.connect(config={"memory_limit": MEMORY})
    engine.execute("SET GLOBAL TimeZone = 'UTC'; SET preserve_insertion_order = false")
    return engine


def _refuse(
    engine: duckdb.DuckDBPyConnection,
    what: str,
    columns: Sequence[Column],
    loadable: Mapping[str, Loadable],
    parts: Sequence[Path],
) -> None:
    asked = [
        (column.name, condition.replace("{}", f"{quoted(column.name)}::{column.type}"), words)
        for column in columns
        for condition, words in loadable[column.name].refused
    ]
    if not asked:
        return
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for _, condition, _ in asked)
    row = engine.execute(f"SELECT {counts} FROM {parquet_files(parts)}").fetchall()[0]
    found = [
        f"{count:,} rows of its column {name} {words}"
        for count, (name, _, words) in zip(row, asked, strict=True)
        if count
    ]
    if found:
        raise LoadRefused(f"{what} was not loaded, and nothing was written: {'; '.join(found)}.")


def _holds(engine: duckdb.DuckDBPyConnection, part: Path, columns: Sequence[Column]) -> bool:
    """Whether the file has exactly these columns, in this order and of these types."""
    described = engine.execute(f"DESCRIBE SELECT * FROM {parquet_files([part])}").fetchall()
    return len(described) == len(columns) and all(
        name == column.name and DIALECT.same_type(kind, column.type)
        for (name, kind, *_), column in zip(described, columns, strict=True)
    )


def _rewrite(
    engine: duckdb.DuckDBPyConnection,
    part: Path,
    to: Path,
    columns: Sequence[Column],
    loadable: Mapping[str, Loadable],
) -> Path:
    values = []
    for column in columns:
        landed = f"{quoted(column.name)}::{column.type}"
        sent = (loadable[column.name].rewritten or "{}").replace("{}", landed)
        values.append(f"{sent} AS {quoted(column.name)}")
    engine.execute(
        f"COPY (SELECT {', '.join(values)} FROM {parquet_files([part])}) TO {literal(str(to))} (FORMAT parquet)"
    )
    return to


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """DuckDB's own words may hold a value."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise WarehouseError(
            f"The warehouse could not load {what[:1].lower()}{what[1:]}: its parts could not be read ({type(error).__name__}). Check the space in the folder of temporary"
            " files, and verify the landing store with `data-platform verify`."
        ) from None
