"""The names of a table's objects in the landing store."""

from __future__ import annotations

from data_platform.errors import LedgerBroken
from data_platform.tables import TableId

FOLDER_MAX = 1000
_TOP = 10**12
"""Manifests are named by ``_TOP - sequence``, so that the newest is the first of a listing, in folders
of ``FOLDER_MAX``, so that listing it looks at few names however long the chain is."""


def manifests_of(table: TableId) -> str:
    """The folder of all manifests of ``table``."""
    return f"{table}/manifests"


def manifest_key(table: TableId, sequence: int) -> str:
    top = _TOP - sequence
    return f"{manifests_of(table)}/{top // FOLDER_MAX:09d}/{top:012d}.json"


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
    name = key.rsplit("/", 1)[-1]
    try:
        sequence = _TOP - int(name.removesuffix(".json"))
        if sequence > 0 and manifest_key(table, sequence) == key:
            return sequence
    except ValueError:
        pass
    raise LedgerBroken(
        f"{key} in the landing store is not a manifest of {table}. Only this platform writes to that"
        " folder; move the file away."
    )


def hint_key(table: TableId, name: str) -> str:
    return f"{table}/{name}.json"
