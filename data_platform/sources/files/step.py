"""Some files to parts: rows with their file and number, files that have none, and lines that are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from data_platform.errors import SourceError
from data_platform.sources.files import csv
from data_platform.sources.files.columns import described, merged, type_of
from data_platform.sources.files.config import DATE, FILE, GONE, ROW, settings_of
from data_platform.sources.files.engine import REFUSED, Refused, copy, engine_in, unreadable
from data_platform.sources.files.known import Listed
from data_platform.sources.files.malformed import malformed
from data_platform.sources.files.marks import mark, without_rows
from data_platform.sources.files.numbered import Numbered
from data_platform.sources.files.opened import Opened, values
from data_platform.sources.reading import Described, LandedColumns, SourceTable, prepare
from data_platform.sources.rejected import Rejected, RejectedFile
from data_platform.sql import literal, quoted

if TYPE_CHECKING:
    import duckdb

FILES_OF_A_PART = 100
STAGED = "FORMAT parquet, COMPRESSION lz4_raw, DICTIONARY_SIZE_LIMIT 1"
LARGE_BYTES = 32 * 2**20


@dataclass
class Written:
    """Parts with their rows, and files of what is none."""

    files: tuple[tuple[Path, int], ...] = ()
    rejected: list[tuple[Path, int]] = field(default_factory=list)


class FileStep(Protocol):
    """The files of one step of a table's read."""

    @property
    def listed(self) -> Sequence[Listed]: ...

    def described(self) -> Described:
        """With the columns that the files have."""

    def write(
        self,
        folder: Path,
        name: str,
        now: Described,
        landed: LandedColumns,
        *,
        gone: Sequence[str],
        marks: bool,
    ) -> Written: ...


class Step:
    """``FileStep`` of CSV and Parquet files. ``landed`` are the words of the columns where no file has any."""

    def __init__(
        self, table: SourceTable, url: str, files: Sequence[Opened], landed: Mapping[str, str]
    ) -> None:
        self._table, self._settings, self._url = table, settings_of(table), url
        self.files, self._landed = tuple(files), landed
        self.words = merged(table, ((one.file, one.words) for one in files))

    @property
    def listed(self) -> Sequence[Listed]:
        return [one.listed for one in self.files]

    def described(self) -> Described:
        return described(self._table, self._settings, self.words or self._landed, self._url)

    def write(
        self,
        folder: Path,
        name: str,
        now: Described,
        landed: LandedColumns,
        *,
        gone: Sequence[str],
        marks: bool,
    ) -> Written:
        """Parts in ``folder``. ``marks``: files without rows are told, since rows of theirs may have landed; ``gone``
        are some that are not there any more."""
        written, rejected = Written(), RejectedFile(folder / f"{name}-rejected.parquet")
        read = [one for one in self.files if one.rows]
        for n, files in enumerate(_groups(read)):
            for line in self._part(folder / f"{name}-{n}.parquet", files, now, landed, written):
                rejected.add(line)
        if marks:
            listed = [one.path for one in self.listed]
            empty = without_rows([path for path, _ in written.files], listed)
            written.files += mark(folder / f"{name}-gone.parquet", [*empty, *gone], now, landed)
        rejected.close()
        written.rejected = list(rejected.files)
        return written

    def _part(
        self, path: Path, files: Sequence[Opened], now: Described, landed: LandedColumns, written: Written
    ) -> list[Rejected]:
        """Read as if every value were of its type, which costs one pass; and once more where one is not. Gives the lines
        that are no rows."""
        try:
            try:
                if _is_large(files[0]):
                    return self._large(path, files[0], now, landed, written)
                return self._several(path, files, now, landed, written, careful=False)
            except Refused:
                return self._several(path, files, now, landed, written, careful=True)
        except SourceError as error:
            told = str(error)
            raise SourceError(
                told if told.startswith(f"{self._table.id}: ") else f"{self._table.id}: {told}"
            ) from None

    def _large(
        self, path: Path, one: Opened, now: Described, landed: LandedColumns, written: Written
    ) -> list[Rejected]:
        with engine_in(path.parent) as scanner, engine_in(path.parent) as engine:
            prepare(engine, [landed])
            numbered = Numbered(scanner, one.rows)
            try:
                numbered.register(engine, "numbered")
                rows = self._rows(replace(one, rows="numbered", number=ROW), now, careful=False)
                count = copy(engine, landed.select(f"({self._last_of_key(rows)})"), path)
            except SourceError:
                if numbered.error is None:
                    raise
                raise unreadable(numbered.error) from None
            lines = malformed(scanner, self._table, [one], self._settings, careful=False, rows=count)
        written.files += ((path, count),) if count else ()
        return lines

    def _several(
        self,
        path: Path,
        files: Sequence[Opened],
        now: Described,
        landed: LandedColumns,
        written: Written,
        *,
        careful: bool,
    ) -> list[Rejected]:
        with engine_in(path.parent) as engine:
            prepare(engine, [landed])
            staged = [self._staged(engine, one, path) for one in files]
            rows = " UNION ALL ".join(self._rows(one, now, careful=careful) for one in staged)
            count = copy(engine, landed.select(f"({self._last_of_key(rows)})"), path)
            lines = malformed(engine, self._table, staged, self._settings, careful=careful, rows=count)
        written.files += ((path, count),) if count else ()
        for left in path.parent.glob("*.staged"):
            left.unlink()
        return lines

    def _staged(self, engine: duckdb.DuckDBPyConnection, one: Opened, path: Path) -> Opened:
        """A large CSV file that is read more than once, as text in Parquet, which knows its rows' numbers."""
        if not _is_large(one):
            return one
        staged = path.with_name(f"{path.stem}-{self.files.index(one)}.staged")
        copy(engine, f"SELECT * FROM {one.rows}", staged, STAGED)
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
        settings, listed, made = self._settings, [], []
        wrong = dict(unsure(one, settings))
        mark = "_" * (max(map(len, one.words), default=0) + 1)  # begins no name of a column
        for n, column in enumerate(now.columns):
            name = quoted(column.name)
            if column.name in one.words and column.name in self.words:
                value = values(one, settings, column.name, type_of(self.words[column.name]))
                if column.name in wrong and not careful:  # a value is made once, and then looked at
                    made.append(f"{value} AS {mark}{n}")
                    refused = f"{mark}{n} IS NULL AND {name} <> ''"
                    value = f"CASE WHEN {refused} THEN error({literal(REFUSED)}) ELSE {mark}{n} END"
                listed.append(f"{value} AS {name}")
            elif column.name in self.words:
                listed.append(f"NULL::{column.type} AS {name}")
        day = settings.pattern.day(one.file)
        beside = [f"{literal(one.file)} AS {quoted(FILE)}", f"{quoted(ROW)}", f"false AS {quoted(GONE)}"]
        beside += [f"DATE {literal(day.isoformat())} AS {quoted(DATE)}"] if day else []
        number = [] if one.number == ROW else [f"({one.number})::BIGINT AS {quoted(ROW)}"]
        rows = f"(SELECT {', '.join(['*', *number, *made])} FROM {one.rows})"
        only = ""
        if careful and wrong:
            only = f" WHERE ({' OR '.join(f'({sql})' for sql in wrong.values())}) IS NOT TRUE"
        return f"SELECT {', '.join([*listed, *beside])} FROM {rows}{only}"


def _is_large(one: Opened) -> bool:
    return one.format == "csv" and one.path.stat().st_size >= LARGE_BYTES


def _groups(files: Sequence[Opened]) -> Iterator[list[Opened]]:
    """Those that go into one part: a large one alone."""
    small = [one for one in files if not _is_large(one)]
    yield from ([one] for one in files if _is_large(one))
    for n in range(0, len(small), FILES_OF_A_PART):
        yield small[n : n + FILES_OF_A_PART]


def unsure(one: Opened, settings: Any) -> list[tuple[str, str]]:
    """The columns of a file in which a text may be none of its type, with the SQL that says so."""
    if one.format != "csv":
        return []
    found = ((name, csv.unsure(name, word, settings.csv)) for name, word in one.words.items())
    return [(name, sql) for name, sql in found if sql is not None]
