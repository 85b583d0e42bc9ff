"""A table's job: its file, what it may give, and what Spark's process is told of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_platform.errors import ConfigurationError
from data_platform.sources.inputs import LandedTable
from data_platform.sources.reading import ClearColumn, Described, SourceTable
from data_platform.sources.records.types import base_type, column_type, digits
from data_platform.sources.spark.config import SparkConnection
from data_platform.sources.spark.current import SEQ, Scan, current, only_days
from data_platform.sources.spark.keys import settings_of
from data_platform.sql import quoted
from data_platform.tables import Column, Slice

_MAY_BE: Mapping[str, str] = {
    "text": r"string|(var)?char\(\d+\)",
    "bigint": r"tinyint|smallint|int|bigint",
    "double": r"float|double|tinyint|smallint|int",
    "bool": r"boolean",
    "json": r"string",
    "date": r"date",
    "timestamp": r"timestamp",
}
"""By a column's word, the types of Spark whose every value it holds."""


def file_of(connection: SparkConnection, table: SourceTable) -> Path:
    """The file of a job. ConfigurationError where there is none, or two."""
    folder = connection.at(connection.folder)
    found = [path for end in (".sql", ".py") if (path := folder / f"{table.id.table}{end}").is_file()]
    if len(found) == 1:
        return found[0].absolute()
    where = connection.told(folder)
    if not found:
        raise ConfigurationError(
            f"{table.id}: there is no job: write {where}/{table.id.table}.sql or {where}/{table.id.table}.py."
        )
    raise ConfigurationError(
        f"{table.id}: there are two jobs, in SQL and in Python. Keep one of {where}/{table.id.table}.*"
    )


def digest_of(path: Path, table: SourceTable) -> str:
    """What tells a job from one that computes other rows: its file, and the columns that it gives."""
    settings = settings_of(table)
    said = [path.read_bytes(), repr(sorted(settings.types.items())).encode()]
    said.append(repr(sorted((name, str(read)) for name, read in settings.inputs.items())).encode())
    return hashlib.sha256(b"\0".join(said)).hexdigest()


def described(table: SourceTable, place: str) -> Described:
    """The table that a job gives: the columns of its block."""
    settings = settings_of(table)
    words = {name: word for name, word in settings.types.items() if not table.only or name in table.only}
    return Described(
        name=table.id.table,
        place=place,
        changes="log",
        columns=tuple(_column(name, word) for name, word in words.items()),
        column_names=tuple(settings.types),
        identity={"job": str(table.id)},
    )


def _column(name: str, word: str) -> ClearColumn:
    type_ = column_type(word)
    return ClearColumn(
        name=name,
        type=type_,
        source_type=word,
        nullable=True,
        value=f"CAST({quoted(name)} AS {type_})",
        text=f"CAST({quoted(name)} AS VARCHAR)",
        base=base_type(word),
        one_text=type_ not in ("DOUBLE", "JSON"),
    )


def job(
    connection: SparkConnection,
    table: SourceTable,
    landed: Mapping[str, LandedTable],
    slices: Sequence[Slice],
    output: str,
    folder: Path,
    in_bucket: bool,
) -> dict[str, Any]:
    """What the process is told of ``table``; ``folder`` is where links to the parts are made."""
    settings = settings_of(table)
    only = None
    if slices:
        assert table.partition is not None
        only = only_days(
            Column(table.partition, column_type(settings.types[table.partition]), ""), table.timezone, slices
        )
    return {
        "table": str(table.id),
        "file": str(file_of(connection, table)),
        "inputs": {
            name: _input(name, settings.inputs[name], one, folder, in_bucket) for name, one in landed.items()
        },
        "types": {name: _may_be(word) for name, word in settings.types.items()},
        "words": dict(settings.types),
        "conf": {name: _text(value) for name, value in settings.resources.conf.items()},
        "days": list(slices) or None,
        "only": only,
        "output": output,
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _may_be(word: str) -> str:
    known = digits(word)
    if known is None:
        return _MAY_BE[word]
    precision, scale = known
    fits = [
        rf"decimal\({p},{s}\)"
        for p in range(1, precision + 1)
        for s in range(min(p, scale) + 1)
        if p - s <= precision - scale
    ]
    whole = [
        kind
        for kind, n in (("tinyint", 3), ("smallint", 5), ("int", 10), ("bigint", 19))
        if n <= precision - scale
    ]
    return "|".join([*fits, *whole])


def _input(name: str, table: Any, landed: LandedTable, folder: Path, in_bucket: bool) -> dict[str, Any]:
    made = current(landed, f"scan_{name}")
    return {
        "seq": SEQ,
        "sql": made.sql,
        "scans": [
            {
                "view": scan.view,
                "schema": scan.schema,
                "files": [list(file) for file in scan.files],
                "folder": None if in_bucket else str(_linked(scan, folder / scan.view)),
            }
            for scan in made.scans
        ],
    }


def _linked(scan: Scan, folder: Path) -> Path:
    """The parts of a scan in a folder for each batch, which is how Spark knows of a file what is not in it."""
    for n, (sequence, file) in enumerate(scan.files):
        of_batch = folder / f"{SEQ}={sequence}"
        of_batch.mkdir(parents=True, exist_ok=True)
        (of_batch / f"part-{n:05d}.parquet").symlink_to(file)
    return folder
