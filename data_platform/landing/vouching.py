"""Vouches for the end of a chain: by its signature, or because somebody accepted it.

What somebody took stands in a hint beside the chain (``adopted.json``), signed as what follows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_platform.errors import LedgerBroken
from data_platform.landing import hint, words
from data_platform.landing.keys import hint_key
from data_platform.landing.manifest import Manifest
from data_platform.landing.signing import Signer
from data_platform.stores import Store
from data_platform.tables import TableId

if TYPE_CHECKING:
    from data_platform.landing.chain import Chain


def confirm(store: Store, manifest: Manifest, signer: Signer) -> None:
    """LedgerBroken where ``manifest`` ends a chain that should be signed and is not."""
    if manifest.signature or not signer.signs:
        return
    known = hint.read(store, hint_key(manifest.table, "adopted"), signer)
    if known != {"sequence": manifest.sequence, "digest": manifest.digest}:
        raise LedgerBroken(words.unsigned(manifest, f"though {signer.variable} is set"))


def adopt(chain: Chain, table: TableId) -> None:
    """Take the chain up to its present head, which is not signed, as if it were. For a ledger from before
    there was a key; what comes after is signed, and an unsigned batch after it is refused."""
    sequence = chain.last(table)
    if sequence and not (manifest := chain.read(table, sequence)).signature:
        fields = {"sequence": sequence, "digest": manifest.digest}
        hint.write(chain.store, hint_key(table, "adopted"), fields, chain.signer)


def signed_from(chain: Chain, table: TableId, last: int) -> int | None:
    """The first batch up to ``last`` from which on all are signed; None where that one is not. By halving: a
    chain that is signed once stays so."""
    low, high = 1, last
    if not high or not chain.read(table, high).signature:
        return None
    if chain.read(table, low).signature:
        return low
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chain.read(table, middle).signature else (middle + 1, high)
    return low
