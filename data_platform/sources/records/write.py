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
from data_platform.sources.records.decode import ORDER, ORIGIN, Form
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
ROW_GROUP = 24_576


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

    def write(self, step: Step, path: Path, cuts: Sequence[tuple[Path, int]] = ()) -> Written:
        """The rows of ``step`` in ``path``, which is not made where there are none. With ``cuts`` in several files: each
        has those that came before a position."""
        if not step.chunks:
            step.rejected.close()
            return Written((), step.rejected.files)
        with _engine(path.parent) as engine:
            prepare(engine, [self._landed])
            source = _source(step.chunks)
            rows = self._rows(source)
            if refused := self._refused(engine, source):
                for record in self._told(engine, refused, rows):
                    step.rejected.add(record)
            rows = self._last_of_each(engine, rows)
            files = [(file, self._copied(engine, piece, file)) for file, piece in _pieces(rows, path, cuts)]
        step.rejected.close()
        return Written(tuple((file, count) for file, count in files if count), step.rejected.files)

    def _copied(self, engine: duckdb.DuckDBPyConnection, rows: str, path: Path) -> int:
        select = self._landed.select(f"({rows})")
        return int(
            engine.execute(
                f"COPY ({select}) TO {literal(str(path))} ({PARQUET}, ROW_GROUP_SIZE {ROW_GROUP})"
            ).fetchall()[0][0]
        )

    def _value(self, source: _Source, name: str) -> str:
        """The landed value of a field, whichever form it has in a record, as SQL."""
        word = self._words[name]
        found = [converted(column, form, word) for form, column in source.forms.get(name, ())]
        if not found:
            return f"NULL::{column_type(word)}"
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def _unsure(self, source: _Source) -> list[tuple[str, str]]:
        """The fields of which a value may be none of the type, with the condition that it is."""
        return [
            (name, f"{quoted(column)} IS NOT NULL AND ({converted(column, form, self._words[name])}) IS NULL")
            for name, forms in source.forms.items()
            if name in self._words
            for form, column in forms
            if not is_sure(form, self._words[name])
        ]

    def _rows(self, source: _Source) -> str:
        listed = [f"{self._value(source, name)} AS {quoted(name)}" for name in self._words]
        refused = " OR ".join(f"({condition})" for _, condition in self._unsure(source))
        only = f" WHERE ({refused}) IS NOT TRUE" if refused else ""
        own = ", ".join((f"{quoted(RECORD)}::JSON AS {quoted(RECORD)}", quoted(GONE), quoted(ORDER)))
        return f"SELECT {', '.join([*listed, own])} FROM {source.sql}{only}"

    def _refused(self, engine: duckdb.DuckDBPyConnection, source: _Source) -> str | None:
        """The records in which a value is none of its declared type, with the first of their reasons, as
        SQL; None where there is none."""
        unsure = self._unsure(source)
        if not unsure:
            return None
        counts = ", ".join(f"count(*) FILTER ({condition})" for _, condition in unsure)
        found = engine.execute(f"SELECT {counts} FROM {source.sql}").fetchall()[0]
        wrong = [(*one, count) for one, count in zip(unsure, found, strict=True) if count]
        for name, _, count in wrong:
            if name not in self._declared:
                raise SchemaDrift(
                    f"{self._table.id}: {self._reason(name)} in {count:,} records, though it was one before. Declare its"
                    f" type in the catalog (`types: {{{name}: json}}` holds any value), then run `data-platform sync"
                    f" --refresh {self._table.id}`. Nothing of this step was landed."
                )
        if not wrong:
            return None
        reasons = " ".join(
            f"WHEN {condition} THEN {literal(self._reason(name))}" for name, condition, _ in wrong
        )
        keys = [f"{self._value(source, name)} AS {quoted(name)}" for name in self._told_apart()]
        listed = ", ".join((f"CASE {reasons} END AS reason", f"{quoted(ORIGIN)}::VARCHAR AS origin", *keys))
        return (
            f"SELECT {listed}, {quoted(RECORD)}, {quoted(ORDER)} FROM {source.sql}"
            f" WHERE {' OR '.join(f'({condition})' for _, condition, _ in wrong)}"
        )

    def _reason(self, name: str) -> str:
        return f"{name} is no {self._words[name]}"

    def _told_apart(self) -> Sequence[str]:
        """The key, where it tells of two records which one is the other's later version."""
        key = () if self._settings.parent else self._table.key
        return key if all(name in self._words for name in key) else ()

    def _told(self, engine: duckdb.DuckDBPyConnection, refused: str, rows: str) -> Iterator[Rejected]:
        """The records of ``refused`` in the order in which they came, and whether ``rows`` hold a later one of the key."""
        last, join = "NULL", ""
        if key := self._told_apart():
            keys = ", ".join(map(quoted, key))
            latest = f"SELECT {keys}, max({quoted(ORDER)}) AS last FROM ({rows}) SEMI JOIN refused USING ({keys}) GROUP BY ALL"
            last, join = "last", f" LEFT JOIN ({latest}) USING ({keys})"
        listed = engine.execute(
            f"WITH refused AS MATERIALIZED ({refused}) SELECT reason, origin, {quoted(RECORD)},"
            f" coalesce({last} > {quoted(ORDER)}, false) FROM refused{join} ORDER BY {quoted(ORDER)}"
        )
        while found := listed.fetchmany(FETCHED):
            yield from (
                Rejected(reason, origin, record.encode(), old) for reason, origin, record, old in found
            )

    def _last_of_each(self, engine: duckdb.DuckDBPyConnection, rows: str) -> str:
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


@dataclass(frozen=True, slots=True)
class _Source:
    """The chunks of a step: ``sql`` gives their rows, ``forms`` the forms that a field has in them, with their columns."""

    sql: str
    forms: Mapping[str, Sequence[tuple[Form, str]]]


def _source(chunks: Sequence[Spooled]) -> _Source:
    """One list of files, so that to plan a statement costs the same however many they are."""
    columns = {field: column for chunk in chunks for field, column in chunk.columns.items()}
    forms: dict[str, list[tuple[Form, str]]] = {}
    for (name, form), column in columns.items():
        forms.setdefault(name, []).append((form, column))
    files = ", ".join(literal(str(chunk.path)) for chunk in chunks)
    alike = len({frozenset(chunk.columns.values()) for chunk in chunks}) == 1
    return _Source(f"read_parquet([{files}], union_by_name = {'false' if alike else 'true'})", forms)


def _pieces(rows: str, path: Path, cuts: Sequence[tuple[Path, int]]) -> Iterator[tuple[Path, str]]:
    if not cuts:
        yield path, rows
    first = 0
    for file, end in cuts:
        yield file, f"SELECT * FROM ({rows}) WHERE {quoted(ORDER)} >= {first} AND {quoted(ORDER)} < {end}"
        first = end


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
