"""CSV files, read by DuckDB with the declared dialect. Nothing is sniffed; every field is text first."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from data_platform.errors import SourceError
from data_platform.sources.files.config import OWN, CsvKeys
from data_platform.sources.files.unpack import ending
from data_platform.sources.records.select import converted
from data_platform.sources.records.types import column_type, digits
from data_platform.sql import literal, quoted

REJECTS_MAX = 10_000
"""Malformed lines of one file; one that has more is no file of this dialect."""
BUFFER_BYTES = 8 * 2**20
"""A quarter of DuckDB's default: as quick, and 80 MB less memory where two threads read."""
_DELIMITERS = ";,\t|"


def delimiter(file: str, dialect: CsvKeys) -> str:
    if "delimiter" not in dialect.model_fields_set and ending(file) == ".tsv":
        return "\t"
    return dialect.delimiter


def names(path: Path, file: str, dialect: CsvKeys) -> tuple[str, ...]:
    """The columns of ``file``, whose bytes in UTF-8 are at ``path``: none of an empty file. SourceError with the line."""
    if not isinstance(dialect.header, bool):
        return dialect.header
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        try:
            for _ in range(dialect.skip):
                text.readline()
            mark = delimiter(file, dialect)
            if len(mark) > 1:
                row = text.readline().rstrip("\r\n").split(mark)
            else:
                row = next(iter(_reader(text, mark, dialect)), [])
        except csv.Error as error:
            raise SourceError(
                f"{file}, line {dialect.skip + 1}: the header cannot be read ({error}). Correct the dialect under `csv`."
            ) from None
    if any("\udc80" <= letter <= "\udcff" for name in row for letter in name):
        raise SourceError(
            f"{file}, line {dialect.skip + 1}: its bytes are no UTF-8. Set `csv: {{encoding: ...}}`, such as latin-1 or"
            " utf-16. Nothing of it landed."
        )
    return _checked(tuple(row), file, dialect)


def _reader(text: TextIO, mark: str, dialect: CsvKeys) -> Iterator[list[str]]:
    return csv.reader(
        text,
        delimiter=mark,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        doublequote=dialect.escape is None,
        escapechar=dialect.escape,
        strict=True,
    )


def _checked(row: tuple[str, ...], file: str, dialect: CsvKeys) -> tuple[str, ...]:
    where = f"{file}, line {dialect.skip + 1}"
    if len(row) == 1:
        inside = [mark for mark in _DELIMITERS if mark in row[0]]
        if inside:
            raise SourceError(
                f"{where}: the header is one column, {row[0][:80]!r}. If {inside[0]!r} stands between the fields, write"
                f" `csv: {{delimiter: {inside[0]!r}}}`."
            )
    check_names(row, file, dialect.skip, f"`csv: {{header: [...], skip: {dialect.skip + 1}}}`")
    return row


def check_names(row: Sequence[str], file: str, skip: int, key: str) -> None:
    """SourceError where the names in a file's header are none of columns; ``key`` says them in another way."""
    where = f"{file}, line {skip + 1}"
    seen: set[str] = set()
    for position, name in enumerate(row, 1):
        if not name.strip():
            problem = f"column {position} has no name"
        elif name.casefold() in seen:
            problem = f"{name[:63]!r} names two columns"
        elif name in OWN:
            problem = f"{name} is a name of a column that the platform adds"
        elif len(name.encode()) > 63:
            problem = f"the name of column {position} is longer than 63 bytes"
        else:
            seen.add(name.casefold())
            continue
        raise SourceError(
            f"{where}: {problem}. Correct the header, or say what the columns are called: {key}."
        )


def scan(path: Path, file: str, columns: Sequence[str], dialect: CsvKeys) -> str:
    """The rows as a table function: every column is text. Malformed lines go to ``reject_errors``."""
    listed = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in columns)
    escape = dialect.escape or dialect.quote
    nulls = ", ".join(map(literal, dialect.nulls)) or literal("\0")
    return (
        f"read_csv({literal(str(path))}, auto_detect=false, columns={{{listed}}}, header={str(dialect.header is True).lower()},"
        f" skip={dialect.skip}, delim={literal(delimiter(file, dialect))}, quote={literal(dialect.quote)},"
        f" escape={literal(escape)}, nullstr=[{nulls}], allow_quoted_nulls=false, strict_mode=true,"
        f" compression='none', buffer_size={BUFFER_BYTES}, store_rejects=true, rejects_limit={REJECTS_MAX})"
    )


def value(name: str, word: str, dialect: CsvKeys) -> str:
    """The landed value of the text in ``name``; NULL where it is none of ``word``."""
    column = quoted(name)
    if word == "text":
        return column
    if word == "date" and dialect.date_format:
        return f"try_strptime({column}, {literal(dialect.date_format)})::DATE"
    if word == "timestamp" and dialect.timestamp_format:
        return f"try_strptime({column}, {literal(dialect.timestamp_format)})::TIMESTAMPTZ"
    if word == "json":
        return f"CASE WHEN json_valid({column}) THEN {column}::JSON END"
    if word == "bool":
        other = f"CASE WHEN lower({column}) IN ('true', 'false') THEN {column}::BOOLEAN END"
        return f"CASE {column} WHEN 'true' THEN true WHEN 'false' THEN false ELSE {other} END"
    if word in ("bigint", "double") or digits(word):
        number = _number(column, dialect)
        made = converted(name, "text", word).replace(column, number)
        return made if number != column or word == "double" else _as_written(column, word, made)
    made = converted(name, "text", word)
    return _as_written(column, word, made, f"length({column}) = 10 AND ") if word == "date" else made


def _as_written(column: str, word: str, made: str, only: str = "") -> str:
    """``made``, asked for those texts alone that are not the text of their value: most are, and to see it takes a tenth
    of the time."""
    plain = f"TRY_CAST({column} AS {column_type(word)})"
    return f"CASE WHEN {only}{plain}::VARCHAR = {column} THEN {plain} ELSE {made} END"


def _number(column: str, dialect: CsvKeys) -> str:
    """The text of a number as SQL writes it."""
    if dialect.decimal == "." and dialect.thousands is None:
        return column
    point, between = dialect.decimal, dialect.thousands
    plain = column
    if between is not None:
        mark = "\\" + between if between in ".'" else between
        grouped = f"[+-]?\\d{{1,3}}({mark}\\d{{3}})*(\\{point}\\d*)?"
        plain = f"CASE WHEN regexp_full_match({column}, {literal(grouped)}) OR NOT contains({column}, {literal(between)}) THEN replace({column}, {literal(between)}, '') ELSE '' END"
    if point == ",":
        plain = f"CASE WHEN NOT contains({plain}, '.') THEN replace({plain}, ',', '.') ELSE '' END"
    return f"({plain})"


def unsure(name: str, word: str, dialect: CsvKeys) -> str | None:
    """When a text is none of ``word``; None where every text is one. An empty text is no value of a type."""
    if word == "text":
        return None
    column = quoted(name)
    return f"{column} <> '' AND ({value(name, word, dialect)}) IS NULL"
