"""Exports one table of the warehouse into an Iceberg table: all of it, in one commit, where it has changed.

The snapshot that a reader sees names what it was made from: rows and their fingerprint. So an export that was killed is
repeated without harm, one of a table that has not changed writes nothing, and what was written is proven by
reading it back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_platform.errors import ExportFailed
from data_platform.iceberg.arrow import as_iceberg, iceberg_schema

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table, Transaction

    from data_platform.warehouses.archive import Archivable, StoredTable

ROWS, FINGERPRINT, COLUMNS = "data-platform.rows", "data-platform.fingerprint", "data-platform.columns"
"""In the summary of each snapshot that an export has made."""
PROVEN = "data-platform.proven"
"""A property of the table: the snapshot that was read back and found equal."""
FILE_BYTES = 64 << 20
"""Of Arrow rows that are held at a time, and become a file."""
COMMITS = 5
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Exported:
    """``changed``: whether the table was written, or was there as it is already. ``snapshot`` is Iceberg's id."""

    schema: str
    table: str
    rows: int
    changed: bool
    snapshot: int
    seconds: float


def export_table(
    catalog: Catalog,
    warehouse: Archivable,
    stored: StoredTable,
    key: Sequence[str] = (),
    *,
    keep_days: float = 7,
) -> Exported:
    """``stored`` as the Iceberg table of its name. ``ExportFailed`` says what failed; readers then see what they saw before."""
    began = time.monotonic()
    rows, fingerprint = warehouse.row_fingerprint(stored)
    columns = ", ".join(f"{column.name} {column.type}" for column in stored.columns)
    about = {ROWS: str(rows), FINGERPRINT: str(fingerprint), COLUMNS: columns}
    with _readable_errors(stored):
        held = _table(catalog, stored)
        if held is not None and (known := _summary(held)) is not None and about.items() <= known.items():
            proven = held.properties.get(PROVEN) == str(
                _snapshot(held)
            )  # one that was killed has proven nothing
            if proven or _is_proven(warehouse, stored, held, rows, fingerprint):
                return Exported(
                    stored.schema, stored.name, rows, False, _snapshot(held), time.monotonic() - began
                )
        made = _write(catalog, held, warehouse, stored, key, about)
        if not _is_proven(warehouse, stored, made, rows, fingerprint):
            raise ExportFailed(
                f"The Iceberg table {stored.schema}.{stored.name} was written and does not read back as the {rows:,} rows"
                f" of the warehouse. Do not use its snapshot {_snapshot(made)}; run the export again, and report this if"
                " it happens again."
            )
        _forget(made, keep_days)
    return Exported(stored.schema, stored.name, rows, True, _snapshot(made), time.monotonic() - began)


def _table(catalog: Catalog, stored: StoredTable) -> Table | None:
    from pyiceberg.exceptions import NoSuchTableError

    catalog.create_namespace_if_not_exists((stored.schema,))
    try:
        return catalog.load_table((stored.schema, stored.name))
    except NoSuchTableError:
        return None


def _write(
    catalog: Catalog,
    held: Table | None,
    warehouse: Archivable,
    stored: StoredTable,
    key: Sequence[str],
    about: Mapping[str, str],
) -> Table:
    """All rows in one commit with the shape they have now. Another's commit meanwhile is overwritten: the warehouse is
    what is true."""
    from pyiceberg.exceptions import CommitFailedException

    identifier = (stored.schema, stored.name)
    properties = {
        "write.target-file-size-bytes": str(FILE_BYTES),
        "write.metadata.delete-after-commit.enabled": "true",
        "write.metadata.previous-versions-max": "20",
    }
    for attempt in range(COMMITS):
        rows = as_iceberg(warehouse.read_ordered(stored, key))
        table = held if attempt == 0 else catalog.load_table(identifier)
        try:
            if table is None:
                with catalog.create_table_transaction(
                    identifier, rows.schema, properties=properties
                ) as making:
                    making.append(rows, snapshot_properties=dict(about))
            else:
                with table.transaction() as changing:
                    _reshape(changing, rows.schema)
                    changing.overwrite(rows, snapshot_properties=dict(about))
            return catalog.load_table(identifier)
        except CommitFailedException:
            if attempt == COMMITS - 1:
                raise
            time.sleep(0.2 * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _reshape(changing: Transaction, wanted: pa.Schema) -> None:
    """The table's columns become those of ``wanted``. A column of another type is another column under its name."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    held = schema_to_pyarrow(changing.table_metadata.schema(), include_field_ids=False)
    types = {field.name: field.type for field in iceberg_schema(held)}
    now = {field.name: field.type for field in wanted}
    gone = [name for name, kind in types.items() if now.get(name) != kind]
    if gone:
        with changing.update_schema(allow_incompatible_changes=True) as update:
            for name in gone:
                update.delete_column((name,))
    if any(types.get(name) != kind for name, kind in now.items()):
        with changing.update_schema() as update:
            update.union_by_name(wanted)


def _is_proven(warehouse: Archivable, stored: StoredTable, made: Table, rows: int, fingerprint: int) -> bool:
    """Whether every row reads back as it is in the warehouse, as a backup's does; the table then says so."""
    names = tuple(column.name for column in stored.columns)
    read = made.scan(selected_fields=names).to_arrow_batch_reader()
    if warehouse.row_fingerprint(stored, read) != (rows, fingerprint):
        return False
    with made.transaction() as changing:
        changing.set_properties({PROVEN: str(_snapshot(made))})
    return True


def _forget(made: Table, keep_days: float) -> None:
    """Snapshots that are older go, and the files that no other snapshot needs."""
    import pyarrow.compute as pc

    before = int(time.time() * 1000 - keep_days * DAY_MS)
    current = _snapshot(made)
    old = [
        one.snapshot_id
        for one in made.metadata.snapshots
        if one.timestamp_ms < before and one.snapshot_id != current
    ]
    if not old:
        return
    had = set(pc.unique(made.inspect.all_files()["file_path"]).to_pylist())
    made.maintenance.expire_snapshots().by_ids(old).commit()
    made.refresh()
    has = set(pc.unique(made.inspect.all_files()["file_path"]).to_pylist())
    for path in had - has:
        made.io.delete(path)


def _summary(table: Table) -> Mapping[str, Any] | None:
    snapshot = table.current_snapshot()
    return snapshot.summary.additional_properties if snapshot and snapshot.summary else None


def _snapshot(table: Table) -> int:
    snapshot = table.current_snapshot()
    return snapshot.snapshot_id if snapshot else 0


@contextmanager
def _readable_errors(stored: StoredTable) -> Iterator[None]:
    """Other libraries' errors by their class alone: their words may hold a value or an address with a password."""
    from data_platform.errors import DataPlatformError

    try:
        yield
    except DataPlatformError:
        raise
    except Exception as error:
        raise ExportFailed(
            f"{stored.schema}.{stored.name} was not exported to Iceberg ({type(error).__name__}). Readers see the state"
            " before. Check that `iceberg:` in catalog/platform.yaml names a catalog and a place that can be reached and"
            " written, and run `data-platform iceberg export` again."
        ) from None
