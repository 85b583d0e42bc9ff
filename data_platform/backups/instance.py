"""Dagster's own storage as files of a backup: what ran, what was checked, where sensors stand.

On a laptop it is SQLite files in DAGSTER_HOME; in production a PostgreSQL database.
Neither needs Dagster to be read.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from data_platform.errors import BackupError

PACKED = ".zst"
"""Ends the path of a file that is compressed in the backup; it is restored without."""


def sqlite_files(home: Path, folder: Path) -> list[tuple[str, Path]]:
    """Every SQLite database under ``home``, as it was at one instant each, packed into ``folder``."""
    files = []
    for number, database in enumerate(sorted(home.rglob("*.db"))):
        copy = folder / f"instance-{number}.db"
        try:
            with (
                closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
        except sqlite3.Error as error:
            raise BackupError(
                f"The Dagster storage {database} could not be copied: {error}. Check that it is a whole SQLite file."
            ) from error
        files.append((f"instance/{database.relative_to(home).as_posix()}{PACKED}", pack(copy)))
    return files


def postgres_files(url: str, folder: Path) -> list[tuple[str, Path]]:
    """Every table of the database at ``url`` as CSV with a header, all of one snapshot, packed.

    Restore them with ``\\copy`` into the tables that Dagster makes in an empty database.
    """
    import psycopg
    from psycopg import sql

    files = []
    try:
        with psycopg.connect(url) as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            tables = connection.execute(
                "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'"
                " and table_schema not in ('pg_catalog', 'information_schema') order by 1, 2"
            ).fetchall()
            for number, (schema, table) in enumerate(tables):
                path = folder / f"instance-{number}.csv"
                statement = sql.SQL("copy {} to stdout (format csv, header)").format(
                    sql.Identifier(schema, table)
                )
                with path.open("wb") as file, connection.cursor().copy(statement) as copy:
                    for block in copy:
                        file.write(block)
                files.append((f"instance/{schema}.{table}.csv{PACKED}", pack(path)))
    except psycopg.Error as error:
        raise BackupError(
            f"Dagster's storage in PostgreSQL could not be copied ({type(error).__name__}). Check that its database is"
            " reachable and that its user may read every table."
        ) from None
    return files


def pack(path: Path) -> Path:
    """``path`` compressed in its place."""
    import pyarrow as pa

    packed = path.with_name(path.name + PACKED)
    with path.open("rb") as plain, pa.CompressedOutputStream(str(packed), "zstd") as target:
        while block := plain.read(1 << 20):
            target.write(block)
    path.unlink()
    return packed


def unpack(path: Path, target: Path) -> None:
    """``path``, compressed or not, as the plain file ``target``."""
    import pyarrow as pa

    if not target.name.endswith(PACKED):
        shutil.copyfile(path, target)
        return
    with (
        pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as source,
        target.with_name(target.name.removesuffix(PACKED)).open("wb") as plain,
    ):
        while block := source.read(1 << 20):
            plain.write(block)
