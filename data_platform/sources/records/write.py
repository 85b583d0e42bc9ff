"""A step's chunks to Parquet: typed, of each key the last record alone, treated as the sync says.

A record with what is no value of a declared type is rejected; of a type that was found, it stops the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.errors import SchemaDrift
from data_platform.sources.parquet import PARQUET
from data_platform.sources.reading import LandedColumns, SourceTable, prepare
from data_platform.sources.records.decode import ORDER, ORIGIN
from data_platform.sources.records.keys import GONE, RECORD, RecordSettings
from data_platform.sources.records.select import converted, is_sure
from data_platform.sources.records.steps import Spooled, Step
from data_platform.sources.records.types import column_type
from data_platform.sources.rejected import Rejected
from data_platform.sql import literal, quoted

if TYPE_CHECKING:
    import duckdb

MEMORY = "256MB"
FETCHED = 500


@dataclass(frozen=True, slots=True)
class Written:
    """Files with their rows, as ``Parts`` takes them."""

    files: tuple[tuple[Path, int], ...]
    rejected: tuple[tuple[Path, int], ...]


class Writer:
    """Writes the steps of one table. ``words`` are those of its fields, ``declared`` the fields whose word is given."""

    def __init__(
        self,
        table: SourceTable,
        settings: RecordSettings,
        words: Mapping[str, str],
        declared: Sequence[str],
        landed: LandedColumns,
        *,
        unique: bool = False,
    ) -> None:
        """``unique``: no two records have one key, so that none need be looked for."""
        self._table, self._settings, self._words = table, settings, words
        self._declared, self._landed, self._unique = frozenset(declared), landed, unique

    def write(self, step: Step, path: Path) -> Written:
        """The rows of ``step`` in ``path``, which is not made where there are none."""
        if not step.chunks:
            step.rejected.close()
            return Written((), step.rejected.files)
        with _engine(path.parent) as engine:
            prepare(engine, [self._landed])
            chunks = list(self._registered(engine, step.chunks))
            for name, chunk in chunks:
                for record in self._refused(engine, name, chunk):
                    step.rejected.add(record)
            rows = " UNION ALL ".join(self._rows(name, chunk) for name, chunk in chunks)
            select = self._landed.select(f"({self._last_of_each(engine, rows, [n for n, _ in chunks])})")
            copied = engine.execute(f"COPY ({select}) TO {literal(str(path))} ({PARQUET})").fetchall()
        count = int(copied[0][0])
        step.rejected.close()
        return Written(((path, count),) if count else (), step.rejected.files)

    def _registered(
        self, engine: duckdb.DuckDBPyConnection, chunks: Sequence[Spooled]
    ) -> Iterator[tuple[str, Spooled]]:
        for n, chunk in enumerate(chunks):
            engine.register(f"chunk_{n}", chunk.table())
            yield f"chunk_{n}", chunk

    def _fields(self, chunk: Spooled) -> Iterator[tuple[str, str, str]]:
        """Of each field that lands: its name, its column in the chunk, and its landed value as SQL."""
        for n, (name, form) in enumerate(chunk.forms.items()):
            if name in self._words:
                yield name, f"f{n}", converted(f"f{n}", form, self._words[name])

    def _unsure(self, chunk: Spooled) -> list[tuple[str, str]]:
        """The fields of which a value may be none of the type, with the condition that it is."""
        return [
            (name, f"{quoted(column)} IS NOT NULL AND ({sql}) IS NULL")
            for name, column, sql in self._fields(chunk)
            if not is_sure(chunk.forms[name], self._words[name])
        ]

    def _rows(self, source: str, chunk: Spooled) -> str:
        has = {name: sql for name, _, sql in self._fields(chunk)}
        listed = [
            f"{has.get(name, f'NULL::{column_type(word)}')} AS {quoted(name)}"
            for name, word in self._words.items()
        ]
        refused = " OR ".join(f"({condition})" for _, condition in self._unsure(chunk))
        only = f" WHERE ({refused}) IS NOT TRUE" if refused else ""
        own = ", ".join((f"{quoted(RECORD)}::JSON AS {quoted(RECORD)}", quoted(GONE), quoted(ORDER)))
        return f"SELECT {', '.join([*listed, own])} FROM {source}{only}"

    def _refused(self, engine: duckdb.DuckDBPyConnection, source: str, chunk: Spooled) -> Iterator[Rejected]:
        unsure = self._unsure(chunk)
        if not unsure:
            return
        counts = ", ".join(f"count(*) FILTER ({condition})" for _, condition in unsure)
        found = engine.execute(f"SELECT {counts} FROM {source}").fetchall()[0]
        before = "false"  # a record is rejected once, for the first of its reasons
        for (name, condition), count in zip(unsure, found, strict=True):
            if not count:
                continue
            reason = f"{name} is no {self._words[name]}"
            if name not in self._declared:
                raise SchemaDrift(
                    f"{self._table.id}: {reason} in {count:,} records, though it was one before. Declare its type in the"
                    f" catalog (`types: {{{name}: json}}` holds any value), then run `data-platform sync --refresh"
                    f" {self._table.id}`. Nothing of this step was landed."
                )
            listed = engine.execute(
                f"SELECT {quoted(ORIGIN)}::VARCHAR, {quoted(RECORD)} FROM {source}"
                f" WHERE {condition} AND ({before}) IS NOT TRUE"
            )
            before += f" OR ({condition})"
            while rows := listed.fetchmany(FETCHED):
                yield from (Rejected(reason, origin, record.encode()) for origin, record in rows)

    def _last_of_each(self, engine: duckdb.DuckDBPyConnection, rows: str, sources: Sequence[str]) -> str:
        """``rows`` without those of which a later one has the same key, or the same parent."""
        group = self._settings.parent_columns or self._table.key
        if self._unique or not group or not all(name in self._words for name in group):
            return rows
        keys = ", ".join(map(quoted, group))
        asked = f"SELECT count(*), count(DISTINCT ({keys})) FROM (SELECT DISTINCT {keys}, {quoted(ORDER)} FROM ({rows}))"
        records, groups = engine.execute(asked).fetchall()[0]
        if records == groups:
            return rows
        return f"SELECT * FROM ({rows}) QUALIFY {quoted(ORDER)} = max({quoted(ORDER)}) OVER (PARTITION BY {keys})"


def _engine(scratch: Path) -> Any:
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": 2,
        "preserve_insertion_order": False,
        "temp_directory": str(scratch),
    }
    engine = duckdb.connect(":memory:", config=settings)
    engine.execute("SET TimeZone = 'UTC'")
    return engine
