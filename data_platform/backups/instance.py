"""Dagster's own storage as files of a backup: its runs, check results and the cursors of sensors.

On a laptop it is SQLite files in DAGSTER_HOME; in production a PostgreSQL database.
Neither needs Dagster to be read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from data_platform.backups.export import FileToKeep
from data_platform.errors import BackupDamaged, BackupError, SourceError
from data_platform.sources.postgres.settings import Settings
from data_platform.sources.postgres.urls import WrongURL, parameters

PACKED = ".zst"
"""Ends the path of a file that is compressed in the backup; it is restored without."""
RATIO_MAX, SMALL = 1000, 64 << 20
"""Of a file whose backup does not say how large it is: it may be so many times its compressed size, or ``SMALL``."""


def sqlite_files(home: Path, folder: Path) -> list[FileToKeep]:
    """Every SQLite database under ``home``, as it was at one instant each, packed into ``folder``."""
    files = []
    for number, database in enumerate(sorted(home.rglob("*.db"))):
        if not database.is_file():  # Dagster removes the events of a run that is deleted meanwhile
            continue
        copy = folder / f"instance-{number}.db"
        try:
            with (
                closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
        except sqlite3.Error as error:
            if not database.exists():
                continue
            raise BackupError(
                f"The Dagster storage {database} could not be copied: {error}. Check that it is an intact SQLite file."
            ) from error
        files.append(_packed(f"instance/{database.relative_to(home).as_posix()}", copy))
    return files


def postgres_files(url: str, folder: Path) -> list[FileToKeep]:
    """Every table of the database at ``url`` as CSV with a header, all of one snapshot, packed.

    Restore them with ``\\copy`` into the tables that Dagster makes in an empty database.
    """
    import psycopg
    from psycopg import conninfo, sql

    files = []
    try:
        # Dagster's URL names SQLAlchemy's driver
        with psycopg.connect(
            conninfo.make_conninfo(**parameters(url)), autocommit=True, prepare_threshold=None
        ) as connection:
            settings = Settings.of(
                connection.info.server_version // 10_000,
                source="Dagster's storage",
                statement_timeout_seconds=0,
            )
            # values are kept in text forms that any database reads back as they were
            connection.execute(
                f"begin transaction isolation level repeatable read, read only; {settings.statement()}".encode()
            )
            settings.check(connection.execute(settings.question().encode()), isolation="repeatable read")
            connection.execute("set local lock_timeout = '60s'")  # Dagster's own migration may pass by
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
                files.append(_packed(f"instance/{schema}.{table}.csv", path))
    except (SourceError, WrongURL) as error:
        raise BackupError(f"Dagster's storage in PostgreSQL could not be copied: {error}") from None
    except psycopg.Error as error:
        raise BackupError(
            f"Dagster's storage in PostgreSQL could not be copied ({type(error).__name__}). Check that its database is"
            " reachable and that its user has the right to read every table."
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


def unpack(path: Path, target: Path, plain_bytes: int | None = None) -> None:
    """``path``, compressed or not, as the new plain file ``target`` of ``plain_bytes``; where these are not
    known, of no more than any file of Dagster's needs. ``BackupDamaged`` when there is more, or less."""
    packed = path.stat().st_size
    most = plain_bytes if plain_bytes is not None else max(packed * RATIO_MAX, SMALL)
    compressed = target.name.endswith(PACKED)
    target = target.with_name(target.name.removesuffix(PACKED))
    written = 0
    target.touch(mode=0o600, exist_ok=False)
    with target.open("wb") as plain:
        for block in _blocks(path, compressed):
            written += len(block)
            if written > most:
                break
            plain.write(block)
    if written > most or (plain_bytes is not None and written < plain_bytes):
        target.unlink()
        more = "more" if written > most else "less"
        raise BackupDamaged(
            f"The file {target.name} of the backup unpacks to {more} than the {most:,} bytes it may have: it was"
            " altered, or made to fill this disk. It was not kept. Restore from another copy or another day."
        )


def _blocks(path: Path, compressed: bool) -> Iterator[bytes]:
    """The plain content. ``BackupDamaged`` where the compressed one cannot be read."""
    import pyarrow as pa

    if not compressed:
        with path.open("rb") as plain:
            while block := plain.read(1 << 20):
                yield block
        return
    with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as source:
        while True:
            try:
                block = source.read(1 << 20)
            except (OSError, pa.ArrowException) as error:
                raise BackupDamaged(
                    f"The object {path.name} of the backup is not compressed as it should be. Restore from another"
                    " copy or another day."
                ) from error
            if not block:
                return
            yield block


def _packed(path: str, file: Path) -> FileToKeep:
    size = file.stat().st_size
    return FileToKeep(path + PACKED, pack(file), size)
