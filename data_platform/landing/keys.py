"""The names of a table's objects in the landing store."""

from __future__ import annotations

from data_platform.errors import LedgerBroken
from data_platform.tables import TableId

FOLDER_MAX = 1000
_TOP = 10**12
"""A series (manifests, blocks of a log) is named by ``_TOP - number``, so that the newest is the first of a listing, in folders
of ``FOLDER_MAX``, so that listing it looks at few names however long the chain is."""


def manifests_of(table: TableId) -> str:
    """The folder of all manifests of ``table``."""
    return f"{table}/manifests"


def manifest_key(table: TableId, sequence: int) -> str:
    return newest_first(manifests_of(table), sequence)


def newest_first(folder: str, number: int) -> str:
    """The key of object ``number`` (from 1) of a series in ``folder``."""
    top = _TOP - number
    return f"{folder}/{top // FOLDER_MAX:09d}/{top:012d}.json"


def number_of(folder: str, key: str) -> int | None:
    """The number whose ``newest_first`` is ``key``; None for any other object."""
    try:
        number = _TOP - int(key.rsplit("/", 1)[-1].removesuffix(".json"))
    except ValueError:
        return None
    return number if number > 0 and newest_first(folder, number) == key else None


def part_key(table: TableId, sequence: int, nonce: str, index: int = 0) -> str:
    """Where part ``index`` of a batch goes: the batch's own folder, named by its nonce, so that
    two writers after one sequence never touch each other's parts."""
    return f"{table}/batches/{sequence:08d}-{nonce[:8]}/part-{index:04d}.parquet"


def quarantine_key(table: TableId, sequence: int, nonce: str, index: int | None = None) -> str:
    """Where the records go that a batch could not take: beside its parts. A redaction has one for each batch that it
    takes records from, by ``index``."""
    number = "" if index is None else f"-{index:04d}"
    return f"{table}/batches/{sequence:08d}-{nonce[:8]}/quarantine{number}.parquet"


def part_sequence(table: TableId, key: str) -> int | None:
    """The batch whose part is, or was to be, ``key``; None for an object that is no part."""
    prefix = f"{table}/batches/"
    sequence = key.removeprefix(prefix).partition("-")[0] if key.startswith(prefix) else ""
    return int(sequence) if sequence.isdecimal() else None


def manifest_sequence(table: TableId, key: str) -> int:
    """The batch whose manifest is ``key``. ``LedgerBroken`` for an object that is none."""
    if sequence := number_of(manifests_of(table), key):
        return sequence
    raise LedgerBroken(
        f"{key} in the landing store is not a manifest of {table}. Only this platform writes to that"
        " folder; move the file away."
    )


def hint_key(table: TableId, name: str) -> str:
    return f"{table}/{name}.json"
