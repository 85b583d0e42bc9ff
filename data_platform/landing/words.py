"""Messages about a damaged ledger, with what to do. Pure."""

from __future__ import annotations

from data_platform.errors import LedgerBroken
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import Part

ALTERED = "does not match its SHA-256: it was altered after it was written"


def size_is(size: int, part: Part) -> str:
    return f"has {size:,} bytes instead of {part.bytes:,}: it is truncated or was altered"


def damaged(manifest: Manifest, part: Part, what: str) -> str:
    return (
        f"The part {part.key} of batch {manifest.sequence} of {manifest.table} {what}. Restore it from a"
        f" copy of the landing store (`verify {manifest.table} --heal` does so from the backups), or reread the table with `sync --refresh {manifest.table}`."
    )


def replaced(manifest: Manifest, part: Part) -> str:
    return (
        f"The part {part.key} of batch {manifest.sequence} of {manifest.table} was replaced by a redaction while it was read: rows were"
        " erased. Nothing is lost; do the same again."
    )


def expired(manifest: Manifest, kept_from: int) -> str:
    return (
        f"The parts of batch {manifest.sequence} of {manifest.table} were deleted by the rule `keep_replaced_days`:"
        f" batch {kept_from} had replaced the whole table. Choose an instant at or after that batch was committed;"
        " earlier states can be restored from a backup."
    )


def unsigned(manifest: Manifest, though: str) -> str:
    return (
        f"The manifest of batch {manifest.sequence} of {manifest.table} is not signed, {though}: somebody else put"
        " it there, or it was written before there was a key. Restore the manifests of this table from a copy of the"
        f" landing store; or, if you are sure that they are yours, accept them with `verify {manifest.table} --sign`."
    )


def chain_break(manifest: Manifest) -> LedgerBroken:
    return LedgerBroken(
        f"The manifest of batch {manifest.sequence} of {manifest.table} does not follow the one before:"
        " one of the two was replaced. Restore the manifests of this table from a copy of the landing"
        " store."
    )
