"""What a backup reads of Snowflake: COPY INTO the user's own stage and GET, or the answer of a query page by page."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.errors import WarehouseError
from data_platform.warehouses.snowflake.grammar import GRAMMAR

if TYPE_CHECKING:
    import pyarrow as pa

    from data_platform.warehouses.snowflake.results import Answer
    from data_platform.warehouses.snowflake.session import SnowflakeSession

PAGE_ROWS = 10_000
FILE_BYTES = 256 << 20
_STAGE = "@~/data_platform_backup_"
"""Every user has this stage, and nobody else reads it."""


def copy_into(query: str, place: str) -> str:
    return (
        f"COPY INTO {place} FROM ({query}) FILE_FORMAT = (TYPE = PARQUET COMPRESSION = SNAPPY) HEADER = TRUE"
        f" MAX_FILE_SIZE = {FILE_BYTES} OVERWRITE = FALSE"
    )


def get(place: str, folder: Path) -> str:
    return f"GET {place} {GRAMMAR.literal(f'file://{folder.as_posix()}/')} PARALLEL = 8"


def unload(session: SnowflakeSession, query: str, folder: Path) -> list[Path]:
    place = f"{_STAGE}{uuid.uuid4().hex}/"
    try:
        ((rows, *_),) = session.tell(copy_into(query, place), "unload a table for a backup").rows
        if not int(rows):
            return []
        lines = session.tell(get(place, folder), "fetch what was unloaded").by_name()
        states = {str(line.get("status")) for line in lines}
        if states != {"DOWNLOADED"}:
            raise WarehouseError(
                f"Snowflake gave {len(lines):,} files of a backup, of which it says {', '.join(sorted(states))[:80] or 'nothing'}. Run the"
                " backup again."
            )
        return sorted(path for path in folder.iterdir() if path.is_file())
    finally:
        session.if_connected(f"REMOVE {place}", "remove what was unloaded")


def read(session: SnowflakeSession, query: str, folder: Path) -> list[Path]:
    import pyarrow.parquet as pq

    path = folder / "answer.parquet"
    writer: Any = None
    try:
        for page in session.pages(query, "read a table for a backup", PAGE_ROWS):
            table = _table(page)
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="snappy")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    return [path]


def _table(page: Answer) -> pa.Table:
    import pyarrow as pa

    kinds = {"FLOAT": pa.float64(), "BOOLEAN": pa.bool_(), "DATE": pa.date32()}
    columns = [
        pa.array([row[n] for row in page.rows], kinds.get(kind, pa.string()))
        for n, kind in enumerate(page.types())
    ]
    return pa.table(columns, names=[f"c{n}" for n in range(len(columns))])
