"""A table's files: those that are there, and those that were read by what the ledger says."""

from __future__ import annotations

from collections.abc import Mapping

from data_platform.errors import PositionLost, SourceError
from data_platform.sources.files.config import settings_of
from data_platform.sources.files.known import FILES_MAX, Identity, Listed, Moves, unpacked
from data_platform.sources.files.places import Listings
from data_platform.sources.reading import Prior, SourceTable
from data_platform.words import plural


def refuse_moving(table: SourceTable, found: Moves, before: Mapping[str, Identity]) -> None:
    """SourceError where rows that landed would go because their file is left."""
    if lost := sorted(set(found.moving) & before.keys()):
        raise SourceError(
            f"{table.id}: {lost[0]} is being written, and a read without it would take its rows away. Sync again when it"
            " holds still."
        )


def left(found: Moves) -> tuple[str, ...]:
    if not found.moving:
        return ()
    return (f"{plural(len(found.moving), 'file')} still being written and left for later",)


def known_of(table: SourceTable, prior: Prior) -> dict[str, Identity]:
    """The files that were read. PositionLost where the ledger does not say it."""
    try:
        return unpacked(prior.position.value) if prior.position else {}
    except ValueError:
        raise PositionLost(
            f"{table.id}: its last batch does not say which files were read. Read them anew with `data-platform sync"
            f" --refresh {table.id}`."
        ) from None


def known_before(table: SourceTable, prior: Prior) -> dict[str, Identity]:
    """For a whole read, which needs none."""
    try:
        return known_of(table, prior)
    except PositionLost:
        return {}


def listed(
    listings: Listings, url: str, table: SourceTable, known: Mapping[str, Identity]
) -> Mapping[str, Listed]:
    """The table's files. SourceError where there are none, or more than are kept apart."""
    pattern = settings_of(table).pattern
    found = listings(pattern)
    if not found:
        before = (
            f", where {plural(len(known), 'file')} matched before: a missing mount looks like this"
            if known
            else ""
        )
        raise SourceError(
            f"{table.id}: no file below {url} matches {pattern.text}{before}. Correct `files` or the source's place, or put the"
            " files there."
        )
    if len(found) > FILES_MAX:
        raise SourceError(
            f"{table.id}: {len(found):,} files match {pattern.text}, and at most {FILES_MAX:,} are kept apart. Move old ones"
            " away (`on_delete: keep` keeps their rows), or give each folder a table of its own."
        )
    return found
