"""Reads an archive as somebody would who has nothing but its files, pyarrow and DuckDB.

It knows no backup, store or key: what it finds is what a stranger finds in ten years. The one thing it never does is
to run SQL out of the archive: the query of a fingerprint is made here, of names and types alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.column_types import is_column_type
from data_platform.sql import literal, quoted

if TYPE_CHECKING:
    import duckdb

FORMAT = "data-platform archive 1"
MANIFEST, SUMS, README = "manifest.json", "SHA256SUMS", "README.txt"
TEXT, VALUE = "text", "value"
MEMORY = "384MB"
FILES_AT_ONCE = 32
_SUM = re.compile(r"([0-9a-f]{64})  (.+)")

Open = Callable[[str], AbstractContextManager[Path]]
"""Gives a file of the archive by its path there; ``KeyError`` if it does not exist."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read. ``mismatches`` are lines, each of which names a file or a table."""

    tables: int
    rows: int
    bytes: int
    mismatches: tuple[str, ...]


def read(open_file: Open, only: Collection[str] | None = None) -> Reading:
    """Check every file by SHA256SUMS, and every table by pyarrow and DuckDB against manifest.json; with ``only`` the tables of these
    names (``schema.table``) and what belongs to no table."""
    found: list[str] = []
    try:
        sums = _sums(open_file)
        with open_file(MANIFEST) as path:
            data = path.read_bytes()
        tables = _tables(data)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        return Reading(0, 0, 0, (f"{MANIFEST} or {SUMS} is missing or cannot be read ({error})",))
    if hashlib.sha256(data).hexdigest() != sums.pop(MANIFEST, ""):
        found.append(f"{MANIFEST} does not match {SUMS}")
    rows = bytes_ = count = 0
    for table in tables:
        if only is not None and f"{table['schema']}.{table['table']}" not in only:
            for file in table["files"]:
                sums.pop(file["path"], None)
            continue
        count += 1
        try:
            read_, bytes_read = _table(table, open_file, sums)
            rows, bytes_ = rows + read_, bytes_ + bytes_read
        except _Wrong as wrong:
            found.append(str(wrong))
    for name, sha256 in sums.items():  # what belongs to no table: the description
        try:
            with open_file(name) as path:
                _proven(path, name, sha256)
        except KeyError:
            found.append(f"{name} is missing")
        except _Wrong as wrong:
            found.append(str(wrong))
    return Reading(count, rows, bytes_, tuple(found))


def columns_of(table: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, type and form (``text`` or ``value``) of each column of a table of manifest.json; ValueError if one is
    invalid."""
    found = [(c["name"], c["type"], c["stored_as"]) for c in table["columns"]]
    for name, kind, form in found:
        if not isinstance(name, str) or not is_column_type(kind) or form not in (TEXT, VALUE):
            raise ValueError("a column is invalid")
    return found


def fingerprint_query(columns: Sequence[tuple[str, str, str]], files: Sequence[str]) -> str:
    """DuckDB's query of the row count and the fingerprint of the Parquet ``files``: the sum, modulo 2**64, of the first
    eight bytes of the MD5 of each row's text."""
    text = " || ".join(_value(*column) for column in columns)
    listed = ", ".join(literal(file) for file in files)
    return (
        f"SELECT count(*) AS rows, coalesce(sum(('0x' || md5({text})[1:16])::UBIGINT::HUGEINT), 0)"
        f" % 18446744073709551616 AS fingerprint FROM read_parquet([{listed}])"
    )


@contextmanager
def duckdb_of(files: Sequence[Path]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory that reaches ``files`` and nothing else."""
    import duckdb

    settings = {"memory_limit": MEMORY, "threads": 2, "TimeZone": "UTC", "preserve_insertion_order": False}
    with duckdb.connect() as connection:
        for name, value in settings.items():
            connection.execute(f"SET {name} = {literal(str(value))}")
        connection.execute(f"SET allowed_paths = [{', '.join(literal(str(file)) for file in files)}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def fingerprint(columns: Sequence[tuple[str, str, str]], files: Sequence[Path]) -> tuple[int, int]:
    """Rows, and the fingerprint of ``files``; sums of files add up modulo 2**64."""
    if not files:
        return 0, 0
    with duckdb_of(files) as connection:
        row = connection.execute(fingerprint_query(columns, [str(file) for file in files])).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


class _Wrong(Exception):
    """A line about a file or a table that is not as it was."""


def _value(name: str, kind: str, form: str) -> str:
    """A column's part of its row's text: its length in bytes, a colon and its text; ``-`` where it is NULL."""
    text = quoted(name)
    if form == VALUE:
        text = f"CAST({text} AS {kind})"
        text = f"to_json({text})::VARCHAR" if kind.endswith("[]") else f"{text}::VARCHAR"
    return f"CASE WHEN {quoted(name)} IS NULL THEN '-' ELSE strlen({text}) || ':' || {text} END"


def _sums(open_file: Open) -> dict[str, str]:
    with open_file(SUMS) as path:
        lines = path.read_text(encoding="utf-8").splitlines()
    matched = [_SUM.fullmatch(line) for line in lines]
    return {match[2]: match[1] for match in matched if match}


def _tables(data: bytes) -> list[dict[str, Any]]:
    document = json.loads(data)
    if document["format"] != FORMAT:
        raise ValueError("a format that this version does not know")
    for table in document["tables"]:
        columns_of(table)
        int(table["rows"]), int(table["fingerprint"])
        if not all(isinstance(file["path"], str) for file in table["files"]):
            raise ValueError("a file has no path")
    return list(document["tables"])


def _table(table: Mapping[str, Any], open_file: Open, sums: dict[str, str]) -> tuple[int, int]:
    """Rows and bytes of a table that is as manifest.json says, whose files are taken out of ``sums``."""
    label, columns, files = f"{table['schema']}.{table['table']}", columns_of(table), table["files"]
    expected = {file["path"]: sums.pop(file["path"], "") for file in files}
    rows = total = bytes_ = 0
    for first in range(0, len(files), FILES_AT_ONCE):
        with ExitStack() as stack:
            paths = []
            for file in files[first : first + FILES_AT_ONCE]:
                try:
                    path = stack.enter_context(open_file(file["path"]))
                except KeyError:
                    raise _Wrong(f"{file['path']} of {label} is missing") from None
                _proven(path, file["path"], expected[file["path"]])
                _counted(path, file["path"], file["rows"])
                paths.append(path)
                bytes_ += path.stat().st_size
            count, part = _by_duckdb(columns, paths, label)
            rows, total = rows + count, (total + part) % 2**64
    if rows != table["rows"]:
        raise _Wrong(f"{label} holds {rows:,} rows instead of {table['rows']:,}")
    if total != int(table["fingerprint"]):
        raise _Wrong(f"the rows of {label} do not match the fingerprint of {MANIFEST}")
    return rows, bytes_


def _proven(path: Path, name: str, sha256: str) -> None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise _Wrong(f"{name} does not match {SUMS}")


def _counted(path: Path, name: str, rows: int) -> None:
    """Read the whole file by pyarrow, which checks every page's checksum."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = sum(batch.num_rows for batch in file.iter_batches())
    except (OSError, pa.ArrowException) as error:
        raise _Wrong(f"pyarrow cannot read {name}: {str(error).splitlines()[0][:160]}") from None
    if found != rows:
        raise _Wrong(f"{name} holds {found:,} rows instead of {rows:,}")


def _by_duckdb(columns: Sequence[tuple[str, str, str]], paths: Sequence[Path], label: str) -> tuple[int, int]:
    import duckdb

    try:
        return fingerprint(columns, paths)
    except duckdb.Error as error:  # its message may quote a value
        raise _Wrong(f"DuckDB cannot read the files of {label} ({type(error).__name__})") from None
