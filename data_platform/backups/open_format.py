"""What makes an archive readable without us: its description, its manifest for people, its SHA-256 sums.

The Parquet files are the daily backup's own (``export.py``). Here are the three files beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_platform.backups import names, stranger
from data_platform.backups.export import Exported, FileToKeep
from data_platform.backups.manifest import BackupObject, BackupTable, made_at
from data_platform.backups.shelf import ARCHIVE
from data_platform.landing.part import sha256_of
from data_platform.printable import printable_line

_README = """\
AN ARCHIVE OF A DATA WAREHOUSE
==============================

This folder holds every table of the data warehouse "{environment}" as it was on
{day} UTC. It was written to be read many years later, by
somebody who has none of the programs that wrote it.


WHAT LIES HERE

  README.txt                           this text
  manifest.json                        every table: its columns, its types, its row count, its files
  SHA256SUMS                           the SHA-256 of every file but itself
  <schema>.<table>/part-NNNNN.parquet  the rows, in the format Apache Parquet, compressed by Zstandard

In the name of a folder, every byte that is not a letter, a digit or one of _ - ~ is
written as %XX (UTF-8, hexadecimal). A name that would be longer than {longest} characters is cut;
manifest.json has the whole one. A table without rows has no file.


IS IT WHOLE AND UNDAMAGED?

  sha256sum --check SHA256SUMS         (on macOS: shasum -a 256 -c SHA256SUMS)

Every line must end in OK. Every page of every Parquet file also has a checksum of its own.


READ IT WITH DUCKDB                    https://duckdb.org

  SELECT * FROM read_parquet('{example}/*.parquet') LIMIT 10;
  CREATE TABLE t AS SELECT * FROM read_parquet('{example}/*.parquet');


READ IT WITH PYARROW                   https://arrow.apache.org

  import pyarrow.dataset
  table = pyarrow.dataset.dataset("{example}", format="parquet").to_table()

Any other program that reads Parquet will do as well: Spark, Polars, pandas, a database.


THE TYPES

manifest.json names the type of each column in the words of DuckDB's SQL. "stored_as": "value" means
that the Parquet file holds it as it is. "text" means that the file holds its text, since Parquet has no such
type or not all of its values; CAST(column AS type) makes the value again.
Instants (TIMESTAMP WITH TIME ZONE) are in UTC. Where one is infinity, the file holds 9223372036854775807 microseconds,
which Python's datetime does not reach; -infinity is the same number below zero.

"create" is the statement that makes the empty table in DuckDB. "statements" made what is no
table: views, indexes, comments. Nothing needs them to read the rows.


THE FINGERPRINT

The rows of a table are sorted by its key, or else by all columns. "fingerprint" proves the rows, whatever the
files look like. "fingerprint_query" computes it in DuckDB (after SET TimeZone = 'UTC', in this folder):

  The text of a row is made of the texts of its columns, in the order of manifest.json. A column's text is its length in
  bytes (UTF-8), a colon and the value as text; NULL is a single -. The MD5 of the row's text gives its first
  16 hexadecimal digits as a number. The fingerprint is the sum of these numbers modulo 2^64.


THE TABLES

{tables}
"""


def describe(exported: Exported, folder: Path, id_: str, environment: str) -> list[FileToKeep]:
    """Write manifest.json, README.txt and SHA256SUMS of what was exported to the shelf ``archive`` into ``folder``."""
    prefix = ARCHIVE.key(id_, "")
    tables = [_table(table, exported, prefix) for table in exported.tables]
    document = {
        "format": stranger.FORMAT,
        "id": id_,
        "environment": environment,
        "created_at": made_at(id_).isoformat(timespec="seconds"),
        "written_by": exported.inventory.engine,
        "schemas": list(exported.inventory.schemas),
        "tables": tables,
        "statements": list(exported.inventory.statements),
    }
    written = {
        stranger.README: _readme(document),
        stranger.MANIFEST: json.dumps(document, indent=1, ensure_ascii=False) + "\n",
    }
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    objects = (part for table in exported.tables for part in table.parts)
    lines = sorted([*_sums(objects, prefix), *((name, sha256_of(folder / name)) for name in written)])
    (folder / stranger.SUMS).write_text("".join(f"{sha256}  {name}\n" for name, sha256 in lines))
    return [
        FileToKeep(name, folder / name, (folder / name).stat().st_size) for name in (*written, stranger.SUMS)
    ]


def _table(table: BackupTable, exported: Exported, prefix: str) -> dict[str, Any]:
    columns = [
        {"name": c.name, "type": c.type, "stored_as": stranger.TEXT if c.as_text else stranger.VALUE}
        for c in table.table.columns
    ]
    found: dict[str, Any] = {"columns": columns}
    shape = stranger.columns_of(found)
    paths = [part.key.removeprefix(prefix) for part in table.parts]
    fingerprint = 0
    for first in range(0, len(table.parts), stranger.FILES_AT_ONCE):
        some = [exported.paths[part.key] for part in table.parts[first : first + stranger.FILES_AT_ONCE]]
        fingerprint = (fingerprint + stranger.fingerprint(shape, some)[1]) % 2**64
    return {
        "schema": table.table.schema,
        "table": table.table.name,
        "rows": table.rows,
        "fingerprint": str(fingerprint),  # JSON readers round numbers of this size
        "fingerprint_query": stranger.fingerprint_query(shape, paths) if paths else None,
        "create": table.table.create,
        "columns": columns,
        "files": [
            {"path": path, "bytes": part.bytes, "sha256": part.sha256, "rows": part.rows}
            for path, part in zip(paths, table.parts, strict=True)
        ],
    }


def _sums(objects: Iterable[BackupObject], prefix: str) -> Iterable[tuple[str, str]]:
    return ((object_.key.removeprefix(prefix), object_.sha256) for object_ in objects)


def _readme(document: dict[str, Any]) -> str:
    tables = document["tables"]
    example = next((t["files"][0]["path"].split("/")[0] for t in tables if t["files"]), "schema.table")
    labels = [printable_line(f"{table['schema']}.{table['table']}") for table in tables]
    lines = [f"  {t['rows']:>15,} rows  {label}" for t, label in zip(tables, labels, strict=True)]
    return _README.format(
        environment=printable_line(document["environment"]),
        day=document["created_at"].replace("T", " ").removesuffix("+00:00"),
        longest=names.LONGEST,
        example=example,
        tables="\n".join(lines) or "  none",
    )
