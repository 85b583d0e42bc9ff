"""Answers by hand as rows of the warehouse, which the mart of consents reads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from data_platform.backups.mirror import place_in
from data_platform.stores import Store
from data_platform.sync.consent.book import Book
from data_platform.sync.platform import Platform
from data_platform.warehouses.journal import JournalTable, keep, read

SCHEMA, NAME = "privacy", "consent_decisions"
TABLE = JournalTable(
    NAME,
    {
        "subject_kind": "text",
        "subject_key": "text",
        "purpose": "text",
        "state": "text",
        "policy_version": "text",
        "decided_at": "timestamp",
        "decision": "text",
    },
    schema=SCHEMA,
)


def write_decisions(platform: Platform) -> int:
    """Make the table what the log says, if it is not; how many rows. It begins with a row of nobody, so that it is there before the first
    answer. Answers of people who were erased go."""
    book = Book(platform)
    book.forget_erased(partial(_copies, platform))
    rows = [_NOBODY, *_rows(book)]
    kinds = sorted({str(_NOBODY["subject_kind"]), *book.kinds(), *platform.catalog.subjects})
    wanted = {str(row["decision"]) for row in rows}
    with platform.warehouse() as warehouse:
        if {row["decision"] for row in read(warehouse, TABLE)} != wanted:
            keep(warehouse, TABLE, rows, replacing={"subject_kind": kinds})
    return len(rows) - 1


def _copies(platform: Platform) -> list[Store]:
    from data_platform.sync.erasing.traces import archives_of

    return [place_in(archive).store for archive in archives_of(platform)]


def _rows(book: Book) -> Iterator[dict[str, Any]]:
    for decision, key in book.known():
        yield {
            "subject_kind": decision.subject,
            "subject_key": key,
            "purpose": decision.purpose,
            "state": decision.state,
            "policy_version": decision.version,
            "decided_at": decision.at,
            "decision": decision.id,
        }


_NOBODY = {"subject_kind": "nobody", "decision": "none"}
