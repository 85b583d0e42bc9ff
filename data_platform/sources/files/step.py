"""Some files to parts: rows with their file and number, files that have none, and lines that are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.engine_errors import first_line
from data_platform.errors import SourceError
from data_platform.sources.files import csv
from data_platform.sources.files.columns import described, merged, type_of
from data_platform.sources.files.config import DATE, FILE, GONE, ROW, settings_of
from data_platform.sources.files.malformed import malformed
from data_platform.sources.files.opened import Opened, values
from data_platform.sources.reading import Described, LandedColumns, SourceTable, prepare
from data_platform.sources.rejected import Rejected
from data_platform.sql import literal, quoted

if TYPE_CHECKING:
    import duckdb

MEMORY = "256MB"
FILES_OF_A_PART = 100
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 4096"
"""As ``sources.parquet``, in the order of the file."""
STAGED = "FORMAT parquet, COMPRESSION lz4_raw, DICTIONARY_SIZE_LIMIT 1"
LARGE_BYTES = 32 * 2**20
REFUSED = "a value is none of its column's type"


@dataclass
class Written:
    files: tuple[tuple[Path, int], ...] = ()
    malformed: list[Rejected] = field(default_factory=list)


class Step:
    """The files of one step of a table's read. ``gone`` are files that have no rows any more."""

    def __init__(self, table: SourceTable, url: str, files: Sequence[Opened], gone: Sequence[str]) -> None:
        self._table, self._settings, self._url = table, settings_of(table), url
        self.files, self.gone = tuple(files), tuple(gone)
        self.words = merged(table, ((one.file, one.words) for one in files))

    def described(self, landed: Mapping[str, str]) -> Described:
        """With the columns that ``landed``, where no file has any."""
        return described(self._table, self._settings, self.words or landed, self._url)

    def write(
        self, folder: Path, name: str, now: Described, landed: LandedColumns, *, marks: bool
    ) -> Written:
        """Parts in ``folder``. ``marks``: files without rows are told, since rows of theirs may have landed."""
        written = Written()
        read = [one for one in self.files if one.rows]
        for n in range(0, len(read), FILES_OF_A_PART):
            self._part(folder / f"{name}-{n}.parquet", read[n : n + FILES_OF_A_PART], now, landed, written)
        if marks:
            empty = self._without_rows([path for path, _ in written.files])
            self._mark(folder / f"{name}-gone.parquet", [*empty, *self.gone], now, landed, written)
        return written

    def _part(
        self, path: Path, files: Sequence[Opened], now: Described, landed: LandedColumns, written: Written
    ) -> None:
        """Read as if every value were of its type, which costs one pass; and once more where one is not."""
        for careful in (False, True):
            with engine_in(path.parent) as engine:
                prepare(engine, [landed])
                try:
                    staged = [self._staged(engine, one, path) for one in files]
                    rows = " UNION ALL ".join(self._rows(one, now, careful=careful) for one in staged)
                    count = _copy(engine, landed.select(f"({self._last_of_key(rows)})"), path)
                except _Refused:
                    continue
                except SourceError as error:
                    raise SourceError(f"{self._table.id}: {error}") from None
                written.malformed += malformed(
                    engine, self._table, staged, self._settings, careful=careful, rows=count
                )
                written.files += ((path, count),) if count else ()
                for left in path.parent.glob("*.staged"):
                    left.unlink()
                return
        raise AssertionError("a careful read refuses no value")

    def _staged(self, engine: duckdb.DuckDBPyConnection, one: Opened, path: Path) -> Opened:
        """A large CSV file as text in Parquet, which knows its rows' numbers: to number the rows of CSV is one thread's
        work, and takes longer than to write them twice."""
        if one.format != "csv" or one.path.stat().st_size < LARGE_BYTES:
            return one
        staged = path.with_name(f"{path.stem}-{self.files.index(one)}.staged")
        _copy(engine, f"SELECT * FROM {one.rows}", staged, STAGED)
        rows = f"read_parquet({literal(str(staged))}, file_row_number=true)"
        return replace(one, rows=rows, number="file_row_number + 1")

    def _last_of_key(self, rows: str) -> str:
        """Of files that have one key, the last one's row, as if each file had a step of its own."""
        key = self._table.key
        if not key or FILE in key or not set(key) <= set(self.words):
            return rows
        keys = ", ".join(map(quoted, key))
        return (
            f"SELECT * FROM ({rows}) QUALIFY {quoted(FILE)} = max({quoted(FILE)}) OVER (PARTITION BY {keys})"
        )

    def _rows(self, one: Opened, now: Described, *, careful: bool) -> str:
        settings, listed = self._settings, []
        for column in now.columns:
            if column.name in one.words and column.name in self.words:
                listed.append(f"{self._value(one, column.name, careful)} AS {quoted(column.name)}")
            elif column.name in self.words:
                listed.append(f"NULL::{column.type} AS {quoted(column.name)}")
        day = settings.pattern.day(one.file)
        beside = [f"{literal(one.file)} AS {quoted(FILE)}", f"{quoted(ROW)}", f"false AS {quoted(GONE)}"]
        beside += [f"DATE {literal(day.isoformat())} AS {quoted(DATE)}"] if day else []
        numbered = f"(SELECT *, ({one.number})::BIGINT AS {quoted(ROW)} FROM {one.rows})"
        only = ""
        if careful and (wrong := unsure(one, settings)):
            only = f" WHERE ({' OR '.join(f'({sql})' for _, sql in wrong)}) IS NOT TRUE"
        return f"SELECT {', '.join([*listed, *beside])} FROM {numbered}{only}"

    def _value(self, one: Opened, name: str, careful: bool) -> str:
        sql = values(one, self._settings, name, type_of(self.words[name]))
        wrong = dict(unsure(one, self._settings)).get(name)
        if careful or wrong is None:
            return sql
        return f"CASE WHEN {wrong} THEN error({literal(REFUSED)}) ELSE {sql} END"

    def _without_rows(self, parts: Sequence[Path]) -> list[str]:
        has: set[str] = set()
        if parts:
            with engine_in(parts[0].parent) as engine:
                listed = ", ".join(literal(str(path)) for path in parts)
                found = engine.execute(f"SELECT DISTINCT {quoted(FILE)} FROM read_parquet([{listed}])")
                has = {file for (file,) in found.fetchall()}
        return [one.file for one in self.files if one.file not in has]

    def _mark(
        self, path: Path, files: Sequence[str], now: Described, landed: LandedColumns, written: Written
    ) -> None:
        if not files:
            return
        nulls = [f"NULL::{c.type} AS {quoted(c.name)}" for c in now.columns if c.name != FILE]
        listed = ", ".join(f"({literal(file)})" for file in files)
        rows = f"SELECT {', '.join([*nulls, quoted(FILE)])}, true AS {quoted(GONE)} FROM (VALUES {listed}) AS f({quoted(FILE)})"
        with engine_in(path.parent) as engine:
            prepare(engine, [landed])
            written.files += ((path, _copy(engine, landed.select(f"({rows})"), path)),)


def unsure(one: Opened, settings: Any) -> list[tuple[str, str]]:
    """The columns of a file in which a text may be none of its type, with the SQL that says so."""
    if one.format != "csv":
        return []
    found = ((name, csv.unsure(name, word, settings.csv)) for name, word in one.words.items())
    return [(name, sql) for name, sql in found if sql is not None]


class _Refused(Exception):
    pass


def _copy(engine: duckdb.DuckDBPyConnection, select: str, path: Path, how: str = PARQUET) -> int:
    import duckdb

    try:
        return int(engine.execute(f"COPY ({select}) TO {literal(str(path))} ({how})").fetchall()[0][0])
    except duckdb.Error as error:
        text = str(error)
        if REFUSED in text:
            raise _Refused from None
        if "invalid state" in text:
            raise SourceError(
                "a file mixes two kinds of line ends, or text stands behind a closing quote. Have it written with one"
                " kind of line end. Nothing of this step landed."
            ) from None
        raise SourceError(
            f"a file could not be read: {first_line(error)}. Nothing of this step landed."
        ) from None


@contextmanager
def engine_in(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    settings: dict[str, Any] = {"memory_limit": MEMORY, "threads": 2, "temp_directory": str(scratch)}
    with duckdb.connect(":memory:", config=settings) as engine:
        engine.execute("SET TimeZone = 'UTC'")
        yield engine
