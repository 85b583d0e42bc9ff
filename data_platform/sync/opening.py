"""What a source is opened with: how it is reached from the project's folder, the inbox where its deliveries wait, what landed."""

from __future__ import annotations

from collections.abc import Sequence

from data_platform.catalog import Source, Table
from data_platform.landing.inbox import StoredInbox
from data_platform.landing.inputs import LedgerInputs
from data_platform.sources.reading import Opening
from data_platform.sync.platform import Platform
from data_platform.sync.quarantine import is_sealed


def opening_of(platform: Platform, source: Source, tables: Sequence[Table]) -> Opening:
    connection = source.connection.under(platform.catalog.root)
    inbox, inputs = inbox_of(platform, source), LedgerInputs(platform.ledger)
    return Opening(source.name, connection, platform.environ, tables, inbox, inputs, platform.for_jobs)


def inbox_of(platform: Platform, source: Source) -> StoredInbox:
    """Nothing is read or written yet. It must be sealed where a table of the source declares personal data."""
    tables = tuple(source.tables.values())
    return StoredInbox(
        platform.store,
        platform.signer,
        source.name,
        tables,
        platform.hash_key,
        must_seal=any(map(is_sealed, tables)),
    )
