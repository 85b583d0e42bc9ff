"""Lines of CSV files that are no rows: what is wrong with each, and when a whole file is refused.

A line with another number of fields, or with a text that is none of its column's type, waits in quarantine. What makes all
that follows doubtful refuses the file: a quote that is not closed, bytes that are not of the encoding, too many such lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from data_platform.errors import SourceError
from data_platform.sources.files import csv
from data_platform.sources.files.config import ROW, FileSettings
from data_platform.sources.files.opened import Opened
from data_platform.sources.reading import SourceTable
from data_platform.sources.rejected import Rejected
from data_platform.sql import literal, quoted

if TYPE_CHECKING:
    import duckdb

KINDS = ("MISSING COLUMNS", "TOO MANY COLUMNS")
SHARE = 10
"""One line in so many: where more have another number of fields, the file has rows of two kinds."""
_REJECTED = """
SELECT s.file_path, e.line, e.error_type, e.csv_line, e.error_message
FROM reject_errors e JOIN reject_scans s ON e.scan_id = s.scan_id AND e.file_id = s.file_id
ORDER BY s.file_path, e.line
"""


def malformed(
    engine: duckdb.DuckDBPyConnection,
    table: SourceTable,
    files: Sequence[Opened],
    settings: FileSettings,
    *,
    careful: bool,
    rows: int,
) -> list[Rejected]:
    """Of the ``files`` that ``engine`` has just read into ``rows``. SourceError where a file is refused."""
    if not any(one.format == "csv" for one in files):
        return []
    by_path = {str(one.path): one.file for one in files}
    found: list[Rejected] = []
    lines: dict[str, list[int]] = {}
    for path, line, kind, text, message in engine.execute(_REJECTED).fetchall():
        file = by_path[path]
        if kind not in KINDS:
            raise SourceError(_refusal(table, file, line, kind))
        lines.setdefault(file, []).append(line)
        reason = f"another number of fields ({message.removeprefix('Expected Number of Columns: ').replace(' Found: ', ' expected, found ')})"
        found.append(Rejected(reason, f"{file}, line {line}", text.encode()))
    for file, listed in lines.items():
        if len(listed) >= csv.REJECTS_MAX:
            raise SourceError(_too_many(table, file, found[0].reason))
        _refuse_two_kinds(engine, table, file, listed, found, rows)
    if careful:
        for one in files:
            others = list(_of_other_types(engine, one, settings))
            if len(others) >= csv.REJECTS_MAX:
                raise SourceError(_too_many(table, one.file, others[0].reason))
            found += others
    return found


def _too_many(table: SourceTable, file: str, reason: str) -> str:
    return (
        f"{table.id}: {csv.REJECTS_MAX:,} lines of {file} and more cannot be taken: {reason}. Correct the dialect (`csv`) or the"
        " types (`types`). Nothing of this step landed."
    )


def _refusal(table: SourceTable, file: str, line: int, kind: str) -> str:
    what, do = {
        "UNQUOTED VALUE": (
            "a quote is not closed, or text stands behind one that is",
            "Correct it, or the quote under `csv`",
        ),
        "INVALID ENCODING": (
            "its bytes are no UTF-8",
            "Set `csv: {encoding: ...}`, such as latin-1 or utf-16",
        ),
        "LINE SIZE OVER MAXIMUM": (
            "it is longer than 2 MB, most likely by a quote that is not closed",
            "Correct it, or the quote under `csv`",
        ),
    }.get(kind, (f"it cannot be read ({kind.lower()})", "Correct it, or the dialect under `csv`"))
    return f"{table.id}: {file}, line {line}: {what}. {do}. Nothing of this step landed."


def _refuse_two_kinds(
    engine: duckdb.DuckDBPyConnection,
    table: SourceTable,
    file: str,
    lines: Sequence[int],
    found: Sequence[Rejected],
    rows: int,
) -> None:
    if len(lines) < 2 or len(lines) * SHARE <= rows + len(lines):
        return
    reason = next(one.reason for one in found if one.origin == f"{file}, line {lines[0]}")
    raise SourceError(
        f"{table.id}: {file} has rows of two kinds: {len(lines):,} lines, the first of them line {lines[0]}, have {reason}."
        " Have each kind written into a file of its own, or correct the delimiter under `csv`. Nothing of this step landed."
    )


def _of_other_types(
    engine: duckdb.DuckDBPyConnection, one: Opened, settings: FileSettings
) -> Iterator[Rejected]:
    """The rows of a file that hold a text which is none of its column's type."""
    checks = [
        (name, word, sql)
        for name, word in one.words.items()
        if one.format == "csv" and (sql := csv.unsure(name, word, settings.csv)) is not None
    ]
    if not checks:
        return
    why = " ".join(f"WHEN {sql} THEN {literal(f'{name} is no {word}')}" for name, word, sql in checks)
    row = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in one.words)
    numbered = f"(SELECT *, ({one.number})::BIGINT AS {quoted(ROW)} FROM {one.rows})"
    asked = f"SELECT CASE {why} END AS why, {quoted(ROW)}, to_json(struct_pack({row}))::VARCHAR FROM {numbered} WHERE why IS NOT NULL LIMIT {csv.REJECTS_MAX}"
    for reason, number, text in engine.execute(asked).fetchall():
        yield Rejected(reason, f"{one.file}, row {number}", text.encode())
