"""The checks of a batch in every engine, before and after it is loaded: order, reasons to refuse it, its columns. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from data_platform.column_types import is_column_type
from data_platform.errors import DuplicateKey, LoadRefused
from data_platform.tables import (
    BATCH_ID,
    LOADED_AT,
    NULL_SLICE,
    RULE_PREFIX,
    WHOLE_TABLE,
    Column,
    Slice,
    TableId,
)
from data_platform.warehouses import LoadableBatch, LoadedBatch
from data_platform.warehouses.dialect import Dialect

WITHOUT_ROWS = ("redact", "settle")
"""Kinds of batches that bring no rows: they are written down as loaded, so that the next one follows them."""
_DAY = re.compile(r"-?infinity|\d{4,}-\d\d-\d\d( BC)?")


def follows(
    batch: LoadableBatch, newest: LoadedBatch | None, at: Callable[[int], LoadedBatch | None]
) -> bool:
    """Whether the batch is the next to load; False when it is loaded already. ``newest`` is the newest batch
    of its table that the warehouse holds, ``at`` tells the one it holds as a sequence before that."""
    table, sequence = batch.table, batch.sequence
    if batch.kind not in ("data", *WITHOUT_ROWS):
        raise LoadRefused(
            f"Batch {sequence} of {table} is of the kind {batch.kind}, which this version cannot load."
            " Install the version that wrote it."
        )
    reached = newest.sequence if newest else 0
    if sequence <= reached:
        same = newest if sequence == reached else at(sequence)
        if same is not None and same.digest == batch.digest:
            return False
        raise LoadRefused(
            f"Batch {sequence} of {table} is not among those this warehouse has loaded up to batch {reached}."
            " Batches are loaded strictly in order; check that the landing store and the warehouse belong together."
        )
    if batch.load == "replace":
        return True
    if sequence != reached + 1:
        raise LoadRefused(
            f"Batch {sequence} of {table} does not follow batch {reached}, the last one in {table.raw_name}."
            f" Load the batches between them first: `data-platform sync {table}` does."
        )
    if newest is not None and batch.previous != newest.digest:
        raise LoadRefused(
            f"Batch {sequence} of {table} follows another batch {reached} than the one in {table.raw_name}."
            " Check that the landing store and the warehouse belong together."
        )
    return True


def check(batch: LoadableBatch) -> None:
    """``LoadRefused`` for a batch of rows that nothing can load: without the key, the slices or the types it needs."""
    what = f"Batch {batch.sequence} of {batch.table}"
    if batch.load in ("merge", "append") and not batch.key and not batch.replaces:
        raise LoadRefused(
            f"{what} must be loaded as {batch.load}, which needs a"
            " key, and the table has none. Give it a `key` in the catalog, or the strategy `replace`."
        )
    if wrong := [column for column in batch.columns if not is_column_type(column.type)]:
        raise LoadRefused(
            f"{what} says that its column {wrong[0].name} is of a type that"
            " there is not. Restore its manifest from a copy of the landing store."
        )
    if batch.load == "slice" and not batch.slices:
        raise LoadRefused(f"{what} replaces slices and names none. Install the version that wrote it.")
    marks = {column.type.upper() for column in batch.columns if column.name == batch.deleted}
    told_apart = batch.key or batch.replaces
    if batch.deleted is not None and (marks != {"BOOLEAN"} or not told_apart or batch.load == "append"):
        raise LoadRefused(
            f"{what} marks deleted rows in its column {batch.deleted}, which must be a boolean one of a table with a"
            " key that is not loaded as append. Install the version that wrote it."
        )
    held = {column.name for column in raw_columns(batch)}
    if batch.replaces and (batch.load == "append" or not held.issuperset(batch.replaces)):
        raise LoadRefused(
            f"{what} replaces rows together that have the same {', '.join(batch.replaces)}, which must be columns of"
            " the raw table, and of one that is not loaded as append. Install the version that wrote it."
        )


def raw_columns(batch: LoadableBatch) -> tuple[Column, ...]:
    """The columns that the raw table has of the batch: all but the one that marks deleted rows."""
    return tuple(column for column in batch.columns if column.name != batch.deleted)


def named(columns: Sequence[Column], name: str, batch_id: str, table: TableId) -> Column:
    """The column of that name; ``LoadRefused`` where the batch has none."""
    found = next((column for column in columns if column.name == name), None)
    if found is None:
        raise LoadRefused(
            f"The batch {batch_id} of {table} has no column {name}, which is its key or"
            " partition. Correct the table's block in the catalog, then run"
            f" `sync --refresh {table}`."
        )
    return found


class Reshaping(NamedTuple):
    """What makes a raw table fit a batch: columns to add, and columns to alter to the types that they have here."""

    added: list[Column]
    widened: list[Column]


def reshaping(
    table: TableId, existing: Mapping[str, str], columns: Sequence[Column], dialect: Dialect
) -> Reshaping:
    """What to do before the batch fits a table of ``existing`` names and the engine's types.

    ``LoadRefused`` when a column is gone or has a type that does not hold every earlier value exactly. A rule's own
    column may be gone, for the catalog may drop a rule; its new rows are NULL there.
    """
    landed = {column.name: column for column in columns}
    own = (BATCH_ID, LOADED_AT)
    gone = [
        name
        for name in existing
        if name not in landed and name not in own and not name.startswith(RULE_PREFIX)
    ]
    other = {
        name: column
        for name, column in landed.items()
        if name in existing and not dialect.same_type(existing[name], column.type)
    }
    widened = [column for name, column in other.items() if dialect.widens(existing[name], column.type)]
    changed = [
        f"{name} (was {existing[name]}, is {column.type})"
        for name, column in other.items()
        if column not in widened
    ]
    reserved = [name for name in own if name in landed]
    if gone or changed or reserved:
        reasons = [f"without {', '.join(gone)}"] if gone else []
        reasons += [f"with another type of {', '.join(changed)}"] if changed else []
        reasons += [f"with {', '.join(reserved)}, a name the raw table keeps for itself"] if reserved else []
        raise LoadRefused(
            f"A batch of {table} comes {' and '.join(reasons)}, which the raw table {table.raw_name} cannot"
            f" take. Run `sync --refresh {table}` to reread the table with its current columns."
        )
    return Reshaping([column for name, column in landed.items() if name not in existing], widened)


def days(slices: Sequence[Slice]) -> list[str]:
    """The days among ``slices``, as ``tables.Slice`` writes them; ``LoadRefused`` for what is no slice."""
    found = [slice_ for slice_ in slices if slice_ not in (NULL_SLICE, WHOLE_TABLE)]
    for slice_ in found:
        if not _DAY.fullmatch(slice_):
            raise LoadRefused(
                f"{slice_!r} is not a slice: expected a day such as 2026-01-31, {NULL_SLICE} or {WHOLE_TABLE}."
            )
    return list(found)


def check_keys(batch: LoadableBatch, total: int, null: int, distinct: int) -> None:
    """``DuplicateKey`` when the batch's ``total`` keys are not unique, or not all there."""
    if null or distinct != total:
        what = f"is NULL in {null:,} rows" if null else f"repeats in {total - distinct:,} rows"
        raise DuplicateKey(
            f"The key ({', '.join(batch.key)}) of {batch.table} {what} of batch {batch.batch_id}, so nothing was"
            " loaded. Declare the columns that tell its rows apart as `key` in the catalog, or clean the table"
            " at its source."
        )


def check_groups(batch: LoadableBatch, null: int) -> None:
    """``LoadRefused`` when ``null`` rows of the batch do not say what they replace."""
    if null:
        raise LoadRefused(
            f"Batch {batch.sequence} of {batch.table} replaces rows together that have the same"
            f" {', '.join(batch.replaces)}, and {null:,} of its rows hold a NULL there. Nothing was loaded. Install the"
            " version that wrote it."
        )


def check_rows(batch: LoadableBatch, held: int) -> None:
    """``LoadRefused`` when the parts hold another number of rows than the manifest promises. An append
    inserts some of them only, so that it does not know."""
    if held != batch.rows and batch.load != "append":
        raise LoadRefused(
            f"Batch {batch.sequence} of {batch.table} should have {batch.rows:,} rows, but its parts hold"
            f" {held:,}. Nothing was loaded; verify the landing store."
        )
