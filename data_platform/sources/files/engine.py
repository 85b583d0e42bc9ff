"""The DuckDB that reads files and writes parts, and what it says of a file that it cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.engine_errors import first_line
from data_platform.errors import SourceError
from data_platform.sql import literal

if TYPE_CHECKING:
    import duckdb

MEMORY = "256MB"
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 4096"
"""As ``sources.parquet``, in the order of the file."""
REFUSED = "a value is none of its column's type"


class Refused(Exception):
    """A value of a CSV file is none of its column's type."""


def copy(engine: duckdb.DuckDBPyConnection, select: str, path: Path, how: str = PARQUET) -> int:
    import duckdb

    try:
        return int(engine.execute(f"COPY ({select}) TO {literal(str(path))} ({how})").fetchall()[0][0])
    except duckdb.Error as error:
        if REFUSED in str(error):
            raise Refused from None
        raise unreadable(error) from None


def unreadable(error: duckdb.Error) -> SourceError:
    """What the engine says of a file, in other words."""
    if "invalid state" in str(error):
        return SourceError(
            "a file mixes two kinds of line ends, or text stands behind a closing quote. Have it written with one"
            " kind of line end. Nothing of this step landed."
        )
    return SourceError(f"a file could not be read: {first_line(error)}. Nothing of this step landed.")


@contextmanager
def engine_in(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    settings: dict[str, Any] = {"memory_limit": MEMORY, "threads": 2, "temp_directory": str(scratch)}
    with duckdb.connect(":memory:", config=settings) as engine:
        engine.execute("SET TimeZone = 'UTC'")
        yield engine
