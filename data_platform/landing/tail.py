"""The last known end of a table's chain, so that a lost tail is noticed.

A hash chain cannot show that its newest manifests are missing; it just looks shorter. Each commit therefore
writes a hint next to the chain. An outdated or missing hint can hide a loss but never report a false one.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from data_platform.errors import LandingError
from data_platform.landing import hint
from data_platform.landing.grammar import is_digest, is_number
from data_platform.landing.manifest import Manifest
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.stores import Store
from data_platform.tables import TableId


@dataclass(frozen=True, slots=True)
class Mark:
    """A batch that the ledger once held, by its digest, and ``how`` that is known ("was committed").
    Batch 0 if nothing is known."""

    sequence: int = 0
    digest: str = ""
    how: str = ""


def remember(store: Store, manifest: Manifest, signer: Signer = NOT_SIGNED) -> None:
    """Record ``manifest`` as the newest. If the hint cannot be written, the commit is still valid."""
    with suppress(LandingError):
        fields = {"sequence": manifest.sequence, "digest": manifest.digest}
        hint.write(store, _key(manifest.table), fields, signer)


def recall(store: Store, table: TableId, signer: Signer = NOT_SIGNED) -> Mark:
    raw = hint.read(store, _key(table), signer)
    known = is_number(raw.get("sequence")) and is_digest(raw.get("digest"))
    return Mark(raw["sequence"], raw["digest"], "was committed") if known else Mark()


def forget(store: Store, table: TableId) -> None:
    store.delete(_key(table))


def lost(table: TableId, url: str, last: int, mark: Mark) -> str:
    """The message about a ledger that ends at batch ``last``, before ``mark``."""
    return (
        f"The ledger of {table} in {url} ends at batch {last}, though batch {mark.sequence} {mark.how}: its"
        f" newest manifests are lost. Restore them from a copy of the landing store (`verify {table} --heal`), or accept the loss with"
        f" `verify {table} --accept-loss` and rebuild the warehouse with `rebuild`."
    )


def replaced(table: TableId, mark: Mark) -> str:
    return (
        f"Batch {mark.sequence} of {table} is not the one that {mark.how}: its manifest was replaced."
        " Restore the manifests of this table from a copy of the landing store, or accept the current ones with"
        f" `verify {table} --accept-loss` and rebuild the warehouse with `rebuild`."
    )


def _key(table: TableId) -> str:
    return f"{table}/tail.json"
