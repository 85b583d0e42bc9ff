"""All that the platform holds of a person as files, for a request of access: JSON and CSV a table, and a README.

JSON is exact. In the CSV a text that a spreadsheet would run begins with an apostrophe. Files are private to the account
that writes them, and appear as a whole or not at all.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_platform.audit.event import OBJECTS_MAX, Event
from data_platform.errors import ConfigurationError
from data_platform.plain_values import cell, no_formula, plain
from data_platform.privacy.subjects.graph import Subject
from data_platform.privacy.subjects.place import Place
from data_platform.private_files import make_private
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.freeze import keys_of
from data_platform.sync.platform import Platform
from data_platform.sync.reveal import in_clear
from data_platform.sync.subjects import Asked, held, selection
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.words import plural

README, MANIFEST = "README.txt", "manifest.json"
OWN = "_"
"""What columns begin with that the platform adds; they tell nothing of a person."""
_TREATED = {
    "hash": "kept as a keyed hash only: the value itself is not here",
    "mask": "masked: the country and the last two digits of a phone number",
    "redact": "left out before it was stored",
}


@dataclass(frozen=True, slots=True)
class ExportedTable:
    table: TableId
    rows: int
    files: tuple[str, ...]
    subject_ids: frozenset[str]
    """The keystore's ids of the people whose sealed values are in the files."""
    key: Place | None = None
    keys: frozenset[str] = frozenset()
    """The rows' keys, where an erasure would know them by these."""


@dataclass(frozen=True, slots=True)
class Exported:
    into: Path
    tables: tuple[ExportedTable, ...]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def subject_ids(self) -> tuple[str, ...]:
        return _ids(self.tables)


def export(platform: Platform, subject: Subject, asked: Asked, into: Path) -> Exported:
    """Write the rows of whom ``asked`` names into the folder ``into``, which must not be there. ConfigurationError where it is, or
    where nobody was found, or where the person is in the log of erasures by the time at which it is written. The audit trail has it before
    anything is written."""
    if into.exists():
        raise ConfigurationError(f"{into} exists. Choose a folder that is not there yet.")
    with platform.trail.audited(Event("subject_export", (subject.name,))) as act:
        done = _export(platform, subject, asked, into)
        act.objects = (subject.name, *(str(one.table) for one in done.tables if one.rows))
        act.subjects = done.subject_ids[:OBJECTS_MAX]
        act.details["rows"] = done.rows
    return done


def _export(platform: Platform, subject: Subject, asked: Asked, into: Path) -> Exported:
    make_private(into.absolute().parent)
    folder = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.absolute().parent))
    try:
        with platform.warehouse(read_only=True) as warehouse:
            tables = tuple(_tables(platform, warehouse, subject, asked, folder))
        if not any(table.rows for table in tables):
            raise ConfigurationError(
                f"No row of a {subject.name} was found, so nothing was written. `data-platform subject find` shows where it looks."
            )
        _describe(platform, subject, tables, folder)
        keys = {table.key: table.keys for table in tables if table.key is not None}
        if Book(platform).knows(subject.name, keys):
            raise ConfigurationError(
                f"This {subject.name} is being erased, so nothing was written. Of a person who asks for both, the export comes first."
            )
        folder.rename(into)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Exported(into, tables)


def _tables(
    platform: Platform, warehouse: Warehouse, subject: Subject, asked: Asked, folder: Path
) -> Sequence[ExportedTable]:
    found = []
    places = keys_of(platform, subject)
    rows = selection(platform, warehouse, held(warehouse, subject), asked)
    for position, part in enumerate(rows.parts):
        reading = rows.reading(position)
        answer = warehouse.query(reading.sql, reading.bound)
        shown = [n for n, name in enumerate(answer.columns) if not name.startswith(OWN)]
        names = [answer.columns[n] for n in shown]
        given = [[row[n] for n in shown] for row in answer.rows]
        values, ids = in_clear(platform, part.table, names, given)
        files = _write(folder, part.table, names, values) if values else ()
        key = places.get(part.table)
        keys = {str(row[names.index(key.column)]) for row in given} if key is not None and given else ()
        found.append(ExportedTable(part.table, len(values), files, ids, key, frozenset(keys)))
    return found


def _write(
    folder: Path, table: TableId, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[str, ...]:
    place = folder / "data" / table.source
    make_private(place)
    records = [dict(zip(names, map(plain, row), strict=True)) for row in rows]
    (place / f"{table.table}.json").write_text(
        json.dumps(records, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    with (place / f"{table.table}.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(map(no_formula, names))
        out.writerows(
            ["" if v is None else no_formula(v) if isinstance(v, str) else cell(v) for v in row]
            for row in rows
        )
    return tuple(f"data/{table.source}/{table.table}.{kind}" for kind in ("json", "csv"))


def _describe(platform: Platform, subject: Subject, tables: Sequence[ExportedTable], folder: Path) -> None:
    made = platform.clock().isoformat(timespec="seconds")
    lines = [
        f"What is held of one {subject.name}",
        "",
        f"Written at {made}. {subject.description}".strip(),
        "Each table is there twice: as JSON, which is exact, and as CSV for a spreadsheet. In the CSV a text that begins like a formula has",
        f"an apostrophe before it. {MANIFEST} lists all files with their SHA-256.",
        "",
    ]
    for table in tables:
        if table.rows:
            lines += _table_lines(platform, table)
    (folder / README).write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = {name: _digest(folder / name) for name in (README, *(f for t in tables for f in t.files))}
    manifest = {
        "subject": subject.name,
        "made_at": made,
        "subject_ids": list(_ids(tables)),
        "tables": {str(table.table): table.rows for table in tables},
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)


def _table_lines(platform: Platform, table: ExportedTable) -> list[str]:
    source = platform.catalog.source(table.table.source)
    block = platform.catalog.table(table.table)
    lines = [f"{table.files[0]}: {plural(table.rows, 'row')}", f"  From {source.description or source.name}"]
    if block.description:
        lines.append(f"  {block.description}")
    lines += [f"  {column}: {meaning}" for column, meaning in block.columns.items()]
    lines += [
        f"  {column}: {_TREATED[treatment]}"
        for column, treatment in block.personal.items()
        if treatment in _TREATED
    ]
    return [*lines, ""]


def _ids(tables: Sequence[ExportedTable]) -> tuple[str, ...]:
    return tuple(sorted({id for table in tables for id in table.subject_ids}))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
