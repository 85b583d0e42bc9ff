"""The file written anew: rows that were deleted stay in a DuckDB file, whatever is done to it, until all of it is copied."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_platform.engine_errors import first_line
from data_platform.errors import WarehouseError
from data_platform.sql import literal, quoted
from data_platform.warehouses.duckdb.atomic_file import Open, replace_atomically
from data_platform.warehouses.duckdb.connect import patiently

NEW = "_rewritten"


def rewrite(
    path: Path, open_at: Open, *, memory_limit: str, threads: int | None, wait_seconds: float
) -> None:
    """Put a copy of all that the file at ``path`` holds in its place. Nobody can open it meanwhile; ``WarehouseBusy`` where somebody
    holds it, ``WarehouseError`` where it cannot be copied. Then the old file stays."""
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "storage_compatibility_version": "latest",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if threads:
        settings["threads"] = threads
    with _alone(path), replace_atomically(path, "rewriting", open_at) as new:
        connection = patiently(
            path, lambda: duckdb.connect(str(path), config=settings), wait_seconds=wait_seconds
        )
        try:
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            row = connection.execute("SELECT current_database()").fetchone()
            assert row is not None
            connection.execute(f"ATTACH {literal(str(new))} AS {NEW}")
            new.chmod(0o600)
            connection.execute(f"COPY FROM DATABASE {quoted(row[0])} TO {NEW}")
            connection.execute(f"CHECKPOINT {NEW}")
            connection.execute(f"DETACH {NEW}")
        except duckdb.Error as error:
            raise WarehouseError(
                f"The warehouse at {path} could not be written anew: {first_line(error)}. It stays as it was. Free disk space for a"
                " second copy of it, and try again."
            ) from None
        finally:
            connection.close()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One at a time: the new file has one name, and a second process would take away what the first one writes. Who waited on a file
    that was replaced meanwhile waits again, on the new one."""
    import fcntl

    while True:
        with path.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if os.fstat(held.fileno()).st_ino == path.stat().st_ino:
                yield
                return
